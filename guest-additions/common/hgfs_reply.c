// SPDX-License-Identifier: GPL-2.0-or-later
/* hgfs_reply.c - packs replies: see hgfs.h.  What the folder's process says is not trusted either: its counts and lengths are
 * looked at again. */
#include "guest-additions/common/hgfs.h"
#include <errno.h>
#include <string.h>

enum { NEW_HEADER = 0xff, HEADER_BYTES = 52, HEADER_VERSION = 1, FLAG_REPLY = 2 };
enum { SESSION_PACKET_MOST = 1, SUPPORTED = 1 };
/* Which attributes are valid: kind, size, times, permissions, room, the file's number, and what the host's user may.  Not whose it
 * is: that is the guest's to say. */
enum { ATTR_VALID = 1 << 0 | 1 << 1 | 0xf << 2 | 0xf << 6 | 1 << 11 | 1 << 14 | 1 << 17 };
#define NT_EPOCH 116444736000000000ll

static void put8(GString *s, uint8_t v)
{
    g_string_append_c(s, v);
}

static void put32(GString *s, uint32_t v)
{
    const uint32_t le = GUINT32_TO_LE(v);
    g_string_append_len(s, (const char *)&le, sizeof le);
}

static void put64(GString *s, uint64_t v)
{
    const uint64_t le = GUINT64_TO_LE(v);
    g_string_append_len(s, (const char *)&le, sizeof le);
}

/* ---- headers ---- */

static void put_header(GString *to, const struct hgfs_request *r, enum hgfs_status status, size_t payload)
{
    if (!r->session_header) {
        put32(to, r->id);
        put32(to, status);
        return;
    }
    put32(to, HEADER_VERSION);
    put32(to, NEW_HEADER);
    put32(to, HEADER_BYTES + payload);
    put32(to, HEADER_BYTES);
    put32(to, r->id);
    put32(to, r->op);
    put32(to, status);
    put32(to, FLAG_REPLY);
    put32(to, 0);
    put64(to, r->session);
    put64(to, 0);
}

void hgfs_reply_status(GString *to, const struct hgfs_request *r, enum hgfs_status status)
{
    put_header(to, r, status, 0);
}

static enum hgfs_status status_of(int e)
{
    switch (e) {
    case 0: return HGFS_OK;
    case ENOENT:
    case ELOOP: return HGFS_NOT_FOUND; /* a link on the way: the guest follows those itself */
    case EBADF: return HGFS_BAD_HANDLE;
    case EPERM: return HGFS_NOT_PERMITTED;
    case EEXIST: return HGFS_EXISTS;
    case ENOTDIR: return HGFS_NOT_FOLDER;
    case ENOTEMPTY: return HGFS_NOT_EMPTY;
    case EACCES:
    case EROFS:
    case EISDIR:
    case EBUSY:
    case ETXTBSY: return HGFS_DENIED;
    case ENAMETOOLONG: return HGFS_NAME_TOO_LONG;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return HGFS_NO_SPACE;
    case EOPNOTSUPP: return HGFS_UNKNOWN;
    case EINVAL: return HGFS_BAD_PARAMETER;
    case EXDEV: return HGFS_OTHER_DEVICE;
    default: return HGFS_FAILED;
    }
}

/* ---- what operations reply ---- */

static uint64_t nt_time(int64_t ns)
{
    return (uint64_t)(ns / 100 + NT_EPOCH);
}

static void put_attr(GString *s, const struct folder_attr *a)
{
    put64(s, ATTR_VALID);
    put32(s, a->kind <= FOLDER_IS_LINK ? a->kind : FOLDER_IS_FILE);
    put64(s, a->size);
    put64(s, nt_time(a->changed)); /* nobody says when it was made */
    put64(s, nt_time(a->accessed));
    put64(s, nt_time(a->written));
    put64(s, nt_time(a->changed));
    put8(s, 0);
    put8(s, a->mode >> 6 & 7);
    put8(s, a->mode >> 3 & 7);
    put8(s, a->mode & 7);
    put64(s, 0); /* Windows' flags */
    put64(s, a->allocated);
    put32(s, 0);
    put32(s, 0);
    put64(s, a->file);
    put32(s, 0);
    put32(s, a->mode >> 6 & 7);
    put64(s, 0);
}

static void put_name(GString *s, const char *name, size_t bytes)
{
    put32(s, bytes);
    put32(s, 0);
    put32(s, 0);
    put32(s, 0);
    g_string_append_len(s, name, bytes);
    put8(s, 0);
}

