// SPDX-License-Identifier: GPL-2.0-or-later
/* test_esx.c - snapshots of ESX (COWD and seSparse extents), written here by their layouts, read by us and by qemu-img. */
#include "core-vmm/base/bytes.h"
#include "tests/disk-formats/disk_test.h"
#include "disk-formats/ops/ops.h"
#include <string.h>

#define ENTRIES 4096u
#define SECTOR  512u

struct kind {
    const char *type; /* createType; the extent's word is the same in capitals */
    const char *word;
    unsigned entry, grain; /* bytes */
    uint64_t disk, gd, tables, grains;
    bool se;
};
static const struct kind kinds[] = {
    {"vmfsSparse", "VMFSSPARSE", 4, 512, 5 << 20, 4 * SECTOR, 8 * SECTOR, 128 * SECTOR, false},
    {"seSparse", "SESPARSE", 8, 4096, 40 << 20, 8 * SECTOR, 64 * SECTOR, 1024 * SECTOR, true},
};

struct delta {
    const struct kind *kind;
    char *folder, *base, *child;
    uint8_t *model; /* of the disk */
    GByteArray *file;
    struct rng rng;
};

static uint8_t *room(GByteArray *b, uint64_t at, uint64_t n)
{
    guint had = b->len;
    if (at + n > had) {
        g_byte_array_set_size(b, at + n);
        memset(b->data + had, 0, at + n - had);
    }
    return b->data + at;
}

static void put_header(struct delta *d, unsigned tables)
{
    const struct kind *k = d->kind;
    uint8_t *h = room(d->file, 0, k->tables);
    if (!k->se) {
        const uint32_t words[] = {0x44574f43, 1, 3, k->disk / SECTOR, k->grain / SECTOR, k->gd / SECTOR, tables};
        for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
            put_le32(h + i * 4, words[i]);
        return;
    }
    const uint64_t words[] = {0xcafebabe, UINT64_C(0x200000001), k->disk / SECTOR, 8, 64};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        put_le64(h + i * 8, words[i]);
    put_le64(h + 80, 1); /* volatile header */
    put_le64(h + 88, 1);
    put_le64(h + 128, k->gd / SECTOR);
    put_le64(h + 136, 8);
    put_le64(h + 144, k->tables / SECTOR);
    put_le64(h + 152, 64 * tables);
    put_le64(h + 192, k->grains / SECTOR);
    put_le64(h + SECTOR, 0xcafecafe);
}

/* A word as long as the table's entries, and the header's. */
static void put_entry(struct delta *d, uint64_t at, uint64_t value)
{
    uint8_t *p = room(d->file, at, d->kind->entry);
    if (d->kind->se)
        put_le64(p, value);
    else
        put_le32(p, value);
}

/* Data at the end of the file; the model gets them too. */
static uint64_t new_grain(struct delta *d, uint64_t offset)
{
    const struct kind *k = d->kind;
    uint64_t at = MAX(d->file->len, k->grains), number = (at - k->grains) / k->grain;
    uint8_t *p = room(d->file, at, k->grain);
    for (unsigned i = 0; i < k->grain; i++)
        p[i] = rng_next(&d->rng) >> 56;
    memcpy(d->model + offset, p, k->grain);
    return k->se ? UINT64_C(3) << 60 | (number & 0xfff) << 48 | number >> 12 : at / SECTOR;
}

static void put_some_grain(struct delta *d, uint64_t table, uint64_t number)
{
    const struct kind *k = d->kind;
    uint64_t offset = number * k->grain, what = rng_below(&d->rng, 8), entry;
    if (offset >= k->disk || what > 4)
        return;
    if (k->se && what < 2) {
        memset(d->model + offset, 0, k->grain);
        entry = (what + 1) << 60;
    } else {
        entry = new_grain(d, offset);
    }
    put_entry(d, table + number % ENTRIES * k->entry, entry);
}

