// SPDX-License-Identifier: GPL-2.0-or-later
/* test_strange.c - images as others write them or damage them: sizes within a sector, descriptors in all spellings, regions
 * over each other; that what is refused has changed nothing; and what a new image leaves on the host's disk, and when. */
#include "tests/disk-formats/disk_test.h"
#include "disk-formats/ops/ops.h"
#include "disk-formats/vmdk/vmdk.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES (4u << 20)

static char *in(const char *folder, const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void make(const char *path, const char *format, const char *option, const char *parent)
{
    GError *error = NULL;
    char *options[] = {(char *)option, NULL};
    struct image_options o = {.bytes = BYTES, .options = options, .parent = parent};
    o.parent_format = parent ? strrchr(parent, '.') + 1 : NULL;
    image_create(path, format, &o, false, &error);
    g_assert_no_error(error);
}

static void fill(const char *path, const char *format, int value, uint64_t at, uint64_t bytes)
{
    struct image *im = open_image(path, format, true);
    g_autofree uint8_t *data = g_malloc(bytes);
    memset(data, value, bytes);
    g_assert_cmpint(image_write(im, at, data, bytes), ==, 0);
    g_assert_cmpint(image_close(im), ==, 0);
}

static void poke(const char *path, uint64_t at, const void *data, size_t n)
{
    int fd = open(path, O_RDWR);
    g_assert_cmpint(pwrite(fd, data, n, at), ==, n);
    close(fd);
}

static void peek(const char *path, uint64_t at, void *data, size_t n)
{
    int fd = open(path, O_RDONLY);
    g_assert_cmpint(pread(fd, data, n, at), ==, n);
    close(fd);
}

/* ---- what is in a file, and when it was changed ---- */
static char *state_of(const char *path)
{
    g_autofree char *data = NULL;
    struct stat st;
    gsize n;
    g_assert_true(g_file_get_contents(path, &data, &n, NULL));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)data, n);
    return g_strdup_printf("%s %ld.%09ld", sum, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void assert_refused(bool done, GError **error, const char *text)
{
    g_assert_false(done);
    g_assert_nonnull(*error);
    if (!strstr((*error)->message, text))
        g_error("\"%s\" does not say \"%s\"", (*error)->message, text);
    g_clear_error(error);
}

static bool resize(const char *path, const char *format, uint64_t bytes, GError **error)
{
    struct image *im = open_image(path, format, true);
    bool ok = image_resize(im, bytes, error);
    image_close(im);
    return ok;
}

/* Where a disk cannot shrink, the end of its last block is not cleared first. */
static void test_no_shrink(void)
{
    static const char *const formats[] = {"vdi", "vmdk", "vhd", "vhdx"};
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        char *folder = scratch_new();
        g_autofree char *path = in(folder, "x");
        GError *error = NULL;
        make(path, formats[i], NULL, NULL);
        fill(path, formats[i], 7, 0, BYTES);
        g_autofree char *before = state_of(path);
        assert_refused(resize(path, formats[i], BYTES - 4096, &error), &error, "");
        g_autofree char *after = state_of(path);
        g_assert_cmpstr(before, ==, after);
        scratch_remove(folder);
    }
}

static void set_autoclear(const char *path)
{
    uint8_t field[8];
    put_be64(field, UINT64_C(1) << 40);
    poke(path, 88, field, sizeof field);
}

/* A bit that promises what only its owner keeps up stays until something is written. */
static void test_autoclear(void)
{
    char *folder = scratch_new();
    g_autofree char *base = in(folder, "base.qcow2"), *child = in(folder, "child.qcow2");
    uint8_t field[8];
    struct image_how how = {.format = "qcow2"};
    GError *error = NULL;
    make(base, "qcow2", NULL, NULL);
    set_autoclear(base);
    make(child, "qcow2", NULL, "base.qcow2");
    fill(child, "qcow2", 7, 0, 65536);
    g_autofree char *before = state_of(base);
    image_close(open_image(base, "qcow2", true));
    g_autofree char *after = state_of(base);
    g_assert_cmpstr(before, ==, after);
    disk_commit(child, &how, false, NULL, &error);
    g_assert_no_error(error);
    peek(base, 88, field, sizeof field);
    g_assert_cmpuint(get_be64(field), ==, 0);
    image_close(open_image(child, "qcow2", false));
    scratch_remove(folder);
}

