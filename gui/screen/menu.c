// SPDX-License-Identifier: GPL-2.0-or-later
/* menu.c - see menu.h. */
#include "gui/screen/menu.h"
#include "gui/screen/drawing.h"

enum { PAD = 6, ROW = 26, LINE = 9, INDENT = 26, RIGHT = 14, GAP = 28, WIDEST = 520, CORNER = 6 };

static struct menu_item *item(const struct menu *m, int n)
{
    return &g_array_index(m->items, struct menu_item, n);
}

static int count(const struct menu *m)
{
    return m->items ? (int)m->items->len : 0;
}

/* ---- what is in it ---- */

void menu_empty(struct menu *m)
{
    for (int i = 0; i < count(m); i++) {
        g_free(item(m, i)->label);
        g_free(item(m, i)->keys);
        g_free(item(m, i)->arg);
    }
    if (!m->items)
        m->items = g_array_new(FALSE, TRUE, sizeof(struct menu_item));
    g_array_set_size(m->items, 0);
    m->shown = false;
    m->selected = -1;
    m->scrolled = 0;
}

void menu_clear(struct menu *m)
{
    menu_empty(m);
    g_clear_pointer(&m->items, g_array_unref);
}

void menu_add(struct menu *m, const char *label, const char *keys, bool checked, menu_chosen chosen, const char *arg)
{
    struct menu_item i = {g_strdup(label), g_strdup(keys), g_strdup(arg), chosen, false, checked};

    g_array_append_val(m->items, i);
}

void menu_add_heading(struct menu *m, const char *label)
{
    menu_add(m, label, NULL, false, NULL, NULL);
    item(m, count(m) - 1)->heading = true;
}

void menu_add_line(struct menu *m)
{
    if (count(m))
        menu_add(m, NULL, NULL, false, NULL, NULL);
}

/* ---- where it is ---- */

static int row_height(const struct menu *m, int n)
{
    return item(m, n)->label ? ROW : LINE;
}

static int row_top(const struct menu *m, int n)
{
    int y = PAD;

    for (int i = 0; i < n; i++)
        y += row_height(m, i);
    return y;
}

void menu_arrange(struct menu *m, int x, int y, int width, int height)
{
    int widest = 0, w, keys, h;

    for (int i = 0; i < count(m); i++) {
        if (!item(m, i)->label)
            continue;
        drawing_size(item(m, i)->label, item(m, i)->heading, 0, &w, &h);
        if (item(m, i)->keys) {
            drawing_size(item(m, i)->keys, false, 0, &keys, &h);
            w += GAP + keys;
        }
        widest = MAX(widest, w);
    }
    m->place.w = MIN(MIN(INDENT + widest + RIGHT, WIDEST), width);
    m->place.h = MIN(row_top(m, count(m)) + PAD, height - y);
    m->place.x = MAX(MIN(x, width - m->place.w), 0);
    m->place.y = y;
    m->shown = true;
}

/* ---- choosing ---- */

static bool can_be_chosen(const struct menu *m, int n)
{
    return item(m, n)->chosen;
}

/* So that what is selected can be seen. */
static void scroll_to(struct menu *m)
{
    int top = row_top(m, m->selected), room = m->place.h - 2 * PAD;

    m->scrolled = CLAMP(m->scrolled, top + ROW - PAD - room, top - PAD);
}

static void select_next(struct menu *m, int step)
{
    int n = m->selected < 0 && step < 0 ? 0 : m->selected;

    for (int tries = count(m); tries > 0; tries--) {
        n = (n + count(m) + step) % count(m);
        if (can_be_chosen(m, n)) {
            m->selected = n;
            scroll_to(m);
            return;
        }
    }
}

void menu_select(struct menu *m, int n)
{
    m->selected = n >= 0 && n < count(m) && can_be_chosen(m, n) ? n : -1;
}

void menu_select_first(struct menu *m)
{
    m->selected = -1;
    select_next(m, 1);
}

static int row_at(const struct menu *m, SDL_Point p)
{
    int y = m->place.y + PAD - m->scrolled;

    if (!SDL_PointInRect(&p, &m->place))
        return -1;
    for (int i = 0; i < count(m); i++) {
        if (p.y >= y && p.y < y + row_height(m, i))
            return i;
        y += row_height(m, i);
    }
    return -1;
}

static enum menu_answer key(struct menu *m, SDL_Keycode sym)
{
    switch (sym) {
    case SDLK_ESCAPE:
    case SDLK_F10: return MENU_CLOSE;
    case SDLK_LEFT: return MENU_PREVIOUS;
    case SDLK_RIGHT: return MENU_NEXT;
    case SDLK_UP: select_next(m, -1); return MENU_TAKEN;
    case SDLK_DOWN: select_next(m, 1); return MENU_TAKEN;
    case SDLK_HOME: menu_select_first(m); return MENU_TAKEN;
    case SDLK_RETURN:
    case SDLK_KP_ENTER:
    case SDLK_SPACE: return m->selected >= 0 ? MENU_CHOSEN : MENU_TAKEN;
    default: return MENU_TAKEN;
    }
}

