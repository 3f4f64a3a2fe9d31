// SPDX-License-Identifier: GPL-2.0-or-later
/* state_file.c - writing and reading the sections of a saved state: see state_file.h. */
#include "core-vmm/base/state_file.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/crc32c.h"
#include <errno.h>
#include <gio/gio.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define LAYOUT 2
enum { MAGIC_BYTES = 16, HEADER_BYTES = 24, SECTION_HEAD = 48 };
enum { AT_VERSION = 32, AT_BYTES = 36, AT_CRC = 40, AT_HEAD_CRC = 44 };
static const char magic[] = "Terrarium state\n";

bool state_fail(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "The saved state %s", what);
    return false;
}

/* ---- writing ---- */

static bool write_failed(GError **error)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "The state cannot be written: %s", g_strerror(errno));
    return false;
}

static bool write_all(int fd, const void *data, size_t n, GError **error)
{
    for (const uint8_t *p = data; n;) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return write_failed(error);
        p += done;
        n -= done;
    }
    return true;
}

bool state_begin(struct state_writer *w, int fd, GError **error)
{
    uint8_t header[HEADER_BYTES];
    memcpy(header, magic, MAGIC_BYTES);
    put_le32(header + MAGIC_BYTES, LAYOUT);
    *w = (struct state_writer){fd, crc32c(0, header, HEADER_BYTES - 4)};
    put_le32(header + HEADER_BYTES - 4, w->crc);
    return write_all(fd, header, sizeof header, error);
}

bool state_put_summed(struct state_writer *w, const char *name, uint32_t version, const void *data, size_t bytes,
                      uint32_t sum, GError **error)
{
    uint8_t start[SECTION_HEAD] = {0};
    g_assert(bytes <= STATE_SECTION_BYTES && strlen(name) < STATE_NAME_BYTES);
    memcpy(start, name, strlen(name));
    put_le32(start + AT_VERSION, version);
    put_le32(start + AT_BYTES, bytes);
    put_le32(start + AT_CRC, sum);
    w->crc = crc32c(w->crc, start, AT_HEAD_CRC);
    put_le32(start + AT_HEAD_CRC, w->crc);
    return write_all(w->fd, start, sizeof start, error) && write_all(w->fd, data, bytes, error);
}

bool state_put(struct state_writer *w, const char *name, uint32_t version, const void *data, size_t bytes,
               GError **error)
{
    return state_put_summed(w, name, version, data, bytes, crc32c(0, data, bytes), error);
}

bool state_finish(struct state_writer *w, GError **error)
{
    return state_put(w, STATE_END, 0, NULL, 0, error) && (!fsync(w->fd) || write_failed(error));
}

/* ---- reading ---- */

