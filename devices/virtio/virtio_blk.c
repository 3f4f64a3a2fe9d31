// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_blk.c - disk (Virtual I/O Device Version 1.2, chapter 5.2).
 *
 * A request is a header, data and a byte for how it went.  Its data goes between the medium and the guest's memory without a
 * copy, by as many workers as the drive has, and requests end in any order.  A reset waits until none of them touches that
 * memory any more; those that are told of later are stale.  A driver that does not know how to flush has its writes flushed. */
#include "core-vmm/api/drive.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/storage/disk_geometry.h"
#include "devices/virtio/virtio_pci.h"

enum { BLOCK = 2, SECTOR = 512, HEADER = 16, ID_BYTES = 20, RANGE = 16, CONFIG_BYTES = 60 };
enum { F_SEG_MAX = 2, F_GEOMETRY = 4, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_DISCARD = 13, F_WRITE_ZEROES = 14 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { DONE = 0, FAILED = 1, UNKNOWN = 2, NOT_YET = 0xff };
/* Configuration space. */
enum { C_CAPACITY = 0, C_SEGMENTS = 12, C_CYLINDERS = 16, C_HEADS = 18, C_SECTORS = 19, C_BLOCK = 20 };
enum { C_DISCARD_SECTORS = 36, C_DISCARD_RANGES = 40, C_DISCARD_ALIGNMENT = 44, C_ZERO_SECTORS = 48 };
enum { C_ZERO_RANGES = 52, C_ZERO_MAY_UNMAP = 56, RANGE_SECTORS_MOST = 1 << 22, UNMAP = 1 };

struct blk_request {
    struct drive_request drive;
    bool busy;
    uint32_t life; /* of the device, when it began */
    struct virtq_chain chain;
    struct iovec iov[VIRTQ_SIZE_MOST];
};
struct blk {
    struct virtio virtio;
    struct drive *medium;
    uint32_t life;                                /* counts resets: what began before is stale */
    bool starved;                                 /* chains were left in the queue for want of a place in request[] */
    struct blk_request *request[VIRTQ_SIZE_MOST]; /* made when they are first wanted */
};

/* ---- places for requests ---- */

static struct blk_request *free_request(struct blk *b)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(b->request); i++) {
        if (!b->request[i])
            b->request[i] = g_new0(struct blk_request, 1);
        if (!b->request[i]->busy)
            return b->request[i];
    }
    return NULL;
}

static void take_requests(struct blk *b);

/* ---- the end of one ---- */

static void finish(struct blk *b, struct blk_request *r, uint8_t status)
{
    virtq_write(&r->chain, r->chain.in_bytes - 1, &status, 1);
    virtq_give(&b->virtio.queue[0], &r->chain, r->chain.in_bytes);
    r->busy = false;
}

static void request_done(struct device *d, struct drive_request *dr, int error)
{
    struct blk_request *r = dr->tag;
    struct blk *b = d->state;
    if (r->life != b->life) {
        r->busy = false;
    } else if (dr->op == DRIVE_WRITE && !error && !virtio_has(&b->virtio, F_FLUSH)) {
        dr->op = DRIVE_FLUSH;
        drive_submit(b->medium, dr);
    } else {
        finish(b, r, error ? FAILED : DONE);
    }
}

static void batch_done(struct device *d, struct drive *medium)
{
    struct blk *b = d->state;
    virtq_flush(&b->virtio.queue[0]);
    if (b->starved)
        take_requests(b);
}

/* ---- the beginning of one: each returns how it went, or NOT_YET ---- */

static uint8_t submit(struct blk *b, struct blk_request *r, enum drive_op op, uint64_t sector, uint64_t bytes,
                      int count)
{
    if (sector > UINT64_MAX / SECTOR || (op != DRIVE_FLUSH && (!bytes || bytes % SECTOR)))
        return FAILED;
    r->life = b->life;
    r->drive = (struct drive_request){.op = op,
                                      .offset = sector * SECTOR,
                                      .bytes = bytes,
                                      .iov = r->iov,
                                      .iov_count = count,
                                      .done = request_done,
                                      .tag = r};
    drive_submit(b->medium, &r->drive);
    return NOT_YET;
}

static uint8_t move(struct blk *b, struct blk_request *r, bool in, uint64_t sector)
{
    uint64_t bytes = in ? r->chain.in_bytes - 1 : r->chain.out_bytes - HEADER;
    unsigned count = virtq_part(&r->chain, in, in ? 0 : HEADER, bytes, r->iov);
    return submit(b, r, in ? DRIVE_READ : DRIVE_WRITE, sector, bytes, count);
}

static uint8_t clear(struct blk *b, struct blk_request *r, bool zeroes)
{
    uint8_t range[RANGE];
    if (!virtio_has(&b->virtio, zeroes ? F_WRITE_ZEROES : F_DISCARD))
        return UNKNOWN;
    if (r->chain.out_bytes != HEADER + RANGE || virtq_read(&r->chain, HEADER, range, RANGE) < RANGE)
        return FAILED;
    uint32_t sectors = get_le32(range + 8), flags = get_le32(range + 12);
    if (flags & ~(uint32_t)(zeroes ? UNMAP : 0))
        return UNKNOWN;
    if (sectors > RANGE_SECTORS_MOST)
        return FAILED;
    return submit(b, r, zeroes ? DRIVE_ZERO : DRIVE_DISCARD, get_le64(range), (uint64_t)sectors * SECTOR, 0);
}

