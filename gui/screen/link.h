// SPDX-License-Identifier: GPL-2.0-or-later
/* link.h - the window's connection to its VM, on a thread of its own: SDL waits for the user on the main thread, and the
 * control socket must not wait for SDL.
 *
 * What the VM tells is added up in struct link_news; one SDL event (link_event()) says that there is some.  So a window
 * that is busy never has a queue of old pictures to work off. */
#pragma once
#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

struct link;
struct link_cursor {
    bool visible;
    int hot_x, hot_y, width, height;
    int fd; /* width * height ARGB pixels; -1: none */
};
struct link_news {
    bool mode; /* a new picture: */
    int fd;    /* its memory, the taker's; -1: none */
    int64_t width, height, stride;
    bool damage; /* a box of it to redraw: */
    int64_t left, top, right, bottom;
    bool cursor_changed;
    struct link_cursor cursor;
    bool input_changed, absolute; /* the guest takes absolute coordinates, or no longer */
    bool sets_size;               /* something in the guest sets its screen's size */
    unsigned leds;                /* its keyboard's: bit 1 num lock, 2 caps lock */
    char *state;                  /* "running", "paused", "stopped"; NULL: as before */
    char *end, *message;          /* of "stopped" */
    char *clipboard;              /* the text on the guest's, as it was asked for; NULL: none */
    char *complaint;              /* the VM refused something; NULL: nothing */
    bool closed;                  /* the VM process has gone */
};

/* Connects and asks for the picture.  engine (g_free) and the state come with it. */
struct link *link_open(const char *name, char **engine, char **state, GError **error);
void link_close(struct link *l);
uint32_t link_event(struct link *l); /* the SDL event type that announces news */
void link_take(struct link *l, struct link_news *n);
void link_news_clear(struct link_news *n);
void link_send(struct link *l, const char *command, JsonObject *args); /* takes args; a refusal comes as a complaint */
