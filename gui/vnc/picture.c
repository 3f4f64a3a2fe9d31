// SPDX-License-Identifier: GPL-2.0-or-later
/* picture.c - see picture.h. */
#include "gui/vnc/picture.h"
#include "core-vmm/control/answer.h"
#include <sys/mman.h>

enum { SIDE_MAX = 16384 };

/* The VM process is not above suspicion: memory that could shrink would kill us. */
struct picture *picture_new(JsonObject *mode, int fd)
{
    int width = answer_number(mode, "width", 1, SIDE_MAX, 0), height = answer_number(mode, "height", 1, SIDE_MAX, 0);
    int stride = answer_number(mode, "stride", 4, SIDE_MAX * 8, 0);
    if (!width || !height || stride < width * 4 || stride % 4 || !answer_memory_stays(fd, (uint64_t)stride * height))
        return NULL;
    void *pixels = mmap(NULL, (size_t)stride * height, PROT_READ, MAP_SHARED, fd, 0);
    if (pixels == MAP_FAILED)
        return NULL;
    struct picture *p = g_new(struct picture, 1);
    *p = (struct picture){.pixels = pixels, .width = width, .height = height, .stride = stride};
    g_atomic_ref_count_init(&p->users);
    return p;
}

struct picture *picture_ref(struct picture *p)
{
    g_atomic_ref_count_inc(&p->users);
    return p;
}

void picture_unref(struct picture *p)
{
    if (!p || !g_atomic_ref_count_dec(&p->users))
        return;
    munmap(p->pixels, (size_t)p->stride * p->height);
    g_free(p);
}
