// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_delete.c - a snapshot goes, and with it the images that nobody needs then.
 *
 * The record without it decides.  What it froze may be below other images: one that has a single image on top of it gets that one's
 * blocks, and takes its place (disk-formats/ops/merge.c says why it may be killed at any moment); one with several stays until
 * there is one.  A merge changes what files a disk consists of, and a saved state knows its disk by those: below a machine that is
 * suspended nothing is merged, and snapshots with a state are told so (snapshot_state.c).
 *
 * A machine that runs goes on reading through both images: what changes of the lower one is what the upper one has.  Then its VM process
 * takes the lower one anew, with what it has got, and lets go of the upper one. */
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_inside.h"
#include "disk-formats/image/error.h"
#include <string.h>
#include <unistd.h>

/* ---- may two images become one? ---- */

bool snapshot_in_chain_of(const struct snapshot_record *r, const struct snapshot_image *i, const char *top)
{
    for (const struct snapshot_image *at = record_image(r, top); at; at = at->on ? record_image(r, at->on) : NULL)
        if (at == i)
            return true;
    return false;
}

/* A state of the present knows its disks by their files, and nobody would retell it (snapshot_state.c).  NULL: none. */
static char *needed_by_saved(const struct change *c, const struct snapshot_image *i)
{
    struct machine_saved saved;
    return saved_look(c->name, &saved) ? g_strdup_printf("%s stays while %s is saved", i->file, c->name) : NULL;
}

/* A machine that runs writes to the image on top of it, or may do so yet; or to the one above that though it is frozen, for somebody
 * who took a snapshot was killed: nobody else may write to its head.  NULL: it does not. */
static char *needed_by_running(const struct change *c, const struct snapshot_image *i,
                               const struct snapshot_image *child)
{
    g_autoptr(GPtrArray) above = record_children(c->record, child->file);
    bool live = i->live || child->live || !child->frozen;
    for (guint k = 0; k < above->len; k++)
        live |= ((struct snapshot_image *)above->pdata[k])->live;
    if (c->lock >= 0 || !live)
        return NULL;
    return g_strdup_printf("%s stays while %s runs, which writes to what is on top of it", i->file, c->name);
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

struct deletion {
    struct change change;
    struct machine_job *job;
    const struct live_merges *live; /* NULL: the machine does not run */
    GPtrArray *kept;                /* sentences about images that cannot go */
};

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
    if (!snapshot_note_lasting(c->folder, parent, error))
        return false;
    g_ptr_array_remove(r->images, child);
    return change_commit(c, file, PENDING_STATE_STAYS, error);
}

/* Whoever goes back to one of those with a state does so with other files from now on. */
static void note_moved(const struct snapshot_record *r, const struct snapshot_image *parent)
{
    for (guint k = 0; k < r->snapshots->len; k++) {
        struct snapshot *s = r->snapshots->pdata[k];
        for (guint d = 0; s->state_bytes && d < s->disks->len; d++)
            s->moved |= snapshot_in_chain_of(r, parent, ((struct snapshot_disk *)s->disks->pdata[d])->file);
    }
}

static bool tell_running(const struct deletion *x, const struct snapshot_image *child,
                         const struct snapshot_image *parent, GPtrArray *above, GError **error)
{
    const char *folder = x->change.folder;
    g_autofree char *path = g_canonicalize_filename(parent->file, folder);
    g_autofree char *gone = g_canonicalize_filename(child->file, folder);
    g_autofree char *name = snapshot_seen_from_inside(parent->file), *writes = NULL;
    for (guint i = 0; i < above->len && !writes; i++) {
        const struct snapshot_image *one = above->pdata[i];
        writes = one->frozen ? NULL : g_canonicalize_filename(one->file, folder);
    }
    return !x->live || x->live->merged(x->live->ctx, path, gone, name, writes ? writes : "", error);
}

/* Beside a machine that runs this may take long, and others change its settings meanwhile; its snapshots are held. */
static bool merge_images(struct deletion *x, const struct snapshot_image *child, const struct snapshot_image *parent,
                         GPtrArray *above, GError **error)
{
    struct change *c = &x->change;
    GError *why = NULL;
    if (!x->live)
        return images_merge(c->folder, child, parent, above, false, x->job, error);
    close(c->held);
    bool good = images_merge(c->folder, child, parent, above, true, x->job, &why);
    c->held = settings_hold(c->folder, error);
    struct snapshot_record *now = c->held >= 0 ? record_load(c->folder, error) : NULL;
    g_autofree char *before = record_print(c->record), *after = now ? record_print(now) : NULL;
    record_free(now);
    if (good && after && !strcmp(before, after))
        return true;
    if (after && strcmp(before, after))
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "the snapshots of %s were changed meanwhile", c->name);
    else if (after)
        g_propagate_error(error, g_steal_pointer(&why));
    g_clear_error(&why);
    return false;
}

