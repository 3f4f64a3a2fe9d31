// SPDX-License-Identifier: GPL-2.0-or-later
/* vm.h - what the vCPUs of one VM share: the guest-physical memory map, which bytes of memory hold code that some
 * vCPU has decoded, and the dirty log. */
#pragma once
#include "patcher/soft.h"
#include "core-vmm/base/host_cpu.h"
#include "patcher/budget.h"
#include "patcher/native/replay.h"
#include "patcher/stats.h"

/* Memory map entries: offset in the memory file (page-aligned) with these bits; 0: nothing there (MMIO). */
#define GPA_RAM      1ull
#define GPA_READONLY 2ull
#define GPA_LOG      4ull
#define GPA_BITS     40 /* guest-physical address width: CPUID says the same */
#define GPA_MASK     ((1ull << GPA_BITS) - 1)
#define GPA_L2_BITS  14
#define GPA_L1_SIZE  (1u << (GPA_BITS - 12 - GPA_L2_BITS))

/* One bit per byte of a page: decoded as code by some vCPU.  Stale bits are harmless. */
struct code_bits {
    _Atomic uint64_t word[PAGE_SIZE / 64];
};

struct soft_vm {
    struct host_cpu host;
    const struct cpu_vm *cfg;
    struct machine *machine;
    bool translate;                /* tier 2 */
    uint32_t hot;                  /* entries of a block before it is translated */
    bool lone;                     /* translated code has no LOCK: machine/barrier.c */
    bool lockstep;                 /* check tier 2 against tier 1 */
    _Atomic unsigned lockstep_dma; /* writes to memory by others than vCPUs */
    uint8_t *memory;
    uint64_t pages; /* of the memory file */
    struct budget budget;
    GMutex lock; /* map changes, code_bits allocation */
    _Atomic(_Atomic uint64_t *) gpa[GPA_L1_SIZE];
    _Atomic(struct code_bits *) *code_bits; /* per page of the memory file */
    _Atomic unsigned watched_pages;         /* of them are there, or spare */
    GPtrArray *spare_bits;
    _Atomic uint64_t *dirty; /* bit per page of the memory file */
    struct vcpu **vcpu;      /* cfg->cpus entries, NULL until vcpu_new */
    GMutex split_lock;       /* LOCKed instructions on operands that cross a page */
    struct cpuid_table *cpuid;
};

static inline void count(struct vcpu *c, enum count what)
{
    c->stats->count[what]++;
}

/* The machine, to call it: what is outside patcher/ may use vector registers. */
static inline struct machine *outside(struct vcpu *c)
{
    fpu_leave(c);
    return c->vm->machine;
}

static inline uint64_t gpa_entry(struct soft_vm *vm, uint64_t gpa)
{
    _Atomic uint64_t *l2 =
        gpa > GPA_MASK ? NULL : atomic_load_explicit(&vm->gpa[gpa >> (12 + GPA_L2_BITS)], memory_order_acquire);
    return l2 ? atomic_load_explicit(&l2[gpa >> 12 & ((1u << GPA_L2_BITS) - 1)], memory_order_relaxed) : 0;
}
bool vm_map(struct soft_vm *vm, uint64_t gpa, uint64_t bytes, uint64_t offset, int how, GError **error);
void vm_dirty(struct soft_vm *vm, uint64_t offset, uint64_t bytes, uint64_t *bitmap);
void vm_mark_dirty(struct soft_vm *vm, uint64_t offset);
void vm_request_all(struct soft_vm *vm, uint32_t bits);

/* code.c: blocks */
bool code_init(struct vcpu *c, GError **error);
void code_fini(struct vcpu *c);
void code_drop_all(struct vcpu *c);
void code_drain_queue(struct vcpu *c);
/* Memory [offset, offset + bytes) of one page was written: forget code made from it.  self: the writing vCPU or NULL. */
void code_written(struct soft_vm *vm, struct vcpu *self, uint64_t offset, uint64_t bytes);
bool code_on_page(struct soft_vm *vm, uint64_t offset);
bool code_was_on_page(struct soft_vm *vm, uint64_t offset); /* quick: false is sure, true may be out of date */
/* A translated block's instructions are forgotten: what takes its place, and how to have one again (until the next call;
 * ip: where it is in the block). */
