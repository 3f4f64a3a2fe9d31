// SPDX-License-Identifier: GPL-2.0-or-later
/* volume_ntfs.c - NTFS, by libntfs-3g, read-only and without its journal.  Names in any case; files that a reparse point stands for (links,
 * those that Windows 10 and later keeps packed, those of a cloud) are not read. */
#include "core-vmm/look/volume.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* These want to be told what there is, and come behind sys/stat.h. */
#include <ntfs-3g/attrib.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/logging.h>
#include <ntfs-3g/volume.h>

enum { PIECE = 1 << 20, BLOCK = 512 };

/* ---- its disk ---- */

struct disk {
    const struct source *source;
    s64 at;
};

static int dev_open(struct ntfs_device *d, int flags)
{
    NDevSetOpen(d);
    NDevSetReadOnly(d);
    return 0;
}

static int dev_close(struct ntfs_device *d)
{
    NDevClearOpen(d);
    return 0;
}

static s64 dev_seek(struct ntfs_device *d, s64 offset, int whence)
{
    struct disk *disk = d->d_private;
    s64 from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? disk->at : (s64)disk->source->bytes;
    if (offset < -from || offset > (s64)disk->source->bytes - from) {
        errno = EINVAL;
        return -1;
    }
    return disk->at = from + offset;
}

static s64 dev_pread(struct ntfs_device *d, void *to, s64 count, s64 at)
{
    const struct source *s = ((struct disk *)d->d_private)->source;
    s64 left = at >= 0 && (uint64_t)at < s->bytes ? (s64)(s->bytes - at) : 0, n = MIN(MAX(count, 0), left);
    if (n && !source_read(s, at, to, n)) {
        errno = EIO;
        return -1;
    }
    return n;
}

static s64 dev_read(struct ntfs_device *d, void *to, s64 count)
{
    struct disk *disk = d->d_private;
    s64 n = dev_pread(d, to, count, disk->at);
    disk->at += MAX(n, 0);
    return n;
}

static s64 dev_write(struct ntfs_device *d, const void *from, s64 count)
{
    errno = EROFS;
    return -1;
}

static s64 dev_pwrite(struct ntfs_device *d, const void *from, s64 count, s64 at)
{
    errno = EROFS;
    return -1;
}

static int dev_sync(struct ntfs_device *d)
{
    return 0;
}

static int dev_stat(struct ntfs_device *d, struct stat *st)
{
    const struct source *s = ((struct disk *)d->d_private)->source;
    *st = (struct stat){.st_mode = S_IFREG | 0400, .st_size = s->bytes, .st_blksize = BLOCK};
    return 0;
}

static int dev_ioctl(struct ntfs_device *d, unsigned long request, void *arg)
{
    errno = ENOTTY;
    return -1;
}

/* ---- a file ---- */

static bool ntfs_is(const struct source *s)
{
    char name[8];
    return source_read(s, 3, name, sizeof name) && !memcmp(name, "NTFS    ", sizeof name);
}

static enum file_result copy_data(ntfs_attr *a, const struct file_sink *to)
{
    g_autofree uint8_t *some = g_malloc(PIECE);
    for (s64 at = 0; at < a->data_size;) {
        s64 n = ntfs_attr_pread(a, at, MIN(PIECE, a->data_size - at), some);
        if (n <= 0)
            return FILE_DAMAGED;
        if (!to->put(to->ctx, some, n))
            return FILE_NOT_TAKEN;
        at += n;
    }
    return FILE_DONE;
}

static enum file_result copy_inode(ntfs_inode *i, const struct file_sink *to)
{
    if (i->mrec->flags & MFT_RECORD_IS_DIRECTORY)
        return FILE_NO_FILE;
    if (i->flags & (FILE_ATTR_REPARSE_POINT | FILE_ATTR_ENCRYPTED))
        return FILE_UNREADABLE;
    ntfs_attr *a = ntfs_attr_open(i, AT_DATA, AT_UNNAMED, 0);
    if (!a)
        return FILE_DAMAGED;
    const struct disk *disk = i->vol->dev->d_private;
    enum file_result result = file_fits(disk->source, a->data_size, to) ? copy_data(a, to) : FILE_TOO_LARGE;
    ntfs_attr_close(a);
    return result;
}

