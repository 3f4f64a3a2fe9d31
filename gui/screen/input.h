// SPDX-License-Identifier: GPL-2.0-or-later
/* input.h - the user's keys and mouse on their way to the VM.
 *
 * Capture: keyboard and mouse belong to the guest until the host key is pressed alone, or left Ctrl and left Alt are
 * together (not every keyboard has the host key), or the window loses the focus.  A guest that takes absolute coordinates needs no captured mouse; capture is then of the keyboard only. */
#pragma once
#include "gui/screen/link.h"
#include <SDL.h>
#include <linux/input-event-codes.h>

struct input {
    struct link *link;
    SDL_Window *window;
    SDL_Scancode host_key;
    bool captured, absolute, shape; /* shape: the guest gave the pointer one, which we show */
    bool paused;                    /* the guest stands still: what is typed now is for nobody */
    bool host_down, host_used;      /* the host key is held; another key was pressed with it */
    unsigned way_out, way_out_down; /* left Ctrl and left Alt: seen since nothing was pressed; held now */
    bool held[KEY_CNT];             /* what the guest believes to be down */
    unsigned buttons;
    int screen; /* whose picture the pointer is over */
    bool leds_known;
    unsigned leds, tapped; /* lock keys: the guest's LEDs; those that it did not follow when they were last tapped */
    int dx, dy, wheel;     /* moved since last sent */
    bool moved, inside;    /* inside: absolute, over the picture */
    int x, y;              /* absolute, 0-65535 */
};

void input_capture(struct input *in, bool on);
void input_absolute(struct input *in, bool on);
/* The guest stands still, or no longer. */
void input_pause(struct input *in, bool paused);
void input_release_all(struct input *in); /* no key and no button is down any more */
/* Num lock and caps lock are the host's while the window has no focus; these make the guest's the same.  leds: what the
 * guest shows; true the first time. */
bool input_leds(struct input *in, unsigned leds);
void input_sync_locks(struct input *in); /* the window got the focus */
/* Feeds one event.  Returns the key pressed together with the host key: an action, or SDL_SCANCODE_UNKNOWN. */
SDL_Scancode input_key(struct input *in, const SDL_KeyboardEvent *e);
/* place: of the picture in the renderer's pixels, density: pixels per window coordinate. */
void input_motion(struct input *in, const SDL_MouseMotionEvent *e, const SDL_Rect *place, double density);
void input_leave(struct input *in); /* the pointer is over something else now */
void input_button(struct input *in, const SDL_MouseButtonEvent *e);
void input_wheel(struct input *in, const SDL_MouseWheelEvent *e);
void input_flush(struct input *in); /* sends the movements that were added up */
