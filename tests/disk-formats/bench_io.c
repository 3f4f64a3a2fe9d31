// SPDX-License-Identifier: GPL-2.0-or-later
/* bench_io.c - 4 KiB requests through the library, like `qemu-img bench`: FILE FORMAT r|w COUNT DEPTH STEP.
 * DEPTH requests are in flight, each on a worker of a pool, as core-vmm/machine/drive.c has them. */
#include "disk-formats/image/image.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096

struct bench {
    struct image *im;
    bool write;
    uint64_t step, count;
    gint next, failed;
};

static gpointer work(gpointer p)
{
    struct bench *b = p;
    g_autofree char *data = g_malloc0(BLOCK);
    for (;;) {
        uint64_t i = g_atomic_int_add(&b->next, 1), at = i * b->step % (b->im->bytes / BLOCK * BLOCK);
        if (i >= b->count)
            return NULL;
        int err = b->write ? image_write(b->im, at, data, BLOCK) : image_read(b->im, at, data, BLOCK);
        if (err)
            g_atomic_int_inc(&b->failed);
    }
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    if (argc != 7) {
        g_printerr("usage: %s FILE FORMAT r|w COUNT DEPTH STEP\n", argv[0]);
        return EXIT_FAILURE;
    }
    struct bench b = {
        .write = *argv[3] == 'w', .count = strtoull(argv[4], NULL, 10), .step = strtoull(argv[6], NULL, 10)};
    struct image_how how = {.format = argv[2], .write = b.write};
    unsigned depth = CLAMP(atoi(argv[5]), 1, 64);
    GThread *thread[64];
    b.im = image_open(argv[1], &how, &error);
    if (!b.im) {
        g_printerr("%s\n", error->message);
        return EXIT_FAILURE;
    }
    int64_t start = g_get_monotonic_time();
    for (unsigned i = 0; i < depth; i++)
        thread[i] = g_thread_new("bench", work, &b);
    for (unsigned i = 0; i < depth; i++)
        g_thread_join(thread[i]);
    g_print("Run completed in %.3f seconds.\n", (g_get_monotonic_time() - start) / 1e6);
    return image_close(b.im) || b.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
