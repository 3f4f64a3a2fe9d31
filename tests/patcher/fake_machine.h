// SPDX-License-Identifier: GPL-2.0-or-later
/* fake_machine.h - the machine's side of cpu.h for tests that run an engine alone: ports go to the test, nobody else is
 * at home. */
#pragma once
#include "core-vmm/api/cpu.h"

struct machine { /* cpu_vm.machine may be NULL: no ports either */
    uint64_t (*in)(struct machine *m, uint16_t port, unsigned size);
    void (*out)(struct machine *m, uint16_t port, unsigned size, uint64_t value);
    /* the rest may be NULL: nobody home */
    uint64_t (*load)(struct machine *m, uint64_t gpa, unsigned size);
    void (*store)(struct machine *m, uint64_t gpa, unsigned size, uint64_t value);
    uint16_t any_ring; /* the port that every ring may use, 0: none */
    void (*string)(struct machine *m, bool in, uint8_t *data, uint32_t count);
    uint16_t strings; /* the port that takes them, 0: none */
    int (*ack)(struct machine *m, unsigned cpu);
    void (*looked)(struct machine *m);
    bool (*fpu_error)(struct machine *m, unsigned cpu, bool pending);
};
