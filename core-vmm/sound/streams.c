// SPDX-License-Identifier: GPL-2.0-or-later
/* streams.c - what the guest plays is mixed, and what it records is dealt out.
 *
 * Two clocks never agree: the guest's, by which frames come, and that of the host's sound card, by which they go.  So for the player each
 * stream has a stock of AHEAD seconds, and is resampled a little faster or slower as its stock is larger or smaller than that: by at
 * most half a percent, which nobody hears.  A stock that runs out is an under-run: then that stream waits until it has enough again.  One
 * that has grown far too large (the host was held up) is cut back: a jump.  Both are counted.
 *
 * A file has no clock: it gets what all streams that run have ready.  One that is held up does not hold up the others for more than a
 * second. */
#include "core-vmm/sound/sound.h"
#include <string.h>

#define AHEAD      0.08 /* seconds */
#define FAR_AHEAD  0.4  /* too many */
#define MEAN       0.02 /* how fast the mean level follows, per chunk */
#define STIFF      0.1  /* of the rate for each second that the level is off */
#define BEND_MOST  0.005
#define SILENT_FOR SOUND_RATE /* frames that others wait for one that has none */

/* ---- what the guest plays ---- */

void source_start(struct sound *s, unsigned n, unsigned rate, unsigned channels)
{
    struct source *o = &s->source[n];
    if (!o->resampler || o->rate != rate) { /* else what is left of its last run is heard, too */
        resampler_free(o->resampler);
        o->resampler = resampler_new(rate, SOUND_RATE, s->wav_out != NULL);
        o->heard = false;
    }
    o->runs = true;
    o->rate = rate;
    o->channels = channels;
    o->level = AHEAD;
    if (s->player)
        player_look(s->player);
}

void source_frames(struct sound *s, unsigned n, const int16_t *frames, size_t count)
{
    struct source *o = &s->source[n];
    int16_t stereo[2 * AUDIO_WIRE_FRAMES_MOST];
    if (!o->runs)
        return;
    for (size_t i = 0; i < count; i++, frames += o->channels) {
        stereo[2 * i] = frames[0];
        stereo[2 * i + 1] = frames[o->channels > 1 ? 1 : 0];
    }
    s->jumps += resampler_put(o->resampler, stereo, count) != 0;
    if (s->wav_out)
        sound_to_file(s);
    else if (!s->player || !player_there(s->player))
        resampler_clear(o->resampler); /* nobody hears it */
}

void source_stop(struct sound *s, unsigned n)
{
    struct source *o = &s->source[n];
    if (!o->runs)
        return;
    o->runs = false;
    resampler_flush(o->resampler);
    if (s->wav_out)
        sound_to_file(s);
    if (s->wav_out && !sound_plays(s))
        wav_out_settle(s->wav_out);
    if (s->player)
        player_look(s->player);
}

bool sound_plays(const struct sound *s)
{
    for (unsigned i = 0; i < AUDIO_WIRE_STREAMS; i++) {
        const struct source *o = &s->source[i];
        if (o->runs || (o->resampler && resampler_ready(o->resampler)))
            return true;
    }
    return false;
}

/* How many frames are there of all that run; of what is left of others when none does. */
static size_t file_ready(const struct sound *s)
{
    size_t least = SIZE_MAX, most = 0;
    bool runs = false;
    for (unsigned i = 0; i < AUDIO_WIRE_STREAMS; i++) {
        const struct source *o = &s->source[i];
        size_t ready = o->resampler ? resampler_ready(o->resampler) : 0;
        most = MAX(most, ready);
        runs = runs || o->runs;
        if (o->runs)
            least = MIN(least, ready);
    }
    return !runs ? most : MAX(least, most > SILENT_FOR ? most - SILENT_FOR : 0);
}

void sound_to_file(struct sound *s)
{
    for (size_t left = file_ready(s); left;) {
        float mix[2 * SOUND_CHUNK] = {0};
        int16_t frames[2 * SOUND_CHUNK];
        size_t n = MIN(left, SOUND_CHUNK);
        for (unsigned i = 0; i < AUDIO_WIRE_STREAMS; i++)
            if (s->source[i].resampler)
                resampler_take(s->source[i].resampler, mix, n);
        audio_clip(mix, frames, 2 * n);
        wav_out_frames(s->wav_out, frames, n);
        left -= n;
    }
}

/* ---- the same for the player ---- */

static double bend(double *level, double now)
{
    *level += (now - *level) * MEAN;
    return 1 + CLAMP((*level - AHEAD) * STIFF, -BEND_MOST, BEND_MOST);
}