/* Nor does a repair that finds nothing to repair. */
static void test_needless_repair(void)
{
    static const char *const formats[] = {"qcow2", "vdi", "vmdk", "vhd", "vhdx"};
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        char *folder = scratch_new();
        g_autofree char *path = in(folder, "x");
        struct image_how how = {.format = formats[i], .write = true, .repair = true};
        struct image_check c;
        make(path, formats[i], NULL, NULL);
        fill(path, formats[i], 7, 0, BYTES);
        if (!i)
            set_autoclear(path);
        g_autofree char *before = state_of(path);
        struct image *im = image_open(path, &how, NULL);
        image_check_init(&c);
        g_assert_true(image_check(im, true, &c, NULL));
        g_assert_cmpuint(c.corruptions + c.leaks, ==, 0);
        g_assert_cmpuint(c.blocks, >, 0);
        image_check_clear(&c);
        g_assert_cmpint(image_close(im), ==, 0);
        g_autofree char *after = state_of(path);
        g_assert_cmpstr(before, ==, after);
        scratch_remove(folder);
    }
}

/* A commit that cannot be leaves both images as they were: a parent that cannot grow, one that is packed. */
static void test_refused_commit(void)
{
    char *folder = scratch_new();
    g_autofree char *small = in(folder, "small.vhd"), *packed = in(folder, "packed.vmdk");
    const struct {
        const char *parent, *name, *option;
        uint64_t bytes;
    } cases[] = {{small, "small.vhd", NULL, 2 * BYTES}, {packed, "packed.vmdk", "subformat=streamOptimized", BYTES}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *child = g_strdup_printf("%s/child%u.qcow2", folder, i);
        struct image_how how = {.format = "qcow2"};
        GError *error = NULL;
        make(cases[i].parent, strrchr(cases[i].name, '.') + 1, cases[i].option, NULL);
        make(child, "qcow2", NULL, cases[i].name);
        g_assert_true(resize(child, "qcow2", cases[i].bytes, NULL));
        fill(child, "qcow2", 7, 0, 65536);
        g_autofree char *parent_before = state_of(cases[i].parent), *child_before = state_of(child);
        assert_refused(disk_commit(child, &how, false, NULL, &error), &error, "");
        g_autofree char *parent_after = state_of(cases[i].parent), *child_after = state_of(child);
        g_assert_cmpstr(parent_before, ==, parent_after);
        g_assert_cmpstr(child_before, ==, child_after);
    }
    scratch_remove(folder);
}

/* A conversion that ends early leaves all files of what it would have replaced. */
static void test_refused_replacement(void)
{
    char *folder = scratch_new();
    g_autofree char *old = in(folder, "b.vmdk"), *flat = in(folder, "b-flat.vmdk"), *from = in(folder, "a.qcow2");
    char *options[] = {"subformat=monolithicFlat", NULL};
    struct disk_convert c = {
        .source = from, .how = {.format = "qcow2"}, .target = old, .format = "vmdk", .replace = true};
    struct disk_job cancelled = {.cancel = 1};
    GError *error = NULL;
    make(old, "vmdk", options[0], NULL);
    fill(old, "vmdk", 5, 0, BYTES);
    make(from, "qcow2", NULL, NULL);
    fill(from, "qcow2", 6, 0, BYTES);
    c.options.options = options;
    g_autofree char *before = state_of(flat), *descriptor = state_of(old);
    assert_refused(disk_convert(&c, &cancelled, &error), &error, "");
    g_autofree char *after = state_of(flat), *descriptor_after = state_of(old);
    g_assert_cmpstr(before, ==, after);
    g_assert_cmpstr(descriptor, ==, descriptor_after);
    scratch_remove(folder);
}

/* An image is not written over by itself, a part of it or a parent of it, whatever the name. */
static void test_own_target(void)
{
    char *folder = scratch_new();
    g_autofree char *flat = in(folder, "b-flat.vmdk"), *b = in(folder, "b.vmdk"), *child = in(folder, "c.qcow2"),
                    *hard = in(folder, "hard"), *link_name = in(folder, "link");
    make(b, "vmdk", "subformat=monolithicFlat", NULL);
    make(child, "qcow2", NULL, "b.vmdk");
    g_assert_cmpint(link(b, hard) | symlink("c.qcow2", link_name), ==, 0);
    const char *const targets[] = {flat, b, child, hard, link_name};
    for (unsigned i = 0; i < G_N_ELEMENTS(targets); i++) {
        struct disk_convert c = {
            .source = child, .how = {.format = "qcow2"}, .target = targets[i], .format = "raw", .replace = true};
        GError *error = NULL;
        g_autofree char *before = state_of(targets[i]);
        assert_refused(disk_convert(&c, NULL, &error), &error, "is the source, a part of it or a parent");
        g_autofree char *after = state_of(targets[i]);
        g_assert_cmpstr(before, ==, after);
    }
    struct image_options o = {.parent = "link", .parent_format = "qcow2"};
    GError *error = NULL;
    assert_refused(image_create(child, "qcow2", &o, true, &error), &error, "itself");
    image_close(open_image(child, "qcow2", false));
    scratch_remove(folder);
}

