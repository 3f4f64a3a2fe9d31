// SPDX-License-Identifier: GPL-2.0-or-later
/* tlb_reads.c - whether page tables are as they were when a context was last in force.
 *
 * Where there are no PCIDs (32-bit kernels, and CPUs without), loading CR3 makes a processor forget all but global pages.
 * What the guest must see after it is only that its page tables count as they are now.  So each context has a list of the
 * entries of page tables that walks for it have read, and with what value; if all are the same, so would be the results of
 * the walks, and what the TLB has of the context stays.  A page's own entry that differs costs that page; one that several
 * pages depend on, all.  Comparing some hundred numbers takes a fraction of the time of as many walks; isolated user code
 * (tlb.c) makes its kernel load CR3 twice for each system call.
 *
 * An entry that a later walk finds changed has pages in the TLB that were walked before: loading CR3 must make them go,
 * though the entry is what was read last.
 *
 * Accessed and dirty bits count, too: the guest that clears one wants to see it set again.  PDPTEs, which are read when CR3
 * is loaded, are compared as a whole.  A context whose list is full is forgotten, and so is one with page tables in other
 * memory than RAM. */
#include "patcher/vm.h"
#include <string.h>

enum { WIDE = 1, SHARED = 2 }; /* in tlb_read.page: 8 bytes; other pages depend on it, too */
#define ACCESSED_DIRTY 0x60ull

void tlb_reads_empty(struct tlb_context *t)
{
    t->reads = 0;
    t->more_read = false;
    memset(t->index, 0, sizeof t->index);
}

static uint16_t *place_of(struct tlb_context *t, const void *at)
{
    unsigned h = (uintptr_t)at / 4 * 0x9e3779b97f4a7c15u >> 32;
    while (t->index[h % TLB_READS_INDEX] && t->read[t->index[h % TLB_READS_INDEX] - 1].at != at)
        h++;
    return &t->index[h % TLB_READS_INDEX];
}

/* An entry was read before, with another value. */
static void note_changed(struct vcpu *c, struct tlb_context *t, const struct tlb_read *r)
{
    if (r->page & SHARED)
        t->more_read = true;
    else
        tlb_take_page(c, r->page & PAGE_MASK); /* in other views */
}

static void note(struct vcpu *c, struct tlb_context *t, const void *at, uint64_t value, uint64_t page)
{
    uint16_t *i = place_of(t, at);
    if (!*i && t->reads == TLB_READS) {
        t->more_read = true;
        return;
    }
    if (!*i) {
        t->read[t->reads++] = (struct tlb_read){at, value, page};
        *i = t->reads;
        return;
    }
    struct tlb_read *r = &t->read[*i - 1];
    if (r->page != page)
        r->page |= SHARED;
    if ((r->value ^ value) & ~ACCESSED_DIRTY)
        note_changed(c, t, r);
    r->value = value; /* A or D may have been set since */
}

void tlb_reads_note(struct vcpu *c, struct tlb_context *t, uint64_t lin, const struct walk *w)
{
    for (unsigned i = 0; i < w->entries && !t->more_read; i++) {
        uint64_t e = gpa_entry(c->vm, w->entry_at[i]);
        bool last = i + 1 == w->entries;
        if (last && w->global) /* whatever CR3 does; but what leads to it leads to others, too */
            return;
        if (!(e & GPA_RAM)) {
            t->more_read = true;
            return;
        }
        const void *at = c->vm->memory + (e & PAGE_MASK) + (w->entry_at[i] & ~PAGE_MASK);
        note(c, t, at, w->entry[i],
             (lin & PAGE_MASK) | (w->entry_bytes == 8 ? WIDE : 0) | (last && !w->large ? 0 : SHARED));
    }
}

static uint64_t read_now(const struct tlb_read *r)
{
    return r->page & WIDE ? __atomic_load_n((const uint64_t *)r->at, __ATOMIC_RELAXED)
                          : __atomic_load_n((const uint32_t *)r->at, __ATOMIC_RELAXED);
}

bool tlb_reads_hold(struct vcpu *c, struct tlb_context *t)
{
    if (t->more_read || memcmp(t->pdpte, c->pdpte, sizeof t->pdpte))
        return false;
    for (unsigned i = 0; i < t->reads; i++) {
        uint64_t v = read_now(&t->read[i]);
        if (likely(v == t->read[i].value))
            continue;
        if (t->read[i].page & SHARED)
            return false;
        t->read[i].value = v;
        tlb_take_page(c, t->read[i].page & PAGE_MASK);
        memset(t->code_version, 0, sizeof t->code_version); /* it may be one with code */
    }
    return true;
}
