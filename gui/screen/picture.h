// SPDX-License-Identifier: GPL-2.0-or-later
/* picture.h - the VM's picture: shared memory, and where in the window it is. */
#pragma once
#include "gui/screen/canvas.h"
#include "gui/screen/link.h"
#include "gui/screen/scale.h"
#include <SDL.h>

enum scaling {
    SCALE_FIT,   /* as large as fits, smooth */
    SCALE_WHOLE, /* by whole numbers, every dot a square; smaller than the guest's screen: smooth */
    SCALE_COUNT
};
struct picture {
    const uint32_t *pixels; /* x8r8g8b8, shared with the VM process; NULL: none yet */
    int width, height, stride;
    enum scaling scaling;
    SDL_Rect place; /* in the window's pixels */
    bool dimmed;    /* the VM stands still, or has stopped */
    struct scaler scaler;
};

/* Takes the descriptor of the news.  false: it was no picture; the old one is gone all the same. */
bool picture_replace(struct picture *p, struct link_news *n);
void picture_arrange(struct picture *p,
                     const SDL_Rect *room); /* after a new picture, another room or another scaling */
SDL_Rect picture_damaged(const struct picture *p,
                         const struct link_news *n); /* the damaged box, in the window's pixels */
void picture_draw(struct picture *p, struct canvas *c, const SDL_Rect *room); /* and black around it */
void picture_clear(struct picture *p);
