// SPDX-License-Identifier: GPL-2.0-or-later
/* hgfs_request.c - takes a guest's request apart: see hgfs.h.  All that it says may be a lie. */
#include "core-vmm/base/bytes.h"
#include "guest-additions/common/hgfs.h"
#include <string.h>

enum { NEW_HEADER = 0xff, HEADER_BYTES = 52, OLD_HEADER_BYTES = 8 };
enum { USE_HANDLE = 1, ANY_CASE = 2 };                         /* of a name: flag, kind of case */
enum { VALID_OPEN_OWNER = 1 << 3, VALID_MAKE_OWNER = 1 << 1 }; /* bits of masks: permissions are there */
enum { VALID_SIZE = 1 << 1, VALID_ACCESSED = 1 << 3, VALID_WRITTEN = 1 << 4, VALID_PERMISSIONS = 0xf << 6 };
enum { HINT_ACCESSED = 1, HINT_WRITTEN = 2, HINT_KEEP = 4, WRITE_APPENDS = 1 };
#define DEFAULT_MODE 0644
#define NT_EPOCH     116444736000000000ll /* 1970 in units of 100 ns since 1601 */

/* ---- bytes in their order; `bad` once there were too few ---- */
struct cursor {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static const uint8_t *take(struct cursor *c, size_t bytes)
{
    static const uint8_t nothing[8];
    if (bytes > c->left) {
        c->bad = true;
        return nothing;
    }
    const uint8_t *at = c->at;
    c->at += bytes;
    c->left -= bytes;
    return at;
}

static uint8_t take8(struct cursor *c)
{
    return *take(c, 1);
}

static uint32_t take32(struct cursor *c)
{
    return get_le32(take(c, 4));
}

static uint64_t take64(struct cursor *c)
{
    return get_le64(take(c, 8));
}

static void skip(struct cursor *c, size_t bytes)
{
    if (bytes > c->left)
        c->bad = true;
    else
        take(c, bytes);
}

/* ---- names ---- */

/* Components with zero bytes between them, and maybe one behind them: the share, then its path. */
static enum hgfs_status split(const char *text, size_t bytes, struct hgfs_name *n)
{
    if (bytes && !text[bytes - 1])
        bytes--;
    if (!bytes)
        return HGFS_OK;
    const char *end = memchr(text, 0, bytes);
    size_t share = end ? (size_t)(end - text) : bytes;
    if (!folder_name_good(text, share))
        return HGFS_BAD_NAME;
    n->share = g_strndup(text, share);
    size_t path = end ? bytes - share - 1 : 0;
    n->path = g_malloc(path + 1); /* there may be no byte behind it in the packet */
    if (path)
        memcpy(n->path, end + 1, path);
    if (memchr(n->path, '/', path))
        return HGFS_BAD_NAME;
    for (size_t i = 0; i < path; i++)
        n->path[i] = n->path[i] ? n->path[i] : '/';
    n->path[path] = 0;
    if (path >= FOLDER_PATH_MOST)
        return HGFS_NAME_TOO_LONG;
    return folder_path_good(n->path, path) ? HGFS_OK : HGFS_BAD_NAME;
}

/* The text of a name of version 3, its flags and case put aside; NULL: it is too short. */
static const char *name_text(struct cursor *c, struct hgfs_wish *w, struct hgfs_name *n, uint32_t *length)
{
    *length = take32(c);
    uint32_t flags = take32(c), letters = take32(c);
    n->handle = take32(c);
    n->by_handle = flags & USE_HANDLE;
    if (letters == ANY_CASE)
        w->line.flags |= FOLDER_ANY_CASE;
    if (c->bad || *length > c->left) {
        c->bad = true;
        return NULL;
    }
    const char *text = (const char *)take(c, *length);
    if (c->left)
        take(c, 1); /* the zero byte behind it */
    return text;
}

static enum hgfs_status take_name(struct cursor *c, struct hgfs_wish *w, struct hgfs_name *n)
{
    uint32_t length;
    const char *text = name_text(c, w, n, &length);
    return !text ? HGFS_PROTOCOL : n->by_handle ? HGFS_OK : split(text, length, n);
}

/* Where a link leads: '/' is a zero byte in it. */
static enum hgfs_status take_target(struct cursor *c, struct hgfs_wish *w)
{
    uint32_t length;
    const char *text = name_text(c, w, &w->other, &length);
    if (!text || w->other.by_handle)
        return HGFS_PROTOCOL;
    if (!length || length >= FOLDER_PATH_MOST)
        return length ? HGFS_NAME_TOO_LONG : HGFS_BAD_NAME;
    w->other.path = g_malloc(length + 1);
    for (uint32_t i = 0; i < length; i++)
        w->other.path[i] = text[i] ? text[i] : '/';
    w->other.path[length] = 0;
    return HGFS_OK;
}

/* ---- operations ---- */

/* Permissions of specials, owner, group and others. */
static uint32_t take_mode(struct cursor *c)
{
    const uint8_t *p = take(c, 4);
    return (p[1] & 7u) << 6 | (p[2] & 7u) << 3 | (p[3] & 7u);
}

static enum hgfs_status parse_open(struct cursor *c, struct hgfs_wish *w)
{
    uint64_t mask = take64(c);
    uint32_t access = take32(c), how = take32(c), mode = take_mode(c);
    skip(c, 8 + 8 + 4 + 4 + 4 + 8 + 8); /* attributes, room, what Windows adds, lock, reserved */
    access &= 3;
    w->line.op = FOLDER_OPEN;
    w->line.mode = mask & VALID_OPEN_OWNER ? mode : DEFAULT_MODE;
    w->line.access = access;
    w->line.how = how;
    if (access > FOLDER_READS_WRITES || how > FOLDER_ANY_EMPTY)
        return HGFS_PROTOCOL;
    return take_name(c, w, &w->name);
}

static void take_handle(struct cursor *c, struct hgfs_wish *w)
{
    w->name.by_handle = true;
    w->name.handle = take32(c);
}

static enum hgfs_status parse_read(struct cursor *c, struct hgfs_wish *w)
{
    w->line.op = FOLDER_READ;
    take_handle(c, w);
    w->line.offset = take64(c);
    uint32_t count = take32(c);
    w->line.count = MIN(count, FOLDER_DATA_MOST);
    return HGFS_OK;
}

static enum hgfs_status parse_write(struct cursor *c, struct hgfs_wish *w)
{
    w->line.op = FOLDER_WRITE;
    take_handle(c, w);
    bool appends = take8(c) & WRITE_APPENDS;
    w->line.offset = take64(c);
    uint32_t count = take32(c);
    skip(c, 8);
    if (c->bad || count > c->left)
        return HGFS_PROTOCOL;
    if (w->line.offset > INT64_MAX)
        return HGFS_BAD_PARAMETER;
    if (appends)
        w->line.offset = FOLDER_AT_END;
    w->data_bytes = MIN(count, FOLDER_DATA_MOST); /* the guest is told how much was taken */
    w->data = take(c, w->data_bytes);
    return HGFS_OK;
}

static enum hgfs_status parse_close(struct cursor *c, struct hgfs_wish *w)
{
    w->line.op = FOLDER_CLOSE;
    take_handle(c, w);
    return HGFS_OK;
}

static enum hgfs_status parse_search_open(struct cursor *c, struct hgfs_wish *w)
{
    w->line.op = FOLDER_LIST;
    skip(c, 8);
    return take_name(c, w, &w->name);
}

static enum hgfs_status parse_search_read(struct cursor *c, struct hgfs_wish *w)
{
    w->line.op = FOLDER_NEXT;
    w->line.count = FOLDER_DATA_MOST;
    take_handle(c, w);
    w->line.offset = take32(c);
    return HGFS_OK;
}

static enum hgfs_status parse_get_attr(struct cursor *c, struct hgfs_wish *w)
{
    w->line.op = FOLDER_LOOK;
    skip(c, 8 + 8);
    return take_name(c, w, &w->name);
}

/* Units of 100 ns since 1601; the present if the guest does not say which. */
static int64_t time_of(uint64_t nt, bool said)
{
    const int64_t most = INT64_MAX / 100;
    int64_t since = (int64_t)MIN(nt, (uint64_t)INT64_MAX) - NT_EPOCH;
    return said ? CLAMP(since, -most, most) * 100 : g_get_real_time() * 1000;
}

static enum hgfs_status parse_set_attr(struct cursor *c, struct hgfs_wish *w)
{
    uint64_t hints = take64(c), mask = take64(c);
    skip(c, 4); /* type */
    w->line.op = FOLDER_CHANGE;
    w->line.offset = take64(c);
    skip(c, 8);
    w->line.accessed = time_of(take64(c), hints & HINT_ACCESSED);
    w->line.written = time_of(take64(c), hints & HINT_WRITTEN);
    skip(c, 8);
    w->line.mode = take_mode(c);
    skip(c, 8 + 8 + 4 + 4 + 8 + 4 + 4 + 8 + 8); /* flags, room, whose, numbers, reserved */
    w->line.mask = (mask & VALID_PERMISSIONS ? FOLDER_SET_MODE : 0) | (mask & VALID_SIZE ? FOLDER_SET_SIZE : 0) |
                   (mask & VALID_ACCESSED ? FOLDER_SET_ACCESSED : 0) | (mask & VALID_WRITTEN ? FOLDER_SET_WRITTEN : 0);
    return take_name(c, w, &w->name);
}

static enum hgfs_status parse_create_dir(struct cursor *c, struct hgfs_wish *w)
{
    uint64_t mask = take64(c);
    uint32_t mode = take_mode(c);
    skip(c, 8);
    w->line.op = FOLDER_MAKE;
    w->line.mode = mask & VALID_MAKE_OWNER ? mode : DEFAULT_MODE | 0111;
    return take_name(c, w, &w->name);
}

static enum hgfs_status parse_delete_file(struct cursor *c, struct hgfs_wish *w)
{
    w->line.op = FOLDER_REMOVE;
    skip(c, 8 + 8);
    return take_name(c, w, &w->name);
}

static enum hgfs_status parse_delete_dir(struct cursor *c, struct hgfs_wish *w)
{
    enum hgfs_status s = parse_delete_file(c, w);
    w->line.op = FOLDER_REMOVE_FOLDER;
    return s;
}

static enum hgfs_status parse_rename(struct cursor *c, struct hgfs_wish *w)
{
    uint64_t hints = take64(c);
    skip(c, 8);
    w->line.op = FOLDER_RENAME;
    w->line.flags |= hints & HINT_KEEP ? FOLDER_KEEP : 0;
    enum hgfs_status s = take_name(c, w, &w->name);
    return s ? s : take_name(c, w, &w->other);
}

static enum hgfs_status parse_query_volume(struct cursor *c, struct hgfs_wish *w)
{
    w->line.op = FOLDER_SPACE;
    skip(c, 8);
    return take_name(c, w, &w->name);
}

static enum hgfs_status parse_create_symlink(struct cursor *c, struct hgfs_wish *w)
{
    w->line.op = FOLDER_LINK;
    skip(c, 8);
    enum hgfs_status s = take_name(c, w, &w->name);
    return s ? s : take_target(c, w);
}

static enum hgfs_status parse_create_session(struct cursor *c, struct hgfs_wish *w)
{
    skip(c, 4);
    w->packet_most = take32(c);
    return HGFS_OK;
}

static enum hgfs_status parse_destroy_session(struct cursor *c, struct hgfs_wish *w)
{
    w->line.op = FOLDER_END;
    return HGFS_OK;
}

static const struct {
    uint32_t op;
    enum hgfs_status (*parse)(struct cursor *c, struct hgfs_wish *w);
} operations[] = {
    {HGFS_OPEN, parse_open},
    {HGFS_READ, parse_read},
    {HGFS_WRITE, parse_write},
    {HGFS_CLOSE, parse_close},
    {HGFS_SEARCH_OPEN, parse_search_open},
    {HGFS_SEARCH_READ, parse_search_read},
    {HGFS_SEARCH_CLOSE, parse_close},
    {HGFS_GET_ATTR, parse_get_attr},
    {HGFS_SET_ATTR, parse_set_attr},
    {HGFS_CREATE_DIR, parse_create_dir},
    {HGFS_DELETE_FILE, parse_delete_file},
    {HGFS_DELETE_DIR, parse_delete_dir},
    {HGFS_RENAME, parse_rename},
    {HGFS_QUERY_VOLUME, parse_query_volume},
    {HGFS_CREATE_SYMLINK, parse_create_symlink},
    {HGFS_CREATE_SESSION, parse_create_session},
    {HGFS_DESTROY_SESSION, parse_destroy_session},
};

/* ---- headers ---- */

/* The second word tells which of the two it is. */
static bool take_header(struct cursor *c, struct hgfs_request *r)
{
    size_t all = c->left;
    bool long_one = all >= OLD_HEADER_BYTES && get_le32(c->at + 4) == NEW_HEADER;
    if (!long_one) {
        r->id = take32(c);
        r->op = take32(c);
        return !c->bad;
    }
    r->session_header = true;
    skip(c, 8);
    uint32_t size = take32(c), header = take32(c);
    r->id = take32(c);
    r->op = take32(c);
    skip(c, 4 + 4 + 4); /* status, flags, information */
    r->session = take64(c);
    skip(c, 8);
    if (c->bad || size > all || header < HEADER_BYTES || header > size)
        return false;
    skip(c, header - HEADER_BYTES);
    c->left = size - header;
    return true;
}

enum hgfs_status hgfs_parse(const uint8_t *packet, size_t bytes, struct hgfs_request *r, struct hgfs_wish *w)
{
    struct cursor c = {packet, bytes, false};
    *r = (struct hgfs_request){0};
    *w = (struct hgfs_wish){0};
    if (!take_header(&c, r))
        return HGFS_PROTOCOL;
    for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++)
        if (operations[i].op == r->op) {
            enum hgfs_status s = operations[i].parse(&c, w);
            return c.bad ? HGFS_PROTOCOL : s;
        }
    return HGFS_UNKNOWN;
}

void hgfs_wish_clear(struct hgfs_wish *w)
{
    g_free(w->name.share);
    g_free(w->name.path);
    g_free(w->other.share);
    g_free(w->other.path);
    *w = (struct hgfs_wish){0};
}
