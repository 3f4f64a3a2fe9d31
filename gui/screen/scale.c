// SPDX-License-Identifier: GPL-2.0-or-later
/* scale.c - see scale.h. */
#include "gui/screen/scale.h"
#include <glib.h>
#include <math.h>
#include <string.h>

#define ONE 256 /* the sum of a dot's weights */

/* ---- which dots count ---- */

static void taps_clear(struct scale_taps *t)
{
    g_free(t->first);
    g_free(t->weights);
    *t = (struct scale_taps){0};
}

static void one_dot(struct scale_taps *t, int i, int at)
{
    t->first[i] = at;
    t->weights[i * t->most] = ONE;
}

/* Between the two dots whose centres are next. */
static void two_dots(struct scale_taps *t, int i, int from, double ratio)
{
    double at = CLAMP((i + 0.5) * ratio - 0.5, 0, from - 1);
    int first = MIN((int)at, MAX(from - 2, 0));

    t->first[i] = first;
    t->weights[i * t->most + 1] = from > 1 ? lround((at - first) * ONE) : 0;
    t->weights[i * t->most] = ONE - t->weights[i * t->most + 1];
}

/* All that lie under it, by how much.  What is rounded is the sum so far, so that all of them are ONE. */
static void all_under(struct scale_taps *t, int i, int from, double ratio)
{
    double begin = i * ratio, end = MIN((i + 1) * ratio, from);
    int first = MIN((int)begin, from - 1), done = 0;

    t->first[i] = first;
    for (int n = 0; n < t->most; n++) {
        double part = (MIN(first + n + 1, end) - begin) / (end - begin);
        int sum = first + n + 1 >= end ? ONE : lround(part * ONE);
        t->weights[i * t->most + n] = sum - done;
        done = sum;
    }
}

static void taps_make(struct scale_taps *t, int from, int to, bool sharp)
{
    double ratio = (double)from / to;

    taps_clear(t);
    t->length = to;
    t->most = sharp || from == to ? 1 : from < to ? 2 : (int)ceil(ratio) + 1;
    t->first = g_new(int, to);
    t->weights = g_new0(uint16_t, (size_t)to * t->most);
    for (int i = 0; i < to; i++)
        if (t->most == 1)
            one_dot(t, i, MIN((int)(i * ratio), from - 1));
        else if (from < to)
            two_dots(t, i, from, ratio);
        else
            all_under(t, i, from, ratio);
}

void scaler_clear(struct scaler *s)
{
    taps_clear(&s->x);
    taps_clear(&s->y);
    g_free(s->row);
    g_free(s->sums);
    *s = (struct scaler){0};
}

void scaler_prepare(struct scaler *s, int from_w, int from_h, int to_w, int to_h, bool sharp)
{
    if (s->from_w == from_w && s->from_h == from_h && s->to_w == to_w && s->to_h == to_h && s->sharp == sharp)
        return;
    scaler_clear(s);
    *s = (struct scaler){.from_w = from_w, .from_h = from_h, .to_w = to_w, .to_h = to_h, .sharp = sharp};
    taps_make(&s->x, from_w, to_w, sharp);
    taps_make(&s->y, from_h, to_h, sharp);
    s->row = g_new(uint32_t, from_w);
    s->sums = g_new(uint32_t, 2 * (size_t)from_w);
}

/* A dot more at each side: what is blended with a neighbour. */
static void touched(int from, int to, int begin, int length, int *out, int *out_length)
{
    double ratio = (double)to / from;
    int first = MAX((int)floor((begin - 1) * ratio), 0), end = MIN((int)ceil((begin + length + 1) * ratio), to);

    *out = first;
    *out_length = MAX(end - first, 0);
}

SDL_Rect scaler_touched(const struct scaler *s, SDL_Rect box)
{
    SDL_Rect out;

    touched(s->from_w, s->to_w, box.x, box.w, &out.x, &out.w);
    touched(s->from_h, s->to_h, box.y, box.h, &out.y, &out.h);
    return out;
}

