// SPDX-License-Identifier: GPL-2.0-or-later
/* picture.c - the guest's picture in the window. */
#include "gui/screen/picture.h"
#include "core-vmm/control/answer.h"
#include <sys/mman.h>

#define SIDE_MAX 16384

/* The VM process is not above suspicion: a guest may have taken it over.  Memory that could shrink would kill us. */
static const uint32_t *map_picture(const struct link_news *n)
{
    void *p;

    if (n->fd < 0 || n->width < 1 || n->width > SIDE_MAX || n->height < 1 || n->height > SIDE_MAX ||
        n->stride < n->width * 4 || n->stride > SIDE_MAX * 8 || n->stride % 4)
        return NULL;
    if (!answer_memory_stays(n->fd, n->stride * n->height))
        return NULL;
    p = mmap(NULL, n->stride * n->height, PROT_READ, MAP_SHARED, n->fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

void picture_clear(struct picture *p)
{
    if (p->pixels)
        munmap((void *)p->pixels, (size_t)p->stride * p->height);
    p->pixels = NULL;
    scaler_clear(&p->scaler);
}

bool picture_replace(struct picture *p, struct link_news *n)
{
    picture_clear(p);
    p->pixels = map_picture(n);
    p->width = n->width;
    p->height = n->height;
    p->stride = n->stride;
    return p->pixels;
}

/* Centred; whole numbers where asked for, as long as there is room for one. */
void picture_arrange(struct picture *p, const SDL_Rect *room)
{
    double factor;
    bool sharp;
    int w, h;

    if (!p->pixels)
        return;
    factor = MIN((double)room->w / p->width, (double)room->h / p->height);
    sharp = p->scaling == SCALE_WHOLE && factor >= 1;
    if (sharp)
        factor = (int)factor;
    w = MAX(p->width * factor + 0.5, 1);
    h = MAX(p->height * factor + 0.5, 1);
    p->place = (SDL_Rect){room->x + (room->w - w) / 2, room->y + (room->h - h) / 2, w, h};
    scaler_prepare(&p->scaler, p->width, p->height, w, h, sharp);
}

SDL_Rect picture_damaged(const struct picture *p, const struct link_news *n)
{
    SDL_Rect all = {0, 0, p->width, p->height}, box;
    SDL_Rect damage = {CLAMP(n->left, 0, SIDE_MAX), CLAMP(n->top, 0, SIDE_MAX), 0, 0};

    damage.w = CLAMP(n->right, 0, SIDE_MAX) - damage.x;
    damage.h = CLAMP(n->bottom, 0, SIDE_MAX) - damage.y;
    if (!p->pixels || !SDL_IntersectRect(&all, &damage, &box))
        return (SDL_Rect){0};
    box = scaler_touched(&p->scaler, box);
    box.x += p->place.x;
    box.y += p->place.y;
    return box;
}

static void fill_around(struct canvas *c, const SDL_Rect *in, const SDL_Rect *room)
{
    int right = in->x + in->w, bottom = in->y + in->h;

    canvas_fill(c, (SDL_Rect){room->x, room->y, room->w, in->y - room->y}, 0);
    canvas_fill(c, (SDL_Rect){room->x, bottom, room->w, room->y + room->h - bottom}, 0);
    canvas_fill(c, (SDL_Rect){room->x, in->y, in->x - room->x, in->h}, 0);
    canvas_fill(c, (SDL_Rect){right, in->y, room->x + room->w - right, in->h}, 0);
}

void picture_draw(struct picture *p, struct canvas *c, const SDL_Rect *room)
{
    int stride;
    uint32_t *to = canvas_pixels(c, &stride);
    SDL_Rect box;

    if (!p->pixels) {
        canvas_fill(c, *room, 0);
        return;
    }
    fill_around(c, &p->place, room);
    if (!SDL_IntersectRect(&c->box, &p->place, &box))
        return;
    box.x -= p->place.x;
    box.y -= p->place.y;
    scaler_draw(&p->scaler, p->pixels, p->stride / 4, to + (size_t)p->place.y * stride + p->place.x, stride, box);
}
