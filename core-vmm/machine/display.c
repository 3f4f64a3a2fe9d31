// SPDX-License-Identifier: GPL-2.0-or-later
/* display.c - the picture between a video chip and its watchers.
 *
 * Everything happens on the loop thread.  A refresh takes the device's lock, lets the chip draw, lets go of the lock and
 * then tells the watchers what happened: new surface, damage, cursor.  Watchers may come and go in any of their callbacks.
 * A surface that was replaced lives until all have been told of its successor. */
#include "core-vmm/machine/display.h"
#include "core-vmm/machine/machine.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REFRESH_MS  17 /* 60 Hz, rounded to the slower side */
#define CURSOR_SIDE 256
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

struct cursor {
    int hot_x, hot_y;
    uint32_t width, height;
    uint32_t *argb; /* NULL: hidden */
};

struct display {
    struct device *device;
    const struct display_source *source;
    unsigned output;
    struct surface *surface, *previous; /* previous: watchers have not heard yet that it is gone */
    GList *sinks;                       /* const struct display_sink * */
    guint timer;
    uint32_t left, top, right, bottom; /* damage since the watchers were told; empty: right == 0 */
    uint32_t generation;
    struct cursor cursor;
    bool cursor_changed, dark;
    bool waits; /* asked for a size, and the guest has not done anything about it yet */
    uint32_t place_x, place_y, desktop_width, desktop_height; /* width 0: the desktop is the picture */
};

/* ---- surfaces ---- */

static void surface_free(struct surface *s)
{
    if (!s)
        return;
    munmap(s->pixels, (size_t)s->stride * s->height);
    close(s->fd);
    g_free(s);
}

/* Whoever gets the descriptor can neither resize nor write it: our own mapping is older than the seal. */
static struct surface *surface_new(uint32_t width, uint32_t height)
{
    struct surface s = {.width = width, .height = height, .stride = width * 4};
    size_t bytes = (size_t)s.stride * height;

    s.fd = memfd_create("terrarium-screen", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s.fd < 0 || ftruncate(s.fd, bytes) != 0)
        goto failed;
    s.pixels = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
    if (s.pixels == MAP_FAILED)
        goto failed;
    fcntl(s.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
    return g_memdup2(&s, sizeof s);
failed:
    g_warning("A screen of %ux%u cannot be shown: %s", width, height, strerror(errno));
    if (s.fd >= 0)
        close(s.fd);
    return NULL;
}

/* ---- the chip's side ---- */

struct display *display_attach(struct device *d, const struct display_source *source, unsigned output)
{
    struct display *p = g_new0(struct display, 1);

    p->device = d;
    p->source = source;
    p->output = output;
    machine_note_display(d->machine, p, true);
    return p;
}

void display_detach(struct display *p)
{
    machine_note_display(p->device->machine, p, false);
    if (p->timer)
        g_source_remove(p->timer);
    g_list_free(p->sinks);
    surface_free(p->surface);
    surface_free(p->previous);
    g_free(p->cursor.argb);
    g_free(p);
}

struct surface *display_mode(struct display *p, uint32_t width, uint32_t height)
{
    struct surface *s = p->surface, *fresh;
    bool same = s && s->width == width && s->height == height;

