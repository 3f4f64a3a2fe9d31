// SPDX-License-Identifier: GPL-2.0-or-later
/* test_slice.c - parts of a raw file as disks: what they show, that nothing beside them is touched, and who may have which. */
#include "tests/disk-formats/disk_test.h"
#include <glib/gstdio.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES = 1 << 20, FROM = 64 << 10, BYTES = 128 << 10 };

struct whole {
    char *folder, *path;
};

static struct whole whole_new(void)
{
    struct whole w = {.folder = scratch_new()};
    g_autofree char *data = g_malloc(FILE_BYTES);
    w.path = g_build_filename(w.folder, "whole.img", NULL);
    memset(data, 'w', FILE_BYTES);
    g_assert_true(g_file_set_contents(w.path, data, FILE_BYTES, NULL));
    return w;
}

static void whole_free(struct whole *w)
{
    scratch_remove(w->folder);
    g_free(w->path);
}

static struct image *part(const struct whole *w, uint64_t offset, uint64_t bytes, bool write, GError **error)
{
    const struct file_slice slice = {offset, bytes};
    const struct image_how how = {.format = "raw", .write = write, .slice = &slice};
    return image_open(w->path, &how, error);
}

static void works(struct image *im)
{
    g_assert_nonnull(im);
    g_assert_cmpint(image_close(im), ==, 0);
}

/* Writes, zeroes and discards to its very edges; the file's other bytes stay. */
static void contents(void)
{
    struct whole w = whole_new();
    g_autofree char *data = g_malloc(BYTES), *file = NULL;
    struct image *im = part(&w, FROM, BYTES, true, NULL);
    gsize n;
    g_assert_cmpuint(im->bytes, ==, BYTES);
    memset(data, 's', BYTES);
    g_assert_cmpint(image_write(im, 0, data, BYTES), ==, 0);
    g_assert_cmpint(image_write(im, BYTES, data, 1), !=, 0);
    g_assert_cmpint(image_read(im, BYTES - 1, data, 2), !=, 0);
    g_assert_cmpint(image_zero(im, 0, 4096), ==, 0);
    g_assert_cmpint(image_discard(im, BYTES - 4096, 4096), ==, 0);
    g_assert_false(image_resize(im, BYTES * 2, NULL));
    works(im);
    g_assert_true(g_file_get_contents(w.path, &file, &n, NULL));
    g_assert_cmpuint(n, ==, FILE_BYTES);
    for (gsize i = 0; i < n; i++) {
        bool inside = i >= FROM && i < FROM + BYTES;
        bool zero = inside && (i < FROM + 4096 || i >= FROM + BYTES - 4096);
        g_assert_cmpint(file[i], ==, zero ? 0 : inside ? 's' : 'w');
    }
    im = part(&w, FROM + 512, 0, false, NULL); /* up to the end */
    g_assert_cmpuint(im->bytes, ==, FILE_BYTES - FROM - 512);
    works(im);
    whole_free(&w);
}

static void refused(const struct whole *w, uint64_t offset, uint64_t bytes, bool write, const char *what)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(part(w, offset, bytes, write, &error));
    g_assert_nonnull(strstr(error->message, what));
}

static void bounds(void)
{
    struct whole w = whole_new();
    const struct file_slice slice = {0, 512};
    const struct image_how how = {.format = "qcow2", .slice = &slice};
    g_autoptr(GError) error = NULL;
    refused(&w, 100, 512, false, "multiples of 512");
    refused(&w, 0, 700, false, "multiples of 512");
    refused(&w, FILE_BYTES, 0, false, "does not lie within");
    refused(&w, 512, FILE_BYTES, false, "does not lie within");
    refused(&w, FROM, UINT64_MAX - 511, false, "does not lie within");
    g_assert_null(image_open(w.path, &how, &error));
    g_assert_nonnull(strstr(error->message, "for raw images"));
    whole_free(&w);
}

static void neighbours(void)
{
    struct whole w = whole_new();
    struct image *a = part(&w, FROM, BYTES, true, NULL);
    works(part(&w, 0, FROM, true, NULL));
    works(part(&w, FROM + BYTES, 0, true, NULL));
    refused(&w, FROM + BYTES - 512, 512, true, "bytes 196096 to 196607");
    refused(&w, FROM, 512, false, "in use by");
    refused(&w, 0, FILE_BYTES, false, "in use by");
    works(part(&w, 0, FROM, false, NULL));
    works(a);
    a = part(&w, FROM, BYTES, false, NULL); /* readers of one part go together */
    works(part(&w, FROM, 512, false, NULL));
    refused(&w, FROM, 512, true, "in use by");
    works(a);
    works(part(&w, FROM, 512, true, NULL));
    whole_free(&w);
}

/* Whoever has the whole file, and whoever has a part of it. */
static void and_the_whole(void)
{
    struct whole w = whole_new();
    g_autoptr(GError) error = NULL;
    struct image_how read = {.format = "raw"}, write = {.format = "raw", .write = true};
    struct image *a = part(&w, FROM, BYTES, true, NULL);
    g_assert_null(image_open(w.path, &read, NULL));
    g_assert_null(image_open(w.path, &write, &error));
    g_assert_nonnull(strstr(error->message, "in use by"));
    works(a);
    a = part(&w, FROM, BYTES, false, NULL);
    works(image_open(w.path, &read, NULL));
    g_assert_null(image_open(w.path, &write, NULL));
    works(a);
    a = image_open(w.path, &read, NULL);
    works(part(&w, FROM, BYTES, false, NULL));
    refused(&w, FROM, BYTES, true, "in use by");
    works(a);
    a = image_open(w.path, &write, NULL);
    refused(&w, FROM, BYTES, false, "in use by");
    refused(&w, FROM, BYTES, true, "in use by");
    works(a);
    whole_free(&w);
}

/* Somebody who does not mind locks makes the file longer and shorter. */
static void cut_under_it(void)
{
    struct whole w = whole_new();
    struct image *im = part(&w, FROM, BYTES, true, NULL);
    char data[8192];
    g_assert_cmpint(truncate(w.path, FILE_BYTES * 2), ==, 0);
    g_assert_cmpuint(im->bytes, ==, BYTES);
    g_assert_cmpint(truncate(w.path, FROM + 4096), ==, 0);
    g_assert_cmpint(image_read(im, 0, data, 4096), ==, 0);
    g_assert_cmpint(data[0] & data[4095], ==, 'w');
    g_assert_cmpint(image_read(im, 0, data, 4097), ==, -EIO);
    g_assert_cmpint(image_write(im, 4096, data, 512), ==, -EIO);
    g_assert_cmpint(image_zero(im, BYTES - 4096, 4096), ==, -EIO);
    g_assert_cmpuint(blk_size(im->file), ==, BYTES);
    struct stat st;
    g_assert_cmpint(stat(w.path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, FROM + 4096);
    image_close(im);
    whole_free(&w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/slice/contents", contents);
    g_test_add_func("/slice/bounds", bounds);
    g_test_add_func("/slice/neighbours", neighbours);
    g_test_add_func("/slice/and-the-whole", and_the_whole);
    g_test_add_func("/slice/cut-under-it", cut_under_it);
    return g_test_run();
}
