// SPDX-License-Identifier: GPL-2.0-or-later
/* resampler.h - stereo sound of one rate becomes sound of another, whose ratio may change a little while it runs. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct resampler;
/* exact: its ratio is never corrected; equal rates are then copied as they are. */
struct resampler *resampler_new(unsigned from, unsigned to, bool exact);
void resampler_free(struct resampler *r); /* NULL is fine */
void resampler_correct(struct resampler *r,
                       double factor); /* 1: as made; 1.001: takes in 0.1 % more per frame that comes out */
/* Left and right of each frame.  Two seconds have room; what has none is lost: how many. */
size_t resampler_put(struct resampler *r, const int16_t *frames, size_t n);
void resampler_skip(struct resampler *r, size_t n);               /* so many that went in are not heard */
void resampler_flush(struct resampler *r);                        /* silence after the last one, so that it comes out */
void resampler_clear(struct resampler *r);                        /* all that waits is gone */
size_t resampler_level(const struct resampler *r);                /* frames of the rate that goes in */
size_t resampler_ready(const struct resampler *r);                /* frames that could come out */
size_t resampler_take(struct resampler *r, float *mix, size_t n); /* adds at most n to what is there; how many */
void audio_clip(const float *mix, int16_t *frames, size_t samples);