struct block *code_keep(struct vcpu *c, struct block *young);
bool code_kept_full(const struct vcpu *c); /* no room for one more: drop everything */
const struct insn *code_insn(struct vcpu *c, const struct block *r, unsigned number, unsigned ip);
struct block *code_find(struct vcpu *c); /* the block at c->rip: cached or decoded now; faults as a fetch does */
/* Is r what a fetch at c->rip finds?  A few host instructions. */
static inline bool code_is_at(struct vcpu *c, const struct block *r, uint64_t lin)
{
    const struct tlb_entry *e = tlb_slot(c, lin);
    return tlb_hit(c, e->exec, lin, 1) && r->host == (uint8_t *)(lin + e->addend) && !r->host2;
}
static inline uint64_t code_linear(const struct vcpu *c, uint64_t ip)
{
    uint64_t lin = c->seg[X86_CS].base + ip;
    return code64(c) ? ip : (uint32_t)lin;
}
/* decode.c: fills in from bytes; 0 on success, or the exception to raise */
enum { DECODE_OK, DECODE_MORE /* needs more than n bytes */, DECODE_UD, DECODE_TOO_LONG };
int decode(struct vcpu *c, struct insn *in, const uint8_t *bytes, unsigned n, unsigned mode);

/* For people: AT&T never, Intel's syntax.  decode_text() says how many bytes the instruction has, 0: none. */
const char *decode_mnemonic(const uint8_t *bytes, unsigned n, unsigned mode);
unsigned decode_text(const uint8_t *bytes, unsigned n, unsigned mode, uint64_t ip, char *text, unsigned size);

bool cpuid_is_amd(const struct vcpu *c);
bool cpuid_has_random(const struct vcpu *c, bool seed);     /* RDRAND, RDSEED */
bool cpuid_has_line(const struct vcpu *c, bool write_back); /* CLFLUSHOPT, CLWB */
bool cpuid_has_movbe(const struct vcpu *c);
bool cpuid_has_xgetbv1(const struct vcpu *c); /* XGETBV with ECX = 1 */
bool cpuid_has_rdpid(const struct vcpu *c);
/* Makes in an instruction that only raises the exception: of one byte, unless it is UD2, which kernels have in their code. */
void decode_bind_fault(struct insn *in, unsigned vector);
struct block *exec_fallthrough(struct vcpu *c, const struct insn *in); /* what ends a block without a branch */

