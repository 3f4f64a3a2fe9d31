// SPDX-License-Identifier: GPL-2.0-or-later
/* file_host.c - a file or block device of the host.
 *
 * A new file is made without a name (O_TMPFILE) and linked into its folder when it is complete, so that a crash, a kill
 * or a cancel leaves nothing half-made.  Where the file system has no O_TMPFILE, it is called ".NAME.RANDOM.part" until
 * then; one that a killed process left goes when the next is made.  With O_DIRECT (cache mode none), whatever is not aligned to 4 KiB goes through an aligned buffer; reading,
 * changing and writing such a block is done under a lock. */
#include "disk-formats/image/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECT_ALIGN 4096u
#define IOV_BATCH    256

struct host {
    int fd;
    bool direct, device, unlinked, replace;
    unsigned flags;
    GPtrArray *parts; /* struct blk_file: new siblings, published with it */
    char *part;       /* the name until publish, or NULL: no name at all */
    uint64_t device_bytes;
    GMutex direct_lock, lock;       /* lock: of all below */
    uint64_t hole_from, hole_until; /* the last answer of host_hole(), for files that are only read */
    bool hole;
    uint64_t reserved_from, reserved_end, reserved_max; /* the last range, the end of all */
    bool cannot_reserve;
};

/* ---- plain transfers, never short ---- */
static ssize_t transfer(int fd, bool write, const struct iovec *iov, int n, uint64_t offset)
{
    ssize_t r;
    do
        r = write ? pwritev(fd, iov, n, offset) : preadv(fd, iov, n, offset);
    while (r < 0 && errno == EINTR);
    return r;
}

static size_t iov_sum(const struct iovec *iov, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

/* Copies the elements that lie behind the first skip bytes. */
static int iov_rest(struct iovec *to, const struct iovec *from, int n, size_t skip)
{
    int out = 0;
    for (int i = 0; i < n; i++) {
        size_t cut = MIN(skip, from[i].iov_len);
        skip -= cut;
        if (cut < from[i].iov_len)
            to[out++] = (struct iovec){(char *)from[i].iov_base + cut, from[i].iov_len - cut};
    }
    return out;
}

static void iov_clear(const struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++)
        memset(iov[i].iov_base, 0, iov[i].iov_len);
}

static int transfer_all(int fd, bool write, const struct iovec *iov, int n, uint64_t offset)
{
    size_t total = iov_sum(iov, n), done = 0;
    struct iovec rest[IOV_BATCH];
    ssize_t r = transfer(fd, write, iov, n, offset);
    while (r > 0 && (done += r) < total)
        r = transfer(fd, write, rest, iov_rest(rest, iov, n, done), offset + done);
    if (r < 0)
        return -errno;
    if (done == total)
        return 0;
    if (write)
        return -EIO;
    iov_clear(rest, iov_rest(rest, iov, n, done)); /* the end of the file */
    return 0;
}

/* ---- O_DIRECT ---- */
static bool direct_ok(const struct iovec *iov, int n, uint64_t offset)
{
    bool ok = offset % DIRECT_ALIGN == 0;
    for (int i = 0; i < n && ok; i++)
        ok = (uintptr_t)iov[i].iov_base % DIRECT_ALIGN == 0 && iov[i].iov_len % DIRECT_ALIGN == 0;
    return ok;
}

static void iov_copy(const struct iovec *iov, int n, char *flat, bool to_iov)
{
    for (int i = 0; i < n; flat += iov[i++].iov_len) {
        if (to_iov)
            memcpy(iov[i].iov_base, flat, iov[i].iov_len);
        else
            memcpy(flat, iov[i].iov_base, iov[i].iov_len);
    }
}

/* The blocks around an unaligned piece go through an aligned buffer.  A file's last block may come back longer than it
 * was: formats keep their own end, and raw images are a multiple of 512 anyway, so cut it to what it was. */
