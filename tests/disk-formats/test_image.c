// SPDX-License-Identifier: GPL-2.0-or-later
/* test_image.c - opening and its refusals, locks, chains, bounds, failing hosts, many threads at once. */
#include "core-vmm/base/bytes.h"
#include "disk-formats/ops/ops.h"
#include "tests/disk-formats/variants.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#define BYTES (4u << 20)

static char *in(const char *folder, const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void make(const char *path, const char *format, const char *parent, const char *parent_format)
{
    GError *error = NULL;
    struct image_options o = {.bytes = parent ? 0 : BYTES, .parent = parent, .parent_format = parent_format};
    image_create(path, format, &o, true, &error);
    g_assert_no_error(error);
}

/* Opening must fail with that code, and the message must say that. */
static void refused(const char *path, const char *format, bool write, int code, const char *says)
{
    GError *error = NULL;
    struct image_how how = {.format = format, .write = write};
    struct image *im = image_open(path, &how, &error);
    g_assert_null(im);
    if (code >= 0)
        g_assert_error(error, DISK_ERROR, code);
    if (!strstr(error->message, says))
        g_error("\"%s\" does not say \"%s\"", error->message, says);
    g_clear_error(&error);
}

static void poke(const char *path, off_t at, const void *data, size_t n)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, data, n, at), ==, n);
    close(fd);
}

/* ---- refusals ---- */
static void test_kinds_of_file(void)
{
    char *folder = scratch_new();
    g_autofree char *fifo = in(folder, "fifo"), *empty = in(folder, "empty"), *none = in(folder, "none");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_file_set_contents(empty, "", 0, NULL);
    refused(fifo, "raw", false, DISK_ERROR_UNSUPPORTED, "pipe");
    refused(folder, "raw", false, DISK_ERROR_UNSUPPORTED, "folder");
    refused("/dev/zero", "raw", false, DISK_ERROR_UNSUPPORTED, "device");
    refused(none, "raw", false, DISK_ERROR_NOT_FOUND, "No such file");
    refused(empty, "raw", false, DISK_ERROR_CORRUPT, "empty");
    refused(empty, "qcow3", false, DISK_ERROR_USAGE, "there are: raw qcow2");
    for (const struct image_format *const *f = image_formats(); *f; f++)
        if (strcmp((*f)->name, "raw"))
            refused(empty, (*f)->name, false, DISK_ERROR_CORRUPT, empty);
    struct image_options o = {.bytes = 1 << 20};
    struct stat st;
    GError *error = NULL;
    g_assert_false(image_create(fifo, "raw", &o, true, &error));
    g_assert_error(error, DISK_ERROR, DISK_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    g_assert_true(!stat(fifo, &st) && S_ISFIFO(st.st_mode));
    scratch_remove(folder);
}

/* Cut anywhere, a good image is an error or still opens; never a crash. */
static void test_truncated(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "x");
    for (const struct image_format *const *f = image_formats(); *f; f++) {
        struct image_how how = {.format = (*f)->name};
        struct stat st;
        make(path, (*f)->name, NULL, NULL);
        g_assert_cmpint(stat(path, &st), ==, 0);
        for (off_t n = st.st_size - 1; n > 0; n = n * 3 / 4) {
            g_assert_cmpint(truncate(path, n), ==, 0);
            image_close(image_open(path, &how, NULL));
        }
    }
    scratch_remove(folder);
}

static void test_features(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "a.qcow2");
    make(path, "qcow2", NULL, NULL);
    poke(path, 79, "\x80", 1);
    refused(path, "qcow2", false, DISK_ERROR_UNSUPPORTED, "bit 7");
    poke(path, 79, "\x02", 1);
    refused(path, "qcow2", true, DISK_ERROR_CORRUPT, "marked as corrupt");
    image_close(open_image(path, "qcow2", false));
    poke(path, 79, "\0", 1);
    poke(path, 35, "\2", 1);
    refused(path, "qcow2", false, DISK_ERROR_UNSUPPORTED, "encrypted");
    scratch_remove(folder);
}

