// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_image.h - what the fuzzers of the image formats share.
 *
 * An input is a program: the first byte chooses a good image (made by our own create, with some blocks written) or, when
 * it is 255, says that the rest is the file itself.  Otherwise the rest is patches, (place, offset, length, bytes), near
 * the places where the format has its tables; a mode byte says whether checksums are made right again, so that what lies
 * behind them is reached.  Then the image is opened, read, checked, mapped, written, repaired, resized and closed. */
#pragma once
#include "tests/disk-formats/disk_test.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUZZ_DISK (2u << 20)

struct fuzz_seed {
    const char *const *options; /* NULL-terminated list, or NULL */
    bool fixed, parent;
    bool packed;                    /* every second block is compressed; all are, where nothing else can be written */
    void (*more)(struct image *im); /* puts more into it; may be NULL */
};
struct fuzz_format {
    const char *name;
    const struct fuzz_seed *seeds;
    unsigned seed_count;
    const uint32_t *places; /* where tables are */
    unsigned place_count;
    void (*fix)(uint8_t *data, uint64_t bytes);     /* checksums; may be NULL */
    void (*prepare)(uint8_t *data, uint64_t bytes); /* of the good image; may be NULL */
    bool snapshots;                                 /* one may have an internal snapshot "1" */
};

static inline void fuzz_pack(struct image *im, uint64_t offset)
{
    size_t n = im->block_bytes, room = n + n / 8 + 1024;
    g_autofree uint8_t *data = g_malloc(n), *packed = g_malloc(room);
    for (size_t i = 0; i < n; i++)
        data[i] = i >> 5;
    ssize_t bytes = im->format->compress(im, data, n, packed, room);
    if (bytes <= 0 || image_append(im, offset / n * n, packed, bytes))
        g_error("cannot write a compressed block");
}

static inline void fuzz_fill(struct image *im, const struct fuzz_seed *s)
{
    uint8_t block[4096];
    unsigned k = 0;
    memset(block, 0x5a, sizeof block);
    for (uint64_t at = 0; at < FUZZ_DISK && im->format->place; at += 300 << 10)
        if (im->append_only || (s->packed && k++ % 2 == 0))
            fuzz_pack(im, at);
        else if (image_write(im, at, block, sizeof block))
            g_error("cannot write");
    if (s->more)
        s->more(im);
}

/* Else the fuzzer would only see what is refused. */
static inline void fuzz_assert_sound(const struct fuzz_format *f, struct blk_file *file)
{
    GError *error = NULL;
    struct image *im = image_open_file(blk_ref(file), image_format_find(f->name, NULL), &error);
    struct image_check c;
    image_check_init(&c);
    if (!im || (im->format->check && !image_check(im, false, &c, &error)))
        g_error("%s", error->message);
    if (c.corruptions || c.leaks)
        g_error("a good %s image is not good: %s", f->name, c.text->str);
    image_check_clear(&c);
    image_close(im);
}

static inline struct blk_file *fuzz_make(const struct fuzz_format *f, const struct fuzz_seed *s)
{
    struct blk_file *file = memory_file_new(NULL, 0);
    struct image_options o = {.bytes = FUZZ_DISK, .options = (char **)s->options, .fixed = s->fixed};
    GError *error = NULL;
    if (s->parent) {
        o.parent = "parent.raw";
        o.parent_format = "raw";
    }
    if (!image_create_file(file, image_format_find(f->name, NULL), &o, &error))
        g_error("%s", error->message);
    struct image *im = image_open_file(blk_ref(file), image_format_find(f->name, NULL), &error);
    fuzz_fill(im, s);
    if (image_close(im))
        g_error("cannot close");
    fuzz_assert_sound(f, file);
    return file;
}

/* In a file of the host's memory, so that each input can have its own copy on write. */
struct fuzz_good {
    int fd;
    uint64_t bytes;
};

static inline struct fuzz_good fuzz_good(const struct fuzz_format *f, unsigned which)
{
    struct blk_file *file = fuzz_make(f, &f->seeds[which]);
    struct memory_file *m = memory_file_of(file);
    struct fuzz_good g = {memfd_create("fuzz", MFD_CLOEXEC), m->bytes};
    if (f->prepare)
        f->prepare(m->data, m->bytes);
    if (g.fd < 0 || write(g.fd, m->data, m->bytes) != (ssize_t)m->bytes)
        g_error("cannot keep a good image");
    blk_close(file);
    return g;
}

