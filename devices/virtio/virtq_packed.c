// SPDX-License-Identifier: GPL-2.0-or-later
/* virtq_packed.c - the packed layout (Virtual I/O Device Version 1.2, chapter 2.8): one ring of descriptors that the driver
 * makes available and the device overwrites with what is used.
 *
 * Whose a descriptor is, two of its flags tell: AVAIL is the driver's wrap counter when it wrote it, USED the same until the
 * device has written it.  Each side's wrap counter turns over when it comes past the end of the ring.  A chain takes as many
 * places as it has descriptors, but only the first of them is overwritten, and the device goes on behind them all. */
#include "core-vmm/base/bytes.h"
#include "devices/virtio/virtqueue.h"
#include "devices/virtio/virtio.h"

enum { AVAIL = 1 << 7, USED = 1 << 15 };
/* The areas: a place with its wrap counter in bit 15, and what is wanted. */
enum { EVENT_PLACE = 0, EVENT_FLAGS = 2, EVENT_BYTES = 4, EVENT_ALL = 0, EVENT_NONE = 1, EVENT_AT_PLACE = 2 };

bool virtq_packed_map(struct virtqueue *q)
{
    struct device *d = q->virtio->device;
    if (q->table & 15 || q->driver & 3 || q->device & 3)
        return virtq_broken(q, "a part of it is not aligned");
    q->driver_at = dev_dma(d, q->driver, EVENT_BYTES, false);
    q->device_at = dev_dma(d, q->device, EVENT_BYTES, true);
    q->table_at = dev_dma(d, q->table, (uint64_t)q->size * VIRTQ_DESCRIPTOR, true);
    if (!q->driver_at || !q->device_at || !q->table_at) {
        q->table_at = NULL;
        return virtq_broken(q, "it is not in RAM");
    }
    return true;
}

static uint16_t *flags_at(uint8_t *descriptor)
{
    return (uint16_t *)(descriptor + 14);
}

static uint16_t load_flags(uint8_t *descriptor)
{
    return le16toh(__atomic_load_n(flags_at(descriptor), __ATOMIC_ACQUIRE));
}

static struct virtq_descriptor descriptor(const uint8_t *at)
{
    uint8_t d[VIRTQ_DESCRIPTOR];
    memcpy(d, at, sizeof d);
    return (struct virtq_descriptor){get_le64(d), get_le32(d + 8), get_le16(d + 14), get_le16(d + 12)};
}

bool virtq_packed_waiting(struct virtqueue *q)
{
    uint16_t flags = load_flags(q->table_at + q->next_taken * VIRTQ_DESCRIPTOR);
    return !!(flags & AVAIL) == q->taken_wrap && !!(flags & USED) != q->taken_wrap;
}

static void advance(const struct virtqueue *q, uint16_t *place, bool *wrap, unsigned by)
{
    unsigned at = *place + by;
    *wrap ^= at >= q->size;
    *place = at >= q->size ? at - q->size : at;
}

static bool add_indirect(struct virtqueue *q, struct virtq_chain *c, const struct virtq_descriptor *d)
{
    unsigned count;
    const uint8_t *table = virtq_indirect(q, d, &count);
    bool good = table;
    for (unsigned i = 0; i < count && good; i++) {
        struct virtq_descriptor e = descriptor(table + i * VIRTQ_DESCRIPTOR);
        good = virtq_add(q, c, e.gpa, e.bytes, e.flags);
    }
    return good;
}

static bool walk(struct virtqueue *q, struct virtq_chain *c)
{
    unsigned at = q->next_taken;
    for (c->descriptors = 1; c->descriptors <= q->size; c->descriptors++) {
        struct virtq_descriptor d = descriptor(q->table_at + at * VIRTQ_DESCRIPTOR);
        c->id = d.last;
        if (d.flags & VIRTQ_INDIRECT) {
            if (d.flags & VIRTQ_NEXT || c->descriptors > 1)
                return virtq_broken(q, "an indirect descriptor is part of a chain");
            return add_indirect(q, c, &d);
        }
        if (!virtq_add(q, c, d.gpa, d.bytes, d.flags))
            return false;
        if (!(d.flags & VIRTQ_NEXT))
            return true;
        at = at + 1 == q->size ? 0 : at + 1;
    }
    return virtq_broken(q, "a chain loops");
}

bool virtq_packed_take(struct virtqueue *q, struct virtq_chain *c)
{
    if (!walk(q, c))
        return false;
    advance(q, &q->next_taken, &q->taken_wrap, c->descriptors);
    return true;
}

/* The first one's flags last: until then the driver, which looks at them in order, sees none. */
void virtq_packed_publish(struct virtqueue *q)
{
    uint8_t *first = NULL;
    uint16_t first_flags = 0;
    for (unsigned i = 0; i < q->staged_count; i++) {
        const struct virtq_used *u = &q->staged[i];
        uint8_t *d = q->table_at + q->next_used * VIRTQ_DESCRIPTOR;
        uint16_t flags = (q->used_wrap ? AVAIL | USED : 0) | (u->bytes ? VIRTQ_WRITE : 0);
        put_le32(d + 8, u->bytes);
        put_le16(d + 12, u->id);
        if (first) {
            __atomic_store_n(flags_at(d), htole16(flags), __ATOMIC_RELEASE);
        } else {
            first = d;
            first_flags = flags;
        }
        advance(q, &q->next_used, &q->used_wrap, u->descriptors);
        q->untold += u->descriptors;
    }
    __atomic_store_n(flags_at(first), htole16(first_flags), __ATOMIC_RELEASE);
    dev_dma_done(q->virtio->device, q->table, (uint64_t)q->size * VIRTQ_DESCRIPTOR);
}

bool virtq_packed_wants_interrupt(struct virtqueue *q)
{
    uint32_t event = le32toh(__atomic_load_n((const uint32_t *)q->driver_at, __ATOMIC_ACQUIRE));
    unsigned what = event >> 16 & 3, place = event & 0x7fff;
    bool wrap = event >> 15 & 1;
    if (what != EVENT_AT_PLACE || !virtq_has_events(q))
        return what != EVENT_NONE;
    return virtq_passed(wrap == q->used_wrap ? place : place - q->size, q->next_used, q->untold);
}

/* While there are chains that were not taken, nobody knows at which place the driver goes on: then every kick is wanted. */
void virtq_packed_want_kicks(struct virtqueue *q, bool wanted)
{
    uint32_t event = (uint32_t)(wanted ? EVENT_ALL : EVENT_NONE) << 16;
    if (wanted && virtq_has_events(q) && !virtq_packed_waiting(q))
        event = (uint32_t)EVENT_AT_PLACE << 16 | (uint32_t)q->taken_wrap << 15 | q->next_taken;
    __atomic_store_n((uint32_t *)q->device_at, htole32(event), __ATOMIC_RELEASE);
    dev_dma_done(q->virtio->device, q->device, EVENT_BYTES);
}
