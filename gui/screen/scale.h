// SPDX-License-Identifier: GPL-2.0-or-later
/* scale.h - a picture in another size, by the CPU and only where it changed.
 *
 * A dot of the target is a weighted sum of dots of the source, first down the columns, then along the row.  Which ones is computed
 * once for each size (struct scale_taps): between two neighbours where the picture grows, all that lie under the dot where it shrinks, so that
 * no line of a letter gets lost; and exactly one where dots are to stay squares. */
#pragma once
#include <SDL.h>
#include <stdbool.h>
#include <stdint.h>

struct scale_taps {
    int length;        /* of the target */
    int most;          /* weights for each dot of the target */
    int *first;        /* the first dot of the source that counts */
    uint16_t *weights; /* most for each dot, in 256ths: their sum is 256 */
};
struct scaler {
    int from_w, from_h, to_w, to_h; /* 0: not prepared */
    bool sharp;
    struct scale_taps x, y;
    uint32_t *row, *sums; /* one row of the source that is blended; and its sums, red and blue before green */
};

/* sharp: dots become squares, which looks right for whole factors only. */
void scaler_prepare(struct scaler *s, int from_w, int from_h, int to_w, int to_h, bool sharp);
void scaler_clear(struct scaler *s);
/* What of the target a box of the source touches. */
SDL_Rect scaler_touched(const struct scaler *s, SDL_Rect box);
/* Draws the box of the target.  Strides in pixels; both x8r8g8b8; the upper byte of the target is anything. */
void scaler_draw(struct scaler *s, const uint32_t *from, int from_stride, uint32_t *to, int to_stride, SDL_Rect box);
