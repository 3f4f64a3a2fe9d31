// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_overlay.c - fresh images on top of those of running drives: see drive_overlay.h.
 *
 * Until the lower image is flushed it stays open for writing, and a flush of the guest's flushes it too (image_flush()): what
 * the guest was told is on the disk is there, whatever happens when. */
#include "core-vmm/machine/drive_overlay.h"
#include "core-vmm/machine/drive_inside.h"
#include "core-vmm/machine/state.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ---- making ready ---- */

static unsigned depth_of(const struct image *im)
{
    unsigned n = 0;
    for (; im; im = im->parent)
        n++;
    return n;
}

static bool fits(struct drive *v, const struct image *im, const char *on, GError **error)
{
    const struct image *below = v->medium ? v->medium->image : NULL;
    if (v->media != MEDIA_DISK || !below || !below->writable || strcmp(v->medium->path, on))
        return disk_fail(error, DISK_ERROR_USAGE, "drive %s does not write to %s", v->section, on);
    if (v->overlay)
        return disk_fail(error, DISK_ERROR_USAGE, "drive %s has an image ready already", v->section);
    if (!im->parent_name || im->bytes != below->bytes)
        return disk_fail(error, DISK_ERROR_USAGE, "%s is not an image on top of %s", im->file->path, on);
    return depth_of(below) < IMAGE_MAX_CHAIN ||
           disk_fail(error, DISK_ERROR_UNSUPPORTED,
                     "the disk of drive %s consists of %u images, and cannot of more: delete a snapshot", v->section,
                     IMAGE_MAX_CHAIN);
}

bool drive_overlay_open(struct drive *v, int fd, const char *path, const char *on, GError **error)
{
    struct image_how how = {.format = "qcow2", .write = true, .no_parent = true, .cache = v->cache};
    struct image *im = image_open_fd(fd, path, &how, error);
    if (!im || !fits(v, im, on, error)) {
        image_close(im);
        return false;
    }
    v->overlay = g_new0(struct medium, 1);
    *v->overlay = (struct medium){1, im, g_strdup(path)};
    return true;
}

void drive_overlays_close(struct machine *m)
{
    for (struct drive *v = m->drives; v; v = v->next)
        g_clear_pointer(&v->overlay, drive_medium_release);
}

/* ---- the moment ---- */

/* Nobody else has the old medium: no request is under way. */
static void put_on_top(struct drive *v)
{
    struct medium *old = v->medium;
    v->overlay->image->parent = old->image;
    g_mutex_lock(&v->lock);
    v->medium = g_steal_pointer(&v->overlay);
    g_mutex_unlock(&v->lock);
    g_free(old->path);
    g_free(old);
}

void drives_put_on_top(struct machine *m)
{
    for (struct drive *v = m->drives; v; v = v->next)
        if (v->overlay)
            put_on_top(v);
}

/* ---- before ---- */

struct drives_plain {
    GPtrArray *media; /* struct medium, used */
};

static void release(gpointer medium)
{
    drive_medium_release(medium);
}

struct drives_plain *drives_plain(struct machine *m)
{
    struct drives_plain *p = g_new0(struct drives_plain, 1);
    p->media = g_ptr_array_new_with_free_func(release);
    for (struct drive *v = m->drives; v; v = v->next) {
        g_mutex_lock(&v->lock); /* the guest runs, and may open its tray */
        struct medium *medium = v->overlay ? NULL : drive_medium_use(v->medium);
        g_mutex_unlock(&v->lock);
        if (medium && medium->image->writable)
            g_ptr_array_add(p->media, medium);
        else
            drive_medium_release(medium);
    }
    return p;
}

bool drives_plain_flush(struct drives_plain *p, GError **error)
{
    for (guint i = 0; i < p->media->len; i++) {
        const struct medium *m = p->media->pdata[i];
        int err = image_flush(m->image);
        if (err)
            return disk_fail_errno(error, -err, "%s", m->path);
    }
    return true;
}

void drives_plain_free(struct drives_plain *p)
{
    if (p)
        g_ptr_array_unref(p->media);
    g_free(p);
}

/* ---- afterwards ---- */

struct frozen { /* of one drive */
    char *section;
    struct medium *medium; /* with what was put on top; NULL: nothing was */
    struct disk_layers id;
    bool changed, locked;
};
struct drives_frozen {
    GArray *list; /* struct frozen */
};

static void frozen_clear(void *frozen)
{
    struct frozen *f = frozen;
    drive_medium_release(f->medium);
    disk_layers_clear(&f->id);
    g_free(f->section);
}

static struct frozen freeze(struct drive *v)
{
    struct frozen f = {.section = g_strdup(v->section), .changed = v->changed, .locked = v->guest_locked};
    if (v->overlay)
        f.medium = drive_medium_use(v->overlay);
    else
        f.id = drive_identify(v->medium ? v->medium->image : NULL);
    return f;
}

bool drives_freeze(struct machine *m, struct drives_frozen **out, GError **error)
{
    *out = g_new0(struct drives_frozen, 1);
    (*out)->list = g_array_new(FALSE, FALSE, sizeof(struct frozen));
    g_array_set_clear_func((*out)->list, frozen_clear);
    for (struct drive *v = m->drives; v; v = v->next) {
        if (v->overlay && v->medium->users != 1)
            return disk_fail(error, DISK_ERROR_LOCKED, "drive %s is in use", v->section);
        if (!v->overlay && !drive_sync(v, error))
            return false;
        struct frozen f = freeze(v);
        g_array_append_val((*out)->list, f);
    }
    return true;
}

