// SPDX-License-Identifier: GPL-2.0-or-later
/* ova.c - see ova.h.
 *
 * The archive is mapped, and libarchive reads it from memory: so what it gives as a member's data points into the map, which says where
 * in the file the data are.  That the file may become shorter meanwhile ends this process, which is a child for that reason. */
#include "core-vmm/foreign/ova.h"
#include "disk-formats/image/error.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMBERS_MAX  1000
#define MANIFEST_MAX (1u << 20)
#define HASH_PIECE   (4u << 20)
#define TAR_MAGIC    "ustar"
#define TAR_MAGIC_AT 257

bool ova_looks_like(const char *path)
{
    char head[TAR_MAGIC_AT + 5] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd >= 0 ? read(fd, head, sizeof head) : 0;
    if (fd >= 0)
        close(fd);
    return n == (ssize_t)sizeof head && !memcmp(head + TAR_MAGIC_AT, TAR_MAGIC, strlen(TAR_MAGIC));
}

/* ---- members ---- */

static bool name_is_plain(const char *name, GError **error)
{
    if (name && *name && *name != '.' && !strchr(name, '/') && !strchr(name, '\\'))
        return true;
    return disk_fail(error, DISK_ERROR_CORRUPT, "the archive has a member \"%s\": a name without a folder was expected",
                     name ? name : "?");
}

/* All of it must be there, and in one piece. */
static bool find_data(const struct ova *o, struct archive *a, struct ova_member *m, GError **error)
{
    const void *data;
    size_t n;
    la_int64_t offset;
    uint64_t so_far = 0;
    int got = ARCHIVE_OK;
    while (so_far < m->bytes && (got = archive_read_data_block(a, &data, &n, &offset)) == ARCHIVE_OK) {
        const uint8_t *p = data;
        if (n && !so_far)
            m->data = p;
        if ((uint64_t)offset != so_far || (n && p != m->data + so_far))
            return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s does not lie in one piece in the archive", m->name);
        so_far += n;
    }
    if (so_far != m->bytes || (m->bytes && (m->data < o->map || m->data + m->bytes > o->map + o->bytes)))
        return disk_fail(error, DISK_ERROR_CORRUPT, "the archive ends in the middle of %s", m->name);
    m->offset = m->bytes ? (uint64_t)(m->data - o->map) : 0;
    return true;
}

static bool add_member(struct ova *o, struct archive *a, struct archive_entry *e, GError **error)
{
    const char *name = archive_entry_pathname(e);
    if (!name)
        name = archive_entry_pathname_utf8(e);
    if (!name_is_plain(name, error))
        return false;
    if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s in the archive is a link or something else that is no file",
                         name);
    if (ova_find(o, name))
        return disk_fail(error, DISK_ERROR_CORRUPT, "the archive has two members %s", name);
    if (o->members->len == MEMBERS_MAX)
        return disk_fail(error, DISK_ERROR_CORRUPT, "the archive has more than %d members", MEMBERS_MAX);
    if (archive_entry_size(e) < 0)
        return disk_fail(error, DISK_ERROR_CORRUPT, "the archive does not say how long %s is", name);
    struct ova_member m = {.name = g_strdup(name), .bytes = archive_entry_size(e)};
    g_array_append_val(o->members, m);
    return find_data(o, a, &g_array_index(o->members, struct ova_member, o->members->len - 1), error);
}

static bool read_members(struct ova *o, GError **error)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    bool good =
        archive_read_support_format_tar(a) == ARCHIVE_OK && archive_read_open_memory(a, o->map, o->bytes) == ARCHIVE_OK;
    int got = ARCHIVE_OK;
    while (good && (got = archive_read_next_header(a, &e)) == ARCHIVE_OK)
        good = add_member(o, a, e, error);
    if (good && got != ARCHIVE_EOF)
        good = disk_fail(error, DISK_ERROR_CORRUPT, "it is no whole tar archive: %s", archive_error_string(a));
    else if (!good && error && !*error)
        disk_fail(error, DISK_ERROR_CORRUPT, "it is no tar archive");
    archive_read_free(a);
    return good;
}

static void clear_member(void *member)
{
    g_free(((struct ova_member *)member)->name);
}

