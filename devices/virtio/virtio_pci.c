// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_pci.c - virtio devices as PCI functions (Virtual I/O Device Version 1.2, chapter 4.1).
 *
 * The modern interface lies in a memory BAR, in four parts that vendor capabilities name: common configuration, ISR, the
 * device's configuration, and notifications (a word per queue).  A fifth capability is a window into the BARs by way of
 * configuration space, for firmware.  The legacy interface (chapter 4.1.4.10) is a few ports, and a transitional function has
 * both.  One that has only the modern interface bears another device ID; one that has only the legacy interface lacks the
 * vendor capabilities. */
#include "devices/virtio/virtio_pci.h"
#include "core-vmm/base/bytes.h"

/* The parts of BAR 4. */
enum { PART = 0x1000, PART_COMMON = 0, PART_ISR = 1, PART_DEVICE = 2, PART_NOTIFY = 3 };
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_WINDOW };
enum { NOTIFY_STEP = 4 };
/* Common configuration. */
enum {
    OFFERED_SELECT = 0x00,
    OFFERED = 0x04,
    DRIVER_SELECT = 0x08,
    DRIVER = 0x0c,
    CONFIG_VECTOR = 0x10,
    QUEUES = 0x12,
    STATUS = 0x14,
    GENERATION = 0x15,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY = 0x1e,
    QUEUE_TABLE = 0x20,
    QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30,
    COMMON_END = 0x38
};
/* Legacy ports; behind them, or two words later if MSI-X is on, the device's configuration. */
enum {
    L_OFFERED = 0,
    L_DRIVER = 4,
    L_QUEUE_PAGE = 8,
    L_QUEUE_SIZE = 12,
    L_QUEUE_SELECT = 14,
    L_NOTIFY = 16,
    L_STATUS = 18,
    L_ISR = 19,
    L_CONFIG_VECTOR = 20,
    L_QUEUE_VECTOR = 22,
    L_DEVICE = 20,
    L_DEVICE_MSIX = 24
};
#define LEGACY_PAGE 4096ull
/* Configuration space.  MSI-X is the first capability, the window the last. */
enum { PCI_DEVICE = 2, PCI_REVISION = 8, PCI_BAR0 = 0x10, PCI_SUBSYSTEM = 0x2e, PCI_MSIX = 0x40, PCI_WINDOW = 0x90 };
enum { WINDOW_BAR = PCI_WINDOW + 4, WINDOW_OFFSET = PCI_WINDOW + 8, WINDOW_BYTES = PCI_WINDOW + 12 };
enum { WINDOW_DATA = PCI_WINDOW + 16, MSIX_ON = 0x80, MODERN_ID = 0x1040, MODERN_SUBSYSTEM = 0x1100 };

#define CAP(bytes, type, part) bytes, type, 4, 0, 0, 0, 0, (part) << 4, 0, 0, 0, 0x10, 0, 0
const uint8_t virtio_cap_common[14] = {CAP(16, CAP_COMMON, PART_COMMON)};
const uint8_t virtio_cap_isr[14] = {CAP(16, CAP_ISR, PART_ISR)};
const uint8_t virtio_cap_device[14] = {CAP(16, CAP_DEVICE, PART_DEVICE)};
const uint8_t virtio_cap_notify[18] = {CAP(20, CAP_NOTIFY, PART_NOTIFY), NOTIFY_STEP};
const uint8_t virtio_cap_window[18] = {20, CAP_WINDOW};
const uint8_t virtio_cap_window_writable[18] = {
    [2] = 0xff,  [6] = 0xff,  [7] = 0xff,  [8] = 0xff,  [9] = 0xff,  [10] = 0xff, [11] = 0xff,
    [12] = 0xff, [13] = 0xff, [14] = 0xff, [15] = 0xff, [16] = 0xff, [17] = 0xff};

/* ---- interrupts ---- */

static bool msix_on(struct device *d)
{
    return dev_pci_config(d)[PCI_MSIX + 3] & MSIX_ON;
}