static int direct_bounce(struct blk_file *f, bool write, const struct iovec *iov, int n, uint64_t offset)
{
    struct host *h = f->state;
    uint64_t start = offset / DIRECT_ALIGN * DIRECT_ALIGN, total = iov_sum(iov, n), size = blk_size(f);
    size_t room = (offset + total + DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN - start;
    struct iovec one = {.iov_len = room};
    if (posix_memalign(&one.iov_base, DIRECT_ALIGN, room))
        return -ENOMEM;
    g_mutex_lock(&h->direct_lock);
    int err = transfer_all(h->fd, false, &one, 1, start);
    if (!err && write) {
        iov_copy(iov, n, (char *)one.iov_base + (offset - start), false);
        err = transfer_all(h->fd, true, &one, 1, start);
        if (!err && !h->device && start + room > MAX(size, offset + total))
            err = ftruncate(h->fd, MAX(size, offset + total)) ? -errno : 0;
    } else if (!err) {
        iov_copy(iov, n, (char *)one.iov_base + (offset - start), true);
    }
    g_mutex_unlock(&h->direct_lock);
    free(one.iov_base);
    return err;
}

static int host_io(struct blk_file *f, bool write, uint64_t offset, const struct iovec *iov, int n)
{
    struct host *h = f->state;
    uint64_t total = iov_sum(iov, n);
    if (offset > INT64_MAX - MIN(total, (uint64_t)INT64_MAX))
        return -EFBIG;
    if (h->device && (offset > h->device_bytes || total > h->device_bytes - offset))
        return -ENOSPC;
    for (int at = 0; at < n; at += IOV_BATCH) {
        int part = MIN(n - at, IOV_BATCH);
        int err = h->direct && !direct_ok(iov + at, part, offset) ? direct_bounce(f, write, iov + at, part, offset)
                                                                  : transfer_all(h->fd, write, iov + at, part, offset);
        if (err)
            return err;
        offset += iov_sum(iov + at, part);
    }
    return 0;
}

/* ---- the table's calls ---- */
static int host_preadv(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    return host_io(f, false, offset, iov, n);
}

/* Where that fails, whatever the reason, the ordinary call will say it. */
static int host_preadv_now(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    struct host *h = f->state;
    if (h->direct || n > IOV_BATCH || offset > INT64_MAX)
        return -EAGAIN;
    return preadv2(h->fd, iov, n, offset, RWF_NOWAIT) == (ssize_t)iov_sum(iov, n) ? 0 : -EAGAIN;
}

static int host_pwritev(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    return host_io(f, true, offset, iov, n);
}

static int host_sync(struct blk_file *f)
{
    struct host *h = f->state;
    return fdatasync(h->fd) ? -errno : 0;
}

static int host_truncate(struct blk_file *f, uint64_t bytes)
{
    struct host *h = f->state;
    if (h->device)
        return bytes <= h->device_bytes ? 0 : -ENOSPC;
    return bytes > INT64_MAX ? -EFBIG : ftruncate(h->fd, bytes) ? -errno : 0;
}

static int write_zeroes(struct blk_file *f, uint64_t offset, uint64_t bytes)
{
    const size_t room = 1 << 20;
    g_autofree void *zero = g_malloc0(room);
    for (uint64_t done = 0; done < bytes;) {
        size_t n = MIN(bytes - done, room);
        int err = blk_pwrite(f, offset + done, zero, n);
        if (err)
            return err;
        done += n;
    }
    return 0;
}

static int host_zero(struct blk_file *f, uint64_t offset, uint64_t bytes, bool punch)
{
    struct host *h = f->state;
    uint64_t size = blk_size(f);
    if (offset > INT64_MAX || bytes > INT64_MAX - offset)
        return -EFBIG;
    int mode = punch ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE;
    if (!fallocate(h->fd, mode, offset, bytes)) /* a hole does not move the end of the file */
        return punch && !h->device && offset + bytes > size ? host_truncate(f, offset + bytes) : 0;
    return errno == ENOSPC || errno == EDQUOT ? -errno : write_zeroes(f, offset, bytes);
}

static int seek_hole(struct host *h, uint64_t offset, bool *is_hole, uint64_t *until)
{
    off_t data = lseek(h->fd, offset, SEEK_DATA);
    if (data < 0 && errno != ENXIO)
        return -errno;
    *is_hole = data != (off_t)offset;
    off_t end = *is_hole ? data : lseek(h->fd, offset, SEEK_HOLE);
    *until = end < 0 ? UINT64_MAX : (uint64_t)end; /* ENXIO: a hole up to the end of the file */
    return 0;
}

/* Asking costs time in proportion to the answer's length on some file systems, so remember it. */
static int host_hole(struct blk_file *f, uint64_t offset, bool *is_hole, uint64_t *until)
{
    struct host *h = f->state;
    int err = 0;
    if (h->device)
        return -ENOTSUP;
    g_mutex_lock(&h->lock);
    if (f->writable || offset < h->hole_from || offset >= h->hole_until) {
        err = seek_hole(h, offset, &h->hole, &h->hole_until);
        h->hole_from = offset;
        if (err)
            h->hole_until = 0;
    }
    *is_hole = h->hole;
    *until = h->hole_until;
    g_mutex_unlock(&h->lock);
    return err;
}

/* With room taken in advance, the file system need not find any for each page: that halves the cost of writing. */
static void host_reserve(struct blk_file *f, uint64_t offset, uint64_t bytes, uint64_t ahead)
{
    struct host *h = f->state;
    uint64_t end = offset + bytes;
    g_mutex_lock(&h->lock);
    bool inside = offset >= h->reserved_from && offset <= h->reserved_end;
    if (!h->device && !h->cannot_reserve && !(inside && end <= h->reserved_end)) {
        uint64_t start = inside ? h->reserved_end : offset;
        h->cannot_reserve = fallocate(h->fd, FALLOC_FL_KEEP_SIZE, start, end - start + ahead) != 0;
        h->reserved_from = start;
        h->reserved_end = end + ahead;
        h->reserved_max = MAX(h->reserved_max, h->reserved_end);
    }
    g_mutex_unlock(&h->lock);
}

static void give_back(struct blk_file *f)
{
    struct host *h = f->state;
    uint64_t size = blk_size(f);
    if (h->reserved_max > size && ftruncate(h->fd, size)) /* to the same size: drops what lies behind */
        g_debug("%s: room behind the end stays reserved: %s", f->path, g_strerror(errno));
    h->reserved_from = h->reserved_end = h->reserved_max = 0;
}

/* A worker of the VM process may not ask by fstat(), which is newfstatat() in the C library; and what cannot be found out is
 * taken for an endless file, never for an empty one: whoever makes room behind the end would cut off what is there. */
static uint64_t host_size(struct blk_file *f)
{
    struct host *h = f->state;
    off_t end = h->device ? (off_t)h->device_bytes : lseek(h->fd, 0, SEEK_END);
    return end < 0 ? UINT64_MAX : (uint64_t)end;
}

/* Nobody else's, and not one that this process reads at the moment. */
static bool part_is_free(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool is_free = fd < 0 || file_lock(fd, true, path, error);
    if (fd >= 0)
        close(fd);
    return is_free;
}

static struct blk_file *create_part(struct blk_file *f, const char *name, GError **error)
{
    struct host *h = f->state;
    g_autofree char *in = g_path_get_dirname(f->path), *path = g_build_filename(in, name, NULL);
    struct blk_file *made = part_is_free(path, error) ? blk_create(path, h->replace, error) : NULL;
    if (made && !h->parts)
        h->parts = g_ptr_array_new_with_free_func((GDestroyNotify)blk_close);
    if (made)
        g_ptr_array_add(h->parts, blk_ref(made));
    return made;
}

static struct blk_file *find_part(struct blk_file *f, const char *name)
{
    struct host *h = f->state;
    for (guint i = 0; h->parts && i < h->parts->len; i++) {
        struct blk_file *part = h->parts->pdata[i];
        g_autofree char *base = g_path_get_basename(part->path);
        if (strcmp(base, name))
            continue;
        part->cache = f->cache;
        return blk_ref(part);
    }
    return NULL;
}

static struct blk_file *host_sibling(struct blk_file *f, const char *name, bool create, GError **error)
{
    struct host *h = f->state;
    struct blk_file *part = create ? create_part(f, name, error) : find_part(f, name);
    if (create || part)
        return part;
    g_autofree char *path = blk_beside(f, name), *folder = g_path_get_dirname(path);
    g_autofree char *real = realpath(path, NULL), *real_folder = realpath(folder, NULL);
    g_autofree char *in = real ? g_path_get_dirname(real) : NULL;
    if (real && real_folder && strcmp(in, real_folder)) {
        disk_fail(error, DISK_ERROR_PERMISSION, "%s leads out of its image's folder, to %s", path, real);
        return NULL;
    }
    return blk_open(path, h->flags, f->cache, error);
}

/* A name is on stable storage when its folder is.  Folders that cannot be opened or synced are none of our business. */
static bool sync_folder(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool lost = fd >= 0 && fsync(fd) && errno != EINVAL && errno != ENOTSUP && errno != EROFS;
    int e = errno;
    if (fd >= 0)
        close(fd);
    return !lost || disk_fail_errno(error, e, "%s", folder);
}

/* Gives it its name: 0 or -1 and errno. */
static int put_name(struct blk_file *f)
{
    struct host *h = f->state;
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", h->fd);
    g_autofree char *with = h->replace ? g_strdup_printf("%s.%08x.part", f->path, g_random_int()) : NULL;
    if (h->part)
        return h->replace ? rename(h->part, f->path)
                          : renameat2(AT_FDCWD, h->part, AT_FDCWD, f->path, RENAME_NOREPLACE);
    if (linkat(AT_FDCWD, self, AT_FDCWD, with ? with : f->path, AT_SYMLINK_FOLLOW))
        return -1;
    if (!with || !rename(with, f->path))
        return 0;
    int e = errno;
    unlink(with);
    errno = e;
    return -1;
}

static bool publish_parts(struct host *h, enum file_cache cache, GError **error)
{
    bool ok = true;
    for (guint i = 0; ok && h->parts && i < h->parts->len; i++) {
        struct blk_file *part = h->parts->pdata[i];
        part->cache = cache;
        ok = blk_publish(part, error);
    }
    return ok;
}

/* What takes the place of another file is synced first in any case: a power cut must not leave neither of them. */
static bool host_publish(struct blk_file *f, GError **error)
{
    struct host *h = f->state;
    struct stat old;
    if (!h->unlinked)
        return true;
    if (!publish_parts(h, f->cache, error))
        return false;
    give_back(f);
    bool lasting = f->cache != CACHE_UNSAFE;
    if ((lasting || (h->replace && !stat(f->path, &old))) && fsync(h->fd))
        return disk_fail_errno(error, errno, "%s", f->path);
    if (put_name(f))
        return disk_fail_errno(error, errno, "cannot create %s", f->path);
    g_clear_pointer(&h->part, g_free);
    h->unlinked = false;
    return !lasting || sync_folder(f->path, error);
}

/* Siblings that have their names already, though it has none itself: they are parts of nothing. */
static void remove_parts(struct host *h)
{
    for (guint i = 0; h->unlinked && h->parts && i < h->parts->len; i++) {
        struct blk_file *part = h->parts->pdata[i];
        struct host *p = part->state;
        if (!p->unlinked && !p->replace)
            unlink(part->path);
    }
    g_clear_pointer(&h->parts, g_ptr_array_unref);
}

static void host_close(struct blk_file *f)
{
    struct host *h = f->state;
    give_back(f);
    if (h->part)
        unlink(h->part);
    remove_parts(h);
    close(h->fd);
    g_mutex_clear(&h->direct_lock);
    g_mutex_clear(&h->lock);
    g_free(h->part);
    g_free(h);
}

static const struct blk_file_ops host_ops = {.preadv = host_preadv,
                                             .preadv_now = host_preadv_now,
                                             .pwritev = host_pwritev,
                                             .sync = host_sync,
                                             .truncate = host_truncate,
                                             .zero = host_zero,
                                             .reserve = host_reserve,
                                             .hole = host_hole,
                                             .size = host_size,
                                             .sibling = host_sibling,
                                             .publish = host_publish,
                                             .close = host_close};

/* ---- open and create ---- */
static struct blk_file *host_new(int fd, const char *path, unsigned flags, enum file_cache cache)
{
    struct blk_file *f = g_new0(struct blk_file, 1);
    struct host *h = g_new0(struct host, 1);
    *f = (struct blk_file){&host_ops, g_strdup(path), flags & FILE_WRITE, cache, h};
    h->fd = fd;
    h->flags = flags;
    g_mutex_init(&h->direct_lock);
    g_mutex_init(&h->lock);
    return f;
}

static const char *kind_name(mode_t mode)
{
    if (S_ISDIR(mode))
        return "folder";
    if (S_ISFIFO(mode))
        return "pipe";
    return S_ISSOCK(mode) ? "socket" : S_ISBLK(mode) ? "block device" : "character device";
}

static bool accept_kind(struct blk_file *f, GError **error)
{
    struct host *h = f->state;
    struct stat st;
    if (fstat(h->fd, &st))
        return disk_fail_errno(error, errno, "%s", f->path);
    if (S_ISBLK(st.st_mode)) {
        h->device = true;
        return !ioctl(h->fd, BLKGETSIZE64, &h->device_bytes) || disk_fail_errno(error, errno, "%s", f->path);
    }
    if (S_ISREG(st.st_mode))
        return true;
    return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s is a %s, not a disk image", f->path, kind_name(st.st_mode));
}

/* The file if it is one for images and nobody's else; takes it. */
static struct blk_file *host_accept(struct blk_file *f, bool direct, GError **error)
{
    struct host *h = f->state;
    h->direct = direct;
    if (accept_kind(f, error) && (h->flags & FILE_NO_LOCK || file_lock(h->fd, h->flags & FILE_WRITE, f->path, error)))
        return f;
    blk_close(f);
    return NULL;
}

/* A pipe must not block; a CD drive must look whether there is a disc in it, and lock its tray. */
static int without_waiting(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISBLK(st.st_mode) ? 0 : O_NONBLOCK;
}

struct blk_file *blk_open(const char *path, unsigned flags, enum file_cache cache, GError **error)
{
    int mode = (flags & FILE_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | without_waiting(path);
    int fd = open(path, mode | (cache == CACHE_NONE ? O_DIRECT : 0));
    bool direct = fd >= 0 && cache == CACHE_NONE;
    if (fd < 0 && errno == EINVAL && cache == CACHE_NONE)
        fd = open(path, mode); /* the file system has no O_DIRECT */
    if (fd < 0) {
        disk_fail_errno(error, errno, "cannot open %s", path);
        return NULL;
    }
    return host_accept(host_new(fd, path, flags, cache), direct, error);
}

struct blk_file *blk_open_fd(int fd, const char *path, unsigned flags, enum file_cache cache, GError **error)
{
    int mode = fcntl(fd, F_GETFL), wanted = flags & FILE_WRITE ? O_RDWR : O_RDONLY, is = mode & O_ACCMODE;
    if (mode < 0 || mode & O_PATH || (is != O_RDWR && is != wanted)) {
        disk_fail(error, DISK_ERROR_PERMISSION, "%s was not opened for %s", path,
                  flags & FILE_WRITE ? "writing" : "reading");
        close(fd);
        return NULL;
    }
    bool direct = cache == CACHE_NONE && !fcntl(fd, F_SETFL, mode | O_DIRECT);
    return host_accept(host_new(fd, path, flags, cache), direct, error);
}

/* ".BASE.RANDOM.part" */
static bool is_part_of(const char *name, const char *base)
{
    size_t n = strlen(base);
    return *name == '.' && !strncmp(name + 1, base, n) && name[n + 1] == '.' &&
           strspn(name + n + 2, "0123456789abcdef") == 8 && !strcmp(name + n + 10, ".part");
}

/* What a killed process left of a file of that name: whoever still writes one has it locked. */
static void remove_left_over(const char *folder, const char *base)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = is_part_of(name, base) ? g_build_filename(folder, name, NULL) : NULL;
        int fd = path ? open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
        if (fd >= 0 && file_lock(fd, true, path, NULL))
            unlink(path);
        if (fd >= 0)
            close(fd);
    }
    g_clear_pointer(&dir, g_dir_close);
}

