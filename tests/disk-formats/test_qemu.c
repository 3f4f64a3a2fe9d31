// SPDX-License-Identifier: GPL-2.0-or-later
/* test_qemu.c - images made and written by QEMU's tools: we must read them byte for byte, write into them, and leave them
 * in a state that QEMU reads and finds clean.  Skipped without qemu-img and qemu-io.
 * A quick run leaves out the kinds that are much like another one; "-m slow" has them all. */
#include "tests/disk-formats/disk_test.h"
#include "disk-formats/vhd/vhdx.h"
#include <glib/gstdio.h>
#include <string.h>

#define DISK  "6M"
#define BYTES (6u << 20)

struct made {
    const char *name, *qemu_format, *options, *ours;
    bool qemu_check, compressed, fixed_content /* cannot be written by qemu-io or us */, slow;
};
static const struct made kinds[] = {
    {"raw", "raw", "", "raw"},
    {"qcow2", "qcow2", "", "qcow2", true},
    {"qcow2-v2", "qcow2", "compat=0.10", "qcow2", true, .slow = true},
    {"qcow2-512", "qcow2", "cluster_size=512", "qcow2", true, .slow = true},
    {"qcow2-2M", "qcow2", "cluster_size=2M", "qcow2", true, .slow = true},
    {"qcow2-1bit", "qcow2", "refcount_bits=1", "qcow2", true, .slow = true},
    {"qcow2-64bit", "qcow2", "refcount_bits=64,cluster_size=4k", "qcow2", true},
    {"qcow2-extended", "qcow2", "extended_l2=on,cluster_size=128k", "qcow2", true},
    {"qcow2-lazy", "qcow2", "lazy_refcounts=on", "qcow2", true, .slow = true},
    {"qcow2-metadata", "qcow2", "preallocation=metadata", "qcow2", true},
    {"qcow2-zlib", "qcow2", "cluster_size=32k", "qcow2", true, true, .slow = true},
    {"qcow2-zstd", "qcow2", "compression_type=zstd", "qcow2", true, true},
    {"vdi", "vdi", "", "vdi", true},
    {"vdi-static", "vdi", "static=on", "vdi", true, .slow = true},
    {"vmdk", "vmdk", "", "vmdk", true},
    {"vmdk-zeroed", "vmdk", "zeroed_grain=on", "vmdk", true, .slow = true},
    {"vmdk-flat", "vmdk", "subformat=monolithicFlat", "vmdk", .slow = true},
    {"vmdk-split", "vmdk", "subformat=twoGbMaxExtentSparse", "vmdk"},
    {"vmdk-split-flat", "vmdk", "subformat=twoGbMaxExtentFlat", "vmdk", .slow = true},
    {"vmdk-stream", "vmdk", "subformat=streamOptimized", "vmdk", true, false, true},
    {"vhd", "vpc", "force_size=on", "vhd"},
    {"vhd-fixed", "vpc", "subformat=fixed,force_size=on", "vhd", .slow = true},
    {"vhdx", "vhdx", "", "vhdx", true},
    {"vhdx-fixed", "vhdx", "subformat=fixed", "vhdx", true, .slow = true},
};

struct subject {
    const struct made *m;
    char *folder, *path, *raw;
    struct rng rng;
};

static void begin(struct subject *t, const struct made *m)
{
    *t = (struct subject){.m = m, .folder = scratch_new(), .rng = rng_new(test_seed())};
    t->path = g_strdup_printf("%s/image.%s", t->folder, m ? m->ours : "qcow2");
    t->raw = g_build_filename(t->folder, "by-qemu.raw", NULL);
}

static void end(struct subject *t)
{
    scratch_remove(t->folder);
    g_free(t->path);
    g_free(t->raw);
}

static void qemu_create(const char *format, const char *options, const char *path)
{
    if (*options)
        RUN("qemu-img", "create", "-q", "-f", format, "-o", options, path, DISK);
    else
        RUN("qemu-img", "create", "-q", "-f", format, path, DISK);
}

