// SPDX-License-Identifier: GPL-2.0-or-later
/* picture.h - the VM's picture, shared with its process and by all viewers. */
#pragma once
#include <json-glib/json-glib.h>
#include <stdint.h>

struct picture {
    gatomicrefcount users;
    uint32_t *pixels; /* x8r8g8b8, of shared memory; read-only */
    int width, height, stride;
};
/* Of an event display.mode and its descriptor, which stays the caller's.  NULL: it was no picture. */
struct picture *picture_new(JsonObject *mode, int fd);
struct picture *picture_ref(struct picture *p);
void picture_unref(struct picture *p); /* NULL is fine; any thread */