static bool merge(struct deletion *x, struct snapshot_image *child, struct snapshot_image *parent, GError **error)
{
    struct change *c = &x->change;
    g_autoptr(GPtrArray) above = record_children(c->record, child->file);
    parent->merging = true;
    note_moved(c->record, parent);
    return change_commit(c, NULL, PENDING_STATE_STAYS, error) && merge_images(x, child, parent, above, error) &&
           tell_running(x, child, parent, above, error) && take_place(c, child, parent, above, error);
}

/* ---- what nobody needs ---- */

enum outcome { NOTHING, DONE, FAILED };

/* What cannot be written to as others can stays as it is. */
static enum outcome merge_or_keep(struct deletion *x, struct snapshot_image *child, struct snapshot_image *parent,
                                  GError **error)
{
    GError *why = NULL;
    if (merge(x, child, parent, &why))
        return DONE;
    if (!g_error_matches(why, DISK_ERROR, DISK_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, why);
        return FAILED;
    }
    g_ptr_array_add(x->kept, g_strdup_printf("%s stays: %s", parent->file, why->message));
    g_error_free(why);
    parent->merging = false;
    return change_commit(&x->change, NULL, PENDING_STATE_STAYS, error) ? NOTHING : FAILED;
}

static const struct snapshot_image *bottom(const struct snapshot_record *r, const struct snapshot_image *i)
{
    const struct snapshot_image *below;
    while (i->on && (below = record_image(r, i->on)))
        i = below;
    return i;
}

/* A merge that was killed may have told those above already, of which the record knows nothing yet: until it is finished, what
 * builds upon what is not known, and no other merge may begin among the images that have the same one below all.  NULL: there is none. */
static char *needed_by_unfinished(const struct change *c, const struct snapshot_image *i)
{
    const struct snapshot_record *r = c->record;
    for (guint k = 0; k < r->images->len; k++) {
        const struct snapshot_image *other = r->images->pdata[k];
        if (other != i && other->merging && bottom(r, other) == bottom(r, i))
            return g_strdup_printf("%s stays until a merge into %s is finished", i->file, other->file);
    }
    return NULL;
}

/* above: images on top of it.  g_free; NULL: it need not. */
static char *why_it_stays(const struct change *c, const struct snapshot_image *i, const GPtrArray *above)
{
    if (above->len > 1)
        return g_strdup_printf("%s stays, for %u images build upon it", i->file, above->len);
    if (!above->len && !i->ours) /* its file is not removed */
        return NULL;
    char *why = above->len ? needed_by_saved(c, i) : NULL;
    if (!why && above->len)
        why = needed_by_unfinished(c, i);
    if (!why && above->len)
        why = needed_by_running(c, i, above->pdata[0]);
    if (!why)
        why = needed_by_present(c, i);
    return why ? why : needed_by_others(c, i);
}

/* One step: an image goes, or two become one. */
static enum outcome simplify_one(struct deletion *x, struct snapshot_image *i, GError **error)
{
    struct change *c = &x->change;
    g_autoptr(GPtrArray) above = record_children(c->record, i->file);
    if (!i->frozen || record_needs(c->record, i->file))
        return NOTHING;
    char *why = why_it_stays(c, i, above);
    if (why) {
        g_ptr_array_add(x->kept, why);
        return NOTHING;
    }
    if (above->len)
        return merge_or_keep(x, above->pdata[0], i, error);
    g_ptr_array_remove(c->record->images, i);
    return change_commit(c, NULL, PENDING_STATE_STAYS, error) ? DONE : FAILED;
}

static bool simplify(struct deletion *x, char **kept, GError **error)
{
    const struct snapshot_record *r = x->change.record;
    enum outcome out = NOTHING;
    x->kept = g_ptr_array_new_with_free_func(g_free);
    do {
        g_ptr_array_set_size(x->kept, 0);
        out = NOTHING;
        for (guint i = 0; i < r->images->len && out == NOTHING; i++)
            out = simplify_one(x, r->images->pdata[i], error);
    } while (out == DONE);
    if (out == NOTHING && x->kept->len)
        *kept = g_strdup(x->kept->pdata[0]);
    g_ptr_array_unref(x->kept);
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

bool snapshots_delete(const char *machine, const char *which, struct machine_job *job, const struct live_merges *live,
                      char **kept, GError **error)
{
    struct deletion x = {.job = job, .live = live};
    struct change *c = &x.change;
    *kept = NULL;
    bool good = live ? change_begin_live(c, machine, error) : change_begin(c, machine, error);
    struct snapshot *s = good ? snapshots_find(c->record, machine, which, error) : NULL;
    good = s && remove_snapshot(c, s, error) && simplify(&x, kept, error);
    change_end(c);
    return good;
}
