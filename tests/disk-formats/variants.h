// SPDX-License-Identifier: GPL-2.0-or-later
/* variants.h - the formats and variants of them that the tests go through. */
#pragma once
#include "tests/disk-formats/disk_test.h"

struct variant {
    const char *name, *format;
    const char *options[6]; /* NULL-terminated */
    bool fixed;
    const char *qemu_format;   /* NULL: qemu-img cannot read it */
    bool qemu_check;           /* qemu-img check knows the format */
    const char *parent_format; /* the variant can have a parent */
    bool qemu_children;        /* and then qemu-img can read it still */
    bool no_resize, no_shrink;
    unsigned sector; /* the size must be a multiple of it; 0: 512 bytes */
    bool many_files; /* cannot be kept in one file in memory */
};
extern const struct variant variants[];
extern const unsigned variant_count;