static void test_outside_folder(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "a.vmdk"), *secret = in(folder, "secret"), *link_name = in(folder, "link");
    const char *text =
        "# Disk DescriptorFile\nversion=1\nCID=00000001\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
        "RW 1 FLAT \"%s\" 0\n";
    g_autofree char *up = g_strdup_printf(text, "../../etc/passwd"), *abs = g_strdup_printf(text, "/etc/passwd"),
                    *by_link = g_strdup_printf(text, "link");
    g_file_set_contents(path, up, -1, NULL);
    refused(path, "vmdk", false, DISK_ERROR_CORRUPT, "outside its own folder");
    g_file_set_contents(path, abs, -1, NULL);
    refused(path, "vmdk", false, DISK_ERROR_CORRUPT, "outside its own folder");
    g_assert_cmpint(symlink("/etc/passwd", link_name), ==, 0);
    g_file_set_contents(path, by_link, -1, NULL);
    refused(path, "vmdk", false, DISK_ERROR_PERMISSION, "leads out");
    scratch_remove(folder);
}

/* A block that is there in part needs a map of its sectors, which an image without a parent has not; one outside the data
 * must not be zeroed either. */
static void test_vhdx_block_table(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "x.vhdx");
    uint8_t sector[512], partial[8], outside[8];
    struct image_check c;
    make(path, "vhdx", NULL, NULL);
    put_le64(partial, 4 << 20 | 7);
    put_le64(outside, 6);
    poke(path, 3 << 20, partial, sizeof partial);
    struct image *im = open_image(path, "vhdx", true);
    g_assert_cmpint(image_read(im, 0, sector, sizeof sector), ==, -EBADMSG);
    image_check_init(&c);
    g_assert_true(image_check(im, false, &c, NULL));
    g_assert_cmpuint(c.corruptions, >=, 1);
    image_check_clear(&c);
    image_close(im);
    poke(path, 3 << 20, outside, sizeof outside);
    im = open_image(path, "vhdx", true);
    g_assert_cmpint(image_zero(im, 0, im->bytes), ==, -EBADMSG);
    image_close(im);
    scratch_remove(folder);
}

/* What an image names is found through a link to it. */
static void test_link(void)
{
    char *folder = scratch_new();
    g_autofree char *real = in(folder, "real"), *links = in(folder, "links");
    g_autofree char *base = in(real, "base.vmdk"), *child = in(real, "child.qcow2"), *link = in(links, "x.qcow2"),
                    *split = in(real, "s.vmdk"), *split_link = in(links, "s.vmdk");
    char *parts[] = {"subformat=twoGbMaxExtentSparse", NULL};
    struct image_options o = {.bytes = BYTES, .options = parts};
    g_assert_cmpint(g_mkdir(real, 0700) | g_mkdir(links, 0700), ==, 0);
    make(base, "vmdk", NULL, NULL);
    make(child, "qcow2", "base.vmdk", "vmdk");
    g_assert_true(image_create(split, "vmdk", &o, false, NULL));
    g_assert_cmpint(symlink("../real/child.qcow2", link) | symlink(split, split_link), ==, 0);
    image_close(open_image(link, "qcow2", true));
    image_close(open_image(split_link, "vmdk", true));
    struct image_how how = {.format = "qcow2"};
    g_assert_true(disk_commit(link, &how, false, NULL, NULL)); /* a new file takes the old one's place */
    g_assert_true(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
    struct image *im = open_image(link, "qcow2", true);
    g_assert_nonnull(im->parent);
    image_close(im);
    g_assert_true(disk_pull(link, &how, NULL, NULL));
    im = open_image(child, "qcow2", true);
    g_assert_null(im->parent);
    image_close(im);
    scratch_remove(folder);
}

static void test_bounds(void)
{
    for (unsigned i = 0; i < variant_count; i++) {
        char *folder = scratch_new(), sector[512] = {0};
        g_autofree char *path = in(folder, "x");
        struct image_options o = {.bytes = BYTES, .options = (char **)variants[i].options, .fixed = variants[i].fixed};
        GError *error = NULL;
        image_create(path, variants[i].format, &o, false, &error);
        g_assert_no_error(error);
        struct image *im = open_image(path, variants[i].format, true);
        g_assert_cmpint(image_write(im, BYTES - 512, sector, 512), ==, 0);
        g_assert_cmpint(image_write(im, BYTES, sector, 512), ==, -EINVAL);
        g_assert_cmpint(image_read(im, BYTES - 256, sector, 512), ==, -EINVAL);
        g_assert_cmpint(image_zero(im, UINT64_MAX - 511, 512), ==, -EINVAL);
        g_assert_cmpint(image_discard(im, 512, UINT64_MAX), ==, -EINVAL);
        image_close(im);
        im = open_image(path, variants[i].format, false);
        g_assert_cmpint(image_write(im, 0, sector, 512), ==, -EROFS);
        image_close(im);
        scratch_remove(folder);
    }
}

/* ---- locks ---- */
static void test_locks(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "a.qcow2");
    make(path, "qcow2", NULL, NULL);
    int ready[2];
    char byte;
    g_assert_cmpint(pipe(ready), ==, 0);
    pid_t child = fork();
    if (!child) {
        open_image(path, "qcow2", true);
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(0);
    }
    g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
    g_autofree char *who = g_strdup_printf("process %d (", child);
    refused(path, "qcow2", true, DISK_ERROR_LOCKED, who);
    refused(path, "qcow2", false, DISK_ERROR_LOCKED, who);
    if (have_program("qemu-img")) /* QEMU keeps off too */
        g_assert_false(run((const char *const[]){"qemu-img", "check", path, NULL}, false, NULL));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct image *a = open_image(path, "qcow2", false), *b = open_image(path, "qcow2", false);
    refused(path, "qcow2", true, DISK_ERROR_LOCKED, "in use");
    image_close(a);
    image_close(b);
    image_close(open_image(path, "qcow2", true));
    scratch_remove(folder);
}

