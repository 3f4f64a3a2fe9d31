// SPDX-License-Identifier: GPL-2.0-or-later
/* picture.c - see picture.h. */
#include "gui/manager/picture.h"

static uint32_t mean(const uint32_t *from, size_t row, uint32_t w, uint32_t h)
{
    uint32_t r = 0, g = 0, b = 0, n = w * h;
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            uint32_t p = from[y * row + x];
            r += p >> 16 & 0xff;
            g += p >> 8 & 0xff;
            b += p & 0xff;
        }
    return 0xff000000 | (r / n) << 16 | (g / n) << 8 | b / n;
}

GdkTexture *picture_small(const uint32_t *pixels, uint32_t width, uint32_t height, uint32_t stride)
{
    uint32_t w = MIN(width, PICTURE_WIDTH), h = MAX((uint64_t)height * w / width, 1);
    size_t row = stride / 4;
    uint32_t *out = g_new(uint32_t, (size_t)w * h);
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            uint32_t left = (uint64_t)x * width / w, right = (uint64_t)(x + 1) * width / w;
            uint32_t top = (uint64_t)y * height / h, bottom = (uint64_t)(y + 1) * height / h;
            out[(size_t)y * w + x] = mean(pixels + top * row + left, row, MAX(right - left, 1), MAX(bottom - top, 1));
        }
    g_autoptr(GBytes) bytes = g_bytes_new_take(out, (size_t)w * h * 4);
    return gdk_memory_texture_new((int)w, (int)h, GDK_MEMORY_B8G8R8A8_PREMULTIPLIED, bytes, (gsize)w * 4);
}

guint64 picture_sum(const uint32_t *pixels, uint32_t width, uint32_t height, uint32_t stride)
{
    guint64 sum = (guint64)width << 32 | height;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            sum = (sum ^ pixels[(size_t)y * (stride / 4) + x]) * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15) + 1;
    return sum;
}
