// SPDX-License-Identifier: GPL-2.0-or-later
/* mmu.c - page walks in software: none, 32-bit, PAE and 4-level paging (SDM Vol. 3 ch. 4, APM Vol. 2 ch. 5). */
#include "patcher/vm.h"

enum {
    PTE_P = 1 << 0,
    PTE_W = 1 << 1,
    PTE_U = 1 << 2,
    PTE_A = 1 << 5,
    PTE_D = 1 << 6,
    PTE_PS = 1 << 7,
    PTE_G = 1 << 8,
};
#define PTE_NX   (1ull << 63)
#define PTE_ADDR (GPA_MASK & PAGE_MASK)
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

static void *phys_host(struct vcpu *c, uint64_t gpa)
{
    uint64_t e = gpa_entry(c->vm, gpa);
    return e & GPA_RAM ? c->vm->memory + (e & PAGE_MASK) + (gpa & ~PAGE_MASK) : NULL;
}

uint64_t phys_read(struct vcpu *c, uint64_t gpa, unsigned size)
{
    void *p = phys_host(c, gpa);
    if (!p)
        return machine_load(outside(c), c->index, gpa, size);
    return size == 8 ? __atomic_load_n((uint64_t *)p, __ATOMIC_RELAXED)
                     : __atomic_load_n((uint32_t *)p, __ATOMIC_RELAXED);
}

