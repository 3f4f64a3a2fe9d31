// SPDX-License-Identifier: GPL-2.0-or-later
/* lockstep.c - tier 2 checked against tier 1 while a guest runs.
 *
 * Translated code runs in stretches, from where C enters it to where it calls C again: for an instruction that tier 1
 * runs, a TLB miss, a jump to what is not translated, a request.  Within a stretch nothing happens but instructions
 * that run in place on registers and on memory which the TLB has: no device is touched, nothing faults, no mapping
 * changes.  So a stretch can be done again: when it ends, registers and memory are put back to what they were at its
 * beginning, tier 1 runs the same instructions until it comes to the same IP with the same registers, and then flags,
 * vector state and memory must be the same too.  Each instruction with effects outside is run once, by tier 1, as always
 * in tier 2.  The machine goes on with what tier 1 made.
 *
 * To put memory back one must know which pages a stretch can write: those with a write tag in the TLB.  Only the last
 * few of them keep it; before a stretch these are copied.  If somebody else (DMA) writes to memory meanwhile, the
 * stretch is not compared. */
#include "patcher/check/lockstep.h"
#include "patcher/check/whole.h"
#include "patcher/native/fpu.h"
#include <inttypes.h>
#include <string.h>

enum {
    PAGES = 6, /* that stay writable from run to run */
    PAGES_MOST = 64,
    BLOCKS = 4096,                         /* that a stretch enters at most */
    LINE = 64,                             /* bytes compared at once */
    TRACE = 24,                            /* instructions that a report shows */
    PER_CYCLE = 8,                         /* more instructions than that, and tier 1 has lost its way ... */
    LEAST = 1000000,                       /* ... but not before so many */
    HEAD = offsetof(struct vcpu, request), /* registers, flags: the first part of what a stretch may change ... */
    BODY = offsetof(struct vcpu, seg),     /* ... and the second */
    BODY_END = offsetof(struct vcpu, intr_level),
};

#define NO_TAG (~0ull) /* no entry has it */
struct page {
    unsigned view, slot;
    uint64_t tag, offset;
    bool changed; /* by tier 2: else copy->after is not filled in */
    struct copies {
        uint8_t before[PAGE_SIZE], after[PAGE_SIZE];
    } * copy;
};

struct cpu {
    uint8_t head[HEAD], body[BODY_END - BODY];
    bool live;
    uint64_t fip, fdp;
    uint16_t fcs, fds, fop;
    uint8_t xsave[X86_XSAVE_BYTES] __attribute__((aligned(64)));
};

struct lockstep {
    struct cpu start, tier2, tier1;
    struct page page[PAGES_MOST]; /* every one has its copy, in use or not */
    struct copies copies[PAGES_MOST];
    unsigned pages;
    bool open, replaying, strayed, noting; /* noting: what tier 1 does, for the report */
    unsigned differing, differing_at;      /* page and offset where memory was not yet as tier 2 left it */
    struct whole *whole;
    unsigned nearest; /* for the report: registers that were the same at best, and when; 0: not looked for */
    uint64_t nearest_steps, stop_at, stray_ip, stray_page;
    unsigned dma;   /* vm.lockstep_dma at the beginning */
    uint64_t began; /* TSC */
    const struct translated_block *block;
    unsigned number;
    uint64_t ip; /* of the block */
    uint64_t stretches, steps;
    struct lockstep_step {
        uint64_t ip;
        uint8_t bytes[15], len;
    } trace[TRACE];
    GString *report;
};

struct lockstep *lockstep_new(void)
{
    struct lockstep *l = g_aligned_alloc0(1, sizeof *l, 64);
    for (unsigned i = 0; i < PAGES_MOST; i++)
        l->page[i].copy = &l->copies[i];
    l->whole = whole_new();
    if (!l->whole)
        g_clear_pointer(&l, lockstep_free);
    return l;
}

void lockstep_free(struct lockstep *l)
{
    if (!l)
        return;
    whole_free(l->whole);
    g_aligned_free(l);
}

