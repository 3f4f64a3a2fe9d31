// SPDX-License-Identifier: GPL-2.0-or-later
/* vhdx_log.c - replays the log ([MS-VHDX] 2.3).
 *
 * The log is a ring of 4 KiB sectors.  An entry is a header, descriptors, and a data sector for each data descriptor; it
 * is good if its checksum and sequence numbers are right.  A sequence is a run of good entries with sequence numbers that
 * count up by one; it is complete if the tail that its last entry names is one of its entries.  Of all complete sequences
 * the one with the highest number counts; its entries from the tail on are replayed in order. */
#include "disk-formats/vhd/vhdx.h"
#include <errno.h>
#include <string.h>

#define ENTRY_HEADER 64u
#define DESCRIPTOR   32u
enum { /* offsets in an entry's header */
       ENTRY_BYTES = 8,
       ENTRY_TAIL = 12,
       ENTRY_SEQUENCE = 16,
       ENTRY_DESCRIPTORS = 24,
       ENTRY_GUID = 32,
       ENTRY_FLUSHED = 48,
       ENTRY_LAST = 56,
};

struct ring {
    const struct vhdx *v;
    uint8_t *data;
    uint32_t bytes;
};

struct sequence {
    uint32_t tail, count; /* where it begins, how many entries; count 0: none */
    uint64_t last_number;
    uint32_t head; /* where its last entry is */
};

/* An entry in one piece, wherever the ring's end is. */
static uint8_t *entry_at(const struct ring *r, uint32_t at)
{
    uint32_t bytes = get_le32(r->data + at + ENTRY_BYTES), first = MIN(bytes, r->bytes - at);
    uint8_t *e = g_malloc(bytes);
    memcpy(e, r->data + at, first);
    memcpy(e + first, r->data, bytes - first);
    return e;
}

static uint32_t descriptor_sectors(const uint8_t *e)
{
    return (ENTRY_HEADER + get_le32(e + ENTRY_DESCRIPTORS) * DESCRIPTOR + VHDX_PAGE - 1) / VHDX_PAGE;
}

static bool descriptors_good(const uint8_t *e, uint32_t bytes)
{
    uint32_t count = get_le32(e + ENTRY_DESCRIPTORS), sectors = 0;
    uint64_t number = get_le64(e + ENTRY_SEQUENCE);
    if (count > (bytes - ENTRY_HEADER) / DESCRIPTOR)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *d = e + ENTRY_HEADER + i * DESCRIPTOR;
        bool data = !memcmp(d, "desc", 4);
        if ((!data && memcmp(d, "zero", 4)) || get_le64(d + 24) != number || get_le64(d + 16) % VHDX_PAGE ||
            get_le64(d + 16) > IMAGE_MAX_BYTES)
            return false;
        sectors += data;
    }
    if ((descriptor_sectors(e) + (uint64_t)sectors) * VHDX_PAGE > bytes)
        return false;
    for (uint32_t i = 0; i < sectors; i++) {
        const uint8_t *s = e + (descriptor_sectors(e) + i) * VHDX_PAGE;
        if (memcmp(s, "data", 4) || get_le32(s + 4) != number >> 32 || get_le32(s + 4092) != (uint32_t)number)
            return false;
    }
    return true;
}

/* The entry's length, or 0 if there is no good one. */
static uint32_t good_entry(const struct ring *r, uint32_t at, uint64_t *number)
{
    const uint8_t *h = r->data + at;
    uint32_t bytes = get_le32(h + ENTRY_BYTES);
    if (memcmp(h, "loge", 4) || bytes < VHDX_PAGE || bytes % VHDX_PAGE || bytes > r->bytes ||
        memcmp(h + ENTRY_GUID, r->v->header + VHDX_LOG_GUID, 16) || !get_le64(h + ENTRY_SEQUENCE) ||
        get_le32(h + ENTRY_TAIL) % VHDX_PAGE || get_le32(h + ENTRY_TAIL) >= r->bytes)
        return 0;
    *number = get_le64(h + ENTRY_SEQUENCE);
    g_autofree uint8_t *e = entry_at(r, at);
    return get_le32(e + VHDX_CHECKSUM) == vhdx_sum(e, bytes) && descriptors_good(e, bytes) ? bytes : 0;
}

/* The run of entries that begins at start, if it reaches a head whose tail is start. */
static struct sequence sequence_from(const struct ring *r, uint32_t start)
{
    struct sequence best = {.tail = start};
    uint32_t at = start, count = 0, used = 0, bytes;
    uint64_t number, expected = 0;
    while (used < r->bytes && (bytes = good_entry(r, at, &number)) && (!count || number == expected)) {
        count++;
        used += bytes;
        if (get_le32(r->data + at + ENTRY_TAIL) == start) {
            best.count = count;
            best.last_number = number;
            best.head = at;
        }
        expected = number + 1;
        at = (at + bytes) % r->bytes;
    }
    return best;
}

