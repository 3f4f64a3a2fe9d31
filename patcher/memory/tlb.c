// SPDX-License-Identifier: GPL-2.0-or-later
/* tlb.c - the software TLB.  An entry's tags say for which accesses its page is plain RAM that needs no care; the
 * info beside it remembers the walk for everything else.
 *
 * Generations.  Each tag contains a number (exclusive or), so that forgetting many entries is taking another number.  In
 * every view there is one for global pages, which all process contexts share, and each context (PCID, or CR3 where there
 * are none) may have one of its own: it gets it when the first page that is not global is filled in, and from then on
 * all that it fills in has this number.  So the entries of
 *   - a kernel whose pages are all global stay, whatever CR3 does;
 *   - a context stay while others are in force, if its PCID is loaded again with bit 63 of CR3 set, or, without PCIDs, if
 *     the page tables are found to be as they were (tlb_reads.c).
 * A context that has a number of its own does not see the shared entries: it walks again, once.  The numbers of the last
 * contexts are kept; when numbers run out, everything is really emptied.
 *
 * Page-table isolation.  A kernel that hides itself from user code loads CR3 twice per system call, and runs its first
 * and last instructions on the user's page tables.  The few pages that it needs there would compete with themselves, as
 * its own page tables map them, for the same entries.  So code at CPL 0 on the page tables under which code at CPL 3 was
 * last seen has a table for itself (VIEW_GATE), once it is clear that the kernel works that way: it comes back to those
 * page tables before it goes back to CPL 3, and does not go there without a load of CR3. */
#include "patcher/vm.h"
#include "patcher/check/lockstep.h"
#include <string.h>

enum { GENERATIONS = 1 << TLB_GEN_BITS, ISOLATION_SEEN = 8, ISOLATION_SURE = 16 };

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

/* ---- generations ------------------------------------------------------------------------------------------------------- */
static void forget_contexts(struct vcpu *c)
{
    for (unsigned i = 0; i < TLB_CONTEXTS; i++)
        c->tlb_context[i].used = false;
}

static void start_again(struct vcpu *c)
{
    tlb_init(c);
    forget_contexts(c);
    trans_context_wipe(c);
    tlb_kernel_forget(c);
    c->generation = 1;
    memset(c->own_gen, 0, sizeof c->own_gen);
    for (unsigned v = 0; v < VIEWS;
         v++) /* all empty: no two may have the same number (vcpu.trans_context), that is all */
        c->shared_gen[v] = (uint64_t)c->generation++ << TLB_GEN_SHIFT;
}

static void choose_generations(struct vcpu *c)
{
    for (unsigned v = 0; v < VIEWS; v++)
        c->view_gen[v] = c->own_gen[v] ? c->own_gen[v] : c->shared_gen[v];
    c->tlb_gen = c->view_gen[c->view];
}

uint64_t tlb_new_generation(struct vcpu *c)
{
    if (++c->generation >= GENERATIONS) {
        start_again(c);
        choose_generations(c);
        ++c->generation;
    }
    return (uint64_t)c->generation << TLB_GEN_SHIFT;
}

/* After any change of generations. */
static void use_generations(struct vcpu *c)
{
    choose_generations(c);
    trans_context_update(c);
}

static bool has_pcids(const struct vcpu *c)
{
    return c->cr4 & CR4_PCIDE;
}

static uint64_t key_of(const struct vcpu *c, uint64_t cr3)
{
    return has_pcids(c) ? cr3 & 0xfff : cr3;
}

/* Linux has pairs of them, whose PCIDs differ in bit 11 and whose tables in bit 12. */
static struct tlb_context *context_of(struct vcpu *c, uint64_t key)
{
    return &c->tlb_context[(key ^ key >> 7 ^ key >> 12 ^ key >> 17) % TLB_CONTEXTS];
}

/* Nothing is known of it yet. */
static void begin_context(struct vcpu *c, struct tlb_context *t, uint64_t key)
{
    t->used = false;
    t->key = key;
    memset(t->code_version, 0, sizeof t->code_version);
    memcpy(t->pdpte, c->pdpte, sizeof t->pdpte);
    tlb_reads_empty(t);
}

struct tlb_context *tlb_context_now(struct vcpu *c)
{
    struct tlb_context *t = context_of(c, c->cr3);
    if (t->key != c->cr3)
        begin_context(c, t, c->cr3);
    return t;
}

