// SPDX-License-Identifier: GPL-2.0-or-later
/* audio.c - streams of sound by guest time; see api/audio.h.
 *
 * A stream has taken `done` frames; how many it should have taken follows from the time.  What it is behind it makes up for in
 * pieces, with pauses in which the guest's CPUs can go on: a chip's buffer is a ring that its driver fills while it is emptied, and
 * emptied at one go it would be heard twice. */
#include "core-vmm/api/audio.h"
#include "core-vmm/machine/core.h"
#include <string.h>

#define PERIOD_NS 10000000ull /* between two looks */
#define SOON_NS   1000000ull  /* the least */
#define BEHIND_NS 2000000ull  /* while it is behind */
#define NS        1000000000u
#define CHANNELS  8
#define FRAMES    1024 /* at once */
enum { RATE_LEAST = 4000, RATE_MOST = 192000, BUDGET = 25 /* a second's 25th part between two pauses */ };

struct audio_stream {
    struct device *device;
    struct audio_stream *next;
    enum audio_direction direction;
    audio_frames_fn fn;
    void *tag;
    const struct audio_end *end;
    struct timer *timer;
    struct audio_format format;
    bool running;
    uint64_t started, done, missed; /* ns; frames */
    uint64_t missed_before;         /* in earlier runs */
    uint64_t soon;                  /* frames after `done`; 0: nobody asked */
    bool inside;                    /* of fn */
    int16_t frames[FRAMES * CHANNELS];
};

uint64_t audio_position(struct audio_stream *s)
{
    return s->running ? (unsigned __int128)(dev_now(s->device) - s->started) * s->format.rate / NS : s->done;
}

static void play(struct audio_stream *s, size_t n)
{
    size_t ready = s->fn(s->device, s->tag, s->frames, n);
    g_assert(ready <= n);
    s->missed += n - ready;
    memset(s->frames + ready * s->format.channels, 0, (n - ready) * s->format.channels * sizeof *s->frames);
    if (s->end)
        s->end->frames(s->end->ctx, &s->format, s->frames, n);
}

static void record(struct audio_stream *s, size_t n)
{
    memset(s->frames, 0, n * s->format.channels * sizeof *s->frames);
    if (s->end)
        s->end->frames(s->end->ctx, &s->format, s->frames, n);
    s->fn(s->device, s->tag, s->frames, n);
}

/* A host that was late for more than a second does not play what should have been: it is as if the guest had not had it. */
static void skip_lost_time(struct audio_stream *s, uint64_t due)
{
    if (due <= s->done || due - s->done <= s->format.rate)
        return;
    s->missed += due - s->done - s->format.rate;
    s->done = due - s->format.rate;
}

/* When to look again. */
static uint64_t next_look(struct audio_stream *s)
{
    uint64_t now = dev_now(s->device), at = now + PERIOD_NS;
    if (s->soon) {
        unsigned __int128 due = ((unsigned __int128)s->done + s->soon) * NS / s->format.rate + 1;
        uint64_t then = due < DEV_NEVER - s->started ? s->started + (uint64_t)due : DEV_NEVER;
        at = MIN(at, MAX(then, now + SOON_NS));
    }
    return s->done < audio_position(s) ? MIN(at, now + BEHIND_NS) : at;
}

static void look_again(struct audio_stream *s)
{
    if (s->running)
        clock_timer_set(s->timer, next_look(s));
}

void audio_catch_up(struct audio_stream *s)
{
    uint64_t position = audio_position(s), budget = s->format.rate / BUDGET;
    skip_lost_time(s, position);
    s->inside = true;
    while (s->running && s->done < position && budget) {
        size_t n = MIN(MIN(position - s->done, budget), FRAMES);
        s->soon = s->soon > n ? s->soon - n : 0;
        (s->direction == AUDIO_OUT ? play : record)(s, n);
        s->done += n;
        budget -= n;
    }
    s->inside = false;
    look_again(s);
}

static void due(void *ctx)
{
    struct audio_stream *s = ctx;
    dev_lock(s->device);
    audio_catch_up(s);
    dev_unlock(s->device);
}

void audio_soon(struct audio_stream *s, uint64_t frames)
{
    s->soon = frames;
    if (!s->inside)
        look_again(s);
}

struct audio_stream *audio_open(struct device *d, enum audio_direction direction, audio_frames_fn fn, void *tag)
{
    struct audio_stream *s = g_new0(struct audio_stream, 1), **last = &d->machine->audio;
    s->device = d;
    s->direction = direction;
    s->fn = fn;
    s->tag = tag;
    s->timer = clock_timer_new(d->machine->clock, due, s);
    while (*last)
        last = &(*last)->next;
    *last = s;
    return s;
}

void audio_close(struct audio_stream *s)
{
    struct audio_stream **at = &s->device->machine->audio;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    clock_timer_free(s->timer);
    g_free(s);
}

static void say_runs(struct audio_stream *s)
{
    if (s->end && s->end->runs)
        s->end->runs(s->end->ctx, s->running ? &s->format : NULL);
}

static bool format_good(const struct audio_format *f)
{
    return f->rate >= RATE_LEAST && f->rate <= RATE_MOST && f->channels && f->channels <= CHANNELS;
}

bool audio_start(struct audio_stream *s, const struct audio_format *format)
{
    if (!format_good(format))
        return false;
    s->missed_before += s->missed;
    s->format = *format;
    s->started = dev_now(s->device);
    s->done = s->missed = s->soon = 0;
    s->running = true;
    clock_timer_set(s->timer, s->started + PERIOD_NS);
    say_runs(s);
    return true;
}

void audio_stop(struct audio_stream *s)
{
    bool ran = s->running;
    s->done = audio_position(s);
    s->running = false;
    clock_timer_set(s->timer, DEV_NEVER);
    if (ran)
        say_runs(s);
}

const struct audio_format *audio_runs(const struct audio_stream *s)
{
    return s->running ? &s->format : NULL;
}

uint64_t audio_missed(struct audio_stream *s)
{
    return s->missed;
}

void audio_attach(struct audio_stream *s, const struct audio_end *end)
{
    dev_lock(s->device);
    s->end = end;
    if (s->running)
        say_runs(s);
    dev_unlock(s->device);
}

struct audio_stream *audio_next(struct machine *m, struct audio_stream *s)
{
    return s ? s->next : m->audio;
}

struct audio_facts audio_facts(struct audio_stream *s)
{
    dev_lock(s->device);
    struct audio_facts f = {s->device->name, s->direction, s->running, s->format, s->missed_before + s->missed};
    dev_unlock(s->device);
    return f;
}

void audio_on_host(struct machine *m, audio_host_fn fn, void *ctx)
{
    m->audio_host = fn;
    m->audio_host_ctx = ctx;
}

struct audio_host audio_host(struct machine *m)
{
    return m->audio_host ? m->audio_host(m->audio_host_ctx) : (struct audio_host){0};
}

bool audio_sync(struct audio_stream *s, struct stream *st)
{
    uint64_t now = dev_now(s->device);
    stream_bool(st, &s->running);
    stream_u32(st, &s->format.rate);
    stream_u8(st, &s->format.channels);
    stream_u64(st, &s->started);
    stream_u64(st, &s->done);
    stream_u64(st, &s->missed);
    if (!st->loading || !stream_ok(st))
        return stream_ok(st);
    if (s->running && (!format_good(&s->format) || s->started > now || s->done > audio_position(s))) {
        s->running = false;
        return false;
    }
    s->soon = 0;
    clock_timer_set(s->timer, s->running ? now + SOON_NS : DEV_NEVER);
    return true;
}