static int open_part(const char *path, char **part)
{
    g_autofree char *folder = g_path_get_dirname(path), *base = g_path_get_basename(path);
    remove_left_over(folder, base);
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    *part = g_strdup_printf("%s/.%s.%08x.part", folder, base, g_random_int());
    fd = open(*part, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
    if (fd < 0)
        g_clear_pointer(part, g_free);
    else
        file_lock(fd, true, *part, NULL); /* so that it is not taken for a left-over one */
    return fd;
}

struct blk_file *blk_create(const char *path, bool replace, GError **error)
{
    char *part = NULL;
    g_autofree char *real = replace && g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? realpath(path, NULL) : NULL;
    path = real ? real : path; /* the link stays */
    if (!replace && g_file_test(path, G_FILE_TEST_EXISTS)) {
        disk_fail(error, DISK_ERROR_EXISTS, "%s exists already", path);
        return NULL;
    }
    struct stat old;
    if (!stat(path, &old) && !S_ISREG(old.st_mode)) {
        disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s is a %s; it is left alone rather than replaced by a file", path,
                  kind_name(old.st_mode));
        return NULL;
    }
    int fd = open_part(path, &part);
    if (fd < 0) {
        disk_fail_errno(error, errno, "cannot create %s", path);
        return NULL;
    }
    struct blk_file *f = host_new(fd, path, FILE_WRITE, CACHE_WRITEBACK);
    struct host *h = f->state;
    h->part = part;
    h->unlinked = true;
    h->replace = replace;
    return f;
}

