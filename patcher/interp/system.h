// SPDX-License-Identifier: GPL-2.0-or-later
/* system.h - segmentation, far transfers, events and tasks: what these parts call of each other.  All functions run
 * with c->rip at the instruction and may raise exceptions unless they say otherwise. */
#pragma once
#include "core-vmm/base/host_cpu.h"
#include "patcher/soft.h"

/* ---- segment.c ---------------------------------------------------------------------------------------------------- */
/* A descriptor as it lies in its table. */
struct desc {
    uint64_t raw, raw_high; /* raw_high: second half of the 16-byte ones */
    uint64_t lin;           /* where it lies */
    uint16_t selector;
};
enum {
    SYS_TSS16 = 1,
    SYS_LDT = 2,
    SYS_TSS16_BUSY = 3,
    SYS_CALL16 = 4,
    SYS_TASK = 5,
    SYS_INT16 = 6,
    SYS_TRAP16 = 7,
    SYS_TSS32 = 9,
    SYS_TSS32_BUSY = 11,
    SYS_CALL32 = 12,
    SYS_INT32 = 14,
    SYS_TRAP32 = 15,
};
static inline unsigned desc_type(const struct desc *d)
{
    return d->raw >> 40 & 15;
}
static inline bool desc_s(const struct desc *d) /* code or data, not system */
{
    return d->raw >> 44 & 1;
}
static inline unsigned desc_dpl(const struct desc *d)
{
    return d->raw >> 45 & 3;
}
static inline bool desc_present(const struct desc *d)
{
    return d->raw >> 47 & 1;
}
static inline bool desc_code(const struct desc *d)
{
    return desc_s(d) && d->raw >> 43 & 1;
}
static inline bool desc_conforming(const struct desc *d)
{
    return d->raw >> 42 & 1;
}
static inline bool desc_writable(const struct desc *d) /* of data */
{
    return d->raw >> 41 & 1;
}
static inline bool desc_accessed(const struct desc *d) /* of code and data */
{
    return d->raw >> 40 & 1;
}
static inline bool desc_long(const struct desc *d)
{
    return d->raw >> 53 & 1;
}
static inline bool null_selector(uint16_t selector)
{
    return !(selector & 0xfffc);
}
bool desc_read(struct vcpu *c, uint16_t selector, struct desc *d);                 /* false: beyond its table */
void desc_get(struct vcpu *c, uint16_t selector, unsigned vector, struct desc *d); /* or vector(selector) */
void desc_get_high(struct vcpu *c, struct desc *d);                                /* fills raw_high */
void desc_set_accessed(struct vcpu *c, struct desc *d);
void desc_cache(const struct desc *d, struct seg *s); /* hidden part from a descriptor; does not fault */
void seg_cache(const struct vcpu *c, struct seg *s);  /* lo, hi, can from the rest; does not fault */
void seg_load_real(struct vcpu *c, unsigned seg, uint16_t selector);
void seg_load(struct vcpu *c, unsigned seg, uint16_t selector); /* any but CS, all modes */
/* The same for ES, DS, FS and GS with a null selector or a segment up to the end of the address space, where nothing faults,
 * nothing has to be written or walked and vcpu.mode stays as it is; else false, and nothing was done. */
bool seg_load_quick(struct vcpu *c, unsigned seg, uint16_t selector);
void seg_set_null(struct vcpu *c, unsigned seg, uint16_t selector);
void seg_refresh(struct vcpu *c); /* after a change of PE or VM: what segments can do, then update_mode() */
/* CS for the given privilege; the caller has checked everything. */
void cs_load(struct vcpu *c, struct desc *d, unsigned cpl);
void cs_check_target(struct vcpu *c, const struct desc *d, uint64_t ip); /* limit or canonical: #GP(0) */
void ldt_load(struct vcpu *c, uint16_t selector, unsigned vector);

/* ---- stack.c -------------------------------------------------------------------------------------------------------- */
/* A stack being pushed to or popped from before anything is committed. */
struct stack {
    struct seg ss;
    uint64_t sp, mask;
    bool user; /* accesses with the rights of CPL 3 */
    bool flat64;
    uint16_t error; /* of its #SS */
};
struct stack stack_current(struct vcpu *c);
void stack_push(struct vcpu *c, struct stack *s, unsigned size, uint64_t v);
uint64_t stack_pop(struct vcpu *c, struct stack *s, unsigned size);
void stack_commit(struct vcpu *c, const struct stack *s); /* the stack pointer only */
void push(struct vcpu *c, unsigned size, uint64_t v);
uint64_t stack_mask(const struct vcpu *c, const struct seg *ss);

/* ---- far.c ------------------------------------------------------------------------------------------------------------ */
void far_jump(struct vcpu *c, uint16_t selector, uint64_t offset, unsigned osize);
void far_call(struct vcpu *c, uint16_t selector, uint64_t offset, unsigned osize);
void far_return(struct vcpu *c, unsigned osize, unsigned pop_bytes);
void far_iret(struct vcpu *c, unsigned osize);
/* SS and the stack pointer for the given privilege from the TSS. */
void tss_stack(struct vcpu *c, unsigned dpl, struct stack *s, struct desc *ss);

/* ---- interrupt.c --------------------------------------------------------------------------------------------------------- */
enum event_kind {
    EVENT_FAULT,
    EVENT_TRAP /* exceptions behind the instruction */,
    EVENT_EXTERNAL,
    EVENT_SOFT,
    EVENT_SOFT_ICEBP
};
/* Enters the handler of vector; rip: what it returns to. */
void event_deliver(struct vcpu *c, unsigned vector, enum event_kind kind, bool has_error, uint32_t error, uint64_t rip);

/* ---- task.c ----------------------------------------------------------------------------------------------------------------- */
enum task_how { TASK_JUMP, TASK_CALL /* interrupts, too */, TASK_IRET };
void task_switch(struct vcpu *c, struct desc *tss, enum task_how how, uint64_t return_ip, bool push_error,
                 uint32_t error);
void task_gate(struct vcpu *c, const struct desc *gate, enum task_how how, uint64_t return_ip, bool push_error,
               uint32_t error);

/* ---- sysreg.c, msr.c, cpuid.c, io.c --------------------------------------------------------------------------------------------- */
void io_check(struct vcpu *c, uint16_t port, unsigned size);  /* IOPL and the TSS's bitmap: #GP(0) */
void io_registers(struct vcpu *c, uint64_t gpr[8], bool set); /* cpu_engine.registers */
uint64_t msr_read(struct vcpu *c, uint32_t index);
void msr_write(struct vcpu *c, uint32_t index, uint64_t v);
uint64_t guest_tsc(struct vcpu *c);
void cpuid(struct vcpu *c, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
enum cpu_maker { MAKER_HOST, MAKER_INTEL, MAKER_AMD }; /* whom CPUID names */
uint64_t cpuid_efer_bits(const struct vcpu *c);        /* that can be set */
uint64_t cpuid_cr4_bits(const struct vcpu *c);         /* those of the features offered */
/* g_free */
struct cpuid_table *cpuid_new(const struct cpu_vm *vm, const struct host_cpu *h, enum cpu_maker maker, GError **error);
void vcpu_reset(struct vcpu *c, bool init);
uint64_t xcr0_supported(struct vcpu *c);
void write_cr0(struct vcpu *c, uint64_t v);