/* ---- chains ---- */
static void test_cycle(void)
{
    char *folder = scratch_new();
    g_autofree char *a = in(folder, "a.qcow2"), *b = in(folder, "b.qcow2"), *c = in(folder, "c.qcow2");
    make(b, "qcow2", NULL, NULL);
    make(a, "qcow2", "b.qcow2", "qcow2");
    make(c, "qcow2", "a.qcow2", "qcow2");
    g_assert_cmpint(g_rename(c, b), ==, 0);
    refused(a, "qcow2", false, DISK_ERROR_CORRUPT, "bites its own tail");
    make(c, "qcow2", NULL, NULL);
    make(a, "qcow2", "c.qcow2", "qcow2"); /* a -> c, b -> a */
    g_remove(c);
    refused(b, "qcow2", false, DISK_ERROR_NOT_FOUND, "c.qcow2");
    refused(b, "qcow2", false, DISK_ERROR_NOT_FOUND, "a.qcow2 -> ");
    scratch_remove(folder);
}

/* Each format on top of each other one; written in both layers, and noticed when the parent changes under the child. */
static void test_mixed_chains(void)
{
    static const char *const formats[] = {"raw", "qcow2", "vdi", "vmdk", "vhd", "vhdx"};
    uint8_t a[4096], b[4096], got[4096];
    memset(a, 1, sizeof a);
    memset(b, 2, sizeof b);
    for (unsigned p = 0; p < G_N_ELEMENTS(formats); p++)
        for (unsigned c = 1; c < G_N_ELEMENTS(formats); c++) {
            char *folder = scratch_new();
            g_autofree char *parent = in(folder, "parent.img"), *child = in(folder, "child.img");
            make(parent, formats[p], NULL, NULL);
            struct image *im = open_image(parent, formats[p], true);
            g_assert_cmpint(image_write(im, 8192, a, sizeof a), ==, 0);
            g_assert_cmpint(image_close(im), ==, 0);
            make(child, formats[c], "parent.img", formats[p]);
            im = open_image(child, formats[c], true);
            g_assert_nonnull(im->parent);
            g_assert_cmpstr(im->parent->format->name, ==, formats[p]);
            g_assert_cmpint(image_write(im, 12288, b, sizeof b), ==, 0);
            g_assert_cmpint(image_close(im), ==, 0);
            im = open_image(child, formats[c], false);
            g_assert_cmpint(image_read(im, 8192, got, sizeof got), ==, 0);
            g_assert_true(!memcmp(got, a, sizeof a));
            g_assert_cmpint(image_read(im, 12288, got, sizeof got), ==, 0);
            g_assert_true(!memcmp(got, b, sizeof b));
            g_assert_nonnull(im->parent_id);
            g_assert_cmpint(image_close(im), ==, 0);
            im = open_image(parent, formats[p], true);
            g_assert_cmpint(image_write(im, 0, b, sizeof b), ==, 0);
            g_assert_cmpint(image_close(im), ==, 0);
            refused(child, formats[c], false, DISK_ERROR_CORRUPT, "was changed after");
            scratch_remove(folder);
        }
}