static uint8_t tell_id(struct blk *b, struct blk_request *r)
{
    char id[ID_BYTES + 1] = {0};
    g_strlcpy(id, drive_serial(b->medium), sizeof id);
    virtq_write(&r->chain, 0, id, MIN(r->chain.in_bytes - 1, ID_BYTES));
    return DONE;
}

static uint8_t begin(struct blk *b, struct blk_request *r)
{
    uint8_t h[HEADER];
    virtq_read(&r->chain, 0, h, HEADER);
    switch (get_le32(h)) {
    case T_IN: return move(b, r, true, get_le64(h + 8));
    case T_OUT: return drive_readonly(b->medium) ? FAILED : move(b, r, false, get_le64(h + 8));
    case T_FLUSH: return submit(b, r, DRIVE_FLUSH, 0, 0, 0);
    case T_GET_ID: return tell_id(b, r);
    case T_DISCARD: return clear(b, r, false);
    case T_WRITE_ZEROES: return clear(b, r, true);
    }
    return UNKNOWN;
}

static void take_requests(struct blk *b)
{
    struct virtqueue *q = &b->virtio.queue[0];
    struct blk_request *r = NULL;
    b->starved = false;
    for (unsigned left = VIRTQ_SIZE_MOST; left && (r = free_request(b)) && virtq_take(q, &r->chain); left--) {
        if (r->chain.out_bytes < HEADER || !r->chain.in_bytes) {
            virtio_broken(&b->virtio, "a request without a header, or without room for its status");
            return;
        }
        r->busy = true;
        uint8_t status = begin(b, r);
        if (status != NOT_YET)
            finish(b, r, status);
    }
    virtq_flush(q);
    b->starved = !r && virtq_waiting(q);
    if (r)
        virtio_wait_for_kick(&b->virtio, 0);
}

static void blk_kicked(struct virtio *v, unsigned queue)
{
    take_requests(v->device->state);
}

/* ---- life ---- */

static void show_config(struct blk *b)
{
    uint8_t *c = b->virtio.config;
    uint64_t sectors = drive_bytes(b->medium) / SECTOR;
    struct disk_geometry geometry, bios;
    disk_geometry_choose(sectors, NULL, &geometry, &bios);
    put_le64(c + C_CAPACITY, sectors);
    put_le32(c + C_SEGMENTS, VIRTQ_SIZE_MOST - 2);
    put_le16(c + C_CYLINDERS, geometry.cylinders);
    c[C_HEADS] = geometry.heads;
    c[C_SECTORS] = geometry.sectors;
    put_le32(c + C_BLOCK, SECTOR);
    put_le32(c + C_DISCARD_SECTORS, RANGE_SECTORS_MOST);
    put_le32(c + C_DISCARD_RANGES, 1);
    put_le32(c + C_DISCARD_ALIGNMENT, 8);
    put_le32(c + C_ZERO_SECTORS, RANGE_SECTORS_MOST);
    put_le32(c + C_ZERO_RANGES, 1);
    c[C_ZERO_MAY_UNMAP] = 1;
}

static void medium_changed(struct device *d, struct drive *medium)
{
    struct blk *b = d->state;
    show_config(b);
    virtio_config_changed(&b->virtio);
}

static void blk_reset(struct virtio *v)
{
    struct blk *b = v->device->state;
    drive_quiesce(b->medium);
    b->life++;
    b->starved = false;
    show_config(b);
}

#define BIT(n) (1ull << (n))
static const struct virtio_class blk_class = {
    .type = BLOCK,
    .queues = 1,
    .config = CONFIG_BYTES,
    .features = BIT(F_SEG_MAX) | BIT(F_GEOMETRY) | BIT(F_RO) | BIT(F_BLK_SIZE) | BIT(F_FLUSH) | BIT(F_DISCARD) |
                BIT(F_WRITE_ZEROES),
    .kicked = blk_kicked,
    .reset = blk_reset,
};

static bool blk_init(struct device *d, const struct config *c, GError **error)
{
    struct blk *b = d->state;
    g_autofree char *media = config_string(c, "media");
    if (g_strcmp0(media, "disk")) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "%s: [%s] media = %s: virtio disks are hard disks only; put a CD on ide or sata", c->path,
                    c->section, media);
        return false;
    }
    b->medium = drive_open(d, c, error);
    if (!b->medium)
        return false;
    drive_on_change(b->medium, medium_changed);
    drive_on_batch(b->medium, batch_done);
    bool readonly = drive_readonly(b->medium);
    uint64_t features = blk_class.features & ~(readonly ? BIT(F_DISCARD) | BIT(F_WRITE_ZEROES) : BIT(F_RO));
    if (virtio_init(d, &blk_class, features, c, error))
        return true;
    drive_close(b->medium);
    return false;
}

static void blk_fini(struct device *d)
{
    struct blk *b = d->state;
    drive_close(b->medium);
    for (unsigned i = 0; i < G_N_ELEMENTS(b->request); i++)
        g_free(b->request[i]);
}

static const struct pci_capability blk_capabilities[] = {VIRTIO_CAPABILITIES(2)};
static const struct pci_ids blk_ids = {VIRTIO_IDS(0x1001, BLOCK, 0x010000, blk_capabilities)};

const struct device_ops virtio_blk_ops = {
    .name = "virtio-blk",
    .state_bytes = sizeof(struct blk),
    .version = 1,
    .regions = {VIRTIO_REGIONS},
    .pci = &blk_ids,
    .init = blk_init,
    .fini = blk_fini,
    VIRTIO_CALLS,
};