static inline uint8_t *fuzz_patched(const struct fuzz_format *f, const struct fuzz_good *good, const uint8_t *p,
                                    size_t n, uint64_t *bytes)
{
    uint8_t *data = memory_file_map(good->fd, good->bytes);
    bool fix = n && p[0] & 1;
    *bytes = n && p[0] & 2 ? good->bytes - MIN(good->bytes, (p[0] >> 2) * 64u) : good->bytes;
    memset(data + *bytes, 0, good->bytes - *bytes);
    for (size_t at = 1; at + 4 < n;) {
        uint64_t to = f->places[p[at] % f->place_count] + (p[at + 1] | p[at + 2] << 8) % 8192u;
        size_t len = 1 + p[at + 3] % 16, room = to < *bytes ? MIN(len, *bytes - to) : 0;
        memcpy(data + (room ? to : 0), p + at + 4, room ? MIN(room, n - at - 4) : 0);
        at += 4 + len;
    }
    if (fix && f->fix)
        f->fix(data, *bytes);
    return data;
}

static inline void fuzz_read(struct image *im)
{
    static uint8_t buffer[65536];
    for (uint64_t at = 0, n = 0; at < im->bytes && n < 64; n++) {
        struct extent e;
        if (image_extent(im, at, true, &e))
            break;
        image_read(im, at, buffer, MIN(e.bytes, sizeof buffer));
        at += e.bytes;
    }
    if (im->bytes >= 4096)
        image_read(im, im->bytes - 4096, buffer, 4096);
}

static inline void fuzz_check(struct image *im, bool repair)
{
    struct image_check c;
    image_check_init(&c);
    if (im->format->check)
        image_check(im, repair, &c, NULL);
    image_check_clear(&c);
}

static inline void fuzz_write(struct image *im)
{
    static uint8_t buffer[8192];
    for (uint64_t at = 512; at < FUZZ_DISK && at + sizeof buffer <= im->bytes; at += 200 << 10)
        image_write(im, at, buffer, sizeof buffer);
    if (im->bytes > FUZZ_DISK / 2) {
        image_zero(im, 1024, FUZZ_DISK / 4);
        image_discard(im, FUZZ_DISK / 4, FUZZ_DISK / 4);
        image_zero(im, 0, FUZZ_DISK / 2); /* whole blocks in every format */
        image_discard(im, FUZZ_DISK / 2, MIN(FUZZ_DISK / 2, im->bytes - FUZZ_DISK / 2));
    }
    image_flush(im);
}

static inline void fuzz_snapshot(const struct image_format *format, struct blk_file *file)
{
    struct image_how how = {.snapshot = "1"};
    struct image *im = image_open_with(file, format, &how, NULL);
    if (im)
        fuzz_read(im);
    image_close(im);
}

/* Takes file. */
static inline void fuzz_use(const struct fuzz_format *f, struct blk_file *file)
{
    const struct image_format *format = image_format_find(f->name, NULL);
    file->writable = false;
    struct image *im = image_open_file(blk_ref(file), format, NULL);
    struct image_info facts;
    image_info_init(&facts);
    if (im && im->format->info)
        im->format->info(im, &facts);
    image_info_clear(&facts);
    if (im) {
        fuzz_read(im);
        fuzz_check(im, false);
    }
    image_close(im);
    if (f->snapshots)
        fuzz_snapshot(format, blk_ref(file));
    struct image_how repair = {.repair = true};
    file->writable = true;
    im = image_open_with(file, format, &repair, NULL);
    if (im) {
        fuzz_write(im);
        fuzz_check(im, true);
        image_resize(im, FUZZ_DISK * 2, NULL);
        image_resize(im, FUZZ_DISK / 2, NULL);
        fuzz_write(im);
    }
    image_close(im);
}

static inline int fuzz_image(const struct fuzz_format *f, const uint8_t *data, size_t size)
{
    static struct fuzz_good good[16];
    if (size < 2)
        return 0;
    if (data[0] == 255) {
        fuzz_use(f, memory_file_new(data + 1, size - 1));
        return 0;
    }
    unsigned which = data[0] % f->seed_count;
    uint64_t bytes;
    if (!good[which].bytes)
        good[which] = fuzz_good(f, which);
    uint8_t *image = fuzz_patched(f, &good[which], data + 1, size - 1, &bytes);
    fuzz_use(f, memory_file_take(image, bytes));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