/* ---- sizes within a sector ---- */
#define ODD (BYTES - 512 + 7)

static void make_odd_vdi(const char *path)
{
    uint8_t field[8];
    make(path, "vdi", NULL, NULL);
    fill(path, "vdi", 7, 0, BYTES);
    put_le64(field, ODD);
    poke(path, 0x170, field, sizeof field);
}

static void put_sum(uint8_t *footer)
{
    uint32_t sum = 0;
    put_be32(footer + 64, 0);
    for (unsigned i = 0; i < 512; i++)
        sum += footer[i];
    put_be32(footer + 64, ~sum);
}

static void make_odd_vhd(const char *path, bool fixed)
{
    uint8_t footer[512];
    GError *error = NULL;
    struct image_options o = {.bytes = BYTES, .fixed = fixed};
    image_create(path, "vhd", &o, false, &error);
    g_assert_no_error(error);
    fill(path, "vhd", 7, 0, BYTES);
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    peek(path, st.st_size - 512, footer, sizeof footer);
    put_be64(footer + 48, ODD);
    put_sum(footer);
    g_assert_cmpint(fixed ? truncate(path, ODD) : 0, ==, 0);
    poke(path, fixed ? ODD : st.st_size - 512, footer, sizeof footer);
    if (!fixed)
        poke(path, 0, footer, sizeof footer);
}

static void make_odd_raw(const char *path)
{
    make(path, "raw", NULL, NULL);
    fill(path, "raw", 7, 0, BYTES);
    g_assert_cmpint(truncate(path, ODD), ==, 0);
}

static void make_odd_flat(const char *path)
{
    g_autofree char *flat = g_strconcat(path, "-flat.vmdk", NULL);
    make(path, "vmdk", "subformat=monolithicFlat", NULL);
    fill(path, "vmdk", 7, 0, BYTES);
    g_assert_cmpint(truncate(flat, ODD), ==, 0);
}

/* Where our VHDX have the size: the second item of the metadata, 64 bytes behind the first. */
static void make_odd_vhdx(const char *path)
{
    uint8_t field[8];
    make(path, "vhdx", NULL, NULL);
    fill(path, "vhdx", 7, 0, BYTES);
    peek(path, (2 << 20) + 65536 + 64, field, sizeof field);
    g_assert_cmpuint(get_le64(field), ==, BYTES);
    put_le64(field, ODD);
    poke(path, (2 << 20) + 65536 + 64, field, sizeof field);
}

/* All that is there is shown, in whole sectors, and can be written over, the last one as well. */
static void assert_odd(const char *path, const char *format, bool padded)
{
    uint8_t got[512], want[512];
    struct image *im = open_image(path, format, true);
    memset(want, 7, sizeof want);
    if (padded)
        memset(want + ODD % 512, 0, 512 - ODD % 512);
    g_assert_cmpuint(im->bytes, ==, BYTES);
    g_assert_cmpint(image_read(im, BYTES - 512, got, 512), ==, 0);
    g_assert_cmpmem(got, ODD % 512, want, ODD % 512);
    g_assert_true(!padded || !memcmp(got, want, 512));
    memset(want, 9, sizeof want);
    g_assert_cmpint(image_write(im, BYTES - 512, want, 512), ==, 0);
    g_assert_cmpint(image_close(im), ==, 0);
    im = open_image(path, format, false);
    g_assert_cmpuint(im->bytes, ==, BYTES);
    g_assert_cmpint(image_read(im, BYTES - 512, got, 512), ==, 0);
    g_assert_cmpmem(got, 512, want, 512);
    g_assert_cmpint(image_read(im, BYTES - 1024, got, 512), ==, 0);
    g_assert_cmpint(got[0] + got[511], ==, 14);
    image_close(im);
}

static void test_odd_sizes(void)
{
    char *folder = scratch_new();
    g_autofree char *raw = in(folder, "raw"), *vdi = in(folder, "vdi"), *vhd = in(folder, "vhd"),
                    *fixed = in(folder, "fixed"), *flat = in(folder, "flat"), *vhdx = in(folder, "vhdx");
    make_odd_vhdx(vhdx);
    assert_odd(vhdx, "vhdx", false);
    make_odd_raw(raw);
    make_odd_vdi(vdi);
    make_odd_vhd(vhd, false);
    make_odd_vhd(fixed, true);
    make_odd_flat(flat);
    assert_odd(raw, "raw", true);
    assert_odd(vdi, "vdi", false);
    assert_odd(vhd, "vhd", false);
    assert_odd(fixed, "vhd", true);
    assert_odd(flat, "vmdk", true);
    scratch_remove(folder);
}

