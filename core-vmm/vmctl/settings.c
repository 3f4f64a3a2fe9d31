// SPDX-License-Identifier: GPL-2.0-or-later
/* settings.c - the options of create and run that say what a machine is to have. */
#include "core-vmm/vmctl/vmctl.h"
#include <string.h>

static unsigned count(const GOptionEntry *entries)
{
    unsigned n = 0;
    while (entries && entries[n].long_name)
        n++;
    return n;
}

GOptionEntry *entries_join(const GOptionEntry *a, const GOptionEntry *b)
{
    unsigned n = count(a), m = count(b);
    GOptionEntry *all = g_new0(GOptionEntry, n + m + 1);
    memcpy(all, a, n * sizeof *a);
    if (m)
        memcpy(all + n, b, m * sizeof *b);
    return all;
}

GOptionEntry *settings_entries(struct settings *s, const GOptionEntry *more)
{
    const GOptionEntry own[] = {
        {"memory", 'm', 0, G_OPTION_ARG_STRING, &s->memory, "The guest's RAM, like 512M or 2G", "SIZE"},
        {"cpus", 'c', 0, G_OPTION_ARG_STRING, &s->cpus, "Virtual CPUs", "N"},
        {"engine", 'e', 0, G_OPTION_ARG_STRING, &s->engine, "auto, kvm, soft or interp", "ENGINE"},
        {"os", 0, 0, G_OPTION_ARG_STRING, &s->os,
         "What it is for, which decides what is not said: linux, bsd, windows, windows-old, dos, other; of create also "
         "detect: by the medium in --cdrom",
         "SYSTEM"},
        {"disk", 'd', 0, G_OPTION_ARG_FILENAME_ARRAY, &s->disks, "A disk image, or a size for a new one; repeatable",
         "FILE|SIZE"},
        {"disk-format", 0, 0, G_OPTION_ARG_STRING, &s->disk_format,
         "Of new disks, and of files whose name does not tell", "FORMAT"},
        {"disk-bus", 0, 0, G_OPTION_ARG_STRING, &s->disk_bus,
         "What disks and CD drives are connected to: ide, sata, nvme, virtio or scsi", "BUS"},
        {"cdrom", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &s->cdroms, "A CD or DVD image; \"\" for an empty drive", "FILE"},
        {"floppy", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &s->floppies, "A floppy image; \"\" for an empty drive", "FILE"},
        {"firmware", 0, 0, G_OPTION_ARG_FILENAME, &s->firmware, "bios, uefi, uefi-secure, or a firmware image",
         "FIRMWARE"},
        {"kernel", 'k', 0, G_OPTION_ARG_FILENAME, &s->kernel, "Boot this Linux kernel or Multiboot image", "FILE"},
        {"initrd", 'i', 0, G_OPTION_ARG_FILENAME, &s->initrd, "Its initial RAM disk", "FILE"},
        {"cmdline", 'a', 0, G_OPTION_ARG_STRING, &s->cmdline, "Its command line", "TEXT"},
        {"boot", 0, 0, G_OPTION_ARG_STRING, &s->boot, "Boot order: disk,cdrom,floppy,network", "LIST"},
        {"boot-menu", 0, 0, G_OPTION_ARG_NONE, &s->boot_menu, "The firmware waits for ESC and offers a boot menu",
         NULL},
        {"serial", 's', 0, G_OPTION_ARG_STRING_ARRAY, &s->serials,
         "A serial port: stdio, none, pty, socket:PATH or a file; repeatable", "TARGET"},
        {"nic", 0, 0, G_OPTION_ARG_STRING, &s->nic,
         "A network card of this model with NAT, or none (create: there is one; run: none)", "MODEL|none"},
        {"on-reset", 0, 0, G_OPTION_ARG_STRING, &s->on_reset, "What a reset does: reset or stop", "WHAT"},
        {"no-video", 0, 0, G_OPTION_ARG_NONE, &s->no_video, "No graphics card", NULL},
        {"debug-exit", 0, 0, G_OPTION_ARG_NONE, &s->debug_exit, "A port by which a test guest ends the machine", NULL},
        {"testdev", 0, 0, G_OPTION_ARG_NONE, &s->testdev, "The device that kvm-unit-tests needs", NULL},
        {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &s->sets, "Any other setting; repeatable", "SECTION.KEY=VALUE"},
        {NULL},
    };
    return entries_join(own, more);
}

void settings_tell(const struct settings *s)
{
    for (guint i = 0; s->remarks && i < s->remarks->len; i++)
        note("%s", (char *)s->remarks->pdata[i]);
}
