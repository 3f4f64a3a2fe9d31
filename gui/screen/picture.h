// SPDX-License-Identifier: GPL-2.0-or-later
/* picture.h - the VM's picture: shared memory, its texture, and where in the window it is. */
#pragma once
#include "gui/screen/link.h"
#include <SDL.h>

enum scaling {
    SCALE_FIT,   /* as large as fits, smooth */
    SCALE_WHOLE, /* by whole numbers, every dot a square */
    SCALE_COUNT
};
struct picture {
    const uint32_t *pixels; /* x8r8g8b8, shared with the VM process; NULL: none yet */
    int width, height, stride;
    SDL_Texture *texture;
    enum scaling scaling;
    SDL_Rect place; /* in the renderer's pixels, as last drawn */
    bool dimmed;    /* the VM has stopped */
};

/* Takes the descriptor of the news.  false: it was no picture; the old one is gone all the same. */
bool picture_replace(struct picture *p, SDL_Renderer *r, struct link_news *n);
void picture_update(struct picture *p, const struct link_news *n); /* the damaged box, into the texture */
void picture_restore(struct picture *p, SDL_Renderer *r);          /* after the renderer lost its textures */
void picture_draw(struct picture *p, SDL_Renderer *r);             /* and black around it */
void picture_clear(struct picture *p);
