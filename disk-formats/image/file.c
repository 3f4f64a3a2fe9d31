// SPDX-License-Identifier: GPL-2.0-or-later
/* file.c - what all kinds of blk_file share; the kind "host file" is in file_host.c. */
#include "disk-formats/image/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const file_cache_names[] = {"writeback", "none", "writethrough", "unsafe", NULL};

int blk_preadv(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    return f->ops->preadv(f, offset, iov, n);
}

int blk_preadv_now(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    return f->ops->preadv_now ? f->ops->preadv_now(f, offset, iov, n) : -EAGAIN;
}

int blk_pwritev(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    return f->writable ? f->ops->pwritev(f, offset, iov, n) : -EROFS;
}

int blk_pread(struct blk_file *f, uint64_t offset, void *to, size_t n)
{
    struct iovec one = {to, n};
    return n ? blk_preadv(f, offset, &one, 1) : 0;
}

int blk_pwrite(struct blk_file *f, uint64_t offset, const void *from, size_t n)
{
    struct iovec one = {(void *)from, n};
    return n ? blk_pwritev(f, offset, &one, 1) : 0;
}

int blk_sync(struct blk_file *f)
{
    return f->writable && f->cache != CACHE_UNSAFE ? f->ops->sync(f) : 0;
}

int blk_truncate(struct blk_file *f, uint64_t bytes)
{
    return f->writable ? f->ops->truncate(f, bytes) : -EROFS;
}

int blk_zero(struct blk_file *f, uint64_t offset, uint64_t bytes, bool punch)
{
    if (!f->writable)
        return -EROFS;
    return bytes ? f->ops->zero(f, offset, bytes, punch) : 0;
}

void blk_reserve(struct blk_file *f, uint64_t offset, uint64_t bytes, uint64_t ahead)
{
    if (f->writable && f->ops->reserve)
        f->ops->reserve(f, offset, bytes, ahead);
}

bool blk_is_hole(struct blk_file *f, uint64_t offset, uint64_t *until)
{
    bool is_hole = false;
    *until = UINT64_MAX;
    if (!f->ops->hole || f->ops->hole(f, offset, &is_hole, until) || *until <= offset) {
        *until = UINT64_MAX;
        return false;
    }
    return is_hole;
}

uint64_t blk_size(struct blk_file *f)
{
    return f->ops->size(f);
}

char *blk_beside(const struct blk_file *f, const char *name)
{
    g_autofree char *folder = g_path_get_dirname(f->path), *path = g_build_filename(folder, name, NULL);
    g_autofree char *real = realpath(f->path, NULL), *there = real ? g_path_get_dirname(real) : NULL;
    g_autofree char *other = there ? g_build_filename(there, name, NULL) : NULL;
    bool use_other = other && !g_file_test(path, G_FILE_TEST_EXISTS) && g_file_test(other, G_FILE_TEST_EXISTS);
    return use_other ? g_steal_pointer(&other) : g_steal_pointer(&path);
}

/* The part of a path that is below the file's own folder. */
static const char *below_folder(const struct blk_file *f, const char *name)
{
    g_autofree char *folder = g_path_get_dirname(f->path);
    size_t n = strlen(folder);
    if (g_str_has_prefix(name, "./"))
        return name + 2;
    return g_path_is_absolute(name) && !strncmp(name, folder, n) && name[n] == '/' ? name + n + 1 : name;
}

struct blk_file *blk_sibling(struct blk_file *f, const char *name, bool create, GError **error)
{
    name = below_folder(f, name);
    if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..")) {
        disk_fail(error, DISK_ERROR_CORRUPT, "%s names a file outside its own folder: %s", f->path, name);
        return NULL;
    }
    if (!f->ops->sibling) {
        disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s cannot have further files", f->path);
        return NULL;
    }
    return f->ops->sibling(f, name, create, error);
}

bool blk_publish(struct blk_file *f, GError **error)
{
    return !f->ops->publish || f->ops->publish(f, error);
}

struct blk_file *blk_ref(struct blk_file *f)
{
    g_atomic_int_inc(&f->users);
    return f;
}

/* users counts those beyond the first. */
void blk_close(struct blk_file *f)
{
    if (!f || g_atomic_int_add(&f->users, -1) > 0)
        return;
    f->ops->close(f);
    g_free(f->path);
    g_free(f);
}

bool blk_get(struct blk_file *f, uint64_t offset, void *to, size_t n, const char *what, GError **error)
{
    if (offset > blk_size(f) || n > blk_size(f) - offset)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the file ends before its %s", f->path, what);
    int err = blk_pread(f, offset, to, n);
    return !err || disk_fail_errno(error, -err, "%s: cannot read the %s", f->path, what);
}

bool blk_put(struct blk_file *f, uint64_t offset, const void *from, size_t n, GError **error)
{
    int err = blk_pwrite(f, offset, from, n);
    return !err || disk_fail_errno(error, -err, "%s: cannot write", f->path);
}
