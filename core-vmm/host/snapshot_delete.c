// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_delete.c - a snapshot goes, and with it the images that nobody needs then.
 *
 * The record without it decides.  What it froze may be below other images: one that has a single image on top of it gets that one's
 * blocks, and takes its place (disk-formats/ops/merge.c says why it may be killed at any moment); one with several stays until
 * there is one.  A merge changes what files a disk consists of, and a saved state knows its disk by those: so below a snapshot
 * with a state, and below a machine that is suspended, nothing is merged. */
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_inside.h"
#include "disk-formats/image/error.h"
#include <string.h>

/* ---- may two images become one? ---- */

bool snapshot_in_chain_of(const struct snapshot_record *r, const struct snapshot_image *i, const char *top)
{
    for (const struct snapshot_image *at = record_image(r, top); at; at = at->on ? record_image(r, at->on) : NULL)
        if (at == i)
            return true;
    return false;
}

/* NULL: none; else why it must stay. */
static char *needed_by_state(const struct change *c, const struct snapshot_image *i)
{
    const struct snapshot_record *r = c->record;
    struct machine_saved saved;
    for (guint k = 0; k < r->snapshots->len; k++) {
        const struct snapshot *s = r->snapshots->pdata[k];
        for (guint d = 0; s->state_bytes && d < s->disks->len; d++)
            if (snapshot_in_chain_of(r, i, ((struct snapshot_disk *)s->disks->pdata[d])->file))
                return g_strdup_printf("%s stays until snapshot %u, which has a saved state, is deleted", i->file,
                                       s->id);
    }
    return saved_look(c->name, &saved) ? g_strdup_printf("%s stays while %s is saved", i->file, c->name) : NULL;
}

static char *needed_by_others(const struct change *c, const struct snapshot_image *i)
{
    g_autofree char *path = g_canonicalize_filename(i->file, c->folder);
    g_autoptr(GPtrArray) users = disk_users(path, c->name, NULL);
    if (users && !users->len)
        return NULL;
    return g_strdup_printf("%s stays, for %s needs it", i->file,
                           users ? (char *)users->pdata[0] : "another machine perhaps");
}

/* Somebody has set it by hand: then it would show another disk, or be gone. */
static char *needed_by_present(const struct change *c, const struct snapshot_image *i)
{
    g_autoptr(GKeyFile) file = machines_settings(c->name, NULL);
    g_auto(GStrv) sections = file ? g_key_file_get_groups(file, NULL) : NULL;
    bool named = !file;
    for (char **s = sections; s && *s && !named; s++) {
        g_autofree char *image = g_key_file_get_string(file, *s, "file", NULL);
        named = image && snapshot_same_file(c->folder, image, i->file);
    }
    return named ? g_strdup_printf("%s stays, for %s", i->file,
                                   file ? "machine.ini names it" : "what machine.ini needs cannot be read")
                 : NULL;
}

/* ---- merging ---- */

/* In the present's settings, if it writes to that image; NULL: it does not, or an error. */
static GKeyFile *settings_with(const struct change *c, const struct snapshot_image *child,
                               const struct snapshot_image *parent, GError **error)
{
    g_autoptr(GKeyFile) file = machines_settings(c->name, error);
    g_auto(GStrv) sections = file ? g_key_file_get_groups(file, NULL) : NULL;
    bool any = false;
    for (char **s = sections; s && *s; s++) {
        g_autofree char *image = g_key_file_get_string(file, *s, "file", NULL);
        if (!image || !snapshot_same_file(c->folder, image, child->file))
            continue;
        any = true;
        g_key_file_set_string(file, *s, "file", parent->file);
        g_key_file_set_string(file, *s, "format", parent->format);
    }
    return any ? g_steal_pointer(&file) : NULL;
}

/* parent is what child was. */
static bool take_place(struct change *c, struct snapshot_image *child, struct snapshot_image *parent, GPtrArray *above,
                       GError **error)
{
    struct snapshot_record *r = c->record;
    GError *why = NULL;
    g_autoptr(GKeyFile) file = child->frozen ? NULL : settings_with(c, child, parent, &why);
    if (why) {
        g_propagate_error(error, why);
        return false;
    }
    for (guint i = 0; i < r->snapshots->len; i++) {
        const struct snapshot *s = r->snapshots->pdata[i];
        for (guint k = 0; k < s->disks->len; k++) {
            struct snapshot_disk *d = s->disks->pdata[k];
            if (strcmp(d->file, child->file))
                continue;
            g_free(d->file);
            d->file = g_strdup(parent->file);
        }
    }
    for (guint i = 0; i < above->len; i++) {
        struct snapshot_image *one = above->pdata[i];
        g_free(one->on);
        one->on = g_strdup(parent->file);
    }
    parent->frozen = child->frozen;
    parent->merging = false;
    if (!snapshot_note_time(c->folder, parent, error))
        return false;
    g_ptr_array_remove(r->images, child);
    return change_commit(c, file, PENDING_STATE_STAYS, error);
}

