// SPDX-License-Identifier: GPL-2.0-or-later
/* virtq_split.c - the split layout (Virtual I/O Device Version 1.2, chapter 2.7): a table of descriptors, the driver's ring of
 * heads of chains, the device's ring of used ones.  Both rings count up to 65535 and on from 0; their size is a power of two. */
#include "core-vmm/base/bytes.h"
#include "devices/virtio/virtqueue.h"
#include "devices/virtio/virtio.h"

/* Both rings: flags, index, entries, and the other side's event. */
enum { RING_FLAGS = 0, RING_INDEX = 2, RING_ENTRIES = 4, TAKEN_ENTRY = 2, USED_ENTRY = 8 };
enum { NO_INTERRUPT = 1, NO_KICK = 1 };

static uint64_t driver_bytes(const struct virtqueue *q)
{
    return RING_ENTRIES + q->size * TAKEN_ENTRY + 2;
}

static uint64_t device_bytes(const struct virtqueue *q)
{
    return RING_ENTRIES + q->size * USED_ENTRY + 2;
}

bool virtq_split_map(struct virtqueue *q)
{
    struct device *d = q->virtio->device;
    if ((q->size & (q->size - 1)) || q->table & 15 || q->driver & 1 || q->device & 3)
        return virtq_broken(q, "its size is no power of two, or a part of it is not aligned");
    q->driver_at = dev_dma(d, q->driver, driver_bytes(q), false);
    q->device_at = dev_dma(d, q->device, device_bytes(q), true);
    q->table_at = dev_dma(d, q->table, (uint64_t)q->size * VIRTQ_DESCRIPTOR, false);
    if (!q->driver_at || !q->device_at || !q->table_at) {
        q->table_at = NULL;
        return virtq_broken(q, "it is not in RAM");
    }
    return true;
}

static uint16_t load16(const uint8_t *at)
{
    return le16toh(__atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE));
}

static void store16(uint8_t *at, uint16_t v)
{
    __atomic_store_n((uint16_t *)at, htole16(v), __ATOMIC_RELEASE);
}

bool virtq_split_waiting(struct virtqueue *q)
{
    return load16(q->driver_at + RING_INDEX) != q->next_taken;
}

static struct virtq_descriptor descriptor(const uint8_t *table, unsigned n)
{
    uint8_t d[VIRTQ_DESCRIPTOR];
    memcpy(d, table + n * VIRTQ_DESCRIPTOR, sizeof d);
    return (struct virtq_descriptor){get_le64(d), get_le32(d + 8), get_le16(d + 12), get_le16(d + 14)};
}

/* A chain in one table of so many entries, from that one on; one that is longer than its table loops. */
static bool walk(struct virtqueue *q, struct virtq_chain *c, const uint8_t *table, unsigned count, unsigned at)
{
    bool outer = table == q->table_at;
    for (unsigned steps = 0; steps < count; steps++) {
        if (at >= count)
            return virtq_broken(q, "a descriptor is beyond its table");
        struct virtq_descriptor d = descriptor(table, at);
        if (d.flags & VIRTQ_INDIRECT) {
            unsigned inner;
            if (!outer || d.flags & VIRTQ_NEXT)
                return virtq_broken(q, "an indirect descriptor is not the last of its chain");
            const uint8_t *more = virtq_indirect(q, &d, &inner);
            return more && walk(q, c, more, inner, 0);
        }
        if (!virtq_add(q, c, d.gpa, d.bytes, d.flags))
            return false;
        if (!(d.flags & VIRTQ_NEXT))
            return true;
        at = d.last;
    }
    return virtq_broken(q, "a chain loops");
}

bool virtq_split_take(struct virtqueue *q, struct virtq_chain *c)
{
    uint16_t index = load16(q->driver_at + RING_INDEX);
    if ((uint16_t)(index - q->next_taken) > q->size)
        return virtq_broken(q, "its index has gone further than its size");
    c->id = load16(q->driver_at + RING_ENTRIES + (q->next_taken & (q->size - 1)) * TAKEN_ENTRY);
    c->descriptors = 1;
    if (!walk(q, c, q->table_at, q->size, c->id))
        return false;
    q->next_taken++;
    return true;
}

void virtq_split_publish(struct virtqueue *q)
{
    for (unsigned i = 0; i < q->staged_count; i++) {
        uint8_t *e = q->device_at + RING_ENTRIES + ((q->next_used + i) & (q->size - 1)) * USED_ENTRY;
        put_le32(e, q->staged[i].id);
        put_le32(e + 4, q->staged[i].bytes);
    }
    q->next_used += q->staged_count;
    q->untold += q->staged_count;
    store16(q->device_at + RING_INDEX, q->next_used);
    dev_dma_done(q->virtio->device, q->device, device_bytes(q));
}

bool virtq_split_wants_interrupt(struct virtqueue *q)
{
    if (virtq_has_events(q))
        return virtq_passed(load16(q->driver_at + RING_ENTRIES + q->size * TAKEN_ENTRY), q->next_used, q->untold);
    return !(load16(q->driver_at + RING_FLAGS) & NO_INTERRUPT);
}

/* The next chain that the driver adds is to be told of, whether or not all before it were taken.  With the event index, not
 * wanting is leaving the event where it is: the driver has gone past it. */
void virtq_split_want_kicks(struct virtqueue *q, bool wanted)
{
    uint64_t at = virtq_has_events(q) ? RING_ENTRIES + q->size * USED_ENTRY : RING_FLAGS;
    if (virtq_has_events(q) && !wanted)
        return;
    store16(q->device_at + at, virtq_has_events(q) ? load16(q->driver_at + RING_INDEX) : wanted ? 0 : NO_KICK);
    dev_dma_done(q->virtio->device, q->device + at, 2);
}
