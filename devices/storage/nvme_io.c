// SPDX-License-Identifier: GPL-2.0-or-later
/* nvme_io.c - I/O commands of an NVMe namespace, and where their data is.  Spec: NVM Express 1.4, chapters 4.3 (physical region
 * pages) and 6 (NVM command set). */
#include "core-vmm/base/bytes.h"
#include "devices/storage/nvme.h"

enum { FLUSH = 0x00, WRITE = 0x01, READ = 0x02, WRITE_ZEROES = 0x08, DATASET_MANAGEMENT = 0x09 };
enum { AT_OPCODE = 0, AT_NAMESPACE = 4, AT_PRP1 = 24, AT_PRP2 = 32, AT_CDW10 = 40, AT_CDW11 = 44, AT_CDW12 = 48 };
enum { RANGE_BYTES = 16, DEALLOCATE = 1 << 2, ENTRIES_A_PAGE = NVME_PAGE / 8 };
#define FORCE_UNIT_ACCESS (1u << 30)
#define EVERY_NAMESPACE   UINT32_C(0xffffffff)

uint64_t nvme_sectors(const struct nvme *n)
{
    return drive_bytes(n->medium) / NVME_SECTOR;
}

/* ---- physical region pages ---- */
static bool add(struct device *d, struct nvme_command *c, uint64_t gpa, uint64_t bytes, bool to_guest)
{
    bool good = true;

    return dma_list_add(d, &c->dma, gpa, bytes, to_guest, &good) == bytes && good;
}

/* The list's pages: each entry a page of data, but the last of a full page is the next one of the list, which begins with
 * its page - so each has 511 of data at least, and a list that leads to itself ends. */
static uint16_t map_list(struct device *d, struct nvme_command *c, uint64_t list, uint64_t left, bool to_guest)
{
    while (left) {
        unsigned entries = (NVME_PAGE - (list & (NVME_PAGE - 1))) / 8;
        const uint8_t *p = dev_dma(d, list, entries * 8, false);
        uint64_t next = 0;
        if (!p)
            return NVME_BAD_DATA;
        for (unsigned n = 0; n < entries && left; n++) {
            uint64_t entry = get_le64(p + n * 8), bytes = MIN(left, NVME_PAGE);
            if (entry & (NVME_PAGE - 1))
                return NVME_BAD_PRP;
            if (n == entries - 1 && left > NVME_PAGE) {
                next = entry;
                break;
            }
            if (!add(d, c, entry, bytes, to_guest))
                return NVME_BAD_DATA;
            left -= bytes;
        }
        list = next;
    }
    return NVME_OK;
}

uint16_t nvme_map(struct device *d, struct nvme_command *c, uint64_t bytes, bool to_guest)
{
    enum { TRANSFER = 0xc0 /* of byte 1: PRPs or SGLs */ };
    uint64_t first = get_le64(c->entry + AT_PRP1), second = get_le64(c->entry + AT_PRP2);
    uint64_t here = MIN(bytes, NVME_PAGE - (first & (NVME_PAGE - 1))), left = bytes - here;

    dma_list_clear(&c->dma);
    if (c->entry[1] & TRANSFER || bytes > (uint64_t)NVME_PAGE << NVME_MDTS)
        return NVME_BAD_FIELD;
    if (first & 3 || (left && second & (left > NVME_PAGE ? 7 : NVME_PAGE - 1)))
        return NVME_BAD_PRP;
    if (bytes && !add(d, c, first, here, to_guest))
        return NVME_BAD_DATA;
    if (left > NVME_PAGE)
        return map_list(d, c, second, left, to_guest);
    return !left || add(d, c, second, left, to_guest) ? NVME_OK : NVME_BAD_DATA;
}

uint16_t nvme_answer(struct device *d, struct nvme_command *c, const void *data, uint64_t bytes, uint64_t wanted)
{
    uint16_t status = nvme_map(d, c, MIN(bytes, wanted), true);

    if (status)
        return status;
    dma_list_put(&c->dma, 0, data, c->dma.bytes);
    dma_list_done(d, &c->dma);
    return NVME_OK;
}

/* ---- requests ---- */
static void request_done(struct device *d, struct drive_request *r, int error);

static void submit(struct device *d, struct nvme_command *c, enum drive_op op, uint64_t offset, uint64_t bytes)
{
    struct nvme *n = d->state;
    bool moves = op == DRIVE_READ || op == DRIVE_WRITE;

    c->request = (struct drive_request){.op = op,
                                        .offset = offset,
                                        .bytes = bytes,
                                        .iov = moves ? c->dma.iov : NULL,
                                        .iov_count = moves ? c->dma.count : 0,
                                        .done = request_done,
                                        .tag = c};
    c->pending = true;
    drive_submit(n->medium, &c->request);
}

