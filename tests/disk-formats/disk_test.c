// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_test.c - what tests of images share: random numbers, scratch folders, patterns, other programs. */
#include "tests/disk-formats/disk_test.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct rng rng_new(uint64_t seed)
{
    return (struct rng){seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
}

uint64_t rng_next(struct rng *r)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    return (rng_next(r) >> 11) % n;
}

uint64_t test_seed(void)
{
    const char *text = g_getenv("TEST_SEED");
    uint64_t seed = text ? g_ascii_strtoull(text, NULL, 10) : 1;
    g_test_message("TEST_SEED=%" G_GUINT64_FORMAT, seed);
    return seed;
}

char *scratch_new(void)
{
    GError *error = NULL;
    char *folder = g_dir_make_tmp("disk-test-XXXXXX", &error);
    g_assert_no_error(error);
    return folder;
}

void scratch_remove(char *folder)
{
    GDir *d = g_dir_open(folder, 0, NULL);
    for (const char *name; d && (name = g_dir_read_name(d));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR) && !g_file_test(path, G_FILE_TEST_IS_SYMLINK))
            scratch_remove(g_steal_pointer(&path));
        else if (g_remove(path))
            g_test_message("cannot remove %s", path);
    }
    g_clear_pointer(&d, g_dir_close);
    g_rmdir(folder);
    g_free(folder);
}

bool have_program(const char *name)
{
    g_autofree char *path = g_find_program_in_path(name);
    return path != NULL;
}

bool run(const char *const *argv, bool must_work, char **output)
{
    g_autofree char *out = NULL, *err = NULL, *line = g_strjoinv(" ", (char **)argv);
    GError *error = NULL;
    int status = 0;
    bool ok = g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error) &&
              g_spawn_check_wait_status(status, NULL);
    if (must_work && !ok) {
        g_test_message("%s: %s%s%s", line, error ? error->message : "", out ? out : "", err ? err : "");
        g_test_fail_printf("%s", line);
    }
    g_clear_error(&error);
    if (output)
        *output = g_strconcat(out ? out : "", err ? err : "", NULL);
    return ok;
}

struct image *open_image(const char *path, const char *format, bool write)
{
    GError *error = NULL;
    struct image_how how = {.format = format, .write = write};
    struct image *im = image_open(path, &how, &error);
    g_assert_no_error(error);
    return im;
}

/* ---- a file in memory ---- */
struct memory_file *memory_file_of(struct blk_file *f)
{
    return f->state;
}

static void note(struct memory_file *m, int kind, uint64_t offset, uint64_t bytes, const uint8_t *data)
{
    if (!m->records)
        return;
    struct record r = {kind, offset, bytes, NULL};
    if (data)
        r.data = g_memdup2(data, bytes);
    g_array_append_val(m->records, r);
}

static int reserve(struct memory_file *m, uint64_t bytes)
{
    if (bytes > MEMORY_FILE_MAX)
        return -ENOSPC;
    m->bytes = MAX(m->bytes, bytes);
    return 0;
}

static int may_write(struct memory_file *m)
{
    if (m->fail_after == UINT64_MAX)
        return 0;
    if (m->fail_after == 0)
        return m->fail_with;
    m->fail_after--;
    return 0;
}

static int mem_preadv(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    struct memory_file *m = f->state;
    g_mutex_lock(&m->lock);
    for (int i = 0; i < n; i++) {
        uint64_t want = iov[i].iov_len, there = offset < m->bytes ? MIN(want, m->bytes - offset) : 0;
        if (there)
            memcpy(iov[i].iov_base, m->data + offset, there);
        memset((char *)iov[i].iov_base + there, 0, want - there);
        offset += want;
    }
    g_mutex_unlock(&m->lock);
    return 0;
}