/* Sets bits in an entry if it still is what was read; false: walk again.  Entries in ROM stay as they are. */
static bool entry_set(struct vcpu *c, uint64_t gpa, unsigned size, uint64_t old, uint64_t bits)
{
    uint64_t e = gpa_entry(c->vm, gpa);
    if (!(e & GPA_RAM) || e & GPA_READONLY)
        return true;
    uint64_t offset = (e & PAGE_MASK) + (gpa & ~PAGE_MASK);
    void *p = c->vm->memory + offset;
    uint32_t old32 = old;
    bool ok = size == 8 ? __atomic_compare_exchange_n((uint64_t *)p, &old, old | bits, false, __ATOMIC_SEQ_CST,
                                                      __ATOMIC_SEQ_CST)
                        : __atomic_compare_exchange_n((uint32_t *)p, &old32, old32 | (uint32_t)bits, false,
                                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (e & GPA_LOG)
        vm_mark_dirty(c->vm, offset);
    code_written(c->vm, c, offset, size);
    return ok;
}

/* The levels of one walk: where each entry lies and what it said, for setting A and D at its end. */
struct levels {
    unsigned n, size;
    uint64_t gpa[4], entry[4];
    uint64_t rights;          /* W and U of all entries and-ed, NX or-ed */
    bool not_accessed;        /* one of them has A clear */
    struct walk_start *start; /* NULL: from the top */
};

static uint64_t level_read(struct vcpu *c, struct levels *l, uint64_t gpa)
{
    uint64_t e = phys_read(c, gpa, l->size);
    l->gpa[l->n] = gpa;
    l->entry[l->n++] = e;
    l->not_accessed |= !(e & PTE_A);
    l->rights = (l->rights & (e | ~(uint64_t)(PTE_W | PTE_U))) | (e & PTE_NX);
    return e;
}

static uint64_t reserved_high(const struct vcpu *c)
{
    return (0x000fffffffffffffull & ~GPA_MASK) | (c->efer & EFER_NXE ? 0 : PTE_NX);
}

/* Each walk_* returns 0 (*w: address) or PF_P/PF_RSVD bits | WALK_FAULT. */
static uint32_t walk_32(struct vcpu *c, uint64_t lin, struct levels *l, struct walk *w)
{
    l->size = 4;
    uint64_t pde = level_read(c, l, (c->cr3 & 0xfffff000) + (lin >> 22 & 0x3ff) * 4);
    if (!(pde & PTE_P))
        return WALK_FAULT;
    if (pde & PTE_PS && c->cr4 & CR4_PSE) {
        w->large = true;
        if (pde & 1 << 21)
            return WALK_FAULT | PF_P | PF_RSVD;
        w->gpa = (pde & 0xffc00000) | (pde >> 13 & 0xff) << 32 | (lin & 0x3ff000);
        return 0;
    }
    uint64_t pte = level_read(c, l, (pde & 0xfffff000) + (lin >> 12 & 0x3ff) * 4);
    if (!(pte & PTE_P))
        return WALK_FAULT;
    w->gpa = pte & 0xfffff000;
    return 0;
}

/* PAE and 4-level tables below the top: table at address, first level's index shift. */
static uint32_t walk_64(struct vcpu *c, uint64_t lin, uint64_t table, unsigned shift, struct levels *l, struct walk *w)
{
    uint64_t bad = reserved_high(c);
    l->size = 8;
    /* in PAE mode bits 52-62 are reserved, too */
    if (!long_mode(c))
        bad |= 0x7ff0000000000000ull;
    if (l->start && l->start->region == 1 + (lin >> 21)) {
        table = l->start->table;
        shift = l->start->shift;
        l->rights = l->start->rights;
    }
    for (;; shift -= 9) {
        uint64_t before = l->rights;
        uint64_t e = level_read(c, l, table + (lin >> shift & 0x1ff) * 8);
        if (!(e & PTE_P))
            return WALK_FAULT;
        if (e & bad || (shift == 39 && e & PTE_PS))
            return WALK_FAULT | PF_P | PF_RSVD;
        uint64_t in_page = (1ull << shift) - 1;
        if (shift == 12 || e & PTE_PS) {
            if (l->start && shift < 30 && !l->not_accessed)
                *l->start = (struct walk_start){1 + (lin >> 21), table, before, shift};
            w->large = shift > 12;
            w->huge = shift > 21;
            if (w->large && e & in_page & PTE_ADDR & ~0x1000ull) /* bit 12 is PAT */
                return WALK_FAULT | PF_P | PF_RSVD;
            w->gpa = ((e & PTE_ADDR & ~in_page) | (lin & in_page)) & PAGE_MASK;
            return 0;
        }
        table = e & PTE_ADDR;
    }
}

static uint32_t walk_pae(struct vcpu *c, uint64_t lin, struct levels *l, struct walk *w)
{
    uint64_t pdpte = c->pdpte[lin >> 30 & 3];
    return pdpte & PTE_P ? walk_64(c, lin, pdpte & PTE_ADDR, 21, l, w) : WALK_FAULT;
}

/* What may the view do with a page of these rights? */
static int view_access(const struct vcpu *c, unsigned view, uint64_t rights)
{
    bool user_page = rights & PTE_U, writable = rights & PTE_W;
    int exec = rights & PTE_NX ? 0 : ACCESS_EXEC;
    if (view == VIEW_USER)
        return user_page ? ACCESS_READ | (writable ? ACCESS_WRITE : 0) | exec : 0;
    if (user_page && c->cr4 & CR4_SMEP)
        exec = 0;
    if (user_page && (view == VIEW_SUPER_SMAP || (view == VIEW_GATE && c->cr4 & CR4_SMAP)))
        return exec;
    return ACCESS_READ | (writable || !(c->cr0 & CR0_WP) ? ACCESS_WRITE : 0) | exec;
}

static uint32_t fault_code(const struct vcpu *c, unsigned view, int access, uint32_t bits)
{
    bool nx = c->cr4 & CR4_SMEP || (c->efer & EFER_NXE && c->cr4 & CR4_PAE);
    return bits | WALK_FAULT | (view == VIEW_USER ? PF_U : 0) | (access & ACCESS_WRITE ? PF_W : 0) |
           (access & ACCESS_EXEC && nx ? PF_I : 0);
}

/* A on every level, D on the last if written; false: an entry changed under us. */
static bool set_accessed(struct vcpu *c, struct levels *l, bool dirty)
{
    for (unsigned i = 0; i < l->n; i++) {
        uint64_t bits = PTE_A | (dirty && i == l->n - 1 ? PTE_D : 0);
        if ((l->entry[i] & bits) == bits)
            continue;
        if (!entry_set(c, l->gpa[i], l->size, l->entry[i], bits))
            return false;
        l->entry[i] |= bits;
    }
    return true;
}

/* What the result depends on. */
static void keep_entries(const struct vcpu *c, const struct levels *l, struct walk *w)
{
    if (c->cr4 & CR4_PCIDE)
        return;
    w->entry_bytes = l->size;
    for (w->entries = 0; w->entries < l->n; w->entries++) {
        w->entry_at[w->entries] = l->gpa[w->entries];
        w->entry[w->entries] = l->entry[w->entries];
    }
}

/* ahead: of time, entries stay as they are. */
static uint32_t walk(struct vcpu *c, unsigned view, uint64_t lin, int access, struct walk *w, bool ahead,
                     struct walk_starts *s)
{
    w->large = w->huge = w->global = false;
    w->entries = 0;
    if (!(c->cr0 & CR0_PG)) {
        w->global = true;
        w->gpa = lin & PAGE_MASK;
        w->access = ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC;
        return 0;
    }
    for (;;) {
        struct levels l = {.rights = PTE_W | PTE_U, .start = s ? &s->start[lin >> 21 & 63] : NULL};
        uint32_t fault = long_mode(c)       ? walk_64(c, lin, c->cr3 & PTE_ADDR, 39, &l, w)
                         : c->cr4 & CR4_PAE ? walk_pae(c, lin, &l, w)
                                            : walk_32(c, lin, &l, w);
        if (fault)
            return fault_code(c, view, access, fault);
        int may = view_access(c, view, l.rights);
        if ((may & access) != access)
            return fault_code(c, view, access, PF_P);
        w->not_accessed = l.not_accessed;
        if (!ahead && !set_accessed(c, &l, access & ACCESS_WRITE))
            continue;
        if (!(l.entry[l.n - 1] & PTE_D))
            may &= ~ACCESS_WRITE; /* the first write walks again and sets D */
        keep_entries(c, &l, w);
        w->global = c->cr4 & CR4_PGE && l.entry[l.n - 1] & PTE_G;
        w->access = may;
        return 0;
    }
}

uint32_t mmu_walk(struct vcpu *c, unsigned view, uint64_t lin, int access, struct walk *w)
{
    return walk(c, view, lin, access, w, false, NULL);
}

uint32_t mmu_walk_ahead(struct vcpu *c, unsigned view, uint64_t lin, struct walk *w, struct walk_starts *s)
{
    return walk(c, view, lin, 0, w, true, s);
}

/* MOV CR3 in PAE mode (SDM Vol. 3, 4.4.1) */
bool mmu_load_pdptes(struct vcpu *c, uint64_t cr3)
{
    uint64_t p[4];
    for (unsigned i = 0; i < 4; i++) {
        p[i] = phys_read(c, (cr3 & 0xffffffe0) + i * 8, 8);
        if (p[i] & PTE_P && p[i] & (0x1e6 | ~GPA_MASK))
            return false;
    }
    for (unsigned i = 0; i < 4; i++)
        c->pdpte[i] = p[i];
    return true;
}
