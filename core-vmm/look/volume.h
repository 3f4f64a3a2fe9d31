// SPDX-License-Identifier: GPL-2.0-or-later
/* volume.h - a file out of the file system in a partition of a disk.  All of it runs inside of a fence, on disks that may come from anybody. */
#pragma once
#include "core-vmm/look/source.h"

enum file_result {
    FILE_DONE,
    FILE_NOT_THERE,
    FILE_NO_FILE,    /* it is a folder, or something else */
    FILE_DAMAGED,    /* the file system makes no sense */
    FILE_UNREADABLE, /* it does, and has the file by a feature that is not known here */
    FILE_TOO_LARGE,  /* for where it goes: see file_fits() */
    FILE_NOT_TAKEN,
};
struct file_sink { /* where the contents go, in order; false: not there */
    bool (*put)(void *ctx, const void *data, size_t n);
    void *ctx;
    bool holes; /* zeros take no room there */
};
struct volume_kind {
    const char *name;
    bool (*is)(const struct source *s);
    /* path: from the root, with slashes, without one in front. */
    enum file_result (*copy)(const struct source *s, const char *path, const struct file_sink *to);
};
extern const struct volume_kind volume_ext, volume_fat, volume_ntfs;

/* ---- volumes.c ---- */
/* One that is larger than its disk has holes; whatever a guest says of its size is not to fill the host's disk. */
bool file_fits(const struct source *disk, uint64_t bytes, const struct file_sink *to);
/* number 0: the first partition that has it; one that may have it and cannot be read ends the search.  False: *why is one clause; the sink may
 * have had a beginning. */
bool volumes_copy(const struct source *disk, unsigned number, const char *path, const struct file_sink *to,
                  const char **why);
