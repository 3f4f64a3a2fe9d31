// SPDX-License-Identifier: GPL-2.0-or-later
/* bar.c - see bar.h. */
#include "gui/screen/bar.h"
#include "gui/screen/drawing.h"

enum { PAD = 10, EDGE = 2, GAP = 16 };

void bar_init(struct bar *b, const struct bar_menu *menus, void *ctx)
{
    *b = (struct bar){.menus = menus, .ctx = ctx, .wanted = true, .open = -1, .hover = -1};
    while (menus[b->count].title && b->count < BAR_MENUS)
        b->count++;
}

void bar_clear(struct bar *b)
{
    menu_clear(&b->menu);
}

static bool is_shown(const struct bar *b)
{
    return b->strip || b->over || b->open >= 0;
}

/* ---- menus ---- */

static void fill(struct bar *b)
{
    menu_empty(&b->menu);
    b->menus[b->open].fill(b->ctx, &b->menu);
    menu_arrange(&b->menu, b->title[b->open].x, BAR_HEIGHT, b->width, b->height);
}

void bar_open(struct bar *b, int n, bool by_key)
{
    b->open = (n + b->count) % b->count;
    if (b->menus[b->open].look)
        b->menus[b->open].look(b->ctx);
    fill(b);
    b->by_key = by_key;
    if (by_key)
        menu_select_first(&b->menu);
}

void bar_close(struct bar *b)
{
    b->open = b->hover = -1;
    b->over = false;
    menu_empty(&b->menu);
}

bool bar_leave(struct bar *b)
{
    bool changed = b->hover >= 0 || b->over;

    b->at_edge = b->over = false;
    b->hover = -1;
    return changed;
}

void bar_refill(struct bar *b)
{
    int selected = b->menu.selected, scrolled = b->menu.scrolled;

    if (b->open < 0)
        return;
    fill(b);
    b->menu.scrolled = scrolled;
    menu_select(&b->menu, selected);
    if (b->by_key && b->menu.selected < 0)
        menu_select_first(&b->menu);
}

void bar_arrange(struct bar *b, int width, int height)
{
    int x = PAD / 2, w, h;

    b->width = width;
    b->height = height;
    for (int i = 0; i < b->count; i++) {
        drawing_size(b->menus[i].title, false, 0, &w, &h);
        b->title[i] = (SDL_Rect){x, 0, w + 2 * PAD, BAR_HEIGHT};
        x += w + 2 * PAD;
    }
    if (b->open >= 0)
        menu_arrange(&b->menu, b->title[b->open].x, BAR_HEIGHT, width, height);
}

/* ---- events ---- */

static int title_at(const struct bar *b, SDL_Point p)
{
    for (int i = 0; i < b->count; i++)
        if (SDL_PointInRect(&p, &b->title[i]))
            return i;
    return -1;
}

static bool inside(const struct bar *b, SDL_Point p)
{
    return is_shown(b) && p.y < BAR_HEIGHT;
}

static bool motion(struct bar *b, SDL_Point p, bool *changed)
{
    int hover = inside(b, p) ? title_at(b, p) : -1;
    bool edge = !is_shown(b) && p.y < EDGE;

    if (edge && !b->at_edge)
        b->edge_since = SDL_GetTicks();
    b->at_edge = edge;
    *changed |= hover != b->hover;
    b->hover = hover;
    if (b->open >= 0 && hover >= 0 && hover != b->open)
        bar_open(b, hover, false);
    if (b->over && b->open < 0 && p.y >= BAR_HEIGHT) {
        b->over = false;
        *changed = true;
    }
    return inside(b, p) || b->open >= 0;
}

static bool press(struct bar *b, SDL_Point p, bool *changed)
{
    int n = inside(b, p) ? title_at(b, p) : -1;

    if (!inside(b, p))
        return false;
    *changed = true;
    if (n >= 0 && n != b->open)
        bar_open(b, n, false);
    else if (b->open >= 0)
        bar_close(b);
    return true;
}