static bool merge(struct change *c, struct snapshot_image *child, struct snapshot_image *parent,
                  struct machine_job *job, GError **error)
{
    g_autoptr(GPtrArray) above = record_children(c->record, child->file);
    parent->merging = true;
    return change_commit(c, NULL, PENDING_STATE_STAYS, error) &&
           images_merge(c->folder, child, parent, above, job, error) && take_place(c, child, parent, above, error);
}

/* ---- what nobody needs ---- */

enum outcome { NOTHING, DONE, FAILED };

/* What cannot be written to as others can stays as it is. */
static enum outcome merge_or_keep(struct change *c, struct snapshot_image *child, struct snapshot_image *parent,
                                  struct machine_job *job, GPtrArray *kept, GError **error)
{
    GError *why = NULL;
    if (merge(c, child, parent, job, &why))
        return DONE;
    if (!g_error_matches(why, DISK_ERROR, DISK_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, why);
        return FAILED;
    }
    g_ptr_array_add(kept, g_strdup_printf("%s stays: %s", parent->file, why->message));
    g_error_free(why);
    parent->merging = false;
    return change_commit(c, NULL, PENDING_STATE_STAYS, error) ? NOTHING : FAILED;
}

/* count: images on top of it.  g_free; NULL: it need not. */
static char *why_it_stays(const struct change *c, const struct snapshot_image *i, unsigned count)
{
    if (count > 1)
        return g_strdup_printf("%s stays, for %u images build upon it", i->file, count);
    if (!count && !i->ours) /* its file is not removed */
        return NULL;
    char *why = count ? needed_by_state(c, i) : NULL;
    if (!why)
        why = needed_by_present(c, i);
    return why ? why : needed_by_others(c, i);
}

/* One step: an image goes, or two become one.  kept: sentences about those that cannot. */
static enum outcome simplify_one(struct change *c, struct snapshot_image *i, struct machine_job *job, GPtrArray *kept,
                                 GError **error)
{
    g_autoptr(GPtrArray) children = record_children(c->record, i->file);
    if (!i->frozen || record_needs(c->record, i->file))
        return NOTHING;
    char *why = why_it_stays(c, i, children->len);
    if (why) {
        g_ptr_array_add(kept, why);
        return NOTHING;
    }
    if (children->len)
        return merge_or_keep(c, children->pdata[0], i, job, kept, error);
    g_ptr_array_remove(c->record->images, i);
    return change_commit(c, NULL, PENDING_STATE_STAYS, error) ? DONE : FAILED;
}

static bool simplify(struct change *c, struct machine_job *job, char **kept, GError **error)
{
    g_autoptr(GPtrArray) sentences = g_ptr_array_new_with_free_func(g_free);
    enum outcome out = NOTHING;
    do {
        g_ptr_array_set_size(sentences, 0);
        out = NOTHING;
        for (guint i = 0; i < c->record->images->len && out == NOTHING; i++)
            out = simplify_one(c, c->record->images->pdata[i], job, sentences, error);
    } while (out == DONE);
    if (out == NOTHING && sentences->len)
        *kept = g_strdup(sentences->pdata[0]);
    return out != FAILED;
}

/* ---- delete ---- */

static bool remove_snapshot(struct change *c, struct snapshot *s, GError **error)
{
    struct snapshot_record *r = c->record;
    unsigned parent = s->parent, id = s->id;
    for (guint i = 0; i < r->snapshots->len; i++) {
        struct snapshot *other = r->snapshots->pdata[i];
        if (other->parent == id)
            other->parent = parent;
    }
    if (r->current == id)
        r->current = parent;
    g_ptr_array_remove(r->snapshots, s);
    return change_commit(c, NULL, PENDING_STATE_STAYS, error);
}

bool snapshots_delete(const char *machine, const char *which, struct machine_job *job, char **kept, GError **error)
{
    struct change c;
    *kept = NULL;
    bool good = change_begin(&c, machine, error);
    struct snapshot *s = good ? snapshots_find(c.record, machine, which, error) : NULL;
    good = s && remove_snapshot(&c, s, error) && simplify(&c, job, kept, error);
    change_end(&c);
    return good;
}