static void mix_one(struct sound *s, struct source *o, float *mix, double queued)
{
    double waits = (double)resampler_level(o->resampler) / o->rate;
    if (!o->heard)
        o->heard = waits >= AHEAD || (!o->runs && resampler_ready(o->resampler));
    if (!o->heard)
        return;
    if (waits > FAR_AHEAD) {
        resampler_skip(o->resampler, (waits - AHEAD) * o->rate);
        o->level = AHEAD;
        s->jumps++;
    }
    resampler_correct(o->resampler, bend(&o->level, waits + queued));
    if (resampler_take(o->resampler, mix, SOUND_CHUNK) == SOUND_CHUNK)
        return;
    o->heard = false;
    s->under_runs += o->runs;
}

size_t sound_mix(struct sound *s, float *mix, double queued)
{
    bool any = false;
    memset(mix, 0, 2 * SOUND_CHUNK * sizeof *mix);
    for (unsigned i = 0; i < AUDIO_WIRE_STREAMS; i++) {
        struct source *o = &s->source[i];
        if (!o->resampler || (!o->runs && !o->heard && !resampler_ready(o->resampler)))
            continue;
        mix_one(s, o, mix, queued);
        any = any || o->heard || !o->runs;
    }
    return any ? SOUND_CHUNK : 0;
}

/* ---- what it records ---- */

/* From a file there is always more: at its end, silence. */
static void refill(struct sound *s, struct taker *t)
{
    int16_t stereo[2 * SOUND_CHUNK] = {0};
    wav_in_frames(s->wav_in, stereo, SOUND_CHUNK);
    resampler_put(t->resampler, stereo, SOUND_CHUNK);
}

static void deal(struct sound *s, unsigned n)
{
    struct taker *t = &s->taker[n];
    while (t->runs && t->wanted && sound_has_room(s)) { /* else when it wants more */
        float stereo[2 * AUDIO_WIRE_FRAMES_MOST] = {0};
        size_t most = MIN(t->wanted, AUDIO_WIRE_FRAMES_MOST);
        while (s->wav_in && resampler_ready(t->resampler) < most)
            refill(s, t);
        size_t got = resampler_take(t->resampler, stereo, most);
        if (!got)
            return;
        t->wanted -= got;
        sound_send(s, n, stereo, got);
    }
}

bool sound_records(const struct sound *s)
{
    for (unsigned i = 0; i < AUDIO_WIRE_STREAMS; i++)
        if (s->taker[i].runs)
            return true;
    return false;
}

void taker_start(struct sound *s, unsigned n, unsigned rate, unsigned channels)
{
    struct taker *t = &s->taker[n];
    if (s->wav_in && !sound_records(s))
        wav_in_rewind(s->wav_in);
    resampler_free(t->resampler);
    *t = (struct taker){.runs = true, .rate = rate, .channels = channels, .level = AHEAD};
    t->resampler = resampler_new(s->wav_in ? s->wav_in->rate : SOUND_RATE, rate, s->wav_in != NULL);
    if (s->player)
        player_look(s->player);
}

void taker_want(struct sound *s, unsigned n, size_t frames)
{
    struct taker *t = &s->taker[n];
    if (!t->runs)
        return;
    t->wanted = MIN(t->wanted + frames, t->rate);
    deal(s, n);
}

void taker_stop(struct sound *s, unsigned n)
{
    s->taker[n].runs = false;
    if (s->player)
        player_look(s->player);
}

/* The guest takes as much as its clock says, the microphone gives as much as its own does. */
void sound_recorded(struct sound *s, const int16_t *stereo, size_t frames)
{
    for (unsigned i = 0; i < AUDIO_WIRE_STREAMS; i++) {
        struct taker *t = &s->taker[i];
        if (!t->runs)
            continue;
        double waits = (double)resampler_level(t->resampler) / SOUND_RATE;
        if (waits > FAR_AHEAD) {
            resampler_skip(t->resampler, (waits - AHEAD) * SOUND_RATE);
            t->level = AHEAD;
            s->jumps++;
        }
        resampler_put(t->resampler, stereo, frames);
        resampler_correct(t->resampler, bend(&t->level, waits));
        deal(s, i);
    }
}

void streams_free(struct sound *s)
{
    for (unsigned i = 0; i < AUDIO_WIRE_STREAMS; i++) {
        resampler_free(s->source[i].resampler);
        resampler_free(s->taker[i].resampler);
    }
}