/* A parent without an id is known by its time: also by the whole seconds of it, which is all that archives keep. */
static void test_parent_by_time(void)
{
    char *folder = scratch_new();
    g_autofree char *parent = in(folder, "parent.qcow2"), *child = in(folder, "child.qcow2");
    struct image_how how = {.format = "qcow2"};
    struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {1600000000, 123456789}};
    GError *error = NULL;
    uint64_t freed;
    make(parent, "qcow2", NULL, NULL);
    g_assert_cmpint(utimensat(AT_FDCWD, parent, t, 0), ==, 0);
    make(child, "qcow2", "parent.qcow2", "qcow2");
    t[1].tv_nsec = 0;
    g_assert_cmpint(utimensat(AT_FDCWD, parent, t, 0), ==, 0);
    image_close(open_image(child, "qcow2", false));
    t[1].tv_sec++;
    g_assert_cmpint(utimensat(AT_FDCWD, parent, t, 0), ==, 0);
    refused(child, "qcow2", false, DISK_ERROR_CORRUPT, "touch -d @1600000000.123456789");
    g_assert_false(disk_commit(child, &how, false, NULL, &error));
    g_assert_error(error, DISK_ERROR, DISK_ERROR_CORRUPT);
    g_clear_error(&error);
    g_assert_true(disk_commit(child, &how, true, NULL, &error)); /* which notes the new time */
    g_assert_true(disk_compact(parent, &how, NULL, &freed, &error));
    image_close(open_image(child, "qcow2", false));
    RUN("sh", "-c", "! command -v qemu-img >/dev/null || qemu-img rebase -q -u -F qcow2 -b ./parent.qcow2 \"$0\"",
        child);
    g_assert_cmpint(utimensat(AT_FDCWD, parent, t, 0), ==, 0);
    if (have_program("qemu-img")) /* the note is for another parent's name now */
        image_close(open_image(child, "qcow2", false));
    scratch_remove(folder);
}

/* VirtualBox' differencing images name no file: the parent is found by its id. */
static void test_parent_by_id(void)
{
    char *folder = scratch_new();
    g_autofree char *parent = in(folder, "parent.vdi"), *child = in(folder, "child.vdi"),
                    *moved = in(folder, "moved.vdi");
    make(parent, "vdi", NULL, NULL);
    make(child, "vdi", "parent.vdi", "vdi");
    char zero[256] = {0};
    poke(child, 84, zero, sizeof zero); /* the comment, where we noted the name */
    g_assert_cmpint(g_rename(parent, moved), ==, 0);
    struct image *im = open_image(child, "vdi", false);
    g_assert_cmpstr(im->parent->file->path, ==, moved);
    image_close(im);
    g_remove(moved);
    refused(child, "vdi", false, DISK_ERROR_NOT_FOUND, "not in its folder");
    scratch_remove(folder);
}

/* ---- a stream as VMware and VirtualBox export it: grains first, then table, directory and footer ---- */
#define STREAM_SECTORS 256u /* two grains */

static void put_sector(GByteArray *b, const void *data, size_t n)
{
    static const uint8_t zero[512];
    g_byte_array_append(b, data, n);
    g_byte_array_append(b, zero, (512 - n % 512) % 512);
}

static void put_marker(GByteArray *b, uint64_t sectors, uint32_t type)
{
    uint8_t m[16] = {0};
    put_le64(m, sectors);
    put_le32(m + 12, type);
    put_sector(b, m, sizeof m);
}

