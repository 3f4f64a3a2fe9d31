// SPDX-License-Identifier: GPL-2.0-or-later
/* file.h - an open host file as image formats see it: positioned vectored I/O that never comes back short, zeroing,
 * punching holes, and a barrier.  Any thread; int results are 0 or -errno.
 *
 * The operations are a table, so that tests can record writes or keep a file in memory. */
#pragma once
#include "disk-formats/image/error.h"
#include <stdint.h>
#include <sys/uio.h>

enum file_cache {
    CACHE_WRITEBACK,    /* host page cache; the guest's flush is fdatasync */
    CACHE_NONE,         /* O_DIRECT */
    CACHE_WRITETHROUGH, /* every write is on stable storage before it completes */
    CACHE_UNSAFE,       /* flush does nothing: for throw-away disks */
};
extern const char *const file_cache_names[]; /* NULL-terminated, by enum */

struct blk_file;
struct blk_file_ops {
    int (*preadv)(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n); /* past the end: zeroes */
    int (*preadv_now)(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n);
    int (*pwritev)(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n);
    int (*sync)(struct blk_file *f); /* a barrier: all writes before it are on stable storage on return */
    int (*truncate)(struct blk_file *f, uint64_t bytes);
    int (*zero)(struct blk_file *f, uint64_t offset, uint64_t bytes, bool punch); /* punch: give the room back too */
    void (*reserve)(struct blk_file *f, uint64_t offset, uint64_t bytes, uint64_t ahead);
    int (*hole)(struct blk_file *f, uint64_t offset, bool *is_hole, uint64_t *until); /* from offset on */
    uint64_t (*size)(struct blk_file *f);
    struct blk_file *(*sibling)(struct blk_file *f, const char *name, bool create, GError **error);
    bool (*publish)(struct blk_file *f, GError **error);
    void (*close)(struct blk_file *f);
};
struct blk_file {
    const struct blk_file_ops *ops;
    char *path; /* for messages, and where relative names start; never NULL */
    bool writable;
    enum file_cache cache;
    void *state;
    int users;
};

enum file_flags {
    FILE_WRITE = 1,
    FILE_NO_LOCK = 2, /* look at an image that another process has open */
};
/* A regular file or a block device, locked against a second writer; anything else is refused. */
struct blk_file *blk_open(const char *path, unsigned flags, enum file_cache cache, GError **error);
/* The same for a file that somebody else opened; path is what to call it.  Takes fd, also on failure. */
struct blk_file *blk_open_fd(int fd, const char *path, unsigned flags, enum file_cache cache, GError **error);
/* A new file that has no name until blk_publish(): a crash or a cancel leaves nothing behind.  publish fails if the
 * name is taken, unless replace: that takes the place of a regular file, and of nothing else.  Siblings that were created
 * with it get their names with it, before it.  Afterwards file and name are on stable storage; of a new name for a file
 * with CACHE_UNSAFE only so much that a file that was there before is never lost. */
struct blk_file *blk_create(const char *path, bool replace, GError **error);
bool blk_publish(struct blk_file *f, GError **error);
/* The path of what an image names: in its folder or, where there is none and the image's path is a link, in the folder of
 * what that leads to.  g_free. */
char *blk_beside(const struct blk_file *f, const char *name);
/* Another file in the same folder, with the same flags; of one that is not published, first those that were created with
 * it.  Names with a folder part, and links that lead out of it, are refused: they come from the image. */
struct blk_file *blk_sibling(struct blk_file *f, const char *name, bool create, GError **error);
/* Part of a file or block device, which it must lie in; bytes 0: up to its end.  Whole sectors of 512 bytes. */
struct file_slice {
    uint64_t offset, bytes;
};
/* It as a file of its own (file_slice.c), locked against whoever has a part that overlaps, or the whole. */
struct blk_file *blk_open_slice(const char *path, unsigned flags, enum file_cache cache, const struct file_slice *s,
                                GError **error);
struct blk_file *blk_ref(struct blk_file *f); /* one more blk_close() is due */
void blk_close(struct blk_file *f);           /* NULL is fine */

int blk_preadv(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n);
int blk_pwritev(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n);
/* The same without waiting for a disk: -EAGAIN where the host has not all of it in memory, or cannot tell. */
int blk_preadv_now(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n);
int blk_pread(struct blk_file *f, uint64_t offset, void *to, size_t n);
int blk_pwrite(struct blk_file *f, uint64_t offset, const void *from, size_t n);
int blk_sync(struct blk_file *f);
int blk_truncate(struct blk_file *f, uint64_t bytes);
int blk_zero(struct blk_file *f, uint64_t offset, uint64_t bytes, bool punch);
/* [offset, offset + bytes) is about to be written for the first time: takes the room from the host in one go, and ahead
 * bytes more if that is not 0 (what lies behind the file's end is given back when it is published or closed).  Only an
 * economy: it changes nothing that can be read, and cannot fail. */
void blk_reserve(struct blk_file *f, uint64_t offset, uint64_t bytes, uint64_t ahead);
/* Is offset in a hole of the file, and how far does that (or the data) reach?  Never fails: unsure means data. */
bool blk_is_hole(struct blk_file *f, uint64_t offset, uint64_t *until);
uint64_t blk_size(struct blk_file *f);
bool blk_same(struct blk_file *a, struct blk_file *b); /* the same file on the host */
void blk_only_read(
    struct blk_file *f); /* nothing more is written: gives up room taken in advance, and the lock for that */
bool blk_has_name(struct blk_file *f, const char *path); /* by whatever link; false: there is no such file */
uint64_t blk_allocated(struct blk_file *f);              /* bytes that the file takes on the host's disk */
int64_t blk_mtime(struct blk_file *f);                   /* of its last change, in nanoseconds; 0: unknown */
/* The same, on stable storage with all that was written, which a mere blk_sync() does not promise: a child that notes it, or a
 * state, would outlive a power cut that the time does not. */
int64_t blk_lasting_mtime(struct blk_file *f);
void blk_set_mtime(struct blk_file *f, int64_t time); /* after a change that no reader notices; on stable storage */

/* For formats' open: all of it or an error that names what was being read. */
bool blk_get(struct blk_file *f, uint64_t offset, void *to, size_t n, const char *what, GError **error);
bool blk_put(struct blk_file *f, uint64_t offset, const void *from, size_t n, GError **error);

/* file_lock.c */
bool file_lock(int fd, bool write, const char *path, GError **error);
void file_unlock_write(int fd); /* what is left is a reader's lock */
bool file_lock_slice(int fd, bool write, const struct file_slice *slice, const char *path, GError **error);
/* file_host.c: the same for a host file that was opened without a lock. */
bool blk_lock_slice(struct blk_file *f, const struct file_slice *slice, GError **error);