static bool on_mouse(struct bar *b, const SDL_Event *e, double point, bool *changed)
{
    switch (e->type) {
    case SDL_MOUSEMOTION: return motion(b, (SDL_Point){e->motion.x / point, e->motion.y / point}, changed);
    case SDL_MOUSEBUTTONDOWN: return press(b, (SDL_Point){e->button.x / point, e->button.y / point}, changed);
    case SDL_MOUSEBUTTONUP: return inside(b, (SDL_Point){e->button.x / point, e->button.y / point});
    default: return false;
    }
}

/* A click on a title closes its menu; elsewhere it is the menu's to judge. */
static bool is_for_titles(const struct bar *b, const SDL_Event *e, double point)
{
    return e->type == SDL_MOUSEBUTTONDOWN && inside(b, (SDL_Point){e->button.x / point, e->button.y / point});
}

bool bar_event(struct bar *b, const SDL_Event *e, double point, bool *changed)
{
    enum menu_answer answer;

    if (b->open < 0 || is_for_titles(b, e, point))
        return on_mouse(b, e, point, changed);
    answer = menu_event(&b->menu, e, point);
    if (answer == MENU_NOT_MINE)
        return on_mouse(b, e, point, changed);
    *changed = true;
    if (answer == MENU_CHOSEN) {
        b->open = b->hover = -1;
        b->over = false;
        menu_choose(&b->menu, b->ctx);
    } else if (answer == MENU_CLOSE) {
        bar_close(b);
    } else if (answer == MENU_PREVIOUS || answer == MENU_NEXT) {
        bar_open(b, b->open + (answer == MENU_NEXT ? 1 : -1), true);
    }
    return true;
}

int bar_wait(const struct bar *b)
{
    if (!b->at_edge || is_shown(b))
        return -1;
    return MAX((int)(b->edge_since + BAR_REST_MS - SDL_GetTicks()), 0);
}

bool bar_tick(struct bar *b)
{
    if (bar_wait(b) != 0)
        return false;
    b->at_edge = false;
    b->over = true;
    return true;
}

/* ---- drawing ---- */

static void draw_title(const struct bar *b, cairo_t *cr, int i)
{
    const SDL_Rect *t = &b->title[i];
    int w, h;

    if (i == b->open || i == b->hover) {
        drawing_rounded(cr, t->x, 3, t->w, BAR_HEIGHT - 6, 4);
        drawing_colour(cr, i == b->open ? COLOUR_SELECTED : COLOUR_BUTTON);
        cairo_fill(cr);
    }
    drawing_size(b->menus[i].title, false, 0, &w, &h);
    drawing_colour(cr, COLOUR_TEXT);
    drawing_put(cr, b->menus[i].title, false, t->x + PAD, (BAR_HEIGHT - h) / 2.0);
}

/* At the right, as far as there is room. */
static void draw_said(const struct bar *b, cairo_t *cr, const char *said, bool stress)
{
    int left = b->title[b->count - 1].x + b->title[b->count - 1].w + GAP, room = b->width - PAD - left, w, h;
    PangoLayout *l;

    if (room < 40)
        return;
    l = drawing_text(cr, said, stress, room);
    pango_layout_set_ellipsize(l, PANGO_ELLIPSIZE_END);
    pango_layout_set_height(l, 0);
    pango_layout_get_pixel_size(l, &w, &h);
    drawing_colour(cr, stress ? COLOUR_TEXT : COLOUR_FAINT);
    cairo_move_to(cr, b->width - PAD - MIN(w, room), (BAR_HEIGHT - h) / 2.0);
    pango_cairo_show_layout(cr, l);
    g_object_unref(l);
}

void bar_draw(const struct bar *b, struct canvas *c, double point, const char *said, bool stress)
{
    cairo_t *cr;

    if (!is_shown(b))
        return;
    if (c->box.y < BAR_HEIGHT * point) {
        cr = canvas_cairo(c);
        cairo_save(cr);
        cairo_scale(cr, point, point);
        cairo_rectangle(cr, 0, 0, b->width + 1, BAR_HEIGHT);
        drawing_colour(cr, COLOUR_BAR);
        cairo_fill(cr);
        for (int i = 0; i < b->count; i++)
            draw_title(b, cr, i);
        draw_said(b, cr, said, stress);
        cairo_restore(cr);
    }
    menu_draw(&b->menu, c, point);
}