static bool for_each_below(struct drives_frozen *f, int (*fn)(struct image *top), GError **error)
{
    for (guint i = 0; i < f->list->len; i++) {
        struct medium *m = g_array_index(f->list, struct frozen, i).medium;
        int err = m ? fn(m->image) : 0;
        if (err)
            return disk_fail_errno(error, -err, "%s", m->image->parent->file->path);
    }
    return true;
}

static int flush_parent(struct image *top)
{
    return image_flush(top->parent);
}

bool drives_frozen_flush(struct drives_frozen *f, GError **error)
{
    return for_each_below(f, flush_parent, error);
}

void drives_frozen_settle(struct drives_frozen *f)
{
    for (guint i = 0; i < f->list->len; i++) {
        struct frozen *one = &g_array_index(f->list, struct frozen, i);
        if (!one->medium)
            continue;
        image_freeze(one->medium->image->parent);
        one->id = drive_identify(one->medium->image->parent);
        one->id.writable = true; /* at that moment */
    }
}

bool drives_frozen_note(struct drives_frozen *f, GError **error)
{
    return for_each_below(f, image_note_parent, error);
}

GByteArray *drives_frozen_save(struct drives_frozen *f)
{
    struct stream s;
    stream_init_save(&s);
    for (guint i = 0; i < f->list->len; i++) {
        struct frozen *one = &g_array_index(f->list, struct frozen, i);
        drive_put_state(&s, one->section, &one->id, one->changed, one->locked);
    }
    GByteArray *bytes = g_byte_array_ref(s.bytes);
    stream_clear(&s);
    return bytes;
}

void drives_frozen_free(struct drives_frozen *f)
{
    if (f)
        g_array_unref(f->list);
    g_free(f);
}

/* ---- two images have become one ---- */

/* The image of a drive that is on top of the one of that path; NULL: there is none. */
static struct image *image_above(const struct drive *v, const char *path)
{
    struct image *im = v->medium ? v->medium->image : NULL;
    while (im && im->parent && strcmp(im->parent->file->path, path))
        im = im->parent;
    return im && im->parent ? im : NULL;
}

static bool is_merged(const struct image *above, const struct image *merged, GError **error)
{
    const struct image *lower = above->parent->parent;
    return (lower && blk_same(lower->file, merged->file) && lower->bytes <= merged->bytes) ||
           disk_fail(error, DISK_ERROR_USAGE, "%s is not what %s was on top of", merged->file->path,
                     above->parent->file->path);
}

/* The vCPUs stand, and no request is under way. */
static void take_out(struct image *above, struct image *merged)
{
    struct image *gone = above->parent, *lower = gone->parent;
    merged->parent = g_steal_pointer(&lower->parent);
    above->parent = merged;
    image_close(gone);
}

/* By name only: the other one may get the same blocks once more, if whoever merges is killed.  Before it is so: both are right. */
static bool tell_top(struct drive *v, struct image *above, const char *name, const struct image *merged, GError **error)
{
    int err = 0;
    g_free(above->parent_name);
    g_free(above->parent_format);
    above->parent_name = g_strdup(name);
    above->parent_format = g_strdup(merged->format->name);
    g_rw_lock_writer_lock(&above->lock);
    err = above->format->set_parent ? above->format->set_parent(above, name, above->parent_format, NULL) : -EINVAL;
    g_rw_lock_writer_unlock(&above->lock);
    return !err || disk_fail_errno(error, -err, "drive %s: %s", v->section, above->file->path);
}

static bool stand_and_take_out(struct machine *m, struct image *above, struct image *merged, GError **error)
{
    vcpus_ask_hold(m);
    vcpus_wait_held(m);
    clock_stand(m->clock);
    bool good = save_settle(m, error);
    if (good)
        take_out(above, merged);
    if (m->state == MACHINE_RUNNING)
        clock_go(m->clock);
    vcpus_release(m);
    return good;
}

/* The one that is told must be the one that is meant: a machine may run on images of its own, on top of the one in machine.ini. */
static bool tell_if_written(struct drive *v, const struct merged_images *g, struct image *above,
                            const struct image *merged, bool *told, GError **error)
{
    bool meant = !strcmp(above->file->path, g->writes);
    if (meant != above->writable)
        return disk_fail(error, DISK_ERROR_USAGE, "what drive %s writes to is not what is on top of %s", v->section,
                         g->gone);
    *told |= meant;
    return !meant || tell_top(v, above, g->name, merged, error);
}

bool drive_images_merged(struct drive *v, const struct merged_images *g, bool *told, GError **error)
{
    struct image *above = image_above(v, g->gone), *top = v->medium ? v->medium->image : NULL;
    struct image_how how = {.no_parent = true, .cache = v->cache};
    *told |=
        !above && top && top->writable && !strcmp(top->file->path, g->writes) && !g_strcmp0(top->parent_name, g->name);
    if (!above)
        return true;
    how.format = above->parent->parent ? above->parent->parent->format->name : "raw";
    int own = fcntl(g->fd, F_DUPFD_CLOEXEC, 0); /* several drives may read through it */
    struct image *merged = own < 0 ? NULL : image_open_fd(own, g->path, &how, error);
    if (own < 0)
        disk_fail_errno(error, errno, "%s", g->path);
    if (merged && is_merged(above, merged, error) && tell_if_written(v, g, above, merged, told, error) &&
        stand_and_take_out(v->device->machine, above, merged, error))
        return true;
    image_close(merged);
    return false;
}
