// SPDX-License-Identifier: GPL-2.0-or-later
/* speaker.c - the PC's loudspeaker, as loud as a sound card: what the timer's third channel gives (i8254.h).
 *
 * The timer tells what its output is from a moment on; such changes wait until the sound of their time is made.  A sample is the part of
 * its time in which the output was high, so a wave of any pitch comes out without aliases that one would hear, and so do programs that
 * make sound by switching the loudspeaker fast.  A loudspeaker does not hear a level that stays: that is taken away.  The stream stands
 * while nothing has changed for a second. */
#include "core-vmm/api/audio.h"
#include "core-vmm/api/platform.h"
#include "devices/all.h"
#include "devices/chipset/i8254.h"

enum { RATE = 48000, CHANGES = 1024, LOUD = 12000, PERIOD_MOST = 65536, PARTS = 256 /* of a tick */ };
#define QUIET_NS UINT64_C(1000000000)

struct change {
    uint64_t ns;
    struct i8254_wave wave;
};
struct speaker {
    struct audio_stream *out;
    struct i8254_wave wave; /* at the last sample that was made */
    struct change change[CHANGES];
    uint32_t first, changes;
    uint64_t started, made; /* ns of guest time; samples since */
    uint64_t changed;       /* ns: when that was last */
    uint64_t look;          /* whether it is quiet; DEV_NEVER */
    int32_t level;          /* mean, in 256ths */
};

/* ---- samples ---- */

static uint64_t ticks(uint64_t ns)
{
    return (unsigned __int128)ns * 105 * PARTS / 88000;
}

/* For how long it was high from the wave's beginning until then. */
static uint64_t high_until(const struct i8254_wave *w, uint64_t at)
{
    uint64_t edge = w->edge * PARTS, x = at > edge ? at - edge : 0;
    if (w->period) {
        uint64_t period = (uint64_t)w->period * PARTS, high = (uint64_t)w->high * PARTS;
        return x / period * high + MIN(x % period, high);
    }
    return (w->level ? MIN(at, edge) : 0) + (w->after ? x : 0);
}

static uint64_t high_between(const struct i8254_wave *w, uint64_t from, uint64_t to)
{
    return high_until(w, to) - high_until(w, from);
}

static struct change *next_change(struct speaker *s)
{
    return s->changes ? &s->change[s->first] : NULL;
}

static void take_change(struct speaker *s)
{
    s->wave = s->change[s->first].wave;
    s->first = (s->first + 1) % CHANGES;
    s->changes--;
}

static int16_t sample(struct speaker *s)
{
    uint64_t from_ns = s->started + (unsigned __int128)s->made * 1000000000 / RATE;
    uint64_t from = ticks(from_ns), to = ticks(s->started + (unsigned __int128)(s->made + 1) * 1000000000 / RATE);
    uint64_t at = from, high = 0;
    for (const struct change *c; (c = next_change(s)) && ticks(c->ns) < to; take_change(s)) {
        uint64_t until = MAX(ticks(c->ns), at);
        high += high_between(&s->wave, at, until);
        at = until;
    }
    high += high_between(&s->wave, at, to);
    int32_t v = MIN(high, to - from) * LOUD / MAX(to - from, 1);
    s->level += (v * 256 - s->level) >> 9;
    s->made++;
    return CLAMP(v - s->level / 256, -LOUD, LOUD);
}

static size_t frames_out(struct device *d, void *tag, int16_t *frames, size_t n)
{
    struct speaker *s = d->state;
    for (size_t i = 0; i < n; i++)
        frames[i] = sample(s);
    return n;
}

/* ---- when it runs ---- */

static void look(struct device *d)
{
    struct speaker *s = d->state;
    uint64_t now = dev_now(d);
    bool quiet = !s->wave.period && !s->changes && now - s->changed >= QUIET_NS;
    s->look = quiet ? DEV_NEVER : now + QUIET_NS;
    dev_timer(d, 0, s->look, look);
    if (quiet)
        audio_stop(s->out);
}