size_t lockstep_memory(void)
{
    return sizeof(struct lockstep) + whole_memory();
}

void lockstep_dma(struct soft_vm *vm)
{
    atomic_fetch_add(&vm->lockstep_dma, 1);
}

void lockstep_code_gone(struct vcpu *c)
{
    whole_forget(c->lockstep->whole);
}

void lockstep_give_up(struct vcpu *c)
{
    c->lockstep->open = false;
}

/* ---- pages that may be written ----------------------------------------------------------------------------------- */
static void take_off_list(struct lockstep *l, unsigned n)
{
    struct page *p = &l->page[n];
    struct copies *copy = p->copy;
    memmove(p, p + 1, (--l->pages - n) * sizeof *p);
    l->page[l->pages].copy = copy;
}

static void forget_page(struct vcpu *c, unsigned n)
{
    struct page *p = &c->lockstep->page[n];
    struct tlb_entry *e = &c->views[p->view][p->slot];
    if (e->write == p->tag) {
        e->write = tlb_empty(p->slot);
        if (c->info[p->view][p->slot].page & GPA_LOG)
            vm_mark_dirty(c->vm, p->offset);
    }
    take_off_list(c->lockstep, n);
}

/* A page gets a tag that it or another one had before the slot was another's: there it is listed no more, or whoever forgets
 * the older would take the tag from the newer. */
static void forget_older(struct lockstep *l, const struct page *p)
{
    for (unsigned i = l->pages; i-- > 0;) {
        struct page *old = &l->page[i];
        if (old->view != p->view || old->slot != p->slot || old->tag != p->tag)
            continue;
        if (old->offset == p->offset)
            take_off_list(l, i);
        else
            old->tag = NO_TAG; /* code in mid-block may still write to it */
    }
}

/* A block that goes on in its middle may know already that it can write to a page, and keeps all pages in the list. */
bool lockstep_crowded(const struct vcpu *c)
{
    return c->lockstep->pages > PAGES_MOST / 2;
}

void lockstep_writable(struct vcpu *c, unsigned view, unsigned slot, uint64_t page, int access)
{
    struct lockstep *l = c->lockstep;
    if (l->replaying) { /* the pages stay the same ones until it is done */
        bool known = false;
        for (unsigned i = 0; i < l->pages; i++)
            known |= l->page[i].offset == page;
        if (!known && access & ACCESS_WRITE && !l->strayed) {
            l->strayed = true;
            l->stray_ip = c->rip;
            l->stray_page = page;
        }
        c->views[view][slot].write = tlb_empty(slot);
        return;
    }
    struct page new = {.view = view, .slot = slot, .tag = c->views[view][slot].write, .offset = page};
    forget_older(l, &new);
    if (l->pages == PAGES_MOST)
        forget_page(c, 0);
    new.copy = l->page[l->pages].copy;
    l->page[l->pages++] = new;
}

/* ---- registers ------------------------------------------------------------------------------------------------------ */
static void save(struct vcpu *c, struct cpu *s)
{
    const struct replay *r = c->replay;
    memcpy(s->head, c, sizeof s->head);
    memcpy(s->body, (uint8_t *)c + BODY, sizeof s->body);
    s->fip = r->fip;
    s->fdp = r->fdp;
    s->fcs = r->fcs;
    s->fds = r->fds;
    s->fop = r->fop;
    s->live = r->live;
    if (s->live)
        fpu_host_save(r, s->xsave);
}

static void load(struct vcpu *c, const struct cpu *s)
{
    struct replay *r = c->replay;
    memcpy(c, s->head, sizeof s->head);
    memcpy((uint8_t *)c + BODY, s->body, sizeof s->body);
    r->fip = s->fip;
    r->fdp = s->fdp;
    r->fcs = s->fcs;
    r->fds = s->fds;
    r->fop = s->fop;
    r->live = s->live;
    if (s->live)
        fpu_host_load(r, s->xsave);
}

static const struct vcpu *head_of(const struct cpu *s)
{
    return (const struct vcpu *)s->head; /* only as far as HEAD */
}