/* The second table is not there. */
static void fill(struct delta *d)
{
    const struct kind *k = d->kind;
    unsigned tables = (k->disk / k->grain + ENTRIES - 1) / ENTRIES;
    put_header(d, tables);
    room(d->file, 0, k->grains);
    for (unsigned i = 0, used = 0; i < tables; i++) {
        uint64_t at = k->tables + (uint64_t)used * ENTRIES * k->entry;
        if (i == 1)
            continue;
        put_entry(d, k->gd + i * k->entry, k->se ? UINT64_C(1) << 60 | used : at / SECTOR);
        for (unsigned n = 0; n < ENTRIES; n++)
            put_some_grain(d, at, (uint64_t)i * ENTRIES + n);
        used++;
    }
}

static void write_files(struct delta *d)
{
    const struct kind *k = d->kind;
    struct image *base = open_image(d->base, "vmdk", false);
    g_autofree char *data = g_build_filename(d->folder, "child-delta.vmdk", NULL);
    g_autofree char *text = g_strdup_printf("# Disk DescriptorFile\nversion=1\nCID=11223344\nparentCID=%s\n"
                                            "createType=\"%s\"\nparentFileNameHint=\"base.vmdk\"\n"
                                            "RW %" G_GUINT64_FORMAT " %s \"child-delta.vmdk\"\n",
                                            base->id, k->type, k->disk / SECTOR, k->word);
    image_close(base);
    g_assert_true(g_file_set_contents(data, (char *)d->file->data, d->file->len, NULL));
    g_assert_true(g_file_set_contents(d->child, text, -1, NULL));
}

static struct delta delta_new(const struct kind *k)
{
    struct delta d = {k, scratch_new(), .rng = rng_new(test_seed()), .file = g_byte_array_new()};
    char *flat[] = {"subformat=vmfs", NULL};
    struct image_options o = {.bytes = k->disk, .options = flat};
    GError *error = NULL;
    d.base = g_build_filename(d.folder, "base.vmdk", NULL);
    d.child = g_build_filename(d.folder, "child.vmdk", NULL);
    d.model = g_malloc(k->disk);
    memset(d.model, 0x11, k->disk);
    image_create(d.base, "vmdk", &o, false, &error);
    g_assert_no_error(error);
    struct image *base = open_image(d.base, "vmdk", true);
    g_assert_cmpint(image_write(base, 0, d.model, k->disk), ==, 0);
    image_close(base);
    fill(&d);
    write_files(&d);
    return d;
}

static void delta_free(struct delta *d)
{
    scratch_remove(d->folder);
    g_byte_array_unref(d->file);
    g_free(d->base);
    g_free(d->child);
    g_free(d->model);
}

static void shows_model(struct delta *d, const char *path, const char *format)
{
    struct image *im = open_image(path, format, false);
    g_autofree uint8_t *got = g_malloc(d->kind->disk);
    g_assert_cmpuint(im->bytes, ==, d->kind->disk);
    g_assert_cmpint(image_read(im, 0, got, im->bytes), ==, 0);
    g_assert_true(!memcmp(got, d->model, im->bytes));
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t n = 1 + rng_below(&d->rng, 20000), at = rng_below(&d->rng, im->bytes - n);
        g_assert_cmpint(image_read(im, at, got, n), ==, 0);
        g_assert_true(!memcmp(got, d->model + at, n));
    }
    image_close(im);
}

static void check_counts(struct delta *d, uint64_t corruptions)
{
    struct image *im = open_image(d->child, "vmdk", false);
    struct image_check c;
    image_check_init(&c);
    g_assert_true(image_check(im, false, &c, NULL));
    g_assert_cmpuint(c.corruptions, ==, corruptions);
    image_check_clear(&c);
    image_close(im);
}

static void refused(struct delta *d, bool write, const char *says)
{
    GError *error = NULL;
    struct image_how how = {.format = "vmdk", .write = write};
    g_assert_null(image_open(d->child, &how, &error));
    if (!strstr(error->message, says))
        g_error("\"%s\" does not say \"%s\"", error->message, says);
    g_clear_error(&error);
}