static void test_sizes_in_words(void)
{
    static const char *const bad[] = {"1e3",    "1e3K",  "0x10", "1.5", "-1", "+1",
                                      "1.5.5M", "1 M M", "",     ".5M", "8E", "1_000"};
    uint64_t bytes;
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        if (disk_size_parse(bad[i], &bytes))
            g_error("\"%s\" is taken for %" G_GUINT64_FORMAT " bytes", bad[i], bytes);
    g_assert_true(disk_size_parse("1.3M", &bytes));
    g_assert_cmpuint(bytes, ==, 1363149); /* 1363148.8: up */
    g_assert_true(disk_size_parse("1.5 KiB", &bytes));
    g_assert_cmpuint(bytes, ==, 1536);
}

/* ---- descriptors ---- */
static const struct spelling {
    const char *what, *text;
} spellings[] = {
    {"another title",
     "# Disk Descriptor File\nversion=1\nCID=12345678\ncreateType=\"monolithicFlat\"\nRW 8 FLAT \"f\" 0\n"},
    {"no title", "version=1\nCID=12345678\ncreateType=\"monolithicFlat\"\nRW 8 FLAT \"f\" 0\n"},
    {"comments and blanks first",
     "\n  # by me\n#\n\n\tversion = 1\nCID=12345678\ncreateType=\"custom\"\nRW 8 FLAT \"f\" 0\n"},
    {"CRLF", "# Disk DescriptorFile\r\nversion=1\r\nCID=12345678\r\ncreateType=\"custom\"\r\nRW 8 FLAT \"f\" 0\r\n"},
    {"CR", "# Disk DescriptorFile\rversion=1\rCID=12345678\rcreateType=\"custom\"\rRW 8 FLAT \"f\" 0\r"},
    {"byte-order mark",
     "\xef\xbb\xbf# Disk DescriptorFile\nversion=1\nCID=12345678\ncreateType=\"custom\"\nRW 8 FLAT \"f\" 0\n"},
    {"order", "createType=\"custom\"\nRW 8 FLAT \"f\" 0\nparentCID=ffffffff\nCID=12345678\nversion=1\n"},
    {"case", "VERSION=1\ncid=12345678\nPARENTCID=FFFFFFFF\nCREATETYPE=\"custom\"\nrw 8 flat \"f\" 0\n"},
    {"no quotes", "version=1\nCID=12345678 # now\ncreateType=custom # of mine\nRW 8 FLAT f 0\n"},
    {"tabs", "version\t=\t1\nCID\t=\t12345678\ncreateType\t=\t\"custom\"\nRW\t8\tFLAT\t\"f\"\t0\n"},
    {"short id", "version=1\nCID=5678\ncreateType=\"custom\"\nRW 8 FLAT \"f\" 0\n"},
    {"device", "version=1\nCID=12345678\ncreateType=\"custom\"\nRW 8 FLAT \"f\" 0 f0e1-00 disk:1\n"},
    {"a dot before the name", "version=1\nCID=12345678\ncreateType=\"custom\"\nRW 8 FLAT \"./f\" 0\n"},
    {"an extent first", "# Extents\nRW 8 FLAT \"f\"\nversion=1\nCID=12345678\ncreateType=\"custom\"\n"},
    {"the data base first",
     "ddb.adapterType = \"ide\"\nversion=1\nCID=12345678\ncreateType=\"custom\"\nRW 8 FLAT \"f\"\n"},
    {"a title, then something new",
     "#disk descriptorfile\nnews=1\nversion=1\nCID=12345678\ncreateType=\"custom\"\nRW 8 FLAT f\n"},
    {"an id with a prefix", "version=1\nCID=0x12345678\ncreateType=\"custom\"\nRW 8 FLAT \"f\"\n"},
    {"no end of line", "version=1\nCID=12345678\ncreateType=\"custom\"\nRW 8 FLAT \"f\""},
};