static uint16_t flag_bits(uint8_t flags)
{
    union {
        struct {
            uint8_t of, szapc;
        };
        uint16_t arith;
    } m = {{.of = flags & FLAG_REST ? 1 : 0, .szapc = (flags & FLAG_REST ? 0xd4 : 0) | (flags & FLAG_CF ? 1 : 0)}};
    return m.arith;
}

/* Quick: most passes of a loop differ in the first register that one looks at. */
static bool same_registers(const struct vcpu *c, const struct cpu *s, uint8_t flags)
{
    const struct vcpu *h = head_of(s);
    for (unsigned i = 0; i < 16; i++)
        if (c->gpr[i] != h->gpr[i])
            return false;
    return !((c->arith ^ h->arith) & flag_bits(flags)) && c->cpl == h->cpl && c->mode == h->mode &&
           c->rflags == h->rflags;
}

/* Components that are in their initial state may have any bytes in the area: afterwards all have theirs. */
static void canonical_state(const struct replay *r, uint8_t *x)
{
    uint64_t have = *(uint64_t *)(x + XS_BV);
    if (!(have & XFEATURE_X87)) {
        memset(x, 0, XS_MXCSR);
        memset(x + XS_ST, 0, XS_XMM - XS_ST);
        x[XS_FCW] = 0x7f;
        x[XS_FCW + 1] = 3;
    }
    if (!(have & XFEATURE_SSE))
        memset(x + XS_XMM, 0, XS_SW - XS_XMM);
    for (unsigned i = 2; i < XCOMPONENTS; i++)
        if (!(have >> i & 1) && r->component[i].bytes)
            memset(x + r->component[i].offset, 0, r->component[i].bytes);
    memset(x + XS_FOP, 0, XS_MXCSR - XS_FOP); /* the pointers are not live */
    memset(x + XS_SW, 0, XS_EXTENDED - XS_SW);
    *(uint64_t *)(x + XS_BV) = UINT64_MAX;
}

static bool same_vectors(struct vcpu *c, struct cpu *a, struct cpu *b)
{
    if (a->live != b->live || a->fip != b->fip || a->fdp != b->fdp || a->fcs != b->fcs || a->fds != b->fds ||
        a->fop != b->fop)
        return false;
    if (!a->live)
        return true;
    canonical_state(c->replay, a->xsave);
    canonical_state(c->replay, b->xsave);
    return !memcmp(a->xsave, b->xsave, sizeof a->xsave);
}

static const uint8_t *after_of(const struct page *p)
{
    return p->changed ? p->copy->after : p->copy->before;
}

static bool same_line(const uint8_t *a, const uint8_t *b)
{
    const uint64_t *x = (const void *)a, *y = (const void *)b;
    return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4]) | (x[5] ^ y[5]) |
             (x[6] ^ y[6]) | (x[7] ^ y[7]));
}

/* Where, or PAGE_SIZE. */
static unsigned first_difference(const uint8_t *a, const uint8_t *b)
{
    unsigned at = 0;
    while (at < PAGE_SIZE && same_line(a + at, b + at))
        at += LINE;
    return at;
}

/* A loop may come by with the same registers and other memory many times: what differed last time is looked at first. */
static bool same_memory(const struct vcpu *c)
{
    struct lockstep *l = c->lockstep;
    const struct page *d = &l->page[l->differing];
    if (l->differing < l->pages &&
        !same_line(after_of(d) + l->differing_at, c->vm->memory + d->offset + l->differing_at))
        return false;
    for (unsigned i = 0; i < l->pages; i++) {
        unsigned at = first_difference(after_of(&l->page[i]), c->vm->memory + l->page[i].offset);
        if (at < PAGE_SIZE) {
            l->differing = i;
            l->differing_at = at;
            return false;
        }
    }
    return true;
}

/* ---- a stretch --------------------------------------------------------------------------------------------------------- */
static void trim_pages(struct vcpu *c)
{
    struct lockstep *l = c->lockstep;
    for (unsigned i = l->pages; i-- > 0;)
        if (c->views[l->page[i].view][l->page[i].slot].write != l->page[i].tag)
            forget_page(c, i);
    while (l->pages > PAGES)
        forget_page(c, 0);
}