static void interrupt(struct virtio *v, uint16_t vector, uint8_t reason)
{
    if (msix_on(v->device)) {
        dev_msi(v->device, vector); /* VIRTIO_NO_VECTOR is beyond all tables */
        return;
    }
    v->isr |= reason;
    dev_irq(v->device, 0, true);
}

void virtio_interrupt(struct virtio *v, uint16_t vector)
{
    interrupt(v, vector, VIRTIO_ISR_QUEUE);
}

void virtio_config_interrupt(struct virtio *v)
{
    interrupt(v, v->config_vector, VIRTIO_ISR_CONFIG);
}

static uint8_t take_isr(struct virtio *v)
{
    uint8_t isr = v->isr;
    v->isr = 0;
    dev_irq(v->device, 0, false);
    return isr;
}

/* ---- registers that both interfaces have ---- */

static struct virtqueue *selected(struct virtio *v)
{
    return v->queue_select < v->queues ? &v->queue[v->queue_select] : NULL;
}

/* A vector that is not there reads back as none. */
static uint16_t vector_or_none(struct virtio *v, uint16_t vector)
{
    return vector < v->device->ops->pci->capabilities[0].vectors ? vector : VIRTIO_NO_VECTOR;
}

static uint32_t device_config(const struct virtio *v, unsigned offset, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size && offset + i < v->class->config; i++)
        value |= (uint32_t)v->config[offset + i] << i * 8;
    return value;
}

/* ---- the modern interface ---- */

static uint64_t queue_read(const struct virtqueue *q, unsigned at)
{
    if (!q)
        return 0;
    switch (at) {
    case QUEUE_SIZE: return q->size;
    case QUEUE_VECTOR: return q->vector;
    case QUEUE_ENABLE: return q->on;
    case QUEUE_NOTIFY: return q - q->virtio->queue;
    case QUEUE_TABLE: return q->table;
    case QUEUE_DRIVER: return q->driver;
    case QUEUE_DEVICE: return q->device;
    }
    return 0;
}

static uint64_t common_read(struct virtio *v, unsigned at)
{
    switch (at) {
    case OFFERED_SELECT: return v->offered_select;
    case OFFERED: return v->offered_select > 1 ? 0 : (uint32_t)(v->offered >> v->offered_select * 32);
    case DRIVER_SELECT: return v->driver_select;
    case DRIVER: return v->driver_select > 1 ? 0 : (uint32_t)(v->driver >> v->driver_select * 32);
    case CONFIG_VECTOR: return v->config_vector;
    case QUEUES: return v->queues;
    case STATUS: return v->status;
    case GENERATION: return v->generation;
    case QUEUE_SELECT: return v->queue_select;
    }
    return queue_read(selected(v), at);
}

/* Fields begin here: each word of the common configuration belongs to the field that begins last before it. */
static unsigned field_of(unsigned offset)
{
    static const uint8_t fields[] = {OFFERED_SELECT, OFFERED,      DRIVER_SELECT, DRIVER,       CONFIG_VECTOR,
                                     QUEUES,         STATUS,       GENERATION,    QUEUE_SELECT, QUEUE_SIZE,
                                     QUEUE_VECTOR,   QUEUE_ENABLE, QUEUE_NOTIFY,  QUEUE_TABLE,  QUEUE_DRIVER,
                                     QUEUE_DEVICE,   COMMON_END};
    unsigned n = 0;
    while (fields[n + 1] <= offset)
        n++;
    return fields[n];
}

/* What is read may be of any width: each byte is its field's. */
static uint32_t common_read_bytes(struct virtio *v, unsigned offset, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size && offset + i < COMMON_END; i++) {
        unsigned field = field_of(offset + i);
        value |= (uint32_t)(common_read(v, field) >> (offset + i - field) * 8 & 0xff) << i * 8;
    }
    return value;
}

static void put_half(uint64_t *to, bool high, uint32_t value)
{
    *to = high ? (*to & 0xffffffff) | (uint64_t)value << 32 : (*to & ~0xffffffffull) | value;
}

