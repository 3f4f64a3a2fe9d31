// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_state.c - drives in a saved state.
 * What is on a medium is not saved.  The state holds which it was, and the one that is there when it is loaded must be the
 * same, and untouched since. */
#include "core-vmm/machine/drive_inside.h"
#include <unistd.h>

/* All requests of one drive are finished and told, and those that their devices then make. */
static bool drain(struct drive *v, unsigned *requests, GError **error)
{
    g_mutex_lock(&v->lock);
    *requests += v->in_flight + v->telling;
    g_mutex_unlock(&v->lock);
    while (!drive_idle(v)) {
        drive_wait_for_workers(v);
        drive_complete_finished(v);
        g_mutex_lock(&v->lock);
        bool stuck = v->stalled.length && !v->running && !v->finished.length;
        g_mutex_unlock(&v->lock);
        if (stuck)
            return disk_fail(error, DISK_ERROR_NO_SPACE,
                             "drive %s waits for space on the host's disk; make some before the machine is saved",
                             v->section);
    }
    return true;
}

bool drives_settle(struct machine *m, unsigned *requests, GError **error)
{
    *requests = 0;
    for (struct drive *v = m->drives; v; v = v->next)
        if (!drain(v, requests, error))
            return false;
    return true;
}

/* ---- which medium it is: the image, and all that it builds upon ---- */

struct disk_layers drive_identify(const struct image *im)
{
    struct disk_layers l = disk_layers_new(im && im->writable);
    for (; im; im = im->parent)
        disk_layers_add(&l, im->file->path, im->format->name, im->bytes);
    return l;
}

static struct disk_layers identify(const struct drive *v)
{
    return drive_identify(v->medium ? v->medium->image : NULL);
}

/* ---- is it the same? ---- */

/* An image that was put on top since, and has nothing of its own yet, shows what the one below it shows. */
static bool has_nothing(struct image *im)
{
    struct extent e = {.kind = EXTENT_HOLE};
    uint64_t at = 0;
    for (; at < im->bytes && e.kind == EXTENT_HOLE; at = e.offset + e.bytes)
        if (image_extent(im, at, false, &e) || !e.bytes)
            return false;
    return im->parent && im->parent->bytes == im->bytes && e.kind == EXTENT_HOLE;
}

static unsigned put_on_top(const struct drive *v, unsigned at_most)
{
    unsigned n = 0;
    for (struct image *im = v->medium ? v->medium->image : NULL; im && n < at_most && has_nothing(im); im = im->parent)
        n++;
    return n;
}

static bool other_disk(const struct drive *v, const struct disk_layer *was, const struct disk_layer *is, GError **error)
{
    g_autofree char *path = g_strescape(was->path, NULL);
    return disk_fail(error, DISK_ERROR_USAGE,
                     "drive %s has %s in it, which is not what was there when the state was saved (%s)", v->section,
                     is->path, path);
}

static bool same_layer(const struct drive *v, const struct disk_layer *was, const struct disk_layer *is, GError **error)
{
    if (strcmp(was->format, is->format) || was->bytes != is->bytes)
        return other_disk(v, was, is, error);
    if (was->file_bytes != is->file_bytes || was->changed_ns != is->changed_ns)
        return disk_fail(error, DISK_ERROR_USAGE,
                         "%s (drive %s) was changed after the state was saved: the guest would find a disk that does "
                         "not fit what it remembers",
                         is->path, v->section);
    return true;
}

static bool same_medium(const struct drive *v, const struct disk_layers *was, const struct disk_layers *is,
                        GError **error)
{
    const struct disk_layer *first = &g_array_index(was->list, struct disk_layer, 0);
    unsigned all = is->list->len, more = all > was->list->len ? all - was->list->len : 0;
    if (!all) {
        g_autofree char *path = g_strescape(first->path, NULL);
        return disk_fail(error, DISK_ERROR_USAGE,
                         "drive %s is empty, and had %s in it when the state was saved: name it in machine.ini (file=)",
                         v->section, path);
    }
    if (all - more != was->list->len || put_on_top(v, more) != more || was->writable != is->writable)
        return other_disk(v, first, &g_array_index(is->list, struct disk_layer, 0), error);
    bool good = true;
    for (unsigned i = 0; i < was->list->len && good; i++)
        good = same_layer(v, &g_array_index(was->list, struct disk_layer, i),
                          &g_array_index(is->list, struct disk_layer, more + i), error);
    return good;
}

/* What the guest has ejected is taken out here too. */
static bool match_medium(struct drive *v, const struct disk_layers *was, GError **error)
{
    struct disk_layers is = identify(v);
    bool was_there = was->list->len, is_there = is.list->len;
    bool good = !was_there || same_medium(v, was, &is, error);
    if (!was_there && is_there && !drive_removable(v))
        good =
            disk_fail(error, DISK_ERROR_USAGE, "drive %s is a hard disk, and the state knows none there", v->section);
    else if (!was_there && is_there) {
        drive_change_medium(v, NULL);
        drive_tell_guest(v);
    }
    disk_layers_clear(&is);
    return good;
}

void drive_put_state(struct stream *s, char *section, struct disk_layers *id, bool changed, bool locked)
{
    stream_text(s, &section);
    disk_layers_sync(id, s);
    stream_bool(s, &changed);
    stream_bool(s, &locked);
}

static bool sync_drive(struct drive *v, struct stream *s, GError **error)
{
    struct disk_layers id = identify(v);
    bool changed = v->changed, locked = v->guest_locked;
    disk_layers_sync(&id, s);
    stream_bool(s, &changed);
    stream_bool(s, &locked);
    bool good = stream_ok(s) && (!s->loading || match_medium(v, &id, error));
    v->changed = changed;
    v->guest_locked = locked;
    disk_layers_clear(&id);
    return good;
}

/* By their names, in this machine's order: which there are was compared before. */
bool drives_sync(struct machine *m, struct stream *s, GError **error)
{
    bool good = true;
    for (struct drive *v = m->drives; v && good; v = v->next) {
        char *section = g_strdup(v->section);
        stream_text(s, &section);
        good = stream_ok(s) && !strcmp(section, v->section) && sync_drive(v, s, error);
        g_free(section);
    }
    return good;
}
