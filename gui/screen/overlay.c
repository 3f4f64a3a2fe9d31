// SPDX-License-Identifier: GPL-2.0-or-later
/* overlay.c - messages and buttons over the picture, drawn by Pango and Cairo. */
#include "gui/screen/overlay.h"
#include <glib.h>
#include <pango/pangocairo.h>

/* All lengths in points of the desktop, scaled by the density. */
enum { MARGIN = 24, GAP = 14, BUTTON_PAD_X = 14, BUTTON_PAD_Y = 8, TEXT_WIDTH = 460, CORNER = 10 };
#define FONT "Sans 10"

void overlay_stale(struct overlay *o)
{
    if (o->texture)
        SDL_DestroyTexture(o->texture);
    o->texture = NULL;
}

void overlay_hide(struct overlay *o)
{
    overlay_stale(o);
    g_clear_pointer(&o->title, g_free);
    g_clear_pointer(&o->text, g_free);
    o->shown = false;
}

void overlay_show(struct overlay *o, const char *title, const char *text, const char *const *buttons, int selected,
                  void (*chosen)(void *ctx, int button), void *ctx)
{
    overlay_hide(o);
    o->shown = true;
    o->title = g_strdup(title);
    o->text = g_strdup(text);
    o->buttons = buttons;
    for (o->count = 0; buttons[o->count] && o->count < OVERLAY_BUTTONS;)
        o->count++;
    o->selected = selected;
    o->chosen = chosen;
    o->ctx = ctx;
}

/* ---- events ---- */

static void choose(struct overlay *o, int button)
{
    void (*chosen)(void *, int) = o->chosen;

    overlay_hide(o);
    if (chosen)
        chosen(o->ctx, button);
}

static void select_next(struct overlay *o, int step)
{
    o->selected = (o->selected + o->count + step) % o->count;
    overlay_stale(o);
}

static void key(struct overlay *o, const SDL_KeyboardEvent *e)
{
    switch (e->keysym.sym) {
    case SDLK_ESCAPE: choose(o, o->count - 1); break;
    case SDLK_RETURN:
    case SDLK_KP_ENTER:
    case SDLK_SPACE: choose(o, o->selected); break;
    case SDLK_LEFT: select_next(o, -1); break;
    case SDLK_RIGHT: select_next(o, 1); break;
    case SDLK_TAB: select_next(o, e->keysym.mod & KMOD_SHIFT ? -1 : 1); break;
    default: break;
    }
}

static int button_at(const struct overlay *o, int x, int y, double density)
{
    SDL_Point at = {x * density - o->place.x, y * density - o->place.y};

    for (int i = 0; i < o->count; i++)
        if (SDL_PointInRect(&at, &o->button[i]))
            return i;
    return -1;
}

static void motion(struct overlay *o, const SDL_MouseMotionEvent *e, double density)
{
    int button = button_at(o, e->x, e->y, density);

    if (button < 0 || button == o->selected)
        return;
    o->selected = button;
    overlay_stale(o);
}

bool overlay_event(struct overlay *o, const SDL_Event *e, double density)
{
    int button;

    if (!o->shown)
        return false;
    switch (e->type) {
    case SDL_KEYDOWN: key(o, &e->key); return true;
    case SDL_MOUSEMOTION: motion(o, &e->motion, density); return true;
    case SDL_MOUSEBUTTONUP:
        button = button_at(o, e->button.x, e->button.y, density);
        if (button >= 0)
            choose(o, button);
        return true;
    case SDL_KEYUP:
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEWHEEL: return true;
    default: return false;
    }
}

/* ---- drawing ---- */

static PangoLayout *layout(cairo_t *cr, const char *text, bool bold, int wrap)
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

static void rounded(cairo_t *cr, double x, double y, double w, double h, double radius)
{
    cairo_new_sub_path(cr);
    cairo_arc(cr, x + w - radius, y + radius, radius, -G_PI / 2, 0);
    cairo_arc(cr, x + w - radius, y + h - radius, radius, 0, G_PI / 2);
    cairo_arc(cr, x + radius, y + h - radius, radius, G_PI / 2, G_PI);
    cairo_arc(cr, x + radius, y + radius, radius, G_PI, 3 * G_PI / 2);
    cairo_close_path(cr);
}

/* One pass measures (draw false), the next one draws: both follow the same path. */
static int put_text(cairo_t *cr, const char *text, bool bold, int y, bool draw, int *width)
{
    PangoLayout *l = layout(cr, text, bold, TEXT_WIDTH);
    int w, h;

    pango_layout_get_pixel_size(l, &w, &h);
    if (draw) {
        cairo_set_source_rgb(cr, 0.95, 0.95, 0.95);
        cairo_move_to(cr, MARGIN, y);
        pango_cairo_show_layout(cr, l);
    }
    g_object_unref(l);
    *width = MAX(*width, w);
    return h;
}

