// SPDX-License-Identifier: GPL-2.0-or-later
/* disk.h - what the parts of `vmctl disk` share.  One of them is one file; verb_disk.c has the table. */
#pragma once
#include "vmctl.h"
#include "../../disk-formats/ops.h"

extern const struct verb disk_check_verb, disk_clone_verb, disk_commit_verb, disk_compact_verb, disk_compare_verb,
    disk_convert_verb, disk_create_verb, disk_info_verb, disk_map_verb, disk_pull_verb, disk_resize_verb;

/* "raw vdi ..." for help texts is in the table's summary; a wrong name is told by image_format_find(). */
/* The format to open path with: the given one, else what the file's name says. */
const char *disk_format(const char *given, const char *path);
bool disk_size(const char *text, uint64_t *bytes, int *code); /* says what is wrong */
char *disk_size_text(uint64_t bytes);                         /* "1.5 GiB (1610612736 bytes)"; g_free */

/* ---- disk_users.c: a machine other than except that has a disk, or a parent of one, in the folder; NULL: none ---- */
char *disk_user_of(const char *folder, const char *except);
/* Exit codes; they say which child is in the way. */
int disk_may_replace(const char *path);
int disk_may_change(const char *path, const char *except); /* except: a child that may be there; or NULL */

/* ---- disk_progress.c: a bar on a terminal, and Ctrl-C that leaves nothing half-made ---- */
struct disk_progress {
    struct disk_job job;
    const char *what;
    bool terminal;
    int shown; /* permille, -1: nothing yet */
};
void disk_progress_start(struct disk_progress *p, const char *what, bool quiet);
void disk_progress_end(struct disk_progress *p);
