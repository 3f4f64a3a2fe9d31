// SPDX-License-Identifier: GPL-2.0-or-later
/* test_model.c - random operations on each variant of each format, compared with a plain buffer at every step.
 * TEST_STEPS says how many (default: few, for a quick run). */
#include "disk-formats/ops/ops.h"
#include "tests/disk-formats/variants.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (6u << 20)

struct subject {
    const struct variant *v;
    struct rng rng;
    char *folder, *path;
    unsigned layers;
    struct image *im;
    uint8_t *model;
    uint64_t bytes;
};

static void compare(struct subject *t, uint64_t offset, uint64_t bytes)
{
    g_autofree uint8_t *got = g_malloc(bytes + 1);
    g_assert_cmpint(image_read(t->im, offset, got, bytes), ==, 0);
    for (uint64_t i = 0; i < bytes; i += 512)
        if (memcmp(got + i, t->model + offset + i, MIN(512, bytes - i)))
            g_error("%s differs at 0x%" G_GINT64_MODIFIER "x", t->path, offset + i);
}

static void open_subject(struct subject *t)
{
    GError *error = NULL;
    struct image_how how = {.format = t->v->format, .write = true, .cache = CACHE_UNSAFE};
    t->im = image_open(t->path, &how, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(t->im->bytes, ==, t->bytes);
}

static void close_subject(struct subject *t)
{
    g_assert_cmpint(image_close(t->im), ==, 0);
    t->im = NULL;
}

static bool qemu_reads(const struct subject *t)
{
    return t->v->qemu_format && (t->layers == 1 || t->v->qemu_children) && have_program("qemu-img");
}

static void qemu_agrees(struct subject *t)
{
    if (t->v->qemu_check && qemu_reads(t))
        RUN("qemu-img", "check", "-q", "-f", t->v->qemu_format, t->path);
}

static void create_subject(struct subject *t, const char *parent)
{
    GError *error = NULL;
    struct image_options o = {.bytes = t->bytes, .options = (char **)t->v->options, .fixed = t->v->fixed};
    g_autofree char *name = g_strdup_printf("layer%u.%s", t->layers++, t->v->format);
    o.parent = parent;
    o.parent_format = parent ? t->v->format : NULL;
    g_free(t->path);
    t->path = g_build_filename(t->folder, name, NULL);
    image_create(t->path, t->v->format, &o, false, &error);
    g_assert_no_error(error);
}

/* Where and how much; often a few sectors, sometimes much. */
static void pick(struct subject *t, uint64_t *offset, uint64_t *bytes)
{
    uint64_t most = rng_below(&t->rng, 8) ? 64 : 4096;
    *bytes = (1 + rng_below(&t->rng, most)) * 512;
    *offset = rng_below(&t->rng, t->bytes / 512) * 512;
    *bytes = MIN(*bytes, t->bytes - *offset);
}

static void step_write(struct subject *t)
{
    uint64_t offset, bytes;
    pick(t, &offset, &bytes);
    for (uint64_t i = 0; i < bytes; i += 8) {
        uint64_t x = rng_next(&t->rng);
        memcpy(t->model + offset + i, &x, 8);
    }
    struct iovec iov[3];
    uint64_t a = rng_below(&t->rng, bytes / 512 + 1) * 512, b = rng_below(&t->rng, (bytes - a) / 512 + 1) * 512;
    iov[0] = (struct iovec){t->model + offset, a};
    iov[1] = (struct iovec){t->model + offset + a, b};
    iov[2] = (struct iovec){t->model + offset + a + b, bytes - a - b};
    g_assert_cmpint(image_writev(t->im, offset, iov, 3), ==, 0);
    compare(t, offset, bytes);
}

static void step_zero(struct subject *t)
{
    uint64_t offset, bytes;
    pick(t, &offset, &bytes);
    memset(t->model + offset, 0, bytes);
    g_assert_cmpint(image_zero(t->im, offset, bytes), ==, 0);
    compare(t, offset, bytes);
}

/* What a discard leaves is up to the format: the old bytes or zeroes, sector by sector. */
static void step_discard(struct subject *t)
{
    uint64_t offset, bytes;
    pick(t, &offset, &bytes);
    g_autofree uint8_t *got = g_malloc(bytes);
    g_assert_cmpint(image_discard(t->im, offset, bytes), ==, 0);
    g_assert_cmpint(image_read(t->im, offset, got, bytes), ==, 0);
    for (uint64_t i = 0; i < bytes; i += 512) {
        g_assert_true(!memcmp(got + i, t->model + offset + i, 512) || image_is_zero(got + i, 512));
        memcpy(t->model + offset + i, got + i, 512);
    }
}

static void step_compressed(struct subject *t)
{
    uint64_t block = t->im->block_bytes;
    if (!t->im->format->append || !block)
        return;
    uint64_t offset = rng_below(&t->rng, t->bytes / block + 1) * block;
    if (offset + block > t->bytes)
        return;
    g_autofree uint8_t *data = g_malloc(block), *packed = g_malloc(block);
    for (uint64_t i = 0; i < block; i++)
        data[i] = rng_below(&t->rng, 4);
    ssize_t n = t->im->format->compress(t->im, data, block, packed, block);
    g_assert_cmpint(n, >, 0);
    int err = image_append(t->im, offset, packed, n);
    if (err == -ENOTSUP) /* not in this variant */
        return;
    g_assert_cmpint(err, ==, 0);
    memcpy(t->model + offset, data, block);
    compare(t, offset, block);
}

static void step_resize(struct subject *t)
{
    GError *error = NULL;
    unsigned sector = t->v->sector ? t->v->sector : 512;
    uint64_t bytes = (1 + rng_below(&t->rng, MAX_BYTES / sector)) * sector;
    if (t->v->no_resize || (t->v->no_shrink && bytes < t->bytes))
        return;
    image_resize(t->im, bytes, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(t->im->bytes, ==, bytes);
    if (bytes < t->bytes)
        memset(t->model + bytes, 0, t->bytes - bytes);
    t->bytes = bytes;
    compare(t, 0, bytes);
}

static void step_reopen(struct subject *t)
{
    close_subject(t);
    qemu_agrees(t);
    open_subject(t);
    compare(t, 0, t->bytes);
}

static void step_layer(struct subject *t)
{
    if (!t->v->parent_format || t->layers >= 12)
        return;
    close_subject(t);
    qemu_agrees(t);
    g_autofree char *parent = g_path_get_basename(t->path);
    create_subject(t, parent);
    open_subject(t);
    compare(t, 0, t->bytes);
}

/* Merge into the parent; the disk shows the same before and after, and so does the parent then. */
static void step_commit(struct subject *t)
{
    GError *error = NULL;
    struct image_how how = {.format = t->v->format, .cache = CACHE_UNSAFE};
    if (!t->im->parent_name)
        return;
    g_autofree char *parent = g_build_filename(t->folder, t->im->parent_name, NULL);
    unsigned block = t->im->block_bytes;
    close_subject(t);
    disk_commit(t->path, &how, false, NULL, &error);
    g_assert_no_error(error);
    struct image *im = image_open(parent, &how, &error);
    g_assert_no_error(error);
    g_autofree uint8_t *got = g_malloc(t->bytes);
    g_assert_cmpuint(im->bytes, >=, t->bytes);
    g_assert_cmpint(image_read(im, 0, got, t->bytes), ==, 0);
    g_assert_true(!memcmp(got, t->model, t->bytes));
    image_close(im);
    open_subject(t);
    g_assert_cmpuint(t->im->block_bytes, ==, block); /* an image like the old one took its place */
    compare(t, 0, t->bytes);
}

static void step(struct subject *t)
{
    if (g_getenv("TEST_FULL_COMPARE"))
        compare(t, 0, t->bytes);
    static void (*const often[])(struct subject *) = {step_write, step_zero, step_discard, step_compressed};
    static void (*const seldom[])(struct subject *) = {step_resize, step_reopen, step_layer, step_commit};
    unsigned what = rng_below(&t->rng, 100);
    if (what < 4)
        seldom[rng_below(&t->rng, 4)](t);
    else if (what < 10)
        g_assert_cmpint(image_flush(t->im), ==, 0);
    else if (what < 60)
        step_write(t);
    else
        often[rng_below(&t->rng, 4)](t);
}

static void qemu_reads_it(struct subject *t)
{
    if (!qemu_reads(t))
        return;
    g_autofree char *raw = g_strconcat(t->path, ".by-qemu", NULL), *got = NULL;
    gsize n;
    RUN("qemu-img", "convert", "-f", t->v->qemu_format, "-O", "raw", t->path, raw);
    g_assert_true(g_file_get_contents(raw, &got, &n, NULL));
    g_assert_cmpuint(n, >=, t->bytes);
    g_assert_true(!memcmp(got, t->model, t->bytes));
}

static void test_variant(const void *data)
{
    struct subject t = {.v = data, .rng = rng_new(test_seed()), .folder = scratch_new(), .bytes = MAX_BYTES / 2};
    const char *steps = g_getenv("TEST_STEPS");
    t.model = g_malloc0(MAX_BYTES);
    create_subject(&t, NULL);
    open_subject(&t);
    for (int i = steps ? atoi(steps) : 80; i > 0; i--)
        step(&t);
    compare(&t, 0, t.bytes);
    close_subject(&t);
    qemu_agrees(&t);
    qemu_reads_it(&t);
    scratch_remove(t.folder);
    g_free(t.path);
    g_free(t.model);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < variant_count; i++) {
        g_autofree char *name = g_strdup_printf("/disk/model/%s", variants[i].name);
        g_test_add_data_func(name, &variants[i], test_variant);
    }
    return g_test_run();
}