static GByteArray *make_stream(const uint8_t *grain)
{
    static const char text[] = "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
                               "createType=\"streamOptimized\"\nRW 256 SPARSE \"s.vmdk\"\n";
    GByteArray *b = g_byte_array_new();
    uint8_t h[512] = {0}, packed[70000] = {0}, table[2048] = {0}, directory[4];
    uLongf n = sizeof packed - 12;
    put_le32(h, 0x564d444b);
    put_le32(h + 4, 3);
    put_le32(h + 8, 0x30001);
    put_le64(h + 12, STREAM_SECTORS);
    put_le64(h + 20, 128);
    put_le64(h + 28, 1);
    put_le64(h + 36, 1);
    put_le32(h + 44, 512);
    put_le64(h + 56, UINT64_MAX);
    put_le64(h + 64, 128);
    memcpy(h + 73, "\n \r\n", 4);
    put_le16(h + 77, 1);
    put_sector(b, h, sizeof h);
    put_sector(b, text, sizeof text);
    g_byte_array_set_size(b, 128 * 512);
    memset(b->data + 1024, 0, 126 * 512);
    compress(packed + 12, &n, grain, 65536);
    put_le64(packed, 128); /* the second grain */
    put_le32(packed + 8, n);
    put_le32(table + 4, b->len / 512);
    put_sector(b, packed, n + 12);
    put_marker(b, 4, 1);
    put_le32(directory, b->len / 512);
    put_sector(b, table, sizeof table);
    put_marker(b, 1, 2);
    put_le64(h + 56, b->len / 512);
    put_sector(b, directory, sizeof directory);
    put_marker(b, 1, 3);
    put_sector(b, h, sizeof h);
    put_marker(b, 0, 0);
    return b;
}

static void test_stream(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "s.vmdk"), *raw = in(folder, "s.raw"), *by_qemu = NULL;
    g_autofree uint8_t *grain = g_malloc(65536), *got = g_malloc(STREAM_SECTORS * 512);
    for (unsigned i = 0; i < 65536; i++)
        grain[i] = i / 77;
    GByteArray *b = make_stream(grain);
    g_file_set_contents(path, (char *)b->data, b->len, NULL);
    struct image *im = open_image(path, "vmdk", false);
    g_assert_cmpuint(im->bytes, ==, STREAM_SECTORS * 512);
    g_assert_cmpint(image_read(im, 0, got, STREAM_SECTORS * 512), ==, 0);
    g_assert_true(image_is_zero(got, 65536) && !memcmp(got + 65536, grain, 65536));
    image_close(im);
    if (have_program("qemu-img")) {
        RUN("qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, raw);
        g_assert_true(g_file_get_contents(raw, &by_qemu, NULL, NULL));
        g_assert_true(!memcmp(by_qemu, got, STREAM_SECTORS * 512));
    }
    g_byte_array_set_size(b, b->len - 512);
    g_file_set_contents(path, (char *)b->data, b->len, NULL);
    refused(path, "vmdk", false, DISK_ERROR_CORRUPT, path);
    g_byte_array_unref(b);
    scratch_remove(folder);
}

/* ---- blocks that a differencing image has in part: other programs keep a bit per sector ---- */
static uint64_t get_at(const char *path, uint64_t at, unsigned bytes, bool big)
{
    uint8_t b[8];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(pread(fd, b, bytes, at), ==, bytes);
    close(fd);
    return bytes == 4 ? get_be32(b) : big ? get_be64(b) : get_le64(b);
}

/* Sectors 8 to 15 are the parent's again; what the child's block has there is rubbish. */
static void make_partial_vhd(const char *path)
{
    uint64_t table = get_at(path, 512 + 16, 8, true), block = get_at(path, table, 4, true) * 512;
    uint8_t rubbish[4096];
    memset(rubbish, 0xee, sizeof rubbish);
    poke(path, block + 1, "\0", 1);
    poke(path, block + 512 + 4096, rubbish, sizeof rubbish);
}

static void make_partial_vhdx(const char *path)
{
    const uint64_t table = 3 << 20, bitmap_entry = table + 2048 * 8;
    uint64_t entry = get_at(path, table, 8, false), end = 64 << 20;
    uint8_t rubbish[4096], bits[512], field[8];
    memset(rubbish, 0xee, sizeof rubbish);
    memset(bits, 0xff, sizeof bits);
    bits[1] = 0;
    g_assert_cmpuint(entry & 7, ==, 6);
    poke(path, (entry & ~0xfffffull) + 4096, rubbish, sizeof rubbish);
    put_le64(field, entry | 7);
    poke(path, table, field, 8);
    put_le64(field, end | 6);
    poke(path, bitmap_entry, field, 8);
    g_assert_cmpint(truncate(path, end + (1 << 20)), ==, 0);
    poke(path, end, bits, sizeof bits);
}

