// SPDX-License-Identifier: GPL-2.0-or-later
/* client_picture.c - a small picture of a running machine's screen. */
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/screenshot.h"
#include <unistd.h>

#define PATIENCE_MS 10000

/* The mean of by x by pixels from there on, x8r8g8b8. */
static uint32_t mean(const uint32_t *from, size_t row, unsigned by)
{
    uint32_t sum[3] = {0}, n = by * by;
    for (unsigned y = 0; y < by; y++)
        for (unsigned x = 0; x < by; x++)
            for (unsigned k = 0; k < 3; k++)
                sum[k] += from[y * row + x] >> 8 * k & 0xff;
    return sum[0] / n | sum[1] / n << 8 | sum[2] / n << 16;
}

static bool write_small(const char *path, const uint32_t *pixels, const struct answer_picture *p, unsigned width,
                        GError **error)
{
    unsigned by = MAX((p->width + width - 1) / width, 1), w = p->width / by, h = p->height / by;
    size_t row = p->stride / sizeof *pixels;
    g_autofree uint32_t *small = g_new0(uint32_t, (size_t)w * h + 1);
    for (unsigned y = 0; y < h; y++)
        for (unsigned x = 0; x < w; x++)
            small[(size_t)y * w + x] = mean(pixels + y * by * row + (size_t)x * by, row, by);
    return screenshot_write(path, small, w, h, w * sizeof *small, error);
}

bool client_picture(struct client *c, const char *path, unsigned width, GError **error)
{
    int fd = -1;
    unsigned n = 1;
    struct answer_picture p;
    JsonObject *o = client_call_fds(c, "screen.shot", NULL, NULL, 0, &fd, &n, PATIENCE_MS, error);
    g_autofree uint32_t *pixels = o ? answer_picture(o, n == 1 ? fd : -1, &p, error) : NULL;
    bool good = pixels && write_small(path, pixels, &p, width, error);
    if (o && n == 1)
        close(fd);
    g_clear_pointer(&o, json_object_unref);
    return good;
}
