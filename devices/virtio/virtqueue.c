// SPDX-License-Identifier: GPL-2.0-or-later
/* virtqueue.c - what both layouts of a queue share; see virtqueue.h. */
#include "devices/virtio/virtqueue.h"
#include "core-vmm/api/barrier.h"
#include "core-vmm/base/bytes.h"
#include "devices/virtio/virtio.h"

bool virtq_broken(struct virtqueue *q, const char *why)
{
    virtio_broken(q->virtio, "queue %u: %s", (unsigned)(q - q->virtio->queue), why);
    return false;
}

bool virtq_is_packed(const struct virtqueue *q)
{
    return virtio_has(q->virtio, VIRTIO_F_RING_PACKED);
}

bool virtq_has_events(const struct virtqueue *q)
{
    return virtio_has(q->virtio, VIRTIO_F_EVENT_IDX);
}

void virtq_reset(struct virtqueue *q)
{
    q->next_taken = q->next_used = q->untold = q->in_use = 0;
    q->taken_wrap = q->used_wrap = true;
    q->staged_count = 0;
    q->table_at = NULL;
}

/* Is the queue usable, and mapped as the address map is now? */
static bool ready(struct virtqueue *q)
{
    struct device *d = q->virtio->device;
    unsigned count = dev_map_count(d);
    if (!q->on || q->virtio->broken)
        return false;
    if (q->table_at && q->map_count == count)
        return true;
    q->table_at = NULL;
    q->map_count = count;
    return virtq_is_packed(q) ? virtq_packed_map(q) : virtq_split_map(q);
}

/* ---- chains ---- */

bool virtq_add(struct virtqueue *q, struct virtq_chain *c, uint64_t gpa, uint32_t bytes, uint16_t flags)
{
    bool in = flags & VIRTQ_WRITE;
    unsigned n = c->out + c->in;
    if (n == VIRTQ_SIZE_MOST)
        return virtq_broken(q, "a chain is longer than the queue");
    if (!in && c->in)
        return virtq_broken(q, "a chain has something to read behind what is to be written");
    void *at = bytes ? dev_dma(q->virtio->device, gpa, bytes, in) : NULL;
    if (!at && bytes)
        return virtq_broken(q, "a descriptor is not in RAM");
    c->iov[n] = (struct iovec){at, bytes};
    c->gpa[n] = gpa;
    *(in ? &c->in : &c->out) += 1;
    *(in ? &c->in_bytes : &c->out_bytes) += bytes;
    return true;
}

const uint8_t *virtq_indirect(struct virtqueue *q, const struct virtq_descriptor *d, unsigned *count)
{
    *count = d->bytes / VIRTQ_DESCRIPTOR;
    if (!virtio_has(q->virtio, VIRTIO_F_INDIRECT_DESC) || !*count || d->bytes % VIRTQ_DESCRIPTOR ||
        *count > VIRTQ_SIZE_MOST) {
        virtq_broken(q, "an indirect descriptor was not agreed upon, or its table has no fitting size");
        return NULL;
    }
    const uint8_t *table = dev_dma(q->virtio->device, d->gpa, d->bytes, false);
    if (!table)
        virtq_broken(q, "an indirect table is not in RAM");
    return table;
}

bool virtq_waiting(struct virtqueue *q)
{
    return ready(q) && (virtq_is_packed(q) ? virtq_packed_waiting(q) : virtq_split_waiting(q));
}

bool virtq_take(struct virtqueue *q, struct virtq_chain *c)
{
    if (!virtq_waiting(q))
        return false;
    if (q->in_use >= q->size)
        return virtq_broken(q, "there are more chains than places");
    c->out = c->in = 0;
    c->out_bytes = c->in_bytes = 0;
    if (!(virtq_is_packed(q) ? virtq_packed_take(q, c) : virtq_split_take(q, c)))
        return false;
    q->in_use++;
    return true;
}

struct virtq_mark virtq_mark(const struct virtqueue *q)
{
    return (struct virtq_mark){q->next_taken, q->in_use, q->taken_wrap};
}

void virtq_rewind(struct virtqueue *q, struct virtq_mark mark)
{
    q->next_taken = mark.next_taken;
    q->taken_wrap = mark.taken_wrap;
    q->in_use = mark.in_use;
    q->staged_count = 0;
}

/* ---- giving back ---- */

static void tell_engine(struct virtqueue *q, const struct virtq_chain *c, uint64_t bytes)
{
    for (unsigned i = c->out; i < c->out + c->in && bytes; i++) {
        uint64_t n = MIN(bytes, c->iov[i].iov_len);
        if (n)
            dev_dma_done(q->virtio->device, c->gpa[i], n);
        bytes -= n;
    }
}

