// SPDX-License-Identifier: GPL-2.0-or-later
/* overlay.c - messages and buttons over the picture, drawn by Pango and Cairo. */
#include "gui/screen/overlay.h"
#include "gui/screen/drawing.h"

enum { MARGIN = 24, GAP = 14, BUTTON_PAD_X = 14, BUTTON_PAD_Y = 8, TEXT_WIDTH = 460, CORNER = 10, TICK = 14 };

void overlay_hide(struct overlay *o)
{
    g_clear_pointer(&o->title, g_free);
    g_clear_pointer(&o->text, g_free);
    g_clear_pointer(&o->tick, g_free);
    o->shown = false;
}

void overlay_show(struct overlay *o, const char *title, const char *text, const char *const *buttons, int selected,
                  void (*chosen)(void *ctx, int button), void *ctx)
{
    overlay_hide(o);
    o->shown = true;
    o->ticked = false;
    o->title = g_strdup(title);
    o->text = g_strdup(text);
    o->buttons = buttons;
    for (o->count = 0; buttons[o->count] && o->count < OVERLAY_BUTTONS;)
        o->count++;
    o->selected = selected;
    o->pressed = -1;
    o->chosen = chosen;
    o->ctx = ctx;
}

void overlay_offer_tick(struct overlay *o, const char *text)
{
    g_free(o->tick);
    o->tick = g_strdup(text);
}

/* ---- where all of it is ---- */

/* Beside each other as long as there is room.  Returns where they end. */
static int place_buttons(struct overlay *o, int y, int width, int *right)
{
    int x = MARGIN, w, h = 0;

    *right = 0;
    for (int i = 0; i < o->count; i++) {
        drawing_size(o->buttons[i], false, 0, &w, &h);
        w += 2 * BUTTON_PAD_X;
        h += 2 * BUTTON_PAD_Y;
        if (x > MARGIN && x + w > width - MARGIN) {
            x = MARGIN;
            y += h + GAP / 2;
        }
        o->button[i] = (SDL_Rect){x, y, w, h};
        x += w + GAP / 2;
        *right = MAX(*right, x - GAP / 2);
    }
    return y + h;
}

void overlay_arrange(struct overlay *o, int width, int height)
{
    int y = MARGIN, w, h, widest, right, wrap = MAX(MIN(TEXT_WIDTH, width - 2 * MARGIN), 1);

    if (!o->shown)
        return;
    drawing_size(o->title, true, wrap, &widest, &h);
    y += h + GAP;
    drawing_size(o->text, false, wrap, &w, &h);
    widest = MAX(widest, w);
    y += h + GAP;
    if (o->tick) {
        drawing_size(o->tick, false, 0, &w, &h);
        o->tick_place = (SDL_Rect){MARGIN, y, w + TICK + GAP / 2, h};
        widest = MAX(widest, o->tick_place.w);
        y += h + GAP;
    }
    y = place_buttons(o, y + GAP / 2, width, &right);
    o->place.w = MAX(right, MARGIN + widest) + MARGIN;
    o->place.h = y + MARGIN;
    o->scale = MIN(1, MIN((double)width / o->place.w, (double)height / o->place.h));
    o->place.x = (width / o->scale - o->place.w) / 2;
    o->place.y = (height / o->scale - o->place.h) / 2;
}

/* ---- events ---- */

static void choose(struct overlay *o, int button)
{
    void (*chosen)(void *, int) = o->chosen;

    overlay_hide(o);
    if (chosen)
        chosen(o->ctx, button);
}

static void press(struct overlay *o, int what)
{
    if (what == o->count)
        o->ticked = !o->ticked;
    else if (what >= 0)
        choose(o, what);
}

static void select_next(struct overlay *o, int step)
{
    int all = o->count + (o->tick ? 1 : 0);

    o->selected = (o->selected + all + step) % all;
}

/* A key that repeats may have been pressed for the guest, before this panel came. */
static void key(struct overlay *o, const SDL_KeyboardEvent *e)
{
    if (e->repeat)
        return;
    switch (e->keysym.sym) {
    case SDLK_ESCAPE: choose(o, o->count - 1); break;
    case SDLK_RETURN:
    case SDLK_KP_ENTER:
    case SDLK_SPACE: press(o, o->selected); break;
    case SDLK_LEFT:
    case SDLK_UP: select_next(o, -1); break;
    case SDLK_RIGHT:
    case SDLK_DOWN: select_next(o, 1); break;
    case SDLK_TAB: select_next(o, e->keysym.mod & KMOD_SHIFT ? -1 : 1); break;
    default: break;
    }
}

