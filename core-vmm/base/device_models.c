// SPDX-License-Identifier: GPL-2.0-or-later
/* device_models.c - the classes of optional PCI functions and their models; see device_models.h. */
#include "core-vmm/base/device_models.h"
#include <stddef.h>

const char *const nic_models[] = {"e1000", "e1000e", "pcnet", "rtl8139", "rtl8139c", NULL};
const char *const testpci_models[] = {"edu", "edu-msix", NULL};

const struct device_class device_classes[] = {
    {"nic", .first = 1, .count = 8, .slot = 3, nic_models},
    {"testpci", .first = 1, .count = 4, .slot = 28, testpci_models},
    {NULL},
};