bool blk_lock_slice(struct blk_file *f, const struct file_slice *slice, GError **error)
{
    struct host *h = f->state;
    return file_lock_slice(h->fd, f->writable, slice, f->path, error);
}

static bool host_stat(struct blk_file *f, struct stat *st)
{
    return f->ops == &host_ops && fstat(((struct host *)f->state)->fd, st) == 0;
}

bool blk_same(struct blk_file *a, struct blk_file *b)
{
    struct stat x, y;
    return a == b || (host_stat(a, &x) && host_stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

bool blk_has_name(struct blk_file *f, const char *path)
{
    struct stat x, y;
    return host_stat(f, &x) && !stat(path, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

uint64_t blk_allocated(struct blk_file *f)
{
    struct stat st;
    return host_stat(f, &st) ? (uint64_t)st.st_blocks * 512 : blk_size(f);
}

int64_t blk_mtime(struct blk_file *f)
{
    struct stat st;
    return host_stat(f, &st) && S_ISREG(st.st_mode) ? st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec : 0;
}

int64_t blk_lasting_mtime(struct blk_file *f)
{
    if (f->ops == &host_ops && fsync(((struct host *)f->state)->fd) && errno != EINVAL && errno != EROFS)
        return 0;
    return blk_mtime(f);
}

void blk_set_mtime(struct blk_file *f, int64_t time)
{
    struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {time / 1000000000, time % 1000000000}};
    int fd = f->ops == &host_ops && time > 0 ? ((struct host *)f->state)->fd : -1;
    if (fd >= 0 && (futimens(fd, t) || fsync(fd)))
        g_debug("%s: its time could not be set: %s", f->path, g_strerror(errno));
}

void blk_only_read(struct blk_file *f)
{
    if (f->ops != &host_ops)
        return;
    give_back(f);
    file_unlock_write(((struct host *)f->state)->fd);
    f->writable = false;
}