/* A button, or count: the box; -1: neither. */
static int at(const struct overlay *o, int x, int y, double point)
{
    SDL_Point p = {x / point / o->scale - o->place.x, y / point / o->scale - o->place.y};

    for (int i = 0; i < o->count; i++)
        if (SDL_PointInRect(&p, &o->button[i]))
            return i;
    return o->tick && SDL_PointInRect(&p, &o->tick_place) ? o->count : -1;
}

static void release(struct overlay *o, int what)
{
    int pressed = o->pressed;

    o->pressed = -1;
    if (what == pressed)
        press(o, what);
}

bool overlay_event(struct overlay *o, const SDL_Event *e, double point)
{
    int what;

    if (!o->shown)
        return false;
    switch (e->type) {
    case SDL_KEYDOWN: key(o, &e->key); return true;
    case SDL_MOUSEMOTION:
        what = at(o, e->motion.x, e->motion.y, point);
        o->selected = what >= 0 ? what : o->selected;
        return true;
    case SDL_MOUSEBUTTONDOWN: o->pressed = at(o, e->button.x, e->button.y, point); return true;
    case SDL_MOUSEBUTTONUP: release(o, at(o, e->button.x, e->button.y, point)); return true;
    case SDL_KEYUP:
    case SDL_MOUSEWHEEL: return true;
    default: return false;
    }
}

/* ---- drawing ---- */

static int draw_text(const struct overlay *o, cairo_t *cr, const char *text, bool bold, int y)
{
    PangoLayout *l = drawing_text(cr, text, bold, o->place.w - 2 * MARGIN);
    int h;

    drawing_colour(cr, COLOUR_TEXT);
    cairo_move_to(cr, MARGIN, y);
    pango_cairo_show_layout(cr, l);
    pango_layout_get_pixel_size(l, NULL, &h);
    g_object_unref(l);
    return y + h + GAP;
}

static void draw_button(const struct overlay *o, cairo_t *cr, int i)
{
    const SDL_Rect *b = &o->button[i];

    drawing_rounded(cr, b->x, b->y, b->w, b->h, CORNER / 2.0);
    drawing_colour(cr, i == o->selected ? COLOUR_SELECTED : COLOUR_BUTTON);
    cairo_fill(cr);
    drawing_colour(cr, COLOUR_TEXT);
    drawing_put(cr, o->buttons[i], false, b->x + BUTTON_PAD_X, b->y + BUTTON_PAD_Y);
}

static void draw_tick(const struct overlay *o, cairo_t *cr)
{
    const SDL_Rect *b = &o->tick_place;
    double top = b->y + (b->h - TICK) / 2.0;

    drawing_rounded(cr, b->x, top, TICK, TICK, 3);
    drawing_colour(cr, o->selected == o->count ? COLOUR_SELECTED : COLOUR_BUTTON);
    cairo_fill(cr);
    drawing_colour(cr, COLOUR_TEXT);
    if (o->ticked) {
        cairo_move_to(cr, b->x + 3, top + TICK / 2.0);
        cairo_line_to(cr, b->x + 6, top + TICK - 4);
        cairo_line_to(cr, b->x + TICK - 3, top + 4);
        cairo_stroke(cr);
    }
    drawing_put(cr, o->tick, false, b->x + TICK + GAP / 2.0, b->y);
}

void overlay_draw(struct overlay *o, struct canvas *c, double point)
{
    cairo_t *cr;
    int y;

    if (!o->shown)
        return;
    cr = canvas_cairo(c);
    cairo_save(cr);
    cairo_set_source_rgba(cr, 0, 0, 0, 0.5);
    cairo_paint(cr);
    cairo_scale(cr, point * o->scale, point * o->scale);
    cairo_translate(cr, o->place.x, o->place.y);
    drawing_rounded(cr, 0, 0, o->place.w, o->place.h, CORNER);
    drawing_colour(cr, COLOUR_PANEL);
    cairo_fill(cr);
    y = draw_text(o, cr, o->title, true, MARGIN);
    draw_text(o, cr, o->text, false, y);
    if (o->tick)
        draw_tick(o, cr);
    for (int i = 0; i < o->count; i++)
        draw_button(o, cr, i);
    cairo_restore(cr);
}
