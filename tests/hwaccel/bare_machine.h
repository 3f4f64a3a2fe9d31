// SPDX-License-Identifier: GPL-2.0-or-later
/* bare_machine.h - a real machine (core's bus, address map, interrupt routing, clock, saved state) with the engine under test
 * and a board that has next to nothing: a few ports, a page of MMIO, a ROM, some video memory, and an interrupt controller
 * that the test holds by its INT pin; without local APICs from the engine also the PC's.  Its CPUs have no threads: the test
 * calls the engine's run() itself and sees what comes back.  Guest time stands still, so that the rate of the TSC, which CPUID
 * tells, is the same in all of them; the TSC itself is the host's, with the offset of core's clock.
 *
 * What an engine asks of core goes to core.  Its memory accesses are noted on the way (the linker's --wrap), because the bus
 * would put odd sizes right, and of places where nobody is nobody else hears.  One per test; its fields are what the guest and
 * the engine did. */
#pragma once
#include "core-vmm/api/cpu.h"
#include <pthread.h>
#include <stdatomic.h>

#define BARE_CPUS       4
#define BARE_MEMORY     (8u << 20) /* RAM from guest-physical 0, but for 0xa0000-0xfffff */
#define BARE_MMIO       0xd0000000u
#define BARE_MMIO_BYTES 8192u

enum {
    PORT_TEXT = 0xe9,       /* out: a character into text */
    PORT_FINISH = 0xf4,     /* out: this vCPU's run ends */
    PORT_REGISTERS = 0x310, /* in: inverts the registers; the answer is what EAX was, and 1 more */
    PORT_PATTERN = 0x300,   /* in: 0xA1B2C3D4, then that + 1, ...; out: noted in ports */
};
enum bare_memory { BARE_ROM /* 4 KiB */, BARE_VIDEO /* 1 MiB, core asks for its dirty pages */, BARE_MEMORIES };

struct access {
    uint64_t address, value;
    unsigned size;
    bool write;
};

struct bare_machine {
    struct machine *machine;
    const struct cpu_engine *engine; /* under test; the rest of this group is what core has of it */
    const struct cpu_vm *vm;
    void *evm, *vcpu[BARE_CPUS];
    uint8_t *memory;
    GString *text;
    GArray *ports, *mmio; /* struct access: PORT_PATTERN; what the engine loaded and stored by core, anywhere */
    uint8_t mmio_bytes[BARE_MMIO_BYTES];
    uint32_t pattern;
    _Atomic bool finished[BARE_CPUS];
    _Atomic pthread_t thread[BARE_CPUS]; /* who calls run() */
    _Atomic unsigned acks, eois[256];
    int vector; /* that the interrupt controller asks for; -1: none */
};

/* Its vCPUs are as the engine made them: they have not seen a reset. */
struct bare_machine *bare_new(const struct cpu_engine *engine, unsigned cpus); /* CPU model "host" */
struct bare_machine *bare_new_model(const struct cpu_engine *engine, unsigned cpus, const char *model,
                                    const char *options);
void bare_free(struct bare_machine *m);
void bare_reset(struct bare_machine *m); /* RESET#, by core */

/* Maps the board's ROM or video memory, or takes it away; where it is in the memory file. */
uint64_t bare_place(struct bare_machine *m, enum bare_memory which, uint64_t gpa, bool on);
void bare_video_dirty(struct bare_machine *m, uint64_t *bitmap); /* as the screen asks for it */
/* Interrupts, to the first CPU: INT up until it is acknowledged. */
void bare_interrupt(struct bare_machine *m, int vector);
int bare_withdraw(struct bare_machine *m); /* INT down; the vector that was not taken, or -1 */
void bare_signal(struct bare_machine *m, unsigned cpu, enum cpu_signal what, unsigned value); /* as a local APIC does */
uint8_t bare_tpr(struct bare_machine *m, unsigned cpu); /* of the machine's local APIC, CR8's bits */
void bare_stood(struct bare_machine *m, uint64_t tsc);  /* as if it had stood for so many ticks */
void bare_move(struct bare_machine *from,
               struct bare_machine *to); /* memory, and the first CPU as core saves and loads it */

/* ---- bare_run.c ---- */
/* Code at guest-physical `at`; then a vCPU's state to start it with. */
void bare_load(struct bare_machine *m, uint32_t at, const uint8_t *code, const uint8_t *end);
void bare_start16(struct bare_machine *m, unsigned cpu, uint32_t at);
void bare_start32(struct bare_machine *m, unsigned cpu, uint32_t at); /* flat, with a GDT and IDT */
void bare_start64(struct bare_machine *m, unsigned cpu, uint32_t at); /* the first 8 MiB and the APIC mapped 1:1 */
void bare_gate32(struct bare_machine *m, unsigned vector, uint32_t at);

enum cpu_stop bare_run(struct bare_machine *m, unsigned cpu); /* until it stops; an engine's error fails the test */
void bare_finish(struct bare_machine *m, unsigned cpu); /* until the guest writes PORT_FINISH; HLT waits for signals */
pthread_t bare_spawn(struct bare_machine *m, unsigned cpu);        /* the same on a thread of its own */
void bare_stop(struct bare_machine *m, unsigned cpu, pthread_t t); /* ends that, wherever the guest is */
bool bare_wait(const uint32_t *word, uint32_t at_least);           /* for guest memory; false: 10 s are over */

uint32_t bare_u32(struct bare_machine *m, uint32_t at);
void bare_put(struct bare_machine *m, uint32_t at, uint64_t value, unsigned bytes);
const uint32_t *bare_word(struct bare_machine *m, uint32_t at);
