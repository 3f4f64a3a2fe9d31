// SPDX-License-Identifier: GPL-2.0-or-later
/* x11.h - what SDL leaves undone on X11: errors that are nobody's fault, full screen where no window manager helps, and how large
 * the desktop wants its letters.  On other displays these do nothing. */
#pragma once
#include <SDL.h>
#include <stdbool.h>

/* A window manager that ends takes its frames with it; requests that name one of them fail, and Xlib's answer to that is exit(). */
void x11_survive_errors(void);
/* Does a window manager run that knows full screen (EWMH)?  true on displays that are not X11. */
bool x11_knows_fullscreen(SDL_Window *w);
/* Covers the box of the desktop, above everything, without a frame; or gives the window back to the window manager, if there is one. */
void x11_cover(SDL_Window *w, const SDL_Rect *box);
void x11_uncover(SDL_Window *w, const SDL_Rect *box);
double x11_text_scale(SDL_Window *w); /* of letters, 1 at 96 dots an inch, as the desktop's settings have it */
