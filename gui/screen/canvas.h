// SPDX-License-Identifier: GPL-2.0-or-later
/* canvas.h - the window's own pixels, of which only what has changed is drawn and handed to the display.
 *
 * It is the window surface, not a renderer: most of what a desktop guest does changes a small part of its screen, and a renderer
 * draws all of the window every time. */
#pragma once
#include <SDL.h>
#include <cairo.h>
#include <stdbool.h>
#include <stdint.h>

struct canvas {
    SDL_Window *window;
    SDL_Rect dirty;       /* in pixels; empty: nothing to draw */
    int width, height;    /* in pixels, as last seen */
    SDL_Surface *surface; /* while something is drawn: what the display has */
    SDL_Surface *own;     /* ours, where its pixels are not x8r8g8b8; NULL: they are */
    SDL_Rect box;         /* while something is drawn: what of it */
    cairo_t *cairo;       /* clipped to the box; made when first asked for */
    cairo_surface_t *image;
};

/* Looks at the window's size anew.  true: it is another one, and all is dirty. */
bool canvas_measure(struct canvas *c);
void canvas_dirty(struct canvas *c, const SDL_Rect *box); /* NULL: all */
/* false: there is nothing to draw, or nowhere to. */
bool canvas_begin(struct canvas *c);
uint32_t *canvas_pixels(struct canvas *c, int *stride); /* of the whole window; stride in pixels */
void canvas_fill(struct canvas *c, SDL_Rect r, uint32_t colour);
cairo_t *canvas_cairo(struct canvas *c);
void canvas_end(struct canvas *c); /* and shows it */
void canvas_clear(struct canvas *c);
