// SPDX-License-Identifier: GPL-2.0-or-later
/* image.h - an open disk image with its chain of parents.
 *
 * Theory.  Every format says where a stretch of the guest's disk is (extent) and can find room for new blocks (place) and
 * make them part of the disk (link).  All else is here: a read walks the extents, down the chain where there are holes;
 * a write goes straight to data that is there and ours alone, under the shared lock, many at once; elsewhere it places
 * new blocks under the exclusive lock, fills what it does not cover from what the guest sees there now, and links them
 * under the exclusive lock.  While data are written, those blocks are "in flight": whoever wants to change them waits.
 * So the order that makes an image safe at a power cut is the format's matter (see the top of each format's file):
 * it learns of new blocks only in link, and writes its tables when flush or its cache says so. */
#pragma once
#include "core-vmm/api/block.h"
#include "disk-formats/image/file.h"

#define IMAGE_MAX_CHAIN 128
#define IMAGE_MAX_BYTES (UINT64_C(1) << 62)
#define IMAGE_UUID      "uuid-"
#define IMAGE_SNAPSHOTS "Snapshots" /* VirtualBox's folder for the children of what lies beside it */

struct image_check;
struct image {
    const struct image_format *format;
    struct blk_file *file;
    struct image *parent;   /* NULL: holes read as zeroes */
    bool writable, repair;  /* repair: open even what is marked as corrupt */
    bool many_files;        /* has data in other files too */
    bool snapshots;         /* has internal snapshots */
    bool check_first;       /* check is cheap: whatever overlaps keeps it from being opened for writing */
    bool put_off;           /* ready is to do what a repair would */
    bool cut_end;           /* what lies behind the last block in use may be cut off */
    bool append_only;       /* new data only as compressed blocks */
    struct flight *flights; /* first writes under way: exclusive lock and flight_lock to change */
    GMutex flight_lock;
    GCond landed;
    uint64_t ahead;      /* a copy fills it: how much room to ask the host for at a time; 0: none */
    bool tables_changed; /* since the last flush; exclusive lock to set, shared to read */
    gint ready, changed; /* ready, begin were called; atomic */
    bool same_disk;      /* what is written shows the guest the same disk: the ids that children know stay */
    void *state;
    /* Set by the format's open: */
    uint64_t bytes;       /* what the guest sees */
    uint32_t block_bytes; /* power of two: what place, discard and zero count in; 0: no allocation, all in place */
    char *parent_name, *parent_format; /* as the image says, or NULL */
    char *parent_id, *id;              /* what must match, or NULL */
    char *time_id;        /* what children note instead, where there is no id that changes with the contents */
    char *uuid;           /* IMAGE_UUID and more: what children made by VirtualBox note, where that is not the id */
    bool parent_by_id;    /* a parent without a name: a file in the folder that has parent_id */
    const char *snapshot; /* what to show instead of the disk; a format that can do it sets it NULL in open */
    GRWLock lock;
};

struct image_how {
    const char *format; /* NULL: look at the first bytes, if guess */
    bool write, guess, no_parent, unlocked, repair;
    enum file_cache cache;
    const char *parent, *parent_format; /* instead of what the image says */
    const char *snapshot;               /* an internal snapshot's name or id; read-only */
    const struct file_slice *slice;     /* of a raw image: only that part of the file.  NULL: all */
};
struct image *image_open(const char *path, const struct image_how *how, GError **error);
/* The image's own file is open already, and taken also on failure; other files of the image are found by path. */
struct image *image_open_fd(int fd, const char *path, const struct image_how *how, GError **error);
/* Where its parent is: by the name it has, or else, where that is nothing, found in its folder by the id.  NULL without an
 * error: it has none. */
char *image_parent_path(struct image *im, GError **error);
/* Takes the file, also on failure.  No parent is opened. */
struct image *image_open_file(struct blk_file *f, const struct image_format *format, GError **error);
struct image *image_open_with(struct blk_file *f, const struct image_format *format, const struct image_how *how,
                              GError **error);
int image_close(struct image *im); /* flushes; -errno if that failed.  Closes the parents.  NULL is fine */

const struct image_format *image_format_find(const char *name, GError **error);
const struct image_format *const *image_formats(void); /* all.c; NULL-terminated */
/* guess.c: by its contents; raw if they say nothing, an error if they are something else altogether */
const struct image_format *image_format_guess(struct blk_file *f, GError **error);

/* I/O from any thread, vectored; offset + length must lie in the image (else -EINVAL).  0 or -errno. */
int image_readv(struct image *im, uint64_t offset, const struct iovec *iov, int n);
int image_writev(struct image *im, uint64_t offset, const struct iovec *iov, int n);
int image_read(struct image *im, uint64_t offset, void *to, size_t n);
int image_write(struct image *im, uint64_t offset, const void *from, size_t n);
/* One packed block, for formats that have append(). */
int image_append(struct image *im, uint64_t offset, const void *packed, size_t n);
int image_flush(struct image *im);
/* Reads if nothing has to be waited for: tables and data are in the host's memory, nobody changes the image just now.
 * -EAGAIN: read it the ordinary way; some of it may be in iov already. */
