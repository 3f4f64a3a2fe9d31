// SPDX-License-Identifier: GPL-2.0-or-later
/* fake_machine.h - the least machine that an engine can be tested with: RAM, a few ports, a page of MMIO, a wire for
 * interrupts.  One `struct machine` per test; its fields are what the guest and the engine did. */
#pragma once
#include "core-vmm/api/cpu.h"
#include <pthread.h>
#include <stdatomic.h>

#define FAKE_CPUS       4
#define FAKE_MEMORY     (8u << 20) /* RAM from guest-physical 0 */
#define FAKE_MMIO       0xd0000000u
#define FAKE_MMIO_BYTES 8192u
#define FAKE_TSC_KHZ    2400000u /* what CPUID says; the TSC is the host's */

enum {
    PORT_TEXT = 0xe9,       /* out: a character into text */
    PORT_FINISH = 0xf4,     /* out: this vCPU's run ends; value noted */
    PORT_REGISTERS = 0x310, /* in: changes registers */
    PORT_PATTERN = 0x300,   /* in: 0xA1B2C3D4, then that + 1, ...; out: noted in outs */
};

struct access {
    uint64_t address, value;
    unsigned size;
    bool write;
};

struct machine {
    const struct cpu_engine *engine;
    struct cpu_vm vm;
    void *evm, *vcpu[FAKE_CPUS];
    uint8_t *memory;
    _Atomic int64_t tsc_offset;
    pthread_mutex_t lock; /* what follows */
    GString *text;
    GArray *ports, *mmio; /* struct access: PORT_PATTERN; MMIO and all other addresses */
    uint8_t mmio_bytes[FAKE_MMIO_BYTES];
    uint32_t pattern;
    bool finished[FAKE_CPUS];
    uint64_t finish_value;
    unsigned eois[256], acks;
    bool auto_lower; /* machine_ack() lowers the INTR pin */
    int vector;      /* what machine_ack() returns; -1: none */
    uint8_t tpr[FAKE_CPUS];
};

struct machine *fake_new(const struct cpu_engine *engine, unsigned cpus); /* CPU model "host" */
struct machine *fake_new_model(const struct cpu_engine *engine, unsigned cpus, const char *model, const char *options);
void fake_free(struct machine *m);

/* Code at guest-physical `at`; then a vCPU's state to start it with. */
void fake_load(struct machine *m, uint32_t at, const uint8_t *code, const uint8_t *end);
void fake_start16(struct machine *m, unsigned cpu, uint32_t at);
void fake_start32(struct machine *m, unsigned cpu, uint32_t at); /* flat, with a GDT and IDT */
void fake_start64(struct machine *m, unsigned cpu, uint32_t at); /* the first 8 MiB and the APIC mapped 1:1 */
void fake_gate32(struct machine *m, unsigned vector, uint32_t at);

enum cpu_stop fake_run(struct machine *m, unsigned cpu); /* until it stops; an engine's error fails the test */
void fake_finish(struct machine *m, unsigned cpu);       /* until the guest writes PORT_FINISH; HLT waits for signals */
pthread_t fake_spawn(struct machine *m, unsigned cpu);   /* the same on a thread of its own */
void fake_stop(struct machine *m, unsigned cpu, pthread_t t); /* ends that, wherever the guest is */
void fake_interrupt(struct machine *m, unsigned cpu,
                    int vector); /* like an 8259A: pin up, down again when acknowledged */
bool fake_wait(struct machine *m, const uint32_t *word, uint32_t at_least); /* for guest memory; false: 10 s are over */

uint32_t fake_u32(struct machine *m, uint32_t at);
void fake_put(struct machine *m, uint32_t at, uint64_t value, unsigned bytes);
const uint32_t *fake_word(struct machine *m, uint32_t at);
char *fake_text(struct machine *m); /* so far; g_free */
