// SPDX-License-Identifier: GPL-2.0-or-later
/* screen.h - the window of one VM: what its parts share. */
#pragma once
#include "gui/screen/bar.h"
#include "gui/screen/canvas.h"
#include "gui/screen/clipboard.h"
#include "gui/screen/input.h"
#include "gui/screen/job.h"
#include "gui/screen/link.h"
#include "gui/screen/overlay.h"
#include "gui/screen/picture.h"
#include <SDL.h>

struct screen {
    const char *name;
    struct link *link;
    SDL_Window *window;
    struct canvas canvas;
    SDL_Rect room; /* for the picture, in the window's pixels */
    double dot;    /* the window's pixels for a point: what bar, menus and panels are measured in */
    double point;  /* window coordinates for a point */
    struct picture picture;
    struct input input;
    struct overlay overlay;
    struct bar bar;
    struct jobs jobs;
    struct clipboard_share clipboard;
    char *engine, *state;       /* "soft", "running" */
    char *notice;               /* shown for a while; NULL: nothing */
    uint32_t notice_until;      /* SDL ticks; 0: until the next one */
    JsonObject *drives, *cards; /* what vmctl told of them; NULL: not yet */
    char *dropped;              /* a file that is to go into a drive; NULL: none */
    char *choosing;             /* the drive that the user chooses a file for; NULL: none */
    struct sizing {
        bool possible; /* something in the guest sets its screen's size */
        uint32_t due;  /* SDL ticks: then the guest is asked for the window's; 0: it is not to be */
    } sizing;
    double zoom;                 /* pixels for a dot of the guest in a window that follows it */
    SDL_Rect windowed;           /* where the window was before full screen */
    bool user_sized;             /* the user chose the window's size: new modes do not change it */
    bool covers;                 /* full screen without a window manager's help */
    bool fullscreen, gone, quit; /* gone: the VM process */
    bool asked;                  /* whether to close */
    bool saving;                 /* the machine is being saved: its end is wanted */
    bool shutting_down;          /* the guest was asked to, because the window is to close */
    char *ended; /* why the machine ended while it was being saved; NULL: it did not, or needs no words */
};

/* window.c */
bool window_open(struct screen *s, bool fullscreen, char **problem);
void window_close(struct screen *s);
void window_draw(struct screen *s);    /* what is dirty */
void window_changed(struct screen *s); /* all of it is */
void window_arrange(struct screen *s); /* its size, its bar or its picture has changed */
void window_title(struct screen *s);
void window_notice(struct screen *s, const char *format, ...) G_GNUC_PRINTF(2, 3); /* for a few seconds */
void window_busy(struct screen *s, const char *text); /* the same until something else is said */
void window_notice_over(struct screen *s);
void window_fit(struct screen *s); /* to the guest's size, if there is room */
void window_fullscreen(struct screen *s, bool on);
double window_density(struct screen *s); /* pixels per window coordinate */

/* sizing.c: the guest's screen takes the window's size */
void sizing_changed(struct screen *s);   /* by the user's hand */
int sizing_wait(const struct screen *s); /* ms until sizing_tick() is to be called; -1: never */
void sizing_tick(struct screen *s);

/* signs.c: what is shown over the picture without being asked */
void signs_draw(struct screen *s);

/* actions.c: what one can do, by the host key together with another key or from the bar. */
void action_run(struct screen *s, SDL_Scancode key);
void action_close(struct screen *s);                  /* asks first if the VM runs; asked again, goes */
void action_ended(struct screen *s, const char *why); /* tells that the VM has stopped */
void action_ask(struct screen *s, const char *title, const char *text, const char *const *buttons,
                void (*chosen)(void *ctx, int button));
bool actions_possible(const struct screen *s);                                                /* the VM is there */
void action_job(struct screen *s, const char *busy, const char *const *words, job_done done); /* by vmctl */

/* menus.c */
enum action_menu { ACTIONS_MACHINE, ACTIONS_KEYS, ACTIONS_VIEW, ACTIONS_NOT_IN_A_MENU };
void actions_fill(struct screen *s, struct menu *m, enum action_menu which);
extern const struct bar_menu screen_menus[];
void menus_dropped(struct screen *s, const char *file); /* into a drive */
void menus_clear(struct screen *s);

/* closing.c: what closing the window means for the machine */
enum closing { CLOSING_ASK, CLOSING_KEEP, CLOSING_SAVE, CLOSING_SHUT_DOWN, CLOSING_POWER_OFF };
void closing_begin(struct screen *s); /* asks, or does what machine.ini remembers */
void closing_shut_down(struct screen *s);
void closing_save(struct screen *s);
void closing_power_off(struct screen *s); /* after asking */

/* remembered.c: sections [window] and [additions] of machine.ini */
enum closing remembered_closing(const struct screen *s);
char *remembered_host_key(const struct screen *s); /* by SDL's name; g_free */
bool remembered_bar(const struct screen *s);
bool remembered_sizing(const struct screen *s);                      /* the guest follows the window's size */
char *remembered_clipboard(const struct screen *s);                  /* "off", "to-guest", "to-host", "both"; g_free */
void remember(struct screen *s, const char *key, const char *value); /* a notice says so if it cannot be */
