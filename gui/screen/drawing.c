// SPDX-License-Identifier: GPL-2.0-or-later
/* drawing.c - see drawing.h. */
#include "gui/screen/drawing.h"

#define FONT "Sans 10"

void drawing_colour(cairo_t *cr, enum drawing_colour colour)
{
    static const double rgba[][4] = {
        [COLOUR_TEXT] = {0.95, 0.95, 0.95, 1},     [COLOUR_FAINT] = {0.62, 0.62, 0.64, 1},
        [COLOUR_PANEL] = {0.15, 0.15, 0.17, 0.96}, [COLOUR_BAR] = {0.19, 0.19, 0.21, 1},
        [COLOUR_BUTTON] = {0.33, 0.33, 0.35, 1},   [COLOUR_SELECTED] = {0.21, 0.52, 0.89, 1},
        [COLOUR_LINE] = {0.38, 0.38, 0.4, 1},
    };
    const double *c = rgba[colour];

    cairo_set_source_rgba(cr, c[0], c[1], c[2], c[3]);
}

PangoLayout *drawing_text(cairo_t *cr, const char *text, bool bold, int wrap)
{
    PangoLayout *l = pango_cairo_create_layout(cr);
    PangoFontDescription *font = pango_font_description_from_string(FONT);

    if (bold)
        pango_font_description_set_weight(font, PANGO_WEIGHT_BOLD);
    pango_layout_set_font_description(l, font);
    pango_font_description_free(font);
    pango_layout_set_text(l, text, -1);
    if (wrap) {
        pango_layout_set_width(l, wrap * PANGO_SCALE);
        pango_layout_set_wrap(l, PANGO_WRAP_WORD_CHAR);
    }
    return l;
}

void drawing_put(cairo_t *cr, const char *text, bool bold, double x, double y)
{
    PangoLayout *l = drawing_text(cr, text, bold, 0);

    cairo_move_to(cr, x, y);
    pango_cairo_show_layout(cr, l);
    g_object_unref(l);
}

void drawing_size(const char *text, bool bold, int wrap, int *width, int *height)
{
    cairo_surface_t *none = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, 1, 1);
    cairo_t *cr = cairo_create(none);
    PangoLayout *l = drawing_text(cr, text, bold, wrap);

    pango_layout_get_pixel_size(l, width, height);
    g_object_unref(l);
    cairo_destroy(cr);
    cairo_surface_destroy(none);
}

void drawing_rounded(cairo_t *cr, double x, double y, double w, double h, double radius)
{
    cairo_new_sub_path(cr);
    cairo_arc(cr, x + w - radius, y + radius, radius, -G_PI / 2, 0);
    cairo_arc(cr, x + w - radius, y + h - radius, radius, 0, G_PI / 2);
    cairo_arc(cr, x + radius, y + h - radius, radius, G_PI / 2, G_PI);
    cairo_arc(cr, x + radius, y + radius, radius, G_PI, 3 * G_PI / 2);
    cairo_close_path(cr);
}
