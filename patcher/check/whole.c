// SPDX-License-Identifier: GPL-2.0-or-later
/* whole.c - translated blocks as tier 1 would run them.
 *
 * Of a translated block the engine keeps the bytes only; what tier 1 has to run of it is decoded again, one instruction at
 * a time.  Lockstep runs all of them again, so it keeps whole blocks.  In front of an instruction without translation, and
 * of the one where a run shall stop, stands a handler that stops.  All of them are forgotten when there is no more room, and
 * when decoded code goes, for they point into it. */
#include "patcher/check/whole.h"
#include <sys/mman.h>

enum { SLOTS = 1 << 15, ROOM = 32 << 20, LARGEST = sizeof(struct block) + TRANS_INSNS * sizeof(struct insn) };

struct slot {
    uint64_t forgotten; /* as whole.forgotten was, else there is none */
    const struct translated_block *tb;
    struct block *block;
};

struct whole {
    struct slot slot[SLOTS]; /* by a hash of .tb */
    uint64_t forgotten;      /* 1 + how often */
    const struct insn *link; /* what ended the last block, if it does not know the next one */
    size_t used;
    uint8_t room[ROOM] __attribute__((aligned(16)));
};

struct whole *whole_new(void)
{
    struct whole *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (w == MAP_FAILED)
        return NULL;
    w->forgotten = 1;
    return w;
}

void whole_free(struct whole *w)
{
    if (w)
        munmap(w, sizeof *w);
}

size_t whole_memory(void)
{
    return sizeof(struct whole);
}

void whole_forget(struct whole *w)
{
    w->used = 0;
    w->link = NULL;
    w->forgotten++;
}

/* Whoever called sees by vcpu.link where. */
static struct block *stop_here(struct vcpu *c, const struct insn *in)
{
    c->link = in;
    return trans_stay(c);
}

static void build(struct vcpu *c, struct whole *w, const struct translated_block *tb, struct block **block)
{
    uint64_t forgotten;
    do { /* decoding may need room, and drop what was decoded so far */
        if (w->used + LARGEST > ROOM)
            whole_forget(w);
        forgotten = w->forgotten;
        *block = (struct block *)(w->room + w->used);
        trans_whole_block(c, tb, *block);
    } while (forgotten != w->forgotten);
    for (unsigned i = 0; i < (*block)->count; i++)
        if (tb->point[i].untranslated)
            (*block)->insn[i].fn = stop_here;
    w->used += (sizeof **block + (*block)->count * sizeof(struct insn) + 15) & ~(size_t)15;
}

static struct block *whole_of(struct vcpu *c, struct whole *w, const struct translated_block *tb)
{
    unsigned n = ((uintptr_t)tb >> 4) * 0x9e3779b97f4a7c15u >> 49;
    struct slot *s = &w->slot[n];
    if (unlikely(s->tb != tb || s->forgotten != w->forgotten)) {
        build(c, w, tb, &s->block);
        s->tb = tb;
        s->forgotten = w->forgotten;
    }
    return s->block;
}

struct block *whole_run(struct vcpu *c, struct whole *w, const struct translated_block *tb, unsigned *number,
                        unsigned to)
{
    struct block *b = whole_of(c, w, tb);
    struct insn *stop = to < b->count ? &b->insn[to] : NULL;
    insn_fn kept = stop ? stop->fn : NULL;
    if (stop)
        stop->fn = stop_here;
    struct block *next = b->insn[*number].fn(c, &b->insn[*number]);
    if (stop)
        stop->fn = kept;
    if (next == trans_stay(c))
        *number = c->link->number;
    w->link = next ? NULL : c->link;
    c->link = NULL; /* nobody else shall have something of a copy */
    return next;
}

/* As run_fast(). */
struct block *whole_next(struct vcpu *c, struct whole *w)
{
    uint64_t forgotten = w->forgotten;
    struct block *r = code_find(c);
    if (w->link && forgotten == w->forgotten && insn_block(w->link)->mode == r->mode)
        ((struct insn *)w->link)->aux = r;
    w->link = NULL;
    return r;
}
