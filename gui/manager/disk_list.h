// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_list.h - which images the machines name as their disks. */
#pragma once
#include "gui/manager/library.h"
#include <stdint.h>

struct disk_image {
    char *path, *owners; /* owners: titles of machines, by commas */
    char *format;        /* as the setting says; NULL: by the file's name */
    uint64_t on_disk;    /* bytes that the host gives it */
    bool missing;
};
GPtrArray *disk_list(VmLibrary *l); /* struct disk_image, by path; g_ptr_array_unref */
