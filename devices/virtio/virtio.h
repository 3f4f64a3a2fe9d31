// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio.h - what all virtio devices have in common (Virtual I/O Device Version 1.2, chapters 2 and 3): status, features,
 * queues, configuration space.  How the driver reaches it is the transport's matter (virtio_pci.c); what the device is for,
 * that of its class.
 *
 * A driver comes in one of two ways.  A modern one agrees on features (VERSION_1 among them), says FEATURES_OK, sets its
 * queues up and says DRIVER_OK.  A legacy one, of before version 1.0, knows 32 bits of features, writes where in memory a
 * queue begins, and may use it at once. */
#pragma once
#include "devices/virtio/virtqueue.h"

enum { VIRTIO_ACKNOWLEDGE = 1, VIRTIO_DRIVER = 2, VIRTIO_DRIVER_OK = 4, VIRTIO_FEATURES_OK = 8 };
enum { VIRTIO_NEEDS_RESET = 0x40, VIRTIO_FAILED = 0x80 };
enum { VIRTIO_F_ANY_LAYOUT = 27, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX };
enum { VIRTIO_F_VERSION_1 = 32, VIRTIO_F_RING_PACKED = 34 };
#define VIRTIO_NO_VECTOR 0xffff
enum { VIRTIO_ISR_QUEUE = 1, VIRTIO_ISR_CONFIG = 2 };
enum { VIRTIO_QUEUES = 18, VIRTIO_CONFIG = 96 };

/* A kind of device.  The calls may be NULL; core holds the device's lock. */
struct virtio_class {
    uint16_t type;     /* the device ID of chapter 5: 1 network card ... */
    uint8_t queues;    /* that there are at most */
    uint8_t config;    /* bytes of configuration space */
    uint64_t features; /* a mask of those of its own that it may offer; the rest of `offered` is virtio.c's */
    /* The driver has agreed on features; a legacy one may do so again and again. */
    void (*agreed)(struct virtio *v);
    void (*kicked)(struct virtio *v, unsigned queue);
    void (*configured)(struct virtio *v, unsigned offset, unsigned size); /* the driver wrote to v->config there */
    void (*reset)(struct virtio *v);                                      /* also before the machine's own */
    bool (*sync)(struct virtio *v, struct stream *s); /* its own state; sets v->config when loading */
};

struct virtio { /* the first member of each device's state */
    const struct virtio_class *class;
    struct device *device;
    uint64_t offered, agreed; /* features */
    uint64_t driver;          /* what the driver has written so far */
    uint32_t offered_select, driver_select;
    uint16_t queue_select, config_vector;
    uint8_t status, isr, generation;
    uint8_t queues;              /* the class's, if init does not say fewer */
    bool broken, modern, legacy; /* broken until reset; the interfaces that it has */
    uint64_t again_at;           /* when the queues in `again` are looked at without a kick; DEV_NEVER */
    uint32_t again;
    uint8_t config[VIRTIO_CONFIG];
    struct virtqueue queue[VIRTIO_QUEUES];
};

/* ---- for a device ---- */
/* In init: reads what all have in machine.ini (virtio=, packed=).  features: of its own. */
bool virtio_init(struct device *d, const struct virtio_class *class, uint64_t features, const struct config *c,
                 GError **error);
static inline bool virtio_has(const struct virtio *v, unsigned feature)
{
    return v->agreed >> feature & 1;
}
bool virtio_running(const struct virtio *v); /* may queues be used? */
/* The guest did what it must not: the device stops, and says so. */
void virtio_broken(struct virtio *v, const char *why, ...) G_GNUC_PRINTF(2, 3);
void virtio_config_changed(struct virtio *v); /* v->config has changed: the driver is told */
/* Enough was taken from the queue for now: the driver is to kick when there is more.  What is there already is looked at
 * soon, as if it had been kicked: a driver that never lets a queue run dry must not hold up whoever empties it. */
void virtio_wait_for_kick(struct virtio *v, unsigned queue);
/* Looks at the queue as if it had been kicked, in that time or sooner. */
void virtio_look_later(struct virtio *v, unsigned queue, uint64_t ns);

/* ---- for the transport ---- */
void virtio_reset(struct virtio *v);
void virtio_set_status(struct virtio *v, uint8_t status);
void virtio_set_driver_features(struct virtio *v, unsigned word, uint32_t bits);
void virtio_kick(struct virtio *v, unsigned queue);
void virtio_write_config(struct virtio *v, unsigned offset, unsigned size, uint32_t value);
bool virtio_sync(struct virtio *v, struct stream *s);
/* virtio_pci.c: message, or line and ISR bit. */
void virtio_interrupt(struct virtio *v, uint16_t vector);
void virtio_config_interrupt(struct virtio *v);