static void test_partial_blocks(void)
{
    static const char *const formats[] = {"vhd", "vhdx"};
    uint8_t model[16384], got[16384];
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        char *folder = scratch_new();
        g_autofree char *parent = in(folder, "parent.raw"), *child = in(folder, "child");
        make(parent, "raw", NULL, NULL);
        struct image *im = open_image(parent, "raw", true);
        memset(model, 1, sizeof model);
        g_assert_cmpint(image_write(im, 0, model, sizeof model), ==, 0);
        image_close(im);
        make(child, formats[i], "parent.raw", "raw");
        im = open_image(child, formats[i], true);
        memset(model, 2, 4096);
        g_assert_cmpint(image_write(im, 0, model, 4096), ==, 0);
        g_assert_cmpint(image_close(im), ==, 0);
        (i ? make_partial_vhdx : make_partial_vhd)(child);
        im = open_image(child, formats[i], true);
        g_assert_cmpint(image_read(im, 0, got, sizeof got), ==, 0);
        g_assert_true(!memcmp(got, model, sizeof got));
        memset(model + 5120, 3, 512); /* one of the parent's sectors */
        g_assert_cmpint(image_write(im, 5120, model + 5120, 512), ==, 0);
        g_assert_cmpint(image_close(im), ==, 0);
        im = open_image(child, formats[i], false);
        g_assert_cmpint(image_read(im, 0, got, sizeof got), ==, 0);
        g_assert_true(!memcmp(got, model, sizeof got));
        image_close(im);
        scratch_remove(folder);
    }
}

/* ---- a host that fails ---- */
static void fail_at(const struct variant *v, uint64_t after, int with)
{
    GError *error = NULL;
    struct image_options o = {.bytes = BYTES, .options = (char **)v->options, .fixed = v->fixed};
    const struct image_format *format = image_format_find(v->format, NULL);
    struct blk_file *f = memory_file_new(NULL, 0);
    uint8_t data[24 << 10], got[24 << 10];
    uint64_t written = 0;
    image_create_file(f, format, &o, &error);
    g_assert_no_error(error);
    struct image *im = image_open_file(blk_ref(f), format, &error);
    memory_file_of(f)->fail_after = after;
    memory_file_of(f)->fail_with = with;
    for (uint64_t at = 0; at + sizeof data <= BYTES; at += sizeof data) {
        memset(data, at >> 13, sizeof data);
        int err = image_write(im, at, data, sizeof data);
        if (err) { /* the host is well again: the same request goes through */
            g_assert_cmpint(err, ==, with);
            memory_file_of(f)->fail_after = UINT64_MAX;
            g_assert_cmpint(image_write(im, at, data, sizeof data), ==, 0);
        }
        written = at + sizeof data;
        if (at % (sizeof data * 8) == 0 && image_flush(im)) {
            memory_file_of(f)->fail_after = UINT64_MAX;
            g_assert_cmpint(image_flush(im), ==, 0);
        }
    }
    memory_file_of(f)->fail_after = UINT64_MAX;
    g_assert_cmpint(image_close(im), ==, 0);
    im = image_open_file(f, format, &error);
    g_assert_no_error(error);
    for (uint64_t at = 0; at < written; at += sizeof data) {
        memset(data, at >> 13, sizeof data);
        g_assert_cmpint(image_read(im, at, got, sizeof got), ==, 0);
        g_assert_true(!memcmp(data, got, sizeof got));
    }
    struct image_check c;
    image_check_init(&c);
    if (format->check) {
        g_assert_true(image_check(im, false, &c, &error));
        if (c.corruptions)
            g_error("%s, failing after %d: %s", v->name, (int)after, c.text->str);
    }
    image_check_clear(&c);
    image_close(im);
}

/* In a quick run only at the first writes, and a few later ones. */
static void test_failing_host(void)
{
    for (unsigned i = 0; i < variant_count; i++)
        for (uint64_t after = 0; after < 60 && !variants[i].many_files; after += 1 + after / (g_test_slow() ? 8 : 1)) {
            fail_at(&variants[i], after, -ENOSPC);
            fail_at(&variants[i], after, -EIO);
        }
}

/* ---- many at once: each thread has its own sectors of the same clusters ---- */
#define THREADS 4
#define ROUNDS  400
struct worker {
    struct image *im;
    unsigned number;
};

