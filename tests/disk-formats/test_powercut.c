// SPDX-License-Identifier: GPL-2.0-or-later
/* test_powercut.c - records everything that an image writes to its file, cuts the power at many points, and looks whether
 * the image opens, is free of corruption, and holds all that was flushed.
 *
 * What is on the disk after a cut: all writes before the last barrier; and of those after it, for each sector on its own,
 * any one state that it went through.  TEST_CUTS says how many cuts per variant (30): spread evenly over all that was
 * written, each with its own choice of states; the guest does the more, the more cuts there are. */
#include "tests/disk-formats/variants.h"
#include <stdlib.h>
#include <string.h>

#define DISK_BYTES  (1u << 20)
#define SECTORS     (DISK_BYTES / 512)
#define LEAST_STEPS 160

struct value { /* that a sector of the guest's disk had from some moment on */
    uint64_t tag;
    unsigned step;   /* of the guest */
    unsigned record; /* how many file operations were recorded when the step began */
};
struct flush {
    unsigned step, record;
};
struct cut_test {
    const struct variant *v;
    struct rng rng;
    struct blk_file *file;
    struct image *im;
    uint8_t *parent; /* NULL: none */
    GArray *history[SECTORS];
    GArray *flushes;
    unsigned step, steps;
    GByteArray *safe; /* the file with all records before safe_until, which is a barrier's place */
    unsigned safe_until;
};

/* ---- the guest's work ---- */
static unsigned recorded(struct cut_test *t)
{
    return memory_file_of(t->file)->records->len;
}

static void note_value(struct cut_test *t, unsigned sector, uint64_t tag, unsigned record)
{
    struct value v = {tag, t->step, record};
    g_array_append_val(t->history[sector], v);
}

static uint64_t tag_of(const uint8_t *sector)
{
    uint64_t tag, same;
    memcpy(&tag, sector, 8);
    for (unsigned i = 8; i < 512; i += 8) {
        memcpy(&same, sector + i, 8);
        if (same != tag)
            return UINT64_MAX; /* torn: no sector ever looked so */
    }
    return tag;
}

static void fill_sector(uint8_t *sector, uint64_t tag)
{
    for (unsigned i = 0; i < 512; i += 8)
        memcpy(sector + i, &tag, 8);
}

static void do_write(struct cut_test *t, unsigned sector, unsigned n)
{
    unsigned record = recorded(t);
    g_autofree uint8_t *data = g_malloc(n * 512);
    for (unsigned i = 0; i < n; i++)
        fill_sector(data + i * 512, (uint64_t)t->step << 32 | (sector + i));
    g_assert_cmpint(image_write(t->im, sector * 512ull, data, n * 512), ==, 0);
    for (unsigned i = 0; i < n; i++)
        note_value(t, sector + i, (uint64_t)t->step << 32 | (sector + i), record);
}

static void do_clear(struct cut_test *t, unsigned sector, unsigned n, bool discard)
{
    unsigned record = recorded(t);
    g_autofree uint8_t *data = g_malloc(n * 512);
    int err = discard ? image_discard(t->im, sector * 512ull, n * 512) : image_zero(t->im, sector * 512ull, n * 512);
    g_assert_cmpint(err, ==, 0);
    g_assert_cmpint(image_read(t->im, sector * 512ull, data, n * 512), ==, 0);
    for (unsigned i = 0; i < n; i++)
        note_value(t, sector + i, tag_of(data + i * 512), record);
}

static void do_flush(struct cut_test *t)
{
    g_assert_cmpint(image_flush(t->im), ==, 0);
    struct flush f = {t->step, recorded(t)};
    g_array_append_val(t->flushes, f);
}

static void work(struct cut_test *t)
{
    for (t->step = 1; t->step <= t->steps; t->step++) {
        unsigned n = 1 + rng_below(&t->rng, rng_below(&t->rng, 4) ? 24 : 400), sector = rng_below(&t->rng, SECTORS);
        n = MIN(n, SECTORS - sector);
        switch (rng_below(&t->rng, 8)) {
        case 0: do_flush(t); break;
        case 1: do_clear(t, sector, n, true); break;
        case 2: do_clear(t, sector, n, false); break;
        default: do_write(t, sector, n); break;
        }
    }
}

