// SPDX-License-Identifier: GPL-2.0-or-later
/* convert.c - a new image with what another one shows: convert, and the same in place of the old one: pull, and resize
 * where the old one has no room for larger tables. */
#include "disk-formats/ops/ops.h"
#include <errno.h>
#include <sys/statvfs.h>

bool disk_estimate(struct image *im, uint64_t *bytes, GError **error)
{
    *bytes = 0;
    for (uint64_t at = 0; at < im->bytes;) {
        struct extent e;
        int err = image_extent_deep(im, at, &e, NULL);
        if (err)
            return disk_fail_errno(error, -err, "%s", im->file->path);
        *bytes += e.kind == EXTENT_DATA ? e.bytes : 0;
        at += e.bytes;
    }
    return true;
}

/* Says so before the work rather than in the middle of it. */
static bool enough_space(struct image *from, const char *target, bool compress, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(target);
    struct statvfs fs;
    uint64_t need;
    if (compress || statvfs(folder, &fs))
        return true;
    if (!disk_estimate(from, &need, error))
        return false;
    uint64_t have = (uint64_t)fs.f_bavail * fs.f_frsize;
    g_autofree char *a = g_format_size(need), *b = g_format_size(have);
    return need <= have || disk_fail(error, DISK_ERROR_NO_SPACE, "%s would need %s, and there are only %s free in %s",
                                     target, a, b, folder);
}

static bool fill(struct image *from, struct image *to, const struct disk_convert *c, struct disk_job *job,
                 GError **error)
{
    bool compress = c->compress || to->append_only;
    if (compress && !to->format->append)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s images cannot be compressed", to->format->name);
    if (to->bytes < from->bytes && !c->options.bytes)
        return disk_fail(error, DISK_ERROR_USAGE, "a %s image of that size cannot be made", to->format->name);
    struct disk_copy copy = {from, to, false, compress, c->threads};
    return disk_copy(&copy, job, error);
}

bool disk_fill(struct image *from, struct blk_file *f, const struct disk_convert *c, struct disk_job *job,
               GError **error)
{
    const struct image_format *format = image_format_find(c->format, error);
    struct image_options o = c->options;
    o.bytes = o.bytes ? o.bytes : from->bytes;
    if (!format || !image_create_file(f, format, &o, error))
        return false;
    f->cache = c->sync ? CACHE_WRITEBACK : CACHE_UNSAFE;
    struct image *to = image_open_file(blk_ref(f), format, error);
    if (!to)
        return false;
    bool ok = fill(from, to, c, job, error);
    int err = image_close(to);
    return ok && (!err || disk_fail_errno(error, -err, "%s", f->path)) && !disk_cancelled(job, error);
}

bool disk_convert_image(struct image *from, const struct disk_convert *c, struct disk_job *job, GError **error)
{
    struct blk_file *f = NULL;
    bool ok = !image_uses(from, c->target) ||
              disk_fail(error, DISK_ERROR_USAGE, "%s is the source, a part of it or a parent of it", c->target);
    ok = ok && enough_space(from, c->target, c->compress, error) && (f = blk_create(c->target, c->replace, error));
    ok = ok && disk_fill(from, f, c, job, error) && blk_publish(f, error);
    blk_close(f);
    return ok;
}

bool disk_convert(const struct disk_convert *c, struct disk_job *job, GError **error)
{
    struct image *from = image_open(c->source, &c->how, error);
    bool ok = from && disk_convert_image(from, c, job, error);
    image_close(from);
    return ok;
}

/* The new image takes the name of the old one when it is complete. */
static bool replace(struct image *im, const struct disk_convert *c, struct disk_job *job, GError **error)
{
    struct blk_file *f = NULL;
    if (im->many_files)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s consists of several files; convert it", c->target);
    if (im->snapshots)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s has internal snapshots, which would be lost", c->target);
    bool ok = enough_space(im, c->target, false, error) && (f = blk_create(c->target, true, error)) &&
              disk_fill(im, f, c, job, error) && blk_publish(f, error);
    blk_close(f);
    return ok;
}

bool disk_pull(const char *path, const struct image_how *how, struct disk_job *job, GError **error)
{
    struct image *im = image_open(path, how, error);
    if (!im)
        return false;
    g_auto(GStrv) options = image_alike(im);
    struct disk_convert c = {.target = path, .format = im->format->name, .sync = true};
    c.options.options = options;
    bool ok = !im->parent || replace(im, &c, job, error); /* without one, it was done already */
    image_close(im);
    return ok;
}

static bool grow_by_copy(struct image *im, uint64_t bytes, struct disk_job *job, GError **error)
{
    g_auto(GStrv) options = image_alike(im);
    struct disk_convert c = {.target = im->file->path, .format = im->format->name, .sync = true};
    c.options = (struct image_options){.bytes = bytes, .options = options};
    return options && replace(im, &c, job, error);
}

bool disk_resize(struct image *im, uint64_t bytes, struct disk_job *job, GError **error)
{
    GError *why = NULL;
    if (image_resize(im, bytes, &why))
        return true;
    bool other_way = g_error_matches(why, DISK_ERROR, DISK_ERROR_UNSUPPORTED) && bytes > im->bytes &&
                     !im->parent_name && im->format->alike;
    if (!other_way) {
        g_propagate_error(error, why);
        return false;
    }
    bool ok = grow_by_copy(im, bytes, job, error);
    if (!ok && error && !*error)
        g_propagate_error(error, g_steal_pointer(&why));
    g_clear_error(&why);
    return ok;
}