static gpointer work(gpointer p)
{
    struct worker *w = p;
    struct rng rng = rng_new(w->number + 1);
    uint64_t slots = BYTES / 4096 / THREADS;
    g_autofree uint8_t *seen = g_malloc0(slots);
    uint8_t data[4096], got[4096];
    for (unsigned i = 1; i < ROUNDS; i++) {
        uint64_t slot = rng_below(&rng, slots), at = (slot * THREADS + w->number) * 4096;
        memset(data, seen[slot], sizeof data);
        g_assert_cmpint(image_read(w->im, at, got, sizeof got), ==, 0);
        g_assert_true(!memcmp(data, got, sizeof got));
        seen[slot] = i % 255 + 1;
        memset(data, seen[slot], sizeof data);
        if (i % 16 == 0) {
            seen[slot] = 0;
            g_assert_cmpint(image_zero(w->im, at, sizeof data), ==, 0);
        } else {
            g_assert_cmpint(image_write(w->im, at, data, sizeof data), ==, 0);
        }
        if (i % 50 == 0)
            g_assert_cmpint(image_flush(w->im), ==, 0);
    }
    return NULL;
}

static void test_threads(void)
{
    for (unsigned i = 0; i < variant_count; i++) {
        char *folder = scratch_new();
        g_autofree char *path = in(folder, "x");
        struct image_options o = {.bytes = BYTES, .options = (char **)variants[i].options, .fixed = variants[i].fixed};
        image_create(path, variants[i].format, &o, false, NULL);
        struct image_how how = {.format = variants[i].format, .write = true, .cache = CACHE_UNSAFE};
        struct image *im = image_open(path, &how, NULL);
        struct worker w[THREADS];
        GThread *thread[THREADS];
        for (unsigned t = 0; t < THREADS; t++) {
            w[t] = (struct worker){im, t};
            thread[t] = g_thread_new("worker", work, &w[t]);
        }
        for (unsigned t = 0; t < THREADS; t++)
            g_thread_join(thread[t]);
        g_assert_cmpint(image_close(im), ==, 0);
        scratch_remove(folder);
    }
}

/* ---- cache modes ---- */
static void test_cache_modes(void)
{
    uint8_t data[1536], got[1536];
    memset(data, 9, sizeof data);
    for (unsigned mode = 0; file_cache_names[mode]; mode++)
        for (unsigned i = 0; i < variant_count; i++) {
            char *folder = scratch_new();
            g_autofree char *path = in(folder, "x");
            struct image_options o = {
                .bytes = BYTES, .options = (char **)variants[i].options, .fixed = variants[i].fixed};
            GError *error = NULL;
            image_create(path, variants[i].format, &o, false, &error);
            struct image_how how = {.format = variants[i].format, .write = true, .cache = mode};
            struct image *im = image_open(path, &how, &error);
            g_assert_no_error(error);
            g_assert_cmpint(image_write(im, 512, data, sizeof data), ==, 0);
            g_assert_cmpint(image_write(im, BYTES - 1024, data, 1024), ==, 0);
            g_assert_cmpint(image_close(im), ==, 0);
            im = open_image(path, variants[i].format, false);
            g_assert_cmpuint(im->bytes, ==, BYTES);
            g_assert_cmpint(image_read(im, 512, got, sizeof got), ==, 0);
            g_assert_true(!memcmp(data, got, sizeof got));
            g_assert_cmpint(image_read(im, BYTES - 1024, got, 1024), ==, 0);
            g_assert_true(!memcmp(data, got, 1024));
            image_close(im);
            scratch_remove(folder);
        }
}

/* ---- operations ---- */
static void test_compact(void)
{
    static const char *const formats[] = {"raw", "qcow2", "vdi", "vmdk", "vhd", "vhdx"};
    g_autofree uint8_t *data = g_malloc0(BYTES);
    memset(data, 3, BYTES / 4);
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        char *folder = scratch_new();
        g_autofree char *path = in(folder, "x");
        uint64_t freed;
        GError *error = NULL;
        make(path, formats[i], NULL, NULL);
        struct image *im = open_image(path, formats[i], true);
        g_autofree uint8_t *full = g_malloc(BYTES);
        memset(full, 3, BYTES);
        g_assert_cmpint(image_write(im, 0, full, BYTES), ==, 0);
        g_assert_cmpint(image_write(im, 0, data, BYTES), ==, 0); /* zeroes, written as data */
        g_assert_cmpint(image_close(im), ==, 0);
        struct image_how how = {.format = formats[i]};
        g_assert_true(disk_compact(path, &how, NULL, &freed, &error));
        if (freed < BYTES / 2 - 65536)
            g_error("%s: %" G_GUINT64_FORMAT " bytes freed", formats[i], freed); /* tables may have grown */
        im = open_image(path, formats[i], false);
        g_assert_cmpint(image_read(im, 0, full, BYTES), ==, 0);
        g_assert_true(!memcmp(full, data, BYTES));
        image_close(im);
        scratch_remove(folder);
    }
}

