// SPDX-License-Identifier: GPL-2.0-or-later
/* svga_fifo.c - the commands that the guest writes into the FIFO of a VMware SVGA II.
 * Spec: VMware's svga_reg.h ("FIFO register indices", "FIFO Synchronization Registers", "Commands in the command FIFO").
 *
 * The FIFO is memory that both sides see: a ring between the registers MIN and MAX, which the guest fills up to NEXT_CMD and
 * the card empties from STOP on.  All of it may change while it is read, so registers are read once, and a command is copied before it is looked at.
 *
 * The card looks when the guest says so (SYNC, BUSY) and whenever a picture is drawn, because older drivers say nothing until the ring is
 * full.  FIFO_BUSY tells the guest that it need not say so; when the card goes to sleep it clears that, and looks once more.  The guest
 * sets it by a locked CMPXCHG, which may undo that (api/barrier.h): so it looks at the flag, too. */
#include "core-vmm/api/barrier.h"
#include "devices/video/svga.h"
#include <stdatomic.h>

enum { COMMAND_COST = 64, BARRIER_COST = 16384, IDLE_MOST = 8 /* looks in which there was no command */ };
#define ROUND_WORK  (UINT64_C(32) << 20) /* bytes moved, or commands, before others may go on */
#define ROUND_PAUSE UINT64_C(100000)     /* ns */

/* ---- registers ---- */

static _Atomic uint32_t *word_at(const struct svga *s, uint32_t word)
{
    return (_Atomic uint32_t *)s->fifo + word;
}

uint32_t svga_fifo_get(const struct svga *s, unsigned word)
{
    return atomic_load_explicit(word_at(s, word), memory_order_acquire);
}

void svga_fifo_put(struct svga *s, unsigned word, uint32_t value)
{
    atomic_store_explicit(word_at(s, word), value, memory_order_release);
}

bool svga_fifo_has(const struct svga *s, unsigned word)
{
    return svga_fifo_get(s, FIFO_MIN) >= (word + 1) * 4;
}

/* The ring, as the guest's registers have it at one moment; in words. */
struct ring {
    uint32_t min, max, next, stop;
};

static bool look(const struct svga *s, struct ring *r)
{
    uint32_t v[4];
    for (unsigned i = 0; i < 4; i++)
        v[i] = svga_fifo_get(s, FIFO_MIN + i);
    *r = (struct ring){v[FIFO_MIN] / 4, v[FIFO_MAX] / 4, v[FIFO_NEXT] / 4, v[FIFO_STOP] / 4};
    if ((v[0] | v[1] | v[2] | v[3]) & 3)
        return false;
    return r->min >= 4 && r->min < r->max && r->max <= SVGA_FIFO_BYTES / 4 && r->next >= r->min && r->next < r->max &&
           r->stop >= r->min && r->stop < r->max;
}

static uint32_t filled(const struct ring *r)
{
    return r->next >= r->stop ? r->next - r->stop : r->max - r->stop + r->next - r->min;
}

static uint32_t peek(const struct svga *s, const struct ring *r, uint32_t n)
{
    uint32_t at = r->stop + n;
    return svga_fifo_get(s, at < r->max ? at : at - r->max + r->min);
}

static void move_on(struct svga *s, struct ring *r, uint32_t words)
{
    r->stop += words;
    if (r->stop >= r->max)
        r->stop -= r->max - r->min;
    svga_fifo_put(s, FIFO_STOP, r->stop * 4);
}

/* ---- commands ---- */

static void fence(struct device *d, const uint32_t *a)
{
    struct svga *s = d->state;
    uint32_t flags = SVGA_IRQ_FENCE;
    if (svga_fifo_has(s, FIFO_FENCE))
        svga_fifo_put(s, FIFO_FENCE, a[0]);
    if (svga_fifo_has(s, FIFO_FENCE_GOAL) && svga_fifo_get(s, FIFO_FENCE_GOAL) == a[0])
        flags |= SVGA_IRQ_GOAL;
    svga_irq(d, flags);
}

static void destroy_screen(struct device *d, const uint32_t *a)
{
    svga_screen_destroy(d, a[0]);
}

/* How many words follow the fixed ones, by those; as many as one can say, where that is absurd. */
static uint64_t more_masks(const uint32_t *a)
{
    uint64_t width = a[3], height = a[4], and_line = (width * a[5] + 31) / 32, xor_line = (width * a[6] + 31) / 32;
    bool absurd = width > SVGA_CURSOR_SIDE || height > SVGA_CURSOR_SIDE || a[5] > 32 || a[6] > 32;
    return absurd ? UINT32_MAX : (and_line + xor_line) * height;
}

static uint64_t more_alpha(const uint32_t *a)
{
    bool absurd = a[3] > SVGA_CURSOR_SIDE || a[4] > SVGA_CURSOR_SIDE;
    return absurd ? UINT32_MAX : (uint64_t)a[3] * a[4];
}

static uint64_t more_escape(const uint32_t *a)
{
    return ((uint64_t)a[1] + 3) / 4;
}

static uint64_t more_screen(const uint32_t *a)
{
    return a[0] < 4 ? 0 : ((uint64_t)a[0] + 3) / 4 - 1;
}

