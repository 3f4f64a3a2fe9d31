// SPDX-License-Identifier: GPL-2.0-or-later
/* tlb.c - the software TLB.  An entry's tags say for which accesses its page is plain RAM that needs no care; the
 * info beside it remembers the walk for everything else. */
#include "vm.h"
#include "xl.h"
#include <string.h>

static void empty(struct tlb_entry *e, unsigned slot)
{
    e->read = e->write = e->exec = tlb_empty(slot);
}

void tlb_flush(struct vcpu *c)
{
    for (unsigned v = 0; v < VIEWS; v++)
        if (c->view_used[v]) {
            c->view_used[v] = false;
            for (unsigned i = 0; i < TLB_SIZE; i++) {
                empty(&c->views[v][i], i);
                c->info[v][i].lin = TLB_EMPTY;
            }
        }
    c->large_pages = false;
    xl_context_flush(c);
}

void tlb_flush_page(struct vcpu *c, uint64_t lin)
{
    unsigned at = lin >> 12 & (TLB_SIZE - 1);
    for (unsigned v = 0; v < VIEWS; v++) {
        empty(&c->views[v][at], at);
        c->info[v][at].lin = TLB_EMPTY;
        for (unsigned i = 0; c->large_pages && i < TLB_SIZE; i++)
            if (c->info[v][i].large && (c->info[v][i].lin ^ lin) >> 30 == 0) {
                empty(&c->views[v][i], i);
                c->info[v][i].lin = TLB_EMPTY;
            }
    }
    xl_context_flush(c);
}

void tlb_drop_write(struct vcpu *c)
{
    for (unsigned v = 0; v < VIEWS; v++)
        for (unsigned i = 0; c->view_used[v] && i < TLB_SIZE; i++) {
            if (c->views[v][i].write & TLB_EMPTY)
                continue;
            uint64_t page = c->info[v][i].page;
            c->views[v][i].write = tlb_empty(i);
            if (page & GPA_LOG)
                vm_mark_dirty(c->vm, page & PAGE_MASK);
            if (code_on_page(c->vm, page & PAGE_MASK)) /* may have been written unseen since it was decoded */
                code_written(c->vm, c, page & PAGE_MASK, PAGE_SIZE);
        }
}

void tlb_drop_write_page(struct vcpu *c, uint64_t offset)
{
    for (unsigned v = 0; v < VIEWS; v++)
        for (unsigned i = 0; c->view_used[v] && i < TLB_SIZE; i++)
            if ((c->info[v][i].page & PAGE_MASK) == offset)
                c->views[v][i].write = tlb_empty(i);
}

/* The fast tags that an entry's page allows now.  A logged page gets its
 * write tag only by a write. */
static void install(struct vcpu *c, unsigned view, struct tlb_info *i, int access)
{
    struct tlb_entry *e = &c->views[view][i->lin >> 12 & (TLB_SIZE - 1)];
    uint64_t offset = i->page & PAGE_MASK;
    empty(e, i->lin >> 12 & (TLB_SIZE - 1));
    if (!(i->page & GPA_RAM))
        return;
    e->addend = (uint64_t)c->vm->memory + offset - i->lin;
    if (i->access & ACCESS_READ)
        e->read = i->lin;
    if (i->access & ACCESS_EXEC)
        e->exec = i->lin;
    bool logged = i->page & GPA_LOG;
    if (!(i->access & ACCESS_WRITE) || i->page & GPA_READONLY || (logged && !(access & ACCESS_WRITE)) ||
        code_on_page(c->vm, offset))
        return;
    if (logged)
        vm_mark_dirty(c->vm, offset);
    e->write = i->lin;
}

struct tlb_info *tlb_get(struct vcpu *c, unsigned view, uint64_t lin, int access)
{
    struct tlb_info *i = &c->info[view][lin >> 12 & (TLB_SIZE - 1)];
    if (i->lin == (lin & PAGE_MASK) && (i->access & access) == access) {
        if (access & ACCESS_WRITE && i->page & GPA_RAM && !(i->page & GPA_READONLY) &&
            c->views[view][lin >> 12 & (TLB_SIZE - 1)].write & TLB_EMPTY)
            install(c, view, i, access);
        return i;
    }
    struct walk w;
    uint32_t fault = mmu_walk(c, view, lin, access, &w);
    if (fault)
        raise_page_fault(c, lin, fault & ~WALK_FAULT);
    c->view_used[view] = true;
    c->large_pages |= w.large;
    *i = (struct tlb_info){
        .lin = lin & PAGE_MASK, .gpa = w.gpa, .page = gpa_entry(c->vm, w.gpa), .access = w.access, .large = w.large};
    install(c, view, i, access);
    return i;
}

struct tlb_info *tlb_get_fetch(struct vcpu *c, uint64_t lin)
{
    return tlb_get(c, c->view, lin, ACCESS_EXEC);
}
