// SPDX-License-Identifier: GPL-2.0-or-later
/* volume_ext.c - ext2, ext3 and ext4, by libext2fs.  What is only in the journal is not seen: of a machine that ran, that is what the last
 * seconds changed of names and sizes. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/look/volume.h"
#include <ext2fs/ext2fs.h>
#include <stdio.h>
#include <string.h>

enum { SUPERBLOCK = 1024, MAGIC_AT = SUPERBLOCK + 56, MAGIC = 0xef53, PIECE = 1 << 20 };

/* ---- its disk ---- */

static errcode_t io_read64(io_channel c, unsigned long long block, int count, void *to)
{
    const struct source *s = c->private_data;
    uint64_t size = c->block_size, bytes = count < 0 ? (uint64_t) - (int64_t)count : size * count;
    if (block > s->bytes / size || !source_read(s, block * size, to, bytes))
        return EXT2_ET_SHORT_READ;
    return 0;
}

static errcode_t io_read(io_channel c, unsigned long block, int count, void *to)
{
    return io_read64(c, block, count, to);
}

static errcode_t io_write64(io_channel c, unsigned long long block, int count, const void *from)
{
    return EXT2_ET_RO_FILSYS;
}

static errcode_t io_write(io_channel c, unsigned long block, int count, const void *from)
{
    return EXT2_ET_RO_FILSYS;
}

static errcode_t io_set_size(io_channel c, int size)
{
    c->block_size = size;
    return size >= 512 ? 0 : EXT2_ET_UNEXPECTED_BLOCK_SIZE;
}

static errcode_t io_flush(io_channel c)
{
    return 0;
}

static errcode_t io_close(io_channel c)
{
    if (--c->refcount > 0)
        return 0;
    ext2fs_free_mem(&c->name);
    return ext2fs_free_mem(&c);
}

static errcode_t io_open(const char *name, int flags, io_channel *out);

static const struct struct_io_manager *manager(void)
{
    static const struct struct_io_manager m = {.magic = EXT2_ET_MAGIC_IO_MANAGER,
                                               .name = "source",
                                               .open = io_open,
                                               .close = io_close,
                                               .set_blksize = io_set_size,
                                               .read_blk = io_read,
                                               .write_blk = io_write,
                                               .flush = io_flush,
                                               .read_blk64 = io_read64,
                                               .write_blk64 = io_write64};
    return &m;
}

/* The library gives nothing but a name on the way: it is the source's address. */
static errcode_t io_open(const char *name, int flags, io_channel *out)
{
    void *source = NULL;
    io_channel c;
    errcode_t err = ext2fs_get_memzero(sizeof *c, &c);
    if (!err && sscanf(name, "%p", &source) != 1)
        err = EXT2_ET_BAD_DEVICE_NAME;
    err = err ? err : ext2fs_get_mem(strlen(name) + 1, &c->name);
    if (err)
        return err;
    strcpy(c->name, name); /* as long as it is */
    c->magic = EXT2_ET_MAGIC_IO_CHANNEL;
    c->manager = (io_manager)manager();
    c->block_size = SUPERBLOCK;
    c->refcount = 1;
    c->private_data = source;
    *out = c;
    return 0;
}

/* ---- a file ---- */

static bool ext_is(const struct source *s)
{
    uint8_t magic[2];
    return source_read(s, MAGIC_AT, magic, sizeof magic) && get_le16(magic) == MAGIC;
}

static enum file_result copy_file(ext2_filsys fs, ext2_ino_t inode, const struct file_sink *to)
{
    g_autofree uint8_t *some = g_malloc(PIECE);
    ext2_file_t file;
    unsigned got = 1;
    if (ext2fs_file_open(fs, inode, 0, &file))
        return FILE_DAMAGED;
    enum file_result result = FILE_DONE;
    while (got && result == FILE_DONE) {
        if (ext2fs_file_read(file, some, PIECE, &got))
            result = FILE_DAMAGED;
        else if (got && !to->put(to->ctx, some, got))
            result = FILE_NOT_TAKEN;
    }
    ext2fs_file_close(file);
    return result;
}