static int mem_pwritev(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    struct memory_file *m = f->state;
    g_mutex_lock(&m->lock);
    int err = may_write(m);
    for (int i = 0; i < n && !err; i++) {
        if (!iov[i].iov_len)
            continue;
        if (offset + iov[i].iov_len < offset)
            err = -EFBIG;
        else if (!(err = reserve(m, offset + iov[i].iov_len))) {
            memcpy(m->data + offset, iov[i].iov_base, iov[i].iov_len);
            note(m, RECORD_WRITE, offset, iov[i].iov_len, iov[i].iov_base);
            offset += iov[i].iov_len;
        }
    }
    g_mutex_unlock(&m->lock);
    return err;
}

static int mem_sync(struct blk_file *f)
{
    struct memory_file *m = f->state;
    g_mutex_lock(&m->lock);
    note(m, RECORD_SYNC, 0, 0, NULL);
    g_mutex_unlock(&m->lock);
    return 0;
}

static int mem_truncate(struct blk_file *f, uint64_t bytes)
{
    struct memory_file *m = f->state;
    g_mutex_lock(&m->lock);
    int err = may_write(m);
    if (!err)
        err = reserve(m, bytes);
    if (!err) {
        memset(m->data + bytes, 0, m->bytes - bytes);
        m->bytes = bytes;
        note(m, RECORD_TRUNCATE, bytes, 0, NULL);
    }
    g_mutex_unlock(&m->lock);
    return err;
}

static int mem_zero(struct blk_file *f, uint64_t offset, uint64_t bytes, bool punch)
{
    struct memory_file *m = f->state;
    g_mutex_lock(&m->lock);
    int err = may_write(m);
    if (!err)
        err = reserve(m, offset + bytes);
    if (!err) {
        memset(m->data + offset, 0, bytes);
        note(m, RECORD_ZERO, offset, bytes, NULL);
    }
    g_mutex_unlock(&m->lock);
    return err;
}

static uint64_t mem_size(struct blk_file *f)
{
    return ((struct memory_file *)f->state)->bytes;
}

static void record_clear(void *p)
{
    g_free(((struct record *)p)->data);
}

static void mem_close(struct blk_file *f)
{
    struct memory_file *m = f->state;
    if (m->records)
        g_array_unref(m->records);
    g_mutex_clear(&m->lock);
    munmap(m->data, MEMORY_FILE_MAX);
    g_free(m);
}

static const struct blk_file_ops mem_ops = {.preadv = mem_preadv,
                                            .pwritev = mem_pwritev,
                                            .sync = mem_sync,
                                            .truncate = mem_truncate,
                                            .zero = mem_zero,
                                            .size = mem_size,
                                            .close = mem_close};

uint8_t *memory_file_map(int fd, uint64_t bytes)
{
    uint8_t *data =
        mmap(NULL, MEMORY_FILE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED ||
        (fd >= 0 && bytes && mmap(data, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED))
        g_error("no memory for a file in memory");
    return data;
}

struct blk_file *memory_file_take(uint8_t *data, uint64_t bytes)
{
    struct blk_file *f = g_new0(struct blk_file, 1);
    struct memory_file *m = g_new0(struct memory_file, 1);
    *f = (struct blk_file){.ops = &mem_ops, .path = g_strdup("(memory)"), .writable = true, .state = m};
    *m = (struct memory_file){.data = data, .bytes = bytes, .fail_after = UINT64_MAX, .fail_with = -ENOSPC};
    g_mutex_init(&m->lock);
    return f;
}

struct blk_file *memory_file_new(const void *from, uint64_t bytes)
{
    uint8_t *data = memory_file_map(-1, 0);
    g_assert_cmpuint(bytes, <=, MEMORY_FILE_MAX);
    if (bytes && from)
        memcpy(data, from, bytes);
    return memory_file_take(data, bytes);
}

void memory_file_record(struct blk_file *f)
{
    struct memory_file *m = f->state;
    m->records = g_array_new(FALSE, FALSE, sizeof(struct record));
    g_array_set_clear_func(m->records, record_clear);
}