static void hover(struct menu *m, SDL_Point p)
{
    int n = row_at(m, p);

    if (n >= 0)
        menu_select(m, n);
}

static enum menu_answer release(struct menu *m, SDL_Point p)
{
    int n = row_at(m, p);

    if (n < 0 || !can_be_chosen(m, n))
        return MENU_TAKEN;
    m->selected = n;
    return MENU_CHOSEN;
}

static void wheel(struct menu *m, int turns)
{
    int most = MAX(row_top(m, count(m)) + PAD - m->place.h, 0);

    m->scrolled = CLAMP(m->scrolled - turns * ROW, 0, most);
}

enum menu_answer menu_event(struct menu *m, const SDL_Event *e, double point)
{
    SDL_Point p;

    if (!m->shown)
        return MENU_NOT_MINE;
    switch (e->type) {
    case SDL_KEYDOWN: return key(m, e->key.keysym.sym);
    case SDL_KEYUP: return MENU_TAKEN;
    case SDL_MOUSEWHEEL: wheel(m, e->wheel.y); return MENU_TAKEN;
    case SDL_MOUSEMOTION:
        p = (SDL_Point){e->motion.x / point, e->motion.y / point};
        hover(m, p);
        return SDL_PointInRect(&p, &m->place) ? MENU_TAKEN : MENU_NOT_MINE;
    case SDL_MOUSEBUTTONDOWN:
        p = (SDL_Point){e->button.x / point, e->button.y / point};
        return SDL_PointInRect(&p, &m->place) ? MENU_TAKEN : MENU_CLOSE;
    case SDL_MOUSEBUTTONUP: return release(m, (SDL_Point){e->button.x / point, e->button.y / point});
    default: return MENU_NOT_MINE;
    }
}

void menu_choose(struct menu *m, void *ctx)
{
    const struct menu_item *i = item(m, m->selected);
    menu_chosen chosen = i->chosen;
    g_autofree char *arg = g_strdup(i->arg);

    menu_empty(m);
    chosen(ctx, arg);
}

/* ---- drawing ---- */

static void draw_check(cairo_t *cr, int y)
{
    cairo_move_to(cr, 9, y + ROW / 2.0);
    cairo_line_to(cr, 13, y + ROW / 2.0 + 4);
    cairo_line_to(cr, 19, y + ROW / 2.0 - 5);
    cairo_stroke(cr);
}

static void draw_label(cairo_t *cr, const struct menu_item *i, int y, int width)
{
    PangoLayout *l = drawing_text(cr, i->label, i->heading, width);
    int h;

    pango_layout_set_ellipsize(l, PANGO_ELLIPSIZE_MIDDLE);
    pango_layout_set_height(l, 0);
    pango_layout_get_pixel_size(l, NULL, &h);
    cairo_move_to(cr, i->heading ? RIGHT : INDENT, y + (ROW - h) / 2.0);
    pango_cairo_show_layout(cr, l);
    g_object_unref(l);
}

static void draw_row(const struct menu *m, cairo_t *cr, int n, int y)
{
    const struct menu_item *i = item(m, n);
    int w = 0, h;

    if (!i->label) {
        drawing_colour(cr, COLOUR_LINE);
        cairo_rectangle(cr, PAD, y + LINE / 2, m->place.w - 2 * PAD, 1);
        cairo_fill(cr);
        return;
    }
    if (n == m->selected) {
        drawing_rounded(cr, PAD / 2.0, y, m->place.w - PAD, ROW, CORNER / 2.0);
        drawing_colour(cr, COLOUR_SELECTED);
        cairo_fill(cr);
    }
    drawing_colour(cr, i->chosen || i->heading ? COLOUR_TEXT : COLOUR_FAINT);
    if (i->checked)
        draw_check(cr, y);
    if (i->keys) {
        drawing_size(i->keys, false, 0, &w, &h);
        drawing_put(cr, i->keys, false, m->place.w - RIGHT - w, y + (ROW - h) / 2.0);
        w += GAP;
    }
    draw_label(cr, i, y, m->place.w - INDENT - RIGHT - w + 2);
}

void menu_draw(const struct menu *m, struct canvas *c, double point)
{
    cairo_t *cr;

    if (!m->shown)
        return;
    cr = canvas_cairo(c);
    cairo_save(cr);
    cairo_scale(cr, point, point);
    cairo_set_line_width(cr, 2);
    cairo_translate(cr, m->place.x, m->place.y);
    drawing_rounded(cr, 0, 0, m->place.w, m->place.h, CORNER);
    drawing_colour(cr, COLOUR_PANEL);
    cairo_fill_preserve(cr);
    cairo_clip(cr);
    for (int i = 0; i < count(m); i++)
        draw_row(m, cr, i, row_top(m, i) - m->scrolled);
    cairo_restore(cr);
}
