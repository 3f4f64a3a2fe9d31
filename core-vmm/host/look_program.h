// SPDX-License-Identifier: GPL-2.0-or-later
/* look_program.h - asking terrarium-look, which reads media and disks that may come from anybody (core-vmm/look).  It is
 * executed, so any thread of a program with many may ask. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Its exit codes: a file is no ISO; there is no room for what it prints. */
enum { LOOK_NO_ISO = 3, LOOK_NO_ROOM = 4 };

/* Its answer as text; g_free.  NULL: an error, and in *code (may be NULL) its exit code, or -1. */
char *look_program(const char *const *arguments, int *code, GError **error);
/* The same, with what it prints going to a file's descriptor, which it can make no longer than most bytes. */
bool look_program_into(const char *const *arguments, int fd, uint64_t most, GError **error);

/* ---- what it says of disks ---- */
struct disk_table {
    char format[16];
    uint64_t bytes;
    bool any, gpt;   /* it has a partition table */
    bool esp;        /* with an EFI system partition */
    bool bios, uefi; /* a boot loader is installed for these */
};
/* format NULL: by its contents, and not what it builds upon. */
bool look_at_disk(const char *path, const char *format, struct disk_table *t, GError **error);
/* A drive of machine.ini, in the format that it has there, or by the file's name, as a start opens it.  Of a part of a file nothing
 * is told (G_IO_ERROR_NOT_SUPPORTED). */
bool look_at_drive(GKeyFile *file, const char *section, const char *folder, struct disk_table *t, GError **error);

/* ---- which files differ between two disks ---- */
struct file_diff {
    char how;   /* '+' it came, '-' it went, '*' its size, times, owner or rights are others */
    char *path; /* UTF-8, from anybody; a folder ends with a slash */
};
struct partition_diff {
    unsigned number;  /* 0: all of a disk without a table */
    char *kind, *why; /* of file system; why not all could be seen, or NULL */
    bool more;        /* there are more than are listed */
    GArray *files;    /* struct file_diff */
};
/* Of the partitions that both have: struct partition_diff; g_array_unref.  It takes minutes at most.  NULL: an error. */
GArray *look_compare(char *const path[2], char *const format[2], GError **error);
