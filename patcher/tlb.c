// SPDX-License-Identifier: GPL-2.0-or-later
/* tlb.c - the software TLB.  An entry's tags say for which accesses its page is plain RAM that needs no care; the
 * info beside it remembers the walk for everything else.
 *
 * Every view has a generation number, which is part of its entries' tags (bits 48-58, exclusive or), so that emptying a
 * view is taking a new number.  The numbers of the last few process contexts (PCID) are kept, and with them their
 * entries; the view of a kernel whose pages are all global keeps its number when CR3 changes.  When numbers run out,
 * everything is really emptied. */
#include "vm.h"
#include "lockstep.h"
#include <string.h>

enum { GENERATIONS = 2048 };

static unsigned slot_of(uint64_t lin)
{
    return lin >> 12 & (TLB_SIZE - 1);
}

static void empty(struct tlb_entry *e, unsigned slot)
{
    e->read = e->write = e->exec = tlb_empty(slot);
}

void tlb_init(struct vcpu *c)
{
    for (unsigned v = 0; v <= VIEW_SLOW; v++)
        for (unsigned i = 0; i < TLB_SIZE; i++) {
            empty(&c->views[v][i], i);
            if (v < VIEWS)
                c->info[v][i].lin = TLB_EMPTY;
        }
}

static void forget_contexts(struct vcpu *c)
{
    for (unsigned i = 0; i < TLB_CONTEXTS; i++)
        c->tlb_context[i].user = 0;
}

static uint64_t new_generation(struct vcpu *c)
{
    if (++c->generation == GENERATIONS) {
        tlb_init(c);
        forget_contexts(c);
        xl_context_wipe(c);
        c->generation = 1;
        for (unsigned v = 0; v < VIEWS; v++) /* all empty: they may not share a number, that is all */
            c->view_gen[v] = (uint64_t)c->generation++ << TLB_GEN_SHIFT;
    }
    return (uint64_t)c->generation << TLB_GEN_SHIFT;
}

/* After any change of generations. */
static void use_generation(struct vcpu *c)
{
    c->tlb_gen = c->view_gen[c->view];
    xl_context_update(c);
}

static void renew(struct vcpu *c, unsigned view)
{
    c->view_gen[view] = new_generation(c);
    if (view == VIEW_SUPER_SMAP)
        c->kernel_not_global = false;
}

void tlb_flush(struct vcpu *c)
{
    count(c, COUNT_TLB_FLUSHES);
    for (unsigned v = 0; v < VIEWS; v++)
        renew(c, v);
    forget_contexts(c);
    memset(c->large_2m, 0, sizeof c->large_2m);
    c->large_1g = 0;
    use_generation(c);
}

/* MOV CR3: from the context of the old value's PCID to that of the new one's; keep: the guest says that what it had
 * there before is still right (bit 63). */
void tlb_switch(struct vcpu *c, uint64_t old, uint64_t now, bool keep)
{
    bool pcid = c->cr4 & CR4_PCIDE;
    if (pcid)
        c->tlb_context[old % TLB_CONTEXTS] =
            (struct tlb_context){old & 0xfff, c->view_gen[VIEW_USER], c->view_gen[VIEW_SUPER]};
    struct tlb_context *t = &c->tlb_context[now % TLB_CONTEXTS];
    if (pcid && keep && t->user && t->pcid == (now & 0xfff)) {
        c->view_gen[VIEW_USER] = t->user;
        c->view_gen[VIEW_SUPER] = t->super;
        count(c, COUNT_TLB_CR3_KEPT);
    } else {
        count(c, COUNT_TLB_CR3_NEW);
        renew(c, VIEW_USER);
        renew(c, VIEW_SUPER);
    }
    if (c->kernel_not_global || !(c->cr4 & CR4_PGE))
        renew(c, VIEW_SUPER_SMAP);
    use_generation(c);
}

static unsigned large_bit(uint64_t lin)
{
    return lin >> 21 & (TLB_LARGE_BITS - 1);
}

void tlb_flush_page(struct vcpu *c, uint64_t lin)
{
    unsigned bit = large_bit(lin);
    if (c->large_2m[bit / 64] >> bit % 64 & 1 || c->large_1g >> (lin >> 30 & 63) & 1) {
        tlb_flush(c); /* other parts of a large page may be anywhere */
        return;
    }
    for (unsigned v = 0; v < VIEWS; v++) {
        empty(&c->views[v][slot_of(lin)], slot_of(lin));
        c->info[v][slot_of(lin)].lin = TLB_EMPTY;
    }
    xl_context_flush(c, lin);
}

