// SPDX-License-Identifier: GPL-2.0-or-later
/* bar.h - the toolbar: menus, and what one must know of the keyboard just now.  In a window it is a strip above the picture; where
 * the user hid it, and in full screen, it comes over the picture while the pointer rests at the upper edge, or a menu is open. */
#pragma once
#include "gui/screen/canvas.h"
#include "gui/screen/menu.h"
#include <SDL.h>
#include <stdbool.h>

#define BAR_MENUS   8
#define BAR_HEIGHT  30 /* points */
#define BAR_REST_MS 300

struct bar_menu {
    const char *title;
    void (*fill)(void *ctx, struct menu *m); /* with what can be chosen now */
    void (*look)(void *ctx); /* when it opens: has that looked for, and bar_refill() called; may be NULL */
};
struct bar {
    const struct bar_menu *menus; /* ended by a title NULL */
    void *ctx;                    /* for fill, and for what is chosen */
    bool wanted;                  /* in a window it has a place of its own above the picture */
    bool strip;                   /* it has that now */
    bool over;                    /* it is over the picture for now */
    bool at_edge;                 /* the pointer is where it would come */
    uint32_t edge_since;          /* SDL ticks */
    bool by_key;                  /* the open menu was opened so: something in it is selected */
    int open, hover;              /* which menu; -1: none */
    int count, width, height;     /* of the window, in points */
    SDL_Rect title[BAR_MENUS];
    struct menu menu;
};

void bar_init(struct bar *b, const struct bar_menu *menus, void *ctx);
void bar_clear(struct bar *b);
void bar_arrange(struct bar *b, int width, int height); /* of the window, in points */
void bar_open(struct bar *b, int n, bool by_key);
void bar_close(struct bar *b);
bool bar_leave(struct bar *b);  /* the pointer is not there any more; has it to be drawn anew? */
void bar_refill(struct bar *b); /* what the open menu offers has changed */
/* Returns whether the event was for the bar or its menu; *changed: it has to be drawn anew. */
bool bar_event(struct bar *b, const SDL_Event *e, double point, bool *changed);
int bar_wait(const struct bar *b); /* ms until bar_tick() is due; -1: it need not be */
bool bar_tick(struct bar *b);      /* has it to be drawn anew? */
void bar_draw(const struct bar *b, struct canvas *c, double point, const char *said, bool stress);
