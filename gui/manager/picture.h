// SPDX-License-Identifier: GPL-2.0-or-later
/* picture.h - small pictures of guests' screens. */
#pragma once
#include <gdk/gdk.h>
#include <stdint.h>

/* Of x8r8g8b8 pixels, stride in bytes: at most PICTURE_WIDTH wide, each pixel the mean of those that it stands for. */
#define PICTURE_WIDTH 480
GdkTexture *picture_small(const uint32_t *pixels, uint32_t width, uint32_t height, uint32_t stride);
guint64 picture_sum(const uint32_t *pixels, uint32_t width, uint32_t height,
                    uint32_t stride); /* another one for another picture */
