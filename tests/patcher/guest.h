// SPDX-License-Identifier: GPL-2.0-or-later
/* guest.h - small hand-written guests for tests of an engine.
 *
 * A guest's code is assembled into the test itself by GUEST_CODE(name, "...") and copied to a guest address; the vCPU
 * starts there in the mode asked for, with the tables below, and runs until HLT.  Vector n's handler is a HLT at
 * GUEST_HANDLER(n): an exception ends the guest too, and its frame lies on the stack. */
#pragma once
#include "tests/patcher/fake_machine.h"
#include <string.h>

#define GUEST_CODE(name, bits, text)                                                                                   \
    __asm__(".pushsection .rodata\n" #name ":\n.code" #bits "\n" text "\n.code64\n" #name "_end:\n.popsection\n");     \
    extern const uint8_t name[], name##_end[]

enum {
    GUEST_BYTES = 8 << 20, /* of RAM, from 0; an upper 4 KiB page of the file is mapped nowhere */
    GUEST_GDT = 0x1000,
    GUEST_IDT = 0x2000,
    GUEST_TSS = 0x3000,
    GUEST_TSS2 = 0x3800,
    GUEST_STACK = 0x8000, /* top; ring 0 from the TSS: GUEST_STACK0 */
    GUEST_STACK0 = 0xa000,
    GUEST_IST1 = 0xb000,
    GUEST_CODE_AT = 0x10000,
    GUEST_TABLES = 0x100000, /* page tables: identity, user, writable; the first 2 MiB by 4 KiB pages */
    GUEST_PTES = GUEST_TABLES + 0x3000,
};
#define GUEST_HANDLER(n) (0x4000 + (n)*16)

/* selectors */
enum {
    SEL_CODE32 = 0x08,
    SEL_DATA = 0x10,
    SEL_CODE64 = 0x18,
    SEL_CODE16 = 0x20,
    SEL_DATA16 = 0x28,
    SEL_USER32 = 0x33,
    SEL_USERDATA = 0x3b,
    SEL_USER64 = 0x43,
    SEL_TSS = 0x48, /* 16 bytes */
    SEL_TSS2 = 0x58,
    SEL_FREE = 0x60, /* up to 0xff8: for the test */
};
enum guest_mode { GUEST_REAL, GUEST_PROTECTED /* flat 32-bit */, GUEST_PAGED /* and 32-bit paging */, GUEST_LONG };

struct guest {
    struct machine machine;
    struct cpu_vm vm;
    const struct cpu_engine *engine;
    void *evm, *vcpu[2];
    uint8_t *mem;
    _Atomic int64_t tsc_offset;
    int interrupt; /* vector that the INTA cycle gives, or -1 */
    unsigned logged;
    uint64_t log[64];      /* what was written to port 0xf0 */
    struct x86_state s;    /* after guest_run() */
    enum cpu_stop stopped; /* why */
    void *test;            /* the test's own, for its machine.out */
    char *options;         /* of the engine, if they are its own */
};

struct guest *guest_new(unsigned cpus);
struct guest *guest_new_maker(unsigned cpus, const char *maker); /* of its CPUs: "intel" or "amd"; NULL: the host's */
struct guest *guest_new_model(unsigned cpus, const char *model); /* as setting cpu-model says: "host", "x86-64-v2" */
void guest_free(struct guest *g);
void guest_code(struct guest *g, uint64_t at, const uint8_t *from, const uint8_t *end);
#define GUEST_LOAD(g, at, name) guest_code(g, at, name, name##_end)
void guest_copy_tables(struct guest *g, uint64_t to); /* of GUEST_LONG: another 16 KiB that map the same */
/* State of vCPU 0 (in g->s, to be changed before guest_run()) for code at GUEST_CODE_AT. */
void guest_start(struct guest *g, enum guest_mode mode);
enum cpu_stop guest_run(struct guest *g);      /* from g->s, to HLT */
enum cpu_stop guest_continue(struct guest *g); /* from where it stands */
int guest_vector(const struct guest *g);       /* whose handler it stopped in, or -1 */
uint64_t guest_read(const struct guest *g, uint64_t at, unsigned size);
void guest_write(struct guest *g, uint64_t at, unsigned size, uint64_t v);
void guest_descriptor(struct guest *g, unsigned selector, uint32_t base, uint32_t limit, unsigned access);
void guest_gate(struct guest *g, unsigned vector, uint16_t selector, uint64_t offset, unsigned access);
struct x86_seg guest_segment(const struct guest *g, unsigned selector);
uint64_t guest_counter(struct guest *g,
                       const char *name); /* what the engine counts under that name, which it must have */
uint64_t guest_frame(const struct guest *g, unsigned n); /* n-th slot of the top of the stack, by the mode's size */
