// SPDX-License-Identifier: GPL-2.0-or-later
/* menu.h - a list of things to choose from, over the picture. */
#pragma once
#include "gui/screen/canvas.h"
#include <SDL.h>
#include <glib.h>
#include <stdbool.h>

typedef void (*menu_chosen)(void *ctx, const char *arg);
struct menu_item {
    char *label, *keys, *arg; /* label NULL: a line; keys: what does the same, NULL: nothing; arg: for chosen */
    menu_chosen chosen;       /* NULL: a heading, or not to be chosen now */
    bool heading, checked;
};
struct menu {
    bool shown;
    GArray *items;  /* of struct menu_item; NULL: there have been none */
    int selected;   /* -1: none */
    int scrolled;   /* in points: what of it is above the window */
    SDL_Rect place; /* in points */
};
enum menu_answer {
    MENU_NOT_MINE,
    MENU_TAKEN,
    MENU_CHOSEN,   /* menu_choose() it */
    MENU_CLOSE,    /* Escape, or a click elsewhere */
    MENU_PREVIOUS, /* the menu to the left is wanted */
    MENU_NEXT,
};

void menu_empty(struct menu *m); /* without items; not shown */
void menu_add(struct menu *m, const char *label, const char *keys, bool checked, menu_chosen chosen, const char *arg);
void menu_add_heading(struct menu *m, const char *label);
void menu_add_line(struct menu *m);
/* At this place, or further left or less of it where there is no room; in points. */
void menu_arrange(struct menu *m, int x, int y, int width, int height);
void menu_select(struct menu *m, int n); /* nothing, if that cannot be chosen */
void menu_select_first(struct menu *m);
enum menu_answer menu_event(struct menu *m, const SDL_Event *e, double point);
void menu_choose(struct menu *m, void *ctx); /* what is selected; the menu is empty then */
void menu_draw(const struct menu *m, struct canvas *c, double point);
void menu_clear(struct menu *m);
