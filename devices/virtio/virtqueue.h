// SPDX-License-Identifier: GPL-2.0-or-later
/* virtqueue.h - the queues by which a virtio driver and its device exchange buffers (Virtual I/O Device Version 1.2, chapters
 * 2.6 to 2.8).
 *
 * A queue lies in guest memory.  The driver makes *chains* of segments available, first those that the device reads (out),
 * then those that it writes (in); the device takes them in that order, and gives each back when it is done with it, in any
 * order.  There are two layouts: the split one (a table of descriptors, a ring of what is available, a ring of what is used:
 * virtq_split.c) and the packed one (one ring of descriptors for all: virtq_packed.c).
 *
 * Either side may tell the other that it need not be told: the device is *kicked* by the driver and interrupts it.  With the
 * event index, each names the place in the ring from which on it wants to hear again.
 *
 * All of it is the guest's to write at any time, so everything is read once, and then checked.  A queue that makes no sense
 * (a chain that loops, a descriptor outside of RAM, an index from nowhere) breaks its device: it stops until it is reset. */
#pragma once
#include "core-vmm/api/device.h"
#include <sys/uio.h>

enum { VIRTQ_SIZE_MOST = 256, VIRTQ_STAGED = 64 };

struct virtq_chain {
    uint16_t id, descriptors; /* by which the driver knows it; how many places of a packed ring it takes */
    unsigned out, in;         /* segments: first those out, then those in */
    uint64_t out_bytes, in_bytes;
    struct iovec iov[VIRTQ_SIZE_MOST]; /* in the guest's memory */
    uint64_t gpa[VIRTQ_SIZE_MOST];
};

struct virtio;
struct virtqueue {
    struct virtio *virtio;
    /* As the driver set it up. */
    uint16_t size, vector;
    bool on;
    uint64_t table, driver, device; /* addresses: descriptors, the driver's area, the device's */
    /* Places in the rings; the wraps are the packed ring's. */
    uint16_t next_taken, next_used;
    bool taken_wrap, used_wrap;
    uint16_t untold; /* used since an interrupt was last considered */
    /* Not saved. */
    uint16_t in_use; /* chains taken and not given back */
    struct virtq_used {
        uint16_t id, descriptors;
        uint32_t bytes;
    } staged[VIRTQ_STAGED];
    unsigned staged_count;
    uint8_t *table_at, *driver_at, *device_at; /* in our memory, as long as the address map is that of map_count */
    unsigned map_count;
};

void virtq_reset(struct virtqueue *q); /* places and what is under way; not what the driver set up */
/* The next chain; false: there is none, or the queue is broken. */
bool virtq_take(struct virtqueue *q, struct virtq_chain *c);
bool virtq_waiting(struct virtqueue *q); /* is there one? */
/* It is done with, and its first bytes in were written.  The driver sees it after virtq_flush(). */
void virtq_give(struct virtqueue *q, const struct virtq_chain *c, uint64_t bytes);
void virtq_publish(struct virtqueue *q); /* all that was given appears at once; an interrupt is for virtq_flush() */
void virtq_flush(
    struct virtqueue *q); /* all that was given appears at once, with an interrupt if the driver wants one */
/* Shall the driver tell of new chains?  Look again with virtq_waiting() after saying yes: one may have come just before. */
void virtq_want_kicks(struct virtqueue *q, bool wanted);
/* Where the queue was: to take several chains and leave them all where they were, if they are not enough. */
struct virtq_mark {
    uint16_t next_taken, in_use;
    bool taken_wrap;
};
struct virtq_mark virtq_mark(const struct virtqueue *q);
void virtq_rewind(struct virtqueue *q, struct virtq_mark mark); /* nothing was given since */
/* Copies from or to a chain's segments, from that byte on of those out or in; how many bytes there were. */
size_t virtq_read(const struct virtq_chain *c, uint64_t at, void *to, size_t bytes);
size_t virtq_write(struct virtq_chain *c, uint64_t at, const void *from, size_t bytes);
/* The part [at, at + bytes) of the segments, or of those in, as a list of its own; the number of its elements. */
unsigned virtq_part(const struct virtq_chain *c, bool in, uint64_t at, uint64_t bytes, struct iovec *list);
bool virtq_sync(struct virtqueue *q, struct stream *s);

/* ---- for the two layouts only ---- */
enum { VIRTQ_NEXT = 1, VIRTQ_WRITE = 2, VIRTQ_INDIRECT = 4, VIRTQ_DESCRIPTOR = 16 };
struct virtq_descriptor {
    uint64_t gpa;
    uint32_t bytes;
    uint16_t flags, last; /* last: `next` in the split table, `id` in a packed ring, in the order of those */
};
bool virtq_broken(struct virtqueue *q, const char *why); /* false */
bool virtq_is_packed(const struct virtqueue *q);
bool virtq_has_events(const struct virtqueue *q); /* VIRTIO_F_EVENT_IDX */
bool virtq_add(struct virtqueue *q, struct virtq_chain *c, uint64_t gpa, uint32_t bytes, uint16_t flags);
/* The table of an indirect descriptor, mapped, with the number of its entries. */
const uint8_t *virtq_indirect(struct virtqueue *q, const struct virtq_descriptor *d, unsigned *count);
/* Was there a place `event` among the last `untold`, counted to `now`? */
bool virtq_passed(uint16_t event, uint16_t now, uint16_t untold);
bool virtq_split_map(struct virtqueue *q);
bool virtq_split_waiting(struct virtqueue *q);
bool virtq_split_take(struct virtqueue *q, struct virtq_chain *c);
void virtq_split_publish(struct virtqueue *q);
bool virtq_split_wants_interrupt(struct virtqueue *q);
void virtq_split_want_kicks(struct virtqueue *q, bool wanted);
bool virtq_packed_map(struct virtqueue *q);
bool virtq_packed_waiting(struct virtqueue *q);
bool virtq_packed_take(struct virtqueue *q, struct virtq_chain *c);
void virtq_packed_publish(struct virtqueue *q);
bool virtq_packed_wants_interrupt(struct virtqueue *q);
void virtq_packed_want_kicks(struct virtqueue *q, bool wanted);