/* A queue's places in memory hold from when it is enabled until it is reset. */
static void queue_write(struct virtqueue *q, unsigned at, uint32_t value)
{
    if (!q)
        return;
    if (at == QUEUE_VECTOR)
        q->vector = vector_or_none(q->virtio, value);
    if (q->on)
        return;
    switch (at & ~4u) {
    case QUEUE_TABLE: put_half(&q->table, at & 4, value); return;
    case QUEUE_DRIVER: put_half(&q->driver, at & 4, value); return;
    case QUEUE_DEVICE: put_half(&q->device, at & 4, value); return;
    }
    if (at == QUEUE_SIZE && value && value <= VIRTQ_SIZE_MOST)
        q->size = value;
    if (at == QUEUE_ENABLE && value == 1) {
        virtq_reset(q);
        q->on = true;
    }
}

static void common_write(struct virtio *v, unsigned at, uint32_t value)
{
    switch (at) {
    case OFFERED_SELECT: v->offered_select = value; return;
    case DRIVER_SELECT: v->driver_select = value; return;
    case DRIVER: virtio_set_driver_features(v, v->driver_select, value); return;
    case CONFIG_VECTOR: v->config_vector = vector_or_none(v, value); return;
    case STATUS: virtio_set_status(v, value); return;
    case QUEUE_SELECT: v->queue_select = value; return;
    }
    queue_write(selected(v), at, value);
}

/* Writes are of their field's width, or a double word of a wide one; others are not what a driver may do, and are lost. */
static bool is_field(unsigned at, unsigned size)
{
    if (at >= QUEUE_TABLE && at < COMMON_END)
        return size == 4 && !(at & 3);
    return field_of(at) == at && size == (at <= DRIVER ? 4u : at == STATUS || at == GENERATION ? 1u : 2u);
}

static uint64_t modern_read(struct virtio *v, unsigned offset, unsigned size)
{
    unsigned at = offset % PART;
    switch (offset / PART) {
    case PART_COMMON: return common_read_bytes(v, at, size);
    case PART_ISR: return at == 0 ? take_isr(v) : 0;
    case PART_DEVICE: return device_config(v, at, size);
    }
    return 0;
}

static void modern_write(struct virtio *v, unsigned offset, unsigned size, uint32_t value)
{
    unsigned at = offset % PART;
    switch (offset / PART) {
    case PART_COMMON:
        if (at < COMMON_END && is_field(at, size))
            common_write(v, at, value);
        break;
    case PART_DEVICE: virtio_write_config(v, at, size, value); break;
    case PART_NOTIFY: virtio_kick(v, at / NOTIFY_STEP); break;
    }
}

/* ---- the legacy interface ---- */

/* One piece: the table, behind it the driver's ring, and on the next page the device's. */
static void legacy_place(struct virtqueue *q, uint32_t page)
{
    q->table = page * LEGACY_PAGE;
    q->driver = q->table + (uint64_t)q->size * VIRTQ_DESCRIPTOR;
    q->device = (q->driver + 4 + q->size * 2 + 2 + LEGACY_PAGE - 1) & ~(LEGACY_PAGE - 1);
    virtq_reset(q);
    q->on = page != 0;
}

static uint32_t legacy_word(struct virtio *v, unsigned at)
{
    const struct virtqueue *q = selected(v);
    switch (at) {
    case L_OFFERED: return v->offered;
    case L_DRIVER: return v->driver;
    case L_QUEUE_PAGE: return q && q->on ? q->table / LEGACY_PAGE : 0;
    case L_QUEUE_SIZE: return q ? q->size : 0;
    case L_QUEUE_SELECT: return v->queue_select;
    case L_STATUS: return v->status;
    case L_ISR: return take_isr(v);
    case L_CONFIG_VECTOR: return v->config_vector;
    case L_QUEUE_VECTOR: return q ? q->vector : VIRTIO_NO_VECTOR;
    }
    return 0;
}

static unsigned legacy_device(struct virtio *v)
{
    return msix_on(v->device) ? L_DEVICE_MSIX : L_DEVICE;
}

