// SPDX-License-Identifier: GPL-2.0-or-later
/* test_fenced.c - images of all formats in the hands of a thread that is fenced as the VM process's workers are: what a guest
 * discards and writes there leaves all else as it was.  Whatever the library asks of the kernel that the fence refuses must not
 * lead it to do harm. */
#include "core-vmm/fence/fence.h"
#include "disk-formats/ops/ops.h"
#include "tests/disk-formats/disk_test.h"
#include <string.h>

enum { BYTES = 12 << 20, CUT_FROM = 3 << 20, CUT_BYTES = 5 << 20, WRITE_AT = (5 << 20) + 4096, WRITE_BYTES = 8192 };

struct work {
    struct image *im;
    struct fence_filters *filters;
    uint8_t *data;
    int err[4];
};

static gpointer fenced(gpointer data)
{
    struct work *w = data;
    g_autoptr(GError) error = NULL;
    g_assert_true(fence_thread(w->filters, FENCE_WORKER, &error));
    w->err[0] = image_discard(w->im, CUT_FROM, CUT_BYTES);
    w->err[1] = image_flush(w->im);
    w->err[2] = image_write(w->im, WRITE_AT, w->data + WRITE_AT, WRITE_BYTES);
    w->err[3] = image_flush(w->im);
    return NULL;
}

static void fill(const char *path, const char *format, const uint8_t *data)
{
    const struct image_how how = {.format = format, .write = true};
    const struct image_options o = {.bytes = BYTES};
    GError *error = NULL;
    image_create(path, format, &o, false, &error);
    g_assert_no_error(error);
    struct image *im = image_open(path, &how, &error);
    g_assert_no_error(error);
    g_assert_cmpint(image_write(im, 0, data, BYTES), ==, 0);
    g_assert_cmpint(image_close(im), ==, 0);
}

/* What was discarded may be as it was, or zero. */
static void compare(const char *path, const char *format, const uint8_t *before, const uint8_t *after)
{
    const struct image_how how = {.format = format};
    GError *error = NULL;
    struct image *im = image_open(path, &how, &error);
    g_assert_no_error(error);
    g_autofree uint8_t *got = g_malloc(BYTES);
    g_assert_cmpuint(im->bytes, ==, BYTES);
    g_assert_cmpint(image_read(im, 0, got, BYTES), ==, 0);
    for (unsigned i = 0; i < BYTES; i++) {
        bool cut = i >= CUT_FROM && i < CUT_FROM + CUT_BYTES && !(i >= WRITE_AT && i < WRITE_AT + WRITE_BYTES);
        if (got[i] != after[i] && !(cut && (got[i] == 0 || got[i] == before[i])))
            g_error("%s: byte %u is %02x, not %02x", format, i, got[i], after[i]);
    }
    g_assert_cmpint(image_close(im), ==, 0);
}

static void discard_and_write(const void *format)
{
    char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "disk", NULL);
    g_autofree uint8_t *before = g_malloc(BYTES), *after = g_malloc(BYTES);
    const struct image_how how = {.format = format, .write = true};
    GError *error = NULL;
    for (unsigned i = 0; i < BYTES; i++)
        before[i] = i * 7 + (i >> 9) + 1;
    memcpy(after, before, BYTES);
    memset(after + WRITE_AT, 0xee, WRITE_BYTES);
    fill(path, format, before);
    struct work w = {.im = image_open(path, &how, &error), .filters = fence_filters_new(&error), .data = after};
    g_assert_no_error(error);
    g_thread_join(g_thread_new("worker", fenced, &w));
    for (unsigned i = 0; i < G_N_ELEMENTS(w.err); i++)
        g_assert_cmpint(w.err[i], ==, 0);
    g_assert_cmpint(image_close(w.im), ==, 0);
    compare(path, format, before, after);
    fence_filters_free(w.filters);
    scratch_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (const struct image_format *const *f = image_formats(); *f; f++) {
        g_autofree char *name = g_strdup_printf("/disk/fenced/%s", (*f)->name);
        g_test_add_data_func(name, (*f)->name, discard_and_write);
    }
    return g_test_run();
}