void tlb_flush(struct vcpu *c)
{
    count(c, COUNT_TLB_FLUSHES);
    for (unsigned v = 0; v < VIEWS; v++)
        c->shared_gen[v] = tlb_new_generation(c);
    memset(c->own_gen, 0, sizeof c->own_gen);
    forget_contexts(c);
    begin_context(c, context_of(c, key_of(c, c->cr3)), key_of(c, c->cr3)); /* PDPTEs may be others */
    tlb_kernel_forget(c);
    memset(c->large_2m, 0, sizeof c->large_2m);
    memset(c->large_1g, 0, sizeof c->large_1g);
    use_generations(c);
}

void tlb_forget_all(struct vcpu *c)
{
    memset(c->own_gen, 0, sizeof c->own_gen);
    forget_contexts(c);
    use_generations(c);
}

void tlb_forget_context(struct vcpu *c, unsigned pcid)
{
    if (pcid != (has_pcids(c) ? c->cr3 & 0xfff : 0)) {
        struct tlb_context *t = context_of(c, pcid);
        t->used = t->used && t->key != pcid;
        return;
    }
    memset(c->own_gen, 0, sizeof c->own_gen);
    use_generations(c);
}

/* ---- page-table isolation ------------------------------------------------------------------------------------------------ */
static unsigned hash_cr3(uint64_t cr3)
{
    return (cr3 ^ cr3 >> 7 ^ cr3 >> 13) % TLB_USER_CR3S;
}

bool tlb_isolated(const struct vcpu *c)
{
    return c->isolation >= ISOLATION_SEEN;
}

bool on_user_tables(const struct vcpu *c)
{
    return tlb_isolated(c) && c->user_cr3s[hash_cr3(c->cr3)] == c->cr3;
}

void tlb_note_user(struct vcpu *c)
{
    if (!c->cr3_loaded && c->isolation)
        c->isolation--;
    c->cr3_loaded = c->left_user_cr3 = false;
    c->user_cr3 = c->user_cr3s[hash_cr3(c->cr3)] = c->cr3;
}

static void watch_isolation(struct vcpu *c, uint64_t old)
{
    c->cr3_loaded = true;
    if (old == c->user_cr3)
        c->left_user_cr3 = c->cr3 != old;
    else if (c->left_user_cr3 && c->cr3 == c->user_cr3 && c->isolation < ISOLATION_SURE)
        c->isolation++;
}

static void leave_context(struct vcpu *c, uint64_t cr3)
{
    struct tlb_context *t = context_of(c, key_of(c, cr3));
    if (t->key != key_of(c, cr3))
        begin_context(c, t, key_of(c, cr3));
    t->used = true;
    memcpy(t->own_gen, c->own_gen, sizeof t->own_gen);
    tlb_kernel_leave(c, t);
}

/* The context that CR3 names, if what is in the TLB of it is right. */
static struct tlb_context *kept_context(struct vcpu *c, bool keep)
{
    uint64_t key = key_of(c, c->cr3);
    struct tlb_context *t = context_of(c, key);
    if (has_pcids(c))
        return keep && t->used && t->key == key ? t : NULL;
    if (t->used && t->key == key && tlb_reads_hold(c, t))
        return t;
    begin_context(c, t, key);
    return NULL;
}

/* MOV CR3: from the context of the old value to that of the new one; keep: the guest says that what it had there before is
 * still right (bit 63). */
void tlb_switch(struct vcpu *c, uint64_t old, bool keep)
{
    leave_context(c, old);
    const struct tlb_context *t = kept_context(c, keep);
    if (t)
        memcpy(c->own_gen, t->own_gen, sizeof t->own_gen);
    else
        memset(c->own_gen, 0, sizeof c->own_gen);
    count(c, t ? COUNT_TLB_CR3_KEPT : COUNT_TLB_CR3_NEW);
    watch_isolation(c, old);
    choose_generations(c);
    tlb_kernel_switched(c, has_pcids(c) ? NULL : t);
    trans_context_update(c);
}

/* ---- single pages ---------------------------------------------------------------------------------------------------------- */
static unsigned large_bit(uint64_t lin) /* kernels are in the upper half */
{
    return (lin >> 21 & (TLB_LARGE_BITS / 2 - 1)) | (lin >> 63) * (TLB_LARGE_BITS / 2);
}

static bool may_be_large(const struct vcpu *c, uint64_t lin)
{
    unsigned bit = large_bit(lin);
    return c->large_2m[bit / 64] >> bit % 64 & 1 || c->large_1g[lin >> 63] >> (lin >> 30 & 63) & 1;
}

void tlb_take_page(struct vcpu *c, uint64_t lin)
{
    for (unsigned v = 0; v < VIEWS; v++) {
        empty(&c->views[v][slot_of(lin)], slot_of(lin));
        c->info[v][slot_of(lin)].lin = TLB_EMPTY;
    }
    trans_context_flush(c, lin);
}

