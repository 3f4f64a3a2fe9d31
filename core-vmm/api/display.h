// SPDX-License-Identifier: GPL-2.0-or-later
/* display.h - between a video chip and those who watch it (window, VNC, screenshot).
 * The picture is a sealed memfd of x8r8g8b8 pixels, little-endian, stride in bytes; a new size makes a new memfd. */
#pragma once
#include "core-vmm/api/device.h"

struct surface {
    int fd;
    uint32_t *pixels;
    uint32_t width, height, stride, generation;
};
struct display;

/* A video chip registers each of its outputs (0, 1 ...) in init.  All run with the device's lock held; refresh and text at most
 * 60 times a second and only while somebody watches or asks. */
struct display_source {
    /* draw what changed since last time; calls display_* below */
    void (*refresh)(struct device *d, unsigned output, bool everything);
    char *(*text)(struct device *d); /* the text screen as UTF-8 lines, or NULL in a graphics mode; g_free */
    /* The user would like that size (a window was resized): tell the guest, which may follow later, by display_mode().
     * false: not that one.  NULL: the guest alone chooses. */
    bool (*ask_size)(struct device *d, unsigned output, uint32_t width, uint32_t height);
};
struct display *display_attach(struct device *d, const struct display_source *source, unsigned output);
void display_detach(struct display *p); /* in fini */
/* The same size: the same surface.  NULL: the host has no memory for it; skip this refresh. */
struct surface *display_mode(struct display *p, uint32_t width, uint32_t height);
/* It shows nothing, until display_mode() is called again: then all is to be drawn (a new generation).  by_guest: the guest has switched
 * that screen off. */
void display_dark(struct display *p, bool by_guest);
void display_damage(struct display *p, uint32_t x, uint32_t y, uint32_t width, uint32_t height);
void display_cursor(struct display *p, int hot_x, int hot_y, uint32_t width, uint32_t height,
                    const uint32_t *argb); /* NULL hides */
/* Where the picture lies on the guest's desktop, and how large that is, in dots; all 0: it is all of it. */
void display_place(struct display *p, uint32_t x, uint32_t y, uint32_t desktop_width, uint32_t desktop_height);
/* Watchers show the cursor themselves, where the user's pointer is: the guest takes absolute coordinates.  Else the chip draws it. */
bool display_pointer_follows(struct display *p);

/* Those who watch: loop thread, no device lock held. */
struct display_sink {
    void (*mode)(void *ctx, const struct surface *s);
    void (*damage)(void *ctx, uint32_t x, uint32_t y, uint32_t width, uint32_t height); /* one box per frame */
    void (*cursor)(void *ctx, int hot_x, int hot_y, uint32_t width, uint32_t height, const uint32_t *argb);
    void *ctx;
};
void display_watch(struct display *p, const struct display_sink *sink); /* *sink stays valid until unwatch */
void display_unwatch(struct display *p, const struct display_sink *sink);
