// SPDX-License-Identifier: GPL-2.0-or-later
/* window.c - the window: size, scale, full screen, title, drawing. */
#include "gui/screen/screen.h"
#include <stdarg.h>
#include <string.h>

#define NOTICE_MS 5000
enum { FIRST_WIDTH = 720, FIRST_HEIGHT = 400, LEAST_SIDE = 160 };

bool window_open(struct screen *s, bool fullscreen, char **problem)
{
    /* Hidden at first: a renderer may want another kind of window and make it anew. */
    uint32_t flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI | SDL_WINDOW_HIDDEN;

    s->window =
        SDL_CreateWindow(s->name, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, FIRST_WIDTH, FIRST_HEIGHT, flags);
    if (s->window)
        s->renderer = SDL_CreateRenderer(s->window, -1, SDL_RENDERER_PRESENTVSYNC);
    if (s->window && !s->renderer) /* some drivers cannot wait for the screen */
        s->renderer = SDL_CreateRenderer(s->window, -1, 0);
    if (!s->renderer) {
        *problem = g_strdup(SDL_GetError());
        return false;
    }
    SDL_SetWindowMinimumSize(s->window, LEAST_SIDE, LEAST_SIDE);
    s->input.window = s->window;
    window_title(s);
    SDL_ShowWindow(s->window);
    if (fullscreen)
        window_fullscreen(s, true);
    s->redraw = true;
    return true;
}

void window_close(struct screen *s)
{
    overlay_hide(&s->overlay);
    picture_clear(&s->picture);
    if (s->renderer)
        SDL_DestroyRenderer(s->renderer);
    if (s->window)
        SDL_DestroyWindow(s->window);
}

void window_draw(struct screen *s)
{
    picture_draw(&s->picture, s->renderer);
    overlay_draw(&s->overlay, s->renderer, window_density(s));
    SDL_RenderPresent(s->renderer);
}

static const char *capture_hint(const struct screen *s)
{
    if (s->gone || !strcmp(s->state, "stopped"))
        return "";
    if (s->input.captured)
        return s->input.absolute ? " releases the keyboard" : " releases the mouse";
    return s->input.absolute ? "+F1 for help" : "+F1 for help, click to capture the mouse";
}

void window_title(struct screen *s)
{
    const char *hint = capture_hint(s), *key = *hint ? SDL_GetScancodeName(s->input.host_key) : "";
    g_autofree char *engine = s->gone ? NULL : g_strdup_printf(" (%s)", s->engine);
    g_autofree char *title = s->notice ? g_strdup_printf("%s: %s", s->name, s->notice)
                                       : g_strdup_printf("%s: %s%s%s%s%s", s->name, s->state, engine ? engine : "",
                                                         *hint ? " - " : "", key, hint);

    SDL_SetWindowTitle(s->window, title);
}

void window_notice(struct screen *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_free(s->notice);
    s->notice = g_strdup_vprintf(format, args);
    va_end(args);
    s->notice_until = SDL_GetTicks() + NOTICE_MS;
    window_title(s);
}

double window_density(struct screen *s)
{
    int pixels, points;

    SDL_GetRendererOutputSize(s->renderer, &pixels, NULL);
    SDL_GetWindowSize(s->window, &points, NULL);
    return points > 0 ? (double)pixels / points : 1;
}

/* A window that has grown past the edge of the desktop comes back. */
static void keep_on_desktop(struct screen *s, const SDL_Rect *room, int width, int height)
{
    int x, y;

    SDL_GetWindowPosition(s->window, &x, &y);
    if (x + width > room->x + room->w || y + height > room->y + room->h)
        SDL_SetWindowPosition(s->window, MAX(room->x, MIN(x, room->x + room->w - width)),
                              MAX(room->y, MIN(y, room->y + room->h - height)));
}

/* A dot of the guest is a dot of the screen; if that is more than the desktop has room for, smaller in proportion. */
void window_fit(struct screen *s)
{
    double density = window_density(s), width = s->picture.width / density, height = s->picture.height / density,
           factor;
    SDL_Rect room;
    bool known = SDL_GetDisplayUsableBounds(SDL_GetWindowDisplayIndex(s->window), &room) == 0;

    if (!s->picture.pixels || s->fullscreen || (SDL_GetWindowFlags(s->window) & SDL_WINDOW_MAXIMIZED))
        return;
    if (known) {
        factor = MIN(1, MIN(room.w / width, room.h / height));
        width *= factor;
        height *= factor;
    }
    SDL_SetWindowSize(s->window, MAX(width, LEAST_SIDE), MAX(height, LEAST_SIDE));
    if (known)
        keep_on_desktop(s, &room, MAX(width, LEAST_SIDE), MAX(height, LEAST_SIDE));
    s->redraw = true;
}

void window_fullscreen(struct screen *s, bool on)
{
    s->fullscreen = SDL_SetWindowFullscreen(s->window, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0) == 0 && on;
    s->redraw = true;
}