static void assert_shows(const char *path, const char *format)
{
    uint8_t got[4096];
    GError *error = NULL;
    struct image_how how = {.format = format, .guess = !format};
    struct image *im = image_open(path, &how, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(im->format->name, ==, "vmdk");
    g_assert_cmpuint(im->bytes, ==, 4096);
    g_assert_cmpint(image_read(im, 0, got, sizeof got), ==, 0);
    g_assert_cmpint(got[0] & got[4095], ==, 'F');
    image_close(im);
}

static char *id_of(const char *path)
{
    struct image *im = open_image(path, "vmdk", false);
    char *id = g_strdup(im->id);
    image_close(im);
    return id;
}

static void test_descriptors(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "x"), *flat = in(folder, "f");
    char data[4096];
    memset(data, 'F', sizeof data);
    g_assert_true(g_file_set_contents(flat, data, sizeof data, NULL));
    for (unsigned i = 0; i < G_N_ELEMENTS(spellings); i++) {
        g_test_message("%s", spellings[i].what);
        g_assert_true(g_file_set_contents(path, spellings[i].text, -1, NULL));
        assert_shows(path, NULL);
        assert_shows(path, "vmdk");
        g_autofree char *before = id_of(path);
        fill(path, "vmdk", 'F', 0, 512); /* children must notice, however the id is spelled */
        g_autofree char *after = id_of(path), *text = NULL;
        gsize n;
        g_assert_cmpstr(before, !=, after);
        g_assert_true(g_file_get_contents(path, &text, &n, NULL));
        g_assert_cmpuint(n, ==, strlen(spellings[i].text));
        assert_shows(path, NULL);
    }
    scratch_remove(folder);
}

/* UTF-16 is read only; names in a code page are found. */
static void test_encodings(void)
{
    static const char text[] = "version=1\nCID=12345678\ncreateType=\"custom\"\nRW 8 FLAT \"f\xc3\xa4\" 0\n";
    static const char latin[] =
        "version=1\nencoding=\"windows-1252\"\nCID=12345678\ncreateType=\"custom\"\nRW 8 FLAT \"f\xe4\"\n";
    static const char *const charsets[] = {"UTF-16LE", "UTF-16BE"};
    char *folder = scratch_new(), data[4096];
    g_autofree char *path = in(folder, "x"), *flat = in(folder, "f\xc3\xa4");
    memset(data, 'F', sizeof data);
    g_assert_true(g_file_set_contents(flat, data, sizeof data, NULL));
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(charsets); i++) { /* with a mark, and with a comment only */
        gsize n;
        g_autofree char *marked = g_strconcat(i & 1 ? "# mine\n" : "\xef\xbb\xbf", text, NULL);
        g_autofree char *wide = g_convert(marked, -1, charsets[i / 2], "UTF-8", NULL, &n, NULL);
        g_assert_true(g_file_set_contents(path, wide, n, NULL));
        assert_shows(path, NULL);
        struct image_how how = {.format = "vmdk", .write = true};
        GError *error = NULL;
        assert_refused(image_open(path, &how, &error), &error, "UTF-16");
    }
    g_assert_true(g_file_set_contents(path, latin, -1, NULL));
    assert_shows(path, NULL);
    scratch_remove(folder);
}

/* A parent's name as Windows has it. */
static void test_windows_names(void)
{
    char *folder = scratch_new();
    g_autofree char *below = in(folder, "below"), *base = in(folder, "base.vmdk"), *child = in(below, "child.vmdk");
    g_autofree char *text = NULL;
    gsize n;
    GError *error = NULL;
    struct image_options o = {.parent = "../base.vmdk", .parent_format = "vmdk"};
    g_assert_cmpint(g_mkdir(below, 0700), ==, 0);
    make(base, "vmdk", NULL, NULL);
    image_create(child, "vmdk", &o, false, &error);
    g_assert_no_error(error);
    g_assert_true(g_file_get_contents(child, &text, &n, NULL));
    char *name = memmem(text, n, "../base", 7);
    g_assert_nonnull(name);
    poke(child, name - text + 2, "\\", 1);
    struct image *im = open_image(child, "vmdk", true);
    g_assert_nonnull(im->parent);
    image_close(im);
    scratch_remove(folder);
}

/* Under a name that promises an image, what is none is not taken for a disk. */
static void test_promised(void)
{
    char *folder = scratch_new();
    static const char *const names[] = {"x.vmdk", "x.qcow2", "x.vdi", "x.vhd", "x.vhdx"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = in(folder, names[i]);
        struct image_how guess = {.guess = true}, raw = {.format = "raw"};
        GError *error = NULL;
        make(path, "raw", NULL, NULL);
        assert_refused(image_open(path, &guess, &error), &error, "though it is called one");
        image_close(image_open(path, &raw, &error));
        g_assert_no_error(error);
    }
    g_autofree char *vhd = in(folder, "y.vhdx");
    struct image_how how = {.format = "vhdx"};
    GError *error = NULL;
    make(vhd, "vhd", NULL, NULL);
    assert_refused(image_open(vhd, &how, &error), &error, "looks like vhd");
    scratch_remove(folder);
}

/* ---- regions over each other ---- */
static void break_vdi(const char *path)
{
    uint8_t entry[4];
    put_le32(entry, 0);
    poke(path, 512 + 4, entry, sizeof entry); /* the second block where the first is */
}

static void break_vhd(const char *path)
{
    uint8_t entry[4];
    peek(path, 1536, entry, sizeof entry);
    put_be32(entry, get_be32(entry) + 8);
    poke(path, 1540, entry, sizeof entry);
}

