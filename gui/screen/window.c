// SPDX-License-Identifier: GPL-2.0-or-later
/* window.c - the window: size, scale, full screen, title, what is drawn over what. */
#include "gui/screen/screen.h"
#include "gui/screen/x11.h"
#include <stdarg.h>
#include <string.h>

#define NOTICE_MS 5000
enum { FIRST_WIDTH = 720, FIRST_HEIGHT = 400, LEAST_WIDTH = 400, LEAST_HEIGHT = 300 }; /* of the window's coordinates */

bool window_open(struct screen *s, bool fullscreen, char **problem)
{
    uint32_t flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI | SDL_WINDOW_HIDDEN;

    s->window =
        SDL_CreateWindow(s->name, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, FIRST_WIDTH, FIRST_HEIGHT, flags);
    if (!s->window || !SDL_GetWindowSurface(s->window)) {
        *problem = g_strdup(SDL_GetError());
        return false;
    }
    x11_survive_errors();
    SDL_SetWindowMinimumSize(s->window, LEAST_WIDTH, LEAST_HEIGHT);
    s->canvas.window = s->input.window = s->window;
    window_arrange(s);
    window_title(s);
    SDL_ShowWindow(s->window);
    if (fullscreen)
        window_fullscreen(s, true);
    return true;
}

void window_close(struct screen *s)
{
    overlay_hide(&s->overlay);
    bar_clear(&s->bar);
    picture_clear(&s->picture);
    canvas_clear(&s->canvas);
    if (s->window)
        SDL_DestroyWindow(s->window);
}

/* ---- what is where ---- */

double window_density(struct screen *s)
{
    int points;

    SDL_GetWindowSize(s->window, &points, NULL);
    return points > 0 && s->canvas.width > 0 ? (double)s->canvas.width / points : 1;
}

static int strip_height(const struct screen *s)
{
    return s->bar.strip ? BAR_HEIGHT * s->dot + 0.5 : 0;
}

void window_arrange(struct screen *s)
{
    int width, height, strip;

    canvas_measure(&s->canvas);
    s->bar.strip = s->bar.wanted && !s->fullscreen;
    s->point = x11_text_scale(s->window);
    s->dot = s->point * window_density(s);
    strip = MIN(strip_height(s), s->canvas.height - 1);
    s->room = (SDL_Rect){0, strip, MAX(s->canvas.width, 1), MAX(s->canvas.height - strip, 1)};
    picture_arrange(&s->picture, &s->room);
    width = s->canvas.width / s->dot;
    height = s->canvas.height / s->dot;
    overlay_arrange(&s->overlay, width, height);
    bar_arrange(&s->bar, width, height);
    window_changed(s);
}

void window_changed(struct screen *s)
{
    canvas_dirty(&s->canvas, NULL);
}

/* What keyboard and mouse do now; g_free. */
static char *hint_of(const struct screen *s)
{
    const char *key = SDL_GetScancodeName(s->input.host_key);

    if (!actions_possible(s))
        return g_strdup("");
    if (s->input.captured)
        return g_strdup_printf("%s or Left Ctrl+Alt releases the %s", key, s->input.absolute ? "keyboard" : "mouse");
    return g_strdup_printf("%s+F1 for help%s", key, s->input.absolute ? "" : ", click to capture the mouse");
}

void window_draw(struct screen *s)
{
    g_autofree char *said = NULL;

    if (!canvas_begin(&s->canvas))
        return;
    said = s->notice ? g_strdup(s->notice) : hint_of(s);
    picture_draw(&s->picture, &s->canvas, &s->room);
    signs_draw(s);
    bar_draw(&s->bar, &s->canvas, s->dot, said, s->notice || s->input.captured);
    overlay_draw(&s->overlay, &s->canvas, s->dot);
    canvas_end(&s->canvas);
}

/* ---- what it says ---- */