static bool pack_open(GString *s, unsigned n, const struct folder_answer *a)
{
    put32(s, HGFS_HANDLE(n, HGFS_LOCAL_OF(a->handle)));
    put32(s, 0); /* no lock */
    put32(s, 0);
    put32(s, 0);
    return true;
}

static bool pack_read(GString *s, const struct folder_answer *a, const uint8_t *data, size_t bytes)
{
    if (a->count != bytes)
        return false;
    put32(s, bytes);
    put64(s, 0);
    g_string_append_len(s, (const char *)data, bytes);
    put8(s, 0);
    return true;
}

static bool pack_write(GString *s, const struct folder_answer *a)
{
    put32(s, a->count);
    put64(s, 0);
    return true;
}

/* Each entry begins with how far the next is; the last says 0. */
static bool pack_entries(GString *s, const struct folder_answer *a, const uint8_t *data, size_t bytes)
{
    gsize begins = 0;
    put64(s, a->count);
    put64(s, 0);
    for (uint32_t i = 0; i < a->count; i++) {
        struct folder_entry e;
        if (bytes < sizeof e)
            return false;
        memcpy(&e, data, sizeof e);
        data += sizeof e;
        bytes -= sizeof e;
        if (!e.name_bytes || e.name_bytes > FOLDER_NAME_MOST || e.name_bytes > bytes)
            return false;
        if (i) {
            const uint32_t step = GUINT32_TO_LE((uint32_t)(s->len - begins));
            memcpy(s->str + begins, &step, sizeof step);
        }
        begins = s->len;
        put32(s, 0);
        put_attr(s, &e.attr);
        put_name(s, (const char *)data, e.name_bytes);
        data += e.name_bytes;
        bytes -= e.name_bytes;
    }
    return !bytes;
}

static bool pack_attr(GString *s, const struct folder_answer *a, const uint8_t *data, size_t bytes)
{
    if (bytes > FOLDER_PATH_MOST)
        return false;
    g_autofree char *target = g_memdup2(data, bytes);
    for (size_t i = 0; i < bytes; i++)
        target[i] = target[i] == '/' ? 0 : target[i];
    put_attr(s, &a->attr);
    put64(s, 0);
    put_name(s, target ? target : "", bytes);
    return true;
}

static bool pack_space(GString *s, const struct folder_answer *a)
{
    put64(s, a->attr.allocated);
    put64(s, a->attr.size);
    put64(s, 0);
    return true;
}

static bool pack(GString *s, uint32_t op, unsigned n, const struct folder_answer *a, const uint8_t *data, size_t bytes)
{
    switch (op) {
    case HGFS_OPEN: return pack_open(s, n, a);
    case HGFS_SEARCH_OPEN:
        put32(s, HGFS_HANDLE(n, HGFS_LOCAL_OF(a->handle)));
        put64(s, 0);
        return true;
    case HGFS_READ: return pack_read(s, a, data, bytes);
    case HGFS_WRITE: return pack_write(s, a);
    case HGFS_SEARCH_READ: return pack_entries(s, a, data, bytes);
    case HGFS_GET_ATTR: return pack_attr(s, a, data, bytes);
    case HGFS_QUERY_VOLUME: return pack_space(s, a);
    default: put64(s, 0); return true;
    }
}

void hgfs_reply(GString *to, const struct hgfs_request *r, unsigned n, const struct folder_answer *a,
                const uint8_t *data, size_t bytes)
{
    GString *payload = g_string_new(NULL);
    bool good = !a->error && pack(payload, r->op, n, a, data, bytes) && payload->len <= HGFS_PACKET_MOST - HEADER_BYTES;
    if (!good)
        g_string_truncate(payload, 0);
    put_header(to, r, good ? HGFS_OK : a->error ? status_of(a->error) : HGFS_FAILED, payload->len);
    g_string_append_len(to, payload->str, payload->len);
    g_string_free(payload, TRUE);
}

void hgfs_reply_session(GString *to, const struct hgfs_request *r, uint32_t packet_most)
{
    GString *s = g_string_new(NULL);
    enum { FIRST = HGFS_OPEN, LAST = HGFS_CREATE_SYMLINK };
    put64(s, r->session);
    put32(s, LAST - FIRST + 1);
    put32(s, packet_most && packet_most < HGFS_PACKET_MOST ? packet_most : HGFS_PACKET_MOST);
    put32(s, 0);
    put32(s, SESSION_PACKET_MOST);
    put32(s, 0);
    for (uint32_t op = FIRST; op <= LAST; op++) {
        put32(s, op);
        put32(s, SUPPORTED);
    }
    put_header(to, r, HGFS_OK, s->len);
    g_string_append_len(to, s->str, s->len);
    g_string_free(s, TRUE);
}
