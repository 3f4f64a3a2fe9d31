// SPDX-License-Identifier: GPL-2.0-or-later
/* resampler.c - see resampler.h.  A frame that comes out lies somewhere between two that went in; it is the sum of the TAPS around it,
 * weighted by a sinc that is as wide as the lower rate asks for, in a Blackman window.  The weights are tabulated for PHASES places
 * between two frames, and between those interpolated.  The place is kept as a number with 32 bits after the point. */
#include "core-vmm/sound/resampler.h"
#include <glib.h>
#include <math.h>
#include <string.h>

enum { TAPS = 32, PHASES = 256, SECONDS = 2 };
#define ONE (1ull << 32)

struct resampler {
    unsigned from, to;
    bool copies;
    uint64_t step, at; /* frames that go in; at: from `begin` on */
    size_t begin, end, room;
    int16_t *in;   /* stereo */
    bool weighted; /* they are made when they are needed: a guest may start and stop very often */
    float weight[PHASES + 1][TAPS];
};

static void make_weights(struct resampler *r)
{
    double cut = MIN(1.0, (double)r->to / r->from) * 0.95;
    for (unsigned p = 0; p <= PHASES; p++) {
        double sum = 0;
        for (unsigned i = 0; i < TAPS; i++) {
            double x = (double)i - (TAPS / 2 - 1) - (double)p / PHASES, w = (x + TAPS / 2.0) / TAPS;
            double sinc = fabs(x) < 1e-9 ? cut : sin(G_PI * x * cut) / (G_PI * x);
            double window = 0.42 - 0.5 * cos(2 * G_PI * w) + 0.08 * cos(4 * G_PI * w);
            r->weight[p][i] = sinc * window;
            sum += sinc * window;
        }
        for (unsigned i = 0; i < TAPS; i++)
            r->weight[p][i] /= sum;
    }
    r->weighted = true;
}

struct resampler *resampler_new(unsigned from, unsigned to, bool exact)
{
    struct resampler *r = g_new0(struct resampler, 1);
    r->from = from;
    r->to = to;
    r->copies = exact && from == to;
    r->room = from * SECONDS + TAPS;
    r->in = g_new(int16_t, r->room * 2);
    resampler_correct(r, 1);
    resampler_clear(r);
    return r;
}

void resampler_free(struct resampler *r)
{
    if (r)
        g_free(r->in);
    g_free(r);
}

void resampler_correct(struct resampler *r, double factor)
{
    r->step = r->copies ? ONE : (uint64_t)(ONE * factor * r->from / r->to);
}

/* The first frame is in the middle of the first window. */
void resampler_clear(struct resampler *r)
{
    r->begin = 0;
    r->end = TAPS / 2 - 1;
    r->at = 0;
    memset(r->in, 0, r->end * 2 * sizeof *r->in);
}

size_t resampler_put(struct resampler *r, const int16_t *frames, size_t n)
{
    if (r->end + n > r->room) {
        memmove(r->in, r->in + 2 * r->begin, (r->end - r->begin) * 2 * sizeof *r->in);
        r->end -= r->begin;
        r->begin = 0;
    }
    size_t fits = MIN(n, r->room - r->end);
    memcpy(r->in + 2 * r->end, frames, fits * 2 * sizeof *r->in);
    r->end += fits;
    return n - fits;
}

void resampler_skip(struct resampler *r, size_t n)
{
    r->begin += MIN(n, resampler_level(r));
}

void resampler_flush(struct resampler *r)
{
    static const int16_t silence[TAPS] = {0};
    resampler_put(r, silence, TAPS / 2);
}

size_t resampler_level(const struct resampler *r)
{
    size_t n = r->end - r->begin;
    return n > TAPS ? n - TAPS : 0;
}

size_t resampler_ready(const struct resampler *r)
{
    size_t n = r->end - r->begin;
    uint64_t last = n < TAPS ? 0 : (uint64_t)(n - TAPS) << 32 | (ONE - 1);
    return n < TAPS || r->at > last ? 0 : (last - r->at) / r->step + 1;
}

static void one_frame(const struct resampler *r, const int16_t *in, uint32_t place, float *out)
{
    unsigned phase = place >> 24;
    float part = (place & 0xffffff) / 16777216.0f, left = 0, right = 0;
    const float *a = r->weight[phase], *b = r->weight[phase + 1];
    for (unsigned i = 0; i < TAPS; i++) {
        float w = a[i] + (b[i] - a[i]) * part;
        left += in[2 * i] * w;
        right += in[2 * i + 1] * w;
    }
    out[0] += left;
    out[1] += right;
}

size_t resampler_take(struct resampler *r, float *mix, size_t n)
{
    n = MIN(n, resampler_ready(r));
    if (n && !r->copies && !r->weighted)
        make_weights(r);
    for (size_t i = 0; i < n; i++, mix += 2) {
        const int16_t *in = r->in + 2 * (r->begin + (r->at >> 32));
        if (r->copies) {
            mix[0] += in[TAPS - 2];
            mix[1] += in[TAPS - 1];
        } else {
            one_frame(r, in, r->at & (ONE - 1), mix);
        }
        r->at += r->step;
    }
    size_t past = MIN(r->at >> 32, r->end - r->begin);
    r->begin += past;
    r->at -= (uint64_t)past << 32;
    return n;
}

void audio_clip(const float *mix, int16_t *frames, size_t samples)
{
    for (size_t i = 0; i < samples; i++)
        frames[i] = lrintf(CLAMP(mix[i], -32768.0f, 32767.0f));
}
