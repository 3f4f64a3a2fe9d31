// SPDX-License-Identifier: GPL-2.0-or-later
/* export.h - what writers of descriptions share. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct export_disk {
    char *section, *path, *format; /* of the image; format: its own */
    char *file;                    /* its name in the package */
    uint64_t bytes;                /* of the disk; set when it is known */
    bool cdrom, floppy;
};
struct exporting {
    const char *name;
    GKeyFile *settings;
    GArray *disks;      /* struct export_disk: drives with an image */
    GPtrArray *remarks; /* of char *, or NULL */
};
/* The first of "disks" of that section, or NULL. */
const struct export_disk *export_disk_of(const struct exporting *e, const char *section);
/* A setting as it is or would be; g_free; NULL: none. */
char *export_setting(const struct exporting *e, const char *section, const char *key);
/* Is a file of a section the guest's CD, a disk ... */
bool export_is_drive(const char *section);
void export_remark_files(
    const struct exporting *e); /* what names files of this host, beside images, and serial lines */
bool export_is_uefi(const struct exporting *e);
void export_remark(const struct exporting *e, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* What goes into the format is escaped for XML. */
void export_add(GString *out, const char *format, ...) G_GNUC_PRINTF(2, 3);

char *write_ovf(const struct exporting *e);     /* g_free */
char *write_libvirt(const struct exporting *e); /* images where they are; g_free */