void virtq_publish(struct virtqueue *q)
{
    if (!q->staged_count || !ready(q))
        return;
    if (virtq_is_packed(q))
        virtq_packed_publish(q);
    else
        virtq_split_publish(q);
    q->staged_count = 0;
}

void virtq_give(struct virtqueue *q, const struct virtq_chain *c, uint64_t bytes)
{
    tell_engine(q, c, MIN(bytes, c->in_bytes));
    if (!q->in_use) /* of before a reset */
        return;
    if (q->staged_count == VIRTQ_STAGED)
        virtq_publish(q);
    q->staged[q->staged_count++] = (struct virtq_used){c->id, c->descriptors, MIN(bytes, UINT32_MAX)};
    q->in_use--;
}

static bool wants_interrupt(struct virtqueue *q)
{
    return virtq_is_packed(q) ? virtq_packed_wants_interrupt(q) : virtq_split_wants_interrupt(q);
}

void virtq_flush(struct virtqueue *q)
{
    virtq_publish(q);
    if (!q->untold || !ready(q))
        return;
    bool wanted = wants_interrupt(q);
    if (!wanted) { /* unless the driver wishes for one just now, and has not seen what is used */
        dev_barrier(q->virtio->device);
        wanted = wants_interrupt(q);
    }
    q->untold = 0;
    if (wanted)
        virtio_interrupt(q->virtio, q->vector);
}

void virtq_want_kicks(struct virtqueue *q, bool wanted)
{
    if (!ready(q))
        return;
    if (virtq_is_packed(q))
        virtq_packed_want_kicks(q, wanted);
    else
        virtq_split_want_kicks(q, wanted);
    if (wanted)
        dev_barrier(q->virtio->device);
}

bool virtq_passed(uint16_t event, uint16_t now, uint16_t untold)
{
    return (uint16_t)(now - event - 1) < untold;
}

/* ---- bytes of a chain ---- */

unsigned virtq_part(const struct virtq_chain *c, bool in, uint64_t at, uint64_t bytes, struct iovec *list)
{
    unsigned n = 0, first = in ? c->out : 0, end = in ? c->out + c->in : c->out;
    for (unsigned i = first; i < end && bytes; i++) {
        uint64_t skip = MIN(at, c->iov[i].iov_len), take = MIN(bytes, c->iov[i].iov_len - skip);
        at -= skip;
        bytes -= take;
        if (take)
            list[n++] = (struct iovec){(uint8_t *)c->iov[i].iov_base + skip, take};
    }
    return n;
}

static size_t copy(const struct virtq_chain *c, bool in, uint64_t at, uint8_t *ours, size_t bytes)
{
    size_t done = 0;
    unsigned first = in ? c->out : 0, end = in ? c->out + c->in : c->out;
    for (unsigned i = first; i < end && done < bytes; i++) {
        uint64_t skip = MIN(at, c->iov[i].iov_len), n = MIN(bytes - done, c->iov[i].iov_len - skip);
        at -= skip;
        if (!n) /* an empty segment is nowhere */
            continue;
        uint8_t *theirs = (uint8_t *)c->iov[i].iov_base + skip;
        memcpy(in ? theirs : ours + done, in ? ours + done : theirs, n);
        done += n;
    }
    return done;
}

size_t virtq_read(const struct virtq_chain *c, uint64_t at, void *to, size_t bytes)
{
    return copy(c, false, at, to, bytes);
}

size_t virtq_write(struct virtq_chain *c, uint64_t at, const void *from, size_t bytes)
{
    return copy(c, true, at, (uint8_t *)from, bytes);
}

/* ---- saved state: nothing is in use then ---- */

bool virtq_sync(struct virtqueue *q, struct stream *s)
{
    stream_u16(s, &q->size);
    stream_u16(s, &q->vector);
    stream_bool(s, &q->on);
    stream_u64(s, &q->table);
    stream_u64(s, &q->driver);
    stream_u64(s, &q->device);
    stream_u16(s, &q->next_taken);
    stream_u16(s, &q->next_used);
    stream_bool(s, &q->taken_wrap);
    stream_bool(s, &q->used_wrap);
    stream_u16(s, &q->untold);
    if (s->loading) {
        q->in_use = 0;
        q->staged_count = 0;
        q->table_at = NULL;
    }
    bool packed = virtq_is_packed(q), fits = q->size && q->size <= VIRTQ_SIZE_MOST;
    return stream_ok(s) && fits && (!packed || (q->next_taken < q->size && q->next_used < q->size));
}