void window_title(struct screen *s)
{
    g_autofree char *hint = hint_of(s);
    g_autofree char *engine = s->gone ? NULL : g_strdup_printf(" (%s)", s->engine);
    g_autofree char *which = s->number ? g_strdup_printf(" screen %d", s->number + 1) : NULL;
    g_autofree char *said = s->notice
                                ? g_strdup(s->notice)
                                : g_strdup_printf("%s%s%s%s", s->state, engine ? engine : "", *hint ? " - " : "", hint);
    g_autofree char *title = g_strdup_printf("%s%s: %s", s->name, which ? which : "", said);

    SDL_SetWindowTitle(s->window, title);
    window_changed(s);
}

static void say(struct screen *s, char *text, uint32_t until)
{
    g_free(s->notice);
    s->notice = text;
    s->notice_until = until;
    window_title(s);
}

void window_notice(struct screen *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(s, g_strdup_vprintf(format, args), MAX(SDL_GetTicks() + NOTICE_MS, 1));
    va_end(args);
}

void window_busy(struct screen *s, const char *text)
{
    say(s, g_strdup(text), 0);
}

void window_notice_over(struct screen *s)
{
    say(s, NULL, 0);
}

/* ---- size ---- */

/* A window that has grown past the edge of the desktop comes back. */
static void keep_on_desktop(struct screen *s, const SDL_Rect *room, int width, int height)
{
    int x, y;

    SDL_GetWindowPosition(s->window, &x, &y);
    if (x + width > room->x + room->w || y + height > room->y + room->h)
        SDL_SetWindowPosition(s->window, MAX(room->x, MIN(x, room->x + room->w - width)),
                              MAX(room->y, MIN(y, room->y + room->h - height)));
}

/* A dot of the guest is a dot of the screen, or so many; if that is more than the desktop has room for, smaller in proportion. */
void window_fit(struct screen *s)
{
    double density = window_density(s), strip = strip_height(s) / density;
    double width = s->picture.width * s->zoom / density, height = s->picture.height * s->zoom / density, factor;
    SDL_Rect desk;
    bool known = SDL_GetDisplayUsableBounds(SDL_GetWindowDisplayIndex(s->window), &desk) == 0;

    if (!s->picture.pixels || s->fullscreen || (SDL_GetWindowFlags(s->window) & SDL_WINDOW_MAXIMIZED))
        return;
    if (known) {
        factor = MIN(1, MIN(desk.w / width, (desk.h - strip) / height));
        width *= factor;
        height *= factor;
    }
    width = MAX(width, LEAST_WIDTH);
    height = MAX(height + strip, LEAST_HEIGHT);
    SDL_SetWindowSize(s->window, width, height);
    if (known)
        keep_on_desktop(s, &desk, width, height);
    window_arrange(s);
}

/* ---- full screen ---- */

static void remember_place(struct screen *s)
{
    SDL_GetWindowPosition(s->window, &s->windowed.x, &s->windowed.y);
    SDL_GetWindowSize(s->window, &s->windowed.w, &s->windowed.h);
}

static bool cover(struct screen *s)
{
    SDL_Rect all;

    if (SDL_GetDisplayBounds(SDL_GetWindowDisplayIndex(s->window), &all) != 0)
        return false;
    x11_cover(s->window, &all);
    return true;
}

/* Where no window manager puts it back, we do. */
static void restore(struct screen *s)
{
    if (s->covers)
        x11_uncover(s->window, &s->windowed);
    else
        SDL_SetWindowFullscreen(s->window, 0);
    if (!s->covers && x11_knows_fullscreen(s->window))
        return;
    SDL_SetWindowSize(s->window, s->windowed.w, s->windowed.h);
    SDL_SetWindowPosition(s->window, s->windowed.x, s->windowed.y);
}

void window_fullscreen(struct screen *s, bool on)
{
    if (on == s->fullscreen)
        return;
    if (!on) {
        restore(s);
        s->fullscreen = s->covers = false;
    } else {
        remember_place(s);
        s->covers = !x11_knows_fullscreen(s->window);
        s->fullscreen = s->covers ? cover(s) : SDL_SetWindowFullscreen(s->window, SDL_WINDOW_FULLSCREEN_DESKTOP) == 0;
        s->covers &= s->fullscreen;
    }
    bar_close(&s->bar);
    window_arrange(s);
}