/* Range by range; each is looked at when it is its turn. */
static void next_range(struct device *d, struct nvme_command *c)
{
    struct nvme *n = d->state;
    unsigned ranges = c->dma.bytes / RANGE_BYTES;
    uint64_t sectors = nvme_sectors(n);

    while (c->range < ranges) {
        uint8_t range[RANGE_BYTES] = {0};
        dma_list_get(&c->dma, c->range++ * RANGE_BYTES, range, sizeof range);
        uint64_t count = get_le32(range + 4), first = get_le64(range + 8);
        if (first > sectors || count > sectors - first) {
            nvme_complete(d, c, NVME_BEYOND);
            return;
        }
        if (count) {
            submit(d, c, DRIVE_DISCARD, first * NVME_SECTOR, count * NVME_SECTOR);
            return;
        }
    }
    nvme_complete(d, c, NVME_OK);
}

static void through(struct device *d, struct nvme_command *c, enum drive_op op)
{
    struct nvme *n = d->state;

    if (op == DRIVE_READ) {
        dma_list_done(d, &c->dma);
        n->reads++;
        n->bytes_read += c->request.bytes;
    } else if (op == DRIVE_WRITE) {
        n->writes++;
        n->bytes_written += c->request.bytes;
    }
    if (op == DRIVE_DISCARD) {
        next_range(d, c);
    } else if (c->flush) {
        c->flush = false;
        submit(d, c, DRIVE_FLUSH, 0, 0);
    } else {
        nvme_complete(d, c, NVME_OK);
    }
}

static void request_done(struct device *d, struct drive_request *r, int error)
{
    struct nvme *n = d->state;
    struct nvme_command *c = r->tag;

    c->pending = false;
    if (c->stale) {
        c->stale = false;
        c->state = COMMAND_FREE;
    } else if (error) {
        nvme_complete(d, c, r->op == DRIVE_READ ? NVME_READ_ERROR : NVME_WRITE_FAULT);
    } else {
        through(d, c, r->op);
    }
    if (n->starved)
        nvme_run(d);
}

/* ---- commands ---- */

/* Which sectors a command is about; a status. */
static uint16_t place(const struct nvme *n, const struct nvme_command *c, uint64_t *offset, uint64_t *bytes)
{
    uint64_t first = get_le64(c->entry + AT_CDW10), count = get_le16(c->entry + AT_CDW12) + 1, all = nvme_sectors(n);

    *offset = first * NVME_SECTOR;
    *bytes = count * NVME_SECTOR;
    return first > all || count > all - first ? NVME_BEYOND | NVME_RETRY_NO : NVME_OK;
}

static uint16_t transfer(struct device *d, struct nvme_command *c, enum drive_op op)
{
    struct nvme *n = d->state;
    uint64_t offset, bytes;
    uint16_t status = place(n, c, &offset, &bytes);

    if (!status && op != DRIVE_READ && drive_readonly(n->medium))
        status = NVME_PROTECTED;
    if (!status && op != DRIVE_ZERO)
        status = nvme_map(d, c, bytes, op == DRIVE_READ);
    if (status)
        return status;
    c->flush =
        op != DRIVE_READ && (!(n->feature[FEATURE_CACHE] & 1) || get_le32(c->entry + AT_CDW12) & FORCE_UNIT_ACCESS);
    submit(d, c, op, offset, bytes);
    return NVME_OK;
}

static uint16_t dataset_management(struct device *d, struct nvme_command *c)
{
    struct nvme *n = d->state;
    unsigned ranges = c->entry[AT_CDW10] + 1;
    uint16_t status = nvme_map(d, c, ranges * RANGE_BYTES, false);

    if (!status && drive_readonly(n->medium))
        status = NVME_PROTECTED;
    if (status)
        return status;
    c->range = get_le32(c->entry + AT_CDW11) & DEALLOCATE ? 0 : ranges; /* the other hints are only hints */
    next_range(d, c);
    return NVME_OK;
}

static uint16_t run(struct device *d, struct nvme_command *c)
{
    uint32_t which = get_le32(c->entry + AT_NAMESPACE);
    uint8_t opcode = c->entry[AT_OPCODE];

    if (which != 1 && !(which == EVERY_NAMESPACE && opcode == FLUSH))
        return NVME_BAD_NAMESPACE | NVME_RETRY_NO;
    switch (opcode) {
    case FLUSH: submit(d, c, DRIVE_FLUSH, 0, 0); return NVME_OK;
    case READ: return transfer(d, c, DRIVE_READ);
    case WRITE: return transfer(d, c, DRIVE_WRITE);
    case WRITE_ZEROES: return transfer(d, c, DRIVE_ZERO);
    case DATASET_MANAGEMENT: return dataset_management(d, c);
    default: return NVME_BAD_OPCODE | NVME_RETRY_NO;
    }
}

void nvme_io(struct device *d, struct nvme_command *c)
{
    uint16_t status = run(d, c);

    if (status)
        nvme_complete(d, c, status);
}
