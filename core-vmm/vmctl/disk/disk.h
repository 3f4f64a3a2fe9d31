// SPDX-License-Identifier: GPL-2.0-or-later
/* disk.h - what the parts of `vmctl disk` share.  One of them is one file; verb_disk.c has the table. */
#pragma once
#include "core-vmm/vmctl/vmctl.h"
#include "core-vmm/host/disk_look.h"
#include "disk-formats/ops/ops.h"

extern const struct verb disk_check_verb, disk_clone_verb, disk_commit_verb, disk_compact_verb, disk_compare_verb,
    disk_convert_verb, disk_create_verb, disk_info_verb, disk_map_verb, disk_pull_verb, disk_resize_verb;

/* "raw vdi ..." for help texts is in the table's summary; a wrong name is told by image_format_find(). */
/* The format to open path with: the given one, else what the file's name says. */
const char *disk_format(const char *given, const char *path);
bool disk_size(const char *text, uint64_t *bytes, int *code); /* says what is wrong */
char *disk_size_text(uint64_t bytes);                         /* "1.5 GiB (1610612736 bytes)"; g_free */

/* ---- disk/fence.c ---- */
#define DISK_NEEDS_MAX 4
struct disk_needs {                      /* paths, ended by NULL */
    const char *looks[DISK_NEEDS_MAX];   /* images that are only read */
    const char *changes[DISK_NEEDS_MAX]; /* images that are written, with all files they consist of */
    const char *format;                  /* of the first of those; NULL: it is found out */
    const char *makes;                   /* a new image; or NULL */
    bool replace;                        /* of a name that may be taken */
    bool unlocked;                       /* what is only read may be in use */
};
/* To be called when all options are known and before any image is opened.  From then on this process can do only that.
 * False: *code, all said. */
bool disk_fence(const struct disk_needs *n, int *code);

/* ---- disk/children.c ---- */
/* Exit codes; they say which child is in the way. */
int disk_may_replace(const char *path);
int disk_may_change(const char *path, const char *except); /* except: a child that may be there; or NULL */

/* ---- disk/progress.c: a bar on a terminal, and Ctrl-C that leaves nothing half-made ---- */
struct disk_progress {
    struct disk_job job;
    struct progress bar;
};
void disk_progress_start(struct disk_progress *p, const char *what, bool quiet);
void disk_progress_end(struct disk_progress *p);