static void legacy_write(struct virtio *v, unsigned at, unsigned size, uint32_t value)
{
    struct virtqueue *q = selected(v);
    if (at >= legacy_device(v)) {
        virtio_write_config(v, at - legacy_device(v), size, value);
        return;
    }
    switch (at) {
    case L_DRIVER:
        virtio_set_driver_features(v, 1, 0);
        virtio_set_driver_features(v, 0, value & (uint32_t)v->offered);
        break;
    case L_QUEUE_PAGE:
        if (q)
            legacy_place(q, value);
        break;
    case L_QUEUE_SELECT: v->queue_select = value; break;
    case L_NOTIFY: virtio_kick(v, value & 0xffff); break;
    case L_STATUS: virtio_set_status(v, value); break;
    case L_CONFIG_VECTOR: v->config_vector = vector_or_none(v, value); break;
    case L_QUEUE_VECTOR:
        if (q)
            q->vector = vector_or_none(v, value);
        break;
    }
}

/* ---- the window in configuration space ---- */

/* Does it show something, and where?  An access through it is of its length: 1, 2 or 4 bytes, aligned. */
static bool window(struct device *d, unsigned *region, uint32_t *offset, unsigned *size)
{
    const uint8_t *c = dev_pci_config(d);
    const struct virtio *v = d->state;
    *region = c[WINDOW_BAR] == 0 ? VIRTIO_REGION_LEGACY : VIRTIO_REGION_MODERN;
    *offset = get_le32(c + WINDOW_OFFSET);
    *size = get_le32(c + WINDOW_BYTES);
    bool there = c[WINDOW_BAR] == 4 ? v->modern : c[WINDOW_BAR] == 0 && v->legacy && v->modern;
    return there && (*size == 1 || *size == 2 || *size == 4) && !(*offset & (*size - 1)) &&
           *offset < d->ops->regions[*region].bytes;
}

void virtio_pci_config_reading(struct device *d, unsigned offset, unsigned size)
{
    unsigned region, width;
    uint32_t at;
    if (offset < WINDOW_DATA + 4 && offset + size > WINDOW_DATA && window(d, &region, &at, &width))
        put_le32(dev_pci_config(d) + WINDOW_DATA, virtio_pci_read(d, region, at, width));
}

void virtio_pci_config_written(struct device *d, unsigned offset, unsigned size)
{
    unsigned region, width;
    uint32_t at;
    if (offset < WINDOW_DATA + 4 && offset + size > WINDOW_DATA && window(d, &region, &at, &width)) {
        uint32_t value = get_le32(dev_pci_config(d) + WINDOW_DATA);
        virtio_pci_write(d, region, at, width, width == 4 ? value : value & ((1u << width * 8) - 1));
    }
}

/* ---- the function ---- */

uint64_t virtio_pci_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct virtio *v = d->state;
    if (region == VIRTIO_REGION_MODERN)
        return v->modern ? modern_read(v, offset, size) : 0;
    if (region != VIRTIO_REGION_LEGACY || !v->legacy)
        return 0;
    return offset >= legacy_device(v) ? device_config(v, offset - legacy_device(v), size) : legacy_word(v, offset);
}

void virtio_pci_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio *v = d->state;
    if (region == VIRTIO_REGION_MODERN && v->modern)
        modern_write(v, offset, size, value);
    else if (region == VIRTIO_REGION_LEGACY && v->legacy)
        legacy_write(v, offset, size, value);
}

/* A modern function shows no ports and another identity, a legacy one no vendor capabilities behind that of MSI-X. */
static void set_identity(struct virtio *v)
{
    uint8_t *c = dev_pci_config(v->device), *w = dev_pci_writable(v->device);
    if (!v->modern)
        c[PCI_MSIX + 1] = 0;
    if (v->legacy)
        return;
    put_le16(c + PCI_DEVICE, MODERN_ID + v->class->type);
    put_le16(c + PCI_SUBSYSTEM, MODERN_SUBSYSTEM);
    c[PCI_REVISION] = 1;
    put_le32(c + PCI_BAR0, 0);
    put_le32(w + PCI_BAR0, 0);
}

void virtio_pci_reset(struct device *d)
{
    set_identity(d->state);
    virtio_reset(d->state);
}

bool virtio_pci_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct virtio *v = d->state;
    bool good = virtio_sync(v, s);
    if (s->loading)
        dev_irq(d, 0, v->isr != 0);
    return good;
}