void tlb_flush_page(struct vcpu *c, uint64_t lin)
{
    if (may_be_large(c, lin)) {
        tlb_flush(c); /* other parts of a large page may be anywhere */
        return;
    }
    tlb_take_page(c, lin);
}

/* A block in progress may have written to a page after its entry had gone: so pages are found by who was granted a tag. */
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

static void note_large(struct vcpu *c, uint64_t lin, const struct walk *w)
{
    unsigned bit = large_bit(lin);
    c->large_2m[bit / 64] |= 1ull << bit % 64;
    if (w->huge)
        c->large_1g[lin >> 63] |= 1ull << (lin >> 30 & 63);
}

void tlb_need_own_generation(struct vcpu *c, unsigned view)
{
    if (c->own_gen[view])
        return;
    uint64_t g = tlb_new_generation(c), before = c->view_gen[view];
    c->own_gen[view] = g;
    tlb_kernel_own(c, view, before);
    use_generations(c);
}

static void fill(struct vcpu *c, unsigned view, uint64_t lin, int access, const struct walk *w)
{
    struct tlb_info *i = &c->info[view][slot_of(lin)];
    if (!w->global)
        tlb_need_own_generation(c, view);
    if (!has_pcids(c))
        tlb_reads_note(c, tlb_context_now(c), lin, w);
    if (w->large)
        note_large(c, lin, w);
    *i = (struct tlb_info){.lin = (lin & PAGE_MASK) ^ c->view_gen[view],
                           .gpa = w->gpa,
                           .page = gpa_entry(c->vm, w->gpa),
                           .access = w->access};
    install(c, view, i, lin, access);
}

/* The entry is there, and about to be written to: that may be possible without care by now.  Where code lies it is not, and
 * whoever writes much code comes here with every piece: the page is not even noted as one that may be written to, or each block
 * that is decoded on it would look for a tag to take away. */
static void retag(struct vcpu *c, unsigned view, struct tlb_info *i, uint64_t lin)
{
    if (!(i->page & GPA_RAM) || i->page & GPA_READONLY || !(c->views[view][slot_of(lin)].write & TLB_EMPTY) ||
        code_on_page(c->vm, i->page & PAGE_MASK))
        return;
    count(c, COUNT_TLB_RETAGS);
    install(c, view, i, lin, ACCESS_WRITE);
}

struct tlb_info *tlb_get(struct vcpu *c, unsigned view, uint64_t lin, int access)
{
    struct tlb_info *i = &c->info[view][slot_of(lin)];
    uint64_t tag = (lin & PAGE_MASK) ^ c->view_gen[view];
    if (i->lin == tag && (i->access & access) == access) {
        if (access & ACCESS_WRITE)
            retag(c, view, i, lin);
        return i;
    }
    struct walk w;
    count(c, COUNT_TLB_WALKS);
    uint32_t fault = mmu_walk(c, view, lin, access, &w);
    if (fault)
        raise_page_fault(c, lin, fault & ~WALK_FAULT);
    fill(c, view, lin, access, &w);
    if (tlb_kernel_note(c, view, lin))
        trans_context_update(c);
    return i;
}

bool tlb_walk_ahead(struct vcpu *c, unsigned view, uint64_t lin, struct walk_starts *starts)
{
    struct walk w;
    bool there = !mmu_walk_ahead(c, view, lin, &w, starts) && !w.not_accessed;
    if (there)
        fill(c, view, lin, 0, &w);
    return there;
}

bool tlb_get_quietly(struct vcpu *c, uint64_t lin, unsigned size, bool write)
{
    unsigned view = c->view;
    struct tlb_entry *e = &c->views[view][slot_of(lin)];
    struct tlb_info *i = &c->info[view][slot_of(lin)];
    if (c->tlb != c->views[view] || !canonical(lin) || (lin & ~PAGE_MASK) + size > PAGE_SIZE)
        return false;
    if (i->lin != ((lin & PAGE_MASK) ^ c->view_gen[view])) {
        count(c, COUNT_TLB_WALKS);
        if (!tlb_walk_ahead(c, view, lin, NULL))
            return false;
        if (tlb_kernel_note(c, view, lin))
            trans_context_update(c);
    }
    if (write && i->access & ACCESS_WRITE && !code_was_on_page(c->vm, i->page & PAGE_MASK))
        retag(c, view, i, lin);
    return tlb_hit(c, write ? e->write : e->read, lin, size);
}

struct tlb_info *tlb_get_fetch(struct vcpu *c, uint64_t lin)
{
    return tlb_get(c, c->view, lin, ACCESS_EXEC);
}
