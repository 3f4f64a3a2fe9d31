// SPDX-License-Identifier: GPL-2.0-or-later
/* tables.c - the cache of L2 tables and refcount blocks, and writing them back in the order that qcow2.h gives. */
#include "disk-formats/qcow2/qcow2.h"
#include <errno.h>
#include <string.h>

/* ---- the cache: least recently used clean ones go first ---- */
void tables_init(struct tables *t, unsigned limit)
{
    *t = (struct tables){.by_offset = g_hash_table_new(g_int64_hash, g_int64_equal), .limit = limit};
}

static void list_remove(struct tables *t, struct table *x)
{
    *(x->newer ? &x->newer->older : &t->newest) = x->older;
    *(x->older ? &x->older->newer : &t->oldest) = x->newer;
}

static void list_push(struct tables *t, struct table *x)
{
    x->newer = NULL;
    x->older = t->newest;
    *(t->newest ? &t->newest->newer : &t->oldest) = x;
    t->newest = x;
}

static void table_free(struct tables *t, struct table *x)
{
    list_remove(t, x);
    g_hash_table_remove(t->by_offset, &x->offset);
    t->count--;
    t->dirty -= x->dirty;
    g_free(x->data);
    g_free(x);
}

void tables_clear(struct tables *t)
{
    while (t->newest)
        table_free(t, t->newest);
    g_clear_pointer(&t->by_offset, g_hash_table_unref);
}

void tables_shrink(struct tables *t)
{
    for (struct table *x = t->oldest, *newer; x && t->count > t->limit; x = newer) {
        newer = x->newer;
        if (!x->dirty)
            table_free(t, x);
    }
}

void tables_forget(struct tables *t, uint64_t offset)
{
    struct table *x = g_hash_table_lookup(t->by_offset, &offset);
    if (x)
        table_free(t, x);
}

bool tables_has(const struct tables *t, uint64_t offset)
{
    return g_hash_table_contains(t->by_offset, &offset);
}

static struct table *table_new(struct image *im, struct tables *t, uint64_t offset)
{
    struct table *x = g_try_new0(struct table, 1);
    if (x && !(x->data = g_try_malloc0(qcow2_of(im)->cluster)))
        g_clear_pointer(&x, g_free);
    if (!x)
        return NULL;
    x->offset = offset;
    return x;
}

static void table_insert(struct tables *t, struct table *x)
{
    tables_forget(t, x->offset);
    g_hash_table_insert(t->by_offset, &x->offset, x);
    list_push(t, x);
    t->count++;
}

/* The cache goes beyond its limit by one here, so that pointers from the call before stay good. */
int tables_get(struct image *im, struct tables *t, uint64_t offset, struct table **out)
{
    struct table *x = t->newest && t->newest->offset == offset ? t->newest : g_hash_table_lookup(t->by_offset, &offset);
    if (x) {
        list_remove(t, x);
        list_push(t, x);
        *out = x;
        return 0;
    }
    if (!(x = table_new(im, t, offset)))
        return -ENOMEM;
    int err = blk_pread(im->file, offset, x->data, qcow2_of(im)->cluster);
    if (err) {
        g_free(x->data);
        g_free(x);
        return err;
    }
    table_insert(t, x);
    *out = x;
    return 0;
}

struct table *tables_add(struct image *im, struct tables *t, uint64_t offset)
{
    struct table *x = table_new(im, t, offset);
    if (!x)
        return NULL;
    table_insert(t, x);
    x->fresh = true;
    tables_dirty(t, x);
    return x;
}

void tables_dirty(struct tables *t, struct table *x)
{
    t->dirty += !x->dirty;
    x->dirty = true;
}

/* Writes the dirty ones, fresh ones only or all; *wrote is set if there were any. */
static int tables_write(struct image *im, struct tables *t, bool fresh_only, bool *wrote)
{
    for (struct table *x = t->oldest; x && t->dirty; x = x->newer) {
        if (!x->dirty || (fresh_only && !x->fresh))
            continue;
        int err = blk_pwrite(im->file, x->offset, x->data, qcow2_of(im)->cluster);
        if (err)
            return err;
        x->dirty = false;
        t->dirty--;
        *wrote = true;
    }
    return 0;
}

static void tables_known(struct tables *t)
{
    for (struct table *x = t->oldest; x; x = x->newer)
        x->fresh = false;
}

/* ---- the tables that are in memory as a whole ---- */
void memory_table_clear(struct table_in_memory *t)
{
    g_clear_pointer(&t->entry, g_free);
    g_clear_pointer(&t->dirty, g_free);
}

/* Takes entry. */
void memory_table_take(struct table_in_memory *t, uint64_t offset, uint64_t *entry, uint32_t entries)
{
    memory_table_clear(t);
    *t = (struct table_in_memory){offset, entries, entry, g_malloc0(entries / 64 + 1), false};
}

