// SPDX-License-Identifier: GPL-2.0-or-later
/* vga_scenes.h - pictures drawn through ports and memory writes only, so that any VGA can play them: ours on the bench,
 * QEMU's by its qtest protocol (vga_oracle.py). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define SCENE_LFB 0xe0000000u /* where whoever plays a scene has put BAR 0 */

struct scene_io {
    void (*out)(void *ctx, uint16_t port, unsigned size, uint16_t value);
    void (*store)(void *ctx, uint32_t address, unsigned size, uint32_t value);
    uint32_t (*load)(void *ctx, uint32_t address, unsigned size);
    void *ctx;
};

struct scene {
    const char *name;
    void (*play)(const struct scene_io *io);
    uint32_t width, height;
    uint64_t hash;       /* of the picture, FNV-1a over its pixels' 24 bits */
    const char *differs; /* why the picture of QEMU 7.2 is another one; NULL: it is the same */
};
extern const struct scene scenes[]; /* ends with a NULL name */