static bool read_at(int fd, uint64_t at, void *to, size_t n, GError **error)
{
    for (uint8_t *p = to; n;) {
        ssize_t done = pread(fd, p, n, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return state_fail(error, "cannot be read: %s", done ? g_strerror(errno) : "it became shorter meanwhile");
        p += done;
        n -= done;
        at += done;
    }
    return true;
}

static bool cut_short(const struct state_reader *r, GError **error)
{
    return state_fail(error, "is cut short: it ends after %" G_GUINT64_FORMAT " bytes, in the middle", r->size);
}

static bool read_all(struct state_reader *r, void *to, size_t n, GError **error)
{
    if (n > r->size - r->at)
        return cut_short(r, error);
    r->at += n;
    return read_at(r->fd, r->at - n, to, n, error);
}

static bool damaged(uint64_t end, GError **error)
{
    return state_fail(error, "is damaged: the checksum before byte %" G_GUINT64_FORMAT " is wrong", end);
}

static bool is_sum(const struct state_extent *e, const uint8_t *data, GError **error)
{
    return crc32c(0, data, e->bytes) == e->sum || damaged(e->at + e->bytes, error);
}

bool state_open(struct state_reader *r, int fd, GError **error)
{
    uint8_t header[HEADER_BYTES];
    off_t size = lseek(fd, 0, SEEK_END); /* fstat() is for whoever may open files, too */
    *r = (struct state_reader){.fd = fd};
    if (size < 0)
        return state_fail(error, "is not a regular file");
    r->size = size;
    r->buffer = g_byte_array_new();
    if (r->size < MAGIC_BYTES)
        return state_fail(error, "is none: the file is not one of Terrarium's states");
    if (!read_all(r, header, MAGIC_BYTES, error))
        return false;
    if (memcmp(header, magic, MAGIC_BYTES))
        return state_fail(error, "is none: the file is not one of Terrarium's states");
    if (!read_all(r, header + MAGIC_BYTES, HEADER_BYTES - MAGIC_BYTES, error))
        return false;
    r->crc = crc32c(0, header, HEADER_BYTES - 4);
    if (r->crc != get_le32(header + HEADER_BYTES - 4))
        return damaged(r->at, error);
    if (get_le32(header + MAGIC_BYTES) != LAYOUT)
        return state_fail(error, "has the file format %u, and this version of Terrarium reads %u only",
                          get_le32(header + MAGIC_BYTES), LAYOUT);
    return true;
}

void state_close(struct state_reader *r)
{
    g_clear_pointer(&r->buffer, g_byte_array_unref);
}

/* A name is for messages too: plain letters, and zeroes after them. */
static bool take_name(const uint8_t *from, char *to)
{
    size_t n = strnlen((const char *)from, STATE_NAME_BYTES);
    for (size_t i = 0; i < STATE_NAME_BYTES; i++)
        if (i < n ? !g_ascii_isprint(from[i]) : from[i] != 0)
            return false;
    memcpy(to, from, STATE_NAME_BYTES);
    return n > 0 && n < STATE_NAME_BYTES;
}

static bool read_head(struct state_reader *r, uint8_t *start, GError **error)
{
    if (!read_all(r, start, SECTION_HEAD, error))
        return false;
    r->crc = crc32c(r->crc, start, AT_HEAD_CRC);
    return r->crc == get_le32(start + AT_HEAD_CRC) || damaged(r->at, error);
}

bool state_skim(struct state_reader *r, struct state_section *out, struct state_extent *where, GError **error)
{
    uint8_t start[SECTION_HEAD];
    out->data = NULL;
    if (!read_head(r, start, error))
        return false;
    out->version = get_le32(start + AT_VERSION);
    out->bytes = get_le32(start + AT_BYTES);
    *where = (struct state_extent){r->at, out->bytes, get_le32(start + AT_CRC)};
    if (!take_name(start, out->name))
        return state_fail(error, "has a section without a proper name before byte %" G_GUINT64_FORMAT, r->at);
    if (out->bytes > STATE_SECTION_BYTES)
        return state_fail(error, "has a section \"%s\" of %u bytes, which is too large", out->name, out->bytes);
    if (out->bytes > r->size - r->at)
        return cut_short(r, error);
    if (!strcmp(out->name, STATE_END) && (out->bytes || r->at != r->size))
        return state_fail(error, "goes on behind its end mark: %" G_GUINT64_FORMAT " bytes too many", r->size - r->at);
    r->at += out->bytes;
    return true;
}

bool state_read_extent(int fd, const struct state_extent *e, uint8_t *to, GError **error)
{
    return read_at(fd, e->at, to, e->bytes, error) && is_sum(e, to, error);
}

bool state_contents(struct state_reader *r, struct state_section *s, const struct state_extent *where, GError **error)
{
    g_byte_array_set_size(r->buffer, where->bytes);
    s->data = r->buffer->data;
    return state_read_extent(r->fd, where, r->buffer->data, error);
}

bool state_next(struct state_reader *r, struct state_section *out, GError **error)
{
    struct state_extent where;
    return state_skim(r, out, &where, error) && state_contents(r, out, &where, error);
}

/* Through a mapping, which copies nothing: that is most of the time. */
static bool check_all(struct state_reader *r, GError **error)
{
    const uint8_t *all = mmap(NULL, r->size, PROT_READ, MAP_PRIVATE, r->fd, 0);
    struct state_section s = {.name = ""};
    struct state_extent where;
    bool good = all != MAP_FAILED || state_fail(error, "cannot be read: %s", g_strerror(errno));
    while (good && strcmp(s.name, STATE_END))
        good = state_skim(r, &s, &where, error) && is_sum(&where, all + where.at, error);
    if (all != MAP_FAILED)
        munmap((void *)all, r->size);
    return good;
}

struct state_identity state_identity(const struct state_reader *r)
{
    return (struct state_identity){r->size, r->crc};
}

bool state_check(int fd, GError **error)
{
    struct state_reader r;
    bool good = state_open(&r, fd, error) && check_all(&r, error);
    state_close(&r);
    return good;
}
