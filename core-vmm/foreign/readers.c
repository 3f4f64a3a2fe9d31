// SPDX-License-Identifier: GPL-2.0-or-later
/* readers.c - which reader a description is for. */
#include "core-vmm/foreign/readers.h"
#include "disk-formats/image/error.h"

bool foreign_read(enum foreign_kind kind, const char *text, gsize n, struct found *f, GError **error)
{
    static bool (*const readers[FOREIGN_KINDS])(const char *text, gsize n, struct found *f, GError **error) = {
        [FOREIGN_OVF] = read_ovf,         [FOREIGN_VMX] = read_vmx, [FOREIGN_VBOX] = read_vbox,
        [FOREIGN_LIBVIRT] = read_libvirt, [FOREIGN_UTM] = read_utm, [FOREIGN_QUICKEMU] = read_quickemu,
    };
    if (n > DESCRIPTION_MAX)
        return disk_fail(error, DISK_ERROR_CORRUPT, "a description of more than 4 MiB is none");
    return readers[kind](text, n, f, error);
}
