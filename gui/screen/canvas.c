// SPDX-License-Identifier: GPL-2.0-or-later
/* canvas.c - see canvas.h. */
#include "gui/screen/canvas.h"

void canvas_dirty(struct canvas *c, const SDL_Rect *box)
{
    const SDL_Rect all = {0, 0, c->width, c->height};
    SDL_Rect part;

    if (!SDL_IntersectRect(box ? box : &all, &all, &part))
        return;
    if (SDL_RectEmpty(&c->dirty))
        c->dirty = part;
    else
        SDL_UnionRect(&c->dirty, &part, &c->dirty);
}

/* SDL makes the surface anew when the window's size has changed; asking for it again costs nothing. */
bool canvas_measure(struct canvas *c)
{
    SDL_Surface *surface = SDL_GetWindowSurface(c->window);

    if (!surface || (surface->w == c->width && surface->h == c->height))
        return false;
    c->width = surface->w;
    c->height = surface->h;
    c->dirty = (SDL_Rect){0};
    canvas_dirty(c, NULL);
    return true;
}

/* Almost every display has x8r8g8b8; for one that has not SDL translates what was drawn. */
static bool is_ours(const SDL_Surface *s)
{
    return s->format->BytesPerPixel == 4 && s->format->Rmask == 0xff0000 && s->format->Bmask == 0xff;
}

static bool have_own(struct canvas *c)
{
    if (is_ours(c->surface)) {
        SDL_FreeSurface(c->own);
        c->own = NULL;
        return true;
    }
    if (c->own && (c->own->w != c->width || c->own->h != c->height)) {
        SDL_FreeSurface(c->own);
        c->own = NULL;
    }
    if (!c->own)
        c->own = SDL_CreateRGBSurfaceWithFormat(0, c->width, c->height, 32, SDL_PIXELFORMAT_RGB888);
    return c->own;
}

bool canvas_begin(struct canvas *c)
{
    canvas_measure(c);
    if (SDL_RectEmpty(&c->dirty))
        return false;
    c->surface = SDL_GetWindowSurface(c->window);
    c->box = c->dirty;
    return c->surface && have_own(c) && (!SDL_MUSTLOCK(c->surface) || SDL_LockSurface(c->surface) == 0);
}

static SDL_Surface *drawn_on(const struct canvas *c)
{
    return c->own ? c->own : c->surface;
}

uint32_t *canvas_pixels(struct canvas *c, int *stride)
{
    *stride = drawn_on(c)->pitch / 4;
    return drawn_on(c)->pixels;
}

void canvas_fill(struct canvas *c, SDL_Rect r, uint32_t colour)
{
    int stride;
    uint32_t *pixels = canvas_pixels(c, &stride);

    if (!SDL_IntersectRect(&r, &c->box, &r))
        return;
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            pixels[(size_t)y * stride + x] = colour;
}

cairo_t *canvas_cairo(struct canvas *c)
{
    SDL_Surface *s = drawn_on(c);

    if (c->cairo)
        return c->cairo;
    c->image = cairo_image_surface_create_for_data(s->pixels, CAIRO_FORMAT_RGB24, s->w, s->h, s->pitch);
    c->cairo = cairo_create(c->image);
    cairo_rectangle(c->cairo, c->box.x, c->box.y, c->box.w, c->box.h);
    cairo_clip(c->cairo);
    return c->cairo;
}

void canvas_end(struct canvas *c)
{
    if (c->cairo) {
        cairo_destroy(c->cairo);
        cairo_surface_destroy(c->image);
    }
    c->cairo = NULL;
    c->image = NULL;
    if (SDL_MUSTLOCK(c->surface))
        SDL_UnlockSurface(c->surface);
    if (c->own)
        SDL_BlitSurface(c->own, &c->box, c->surface, &(SDL_Rect){c->box.x, c->box.y, 0, 0});
    SDL_UpdateWindowSurfaceRects(c->window, &c->box, 1);
    c->dirty = (SDL_Rect){0};
}

void canvas_clear(struct canvas *c)
{
    SDL_FreeSurface(c->own);
    c->own = NULL;
}
