// SPDX-License-Identifier: GPL-2.0-or-later
/* ops.h - long operations on images, for vmctl and the GUI alike.  Each may be called from any thread, shows its progress
 * and can be cancelled; none leaves a half-made file under the name that was asked for, nor harms its source. */
#pragma once
#include "disk-formats/image/image.h"

struct disk_job { /* may be NULL everywhere */
    void (*progress)(void *ctx, uint64_t done,
                     uint64_t total); /* bytes of the disk; from the calling thread, 10 a second */
    void *ctx;
    gint cancel; /* set to 1 by any thread: the operation ends with DISK_ERROR_CANCELLED */
};

struct disk_convert {
    const char *source;
    struct image_how how; /* of the source */
    const char *target, *format;
    struct image_options options; /* bytes 0: as large as the source */
    bool compress, replace;
    bool sync;        /* wait until it is on the disk before the name appears; else like cp */
    unsigned threads; /* 0: as many as there are CPUs, from 2 to 4, or to 8 if they compress */
};
bool disk_convert(const struct disk_convert *c, struct disk_job *job, GError **error);
/* The same of an image that is open; source and how do not count. */
bool disk_convert_image(struct image *from, const struct disk_convert *c, struct disk_job *job, GError **error);
/* The same into a new file, which gets no name by this; target does not count. */
bool disk_fill(struct image *from, struct blk_file *f, const struct disk_convert *c, struct disk_job *job,
               GError **error);

/* Merges an image's own blocks into its parent, and empties the image.  After a kill, the same again completes it.
 * force: although the parent was changed since the image was made. */
bool disk_commit(const char *path, const struct image_how *how, bool force, struct disk_job *job, GError **error);
/* The other way: the image gets all that it sees through its parents, and has no parent then. */
bool disk_pull(const char *path, const struct image_how *how, struct disk_job *job, GError **error);
/* in_use, of these three: a process reads through the images while this goes on, and they are not locked.  It sees the same disk at every
 * moment, for what changes of the parent is what the image has; a parent where that is not so is refused. */
/* Merges an image's own blocks into its parent, which then shows the same disk; the image stays, for those on top of it.  At
 * every moment it shows what it did, and after a kill the same again completes it.  What changed of it does not count as a
 * change to those above. */
bool disk_merge(const char *path, const char *format, bool in_use, struct disk_job *job, GError **error);
/* If an image's parent has that name, as seen from its folder, the image notes no more by which time it knows it. */
bool disk_forget_parent(const char *path, const char *format, const char *name, bool in_use, GError **error);
/* Its parent is another one that shows the same disk: name, as seen from its folder.  As before that is no change to others. */
bool disk_set_parent(const char *path, const char *format, const char *name, const char *parent_format, bool in_use,
                     GError **error);
/* In place, or for growing by a copy that takes the old one's place (im goes on showing the old file: close it). */
bool disk_resize(struct image *im, uint64_t bytes, struct disk_job *job, GError **error);
/* Blocks that hold only zeroes become holes, and the file gives its room back.  *freed: bytes on the host's disk. */
bool disk_compact(const char *path, const struct image_how *how, struct disk_job *job, uint64_t *freed, GError **error);
/* *first: where they begin to differ, UINT64_MAX: nowhere.  Behind the end of the shorter one there must be zeroes. */
bool disk_compare(struct image *a, struct image *b, struct disk_job *job, uint64_t *first, GError **error);
/* An image, other than except (may be NULL), that could be used on top of it now and could not when what it shows is
 * changed: in its folder, or noted by disk_note_child(); g_free.  NULL: none is known. */
char *disk_child_of(const char *path, const char *except);
/* A new child: noted at the parent's file, where the file system can do that and the file may be written. */
void disk_note_child(const char *parent, const char *child);
/* How many bytes a copy of all that the image shows would need, without compression. */
bool disk_estimate(struct image *im, uint64_t *bytes, GError **error);

/* ---- copy.c ---- */
struct disk_copy {
    struct image *from, *to;
    bool own_blocks; /* only what from itself has, zeroes included; else all that it shows */
    bool compress;
    unsigned threads;
};
bool disk_copy(const struct disk_copy *c, struct disk_job *job, GError **error);
bool disk_cancelled(struct disk_job *job, GError **error);