/* ---- after the cut ---- */
static void put_sector(GByteArray *disk, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
    if (disk->len < offset + bytes) {
        guint was = disk->len;
        g_byte_array_set_size(disk, offset + bytes);
        memset(disk->data + was, 0, offset + bytes - was);
    }
    if (data)
        memcpy(disk->data + offset, data, bytes);
    else
        memset(disk->data + offset, 0, bytes);
}

/* One record, all of it or only the sectors whose bit says that their state is later than this. */
static void apply(GByteArray *disk, const struct record *r, unsigned index, const unsigned *until, unsigned sectors)
{
    if (r->kind == RECORD_TRUNCATE && (!until || until[0] > index)) {
        if (r->offset < disk->len)
            g_byte_array_set_size(disk, r->offset);
        else
            put_sector(disk, r->offset, NULL, 0);
    }
    if (r->kind != RECORD_WRITE && r->kind != RECORD_ZERO)
        return;
    for (uint64_t at = r->offset, end = r->offset + r->bytes, next; at < end; at = next) {
        next = MIN((at / 512 + 1) * 512, end);
        if (!until || until[at / 512 % sectors] > index)
            put_sector(disk, at, r->data ? r->data + (at - r->offset) : NULL, next - at);
    }
}

static unsigned last_sync(GArray *records, unsigned cut)
{
    while (cut && g_array_index(records, struct record, cut - 1).kind != RECORD_SYNC)
        cut--;
    return cut;
}

/* How far each sector got: mostly all or nothing of the open window for many sectors, sometimes anything. */
static void choose_states(struct cut_test *t, unsigned *until, unsigned sectors, unsigned from, unsigned cut)
{
    unsigned mode = rng_below(&t->rng, 4);
    for (unsigned i = 0; i < sectors; i++)
        switch (mode) {
        case 0: until[i] = cut; break;
        case 1: until[i] = rng_below(&t->rng, 2) ? cut : from; break;
        default: until[i] = from + rng_below(&t->rng, cut - from + 1); break;
        }
}

static bool allowed(struct cut_test *t, unsigned sector, uint64_t tag, unsigned cut)
{
    unsigned flushed = 0;
    for (guint i = 0; i < t->flushes->len; i++) {
        struct flush *f = &g_array_index(t->flushes, struct flush, i);
        if (f->record <= cut)
            flushed = f->step;
    }
    GArray *h = t->history[sector];
    bool ok = false;
    for (guint i = 0; i < h->len; i++) {
        struct value *v = &g_array_index(h, struct value, i);
        if (v->step <= flushed)
            ok = v->tag == tag;
        else if (v->record <= cut && v->tag == tag)
            return true;
    }
    return ok;
}

static struct image *parent_image(struct cut_test *t)
{
    return image_open_file(memory_file_new(t->parent, DISK_BYTES / 2), image_format_find("raw", NULL), NULL);
}

static void verify(struct cut_test *t, GByteArray *disk, unsigned cut)
{
    GError *error = NULL;
    struct blk_file *f = memory_file_new(disk->data, disk->len);
    struct image *im = image_open_file(f, t->im->format, &error);
    struct image_check c;
    g_assert_no_error(error);
    if (t->parent)
        im->parent = parent_image(t);
    image_check_init(&c);
    if (im->format->check) {
        g_assert_true(image_check(im, false, &c, &error));
        if (c.corruptions)
            g_error("cut at %u of %u: %s", cut, recorded(t), c.text->str);
    }
    g_autofree uint8_t *data = g_malloc(DISK_BYTES);
    g_assert_cmpint(image_read(im, 0, data, DISK_BYTES), ==, 0);
    for (unsigned i = 0; i < SECTORS; i++)
        if (!allowed(t, i, tag_of(data + i * 512), cut))
            g_error("cut at %u of %u: sector %u holds %" G_GINT64_MODIFIER "x", cut, recorded(t), i,
                    tag_of(data + i * 512));
    image_check_clear(&c);
    g_assert_cmpint(image_close(im), ==, 0);
}

