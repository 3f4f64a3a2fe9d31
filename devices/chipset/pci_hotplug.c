// SPDX-License-Identifier: GPL-2.0-or-later
/* pci_hotplug.c - the registers by which the board tells ACPI that PCI functions come and go, a bit per slot.
 * Spec: "QEMU<->ACPI BIOS PCI hotplug interface" of QEMU's documentation (AE00h-AE0Fh), for the root bus; the DSDT's method
 * \_GPE._E01 reads them, and the _EJ0 of a slot writes its bit.
 *
 * AE00h: a function came (gone when read).  AE04h: the user wants it back (until it is ejected, or another comes).
 * AE08h: written, the guest lets go of it; reads 0, none of the optional features.  AE0Ch: which may go.
 * What the guest was asked for and had not done when it was reset goes with the reset: its new system never heard of it. */
#include "core-vmm/api/hotplug.h"
#include "core-vmm/api/platform.h"
#include "devices/all.h"
#include "devices/chipset/piix4_pm.h"

enum { CAME = 0, WANTED = 4, EJECT = 8, REMOVABLE = 12, BYTES = 16 };

struct pci_hotplug {
    uint32_t came, wanted;
};

static void notify(struct device *d)
{
    struct device *pm = dev_find(d, "pm");
    if (pm)
        piix4_pm_event(pm, PM_GPE_HOTPLUG);
}

static void plugged(struct device *d, unsigned slot)
{
    struct pci_hotplug *s = d->state;
    s->came |= 1u << slot;
    s->wanted &= ~(1u << slot);
    notify(d);
}

static void asked(struct device *d, unsigned slot)
{
    ((struct pci_hotplug *)d->state)->wanted |= 1u << slot;
    notify(d);
}

static uint64_t hotplug_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct pci_hotplug *s = d->state;
    uint32_t value = 0;
    switch (offset) {
    case CAME:
        value = s->came;
        s->came = 0;
        break;
    case WANTED: value = s->wanted; break;
    case REMOVABLE: value = dev_removable(d); break;
    }
    return value;
}

static void hotplug_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_hotplug *s = d->state;
    if (offset != EJECT)
        return;
    s->came &= ~value;
    s->wanted &= ~value;
    dev_eject(d, value);
}

static void hotplug_reset(struct device *d)
{
    struct pci_hotplug *s = d->state;
    if (s->wanted)
        dev_eject(d, s->wanted);
    *s = (struct pci_hotplug){0};
}

static bool hotplug_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct pci_hotplug *p = d->state;
    stream_u32(s, &p->came);
    stream_u32(s, &p->wanted);
    return stream_ok(s);
}

static const struct hotplug_ops hotplug = {.plugged = plugged, .asked = asked};

const struct device_ops pci_hotplug_ops = {
    .name = "pci-hotplug",
    .state_bytes = sizeof(struct pci_hotplug),
    .version = 1,
    .regions = {{BUS_PORT, 0xae00, BYTES, 4, 4}},
    .reset = hotplug_reset,
    .read = hotplug_read,
    .write = hotplug_write,
    .sync = hotplug_sync,
    .hotplug = &hotplug,
};
