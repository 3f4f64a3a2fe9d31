// SPDX-License-Identifier: GPL-2.0-or-later
/* commit.c - merges an image into its parent.
 *
 * In this order, so that it can be killed at any time and begun again:
 *   1. the parent becomes at least as large as the child, and gets the child's blocks.  Its id stays: the child, which
 *      covers all that was changed, still shows the same disk;
 *   2. a flush;
 *   3. the parent gets a new id, so that other children notice, and an empty child takes the place of the old one. */
#include "ops.h"
#include <errno.h>
#include <string.h>

static struct image *open_parent(struct image *child, const struct image_how *how, GError **error)
{
    const char *name = how->parent ? how->parent : child->parent_name;
    const char *format = how->parent ? how->parent_format : child->parent_format;
    struct image_how parent = {.format = format, .write = true, .guess = how->guess, .cache = how->cache};
    g_autofree char *folder = g_path_get_dirname(child->file->path);
    if (!name) {
        disk_fail(error, DISK_ERROR_USAGE, "%s has no parent", child->file->path);
        return NULL;
    }
    if (g_str_has_prefix(name, "file:"))
        name += 5;
    g_autofree char *path = g_path_is_absolute(name) ? g_strdup(name) : g_build_filename(folder, name, NULL);
    return image_open(path, &parent, error);
}

static bool same_parent(struct image *child, struct image *parent, bool force, GError **error)
{
    if (force || !child->parent_id || !parent->id || !strcmp(child->parent_id, parent->id))
        return true;
    return disk_fail(error, DISK_ERROR_CORRUPT,
                     "%s was changed after %s was made on top of it; if that was a commit that was stopped at its very "
                     "end, it can be repeated by force",
                     parent->file->path, child->file->path);
}

static bool give_new_id(struct image *parent, GError **error)
{
    parent->changed = 0;
    parent->tables_changed = true;
    int err = parent->format->begin ? parent->format->begin(parent) : 0;
    if (!err)
        err = image_flush(parent);
    return !err || disk_fail_errno(error, -err, "%s", parent->file->path);
}

/* An empty image on top of the same parent, under the old name. */
static bool empty_child(struct image *child, struct image *parent, GError **error)
{
    g_autofree char *block = g_strdup_printf("cluster_size=%u", child->block_bytes);
    char *options[] = {block, NULL};
    struct image_options o = {.bytes = child->bytes,
                              .parent = child->parent_name,
                              .parent_format = child->parent_format ? child->parent_format : parent->format->name,
                              .parent_image = parent};
    if (!strcmp(child->format->name, "qcow2"))
        o.options = options;
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

static bool may_commit(struct image *child, GError **error)
{
    if (child->many_files)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s consists of several files", child->file->path);
    if (child->snapshots)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s has internal snapshots, which would be lost",
                         child->file->path);
    return true;
}

bool disk_commit(const char *path, const struct image_how *how, bool force, struct disk_job *job, GError **error)
{
    struct image_how alone = *how;
    alone.no_parent = true;
    struct image *child = image_open(path, &alone, error), *parent = NULL;
    bool ok = child && may_commit(child, error) && (parent = open_parent(child, how, error)) &&
              same_parent(child, parent, force, error) && merge(child, parent, job, error) &&
              give_new_id(parent, error) && empty_child(child, parent, error);
    int err = image_close(parent);
    image_close(child);
    return ok && (!err || disk_fail_errno(error, -err, "the parent of %s", path));
}