/* The block table over the header that says where it is. */
static void break_vhd_table(const char *path)
{
    uint8_t header[1024];
    uint32_t sum = 0;
    peek(path, 512, header, sizeof header);
    put_be64(header + 16, 1024);
    put_be32(header + 36, 0);
    for (unsigned i = 0; i < sizeof header; i++)
        sum += header[i];
    put_be32(header + 36, ~sum);
    poke(path, 512, header, sizeof header);
}

static void break_vhdx(const char *path)
{
    uint8_t entry[8];
    put_le64(entry, 2 << 20 | 6); /* over the metadata */
    poke(path, 3 << 20, entry, sizeof entry);
}

static void break_vmdk(const char *path)
{
    uint8_t gd[8], table[4], entry[4];
    peek(path, 56, gd, sizeof gd);
    peek(path, get_le64(gd) * 512, table, sizeof table);
    peek(path, get_le32(table) * 512ull, entry, sizeof entry);
    put_le32(entry, get_le32(table) + 1); /* the first grain over its own table */
    poke(path, get_le32(table) * 512ull, entry, sizeof entry);
}

static void break_vmdk_grains(const char *path)
{
    uint8_t gd[8], table[4], entry[4];
    peek(path, 56, gd, sizeof gd);
    peek(path, get_le64(gd) * 512, table, sizeof table);
    peek(path, get_le32(table) * 512ull, entry, sizeof entry);
    put_le32(entry, get_le32(entry) + 3); /* the second one over the first one's end */
    poke(path, get_le32(table) * 512ull + 4, entry, sizeof entry);
}

static void break_qcow2(const char *path)
{
    uint8_t l1[8], reftable[8], entry[8];
    peek(path, 40, l1, sizeof l1);
    peek(path, 48, reftable, sizeof reftable);
    put_be64(entry, get_be64(reftable) | UINT64_C(1) << 63); /* the L2 table over the refcount table */
    poke(path, get_be64(l1), entry, sizeof entry);
}

static void break_qcow2_data(const char *path)
{
    uint8_t l1[8], l2[8], entry[8];
    peek(path, 40, l1, sizeof l1);
    peek(path, get_be64(l1), l2, sizeof l2);
    uint64_t table = get_be64(l2) & UINT64_C(0x00fffffffffffe00);
    peek(path, table, entry, sizeof entry);
    poke(path, table + 8, entry, sizeof entry); /* two clusters of the disk are one of the file */
}

static void test_overlaps(void)
{
    static const struct {
        const char *format;
        void (*damage)(const char *path);
    } cases[] = {{"vdi", break_vdi},     {"vhd", break_vhd},         {"vhd", break_vhd_table},
                 {"vhdx", break_vhdx},   {"vmdk", break_vmdk},       {"vmdk", break_vmdk_grains},
                 {"qcow2", break_qcow2}, {"qcow2", break_qcow2_data}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *folder = scratch_new();
        g_autofree char *path = in(folder, "x");
        struct image_how how = {.format = cases[i].format, .write = true};
        GError *error = NULL;
        g_test_message("%s, case %u", cases[i].format, i);
        make(path, cases[i].format, NULL, NULL);
        fill(path, cases[i].format, 7, 0, BYTES);
        image_close(open_image(path, cases[i].format, true)); /* so far all is well */
        cases[i].damage(path);
        g_autofree char *before = state_of(path);
        assert_refused(image_open(path, &how, &error), &error, "it can be read, but is not written");
        image_close(open_image(path, cases[i].format, false));
        g_autofree char *after = state_of(path);
        g_assert_cmpstr(before, ==, after);
        how.repair = true;
        struct image *im = image_open(path, &how, NULL);
        g_assert_nonnull(im); /* check may look at it, and repair what can be */
        image_close(im);
        scratch_remove(folder);
    }
}

/* ---- memory ---- */

