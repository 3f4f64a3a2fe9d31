// SPDX-License-Identifier: GPL-2.0-or-later
/* drawing.h - letters and shapes that panels, menus and signs are made of.  Lengths in points: whoever calls has scaled the context. */
#pragma once
#include <glib.h>
#include <pango/pangocairo.h>
#include <stdbool.h>

enum drawing_colour {
    COLOUR_TEXT,
    COLOUR_FAINT,    /* text of what cannot be chosen now, and of what is said beside */
    COLOUR_PANEL,    /* behind text, a little of the picture shines through */
    COLOUR_BAR,      /* behind text, none does */
    COLOUR_BUTTON,   /* what can be pressed */
    COLOUR_SELECTED, /* what Enter presses */
    COLOUR_LINE
};
void drawing_colour(cairo_t *cr, enum drawing_colour colour);
/* wrap: at so many points; 0: not at all.  g_object_unref. */
PangoLayout *drawing_text(cairo_t *cr, const char *text, bool bold, int wrap);
void drawing_put(cairo_t *cr, const char *text, bool bold, double x, double y); /* in the colour that is set */
void drawing_size(const char *text, bool bold, int wrap, int *width, int *height);
void drawing_rounded(cairo_t *cr, double x, double y, double w, double h, double radius); /* a path */
