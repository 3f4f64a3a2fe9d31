// SPDX-License-Identifier: GPL-2.0-or-later
/* signs.c - what is shown over the picture without being asked: that the machine stands still, and notices where there is no bar. */
#include "gui/screen/drawing.h"
#include "gui/screen/screen.h"
#include <string.h>

enum { RADIUS = 34, BAR_WIDTH = 9, BAR_LENGTH = 30, GAP = 14, PAD = 12, FROM_EDGE = 20 };

/* In the room for the picture, in points. */
static SDL_Rect room(const struct screen *s)
{
    return (SDL_Rect){s->room.x / s->dot, s->room.y / s->dot, s->room.w / s->dot, s->room.h / s->dot};
}

static void shade(const struct screen *s, cairo_t *cr)
{
    cairo_rectangle(cr, s->room.x, s->room.y, s->room.w, s->room.h);
    cairo_set_source_rgba(cr, 0, 0, 0, 0.62);
    cairo_fill(cr);
}

static void two_bars(cairo_t *cr, double x, double y)
{
    cairo_new_sub_path(cr);
    cairo_arc(cr, x, y, RADIUS, 0, 2 * G_PI);
    drawing_colour(cr, COLOUR_PANEL);
    cairo_fill_preserve(cr);
    drawing_colour(cr, COLOUR_TEXT);
    cairo_stroke(cr);
    cairo_rectangle(cr, x - 5 - BAR_WIDTH, y - BAR_LENGTH / 2.0, BAR_WIDTH, BAR_LENGTH);
    cairo_rectangle(cr, x + 5, y - BAR_LENGTH / 2.0, BAR_WIDTH, BAR_LENGTH);
    cairo_fill(cr);
}

static void label(cairo_t *cr, const char *text, bool bold, double x, double y, int width)
{
    PangoLayout *l = drawing_text(cr, text, bold, MAX(width - 2 * PAD, 1));
    int w, h;

    pango_layout_set_alignment(l, PANGO_ALIGN_CENTER);
    pango_layout_set_width(l, -1);
    pango_layout_get_pixel_size(l, &w, &h);
    if (w > width - 2 * PAD) {
        pango_layout_set_width(l, MAX(width - 2 * PAD, 1) * PANGO_SCALE);
        pango_layout_get_pixel_size(l, &w, &h);
        x -= (MAX(width - 2 * PAD, 1) - w) / 2.0;
    }
    drawing_rounded(cr, x - w / 2.0 - PAD, y - PAD / 2.0, w + 2 * PAD, h + PAD, 6);
    drawing_colour(cr, COLOUR_PANEL);
    cairo_fill(cr);
    drawing_colour(cr, COLOUR_TEXT);
    cairo_move_to(cr, x - w / 2.0, y);
    pango_cairo_show_layout(cr, l);
    g_object_unref(l);
}

static void paused(const struct screen *s, cairo_t *cr)
{
    SDL_Rect r = room(s);
    double x = r.x + r.w / 2.0, y = r.y + r.h / 2.0;
    g_autofree char *text = g_strdup_printf("Paused - %s+P goes on", SDL_GetScancodeName(s->input.host_key));

    two_bars(cr, x, y - GAP);
    label(cr, text, true, x, y - GAP + RADIUS + GAP, r.w);
}

void signs_draw(struct screen *s)
{
    SDL_Rect r = room(s);
    cairo_t *cr;

    if (!s->picture.dimmed && (!s->notice || s->bar.strip))
        return;
    cr = canvas_cairo(&s->canvas);
    cairo_save(cr);
    if (s->picture.dimmed)
        shade(s, cr);
    cairo_scale(cr, s->dot, s->dot);
    cairo_set_line_width(cr, 2);
    if (!strcmp(s->state, "paused") && !s->saving)
        paused(s, cr);
    if (s->notice && !s->bar.strip)
        label(cr, s->notice, false, r.x + r.w / 2.0, r.y + r.h - FROM_EDGE - GAP, r.w);
    cairo_restore(cr);
}