/* Cuts come in the order of their places. */
static void cut_power(struct cut_test *t, unsigned cut)
{
    GArray *records = memory_file_of(t->file)->records;
    unsigned from = last_sync(records, cut), sectors = 65536;
    g_autofree unsigned *until = g_new(unsigned, sectors);
    for (; t->safe_until < from; t->safe_until++)
        apply(t->safe, &g_array_index(records, struct record, t->safe_until), t->safe_until, NULL, sectors);
    GByteArray *disk = g_byte_array_sized_new(t->safe->len * 2);
    g_byte_array_append(disk, t->safe->data, t->safe->len);
    choose_states(t, until, sectors, from, cut);
    for (unsigned i = from; i < cut; i++)
        apply(disk, &g_array_index(records, struct record, i), i, until, sectors);
    verify(t, disk, cut);
    g_byte_array_unref(disk);
}

/* ---- the test ---- */
static void begin(struct cut_test *t, bool with_parent)
{
    GError *error = NULL;
    const struct image_format *format = image_format_find(t->v->format, NULL);
    struct image_options o = {.bytes = DISK_BYTES, .options = (char **)t->v->options, .fixed = t->v->fixed};
    if (with_parent) {
        o.parent = "parent.raw";
        o.parent_format = "raw";
        t->parent = g_malloc(DISK_BYTES / 2);
    }
    t->file = memory_file_new(NULL, 0);
    image_create_file(t->file, format, &o, &error);
    g_assert_no_error(error);
    t->im = image_open_file(blk_ref(t->file), format, &error);
    g_assert_no_error(error);
    t->flushes = g_array_new(FALSE, FALSE, sizeof(struct flush));
    for (unsigned i = 0; i < SECTORS; i++) {
        bool old = with_parent && i < SECTORS / 2;
        t->history[i] = g_array_new(FALSE, FALSE, sizeof(struct value));
        if (old)
            fill_sector(t->parent + i * 512, 0x1234567800000000u + i);
        note_value(t, i, old ? 0x1234567800000000u + i : 0, 0);
    }
    if (with_parent)
        t->im->parent = parent_image(t);
}

static void end(struct cut_test *t)
{
    image_close(t->im);
    blk_close(t->file);
    g_array_unref(t->flushes);
    for (unsigned i = 0; i < SECTORS; i++)
        g_array_unref(t->history[i]);
    g_free(t->parent);
}

static void test_cuts(const struct variant *v, bool with_parent)
{
    const char *text = g_getenv("TEST_CUTS");
    unsigned cuts = text ? atoi(text) : 30;
    struct cut_test t = {.v = v, .rng = rng_new(test_seed()), .steps = MAX(LEAST_STEPS, cuts / 2)};
    begin(&t, with_parent);
    struct memory_file *m = memory_file_of(t.file);
    t.safe = g_byte_array_new();
    g_byte_array_append(t.safe, m->data, m->bytes);
    memory_file_record(t.file);
    work(&t);
    for (unsigned i = 0; i < cuts; i++)
        cut_power(&t, recorded(&t) * (uint64_t)(i + 1) / cuts);
    g_test_message("%u cuts in %u records", cuts, recorded(&t));
    g_byte_array_unref(t.safe);
    end(&t);
}

static void test_alone(const void *v)
{
    test_cuts(v, false);
}

static void test_with_parent(const void *v)
{
    test_cuts(v, true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < variant_count; i++) {
        if (variants[i].many_files)
            continue;
        g_autofree char *name = g_strdup_printf("/disk/powercut/%s", variants[i].name);
        g_autofree char *child = g_strdup_printf("/disk/powercut/%s-child", variants[i].name);
        g_test_add_data_func(name, &variants[i], test_alone);
        if (variants[i].parent_format)
            g_test_add_data_func(child, &variants[i], test_with_parent);
    }
    return g_test_run();
}
