// SPDX-License-Identifier: GPL-2.0-or-later
/* screen.h - the window of one VM: what its parts share. */
#pragma once
#include "gui/screen/input.h"
#include "gui/screen/link.h"
#include "gui/screen/overlay.h"
#include "gui/screen/picture.h"
#include <SDL.h>

struct screen {
    const char *name;
    struct link *link;
    SDL_Window *window;
    SDL_Renderer *renderer;
    struct picture picture;
    struct input input;
    struct overlay overlay;
    char *engine, *state;        /* "soft", "running" */
    char *notice;                /* shown in the title for a while; NULL: nothing */
    uint32_t notice_until;       /* SDL ticks */
    bool user_sized;             /* the user chose the window's size: new modes do not change it */
    bool fullscreen, gone, quit; /* gone: the VM process */
    bool asked, redraw;          /* asked: whether to close */
};

/* window.c */
bool window_open(struct screen *s, bool fullscreen, char **problem);
void window_close(struct screen *s);
void window_draw(struct screen *s);
void window_title(struct screen *s);
void window_notice(struct screen *s, const char *format, ...) G_GNUC_PRINTF(2, 3); /* a few seconds in the title */
void window_fit(struct screen *s); /* to the guest's size, if there is room */
void window_fullscreen(struct screen *s, bool on);
double window_density(struct screen *s); /* pixels per window coordinate */

/* actions.c: what the host key does together with another key. */
void action_run(struct screen *s, SDL_Scancode key);
void action_close(struct screen *s);                  /* asks first if the VM runs; asked again, goes */
void action_ended(struct screen *s, const char *why); /* tells that the VM has stopped */
char *actions_help(const struct screen *s);           /* g_free */
