// SPDX-License-Identifier: GPL-2.0-or-later
/* fake_machine.c - see fake_machine.h. */
#include "core-vmm/api/hyperv.h"
#include "tests/patcher/fake_machine.h"

uint64_t machine_in(struct machine *m, unsigned cpu, uint16_t port, unsigned size)
{
    return m && m->in ? m->in(m, port, size) : ~0ull;
}

void machine_out(struct machine *m, unsigned cpu, uint16_t port, unsigned size, uint64_t value)
{
    if (m && m->out)
        m->out(m, port, size, value);
}

bool machine_string(struct machine *m, unsigned cpu, uint16_t port, bool in, uint8_t *data, uint32_t count)
{
    bool taken = m && m->string && port == m->strings;
    if (taken)
        m->string(m, in, data, count);
    return taken;
}

bool machine_port_any_ring(struct machine *m, uint16_t port, unsigned size)
{
    return m && m->any_ring && port == m->any_ring;
}

uint64_t machine_load(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size)
{
    return m && m->load ? m->load(m, gpa, size) : ~0ull;
}

void machine_store(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    if (m && m->store)
        m->store(m, gpa, size, value);
}

int machine_ack(struct machine *m, unsigned cpu)
{
    return m && m->ack ? m->ack(m, cpu) : -1;
}

void machine_looked(struct machine *m, unsigned cpu)
{
    if (m && m->looked)
        m->looked(m);
}

bool machine_fpu_error(struct machine *m, unsigned cpu, bool pending)
{
    return m && m->fpu_error && m->fpu_error(m, cpu, pending);
}

uint8_t machine_tpr(struct machine *m, unsigned cpu)
{
    return 0;
}

void machine_set_tpr(struct machine *m, unsigned cpu, uint8_t cr8)
{
}

bool machine_hyperv_msr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t *value, bool write)
{
    return false;
}

bool machine_hypercall(struct machine *m, unsigned cpu, uint64_t gpr[16], bool wide)
{
    return false;
}

void machine_msr_unknown(struct machine *m, uint32_t msr, bool write)
{
}

bool machine_apic_msr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t *value, bool write)
{
    return false;
}