/* A run in progress may have written to a page after its entry had gone: so pages are found by who was granted a tag. */
void tlb_drop_write(struct vcpu *c)
{
    for (unsigned v = 0; v < VIEWS; v++)
        for (unsigned i = 0; i < TLB_SIZE; i++)
            c->views[v][i].write = tlb_empty(i);
    for (uint64_t p = 0; p < c->vm->pages; p++) {
        if (!c->granted[p])
            continue;
        c->granted[p] = 0;
        vm_mark_dirty(c->vm, p * PAGE_SIZE);
        if (code_on_page(c->vm, p * PAGE_SIZE)) /* may have been written unseen since it was decoded */
            code_written(c->vm, c, p * PAGE_SIZE, PAGE_SIZE);
    }
}

/* A page gets a write tag.  The order of this and code_on_page() is the other way round in watch(). */
static void note_granted(struct vcpu *c, uint64_t offset, unsigned slot)
{
    uint16_t *g = &c->granted[offset >> 12];
    uint16_t old = __atomic_load_n(g, __ATOMIC_RELAXED), now = old && old != slot + 1 ? TLB_MANY : slot + 1;
    if (now != old)
        __atomic_store_n(g, now, __ATOMIC_SEQ_CST);
}

bool tlb_may_write(const struct vcpu *c, uint64_t offset)
{
    return __atomic_load_n(&c->granted[offset >> 12], __ATOMIC_SEQ_CST);
}

void tlb_drop_write_page(struct vcpu *c, uint64_t offset)
{
    unsigned slot = c->granted[offset >> 12], from = slot - 1, to = slot;
    if (!slot)
        return;
    if (slot == TLB_MANY) {
        from = 0;
        to = TLB_SIZE;
    }
    for (unsigned v = 0; v < VIEWS; v++)
        for (unsigned i = from; i < to; i++)
            if ((c->info[v][i].page & PAGE_MASK) == offset)
                c->views[v][i].write = tlb_empty(i);
    c->granted[offset >> 12] = 0;
}

/* The fast tags that an entry's page allows now.  A logged page gets its
 * write tag only by a write. */
static void install(struct vcpu *c, unsigned view, struct tlb_info *i, uint64_t lin, int access)
{
    struct tlb_entry *e = &c->views[view][slot_of(lin)];
    uint64_t offset = i->page & PAGE_MASK, page = lin & PAGE_MASK;
    empty(e, slot_of(lin));
    if (!(i->page & GPA_RAM))
        return;
    e->addend = (uint64_t)c->vm->memory + offset - page;
    if (i->access & ACCESS_READ)
        e->read = i->lin;
    if (i->access & ACCESS_EXEC)
        e->exec = i->lin;
    bool logged = i->page & GPA_LOG;
    if (!(i->access & ACCESS_WRITE) || i->page & GPA_READONLY || (logged && !(access & ACCESS_WRITE)))
        return;
    note_granted(c, offset, slot_of(lin)); /* before looking for code */
    if (code_on_page(c->vm, offset))
        return;
    if (logged)
        vm_mark_dirty(c->vm, offset);
    e->write = i->lin;
    if (unlikely(c->lockstep))
        lockstep_writable(c, view, slot_of(lin), offset, access);
}

static void note_walk(struct vcpu *c, unsigned view, uint64_t lin, const struct walk *w)
{
    if (view == VIEW_SUPER_SMAP && !w->global)
        c->kernel_not_global = true;
    if (!w->large)
        return;
    unsigned bit = large_bit(lin);
    c->large_2m[bit / 64] |= 1ull << bit % 64;
    if (w->huge)
        c->large_1g |= 1ull << (lin >> 30 & 63);
}

struct tlb_info *tlb_get(struct vcpu *c, unsigned view, uint64_t lin, int access)
{
    struct tlb_info *i = &c->info[view][slot_of(lin)];
    uint64_t tag = (lin & PAGE_MASK) ^ c->view_gen[view];
    if (i->lin == tag && (i->access & access) == access) {
        if (access & ACCESS_WRITE && i->page & GPA_RAM && !(i->page & GPA_READONLY) &&
            c->views[view][slot_of(lin)].write & TLB_EMPTY) {
            count(c, COUNT_TLB_RETAGS);
            install(c, view, i, lin, access);
        }
        return i;
    }
    struct walk w;
    count(c, COUNT_TLB_WALKS);
    uint32_t fault = mmu_walk(c, view, lin, access, &w);
    if (fault)
        raise_page_fault(c, lin, fault & ~WALK_FAULT);
    note_walk(c, view, lin, &w);
    *i = (struct tlb_info){.lin = tag, .gpa = w.gpa, .page = gpa_entry(c->vm, w.gpa), .access = w.access};
    install(c, view, i, lin, access);
    return i;
}

struct tlb_info *tlb_get_fetch(struct vcpu *c, uint64_t lin)
{
    return tlb_get(c, c->view, lin, ACCESS_EXEC);
}
