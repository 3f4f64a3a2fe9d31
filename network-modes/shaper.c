// SPDX-License-Identifier: GPL-2.0-or-later
/* shaper.c - see shaper.h. */
#include "network-modes/shaper.h"

#define SECOND INT64_C(1000000)

static uint64_t draw(uint64_t *state) /* xorshift64*, G. Marsaglia 2003 / S. Vigna 2014 */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717) >> 32;
}

void shaper_set(struct shaper *s, const struct shaper_settings *set, struct bucket *group)
{
    int64_t last = s->last;
    *s = (struct shaper){.set = *set, .own = {.bits = set->bits}, .group = group, .last = last};
    s->random = set->seed * UINT64_C(0x9e3779b97f4a7c15) ^ UINT64_C(0x5851f42d4c957f2d);
    s->random += !s->random;
}

static int64_t time_of(uint64_t bits, const struct bucket *b)
{
    return bits * SECOND / b->bits;
}

/* How deep it is: a burst's time, but never less than the largest frame. */
static int64_t depth(const struct bucket *b)
{
    int64_t largest = time_of(SHAPER_BURST_LEAST, b);
    return largest > SHAPER_BURST_US ? largest : SHAPER_BURST_US;
}

/* When a frame could go; no limit: at once. */
static int64_t ready(const struct bucket *b, int64_t now)
{
    int64_t at = b && b->bits ? b->full - depth(b) : now;
    return at > now ? at : now;
}

static void pay(struct bucket *b, int64_t now, size_t bytes)
{
    if (b && b->bits)
        b->full = (b->full > now ? b->full : now) + time_of(bytes * 8, b);
}

static int64_t delay(struct shaper *s)
{
    int64_t jitter = s->set.jitter_us ? (int64_t)(draw(&s->random) % (2 * (uint64_t)s->set.jitter_us + 1)) : 0;
    int64_t us = (int64_t)s->set.delay_us + jitter - s->set.jitter_us;
    return us > 0 ? us : 0;
}

enum shaped shaper_pass(struct shaper *s, int64_t now, size_t bytes, int64_t *at)
{
    int64_t own = ready(&s->own, now), group = ready(s->group, now), when = own > group ? own : group;
    if (s->set.loss && draw(&s->random) % 1000000 < s->set.loss)
        return SHAPED_LOST;
    if (when - now > SHAPER_QUEUE_US)
        return SHAPED_FULL;
    pay(&s->own, now, bytes);
    pay(s->group, now, bytes);
    when += delay(s);
    *at = s->last = when > s->last ? when : s->last;
    return SHAPED_GOES;
}