static struct sequence active_sequence(const struct ring *r)
{
    struct sequence best = {0};
    for (uint32_t at = 0; at < r->bytes; at += VHDX_PAGE) {
        uint64_t number;
        if (memcmp(r->data + at, "loge", 4) || !good_entry(r, at, &number))
            continue;
        struct sequence s = sequence_from(r, at);
        if (s.count && s.last_number > best.last_number)
            best = s;
    }
    return best;
}

static void overlay_page(struct vhdx *v, uint64_t offset, const uint8_t *page)
{
    uint8_t *copy = g_malloc0(VHDX_PAGE);
    if (page)
        memcpy(copy, page, VHDX_PAGE);
    g_hash_table_insert(v->overlay, GSIZE_TO_POINTER(offset / VHDX_PAGE + 1), copy);
}

/* A page's first 8 and last 4 bytes are in the descriptor, where the data sector has its own marks. */
static void apply_entry(struct vhdx *v, const uint8_t *e)
{
    const uint8_t *data = e + descriptor_sectors(e) * VHDX_PAGE;
    uint8_t page[VHDX_PAGE];
    for (uint32_t i = 0; i < get_le32(e + ENTRY_DESCRIPTORS); i++) {
        const uint8_t *d = e + ENTRY_HEADER + i * DESCRIPTOR;
        uint64_t offset = get_le64(d + 16), bytes = get_le64(d + 8);
        if (memcmp(d, "desc", 4)) {
            for (uint64_t at = 0; at < MIN(bytes, VHDX_MAX_LOG); at += VHDX_PAGE)
                overlay_page(v, offset + at, NULL);
            continue;
        }
        memcpy(page, d + 8, 8);
        memcpy(page + 8, data + 8, 4084);
        memcpy(page + 4092, d + 4, 4);
        overlay_page(v, offset, page);
        data += VHDX_PAGE;
    }
}

/* Into the file, a barrier, and only then "the log is empty" in the header. */
int vhdx_ready(struct image *im)
{
    struct vhdx *v = im->state;
    GHashTableIter it;
    gpointer key, page;
    if (image_is_zero(v->header + VHDX_LOG_GUID, 16))
        return 0;
    uint64_t last = v->log_last;
    int err = blk_size(im->file) < last && last < IMAGE_MAX_BYTES ? blk_truncate(im->file, last) : 0;
    g_hash_table_iter_init(&it, v->overlay);
    while (!err && g_hash_table_iter_next(&it, &key, &page))
        err = blk_pwrite(im->file, (GPOINTER_TO_SIZE(key) - 1) * VHDX_PAGE, page, VHDX_PAGE);
    if (err)
        return err;
    memset(v->header + VHDX_LOG_GUID, 0, 16);
    err = vhdx_write_headers(im);
    if (!err)
        g_hash_table_remove_all(v->overlay);
    return err;
}

static bool replay_ring(struct image *im, const struct ring *r, GError **error)
{
    struct vhdx *v = im->state;
    struct sequence s = active_sequence(r);
    uint32_t at = s.tail;
    uint64_t flushed = 0;
    if (!s.count)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: its log should be replayed, but holds nothing good",
                         im->file->path);
    for (uint32_t i = 0; i < s.count; i++) {
        g_autofree uint8_t *e = entry_at(r, at);
        apply_entry(v, e);
        flushed = get_le64(e + ENTRY_FLUSHED);
        v->log_last = get_le64(e + ENTRY_LAST);
        at = (at + get_le32(e + ENTRY_BYTES)) % r->bytes;
    }
    return blk_size(im->file) >= flushed ||
           disk_fail(error, DISK_ERROR_CORRUPT, "%s is shorter than it was: it was cut", im->file->path);
}

bool vhdx_replay(struct image *im, GError **error)
{
    struct vhdx *v = im->state;
    struct ring r = {v, NULL, get_le32(v->header + VHDX_LOG_LENGTH)};
    uint64_t at = get_le64(v->header + VHDX_LOG_OFFSET);
    if (image_is_zero(v->header + VHDX_LOG_GUID, 16))
        return true;
    if (get_le16(v->header + VHDX_LOG_VERSION) || !r.bytes || r.bytes % MIB || r.bytes > VHDX_MAX_LOG || at < MIB ||
        at % MIB || at > IMAGE_MAX_BYTES)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the log is not where it can be", im->file->path);
    im->put_off = true;
    r.data = g_try_malloc(r.bytes);
    if (!r.data)
        return disk_fail(error, DISK_ERROR_IO, "%s: no memory for the log", im->file->path);
    bool ok = blk_get(im->file, at, r.data, r.bytes, "log", error) && replay_ring(im, &r, error);
    g_free(r.data);
    return ok;
}