static void test_read(const void *p)
{
    struct delta d = delta_new(p);
    g_autofree char *raw = g_build_filename(d.folder, "theirs.raw", NULL);
    shows_model(&d, d.child, "vmdk");
    check_counts(&d, 0);
    if (have_program("qemu-img")) { /* else we might only agree with ourselves */
        RUN("qemu-img", "convert", "-f", "vmdk", "-O", "raw", d.child, raw);
        shows_model(&d, raw, "raw");
    }
    refused(&d, true, "can be read, not written");
    g_autofree char *top = g_build_filename(d.folder, "top.vmdk", NULL);
    struct image_options o = {.parent = "child.vmdk", .parent_format = "vmdk"};
    g_assert_true(image_create(top, "vmdk", &o, false, NULL));
    struct image *im = open_image(top, "vmdk", true);
    memset(d.model + 5000, 0x77, 100000);
    g_assert_cmpint(image_write(im, 5000, d.model + 5000, 100000), ==, 0);
    g_assert_cmpint(image_close(im), ==, 0);
    shows_model(&d, top, "vmdk");
    delta_free(&d);
}

static void with(struct delta *d, uint64_t at, uint64_t value, const char *says)
{
    uint8_t *p = d->file->data + at, old[8];
    memcpy(old, p, sizeof old);
    put_entry(d, at, value);
    write_files(d);
    refused(d, false, says);
    memcpy(p, old, sizeof old);
}

static void test_damaged(const void *p)
{
    struct delta d = delta_new(p);
    bool se = d.kind->se;
    with(&d, 0, 0x1234, "no sparse file of ESX");
    with(&d, se ? 8 : 4, 77, "version");
    with(&d, se ? 24 : 16, 3, "grain size");
    with(&d, se ? 16 : 12, 5, "smaller than its descriptor");
    if (se) {
        with(&d, SECTOR, 5, "volatile header is damaged");
        with(&d, SECTOR + 24, 1, "not closed properly");
        with(&d, 80, UINT64_MAX, "impossible place");
        with(&d, 192, UINT64_MAX / 2, "impossible places");
        with(&d, d.kind->gd, 1, "directory is damaged");
    } else {
        with(&d, 24, 1, "directory is too short");
    }
    put_entry(&d, d.kind->tables, se ? UINT64_C(3) << 60 | 0xffffffff : 0xffffffff); /* far behind the end */
    write_files(&d);
    check_counts(&d, 1);
    delta_free(&d);
}

/* Extents of 2 TiB, a million tables each: 16 are as many as are held in memory. */
static void test_many_tables(void)
{
    struct delta d = {&kinds[0], scratch_new(), .file = g_byte_array_new()};
    GString *text = g_string_new("# Disk DescriptorFile\nversion=1\nCID=11223344\nparentCID=ffffffff\n"
                                 "createType=\"vmfsSparse\"\n");
    g_autofree char *data = g_build_filename(d.folder, "x-delta.vmdk", NULL);
    d.child = g_build_filename(d.folder, "x.vmdk", NULL);
    put_header(&d, 1 << 20);
    put_le32(d.file->data + 12, UINT32_MAX);
    room(d.file, 0, 5 << 20);
    g_assert_true(g_file_set_contents(data, (char *)d.file->data, d.file->len, NULL));
    for (unsigned i = 0; i < 17; i++) {
        if (i == 16)
            image_close(open_image(d.child, "vmdk", false));
        g_string_append(text, "RW 4294967295 VMFSSPARSE \"x-delta.vmdk\"\n");
        g_assert_true(g_file_set_contents(d.child, text->str, -1, NULL));
    }
    refused(&d, false, "grain directories are absurd");
    g_string_free(text, TRUE);
    delta_free(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *read = g_strconcat("/disk/esx/read/", kinds[i].type, NULL);
        g_autofree char *damaged = g_strconcat("/disk/esx/damaged/", kinds[i].type, NULL);
        g_test_add_data_func(read, &kinds[i], test_read);
        g_test_add_data_func(damaged, &kinds[i], test_damaged);
    }
    g_test_add_func("/disk/esx/many-tables", test_many_tables);
    return g_test_run();
}
