// SPDX-License-Identifier: GPL-2.0-or-later
/* stepped.h - a real machine, board and all, whose time moves only when told, with an engine that runs nothing: the test
 * does what guest code would, and sees what an engine is told: pins, the memory map, what was written behind its back.
 * One thread.  Link stepped.c and unstarted.c before the machine: it has engine_choose().  A test that brings a board of its
 * own (own_board.h) has the same machine with other devices (tests/devices/bench.h). */
#pragma once
#include "core-vmm/machine/core.h"

struct stepped_map { /* what the engine was told, last first */
    uint64_t gpa, bytes, offset;
    int how;
};
struct stepped {
    struct machine *m;
    void *user;   /* the test's */
    GArray *maps; /* struct stepped_map */
    bool intr[MAX_CPUS];
    unsigned nmis[MAX_CPUS], inits[MAX_CPUS], sipis[MAX_CPUS], sipi_vector[MAX_CPUS];
    uint64_t touched;  /* bytes */
    uint64_t *written; /* a bit per page of the memory file, as an engine notes them */
};
/* settings: lines for machine.ini behind "[machine]\nmemory = 16M\n". */
struct stepped *stepped_new(const char *settings);
/* All of machine.ini, which the machine shares. */
struct stepped *stepped_of_file(GKeyFile *file);
void stepped_free(struct stepped *s);
struct stepped *stepped_of(struct machine *m);   /* NULL: its engine is not there yet, or any more */
void stepped_ns(struct stepped *s, uint64_t ns); /* time goes by */
void stepped_reset(struct stepped *s);           /* RESET#, and all that follows from it */

uint64_t in(struct stepped *s, uint16_t port, unsigned size);
void out(struct stepped *s, uint16_t port, unsigned size, uint64_t value);
uint64_t load(struct stepped *s, uint64_t gpa, unsigned size);
void store(struct stepped *s, uint64_t gpa, unsigned size, uint64_t value);
/* Configuration mechanism #1, bus 0. */
uint32_t pci_in(struct stepped *s, unsigned slot, unsigned function, unsigned offset, unsigned size);
void pci_out(struct stepped *s, unsigned slot, unsigned function, unsigned offset, unsigned size, uint32_t value);
/* As the engine would take an interrupt: its vector if INTR is up, else -1. */
int take(struct stepped *s, unsigned cpu);
/* The last mapping of that page, offset NO_MEMORY: none. */
struct stepped_map mapped(struct stepped *s, uint64_t gpa);