static bool map_file(struct ova *o, const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        disk_fail_errno(error, errno, "%s", path);
    } else if (!S_ISREG(st.st_mode) || !st.st_size) {
        disk_fail(error, DISK_ERROR_CORRUPT, "%s is empty or no regular file", path);
    } else {
        o->bytes = st.st_size;
        o->map = mmap(NULL, o->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (o->map == MAP_FAILED) {
            o->map = NULL;
            disk_fail_errno(error, errno, "%s", path);
        }
    }
    if (fd >= 0)
        close(fd);
    return o->map;
}

struct ova *ova_open(const char *path, GError **error)
{
    struct ova *o = g_new0(struct ova, 1);
    o->members = g_array_new(FALSE, TRUE, sizeof(struct ova_member));
    g_array_set_clear_func(o->members, clear_member);
    if (map_file(o, path, error) && read_members(o, error))
        return o;
    ova_close(o);
    return NULL;
}

void ova_close(struct ova *o)
{
    if (o->map)
        munmap(o->map, o->bytes);
    g_array_unref(o->members);
    g_free(o);
}

const struct ova_member *ova_find(const struct ova *o, const char *name)
{
    for (guint i = 0; i < o->members->len; i++)
        if (!strcmp(g_array_index(o->members, struct ova_member, i).name, name))
            return &g_array_index(o->members, struct ova_member, i);
    return NULL;
}

const struct ova_member *ova_ending(const struct ova *o, const char *ending)
{
    for (guint i = 0; i < o->members->len; i++) {
        g_autofree char *name = g_ascii_strdown(g_array_index(o->members, struct ova_member, i).name, -1);
        if (g_str_has_suffix(name, ending))
            return &g_array_index(o->members, struct ova_member, i);
    }
    return NULL;
}

/* ---- manifests ---- */

static void clear_line(void *line)
{
    struct manifest_line *l = line;
    g_free(l->name);
    g_free(l->sum);
}

static bool read_line(const char *text, struct manifest_line *l)
{
    static const struct {
        const char *word;
        GChecksumType type;
    } kinds[] = {{"SHA256", G_CHECKSUM_SHA256},
                 {"SHA1", G_CHECKSUM_SHA1},
                 {"SHA512", G_CHECKSUM_SHA512},
                 {"SHA384", G_CHECKSUM_SHA384}};
    const char *open = strchr(text, '('), *close = strrchr(text, ')'), *equals = close ? strchr(close, '=') : NULL;
    g_autofree char *word = open ? g_strstrip(g_strndup(text, open - text)) : NULL;
    g_autofree char *sum = equals ? g_strstrip(g_ascii_strdown(equals + 1, -1)) : NULL;
    for (unsigned i = 0; word && sum && close > open && i < G_N_ELEMENTS(kinds); i++)
        if (!g_ascii_strcasecmp(word, kinds[i].word)) {
            *l = (struct manifest_line){kinds[i].type, g_strndup(open + 1, close - open - 1), g_steal_pointer(&sum)};
            return true;
        }
    return false;
}

GArray *manifest_read(const char *text, gsize n, GError **error)
{
    if (n > MANIFEST_MAX || (n && memchr(text, '\0', n))) { /* what is not read would not be verified */
        disk_fail(error, DISK_ERROR_CORRUPT, "a manifest of more than 1 MiB, or with zero bytes in it, is none");
        return NULL;
    }
    g_autofree char *copy = g_strndup(text, n);
    g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
    GArray *all = g_array_new(FALSE, TRUE, sizeof(struct manifest_line));
    g_array_set_clear_func(all, clear_line);
    for (char **l = lines; *l; l++) {
        struct manifest_line line;
        if (!*g_strstrip(*l))
            continue;
        if (!read_line(*l, &line)) {
            disk_fail(error, DISK_ERROR_CORRUPT, "line %u of the manifest is no checksum that is known",
                      (unsigned)(l - lines) + 1);
            g_array_unref(all);
            return NULL;
        }
        g_array_append_val(all, line);
    }
    return all;
}

bool manifest_check(const struct manifest_line *line, const uint8_t *data, uint64_t bytes,
                    void (*tell)(void *ctx, uint64_t bytes), void *ctx, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(line->type);
    for (uint64_t at = 0; at < bytes; at += HASH_PIECE) {
        uint64_t n = MIN(HASH_PIECE, bytes - at);
        g_checksum_update(sum, data + at, n);
        if (tell)
            tell(ctx, n);
    }
    return !strcmp(g_checksum_get_string(sum), line->sum) ||
           disk_fail(error, DISK_ERROR_CORRUPT, "%s is damaged: its checksum is not that of the manifest", line->name);
}
