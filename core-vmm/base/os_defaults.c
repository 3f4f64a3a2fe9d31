// SPDX-License-Identifier: GPL-2.0-or-later
/* os_defaults.c - see os_defaults.h.
 *
 * Who drives what: IDE and the 82540EM every system since the nineties; AHCI and the 82574L Windows since 7 by itself; virtio
 * every Linux since 2008; the PCnet every system that knows a network card.  Windows for desktops uses one or two packages only,
 * however many CPUs are in them (Microsoft's "processors" of a licence).  Hyper-V's interface
 * is what Windows since 7 expects of a hypervisor.  USB with a tablet is for a pointer that needs no driver: Linux since 2009 knows xHCI,
 * Windows since 8 only, and EHCI since 2000.
 * The newest mainboard is for systems that are known to take it: Windows 2000 does not, and who is not named may be that.
 * Windows has a driver of its own for HDA since Vista; before, for AC'97 or the Sound Blaster. */
#include "core-vmm/base/os_defaults.h"
#include <glib.h>
#include <string.h>

const struct os_defaults os_defaults[] = {
    {"other", "ide", "e1000", "utc", "2", NULL, NULL, NULL, NULL, "a system that is not named here"},
    {"linux", "virtio", "virtio-net", "utc", "3", NULL, NULL, "xhci", "hda", "Linux since 2008"},
    {"bsd", "sata", "e1000", "utc", "3", NULL, NULL, NULL, "hda", "FreeBSD, OpenBSD, NetBSD"},
    {"windows", "sata", "e1000e", "local", "3", "1", "hyperv", "ehci", "hda", "Windows 7 and later"},
    {"windows-old", "ide", "pcnet", "local", "2", "1", NULL, NULL, "ac97", "Windows before 7"},
    {"dos", "ide", "pcnet", "local", "2", NULL, NULL, NULL, "sb16", "DOS and what runs on it"},
    {NULL},
};

static const char *const ide_disks[] = {"ide0", "ide1", "ide3", NULL};
static const char *const ide_cdroms[] = {"ide2", "ide3", "ide1", "ide0", NULL};
static const char *const sata_disks[] = {"sata0", "sata1", "sata2", "sata3", "sata4", "sata5", NULL};
static const char *const sata_cdroms[] = {"sata5", "sata4", "sata3", "sata2", "sata1", "sata0", NULL};
static const char *const nvme_disks[] = {"nvme0", "nvme1", NULL};
static const char *const virtio_disks[] = {"virtio-disk0", "virtio-disk1", "virtio-disk2", "virtio-disk3", NULL};

static const char *const scsi_disks[] = {"scsi0", "scsi1", "scsi2", "scsi3", "scsi4", "scsi5", "scsi6", NULL};
static const char *const scsi_cdroms[] = {"scsi6", "scsi5", "scsi4", "scsi3", "scsi2", "scsi1", "scsi0", NULL};

const struct disk_bus disk_buses[] = {
    {"ide", ide_disks, ide_cdroms},       {"sata", sata_disks, sata_cdroms}, {"nvme", nvme_disks, sata_cdroms},
    {"virtio", virtio_disks, ide_cdroms}, {"scsi", scsi_disks, scsi_cdroms}, {NULL},
};

const struct os_defaults *os_defaults_find(const char *os)
{
    for (const struct os_defaults *o = os_defaults; o->os; o++)
        if (!strcmp(o->os, os))
            return o;
    return NULL;
}

const struct disk_bus *disk_bus_find(const char *name)
{
    for (const struct disk_bus *b = disk_buses; b->name; b++)
        if (!strcmp(b->name, name))
            return b;
    return NULL;
}