/* As large as can be: 512 TiB in 16 million tables, which are all one. */
static void test_vmdk_memory(void)
{
    enum { TABLES = 16 << 20, GD = 128, TABLE = 64 };
    char *folder = scratch_new(), text[512] = {0};
    g_autofree char *path = in(folder, "x.vmdk");
    uint8_t h[512] = {0}, byte, some[4096];
    g_snprintf(text, sizeof text,
               "version=1\nCID=1\ncreateType=\"monolithicSparse\"\nRW %" G_GUINT64_FORMAT " SPARSE \"x\"\n",
               (uint64_t)TABLES * 65536);
    put_le32(h, 0x564d444b);
    put_le32(h + 4, 1);
    put_le64(h + 12, (uint64_t)TABLES * 65536);
    put_le64(h + 20, 128);
    put_le64(h + 28, 1);
    put_le64(h + 36, 20);
    put_le32(h + 44, 512);
    put_le64(h + 56, GD);
    g_assert_true(g_file_set_contents(path, (char *)h, sizeof h, NULL));
    poke(path, 512, text, sizeof text);
    for (unsigned i = 0; i < sizeof some / 4; i++)
        put_le32(some + i * 4, TABLE);
    for (uint64_t at = 0; at < TABLES * 4ull; at += sizeof some)
        poke(path, GD * 512 + at, some, sizeof some);
    struct image *im = open_image(path, "vmdk", false);
    const struct vmdk *v = im->state;
    for (uint64_t i = 0; i < 2 * VMDK_CACHED; i++)
        g_assert_cmpint(image_read(im, i * (32u << 20), &byte, 1), ==, 0);
    g_assert_cmpuint(v->extent[0].cache.used.length, <=, VMDK_CACHED);
    g_assert_cmpuint(g_hash_table_size(v->extent[0].cache.by_index), ==, v->extent[0].cache.used.length);
    image_close(im);
    scratch_remove(folder);
}

/* Far more changed tables than fit: all of them get to the disk. */
static void test_vmdk_cache(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "x.vmdk");
    struct image_options o = {.bytes = UINT64_C(40) << 30};
    GError *error = NULL;
    image_create(path, "vmdk", &o, false, &error);
    g_assert_no_error(error);
    struct image *im = open_image(path, "vmdk", true);
    struct vmdk *v = im->state;
    v->extent[0].cache.limit = 16;
    g_queue_clear_full(&v->extent[0].cache.used, g_free); /* what the check for overlaps has read */
    g_hash_table_remove_all(v->extent[0].cache.by_index);
    for (uint32_t i = 0; i < 1000; i++)
        g_assert_cmpint(image_write(im, i * (32ull << 20) + 512, &i, sizeof i), ==, 0);
    g_assert_cmpuint(v->extent[0].cache.used.length, <=, 17);
    g_assert_cmpint(image_close(im), ==, 0);
    im = open_image(path, "vmdk", true);
    for (uint32_t i = 0, got; i < 1000; i++) {
        g_assert_cmpint(image_read(im, i * (32ull << 20) + 512, &got, sizeof got), ==, 0);
        g_assert_cmpuint(got, ==, i);
    }
    image_close(im);
    scratch_remove(folder);
}

/* ---- what is on stable storage: this program's own fsync notes what it is asked for ---- */
static GString *synced; /* NULL: not noted */

int fsync(int fd)
{
    struct stat st;
    if (synced && !fstat(fd, &st))
        g_string_append_c(synced, S_ISDIR(st.st_mode) ? 'd' : st.st_nlink ? 'n' : 'f');
    return 0;
}

static char *syncs_of(const char *path, const char *option, bool replace, bool lasting)
{
    char *options[] = {(char *)option, NULL};
    struct image_options o = {.bytes = BYTES, .options = options};
    GError *error = NULL;
    struct blk_file *f = blk_create(path, replace, &error);
    g_assert_no_error(error);
    image_create_file(f, image_format_find("vmdk", NULL), &o, &error);
    g_assert_no_error(error);
    f->cache = lasting ? CACHE_WRITEBACK : CACHE_UNSAFE;
    synced = g_string_new(NULL);
    blk_publish(f, &error);
    g_assert_no_error(error);
    blk_close(f);
    return g_string_free(g_steal_pointer(&synced), FALSE);
}

/* The file (f: it has no name yet, or a passing one: n), and then the folder (d); parts first. */
static void test_synced(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "x.vmdk");
    g_autofree char *first = syncs_of(path, "subformat=monolithicFlat", false, true);
    g_autofree char *again = syncs_of(path, "subformat=monolithicSparse", true, true);
    g_autofree char *replaced = syncs_of(path, "subformat=monolithicSparse", true, false);
    g_unlink(path);
    g_autofree char *careless = syncs_of(path, "subformat=monolithicSparse", true, false);
    g_strdelimit(first, "n", 'f'); /* where the file system has no files without a name */
    g_strdelimit(again, "n", 'f');
    g_strdelimit(replaced, "n", 'f');
    g_assert_cmpstr(first, ==, "fdfd");
    g_assert_cmpstr(again, ==, "fd");
    g_assert_cmpstr(replaced, ==, "f"); /* the old one must not be lost for nothing */
    g_assert_cmpstr(careless, ==, "");
    scratch_remove(folder);
}