/* tlb.c */
void tlb_init(struct vcpu *c);
void tlb_flush(struct vcpu *c);
void tlb_flush_many(struct vcpu *c, uint64_t cpus); /* tlb_remote.c: returns when it has happened on all of them */
void tlb_flush_asked(struct vcpu *c);               /* REQ_FLUSH */
void tlb_switch(struct vcpu *c, uint64_t old, bool keep); /* CR3 was loaded */
void tlb_forget_context(struct vcpu *c, unsigned pcid);   /* all but global pages */
void tlb_forget_all(struct vcpu *c);                      /* ... of all contexts */
void tlb_note_user(struct vcpu *c);                       /* CPL becomes 3 */
uint64_t tlb_new_generation(struct vcpu *c);              /* a number that nothing has */
/* tlb_kernel.c */
void tlb_kernel_forget(struct vcpu *c);
/* The entry of lin was filled in, or gets a target in vcpu.jump_cache.  true: the code number has changed. */
bool tlb_kernel_note(struct vcpu *c, unsigned view, uint64_t lin);
/* A context gets its own generation: what was believed of global pages is still right. */
void tlb_kernel_own(struct vcpu *c, unsigned view, uint64_t before);
/* CR3 was loaded; kept: its context, if what it had is there and right. */
void tlb_kernel_switched(struct vcpu *c, const struct tlb_context *kept);
uint64_t tlb_code_number(struct vcpu *c); /* what vcpu.trans_context has of the view in force */
void tlb_kernel_leave(const struct vcpu *c, struct tlb_context *t);
bool tlb_isolated(const struct vcpu *c);   /* the kernel hides itself from user code */
bool on_user_tables(const struct vcpu *c); /* of an isolated kernel (tlb.c) */
void tlb_flush_page(struct vcpu *c, uint64_t lin);
void tlb_drop_write(struct vcpu *c);                                               /* all: see REQ_UNWRITE */
bool tlb_may_write(const struct vcpu *c, uint64_t offset);                         /* any thread */
void tlb_drop_write_page(struct vcpu *c, uint64_t offset);                         /* of the memory file */
struct tlb_info *tlb_get(struct vcpu *c, unsigned view, uint64_t lin, int access); /* or #PF */
struct tlb_info *tlb_get_fetch(struct vcpu *c, uint64_t lin);
static inline unsigned super_view(const struct vcpu *c)
{
    return on_user_tables(c) ? VIEW_GATE : c->cr4 & CR4_SMAP ? VIEW_SUPER_SMAP : VIEW_SUPER;
}
/* mmu.c */
struct walk {
    uint64_t gpa;
    uint8_t access;   /* what the view may do, with the bits that are set now */
    bool large, huge; /* more than 4 KiB, 1 GiB */
    bool global;
    bool not_accessed; /* mmu_walk_ahead(): some entry has A clear, and still has */
    /* Without PCIDs: the entries that were read, from the top (not that of a PDPTE register), and how large they are. */
    unsigned entries, entry_bytes;
    uint64_t entry_at[4], entry[4];
};
/* tlb_reads.c */
void tlb_reads_empty(struct tlb_context *t);
void tlb_reads_note(struct vcpu *c, struct tlb_context *t, uint64_t lin, const struct walk *w);
/* Are page tables as they were?  Single pages that are not are taken from the TLB. */
bool tlb_reads_hold(struct vcpu *c, struct tlb_context *t);
/* Where walks of neighbouring pages begin (64-bit entries only): good until the guest runs on.  Such walks are ahead of
 * time and leave entries as they are. */
struct walk_starts {
    struct walk_start {
        uint64_t region; /* 1 + linear address / 2 MiB */
        uint64_t table, rights;
        unsigned shift;
    } start[64];
};
/* Fills an entry in before it is needed; false: there is none, or the guest wants to see its first use. */
bool tlb_walk_ahead(struct vcpu *c, unsigned view, uint64_t lin, struct walk_starts *starts);
/* The view in force gets an entry for what translated code is about to access, if that can be had without a fault and
 * without a change in the page tables; false: it is tier 1's. */
bool tlb_get_quietly(struct vcpu *c, uint64_t lin, unsigned size, bool write);
void tlb_need_own_generation(struct vcpu *c, unsigned view);
struct tlb_context *tlb_context_now(struct vcpu *c); /* of CR3, without PCIDs */
void tlb_take_page(struct vcpu *c, uint64_t lin);    /* its entries, in all views */
/* 0 and *w, or the page fault's error code | WALK_FAULT */
#define WALK_FAULT 0x80000000u
uint32_t mmu_walk(struct vcpu *c, unsigned view, uint64_t lin, int access, struct walk *w);
uint32_t mmu_walk_ahead(struct vcpu *c, unsigned view, uint64_t lin, struct walk *w,
                        struct walk_starts *s);     /* s or NULL */
bool mmu_load_pdptes(struct vcpu *c, uint64_t cr3); /* false: reserved bits (#GP) */
uint64_t phys_read(struct vcpu *c, uint64_t gpa, unsigned size);

static inline bool canonical(uint64_t a)
{
    return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}