static enum file_result copy_from(ntfs_volume *v, const char *path, const struct file_sink *to)
{
    ntfs_set_ignore_case(v);
    errno = 0;
    ntfs_inode *i = ntfs_pathname_to_inode(v, NULL, path);
    if (!i)
        return errno == ENOENT || errno == ENOTDIR ? FILE_NOT_THERE : FILE_DAMAGED;
    enum file_result result = copy_inode(i, to);
    ntfs_inode_close(i);
    return result;
}

struct mounted {
    struct disk disk;
    ntfs_volume *volume;
};

/* NULL: it cannot be read. */
static struct mounted *mount_disk(const struct source *s)
{
    static struct ntfs_device_operations ops = {.open = dev_open,
                                                .close = dev_close,
                                                .seek = dev_seek,
                                                .read = dev_read,
                                                .write = dev_write,
                                                .pread = dev_pread,
                                                .pwrite = dev_pwrite,
                                                .sync = dev_sync,
                                                .stat = dev_stat,
                                                .ioctl = dev_ioctl};
    struct mounted *m = g_new0(struct mounted, 1);
    m->disk.source = s;
    ntfs_log_set_handler(ntfs_log_handler_null);
    ntfs_set_char_encoding("C.UTF-8");
    struct ntfs_device *d = ntfs_device_alloc("disk", 0, &ops, &m->disk);
    m->volume = d ? ntfs_device_mount(d, NTFS_MNT_RDONLY | NTFS_MNT_FORENSIC) : NULL;
    if (m->volume)
        return m;
    if (d)
        ntfs_device_free(d);
    g_free(m);
    return NULL;
}

static void unmount(void *mounted)
{
    struct mounted *m = mounted;
    ntfs_umount(m->volume, TRUE); /* and the device */
    g_free(m);
}

static enum file_result ntfs_copy(const struct source *s, const char *path, const struct file_sink *to)
{
    struct mounted *m = mount_disk(s);
    if (!m)
        return FILE_DAMAGED;
    enum file_result result = copy_from(m->volume, path, to);
    unmount(m);
    return result;
}

/* ---- a folder ---- */

static void *ntfs_open(const struct source *s, uint64_t *root)
{
    *root = FILE_root;
    return mount_disk(s);
}

struct listing {
    ntfs_volume *volume;
    volume_entry_fn fn;
    void *ctx;
    enum file_result result;
};

static int stop(struct listing *l, enum file_result why)
{
    l->result = why;
    return -1;
}

/* A file has a second name for DOS; what the file system keeps of itself is not the user's. */
static int take_entry(void *listing, const ntfschar *units, const int n, const int kind, const s64 at,
                      const MFT_REF ref, const unsigned type)
{
    struct listing *l = listing;
    char *name = NULL;
    if ((kind & 3) == FILE_NAME_DOS || MREF(ref) < FILE_first_user)
        return 0;
    ntfs_inode *i = ntfs_inode_open(l->volume, ref);
    if (!i)
        return stop(l, FILE_DAMAGED);
    struct volume_entry e = {.id = MREF(ref), .folder = i->mrec->flags & MFT_RECORD_IS_DIRECTORY};
    const uint64_t marks[] = {e.folder ? 0 : i->data_size, i->last_data_change_time, i->last_mft_change_time,
                              (uint64_t)i->flags << 32 | i->security_id};
    memcpy(e.marks, marks, sizeof marks);
    ntfs_inode_close(i);
    if (ntfs_ucstombs(units, n, &name, 0) < 0)
        return 0;
    e.name = name;
    bool goes_on = strchr(name, '/') || l->fn(l->ctx, &e);
    free(name);
    return goes_on ? 0 : stop(l, FILE_NOT_TAKEN);
}

static enum file_result ntfs_list(void *mounted, uint64_t folder, volume_entry_fn fn, void *ctx)
{
    struct listing l = {((struct mounted *)mounted)->volume, fn, ctx, FILE_DONE};
    s64 at = 0;
    ntfs_inode *i = ntfs_inode_open(l.volume, folder);
    int bad = i ? ntfs_readdir(i, &at, &l, take_entry) : -1;
    if (i)
        ntfs_inode_close(i);
    return l.result != FILE_DONE ? l.result : bad ? FILE_DAMAGED : FILE_DONE;
}

const struct volume_kind volume_ntfs = {"NTFS", ntfs_is, ntfs_open, ntfs_list, unmount, ntfs_copy};
