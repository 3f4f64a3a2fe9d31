// SPDX-License-Identifier: GPL-2.0-or-later
/* tlb_kernel.c - what was used lately, when other page tables come into force.
 *
 * A kernel whose pages are not global (page-table isolation, or no CR4.PGE) has to be walked again in every context,
 * though it is mapped alike in all of them; where CR3 is loaded without a PCID that keeps anything, so has what isolated
 * user code needs.  To do that one miss at a time costs a detour from translated code per page, and each indirect jump
 * has to be looked up again.  So the pages that a view used lately are listed, and walked together when CR3 was loaded:
 * processors may fill in entries ahead of time, too (SDM Vol. 3, 4.10.2.3).
 *
 * Indirect jumps (vcpu.jump_cache) are believed under a number in vcpu.trans_context.  Where all listed pages with code are
 * found unchanged, the number stays the same: each page with a target of that number is in the list.  Page tables that
 * have something else there are taken for those of another kernel or program, and left alone.
 *
 * The lists begin anew from time to time, so that what is not used any more goes; that of pages without code, which are
 * not only looked at but filled in, is short. */
#include "patcher/vm.h"
#include <string.h>

enum { ROUNDS = 32 /* of the list of data */, CODE_ROUNDS = 256, STRANGERS = 8, DATA_PAGES = 128 };

/* ---- the lists ------------------------------------------------------------------------------------------------------- */
static void list_empty(struct tlb_list *l)
{
    l->count = 0;
    memset(l->at, 0, sizeof l->at);
}

/* Where the list's index has the page, or would have it. */
static uint16_t *place_of(struct tlb_list *l, uint64_t page)
{
    unsigned h = (page >> 12) * 0x9e3779b97f4a7c15u >> 32;
    while (l->at[h % TLB_LIST_INDEX] && l->page[l->at[h % TLB_LIST_INDEX] - 1].lin != page)
        h++;
    return &l->at[h % TLB_LIST_INDEX];
}

static void list_add(struct tlb_list *l, uint16_t *at, uint64_t page)
{
    l->page[l->count++].lin = page;
    *at = l->count;
}

static void forget(struct tlb_kernel *k)
{
    list_empty(&k->exec);
    list_empty(&k->data);
    k->rounds = k->strangers = 0;
    k->code = 0;
    k->version++;
}

void tlb_kernel_forget(struct vcpu *c)
{
    for (unsigned v = 0; v < VIEWS; v++)
        forget(&c->kernel[v]);
}

static bool note_code(struct tlb_kernel *k, uint64_t page, uint64_t where)
{
    uint16_t *at = place_of(&k->exec, page);
    bool known = *at, renewed = false;
    if (known ? k->exec.page[*at - 1].page != where : k->exec.count == TLB_LIST_PAGES) {
        renewed = k->code;
        forget(k);
        known = false;
        at = place_of(&k->exec, page);
    }
    if (!known) {
        list_add(&k->exec, at, page);
        k->version++;
    }
    k->exec.page[*at - 1].page = where;
    return renewed;
}

static void note_data(struct tlb_kernel *k, uint64_t page)
{
    if (k->data.count == DATA_PAGES)
        list_empty(&k->data);
    uint16_t *at = place_of(&k->data, page);
    if (!*at)
        list_add(&k->data, at, page);
}

bool tlb_kernel_note(struct vcpu *c, unsigned view, uint64_t lin)
{
    struct tlb_kernel *k = &c->kernel[view];
    const struct tlb_info *i = &c->info[view][lin >> 12 & (TLB_SIZE - 1)];
    if (!k->code && (view == VIEW_USER || view == VIEW_GATE) && !tlb_isolated(c))
        return false; /* processes have little in common */
    if (i->access & ACCESS_EXEC)
        return note_code(k, lin & PAGE_MASK, i->page);
    note_data(k, lin & PAGE_MASK);
    return false;
}

/* ---- contexts ---------------------------------------------------------------------------------------------------------- */
uint64_t tlb_code_number(struct vcpu *c)
{
    const struct tlb_kernel *k = &c->kernel[c->view];
    return k->code && k->gen == c->view_gen[c->view] ? k->code : c->view_gen[c->view];
}

void tlb_kernel_own(struct vcpu *c, unsigned view, uint64_t before)
{
    struct tlb_kernel *k = &c->kernel[view];
    if (k->gen == before)
        k->gen = c->own_gen[view];
}

/* Is what the list has executed where it was?  The entries themselves can wait until somebody needs them. */
static bool same_code(struct vcpu *c, unsigned view, const struct tlb_list *l, struct walk_starts *starts)
{
    struct {
        uint64_t region, distance; /* of large pages that were walked: between linear address and memory */
    } seen[16] = {0};
    bool global = true;
    for (unsigned n = 0; n < l->count; n++) {
        uint64_t region = 1 + (l->page[n].lin >> 21), distance = l->page[n].page - l->page[n].lin;
        if (seen[region % 16].region == region && seen[region % 16].distance == distance)
            continue;
        struct walk w;
        if (mmu_walk_ahead(c, view, l->page[n].lin, &w, starts) || !(w.access & ACCESS_EXEC) ||
            gpa_entry(c->vm, w.gpa) != l->page[n].page)
            return false;
        global &= w.global;
        if (!(c->cr4 & CR4_PCIDE))
            tlb_reads_note(c, tlb_context_now(c), l->page[n].lin, &w);
        if (w.large) {
            seen[region % 16].region = region;
            seen[region % 16].distance = distance;
        }
    }
    if (!global)
        tlb_need_own_generation(c, view);
    return true;
}

static void fill_again(struct vcpu *c, unsigned view, const struct tlb_list *l, struct walk_starts *starts)
{
    for (unsigned n = 0; n < l->count; n++) {
        uint64_t page = l->page[n].lin;
        if (c->info[view][page >> 12 & (TLB_SIZE - 1)].lin != (page ^ c->view_gen[view]))
            tlb_walk_ahead(c, view, page, starts);
    }
}

static void walk_again(struct vcpu *c, unsigned view, const struct tlb_context *kept)
{
    struct tlb_kernel *k = &c->kernel[view];
    if (k->gen == c->view_gen[view])
        return;
    if (kept && k->code && kept->code_version[view] == k->version) {
        k->gen = c->view_gen[view];
        return;
    }
    struct walk_starts starts = {0};
    if (!same_code(c, view, &k->exec, &starts)) {
        if (++k->strangers == STRANGERS)
            forget(k);
        return;
    }
    k->strangers = 0;
    if (!kept)
        fill_again(c, view, &k->data, &starts);
    if (++k->rounds % ROUNDS == 0)
        list_empty(&k->data);
    if (k->rounds == CODE_ROUNDS)
        forget(k);
    uint64_t code = k->code ? k->code : tlb_new_generation(c);
    k->gen = c->view_gen[view];
    k->code = code;
}

/* What it has of the kernel's code is noted by now: it was looked at when the context came into force, or filled in since. */
void tlb_kernel_leave(const struct vcpu *c, struct tlb_context *t)
{
    for (unsigned v = 0; v < VIEWS; v++)
        t->code_version[v] = c->kernel[v].code && c->kernel[v].gen == c->view_gen[v] ? c->kernel[v].version : 0;
}

void tlb_kernel_switched(struct vcpu *c, const struct tlb_context *kept)
{
    bool gate = on_user_tables(c);
    walk_again(c, gate ? VIEW_GATE : VIEW_SUPER_SMAP, kept);
    walk_again(c, gate ? VIEW_USER : VIEW_SUPER, kept);
}