/* Random writes, zeroes and discards by qemu-io. */
static void qemu_scribble(struct subject *t, const char *path, const char *format)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup("qemu-io"));
    g_ptr_array_add(argv, g_strdup("-f"));
    g_ptr_array_add(argv, g_strdup(format));
    for (int i = 0; i < 40; i++) {
        uint64_t bytes = (1 + rng_below(&t->rng, rng_below(&t->rng, 4) ? 40 : 600)) * 512;
        uint64_t offset = rng_below(&t->rng, (BYTES - bytes) / 512) * 512;
        unsigned what = rng_below(&t->rng, 6);
        g_ptr_array_add(argv, g_strdup("-c"));
        g_ptr_array_add(
            argv, what == 0 ? g_strdup_printf("write -z %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, offset, bytes)
                  : what == 1
                      ? g_strdup_printf("discard %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, offset, bytes)
                      : g_strdup_printf("write -P %d %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, 1 + i, offset, bytes));
    }
    g_ptr_array_add(argv, g_strdup(path));
    g_ptr_array_add(argv, NULL);
    run((const char *const *)argv->pdata, true, NULL);
}

static char *qemu_raw(struct subject *t, const char *path, const char *format)
{
    char *data;
    gsize n;
    RUN("qemu-img", "convert", "-f", format, "-O", "raw", path, t->raw);
    g_assert_true(g_file_get_contents(t->raw, &data, &n, NULL));
    g_assert_cmpuint(n, ==, BYTES);
    return data;
}

static struct image *open_ours(const char *path, const char *format, bool write, const char *snapshot)
{
    GError *error = NULL;
    struct image_how how = {.format = format, .write = write, .snapshot = snapshot};
    struct image *im = image_open(path, &how, &error);
    g_assert_no_error(error);
    return im;
}

static void reads_as(const char *path, const char *format, const char *snapshot, const char *expected)
{
    struct image *im = open_ours(path, format, false, snapshot);
    g_autofree char *got = g_malloc(BYTES);
    g_assert_cmpuint(im->bytes, ==, BYTES);
    g_assert_cmpint(image_read(im, 0, got, BYTES), ==, 0);
    for (unsigned i = 0; i < BYTES; i += 512)
        if (memcmp(got + i, expected + i, 512))
            g_error("%s differs at 0x%x", path, i);
    image_close(im);
}

static void scribble_ours(struct subject *t, const char *path, const char *format, char *model)
{
    struct image *im = open_ours(path, format, true, NULL);
    for (int i = 0; i < 60; i++) {
        uint64_t bytes = (1 + rng_below(&t->rng, 200)) * 512, offset = rng_below(&t->rng, (BYTES - bytes) / 512) * 512;
        bool zero = rng_below(&t->rng, 5) == 0;
        memset(model + offset, zero ? 0 : 100 + i, bytes);
        int err = zero ? image_zero(im, offset, bytes) : image_write(im, offset, model + offset, bytes);
        g_assert_cmpint(err, ==, 0);
    }
    g_assert_cmpint(image_close(im), ==, 0);
}

static void check_by_us(const char *path, const char *format)
{
    struct image *im = open_ours(path, format, false, NULL);
    struct image_check c;
    GError *error = NULL;
    if (im->format->check) {
        image_check_init(&c);
        g_assert_true(image_check(im, false, &c, &error));
        if (c.corruptions || (c.leaks && !strcmp(format, "qcow2"))) /* QEMU leaks grains of a VMDK now and then */
            g_error("%s: %s", path, c.text->str);
        image_check_clear(&c);
    }
    image_close(im);
}

static void compress(struct subject *t)
{
    g_autofree char *packed = g_strconcat(t->path, ".packed", NULL);
    const char *o = *t->m->options ? t->m->options : "compat=1.1";
    RUN("qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2", "-o", o, t->path, packed);
    g_assert_cmpint(g_rename(packed, t->path), ==, 0);
}

/* QEMU writes, we read; we write, QEMU reads and checks. */
static void test_kind(const void *data)
{
    struct subject t;
    if (!have_program("qemu-img") || !have_program("qemu-io")) {
        g_test_skip("qemu-img or qemu-io is not installed");
        return;
    }
    begin(&t, data);
    if (t.m->fixed_content) {
        g_autofree char *source = g_strconcat(t.folder, "/source.raw", NULL);
        qemu_create("raw", "", source);
        qemu_scribble(&t, source, "raw");
        RUN("qemu-img", "convert", "-f", "raw", "-O", t.m->qemu_format, "-o", t.m->options, source, t.path);
    } else {
        qemu_create(t.m->qemu_format, t.m->options, t.path);
        qemu_scribble(&t, t.path, t.m->qemu_format);
    }
    if (t.m->compressed)
        compress(&t);
    g_autofree char *model = qemu_raw(&t, t.path, t.m->qemu_format), *after = NULL;
    reads_as(t.path, t.m->ours, NULL, model);
    check_by_us(t.path, t.m->ours);
    if (!t.m->fixed_content) {
        scribble_ours(&t, t.path, t.m->ours, model);
        if (t.m->qemu_check)
            RUN("qemu-img", "check", "-q", "-f", t.m->qemu_format, t.path);
        after = qemu_raw(&t, t.path, t.m->qemu_format);
        g_assert_true(!memcmp(after, model, BYTES));
        check_by_us(t.path, t.m->ours);
    }
    end(&t);
}

/* Snapshots inside of a qcow2: listed, readable, and unharmed by our writes to the disk. */
static void test_snapshots(void)
{
    struct subject t;
    if (!have_program("qemu-io"))
        return g_test_skip("qemu-io is not installed");
    begin(&t, NULL);
    qemu_create("qcow2", "cluster_size=8k", t.path);
    qemu_scribble(&t, t.path, "qcow2");
    g_autofree char *first = qemu_raw(&t, t.path, "qcow2");
    RUN("qemu-img", "snapshot", "-c", "first", t.path);
    qemu_scribble(&t, t.path, "qcow2");
    g_autofree char *second = qemu_raw(&t, t.path, "qcow2"), *model = qemu_raw(&t, t.path, "qcow2");
    RUN("qemu-img", "snapshot", "-c", "second", t.path);
    reads_as(t.path, "qcow2", "first", first);
    scribble_ours(&t, t.path, "qcow2", model);
    RUN("qemu-img", "check", "-q", t.path);
    check_by_us(t.path, "qcow2");
    reads_as(t.path, "qcow2", "first", first);
    reads_as(t.path, "qcow2", "second", second);
    reads_as(t.path, "qcow2", NULL, model);
    RUN("qemu-img", "snapshot", "-a", "first", t.path);
    reads_as(t.path, "qcow2", NULL, first);
    end(&t);
}

/* A user of lazy refcounts that died: opened for writing, the image is recounted. */
static void test_dirty(void)
{
    struct subject t;
    if (!have_program("qemu-io"))
        return g_test_skip("qemu-io is not installed");
    begin(&t, NULL);
    qemu_create("qcow2", "lazy_refcounts=on", t.path);
    run((const char *const[]){"qemu-io", "-c", "write -P 7 64k 1M", "-c", "flush", "-c", "abort", t.path, NULL}, false,
        NULL);
    g_autofree char *state = NULL;
    run((const char *const[]){"qemu-img", "check", t.path, NULL}, false, &state);
    g_autofree char *model = g_malloc0(BYTES);
    memset(model + 65536, 7, 1 << 20);
    scribble_ours(&t, t.path, "qcow2", model);
    RUN("qemu-img", "check", "-q", t.path);
    reads_as(t.path, "qcow2", NULL, model);
    end(&t);
}

/* As if the power had failed between QEMU's writing its log and its writing the table: the table's page is wiped, and the
 * headers say that there is a log.  It is seen when reading, without a change to the file, and replayed before writing. */
static void back_to_the_log(uint8_t *file)
{
    const uint8_t *entry = file + MIB; /* the last one: QEMU gives each an id of its own */
    g_assert_true(!memcmp(entry, "loge", 4));
    while (!memcmp(entry + get_le32(entry + 8), "loge", 4))
        entry += get_le32(entry + 8);
    for (unsigned at = VHDX_HEADER_1; at <= VHDX_HEADER_2; at += VHDX_HEADER_2 - VHDX_HEADER_1) {
        memcpy(file + at + VHDX_LOG_GUID, entry + 32, 16);
        put_le32(file + at + VHDX_CHECKSUM, vhdx_sum(file + at, VHDX_PAGE));
    }
    memset(file + get_le64(entry + 64 + 16), 0, VHDX_PAGE);
}

static void test_vhdx_log(void)
{
    struct subject t;
    gsize n;
    if (!have_program("qemu-io"))
        return g_test_skip("qemu-io is not installed");
    begin(&t, NULL);
    qemu_create("vhdx", "block_size=1M", t.path);
    run((const char *const[]){"qemu-io", "-f", "vhdx", "-c", "write -P 9 1M 2M", "-c", "write -P 8 4M 64k", "-c",
                              "flush", "-c", "abort", t.path, NULL},
        false, NULL);
    g_autofree char *file = NULL, *again = NULL, *model = g_malloc0(BYTES), *after = NULL;
    memset(model + (1 << 20), 9, 2 << 20);
    memset(model + (4 << 20), 8, 65536);
    g_assert_true(g_file_get_contents(t.path, &file, &n, NULL));
    back_to_the_log((uint8_t *)file);
    g_assert_true(g_file_set_contents(t.path, file, n, NULL));
    reads_as(t.path, "vhdx", NULL, model);
    g_assert_true(g_file_get_contents(t.path, &again, NULL, NULL));
    g_assert_true(!memcmp(file, again, n));
    scribble_ours(&t, t.path, "vhdx", model);
    RUN("qemu-img", "check", "-q", "-f", "vhdx", t.path);
    after = qemu_raw(&t, t.path, "vhdx");
    g_assert_true(!memcmp(after, model, BYTES));
    end(&t);
}

static void test_bitmaps(void)
{
    struct subject t;
    if (!have_program("qemu-io"))
        return g_test_skip("qemu-io is not installed");
    begin(&t, NULL);
    qemu_create("qcow2", "", t.path);
    RUN("qemu-img", "bitmap", "--add", t.path, "b");
    qemu_scribble(&t, t.path, "qcow2");
    check_by_us(t.path, "qcow2");
    g_autofree char *model = qemu_raw(&t, t.path, "qcow2");
    scribble_ours(&t, t.path, "qcow2", model);
    reads_as(t.path, "qcow2", NULL, model);
    end(&t);
}

static void test_data_file(const void *raw)
{
    struct subject t;
    if (!have_program("qemu-io"))
        return g_test_skip("qemu-io is not installed");
    begin(&t, NULL);
    g_autofree char *data = g_build_filename(t.folder, "data.bin", NULL);
    g_autofree char *options = g_strdup_printf("data_file=%s,data_file_raw=%s", data, (const char *)raw);
    qemu_create("qcow2", options, t.path);
    qemu_scribble(&t, t.path, "qcow2");
    g_autofree char *model = qemu_raw(&t, t.path, "qcow2"), *after = NULL;
    reads_as(t.path, "qcow2", NULL, model);
    scribble_ours(&t, t.path, "qcow2", model);
    RUN("qemu-img", "check", "-q", t.path);
    after = qemu_raw(&t, t.path, "qcow2");
    g_assert_true(!memcmp(after, model, BYTES));
    end(&t);
}

/* raw <- vmdk <- qcow2 by QEMU, and a layer of ours on top that QEMU reads. */
static void test_chain(void)
{
    struct subject t;
    GError *error = NULL;
    if (!have_program("qemu-io"))
        return g_test_skip("qemu-io is not installed");
    begin(&t, NULL);
    g_autofree char *base = g_build_filename(t.folder, "base.vdi", NULL),
                    *top = g_build_filename(t.folder, "top.qcow2", NULL);
    qemu_create("vdi", "", base);
    qemu_scribble(&t, base, "vdi");
    RUN("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.vdi", "-F", "vdi", t.path);
    qemu_scribble(&t, t.path, "qcow2");
    g_autofree char *model = qemu_raw(&t, t.path, "qcow2"), *after = NULL;
    reads_as(t.path, "qcow2", NULL, model);
    struct image_options o = {.parent = "image.qcow2", .parent_format = "qcow2"};
    image_create(top, "qcow2", &o, false, &error);
    g_assert_no_error(error);
    scribble_ours(&t, top, "qcow2", model);
    after = qemu_raw(&t, top, "qcow2");
    g_assert_true(!memcmp(after, model, BYTES));
    RUN("qemu-img", "check", "-q", top);
    end(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *name = g_strdup_printf("/disk/qemu/%s", kinds[i].name);
        if (!kinds[i].slow || g_test_slow())
            g_test_add_data_func(name, &kinds[i], test_kind);
    }
    g_test_add_func("/disk/qemu/snapshots", test_snapshots);
    g_test_add_func("/disk/qemu/dirty", test_dirty);
    g_test_add_func("/disk/qemu/vhdx-log", test_vhdx_log);
    g_test_add_func("/disk/qemu/bitmaps", test_bitmaps);
    g_test_add_data_func("/disk/qemu/data-file", "off", test_data_file);
    g_test_add_data_func("/disk/qemu/data-file-raw", "on", test_data_file);
    g_test_add_func("/disk/qemu/chain", test_chain);
    return g_test_run();
}
