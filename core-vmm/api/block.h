// SPDX-License-Identifier: GPL-2.0-or-later
/* block.h - the plug of a disk image format.  Bytes everywhere; offset + length <= image size is checked by the caller.
 * Callbacks run on I/O workers and may block; core gives one image's writers and readers the locking said below.
 * A format gets an open file and a parent image, never a path; its name comes from the VM's config, never from a guess. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct blk_file; /* an open host file: blk_pread ... in disk-formats/file.h */
struct image;    /* disk-formats/image.h: format, file, parent, size, private state */
struct image_options;
enum extent_kind { EXTENT_DATA, EXTENT_ZERO, EXTENT_HOLE /* not in this image: the parent shows through */ };
struct extent {
    uint64_t offset, bytes;
    enum extent_kind kind;
    bool compressed;
    uint64_t file_offset; /* UINT64_MAX: not contiguous in the file */
};
struct image_format {
    const char *name, *summary;
    bool (*create)(struct blk_file *f, const struct image_options *o, GError **error);
    bool (*open)(struct image *im, GError **error);                                 /* validates the whole header */
    int (*read)(struct image *im, uint64_t offset, const struct iovec *iov, int n); /* 0 or -errno */
    int (*write)(struct image *im, uint64_t offset, const struct iovec *iov, int n);
    int (*flush)(struct image *im); /* on stable storage on return */
    int (*discard)(struct image *im, uint64_t offset, uint64_t bytes);
    int (*zero)(struct image *im, uint64_t offset, uint64_t bytes);
    int (*extent)(struct image *im, uint64_t offset, struct extent *out); /* the one that holds offset */
    bool (*resize)(struct image *im, uint64_t bytes, GError **error);
    bool (*check)(struct image *im, bool repair, GString *report, GError **error);
    void (*close)(struct image *im);
};
