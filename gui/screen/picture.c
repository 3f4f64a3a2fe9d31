// SPDX-License-Identifier: GPL-2.0-or-later
/* picture.c - the guest's picture as a texture, and its cursor. */
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
    if (p->texture)
        SDL_DestroyTexture(p->texture);
    if (p->pixels)
        munmap((void *)p->pixels, (size_t)p->stride * p->height);
    p->texture = NULL;
    p->pixels = NULL;
}

void picture_restore(struct picture *p, SDL_Renderer *r)
{
    if (p->texture)
        SDL_DestroyTexture(p->texture);
    p->texture = NULL;
    if (!p->pixels)
        return;
    p->texture = SDL_CreateTexture(r, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, p->width, p->height);
    if (p->texture)
        SDL_UpdateTexture(p->texture, NULL, p->pixels, p->stride);
}

bool picture_replace(struct picture *p, SDL_Renderer *r, struct link_news *n)
{
    picture_clear(p);
    p->pixels = map_picture(n);
    if (!p->pixels)
        return false;
    p->width = n->width;
    p->height = n->height;
    p->stride = n->stride;
    picture_restore(p, r);
    return p->texture != NULL;
}

void picture_update(struct picture *p, const struct link_news *n)
{
    SDL_Rect all = {0, 0, p->width, p->height}, box;
    SDL_Rect damage = {CLAMP(n->left, 0, SIDE_MAX), CLAMP(n->top, 0, SIDE_MAX), 0, 0};

    damage.w = CLAMP(n->right, 0, SIDE_MAX) - damage.x;
    damage.h = CLAMP(n->bottom, 0, SIDE_MAX) - damage.y;
    if (p->texture && SDL_IntersectRect(&all, &damage, &box))
        SDL_UpdateTexture(p->texture, &box, p->pixels + (size_t)box.y * (p->stride / 4) + box.x, p->stride);
}

/* Centred; whole numbers where asked for, as long as there is room for one. */
static SDL_Rect place_in(const struct picture *p, int width, int height)
{
    double factor = MIN((double)width / p->width, (double)height / p->height);
    int w, h;

    if (p->scaling == SCALE_WHOLE && factor >= 1)
        factor = (int)factor;
    w = MAX(p->width * factor + 0.5, 1);
    h = MAX(p->height * factor + 0.5, 1);
    return (SDL_Rect){(width - w) / 2, (height - h) / 2, w, h};
}

void picture_draw(struct picture *p, SDL_Renderer *r)
{
    int width, height, light = p->dimmed ? 96 : 255;

    SDL_GetRendererOutputSize(r, &width, &height);
    SDL_SetRenderDrawColor(r, 0, 0, 0, 255);
    SDL_RenderClear(r);
    if (p->texture) {
        p->place = place_in(p, width, height);
        SDL_SetTextureScaleMode(p->texture, p->scaling == SCALE_WHOLE ? SDL_ScaleModeNearest : SDL_ScaleModeLinear);
        SDL_SetTextureColorMod(p->texture, light, light, light);
        SDL_RenderCopy(r, p->texture, NULL, &p->place);
    }
}
