// SPDX-License-Identifier: GPL-2.0-or-later
/* device_models.h - PCI functions that a machine.ini asks for by number, and what may be chosen: [testpci1] model=edu.  The
 * schema validates by this list, the board builds by it.
 *
 * A machine keeps its slots: where a function is depends on nothing but its section's name (the class's first slot, and
 * one more per number) or its key `slot`, never on what else the machine has.  A row's slots may not change any more. */
#pragma once
#include <stdbool.h>

enum { PCI_SLOT_FIRST = 3, PCI_SLOT_LAST = 31 }; /* 0-2: host bridge, PIIX, graphics card */
struct device_class {
    const char *section;       /* "testpci": [testpci1] ... */
    unsigned first, count;     /* the numbers that there are; count 0: the bare name, [rng] */
    unsigned slot;             /* of the first */
    const char *const *models; /* names of chips (device_ops), NULL-terminated; the first is the default.  One only: its
                                * section has no key `model` */
    const char *together; /* one function for all numbers that are listed, of this name: drives of one controller */
    bool alone;           /* the section of that name suffices for it to be there */
};

extern const char *const nic_models[], *const testpci_models[], *const usb_models[];
extern const struct device_class device_classes[]; /* ends with section == NULL */
/* The class of that section ("testpci2") and which of its numbers it is, from 0; NULL: none has such a section. */
const struct device_class *device_class_of(const char *section, unsigned *number);