    if (same && !p->dark)
        return s;
    fresh = same ? s : surface_new(width, height);
    if (!fresh)
        return NULL;
    fresh->generation = ++p->generation;
    p->dark = p->waits = false;
    if (same)
        return s;
    if (p->previous)
        surface_free(s); /* nobody has ever seen it */
    else
        p->previous = s;
    p->surface = fresh;
    p->right = 0;
    return fresh;
}

void display_dark(struct display *p, bool by_guest)
{
    struct surface *s = p->surface;

    if (!s || p->dark)
        return;
    memset(s->pixels, 0, (size_t)s->stride * s->height);
    display_damage(p, 0, 0, s->width, s->height);
    p->dark = true;
    p->waits = p->waits && !by_guest;
}

void display_damage(struct display *p, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
    const struct surface *s = p->surface;

    if (!s || x >= s->width || y >= s->height || !width || !height)
        return;
    width = MIN(width, s->width - x);
    height = MIN(height, s->height - y);
    if (!p->right) {
        p->left = x;
        p->top = y;
        p->right = x + width;
        p->bottom = y + height;
        return;
    }
    p->left = MIN(p->left, x);
    p->top = MIN(p->top, y);
    p->right = MAX(p->right, x + width);
    p->bottom = MAX(p->bottom, y + height);
}

void display_cursor(struct display *p, int hot_x, int hot_y, uint32_t width, uint32_t height, const uint32_t *argb)
{
    g_clear_pointer(&p->cursor.argb, g_free);
    if (argb && width && height && width <= CURSOR_SIDE && height <= CURSOR_SIDE)
        p->cursor = (struct cursor){hot_x, hot_y, width, height, g_memdup2(argb, (size_t)width * height * 4)};
    p->cursor_changed = true;
}

void display_place(struct display *p, uint32_t x, uint32_t y, uint32_t desktop_width, uint32_t desktop_height)
{
    p->place_x = x;
    p->place_y = y;
    p->desktop_width = desktop_width;
    p->desktop_height = desktop_height;
}

bool display_pointer_follows(struct display *p)
{
    return machine_takes_absolute(p->device->machine);
}

/* ---- the watchers' side ---- */

static void tell_cursor(const struct display *p, const struct display_sink *sink)
{
    const struct cursor *c = &p->cursor;

    if (c->argb)
        sink->cursor(sink->ctx, c->hot_x, c->hot_y, c->width, c->height, c->argb);
    else
        sink->cursor(sink->ctx, 0, 0, 0, 0, NULL);
}

struct news {
    bool mode, damage, cursor;
    uint32_t x, y, width, height;
};

static void tell_sink(struct display *p, const struct display_sink *sink, const struct news *n)
{
    if (n->mode && sink->mode && p->surface)
        sink->mode(sink->ctx, p->surface);
    if (n->damage && sink->damage && g_list_find(p->sinks, sink))
        sink->damage(sink->ctx, n->x, n->y, n->width, n->height);
    if (n->cursor && sink->cursor && g_list_find(p->sinks, sink))
        tell_cursor(p, sink);
}

static void tell_watchers(struct display *p, bool mode)
{
    struct news n = {mode, p->right > 0, p->cursor_changed, p->left, p->top, p->right - p->left, p->bottom - p->top};
    g_autoptr(GList) sinks = g_list_copy(p->sinks);

    p->right = 0;
    p->cursor_changed = false;
    for (GList *l = sinks; l; l = l->next)
        if (g_list_find(p->sinks, l->data)) /* an earlier callback may have sent it away */
            tell_sink(p, l->data, &n);
}

static void refresh(struct display *p, bool everything)
{
    uint32_t before = p->generation;

    dev_lock(p->device);
    p->source->refresh(p->device, p->output, everything);
    dev_unlock(p->device);
    tell_watchers(p, p->generation != before);
    g_clear_pointer(&p->previous, surface_free);
}

static gboolean tick(gpointer data)
{
    refresh(data, false);
    return G_SOURCE_CONTINUE;
}

void display_watch(struct display *p, const struct display_sink *sink)
{
    struct news n = {.mode = true, .damage = true, .cursor = true};

    refresh(p, false);
    p->sinks = g_list_append(p->sinks, (gpointer)sink);
    if (!p->timer)
        p->timer = g_timeout_add(REFRESH_MS, tick, p);
    if (p->surface && (!p->dark || !p->output)) { /* of a further screen that is off there is no picture */
        n.width = p->surface->width;
        n.height = p->surface->height;
        tell_sink(p, sink, &n);
    }
}

void display_unwatch(struct display *p, const struct display_sink *sink)
{
    p->sinks = g_list_remove(p->sinks, sink);
    if (!p->sinks && p->timer) {
        g_source_remove(p->timer);
        p->timer = 0;
    }
}

const struct surface *display_refresh_now(struct display *p)
{
    refresh(p, false);
    return p->surface;
}

bool display_ask_size(struct display *p, uint32_t width, uint32_t height)
{
    bool taken;

    p->waits = true;
    if (!p->source->ask_size || !width || !height)
        return false;
    dev_lock(p->device);
    taken = p->source->ask_size(p->device, p->output, width, height);
    dev_unlock(p->device);
    return taken;
}

bool display_is_on(const struct display *p)
{
    return p->surface && !p->dark;
}

bool display_settled(const struct display *p)
{
    return !p->waits;
}

static int64_t to_desktop(int64_t at, uint32_t place, uint32_t side, uint32_t desktop)
{
    enum { LAST = 65535 };
    int64_t dot = place + at * side / (LAST + 1);
    return CLAMP(dot * LAST / MAX((int64_t)desktop - 1, 1), 0, LAST);
}

void display_to_desktop(const struct display *p, int64_t *x, int64_t *y)
{
    if (!p->surface || !p->desktop_width || !p->desktop_height)
        return;
    *x = to_desktop(*x, p->place_x, p->surface->width, p->desktop_width);
    *y = to_desktop(*y, p->place_y, p->surface->height, p->desktop_height);
}

char *display_text(struct display *p)
{
    char *text;

    dev_lock(p->device);
    text = p->source->text ? p->source->text(p->device) : NULL;
    dev_unlock(p->device);
    return text;
}
