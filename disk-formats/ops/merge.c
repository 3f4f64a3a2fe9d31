// SPDX-License-Identifier: GPL-2.0-or-later
/* merge.c - an image's blocks into its parent, while both go on to be used by name: for chains in which others build upon the
 * image.  (commit.c empties the image too, and leaves those above it alone.)
 *
 * The image is left as it is, but for what it notes of its parent, which is about to change; and its time of last change is put
 * back, for what is on top of it knows it by that.  So at every moment it shows the same disk, and so do those above; a merge that
 * was killed is done again.  When it is done, the parent shows that disk too, and those above can be told to build upon it.  If it
 * was killed while they were told, those that know the parent already must forget by which time before it is written to again. */
#include "disk-formats/ops/ops.h"
#include <errno.h>

static bool failed(int err, const struct image *im, GError **error)
{
    return !err || disk_fail_errno(error, -err, "%s", im->file->path);
}

static bool forget_parent_id(struct image *im, GError **error)
{
    int64_t time = blk_mtime(im->file);
    int err = im->format->forget_parent_id ? im->format->forget_parent_id(im) : 0;
    if (!err)
        err = image_flush(im);
    if (!err && time)
        blk_set_mtime(im->file, time);
    return failed(err, im, error);
}

/* All that can be known before anything is changed.  A packed block is unpacked to another place when a piece of it is written, and
 * its room is used again: who reads another piece of it by what it knew of the image would find something else there. */
static bool may_merge(const struct image *im, struct image *parent, bool in_use, GError **error)
{
    if (in_use && parent->format->append && parent->block_bytes > im->block_bytes)
        return disk_fail(
            error, DISK_ERROR_UNSUPPORTED,
            "%s has larger blocks than what is on top of it, of which some may be packed: nothing is merged "
            "into it while it is read",
            parent->file->path);
    if (parent->append_only || parent->many_files || im->many_files)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s is of a kind that nothing can be merged into",
                         parent->file->path);
    return parent->bytes >= im->bytes || image_may_resize(parent, im->bytes, error);
}

static bool merge(struct image *im, struct image *parent, bool in_use, struct disk_job *job, GError **error)
{
    struct disk_copy copy = {im, parent, true, false, 0};
    if (!may_merge(im, parent, in_use, error) || !forget_parent_id(im, error))
        return false;
    if (parent->bytes < im->bytes && !image_resize(parent, im->bytes, error))
        return false;
    return disk_copy(&copy, job, error) && failed(image_flush(parent), parent, error) && !disk_cancelled(job, error);
}

/* Before it is opened for writing: its other files may be out of reach. */
static bool is_one_file(const char *path, const char *format, GError **error)
{
    struct image_how how = {.format = format, .unlocked = true, .no_parent = true};
    struct image *im = image_open(path, &how, NULL); /* else opening it for writing says what is wrong */
    bool many = im && im->many_files;
    image_close(im);
    return !many ||
           disk_fail(error, DISK_ERROR_UNSUPPORTED, "it consists of several files, and nothing is merged into it");
}

bool disk_merge(const char *path, const char *format, bool in_use, struct disk_job *job, GError **error)
{
    struct image_how how = {.format = format, .write = true, .no_parent = true, .unlocked = in_use};
    struct image *im = image_open(path, &how, error);
    g_autofree char *name = im ? image_parent_path(im, error) : NULL;
    struct image_how below = {.format = im ? im->parent_format : NULL, .write = true, .unlocked = in_use};
    if (name && !below.format)
        disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s does not say what format its parent has", path);
    bool may = name && below.format && is_one_file(name, below.format, error);
    struct image *parent = may ? image_open(name, &below, error) : NULL;
    bool good = parent && merge(im, parent, in_use, job, error);
    int err = parent ? image_close(parent) : 0;
    if (good && err)
        good = disk_fail_errno(error, -err, "%s", name);
    if (im && !name && error && !*error)
        disk_fail(error, DISK_ERROR_USAGE, "%s has no parent", path);
    image_close(im);
    return good;
}

bool disk_forget_parent(const char *path, const char *format, const char *name, bool in_use, GError **error)
{
    struct image_how how = {.format = format, .write = true, .no_parent = true, .unlocked = in_use};
    struct image *im = image_open(path, &how, error);
    bool good = im && (g_strcmp0(im->parent_name, name) || forget_parent_id(im, error));
    image_close(im);
    return good;
}

bool disk_set_parent(const char *path, const char *format, const char *name, const char *parent_format, bool in_use,
                     GError **error)
{
    struct image_how how = {.format = format, .write = true, .no_parent = true, .unlocked = in_use};
    struct image *im = image_open(path, &how, error);
    g_autofree char *there = !im ? NULL : g_path_is_absolute(name) ? g_strdup(name) : blk_beside(im->file, name);
    struct image_how below = {.format = parent_format, .unlocked = in_use};
    struct image *parent = there ? image_open(there, &below, error) : NULL;
    int64_t time = im ? blk_mtime(im->file) : 0;
    if (parent)
        blk_lasting_mtime(parent->file);
    bool good = parent && (im->format->set_parent ||
                           disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: a %s image cannot be told of another parent",
                                     path, im->format->name));
    good = good && failed(im->format->set_parent(im, name, parent_format, image_id_for_child(parent)), im, error);
    if (good && time)
        blk_set_mtime(im->file, time);
    image_close(parent);
    image_close(im);
    return good;
}