/* ---- drawing ---- */

/* Red and blue are summed in one word, 16 bits each: 255 * ONE fits. */
static inline uint32_t red_blue(uint32_t dot)
{
    return dot & 0xff00ff;
}

static inline uint32_t green(uint32_t dot)
{
    return dot >> 8 & 0xff;
}

static inline uint32_t whole(uint32_t rb, uint32_t g)
{
    return (rb >> 8 & 0xff00ff) | (g & 0xff00);
}

static void add_row(uint32_t *restrict rb, uint32_t *restrict g, const uint32_t *restrict from, uint32_t weight,
                    int count)
{
    for (int i = 0; i < count; i++) {
        rb[i] += red_blue(from[i]) * weight;
        g[i] += green(from[i]) * weight;
    }
}

static void finish_row(uint32_t *restrict out, const uint32_t *restrict rb, const uint32_t *restrict g, int count)
{
    for (int i = 0; i < count; i++)
        out[i] = whole(rb[i], g[i]);
}

/* Dots begin to end of the source's row that the target's row y is made of. */
static const uint32_t *blend_rows(struct scaler *s, const uint32_t *from, int stride, int y, int begin, int end)
{
    const uint16_t *weights = s->y.weights + (size_t)y * s->y.most;
    const uint32_t *first = from + (size_t)s->y.first[y] * stride;
    uint32_t *rb = s->sums, *g = s->sums + s->from_w;

    if (weights[0] == ONE)
        return first;
    memset(rb, 0, (end - begin) * sizeof *rb);
    memset(g, 0, (end - begin) * sizeof *g);
    for (int n = 0; n < s->y.most; n++)
        if (weights[n])
            add_row(rb, g, first + (size_t)n * stride + begin, weights[n], end - begin);
    finish_row(s->row + begin, rb, g, end - begin);
    return s->row;
}

static void blend_dots(const struct scale_taps *t, const uint32_t *from, uint32_t *to, int begin, int end)
{
    for (int x = begin; x < end; x++) {
        const uint16_t *weights = t->weights + (size_t)x * t->most;
        const uint32_t *dot = from + t->first[x];
        uint32_t rb = 0, g = 0;
        for (int n = 0; n < t->most && (n == 0 || weights[n]); n++) {
            rb += red_blue(dot[n]) * weights[n];
            g += green(dot[n]) * weights[n];
        }
        to[x] = whole(rb, g);
    }
}

static void pick_dots(const struct scale_taps *t, const uint32_t *from, uint32_t *to, int begin, int end)
{
    for (int x = begin; x < end; x++)
        to[x] = from[t->first[x]];
}

static void draw_row(struct scaler *s, const uint32_t *from, int stride, uint32_t *to, int y, const SDL_Rect *box)
{
    int left = box->x, right = box->x + box->w;
    int begin = s->x.first[left], end = MIN(s->x.first[right - 1] + s->x.most, s->from_w);
    const uint32_t *row = blend_rows(s, from, stride, y, begin, end);

    if (s->from_w == s->to_w)
        memcpy(to + left, row + left, box->w * sizeof *to);
    else if (s->x.most == 1)
        pick_dots(&s->x, row, to, left, right);
    else
        blend_dots(&s->x, row, to, left, right);
}

void scaler_draw(struct scaler *s, const uint32_t *from, int from_stride, uint32_t *to, int to_stride, SDL_Rect box)
{
    const SDL_Rect all = {0, 0, s->to_w, s->to_h};

    if (!SDL_IntersectRect(&box, &all, &box))
        return;
    for (int y = box.y; y < box.y + box.h; y++) {
        uint32_t *row = to + (size_t)y * to_stride;
        bool again = y > box.y && s->y.most == 1 && s->y.first[y] == s->y.first[y - 1];
        if (again)
            memcpy(row + box.x, row - to_stride + box.x, box.w * sizeof *row);
        else
            draw_row(s, from, from_stride, row, y, &box);
    }
}