static enum file_result copy_from(ext2_filsys fs, const char *path, const struct file_sink *to)
{
    struct ext2_inode inode;
    ext2_ino_t number;
    errcode_t err = ext2fs_namei_follow(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &number);
    if (err)
        return err == EXT2_ET_FILE_NOT_FOUND || err == EXT2_ET_NO_DIRECTORY ? FILE_NOT_THERE : FILE_DAMAGED;
    if (ext2fs_read_inode(fs, number, &inode))
        return FILE_DAMAGED;
    if (!LINUX_S_ISREG(inode.i_mode))
        return FILE_NO_FILE;
    if (!file_fits(fs->io->private_data, EXT2_I_SIZE(&inode), to))
        return FILE_TOO_LARGE;
    return inode.i_flags & EXT4_ENCRYPT_FL ? FILE_UNREADABLE : copy_file(fs, number, to);
}

/* NULL: *err says why. */
static ext2_filsys open_fs(const struct source *s, errcode_t *err)
{
    g_autofree char *name = g_strdup_printf("%p", (const void *)s);
    ext2_filsys fs;
    *err = ext2fs_open2(name, NULL, EXT2_FLAG_64BITS, 0, 0, (io_manager)manager(), &fs);
    return *err ? NULL : fs;
}

static enum file_result ext_copy(const struct source *s, const char *path, const struct file_sink *to)
{
    errcode_t err;
    ext2_filsys fs = open_fs(s, &err);
    if (!fs)
        return err == EXT2_ET_UNSUPP_FEATURE ? FILE_UNREADABLE : FILE_DAMAGED;
    enum file_result result = copy_from(fs, path, to);
    ext2fs_free(fs); /* without the flush of ext2fs_close() */
    return result;
}

/* ---- a folder ---- */

static void *ext_open(const struct source *s, uint64_t *root)
{
    errcode_t err;
    *root = EXT2_ROOT_INO;
    return open_fs(s, &err);
}

static void ext_close(void *volume)
{
    ext2fs_free(volume);
}

struct listing {
    ext2_filsys fs;
    volume_entry_fn fn;
    void *ctx;
    enum file_result result;
};

/* Of the large inodes of ext4 the parts of a second, too: two writes may fall into one second. */
static void set_marks(const struct ext2_inode_large *i, uint64_t *marks)
{
    bool large = i->i_extra_isize >= 12;
    marks[0] = EXT2_I_SIZE((const struct ext2_inode *)i);
    marks[1] = (uint64_t)i->i_mtime << 32 | (large ? i->i_mtime_extra : 0);
    marks[2] = (uint64_t)i->i_ctime << 32 | (large ? i->i_ctime_extra : 0);
    marks[3] = (uint64_t)i->i_mode << 48 | ((uint64_t)inode_gid(*i) & 0xffffff) << 24 | (inode_uid(*i) & 0xffffff);
}

static int take_entry(ext2_ino_t folder, int kind, struct ext2_dir_entry *e, int offset, int block_size, char *block,
                      void *listing)
{
    struct listing *l = listing;
    struct ext2_inode_large inode = {0};
    char name[EXT2_NAME_LEN + 1] = {0};
    memcpy(name, e->name, ext2fs_dirent_name_len(e));
    if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
        return 0;
    if (ext2fs_read_inode_full(l->fs, e->inode, (struct ext2_inode *)&inode, sizeof inode)) {
        l->result = FILE_DAMAGED;
        return DIRENT_ABORT;
    }
    struct volume_entry out = {.name = name, .id = e->inode, .folder = LINUX_S_ISDIR(inode.i_mode)};
    set_marks(&inode, out.marks);
    if (l->fn(l->ctx, &out))
        return 0;
    l->result = FILE_NOT_TAKEN;
    return DIRENT_ABORT;
}

static enum file_result ext_list(void *volume, uint64_t folder, volume_entry_fn fn, void *ctx)
{
    struct listing l = {volume, fn, ctx, FILE_DONE};
    errcode_t err = ext2fs_dir_iterate2(volume, folder, 0, NULL, take_entry, &l);
    return l.result != FILE_DONE ? l.result : err ? FILE_DAMAGED : FILE_DONE;
}

const struct volume_kind volume_ext = {"ext4", ext_is, ext_open, ext_list, ext_close, ext_copy};