int image_readv_now(struct image *im, uint64_t offset, const struct iovec *iov, int n);
int image_discard(struct image *im, uint64_t offset, uint64_t bytes); /* a hint: contents become undefined or zero */
int image_zero(struct image *im, uint64_t offset, uint64_t bytes);
/* The range holds zeroes as data: punch them out of the file where they can be overwritten. */
int image_sparsify(struct image *im, uint64_t offset, uint64_t bytes);
/* The range is about to be filled: see blk_reserve().  For what is in place already. */
void image_reserve(struct image *im, uint64_t offset, uint64_t bytes);
/* One layer's extent at offset.  With holes, data that is a hole of the host file counts as zeroes. */
int image_extent(struct image *im, uint64_t offset, bool holes, struct extent *out);
/* The same through the chain: kind is data or zero; *layer (may be NULL) is the image that has it. */
int image_extent_deep(struct image *im, uint64_t offset, struct extent *out, struct image **layer);
bool image_resize(struct image *im, uint64_t bytes, GError **error); /* changes nothing if it may not */
bool image_may_resize(struct image *im, uint64_t bytes, GError **error);
/* What comes before the first change: of the file (open changes nothing), of what it shows (a new id). */
int image_ready(struct image *im);
int image_begin(struct image *im);
char **image_alike(struct image *im); /* image_options.options for another one like it; g_strfreev.  NULL: the usual */
/* Looks for damage, and repairs it if so asked and open for writing.  False: could not look. */
const char *image_id_for_child(const struct image *parent); /* NULL: none */
bool image_uses(const struct image *im, const char *path);  /* the file is one of its own, or of a parent's */
/* One that was written to and is flushed is only read from now on, as the parent of another. */
void image_freeze(struct image *im);
/* The image notes by which id it knows its parent, which is open, now.  0 or -errno; any thread. */
int image_note_parent(struct image *im);
/* Is the parent what it was when the child was made on top of it? */
bool image_same_parent(const struct image *child, const struct image *parent, GError **error);
bool image_check(struct image *im, bool repair, struct image_check *out, GError **error);
bool image_is_zero(const void *data, size_t n);

/* ---- creating ---- */
struct image_options {
    uint64_t bytes;
    bool fixed;                         /* all room taken now */
    bool parent_changes;                /* somebody writes to the parent yet: by which id it is known is noted later */
    const char *parent, *parent_format; /* a differencing image */
    struct image *parent_image;         /* opened, with parent: for its ids and size */
    char **options;                     /* "key=value", NULL-terminated, or NULL */
};
/* The value of key, or NULL. */
const char *image_option(const struct image_options *o, const char *key);
bool image_option_size(const struct image_options *o, const char *key, uint64_t otherwise, uint64_t *out,
                       GError **error);
bool image_option_flag(const struct image_options *o, const char *key, bool otherwise, bool *out, GError **error);
bool image_option_choice(const struct image_options *o, const char *key, const char *const *words, unsigned otherwise,
                         unsigned *out, GError **error);
bool disk_size_parse(const char *text, uint64_t *bytes); /* "64K", "1.5G"; powers of 1024 */
/* Checks options and size, then lets the format write into the new file; blk_publish() is the caller's. */
bool image_create_file(struct blk_file *f, const struct image_format *format, const struct image_options *o,
                       GError **error);
/* The whole of it: parent opened and asked for its size if bytes is 0, file published. */
bool image_create(const char *path, const char *format, const struct image_options *o, bool replace, GError **error);

/* ---- what info and check find ---- */
struct image_fact {
    char *key, *text; /* text NULL: a number */
    uint64_t number;
};
struct image_info {
    GArray *facts; /* struct image_fact */
};
void image_info_init(struct image_info *i);
void image_info_clear(struct image_info *i);
void image_info_text(struct image_info *i, const char *key, const char *text);
void image_info_number(struct image_info *i, const char *key, uint64_t number);
struct image_check {
    uint64_t corruptions, leaks; /* leaks: room lost, no data at risk */
    uint64_t overlaps;           /* of the corruptions: one thing lies over another, and a write to it destroys that */
    uint64_t corruptions_fixed, leaks_fixed;
    uint64_t blocks, blocks_used, end; /* end: of the used part of the file */
    GString *text;                     /* a line per finding; bounded */
};
void image_check_init(struct image_check *c);
void image_check_clear(struct image_check *c);
void image_check_say(struct image_check *c, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* ---- walking an iovec array ---- */
struct iov_walk {
    const struct iovec *iov;
    int n;
    size_t skip; /* of the first element */
};
#define IOV_PIECE 64
/* The next piece of at most bytes, in up to IOV_PIECE elements; returns their number, *got: how many bytes. */
int iov_take(struct iov_walk *w, uint64_t bytes, struct iovec out[IOV_PIECE], uint64_t *got);
uint64_t iov_bytes(const struct iovec *iov, int n);
void iov_copy_in(struct iov_walk *w, const void *from, uint64_t bytes);
void iov_zero(struct iov_walk *w, uint64_t bytes);
/* The format that a file's name promises ("x.qcow2"), else NULL, or "raw".  Says nothing about what is in the file. */
const char *image_format_promised(const char *path);
const char *image_format_by_name(const char *path);