/* Of a process that was killed, on a file system where new files have names; and of one that still runs. */
static void test_left_over(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "x.raw"), *left = in(folder, ".x.raw.0123abcd.part");
    g_autofree char *written = in(folder, ".x.raw.0123abce.part"), *other = in(folder, ".y.raw.0123abcd.part");
    g_autofree char *no_part = in(folder, ".x.raw.0123abcd.parts");
    const char *const paths[] = {left, written, other, no_part};
    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++)
        g_assert_true(g_file_set_contents(paths[i], "data", -1, NULL));
    struct blk_file *f = blk_open(written, FILE_WRITE, CACHE_WRITEBACK, NULL);
    make(path, "raw", NULL, NULL);
    g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
    for (unsigned i = 1; i < G_N_ELEMENTS(paths); i++)
        g_assert_true(g_file_test(paths[i], G_FILE_TEST_EXISTS));
    blk_close(f);
    scratch_remove(folder);
}

/* A header whose extensions have no end but the parent's name, which reads like one of 2 GiB: it is told of another parent all
 * the same, and keeps the extension that nobody knows.  And one that does not say what its parent is cannot be merged. */
static void test_no_end(void)
{
    enum { BACKING = 8, HEADER = 112 };
    static const uint8_t fields[] = {0, 0, 0, 0, 0, 0, 0, HEADER + 8, 0, 0, 0, 8},
                         names[] = "\x12\x34\x56\x78\0\0\0\0" /* an extension of no bytes */
                                   "\xe2\x79\x2a\xca\x7f\xff\xff\xf0";
    char *folder = scratch_new();
    g_autofree char *base = in(folder, "base.raw"), *old = in(folder, "old.raw"), *child = in(folder, "child.qcow2");
    uint8_t kept[256];
    GError *error = NULL;
    make(base, "raw", NULL, NULL);
    make(old, "raw", NULL, NULL);
    make(child, "qcow2", NULL, "old.raw");
    poke(child, BACKING, fields, sizeof fields);
    poke(child, HEADER, names, sizeof names);
    g_assert_false(disk_merge(child, "qcow2", false, &(struct disk_job){0}, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    disk_set_parent(child, "qcow2", "base.raw", "raw", false, &error);
    g_assert_no_error(error);
    peek(child, HEADER, kept, sizeof kept);
    g_assert_nonnull(memmem(kept, sizeof kept, names, 8));
    image_close(open_image(child, "qcow2", false));
    scratch_remove(folder);
}

/* A parent of larger clusters, which may be packed, takes nothing while somebody reads it. */
static void test_merge_in_use(void)
{
    char *folder = scratch_new();
    g_autofree char *base = in(folder, "base.qcow2"), *child = in(folder, "child.qcow2");
    GError *error = NULL;
    make(base, "qcow2", "cluster_size=2M", NULL);
    make(child, "qcow2", "cluster_size=64K", "base.qcow2");
    g_assert_false(disk_merge(child, "qcow2", true, &(struct disk_job){0}, &error));
    g_assert_error(error, DISK_ERROR, DISK_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    g_assert_true(disk_merge(child, "qcow2", false, &(struct disk_job){0}, &error));
    unlink(base);
    unlink(child);
    make(base, "qcow2", "cluster_size=64K", NULL);
    make(child, "qcow2", "cluster_size=64K", "base.qcow2");
    g_assert_true(disk_merge(child, "qcow2", true, &(struct disk_job){0}, &error));
    scratch_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk/strange/no-shrink", test_no_shrink);
    g_test_add_func("/disk/strange/autoclear", test_autoclear);
    g_test_add_func("/disk/strange/needless-repair", test_needless_repair);
    g_test_add_func("/disk/strange/refused-commit", test_refused_commit);
    g_test_add_func("/disk/strange/refused-replacement", test_refused_replacement);
    g_test_add_func("/disk/strange/own-target", test_own_target);
    g_test_add_func("/disk/strange/odd-sizes", test_odd_sizes);
    g_test_add_func("/disk/strange/sizes-in-words", test_sizes_in_words);
    g_test_add_func("/disk/strange/descriptors", test_descriptors);
    g_test_add_func("/disk/strange/encodings", test_encodings);
    g_test_add_func("/disk/strange/windows-names", test_windows_names);
    g_test_add_func("/disk/strange/promised", test_promised);
    g_test_add_func("/disk/strange/overlaps", test_overlaps);
    g_test_add_func("/disk/strange/vmdk-memory", test_vmdk_memory);
    g_test_add_func("/disk/strange/vmdk-cache", test_vmdk_cache);
    g_test_add_func("/disk/strange/synced", test_synced);
    g_test_add_func("/disk/strange/left-over", test_left_over);
    g_test_add_func("/disk/strange/no-end", test_no_end);
    g_test_add_func("/disk/strange/merge-in-use", test_merge_in_use);
    return g_test_run();
}