static uint64_t more_remap(const uint32_t *a)
{
    enum { VIA_GMR = 1, PPN64 = 2, SINGLE = 4 };
    if (a[1] & VIA_GMR)
        return 2;
    return (a[1] & SINGLE ? 1 : (uint64_t)a[3]) * (a[1] & PPN64 ? 2 : 1);
}

/* Either handler; words: the arguments that there always are. */
static const struct command {
    uint32_t number, words;
    void (*fixed)(struct device *d, const uint32_t *a);
    uint64_t (*more)(const uint32_t *a);
    void (*variable)(struct device *d, const uint32_t *a, uint32_t words);
} commands[] = {
    {1, 4, svga_update},
    {3, 6, svga_copy},
    {14, 7, svga_copy}, /* its raster operation is always "copy" */
    {19, 7, svga_cursor_masks, more_masks},
    {22, 5, svga_cursor_alpha, more_alpha},
    {25, 5, svga_update},
    {29, 6, NULL}, /* a hint of what a fill has done */
    {30, 1, fence},
    {33, 2, NULL, more_escape}, /* video overlays and the like: none here */
    {34, 1, NULL, more_screen, svga_screen_define},
    {35, 1, destroy_screen},
    {36, 4, svga_gmrfb_define},
    {37, 7, svga_blit_to_screen},
    {38, 7, svga_blit_from_screen},
    {39, 1, NULL}, /* annotations: deprecated hints */
    {40, 3, NULL},
    {41, 2, svga_gmr_define},
    {42, 4, NULL, more_remap, svga_gmr_remap},
    {45, 0, NULL},
    {46, 0, NULL},
};

static const struct command *command_of(uint32_t number)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++)
        if (commands[i].number == number)
            return &commands[i];
    return NULL;
}

/* What cannot be understood takes all that follows with it: nobody knows where the next command begins. */
static bool drop_all(struct device *d, struct ring *r, uint32_t number)
{
    dev_log(d, "the guest's command %u cannot be understood; %u bytes of its commands are left out", number,
            filled(r) * 4);
    move_on(d->state, r, filled(r));
    return true;
}

/* Does the next command.  False: there is none, or not all of it is there yet. */
static bool one_command(struct device *d, struct ring *r)
{
    struct svga *s = d->state;
    uint32_t have = filled(r), room = r->max - r->min - 1;
    if (!have)
        return false;
    uint32_t number = peek(s, r, 0);
    const struct command *c = command_of(number);
    if (!c)
        return drop_all(d, r, number);
    for (uint32_t i = 0; i < c->words && i + 1 < have; i++)
        s->command[i] = peek(s, r, i + 1);
    if (have <= c->words)
        return c->words > room ? drop_all(d, r, number) : false;
    uint64_t words = c->words + (c->more ? c->more(s->command) : 0);
    if (words > room || words > SVGA_COMMAND_BYTES / 4)
        return drop_all(d, r, number);
    if (have <= words)
        return false;
    for (uint32_t i = c->words; i < words; i++)
        s->command[i] = peek(s, r, i + 1);
    s->work += COMMAND_COST + words * 4;
    if (c->fixed)
        c->fixed(d, s->command);
    else if (c->variable)
        c->variable(d, s->command, words);
    move_on(s, r, words + 1);
    return true;
}

/* ---- rounds ---- */

static bool runs(const struct svga *s)
{
    return s->enable && s->config_done;
}

bool svga_fifo_waits(struct device *d)
{
    struct ring r;
    return runs(d->state) && look(d->state, &r) && filled(&r);
}

void svga_fifo_arm(struct device *d, uint64_t at)
{
    struct svga *s = d->state;
    s->more_at = at;
    dev_timer(d, 0, at, svga_fifo_run);
}

static void busy(struct svga *s, bool on)
{
    if (svga_fifo_has(s, FIFO_BUSY))
        svga_fifo_put(s, FIFO_BUSY, on);
}

static bool is_busy(const struct svga *s)
{
    return svga_fifo_has(s, FIFO_BUSY) && svga_fifo_get(s, FIFO_BUSY);
}

/* All that is there, as far as a round goes.  False: there is more.  A guest that sets the flag again and
 * again, and has nothing, is not believed for long. */
static bool empty(struct device *d, bool *progress)
{
    struct svga *s = d->state;
    struct ring r;
    for (unsigned idle = 0; s->work < ROUND_WORK && idle < IDLE_MOST; s->work += BARRIER_COST) {
        for (idle++; look(s, &r) && one_command(d, &r); idle = 0) {
            *progress = true;
            if (s->work >= ROUND_WORK)
                return false;
        }
        busy(s, false);
        dev_barrier(d);
        uint32_t before = filled(&r);
        if ((!look(s, &r) || filled(&r) == before) && !is_busy(s))
            return true; /* nothing, or part of a command, or registers that make no sense */
        busy(s, true);
    }
    if (s->work >= ROUND_WORK)
        return false;
    busy(s, false); /* so that it says when there is something */
    return true;
}

void svga_fifo_run(struct device *d)
{
    struct svga *s = d->state;
    bool progress = false, done = true;
    s->work = 0;
    if (runs(s)) {
        busy(s, true);
        done = empty(d, &progress);
    }
    svga_fifo_arm(d, done ? DEV_NEVER : dev_now(d) + ROUND_PAUSE);
    if (progress)
        svga_irq(d, SVGA_IRQ_PROGRESS);
}
