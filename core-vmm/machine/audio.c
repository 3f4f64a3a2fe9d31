// SPDX-License-Identifier: GPL-2.0-or-later
/* audio.c - streams of sound by guest time; see api/audio.h. */
#include "core-vmm/api/audio.h"
#include "core-vmm/machine/core.h"
#include <string.h>

#define PERIOD_NS 10000000ull
#define NS        1000000000u
#define CHANNELS  8
#define FRAMES    1024 /* at once */
enum { RATE_LEAST = 4000, RATE_MOST = 192000 };

struct audio_stream {
    struct device *device;
    enum audio_direction direction;
    audio_frames_fn fn;
    void *tag;
    const struct audio_end *end;
    struct timer *timer;
    struct audio_format format;
    bool running;
    uint64_t started, done, missed; /* ns; frames */
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
    if (due - s->done <= s->format.rate)
        return;
    s->missed += due - s->done - s->format.rate;
    s->done = due - s->format.rate;
}

static void due(void *ctx)
{
    struct audio_stream *s = ctx;
    dev_lock(s->device);
    uint64_t position = audio_position(s);
    skip_lost_time(s, position);
    while (s->running && s->done < position) {
        size_t n = MIN(position - s->done, FRAMES);
        (s->direction == AUDIO_OUT ? play : record)(s, n);
        s->done += n;
    }
    if (s->running)
        clock_timer_set(s->timer, dev_now(s->device) + PERIOD_NS);
    dev_unlock(s->device);
}

struct audio_stream *audio_open(struct device *d, enum audio_direction direction, audio_frames_fn fn, void *tag)
{
    struct audio_stream *s = g_new0(struct audio_stream, 1);
    s->device = d;
    s->direction = direction;
    s->fn = fn;
    s->tag = tag;
    s->timer = clock_timer_new(d->machine->clock, due, s);
    return s;
}

void audio_close(struct audio_stream *s)
{
    clock_timer_free(s->timer);
    g_free(s);
}

bool audio_start(struct audio_stream *s, const struct audio_format *format)
{
    if (format->rate < RATE_LEAST || format->rate > RATE_MOST || !format->channels || format->channels > CHANNELS)
        return false;
    s->format = *format;
    s->started = dev_now(s->device);
    s->done = s->missed = 0;
    s->running = true;
    clock_timer_set(s->timer, s->started + PERIOD_NS);
    return true;
}

void audio_stop(struct audio_stream *s)
{
    s->done = audio_position(s);
    s->running = false;
    clock_timer_set(s->timer, DEV_NEVER);
}

uint64_t audio_missed(struct audio_stream *s)
{
    return s->missed;
}

void audio_attach(struct audio_stream *s, const struct audio_end *end)
{
    dev_lock(s->device);
    s->end = end;
    dev_unlock(s->device);
}
