// SPDX-License-Identifier: GPL-2.0-or-later
/* driver.h - a virtio driver that does what a test says, right or wrong, on the bench: modern or legacy interface, split or
 * packed queues.  Queue n lies at 1 MiB + n * 64 KiB of the bench's RAM, buffers are the test's, from 4 MiB on. */
#pragma once
#include "devices/virtio/virtio.h"
#include "tests/devices/bench.h"

enum { VDRIVER_SIZE = 16, VDRIVER_BUFFERS = 4 << 20 };
#define VDRIVER_BASIC (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_INDIRECT_DESC)
struct vsegment {
    uint32_t gpa, bytes;
    uint16_t flags; /* VIRTQ_WRITE, ... */
};
struct vdriver {
    struct bench *bench;
    struct device *device;
    bool packed, legacy;
    uint64_t features; /* agreed on */
    struct vdriver_queue {
        uint64_t table, driver, ring;    /* ring: the device's area */
        uint16_t size, next, made, seen; /* next: descriptor; made: available, seen: used so far */
        bool wrap, seen_wrap;
        uint16_t taken[256]; /* places by id, packed */
    } queue[VIRTIO_QUEUES];
};
/* The chip of that row, with features agreed on and queues set up, DRIVER_OK; wanted without VERSION_1: as a legacy driver. */
struct vdriver *vdriver_new(const char *chip, const char *config, uint64_t wanted, unsigned queues);
void vdriver_free(struct vdriver *v);
void vdriver_save_load(struct vdriver *v);
void vdriver_start(struct vdriver *v, uint64_t wanted, unsigned queues); /* from a reset on */
/* The common configuration (its offset), and the device's. */
uint64_t vdriver_common(struct vdriver *v, unsigned offset, unsigned size);
void vdriver_set_common(struct vdriver *v, unsigned offset, unsigned size, uint32_t value);
uint64_t vdriver_config(struct vdriver *v, unsigned offset, unsigned size);
uint8_t vdriver_status(struct vdriver *v);
/* Makes a chain available, and kicks; its id.  VIRTQ_NEXT is put where it belongs. */
uint16_t vdriver_add(struct vdriver *v, unsigned queue, const struct vsegment *s, unsigned count);
uint16_t vdriver_send(struct vdriver *v, unsigned queue, const struct vsegment *s, unsigned count);
void vdriver_kick(struct vdriver *v, unsigned queue);
/* The next that was used; false: there is none. */
bool vdriver_used(struct vdriver *v, unsigned queue, uint16_t *id, uint32_t *bytes);
/* Asserts that the next used one is that, with so many bytes. */
void vdriver_expect(struct vdriver *v, unsigned queue, uint16_t id, uint32_t bytes);
uint8_t *vdriver_ram(struct vdriver *v, uint64_t gpa);
unsigned vdriver_interrupts(struct vdriver *v); /* so far, by line; it is lowered */