static void put_button(struct overlay *o, cairo_t *cr, int i, int *x, int y, bool draw, int *height)
{
    PangoLayout *l = layout(cr, o->buttons[i], false, 0);
    int w, h;

    pango_layout_get_pixel_size(l, &w, &h);
    *height = h + 2 * BUTTON_PAD_Y;
    o->button[i] = (SDL_Rect){*x, y, w + 2 * BUTTON_PAD_X, *height};
    if (draw) {
        rounded(cr, *x, y, o->button[i].w, *height, CORNER / 2.0);
        if (i == o->selected)
            cairo_set_source_rgb(cr, 0.21, 0.52, 0.89);
        else
            cairo_set_source_rgb(cr, 0.33, 0.33, 0.35);
        cairo_fill(cr);
        cairo_set_source_rgb(cr, 1, 1, 1);
        cairo_move_to(cr, *x + BUTTON_PAD_X, y + BUTTON_PAD_Y);
        pango_cairo_show_layout(cr, l);
    }
    g_object_unref(l);
    *x += o->button[i].w + GAP / 2;
}

static void put_all(struct overlay *o, cairo_t *cr, bool draw, int *width, int *height)
{
    int x = MARGIN, y = MARGIN, button_height = 0, text_width = 0;

    if (draw) {
        rounded(cr, 0, 0, *width, *height, CORNER);
        cairo_set_source_rgba(cr, 0.15, 0.15, 0.17, 0.96);
        cairo_fill(cr);
    }
    y += put_text(cr, o->title, true, y, draw, &text_width) + GAP;
    y += put_text(cr, o->text, false, y, draw, &text_width) + GAP + GAP / 2;
    for (int i = 0; i < o->count; i++)
        put_button(o, cr, i, &x, y, draw, &button_height);
    *width = MAX(x - GAP / 2, MARGIN + text_width) + MARGIN;
    *height = y + button_height + MARGIN;
}

static void scale_rects(struct overlay *o, double density)
{
    for (int i = 0; i < o->count; i++) {
        SDL_Rect *b = &o->button[i];
        *b = (SDL_Rect){b->x * density, b->y * density, b->w * density, b->h * density};
    }
}

static void measure(struct overlay *o, int *width, int *height)
{
    cairo_surface_t *none = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, 1, 1);
    cairo_t *cr = cairo_create(none);

    put_all(o, cr, false, width, height);
    cairo_destroy(cr);
    cairo_surface_destroy(none);
}

static void make_texture(struct overlay *o, SDL_Renderer *r, double density)
{
    int width, height;
    cairo_surface_t *image;
    cairo_t *cr;

    measure(o, &width, &height);
    image = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, width * density, height * density);
    cr = cairo_create(image);
    cairo_scale(cr, density, density);
    put_all(o, cr, true, &width, &height);
    cairo_destroy(cr);
    cairo_surface_flush(image);
    scale_rects(o, density);
    o->place.w = cairo_image_surface_get_width(image);
    o->place.h = cairo_image_surface_get_height(image);
    o->texture = SDL_CreateTexture(r, SDL_PIXELFORMAT_ARGB8888, SDL_TEXTUREACCESS_STATIC, o->place.w, o->place.h);
    if (o->texture) {
        SDL_UpdateTexture(o->texture, NULL, cairo_image_surface_get_data(image), cairo_image_surface_get_stride(image));
        SDL_SetTextureBlendMode(o->texture, /* cairo's alpha is multiplied in already */
                                SDL_ComposeCustomBlendMode(
                                    SDL_BLENDFACTOR_ONE, SDL_BLENDFACTOR_ONE_MINUS_SRC_ALPHA, SDL_BLENDOPERATION_ADD,
                                    SDL_BLENDFACTOR_ONE, SDL_BLENDFACTOR_ONE_MINUS_SRC_ALPHA, SDL_BLENDOPERATION_ADD));
    }
    cairo_surface_destroy(image);
}

void overlay_draw(struct overlay *o, SDL_Renderer *r, double density)
{
    int width, height;

    if (!o->shown)
        return;
    if (!o->texture)
        make_texture(o, r, density);
    SDL_GetRendererOutputSize(r, &width, &height);
    o->place.x = (width - o->place.w) / 2;
    o->place.y = (height - o->place.h) / 2;
    SDL_SetRenderDrawBlendMode(r, SDL_BLENDMODE_BLEND);
    SDL_SetRenderDrawColor(r, 0, 0, 0, 128);
    SDL_RenderFillRect(r, NULL);
    if (o->texture)
        SDL_RenderCopy(r, o->texture, NULL, &o->place);
}
