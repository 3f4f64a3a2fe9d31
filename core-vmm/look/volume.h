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
struct volume_entry { /* of a folder */
    const char *name; /* bytes without '/' and zeroes, of no certain encoding */
    uint64_t id;      /* of a folder, for list() */
    bool folder;
    uint64_t marks[4]; /* some of them are others when the file is: its size, times, owner and rights */
};
typedef bool (*volume_entry_fn)(void *ctx, const struct volume_entry *e); /* false: enough */
struct volume_kind {
    const char *name;
    bool (*is)(const struct source *s);
    /* For list(); NULL: it makes no sense.  The source stays. */
    void *(*open)(const struct source *s, uint64_t *root);
    enum file_result (*list)(void *volume, uint64_t folder, volume_entry_fn fn, void *ctx);
    void (*close)(void *volume);
    /* path: from the root, with slashes, without one in front. */
    enum file_result (*copy)(const struct source *s, const char *path, const struct file_sink *to);
};
extern const struct volume_kind volume_ext, volume_fat, volume_ntfs;

/* ---- volumes.c ---- */
/* One that is larger than its disk has holes; whatever a guest says of its size is not to fill the host's disk. */
bool file_fits(const struct source *disk, uint64_t bytes, const struct file_sink *to);
/* ---- compare.c ---- */
struct volume_change {
    char how;    /* '+' it came, '-' it went, '*' it is another one */
    bool folder; /* with all that is in it, if it came or went */
    const char *path;
};
typedef bool (*volume_change_fn)(void *ctx, const struct volume_change *c); /* false: enough */
/* Of two volumes of that kind, the first the older one. */
enum file_result volumes_compare(const struct volume_kind *kind, const struct source *a, const struct source *b,
                                 volume_change_fn fn, void *ctx);
struct partition {
    unsigned number; /* as Linux counts; 0: all of a disk without a table */
    uint64_t at, bytes;
    const struct volume_kind *kind; /* NULL: not known here */
};
GArray *volumes_partitions(const struct source *disk); /* struct partition */
/* It as a source, with room for what that needs. */
struct within {
    const struct source *disk;
    uint64_t at;
};
struct source volumes_source(const struct source *disk, const struct partition *p, struct within *room);
const char *volumes_why(enum file_result result); /* one clause */
/* number 0: the first partition that has it; one that may have it and cannot be read ends the search.  False: *why is one clause; the sink may
 * have had a beginning. */
bool volumes_copy(const struct source *disk, unsigned number, const char *path, const struct file_sink *to,
                  const char **why);
