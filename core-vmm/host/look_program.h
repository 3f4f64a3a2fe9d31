// SPDX-License-Identifier: GPL-2.0-or-later
/* look_program.h - asking terrarium-look, which reads media and disks that may come from anybody (core-vmm/look).  It is
 * executed, so any thread of a program with many may ask. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { LOOK_NO_ISO = 3 }; /* its exit code if a file is no ISO */

/* Its answer as text; g_free.  NULL: an error, and in *code (may be NULL) its exit code, or -1. */
char *look_program(const char *const *arguments, int *code, GError **error);
/* The same, with what it prints going to a descriptor. */
bool look_program_into(const char *const *arguments, int fd, GError **error);

/* ---- what it says of disks ---- */
struct disk_table {
    char format[16];
    uint64_t bytes;
    bool any, gpt;   /* it has a partition table */
    bool esp;        /* with an EFI system partition */
    bool bios, uefi; /* a boot loader is installed for these */
};
/* format NULL: by its contents. */
bool look_at_disk(const char *path, const char *format, struct disk_table *t, GError **error);
