// SPDX-License-Identifier: GPL-2.0-or-later
/* commit.c - merges an image into its parent.
 *
 * In this order, so that it can be killed at any time and begun again:
 *   1. the parent becomes at least as large as the child, and gets the child's blocks.  Its id stays: the child, which
 *      covers all that was changed, still shows the same disk;
 *   2. a flush;
 *   3. the parent gets a new id, so that other children notice, and an empty child takes the place of the old one. */
#include "disk-formats/ops/ops.h"
#include <errno.h>
#include <string.h>

static struct image *open_parent(struct image *child, const struct image_how *how, bool write, GError **error)
{
    GError *why = NULL;
    g_autofree char *path = how->parent ? g_strdup(how->parent) : image_parent_path(child, &why);
    const char *format = how->parent ? how->parent_format : child->parent_format;
    struct image_how parent = {.format = format, .write = write, .guess = how->guess, .cache = how->cache};
    if (path)
        return image_open(path, &parent, error);
    if (why)
        g_propagate_error(error, why);
    else
        disk_fail(error, DISK_ERROR_USAGE, "%s has no parent", child->file->path);
    return NULL;
}

static bool same_parent(struct image *child, struct image *parent, bool force, GError **error)
{
    if (force || image_same_parent(child, parent, error))
        return true;
    g_prefix_error(error, "(if this was a commit that was stopped, it can be repeated by force) ");
    return false;
}

/* Until the end the child goes on showing the same disk, so it must not be refused because the parent's file changed. */
static bool forget_parent_id(struct image *child, GError **error)
{
    int err = child->writable ? child->format->forget_parent_id(child) : 0;
    return !err || disk_fail_errno(error, -err, "%s", child->file->path);
}

static bool give_new_id(struct image *parent, GError **error)
{
    parent->changed = 0;
    parent->tables_changed = true;
    int err = image_begin(parent);
    if (!err)
        err = image_flush(parent);
    return !err || disk_fail_errno(error, -err, "%s", parent->file->path);
}

/* An empty image like it on top of the same parent, under the old name. */
static bool empty_child(struct image *child, struct image *parent, GError **error)
{
    g_auto(GStrv) options = image_alike(child);
    struct image_options o = {.bytes = child->bytes,
                              .parent = child->parent_name,
                              .parent_format = child->parent_format ? child->parent_format : parent->format->name,
                              .parent_image = parent,
                              .options = options};
    return image_create(child->file->path, child->format->name, &o, true, error);
}

static bool merge(struct image *child, struct image *parent, struct disk_job *job, GError **error)
{
    struct disk_copy copy = {child, parent, true, false, 0};
    parent->changed = 1; /* keeps the id for now */
    if (parent->bytes < child->bytes && !image_resize(parent, child->bytes, error))
        return false;
    if (!disk_copy(&copy, job, error))
        return false;
    int err = image_flush(parent);
    return (!err || disk_fail_errno(error, -err, "%s", parent->file->path)) && !disk_cancelled(job, error);
}

/* All that can be known before anything is changed. */
static bool may_merge(const struct image *child, struct image *parent, GError **error)
{
    if (parent->append_only)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s is compressed for transport, and cannot be written to",
                         parent->file->path);
    return parent->bytes >= child->bytes || image_may_resize(parent, child->bytes, error);
}

static bool may_commit(struct image *child, GError **error)
{
    if (child->many_files)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s consists of several files", child->file->path);
    if (child->snapshots)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s has internal snapshots, which would be lost",
                         child->file->path);
    return true;
}

/* The parent with its new contents and id, closed. */
static bool commit_into(struct image *child, const struct image_how *how, bool force, struct disk_job *job,
                        GError **error)
{
    struct image *parent = open_parent(child, how, true, error);
    bool ok = parent && same_parent(child, parent, force, error) && may_merge(child, parent, error) &&
              forget_parent_id(child, error) && merge(child, parent, job, error) && give_new_id(parent, error);
    int err = image_close(parent);
    return ok && (!err || disk_fail_errno(error, -err, "the parent of %s", child->file->path));
}

bool disk_commit(const char *path, const struct image_how *how, bool force, struct disk_job *job, GError **error)
{
    struct image_how alone = *how;
    const struct image_format *format = how->format ? image_format_find(how->format, NULL) : NULL;
    alone.no_parent = true;
    alone.write = format && format->forget_parent_id;
    struct image *child = image_open(path, &alone, error), *parent = NULL;
    bool ok = child && may_commit(child, error) && commit_into(child, how, force, job, error) &&
              (parent = open_parent(child, how, false, error)) && empty_child(child, parent, error);
    image_close(parent);
    image_close(child);
    return ok;
}
