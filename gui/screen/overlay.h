// SPDX-License-Identifier: GPL-2.0-or-later
/* overlay.h - a panel over the picture: a text, perhaps a box to tick, and up to five buttons.  (SDL's own message boxes need X core
 * fonts or a helper program, and then look like neither the desktop nor us.) */
#pragma once
#include "gui/screen/canvas.h"
#include <SDL.h>
#include <stdbool.h>

#define OVERLAY_BUTTONS 5
struct overlay {
    bool shown;
    char *title, *text, *tick; /* tick: what is beside the box; NULL: there is none */
    bool ticked;
    const char *const *buttons;            /* NULL-terminated; Escape is the last one */
    int count, selected;                   /* selected: count means the box */
    int pressed;                           /* by the mouse, and not yet released; the same, -1: nothing */
    void (*chosen)(void *ctx, int button); /* the panel is gone already and may be shown anew */
    void *ctx;
    double scale;                                 /* below 1 in a window that is too small for it */
    SDL_Rect place;                               /* in points, measured when it is shown or the window changes */
    SDL_Rect button[OVERLAY_BUTTONS], tick_place; /* relative to place */
};

/* Replaces what was shown.  selected: the button that Enter presses. */
void overlay_show(struct overlay *o, const char *title, const char *text, const char *const *buttons, int selected,
                  void (*chosen)(void *ctx, int button), void *ctx);
void overlay_offer_tick(struct overlay *o,
                        const char *text); /* after overlay_show(): a box to tick; o->ticked says whether it is */
void overlay_hide(struct overlay *o);
void overlay_arrange(struct overlay *o, int width, int height); /* of the window, in points */
/* x, y of mouse events: in points.  Returns whether the event was for the panel. */
bool overlay_event(struct overlay *o, const SDL_Event *e, double point);
void overlay_draw(struct overlay *o, struct canvas *c, double point); /* point: pixels for one */
