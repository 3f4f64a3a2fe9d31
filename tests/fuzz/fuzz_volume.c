// SPDX-License-Identifier: GPL-2.0-or-later
/* A disk with a file system in it, with anything in it: a file is found and read, or not, in one clause; and its files are compared with
 * those of the right one.  An input that begins with an odd
 * byte is the disk itself; else it changes one that is right: a small FAT12 in a partition table, or the image that FUZZ_IMAGE names
 * in the environment (of ext4 or NTFS: these are read by libraries). */
#include "core-vmm/look/volume.h"
#include "core-vmm/base/bytes.h"
#include "tests/fuzz/bytes.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SECTOR_BYTES = 512,
    START = 4,
    SECTORS = 64,
    DISK = (START + SECTORS) * SECTOR_BYTES,
    FAT_AT = 1,
    ROOT_AT = 3,
    DATA_AT = 4,
    MOST = 64 << 20
};

static uint8_t *sector(uint8_t *disk, unsigned n)
{
    return disk + (START + n) * SECTOR_BYTES;
}

static void put_entry(uint8_t *e, const char *name, uint8_t attributes, unsigned cluster, unsigned bytes)
{
    memcpy(e, name, 11);
    e[11] = attributes;
    put_le16(e + 26, cluster);
    put_le32(e + 28, bytes);
}

/* A folder DIR with a file of three clusters, which has a long name. */
static uint8_t *small_disk(void)
{
    static const uint8_t chains[] = {0xf8, 0xff, 0xff, 0xff, 0x4f, 0x00, 0x05, 0xf0, 0xff};
    uint8_t *disk = g_malloc0(DISK), *boot = sector(disk, 0), *mbr = disk + 446;
    mbr[4] = 1;
    put_le32(mbr + 8, START);
    put_le32(mbr + 12, SECTORS);
    put_le16(disk + 510, 0xaa55);
    boot[0] = 0xeb;
    put_le16(boot + 11, SECTOR_BYTES);
    boot[13] = 1;
    put_le16(boot + 14, FAT_AT);
    boot[16] = 2;
    put_le16(boot + 17, SECTOR_BYTES / 32);
    put_le16(boot + 19, SECTORS);
    put_le16(boot + 22, 1);
    put_le16(boot + 510, 0xaa55);
    memcpy(sector(disk, FAT_AT), chains, sizeof chains);
    put_entry(sector(disk, ROOT_AT), "DIR        ", 0x10, 2, 0);
    uint8_t *e = sector(disk, DATA_AT);
    static const uint8_t part[32] = {0x41, 'l', 0, 'o', 0, 'n', 0, 'g', 0, 0, 0, 0x0f, 0, 0, 0xff, 0xff};
    memcpy(e, part, sizeof part);
    put_entry(e + 32, "LONG~1     ", 0, 3, 3 * SECTOR_BYTES - 7);
    return disk;
}

static uint8_t *right_disk(gsize *bytes)
{
    const char *path = g_getenv("FUZZ_IMAGE");
    char *all = NULL;
    *bytes = DISK;
    if (!path)
        return small_disk();
    if (!g_file_get_contents(path, &all, bytes, NULL))
        g_error("%s cannot be read", path);
    return (uint8_t *)all;
}

struct got {
    uint64_t bytes;
};

static bool put(void *ctx, const void *data, size_t n)
{
    struct got *g = ctx;
    g->bytes += n;
    return g->bytes < MOST; /* a file may say that it is as long as it likes */
}

static void read_all(const uint8_t *disk, size_t n)
{
    static const char *const paths[] = {"dir/long", "DIR/LONG~1", "hello.txt", "dir/sub/big", "link", "dir"};
    struct source s;
    source_of_memory(&s, disk, n);
    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        struct got got = {0};
        const struct file_sink to = {put, &got};
        const char *why = NULL;
        if (!volumes_copy(&s, i % 2, paths[i], &to, &why) && !why)
            g_error("refused without a reason");
    }
}

static bool take_change(void *ctx, const struct volume_change *c)
{
    unsigned *left = ctx;
    if (!*c->path || !strchr("+-*", c->how))
        g_error("a change of nothing");
    return --*left > 0;
}

static void compare_all(const uint8_t *disk, size_t n, const uint8_t *other, size_t m)
{
    struct source a, b;
    source_of_memory(&a, disk, n);
    source_of_memory(&b, other, m);
    g_autoptr(GArray) x = volumes_partitions(&a), y = volumes_partitions(&b);
    for (guint i = 0; i < MIN(x->len, y->len); i++) {
        const struct partition *p = &g_array_index(x, struct partition, i), *q = &g_array_index(y, struct partition, i);
        struct within rooms[2];
        const struct source s = volumes_source(&a, p, &rooms[0]), t = volumes_source(&b, q, &rooms[1]);
        unsigned left = 1000;
        if (p->kind && p->kind == q->kind)
            volumes_compare(p->kind, &s, &t, take_change, &left);
    }
}

/* Triples of place (of three bytes) and byte. */
static void change(uint8_t *disk, size_t n, struct bytes *in)
{
    while (in->left >= 4) {
        size_t at = take_number(in, 3);
        disk[at % n] = take(in);
    }
}

/* Else nothing is tried. */
static void check_right_disk(const uint8_t *disk, size_t n)
{
    struct source s;
    struct got got = {0};
    const struct file_sink to = {put, &got};
    const char *why;
    source_of_memory(&s, disk, n);
    if (!volumes_copy(&s, 1, "/Dir/LONG", &to, &why) || got.bytes != 3 * SECTOR_BYTES - 7)
        g_error("the file is not found as it should be: %s", why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = {data, size};
    if (!size)
        return 0;
    if (take(&in) & 1) {
        g_autofree uint8_t *own = g_memdup2(data + 1, size - 1); /* of its own, so that a step behind it is seen */
        read_all(own ? own : data + 1, size - 1);
        compare_all(own ? own : data + 1, size - 1, own ? own : data + 1, size - 1);
        return 0;
    }
    gsize n;
    g_autofree uint8_t *disk = right_disk(&n);
    if (!g_getenv("FUZZ_IMAGE"))
        check_right_disk(disk, n);
    g_autofree uint8_t *right = g_memdup2(disk, n);
    change(disk, n, &in);
    read_all(disk, n);
    compare_all(right, n, disk, n);
    return 0;
}
