// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_pci.h - a virtio device as a PCI function: what the table of each is made of. */
#pragma once
#include "devices/virtio/virtio.h"

enum { VIRTIO_REGION_LEGACY, VIRTIO_REGION_TABLE, VIRTIO_REGION_MODERN, VIRTIO_REGION_ROM };
/* The regions of device_ops: ports of the legacy interface, the MSI-X table, the modern interface. */
#define VIRTIO_REGIONS                                                                                                 \
    [VIRTIO_REGION_LEGACY] = {.bus = BUS_PORT, .bytes = 128, .min_size = 1, .max_size = 4, .bar = BAR0},               \
    [VIRTIO_REGION_TABLE] = {.bus = BUS_MEM, .bytes = 4096, .min_size = 1, .max_size = 8, .bar = BAR1},                \
    [VIRTIO_REGION_MODERN] = {.bus = BUS_MEM,                                                                          \
                              .bytes = 0x4000,                                                                         \
                              .min_size = 1,                                                                           \
                              .max_size = 4,                                                                           \
                              .bar = BAR4,                                                                             \
                              .wide = true,                                                                            \
                              .prefetchable = true}

/* The capabilities, MSI-X with so many messages first. */
#define VIRTIO_CAPABILITIES(messages)                                                                                  \
    {.id = PCI_CAP_MSIX, .vectors = messages, .region = VIRTIO_REGION_TABLE, .table = 0, .pending = 0x800},            \
        {.id = PCI_CAP_VENDOR, .bytes = 16, .content = virtio_cap_common},                                             \
        {.id = PCI_CAP_VENDOR, .bytes = 16, .content = virtio_cap_isr},                                                \
        {.id = PCI_CAP_VENDOR, .bytes = 16, .content = virtio_cap_device},                                             \
        {.id = PCI_CAP_VENDOR, .bytes = 20, .content = virtio_cap_notify},                                             \
        {.id = PCI_CAP_VENDOR, .bytes = 20, .content = virtio_cap_window, .writable = virtio_cap_window_writable},     \
    {                                                                                                                  \
        0                                                                                                              \
    }
extern const uint8_t virtio_cap_common[14], virtio_cap_isr[14], virtio_cap_device[14], virtio_cap_notify[18];
extern const uint8_t virtio_cap_window[18], virtio_cap_window_writable[18];

/* The identity of a transitional function: its device ID is of its own list (1000h and up), its subsystem ID the type. */
#define VIRTIO_IDS(id, type, class, list)                                                                              \
    .vendor = 0x1af4, .device = id, .subsystem_vendor = 0x1af4, .subsystem = type, .class_code = class,                \
    .interrupt_pin = 1, .capabilities = list

/* The calls of device_ops; each device's init calls virtio_init(). */
#define VIRTIO_CALLS                                                                                                   \
    .reset = virtio_pci_reset, .read = virtio_pci_read, .write = virtio_pci_write,                                     \
    .pci_reading = virtio_pci_config_reading, .pci_written = virtio_pci_config_written, .sync = virtio_pci_sync
void virtio_pci_reset(struct device *d);
uint64_t virtio_pci_read(struct device *d, unsigned region, uint64_t offset, unsigned size);
void virtio_pci_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value);
void virtio_pci_config_reading(struct device *d, unsigned offset, unsigned size);
void virtio_pci_config_written(struct device *d, unsigned offset, unsigned size);
bool virtio_pci_sync(struct device *d, struct stream *s, uint32_t version);
