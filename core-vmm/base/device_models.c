// SPDX-License-Identifier: GPL-2.0-or-later
/* device_models.c - the classes of optional PCI functions and their models; see device_models.h. */
#include "core-vmm/base/device_models.h"
#include <glib.h>
#include <string.h>

const char *const nic_models[] = {"e1000", "e1000e", "pcnet", "rtl8139", "rtl8139c", "virtio-net", NULL};
const char *const usb_models[] = {"xhci", "ehci", "uhci", NULL};
const char *const testpci_models[] = {"edu", "edu-msix", NULL};
static const char *const nvme_models[] = {"nvme", NULL};
static const char *const ahci_models[] = {"ahci", NULL};

static const char *const virtio_disk_models[] = {"virtio-blk", NULL};
static const char *const virtio_scsi_models[] = {"virtio-scsi", NULL};
static const char *const balloon_models[] = {"virtio-balloon", NULL};
static const char *const console_models[] = {"virtio-console", NULL};
static const char *const rng_models[] = {"virtio-rng", NULL};

const struct device_class device_classes[] = {
    {"virtio-disk", .first = 0, .count = 4, .slot = 14, virtio_disk_models},
    {"scsi", .first = 0, .count = 7, .slot = 18, virtio_scsi_models, .together = "scsi"},
    {"balloon", .slot = 19, .models = balloon_models},
    {"console", .first = 1, .count = 1, .slot = 21, console_models},
    {"rng", .slot = 20, .models = rng_models},
    {"nic", .first = 1, .count = 8, .slot = 3, nic_models},
    {"nvme", .first = 0, .count = 2, .slot = 12, nvme_models},
    {"sata", .first = 0, .count = 6, .slot = 11, ahci_models, .together = "sata"},
    {"usb", .first = 1, .count = 8, .slot = 22, usb_models, .together = "usb", .alone = true},
    {"testpci", .first = 1, .count = 4, .slot = 28, testpci_models},
    {NULL},
};

const struct device_class *device_class_of(const char *section, unsigned *number)
{
    for (const struct device_class *k = device_classes; k->section; k++) {
        size_t n = strlen(k->section);
        *number = 0;
        if (!k->count && !strcmp(section, k->section))
            return k;
        unsigned digit = g_str_has_prefix(section, k->section) ? (unsigned)(section[n] - '0') : k->first + k->count;
        *number = k->together ? 0 : digit - k->first;
        if (digit - k->first < k->count && !section[n + 1])
            return k;
        if (k->together && !strcmp(section, k->together))
            return k;
    }
    return NULL;
}
