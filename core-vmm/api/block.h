// SPDX-License-Identifier: GPL-2.0-or-later
/* block.h - the plug of a disk image format.  Bytes everywhere; offset + length <= image size is checked by the caller.
 * Callbacks run on I/O workers and may block.  disk-formats/image/image.c does what all formats share (bounds, copying on the
 * first write, parents, reading and overwriting by extents) and holds the image's lock: shared around extent, read and sync,
 * exclusive around all others.  A format gets an open file and a parent image, never a path; its name comes from the
 * VM's config, never from a guess.  All int results are 0 or -errno.  Every callback but open may be NULL. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct blk_file; /* an open host file: disk-formats/image/file.h */
struct image;    /* disk-formats/image/image.h: format, file, parent, size, private state */
struct image_options;
struct image_info;
struct image_check;
enum extent_kind { EXTENT_DATA, EXTENT_ZERO, EXTENT_HOLE /* not in this image: the parent shows through */ };
struct extent {
    uint64_t offset, bytes; /* of the guest's disk */
    enum extent_kind kind;
    bool compressed;       /* reading goes through read() */
    bool in_place;         /* data that a write may overwrite where it is */
    struct blk_file *file; /* holds the data */
    uint64_t file_offset;  /* UINT64_MAX: not contiguous in the file */
    bool zeroed;           /* from place: the room reads as zeroes already */
    bool now;              /* to extent: do not wait, -EAGAIN where the file has to be read (at_hand) */
    bool reused;           /* from place: it is where part of the block is already */
};
struct image_format {
    const char *name, *summary;
    const char *const *options; /* keys that create understands, NULL-terminated */
    bool parents;               /* can be a differencing image */
    bool lasting_id;            /* the id does not change when the image is written */
    bool at_hand;               /* extent never waits for anything, or minds `now` */
    bool preallocate;           /* a fixed one is made by placing all blocks of a new dynamic one */
    bool (*probe)(const uint8_t *head, size_t n, uint64_t file_bytes); /* for info and import only */
    bool (*create)(struct blk_file *f, const struct image_options *o, GError **error);
    bool (*open)(struct image *im, GError **error); /* validates the whole header; changes nothing in the file */
    /* From offset on; at entry out->bytes is what is of interest, and a format may only lessen it. */
    int (*extent)(struct image *im, uint64_t offset, struct extent *out);
    int (*read)(struct image *im, uint64_t offset, const struct iovec *iov, int n); /* compressed extents */
    int (*ready)(struct image *im); /* before the first change of the file: what open must leave to it */
    int (*begin)(struct image *im); /* before the first change of what it shows: ids, marks; ready was called */
    /* A first write: place finds room for some of the whole blocks at out->offset (may lessen out->bytes), the data is
     * written there without a lock (several may be under way), link makes it the disk's content, all or nothing; unplace
     * gives the room back when writing or link failed. */
    int (*place)(struct image *im, struct extent *out);
    int (*link)(struct image *im, const struct extent *e);
    void (*unplace)(struct image *im, const struct extent *e);
    int (*sync)(struct image *im);  /* a barrier for data alone, shared lock; NULL: of the one file */
    int (*flush)(struct image *im); /* tables too: all on stable storage on return */
    int (*discard)(struct image *im, uint64_t offset, uint64_t bytes); /* whole blocks; becomes a hole or zeroes */
    int (*zero)(struct image *im, uint64_t offset,
                uint64_t bytes); /* whole blocks; reads as zeroes.  -ENOTSUP: write them */
    ssize_t (*compress)(struct image *im, const void *in, size_t n, void *out,
                        size_t room);                                               /* any thread; 0: won't fit */
    int (*append)(struct image *im, uint64_t offset, const void *packed, size_t n); /* one compressed block */
    bool (*may_resize)(struct image *im, uint64_t bytes, GError **error);           /* looks only; NULL: always */
    bool (*resize)(struct image *im, uint64_t bytes, GError **error);
    bool (*uses)(const struct image *im, const char *path); /* is it one of its other files? */
    char **(*alike)(struct image *im); /* options for create, to make one like it; g_strfreev.  NULL: there are none */
    int (*forget_parent_id)(struct image *im); /* the parent is about to be changed on purpose */
    /* Another parent from now on, which shows the same disk; id: image_id_for_child() of it, or NULL.  All or nothing. */
    int (*set_parent)(struct image *im, const char *name, const char *format, const char *id);
    bool (*check)(struct image *im, bool repair, struct image_check *out, GError **error);
    void (*info)(struct image *im, struct image_info *out); /* format-specific facts */
    void (*close)(struct image *im);                        /* after flush; frees state */
};
