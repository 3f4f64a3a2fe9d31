// SPDX-License-Identifier: GPL-2.0-or-later
/* compare.c - which files of a file system have changed between two of its days.
 *
 * Both are walked through side by side, a folder at a time: so memory is needed for two folders of each level of the way down, and
 * not for all names; it has a bound.  A file is another one if its size, times, owner or rights are; contents are not read.  A file system that
 * goes round in circles ends at a depth, or where one folder is in many others, after so many entries. */
#include "core-vmm/look/volume.h"
#include <string.h>

enum { DEPTH_MOST = 128, FOLDER_MOST = 1 << 20, ENTRIES_MOST = 16 << 20, ENTRY_BYTES = 8 /* none is shorter */ };
enum { KEPT_MOST = 256 << 20, KEPT_EACH = 128 /* bytes of all lists at once; of an entry beside its name */ };

struct comparing {
    const struct volume_kind *kind;
    void *volume[2];
    volume_change_fn fn;
    void *ctx;
    GString *path;
    uint64_t entries, most; /* of all folders so far; that there can be */
    uint64_t kept;          /* bytes of all lists that are there now */
};
struct list {
    struct comparing *comparing;
    GPtrArray *entries; /* struct volume_entry */
    uint64_t bytes;
};

static void entry_free(gpointer entry)
{
    struct volume_entry *e = entry;
    g_free((char *)e->name);
    g_free(e);
}

static bool keep(void *ctx, const struct volume_entry *e)
{
    struct list *l = ctx;
    struct volume_entry *own = g_memdup2(e, sizeof *e);
    uint64_t bytes = strlen(e->name) + KEPT_EACH;
    own->name = g_strdup(e->name);
    g_ptr_array_add(l->entries, own);
    l->bytes += bytes;
    l->comparing->kept += bytes;
    return l->entries->len < FOLDER_MOST && l->comparing->kept < KEPT_MOST;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct volume_entry *const *)a)->name, (*(struct volume_entry *const *)b)->name);
}

static enum file_result list_folder(struct comparing *c, unsigned side, uint64_t id, struct list *out)
{
    *out = (struct list){c, g_ptr_array_new_with_free_func(entry_free)};
    enum file_result r = c->kind->list(c->volume[side], id, keep, out);
    g_ptr_array_sort(out->entries, by_name);
    c->entries += out->entries->len;
    if (c->entries > c->most)
        return FILE_TOO_LARGE;
    return r == FILE_NOT_TAKEN ? FILE_TOO_LARGE : r;
}

static void drop_list(struct list *l)
{
    l->comparing->kept -= l->bytes;
    g_ptr_array_unref(l->entries);
}

static bool tell(const struct comparing *c, char how, const struct volume_entry *e)
{
    gsize before = c->path->len;
    g_string_append(c->path, e->name);
    bool goes_on = c->fn(c->ctx, &(struct volume_change){how, e->folder, c->path->str});
    g_string_truncate(c->path, before);
    return goes_on;
}

static enum file_result compare_folders(struct comparing *c, uint64_t a, uint64_t b, unsigned depth);

/* Of the same name. */
static enum file_result compare_two(struct comparing *c, const struct volume_entry *a, const struct volume_entry *b,
                                    unsigned depth)
{
    gsize before = c->path->len;
    if (!a->folder || !b->folder) {
        bool same = a->folder == b->folder && !memcmp(a->marks, b->marks, sizeof a->marks);
        return same || tell(c, '*', b) ? FILE_DONE : FILE_NOT_TAKEN;
    }
    if (depth >= DEPTH_MOST)
        return FILE_DAMAGED;
    g_string_append(c->path, a->name);
    g_string_append_c(c->path, '/');
    enum file_result r = compare_folders(c, a->id, b->id, depth + 1);
    g_string_truncate(c->path, before);
    return r;
}

static enum file_result compare_lists(struct comparing *c, const GPtrArray *x, const GPtrArray *y, unsigned depth)
{
    enum file_result r = FILE_DONE;
    for (guint i = 0, k = 0; r == FILE_DONE && (i < x->len || k < y->len);) {
        const struct volume_entry *a = i < x->len ? x->pdata[i] : NULL, *b = k < y->len ? y->pdata[k] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);
        if (order < 0)
            r = tell(c, '-', a) ? FILE_DONE : FILE_NOT_TAKEN;
        else if (order > 0)
            r = tell(c, '+', b) ? FILE_DONE : FILE_NOT_TAKEN;
        else
            r = compare_two(c, a, b, depth);
        i += order <= 0;
        k += order >= 0;
    }
    return r;
}

static enum file_result compare_folders(struct comparing *c, uint64_t a, uint64_t b, unsigned depth)
{
    struct list x, y;
    enum file_result r = list_folder(c, 0, a, &x), s = list_folder(c, 1, b, &y);
    r = r != FILE_DONE ? r : s != FILE_DONE ? s : compare_lists(c, x.entries, y.entries, depth);
    drop_list(&y);
    drop_list(&x);
    return r;
}

enum file_result volumes_compare(const struct volume_kind *kind, const struct source *a, const struct source *b,
                                 volume_change_fn fn, void *ctx)
{
    uint64_t root[2];
    struct comparing c = {.kind = kind, .fn = fn, .ctx = ctx};
    c.volume[0] = kind->open(a, &root[0]);
    c.volume[1] = kind->open(b, &root[1]);
    c.path = g_string_new(NULL);
    c.most = MIN((a->bytes + b->bytes) / ENTRY_BYTES, ENTRIES_MOST);
    bool good = c.volume[0] && c.volume[1];
    enum file_result r = good ? compare_folders(&c, root[0], root[1], 0) : FILE_DAMAGED;
    for (unsigned i = 0; i < 2; i++)
        if (c.volume[i])
            kind->close(c.volume[i]);
    g_string_free(c.path, TRUE);
    return r;
}