void lockstep_begin(struct vcpu *c, const struct translated_block *tb, unsigned number, uint64_t ip)
{
    struct lockstep *l = c->lockstep;
    if (!number) /* else translated code may know already that it can write to a page */
        trim_pages(c);
    l->dma = atomic_load(&c->vm->lockstep_dma);
    for (unsigned i = 0; i < l->pages; i++)
        memcpy(l->page[i].copy->before, c->vm->memory + l->page[i].offset, PAGE_SIZE);
    save(c, &l->start);
    l->block = tb;
    l->number = number;
    l->ip = ip;
    l->open = true;
    c->lockstep_left = BLOCKS;
    l->began = __builtin_ia32_rdtsc();
}

static void keep_result(struct vcpu *c)
{
    struct lockstep *l = c->lockstep;
    for (unsigned i = 0; i < l->pages; i++) {
        struct page *p = &l->page[i];
        p->changed = first_difference(p->copy->before, c->vm->memory + p->offset) < PAGE_SIZE;
        if (p->changed)
            memcpy(p->copy->after, c->vm->memory + p->offset, PAGE_SIZE);
    }
    save(c, &l->tier2);
}

static void put_back(struct vcpu *c)
{
    struct lockstep *l = c->lockstep;
    for (unsigned i = 0; i < l->pages; i++)
        if (l->page[i].changed || l->noting)
            memcpy(c->vm->memory + l->page[i].offset, l->page[i].copy->before, PAGE_SIZE);
    load(c, &l->start);
    l->steps = 0;
}

static void note_nearness(const struct vcpu *c)
{
    struct lockstep *l = c->lockstep;
    unsigned same = 1;
    for (unsigned i = 0; i < 16; i++)
        same += c->gpr[i] == head_of(&l->tier2)->gpr[i];
    if (same >= l->nearest) {
        l->nearest = same;
        l->nearest_steps = l->steps;
    }
}

static bool arrived(struct vcpu *c, uint8_t flags)
{
    struct lockstep *l = c->lockstep;
    if (unlikely(l->nearest))
        note_nearness(c);
    if (!same_registers(c, &l->tier2, flags) || !same_memory(c))
        return false;
    save(c, &l->tier1);
    return same_vectors(c, &l->tier1, &l->tier2) &&
           !memcmp(l->tier1.body, l->tier2.body, offsetof(struct vcpu, vm) - BODY);
}

static void note_step(struct lockstep *l, const struct translated_block *tb, unsigned i, uint64_t ip)
{
    struct lockstep_step *s = &l->trace[l->steps++ % TRACE];
    unsigned from = tb->point[i].ip, to = i + 1 < tb->block->count ? tb->point[i + 1].ip : tb->block->bytes;
    s->ip = ip;
    s->len = MIN(to - from, sizeof s->bytes);
    memcpy(s->bytes, tb->block->raw + from, s->len);
}

/* The number behind `from` of the instruction at that offset in the block, or more than any. */
static unsigned number_at(const struct translated_block *tb, uint64_t offset, unsigned from)
{
    unsigned n = from + 1;
    if (offset > tb->block->bytes)
        return UINT_MAX;
    while (n < tb->block->count && tb->point[n].ip != offset)
        n++;
    return n;
}

/* Instructions of one block, from *i: to ip, if that is further on, to one without translation, or to its end: as whole_run(). */
static struct block *run_on(struct vcpu *c, const struct translated_block *tb, unsigned *i, uint64_t ip)
{
    struct lockstep *l = c->lockstep;
    if (unlikely(l->noting)) {
        note_step(l, tb, *i, c->rip);
        struct block *next = trans_step(c, tb, (*i)++);
        c->link = NULL; /* it was in a copy */
        return next;
    }
    uint64_t insns = c->insns;
    unsigned from = *i;
    struct block *next = whole_run(c, l->whole, tb, i, number_at(tb, ip - c->gpr[REG_BLOCK_IP], from));
    uint64_t done = (next == trans_stay(c) ? *i : c->insns - insns) - from;
    l->steps += done && done <= TRANS_INSNS ? done : 1; /* not all handlers count */
    return next;
}