static void cancel_at_once(void *ctx, uint64_t done, uint64_t total)
{
    struct disk_job *job = ctx;
    g_atomic_int_set(&job->cancel, 1);
}

static void test_cancel(void)
{
    static const char *const splits[] = {"subformat=twoGbMaxExtentFlat", NULL};
    char *folder = scratch_new();
    g_autofree char *from = in(folder, "from.raw"), *to = in(folder, "to.vmdk");
    struct disk_job job = {.progress = cancel_at_once};
    GError *error = NULL;
    make(from, "raw", NULL, NULL);
    job.ctx = &job;
    job.cancel = 1;
    struct disk_convert c = {.source = from, .how = {.format = "raw"}, .target = to, .format = "vmdk"};
    c.options.options = (char **)splits;
    g_assert_false(disk_convert(&c, &job, &error));
    g_assert_error(error, DISK_ERROR, DISK_ERROR_CANCELLED);
    g_clear_error(&error);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_assert_cmpstr(g_dir_read_name(dir), ==, "from.raw");
    g_assert_null(g_dir_read_name(dir));
    scratch_remove(folder);
}

static void test_taken_names(void)
{
    char *folder = scratch_new();
    g_autofree char *path = in(folder, "a.raw");
    GError *error = NULL;
    struct image_options o = {.bytes = 512};
    g_assert_true(image_create(path, "raw", &o, false, &error));
    g_assert_false(image_create(path, "raw", &o, false, &error));
    g_assert_error(error, DISK_ERROR, DISK_ERROR_EXISTS);
    g_clear_error(&error);
    struct disk_convert c = {
        .source = path, .how = {.format = "raw"}, .target = path, .format = "raw", .replace = true};
    g_assert_false(disk_convert(&c, NULL, &error));
    g_assert_error(error, DISK_ERROR, DISK_ERROR_USAGE);
    g_clear_error(&error);
    scratch_remove(folder);
}

static void test_sizes(void)
{
    uint64_t n;
    g_assert_true(disk_size_parse("512", &n) && n == 512);
    g_assert_true(disk_size_parse("64K", &n) && n == 65536);
    g_assert_true(disk_size_parse("1.5G", &n) && n == UINT64_C(3) << 29);
    g_assert_true(disk_size_parse("2 TiB", &n) && n == UINT64_C(2) << 40);
    g_assert_false(disk_size_parse("", &n) || disk_size_parse("-1", &n) || disk_size_parse("1X", &n));
    g_assert_false(disk_size_parse("9E", &n) || disk_size_parse("99999999999999999999", &n));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk/image/sizes", test_sizes);
    g_test_add_func("/disk/image/kinds-of-file", test_kinds_of_file);
    g_test_add_func("/disk/image/truncated", test_truncated);
    g_test_add_func("/disk/image/features", test_features);
    g_test_add_func("/disk/image/outside-folder", test_outside_folder);
    g_test_add_func("/disk/image/vhdx-block-table", test_vhdx_block_table);
    g_test_add_func("/disk/image/link", test_link);
    g_test_add_func("/disk/image/bounds", test_bounds);
    g_test_add_func("/disk/image/locks", test_locks);
    g_test_add_func("/disk/image/cycle", test_cycle);
    g_test_add_func("/disk/image/mixed-chains", test_mixed_chains);
    g_test_add_func("/disk/image/parent-by-id", test_parent_by_id);
    g_test_add_func("/disk/image/parent-by-time", test_parent_by_time);
    g_test_add_func("/disk/image/partial-blocks", test_partial_blocks);
    g_test_add_func("/disk/image/stream", test_stream);
    g_test_add_func("/disk/image/failing-host", test_failing_host);
    g_test_add_func("/disk/image/threads", test_threads);
    g_test_add_func("/disk/image/cache-modes", test_cache_modes);
    g_test_add_func("/disk/image/compact", test_compact);
    g_test_add_func("/disk/image/cancel", test_cancel);
    g_test_add_func("/disk/image/taken-names", test_taken_names);
    return g_test_run();
}