void memory_table_set(struct table_in_memory *t, uint32_t index, uint64_t value)
{
    t->entry[index] = value;
    t->dirty[index / 64] = 1;
    t->any_dirty = true;
}

static int memory_table_write(struct image *im, struct table_in_memory *t)
{
    uint64_t sector[64];
    for (uint32_t first = 0; t->any_dirty && first < t->entries; first += 64) {
        uint32_t n = MIN(64u, t->entries - first);
        if (!t->dirty[first / 64])
            continue;
        for (uint32_t i = 0; i < n; i++)
            sector[i] = GUINT64_TO_BE(t->entry[first + i]);
        int err = blk_pwrite(im->file, t->offset + first * 8ull, sector, n * 8);
        if (err)
            return err;
    }
    return 0;
}

static void memory_table_clean(struct table_in_memory *t)
{
    memset(t->dirty, 0, t->entries / 64 + 1);
    t->any_dirty = false;
}

/* ---- the commit ---- */
void qcow2_drop(struct qcow2 *s, uint64_t offset, uint64_t bytes, bool punch)
{
    struct dropped d = {offset, bytes, punch};
    struct dropped *last = s->dropped->len ? &g_array_index(s->dropped, struct dropped, s->dropped->len - 1) : NULL;
    bool aligned = (offset | bytes) % s->cluster == 0;
    if (last && aligned && last->offset % s->cluster == 0 && last->offset + last->bytes == offset &&
        last->punch == punch)
        last->bytes += bytes;
    else
        g_array_append_val(s->dropped, d);
}

int qcow2_sync(struct image *im)
{
    struct qcow2 *s = qcow2_of(im);
    int err = s->data != im->file ? blk_sync(s->data) : 0;
    return err ? err : blk_sync(im->file);
}

/* Gives the room of clusters that are free now back to the host. */
static void punch_free(struct image *im, const struct dropped *d)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t refs, start = d->offset & ~(s->cluster - 1); /* packed data share clusters with others */
    for (uint64_t at = start, end; at < d->offset + d->bytes; at = end) {
        end = at;
        while (end < d->offset + d->bytes && !refcount_get(im, end >> s->cluster_bits, &refs) && !refs)
            end += s->cluster;
        if (end > at)
            blk_zero(im->file, at, end - at, true); /* only an economy: failing does no harm */
        else
            end += s->cluster;
    }
}

static int lower_counts(struct image *im)
{
    struct qcow2 *s = qcow2_of(im);
    for (guint i = 0; i < s->dropped->len; i++) {
        struct dropped d = g_array_index(s->dropped, struct dropped, i);
        int err = refcount_change(im, d.offset, d.bytes, -1);
        if (err) {
            g_array_remove_range(s->dropped, 0, i);
            return err;
        }
        if (d.punch)
            punch_free(im, &d);
    }
    g_array_set_size(s->dropped, 0);
    return 0;
}

/* Step 1 (and the final barrier of a flush).  *wrote: there is something that a barrier must follow. */
static int write_step_1(struct image *im, bool *wrote)
{
    struct qcow2 *s = qcow2_of(im);
    int err = tables_write(im, &s->blocks, false, wrote);
    return err ? err : tables_write(im, &s->l2, true, wrote);
}

int qcow2_commit(struct image *im)
{
    struct qcow2 *s = qcow2_of(im);
    bool wrote = false;
    bool pointers = s->l2.dirty || s->l1.any_dirty || s->reftable.any_dirty;
    int err = write_step_1(im, &wrote);
    if (!err && pointers)
        err = qcow2_sync(im);
    if (!err && s->reftable.any_dirty) {
        err = memory_table_write(im, &s->reftable);
        if (!err)
            err = blk_sync(im->file);
        if (!err)
            memory_table_clean(&s->reftable);
    }
    if (!err)
        err = tables_write(im, &s->l2, false, &wrote);
    if (!err)
        err = memory_table_write(im, &s->l1);
    if (!err && (pointers || wrote || s->dropped->len))
        err = qcow2_sync(im);
    if (err)
        return err;
    memory_table_clean(&s->l1);
    tables_known(&s->l2);
    tables_known(&s->blocks);
    return lower_counts(im);
}

int qcow2_flush(struct image *im)
{
    struct qcow2 *s = qcow2_of(im);
    bool any = s->l2.dirty || s->blocks.dirty || s->l1.any_dirty || s->reftable.any_dirty || s->dropped->len;
    g_mutex_lock(&s->lock);
    int err = any ? qcow2_commit(im) : qcow2_sync(im);
    tables_shrink(&s->l2);
    tables_shrink(&s->blocks);
    g_mutex_unlock(&s->lock);
    return err;
}