/* Tier 1's way from the beginning of the stretch to ip; NULL, or what went wrong. */
static const char *replay(struct vcpu *c, uint64_t ip, uint8_t flags)
{
    struct lockstep *l = c->lockstep;
    const struct translated_block *tb = l->block;
    unsigned i = l->number;
    c->gpr[REG_BLOCK_IP] = l->ip;
    while (l->steps < l->stop_at) {
        c->rip = c->gpr[REG_BLOCK_IP] + tb->point[i].ip;
        if (c->rip == ip && arrived(c, flags))
            return NULL;
        if (tb->point[i].untranslated)
            return "tier 1 comes to what tier 2 leaves to it, in another state";
        struct block *next = run_on(c, tb, &i, ip);
        if (next == trans_stay(c))
            continue;
        if (c->rip == ip && arrived(c, flags))
            return NULL;
        if (!next || c->rip + next->bytes - 1 > c->code_limit)
            next = whole_next(c, l->whole);
        tb = next->translated;
        if (!tb)
            return "tier 1 leaves translated code elsewhere";
        i = 0;
        c->gpr[REG_BLOCK_IP] = c->rip;
    }
    return "tier 1 does not come to the same state";
}

static const char *replay_guarded(struct vcpu *c, uint64_t ip, uint8_t flags)
{
    struct lockstep *l = c->lockstep;
    jmp_buf outer;
    memcpy(&outer, &c->trap, sizeof outer);
    const char *wrong = "tier 1 raises an exception";
    l->replaying = true;
    l->strayed = false;
    if (!_setjmp(c->trap))
        wrong = replay(c, ip, flags);
    else
        whole_forget(l->whole); /* where it was to stop is still in one of them */
    l->replaying = false;
    memcpy(&c->trap, &outer, sizeof outer);
    return wrong ? wrong : l->strayed ? "tier 1 writes to other pages" : NULL;
}

/* ---- the report --------------------------------------------------------------------------------------------------------- */
static void report_registers(struct lockstep *l)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const struct vcpu *b = head_of(&l->start), *t = head_of(&l->tier1), *x = head_of(&l->tier2);
    for (unsigned i = 0; i < 16; i++)
        if (t->gpr[i] != x->gpr[i])
            g_string_append_printf(l->report, "  %s: before %" PRIx64 ", tier 1 %" PRIx64 ", tier 2 %" PRIx64 "\n",
                                   names[i], b->gpr[i], t->gpr[i], x->gpr[i]);
    if (t->arith != x->arith || t->rflags != x->rflags)
        g_string_append_printf(l->report, "  flags: tier 1 %x, tier 2 %x\n", flags_get(t), flags_get(x));
    if (memcmp(l->tier1.body, l->tier2.body, offsetof(struct vcpu, vm) - BODY))
        g_string_append(l->report, "  segment registers differ\n");
}

static void report_memory(struct vcpu *c)
{
    struct lockstep *l = c->lockstep;
    for (unsigned i = 0; i < l->pages; i++)
        for (unsigned k = 0; k < PAGE_SIZE; k += 8) {
            uint64_t t, x, at = l->page[i].offset + k;
            memcpy(&t, c->vm->memory + at, 8);
            memcpy(&x, after_of(&l->page[i]) + k, 8);
            if (t != x)
                g_string_append_printf(
                    l->report, "  memory at %" PRIx64 " of the file: tier 1 %016" PRIx64 ", tier 2 %016" PRIx64 "\n",
                    at, t, x);
        }
}

