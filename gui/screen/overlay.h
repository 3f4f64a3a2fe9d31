// SPDX-License-Identifier: GPL-2.0-or-later
/* overlay.h - a panel over the picture: a text and up to four buttons.  (SDL's own message boxes need X core fonts or a
 * helper program, and then look like neither the desktop nor us.) */
#pragma once
#include <SDL.h>
#include <stdbool.h>

#define OVERLAY_BUTTONS 4
struct overlay {
    bool shown;
    char *title, *text;
    const char *const *buttons; /* NULL-terminated; Escape is the last one */
    int count, selected;
    void (*chosen)(void *ctx, int button); /* the panel is gone already and may be shown anew */
    void *ctx;
    SDL_Texture *texture;                    /* NULL: to be drawn */
    SDL_Rect place, button[OVERLAY_BUTTONS]; /* in the renderer's pixels; buttons relative to place */
};

/* Replaces what was shown.  selected: the button that Enter presses. */
void overlay_show(struct overlay *o, const char *title, const char *text, const char *const *buttons, int selected,
                  void (*chosen)(void *ctx, int button), void *ctx);
void overlay_hide(struct overlay *o);
/* density: renderer's pixels per window coordinate.  Returns whether the event was for the panel. */
bool overlay_event(struct overlay *o, const SDL_Event *e, double density);
void overlay_draw(struct overlay *o, SDL_Renderer *r, double density);
void overlay_stale(struct overlay *o); /* size, density or renderer changed */
