// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio.c - see virtio.h. */
#include "devices/virtio/virtio.h"
#include "core-vmm/base/bytes.h"
#include <stdarg.h>

#define BIT(n) (1ull << (n))

static const char *const interfaces[] = {"transitional", "modern", "legacy", NULL};
enum { TRANSITIONAL, MODERN, LEGACY };

bool virtio_init(struct device *d, const struct virtio_class *class, uint64_t features, const struct config *c,
                 GError **error)
{
    struct virtio *v = d->state;
    unsigned interface;
    bool packed;
    if (!config_choice(c, "virtio", interfaces, &interface, error) || !config_flag(c, "packed", &packed, error))
        return false;
    v->class = class;
    v->device = d;
    v->modern = interface != LEGACY;
    v->legacy = interface != MODERN;
    v->offered =
        (features & class->features) | BIT(VIRTIO_F_ANY_LAYOUT) | BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX);
    if (v->modern)
        v->offered |= BIT(VIRTIO_F_VERSION_1) | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0);
    v->queues = class->queues;
    for (unsigned i = 0; i < v->queues; i++)
        v->queue[i].virtio = v;
    return true;
}

void virtio_reset(struct virtio *v)
{
    if (v->class->reset)
        v->class->reset(v);
    v->agreed = v->driver = 0;
    v->offered_select = v->driver_select = 0;
    v->queue_select = 0;
    v->config_vector = VIRTIO_NO_VECTOR;
    v->status = v->isr = v->generation = 0;
    v->broken = false;
    v->again = 0;
    v->again_at = DEV_NEVER;
    dev_timer(v->device, 0, DEV_NEVER, NULL);
    dev_irq(v->device, 0, false);
    for (unsigned i = 0; i < v->queues; i++) {
        struct virtqueue *q = &v->queue[i];
        virtq_reset(q);
        q->on = false;
        q->size = VIRTQ_SIZE_MOST;
        q->vector = VIRTIO_NO_VECTOR;
        q->table = q->driver = q->device = 0;
    }
}

void virtio_broken(struct virtio *v, const char *why, ...)
{
    va_list args;
    va_start(args, why);
    g_autofree char *text = g_strdup_vprintf(why, args);
    va_end(args);
    if (v->broken)
        return;
    dev_log(v->device, "the guest's driver made a mistake, and the device waits to be reset: %s", text);
    v->broken = true;
    if (!virtio_has(v, VIRTIO_F_VERSION_1))
        return;
    v->status |= VIRTIO_NEEDS_RESET;
    virtio_config_interrupt(v);
}

/* A legacy driver may use a queue before it says that it is ready. */
bool virtio_running(const struct virtio *v)
{
    return !v->broken && (v->status & VIRTIO_DRIVER_OK || (v->status && !virtio_has(v, VIRTIO_F_VERSION_1)));
}

/* ---- status and features ---- */

static void agree(struct virtio *v, uint64_t features)
{
    v->agreed = features;
    if (v->class->agreed)
        v->class->agreed(v);
}

/* Features that were not offered, or none of version 1: the driver reads that its FEATURES_OK did not hold. */
static bool accept(struct virtio *v)
{
    if (v->driver & ~v->offered || !(v->driver & BIT(VIRTIO_F_VERSION_1))) {
        dev_log(v->device, "the guest's driver asked for features that are not there");
        return false;
    }
    agree(v, v->driver);
    return true;
}

void virtio_set_status(struct virtio *v, uint8_t status)
{
    if (!status) {
        virtio_reset(v);
        return;
    }
    if (status & ~v->status & VIRTIO_FEATURES_OK && !accept(v))
        status &= ~VIRTIO_FEATURES_OK;
    if (status & ~v->status & VIRTIO_DRIVER_OK && v->driver & BIT(VIRTIO_F_VERSION_1) && !(status & VIRTIO_FEATURES_OK))
        status &= ~VIRTIO_DRIVER_OK;
    v->status = status | (v->status & VIRTIO_NEEDS_RESET);
}

/* Through the legacy interface, what the driver writes holds at once. */
void virtio_set_driver_features(struct virtio *v, unsigned word, uint32_t bits)
{
    if (word > 1 || v->status & VIRTIO_FEATURES_OK)
        return;
    uint64_t mask = word ? 0xffffffffull << 32 : 0xffffffff;
    v->driver = (v->driver & ~mask) | (uint64_t)bits << word * 32;
    if (!(v->driver >> 32))
        agree(v, v->driver & v->offered);
}

/* ---- queues and configuration ---- */

void virtio_kick(struct virtio *v, unsigned queue)
{
    if (queue < v->queues && v->queue[queue].on && virtio_running(v) && v->class->kicked)
        v->class->kicked(v, queue);
}

static void look_again(struct device *d)
{
    struct virtio *v = d->state;
    uint32_t queues = v->again;
    v->again = 0;
    v->again_at = DEV_NEVER;
    for (; queues; queues &= queues - 1)
        virtio_kick(v, __builtin_ctz(queues));
}

void virtio_look_later(struct virtio *v, unsigned queue, uint64_t ns)
{
    uint64_t at = dev_now(v->device) + ns;
    v->again |= 1u << queue;
    if (at >= v->again_at)
        return;
    v->again_at = at;
    dev_timer(v->device, 0, at, look_again);
}

void virtio_wait_for_kick(struct virtio *v, unsigned queue)
{
    virtq_want_kicks(&v->queue[queue], true);
    if (!virtq_waiting(&v->queue[queue]))
        return;
    virtio_look_later(v, queue, 0);
}

void virtio_write_config(struct virtio *v, unsigned offset, unsigned size, uint32_t value)
{
    if (offset + size > v->class->config || !v->class->configured)
        return;
    for (unsigned i = 0; i < size; i++)
        v->config[offset + i] = value >> i * 8;
    v->class->configured(v, offset, size);
}

void virtio_config_changed(struct virtio *v)
{
    v->generation++;
    if (v->status & VIRTIO_DRIVER_OK)
        virtio_config_interrupt(v);
}

/* ---- saved state ---- */

static bool sync_queues(struct virtio *v, struct stream *s)
{
    bool good = true;
    for (unsigned i = 0; i < v->queues && good; i++)
        good = virtq_sync(&v->queue[i], s);
    return good;
}

bool virtio_sync(struct virtio *v, struct stream *s)
{
    stream_u64(s, &v->agreed);
    stream_u64(s, &v->driver);
    stream_u32(s, &v->offered_select);
    stream_u32(s, &v->driver_select);
    stream_u16(s, &v->queue_select);
    stream_u16(s, &v->config_vector);
    stream_u8(s, &v->status);
    stream_u8(s, &v->isr);
    stream_u8(s, &v->generation);
    stream_bool(s, &v->broken);
    stream_u32(s, &v->again);
    stream_u64(s, &v->again_at);
    bool known = !(v->agreed & ~v->offered) && !(v->again & ~(uint32_t)(BIT(v->queues) - 1));
    if (!stream_ok(s) || !known || !sync_queues(v, s))
        return false;
    if (s->loading)
        dev_timer(v->device, 0, v->again_at, look_again);
    return (!v->class->sync || v->class->sync(v, s)) && stream_ok(s);
}