static void report_vectors(struct vcpu *c)
{
    struct lockstep *l = c->lockstep;
    if (same_vectors(c, &l->tier1, &l->tier2))
        return;
    g_string_append_printf(l->report,
                           "  x87 pointers: tier 1 %" PRIx64 " %" PRIx64 ", tier 2 %" PRIx64 " %" PRIx64 "\n",
                           l->tier1.fip, l->tier1.fdp, l->tier2.fip, l->tier2.fdp);
    for (unsigned k = 0; l->tier1.live && l->tier2.live && k < X86_XSAVE_BYTES; k += 8) {
        uint64_t t, x;
        memcpy(&t, l->tier1.xsave + k, 8);
        memcpy(&x, l->tier2.xsave + k, 8);
        if (t != x)
            g_string_append_printf(l->report, "  xsave+%x: tier 1 %016" PRIx64 ", tier 2 %016" PRIx64 "\n", k, t, x);
    }
}

static void report_trace(struct lockstep *l, const char *title)
{
    g_string_append_printf(l->report, "  %s:\n", title);
    for (uint64_t i = l->steps > TRACE ? l->steps - TRACE : 0; i < l->steps; i++) {
        const struct lockstep_step *s = &l->trace[i % TRACE];
        g_string_append_printf(l->report, "   %" PRIx64 ":", s->ip);
        for (unsigned k = 0; k < s->len; k++)
            g_string_append_printf(l->report, " %02x", s->bytes[k]);
        g_string_append_c(l->report, '\n');
    }
}

/* Tier 1 goes the way once more, to where it was most like tier 2. */
static void find_nearest(struct vcpu *c, uint64_t ip, uint8_t flags)
{
    struct lockstep *l = c->lockstep;
    l->nearest = 1;
    l->nearest_steps = 0;
    put_back(c);
    replay_guarded(c, ip, flags);
    l->stop_at = l->nearest_steps;
    put_back(c);
    replay_guarded(c, ip, flags);
    save(c, &l->tier1);
}

static _Noreturn void fail(struct vcpu *c, uint64_t ip, uint8_t flags, const char *wrong)
{
    struct lockstep *l = c->lockstep;
    fpu_leave(c); /* for the C library's sake */
    l->report = g_string_new(NULL);
    l->noting = true;
    put_back(c);
    replay_guarded(c, ip, flags);
    fpu_leave(c);
    report_trace(l, "tier 1's last instructions");
    find_nearest(c, ip, flags);
    fpu_leave(c);
    g_string_append_printf(l->report,
                           "lockstep: %s: stretch %" PRIu64 ", from IP %" PRIx64 " (+%u instructions) to %" PRIx64
                           ", mode %x; nearest was tier 1 at %" PRIx64 " after %" PRIu64 " instructions\n",
                           wrong, l->stretches, l->ip, l->number, ip, c->mode, c->rip, l->steps);
    if (l->strayed)
        g_string_append_printf(l->report, "  first at %" PRIx64 ", to page %" PRIx64 " of the file\n", l->stray_ip,
                               l->stray_page);
    report_registers(l);
    report_memory(c);
    report_vectors(c);
    report_trace(l, "before it was nearest");
    g_set_error_literal(c->error, G_FILE_ERROR, G_FILE_ERROR_FAILED, l->report->str);
    g_string_free(l->report, TRUE);
    c->failed = true;
    _longjmp(c->trap, 1);
}

void lockstep_end(struct vcpu *c, uint64_t ip, uint8_t flags)
{
    struct lockstep *l = c->lockstep;
    uint64_t block_ip = c->gpr[REG_BLOCK_IP];
    if (!l->open)
        return;
    l->open = false;
    l->stretches++;
    if (l->dma != atomic_load(&c->vm->lockstep_dma)) {
        count(c, COUNT_STRETCHES_LEFT);
        return;
    }
    keep_result(c);
    put_back(c);
    l->stop_at = LEAST + PER_CYCLE * (__builtin_ia32_rdtsc() - l->began);
    const char *wrong = replay_guarded(c, ip, flags);
    if (wrong)
        fail(c, ip, flags, wrong);
    count(c, COUNT_STRETCHES);
    c->stats->count[COUNT_DONE_AGAIN] += l->steps;
    c->gpr[REG_BLOCK_IP] = block_ip;
}