static bool same(const struct i8254_wave *a, const struct i8254_wave *b)
{
    return a->level == b->level && a->after == b->after && a->edge == b->edge && a->period == b->period &&
           a->high == b->high;
}

static void begin(struct device *d, uint64_t now)
{
    struct speaker *s = d->state;
    static const struct audio_format f = {RATE, 1};
    while (s->changes)
        take_change(s);
    s->started = now;
    s->made = 0;
    s->level = s->wave.level * LOUD * 256;
    s->look = now + QUIET_NS;
    dev_timer(d, 0, s->look, look);
    audio_start(s->out, &f);
}

/* The timer's lock is held. */
static void changed(void *ctx, uint64_t now, const struct i8254_wave *wave)
{
    struct device *d = ctx;
    struct speaker *s = d->state;
    dev_lock(d);
    const struct i8254_wave *last = s->changes ? &s->change[(s->first + s->changes - 1) % CHANGES].wave : &s->wave;
    if (!same(last, wave)) {
        if (!audio_runs(s->out))
            begin(d, now);
        if (s->changes == CHANGES)
            take_change(s); /* a thousand between two looks: the first ones are not heard */
        s->change[(s->first + s->changes++) % CHANGES] = (struct change){now, *wave};
        s->changed = now;
    }
    dev_unlock(d);
}

/* ---- init, reset, sync ---- */

static bool speaker_init(struct device *d, const struct config *c, GError **error)
{
    struct speaker *s = d->state;
    s->look = DEV_NEVER;
    s->out = audio_open(d, AUDIO_OUT, frames_out, NULL);
    i8254_on_speaker(dev_find(d, "pit"), changed, d);
    return true;
}

static void speaker_fini(struct device *d)
{
    audio_close(((struct speaker *)d->state)->out);
}

static void speaker_reset(struct device *d)
{
    struct speaker *s = d->state;
    audio_stop(s->out);
    *s = (struct speaker){.out = s->out, .look = DEV_NEVER};
}

static void wave_sync(struct i8254_wave *w, struct stream *s)
{
    stream_bool(s, &w->level);
    stream_bool(s, &w->after);
    stream_u64(s, &w->edge);
    stream_check_u32(s, &w->period, PERIOD_MOST);
    stream_check_u32(s, &w->high, PERIOD_MOST);
    if (w->edge > UINT64_MAX / PARTS)
        s->failed = true;
}

static bool speaker_sync(struct device *d, struct stream *st, uint32_t version)
{
    struct speaker *s = d->state;
    uint64_t now = dev_now(d);
    wave_sync(&s->wave, st);
    stream_check_u32(st, &s->first, CHANGES - 1);
    stream_check_u32(st, &s->changes, CHANGES);
    for (uint32_t i = 0; i < s->changes && stream_ok(st); i++) {
        struct change *c = &s->change[(s->first + i) % CHANGES];
        stream_u64(st, &c->ns);
        wave_sync(&c->wave, st);
    }
    stream_u64(st, &s->started);
    stream_u64(st, &s->made);
    stream_u64(st, &s->changed);
    stream_u64(st, &s->look);
    stream_u32(st, (uint32_t *)&s->level);
    bool good = audio_sync(s->out, st) && stream_ok(st) && s->started <= now && s->changed <= now &&
                s->made <= (now - s->started) / 10000 && ABS((int64_t)s->level) <= LOUD * 512;
    const struct audio_format *f = audio_runs(s->out);
    if (good && st->loading)
        dev_timer(d, 0, s->look, look);
    return good && (!f || (f->channels == 1 && f->rate == RATE));
}

const struct device_ops speaker_ops = {
    .name = "speaker",
    .state_bytes = sizeof(struct speaker),
    .version = 1,
    .init = speaker_init,
    .reset = speaker_reset,
    .sync = speaker_sync,
    .fini = speaker_fini,
};
