// SPDX-License-Identifier: GPL-2.0-or-later
/* open.c - opening an image and the chain of its parents, and closing it. */
#include "disk-formats/image/image.h"
#include <errno.h>
#include <string.h>

const struct image_format *image_format_find(const char *name, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);
    for (const struct image_format *const *f = image_formats(); *f; f++) {
        if (!strcmp((*f)->name, name))
            return *f;
        g_string_append_printf(known, " %s", (*f)->name);
    }
    disk_fail(error, DISK_ERROR_USAGE, "there is no image format \"%s\"; there are:%s", name, known->str);
    return NULL;
}

/* ---- has the parent changed? ---- */
#define TIME_ID "time-"

/* Formats without an id that changes with the contents: the time of the file's last change. */
static char *id_by_time(int64_t t)
{
    return t ? g_strdup_printf(TIME_ID "%" G_GINT64_FORMAT ".%09d", t / 1000000000, (int)(t % 1000000000)) : NULL;
}

/* Archives and some file systems keep whole seconds only. */
static bool same_id(const char *was, const char *now)
{
    const char *dot = strrchr(now, '.');
    return !strcmp(was, now) ||
           (g_str_has_prefix(now, TIME_ID) && dot && !strcmp(dot, ".000000000") && !strncmp(was, now, dot + 1 - now));
}

const char *image_id_for_child(const struct image *parent)
{
    return parent->time_id ? parent->time_id : parent->id;
}

bool image_same_parent(const struct image *child, const struct image *parent, GError **error)
{
    const char *was = child->parent_id, *now = parent->id;
    if (was && g_str_has_prefix(was, TIME_ID))
        now = parent->time_id;
    else if (was && g_str_has_prefix(was, IMAGE_UUID))
        now = parent->uuid;
    if (!was || !now || same_id(was, now))
        return true;
    if (g_str_has_prefix(was, TIME_ID))
        return disk_fail(error, DISK_ERROR_CORRUPT,
                         "%s was changed after %s was made on top of it; if it was only copied, and holds what it did "
                         "then, say so with: touch -d @%s %s",
                         parent->file->path, child->file->path, was + strlen(TIME_ID), parent->file->path);
    return disk_fail(
        error, DISK_ERROR_CORRUPT,
        "%s was changed after %s was made on top of it (it is now %s, and was %s); the child cannot be used",
        parent->file->path, child->file->path, now, was);
}

void image_freeze(struct image *im)
{
    im->writable = false;
    blk_only_read(im->file);
    g_free(im->time_id);
    im->time_id = !im->id || im->format->lasting_id ? id_by_time(blk_lasting_mtime(im->file)) : NULL;
}

int image_note_parent(struct image *im)
{
    int err = 0;
    g_rw_lock_writer_lock(&im->lock);
    if (im->format->set_parent)
        err = im->format->set_parent(im, im->parent_name, im->parent_format, image_id_for_child(im->parent));
    g_rw_lock_writer_unlock(&im->lock);
    return err;
}

static void image_free(struct image *im)
{
    if (!im)
        return;
    image_close(im->parent);
    blk_close(im->file);
    g_rw_lock_clear(&im->lock);
    g_mutex_clear(&im->flight_lock);
    g_cond_clear(&im->landed);
    g_free(im->parent_name);
    g_free(im->parent_format);
    g_free(im->parent_id);
    g_free(im->id);
    g_free(im->time_id);
    g_free(im->uuid);
    g_free(im);
}

/* What the format forbids is looked for before anything is written, not only by whoever checks it. */
static bool nothing_overlaps(struct image *im, GError **error)
{
    if (!im->writable || im->repair || !im->check_first)
        return true;
    struct image_check c;
    image_check_init(&c);
    bool ok = im->format->check(im, false, &c, error);
    if (ok && c.overlaps)
        ok = disk_fail(error, DISK_ERROR_CORRUPT,
                       "%s is damaged (%.*s): it can be read, but is not written; see whether it can be repaired "
                       "(vmctl disk check --repair), or copy what it holds (vmctl disk convert)",
                       im->file->path, (int)strcspn(c.text->str, "\n"), c.text->str);
    image_check_clear(&c);
    return ok;
}

struct image *image_open_with(struct blk_file *f, const struct image_format *format, const struct image_how *how,
                              GError **error)
{
    struct image *im = g_new0(struct image, 1);
    *im = (struct image){.format = format,
                         .file = f,
                         .writable = f->writable && !how->snapshot,
                         .repair = how->repair,
                         .snapshot = how->snapshot};
    g_rw_lock_init(&im->lock);
    g_mutex_init(&im->flight_lock);
    g_cond_init(&im->landed);
    bool ok = format->open(im, error) && nothing_overlaps(im, error);
    if (ok && im->snapshot)
        ok =
            disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: a %s image has no internal snapshots", f->path, format->name);
    if (ok && im->bytes > IMAGE_MAX_BYTES)
        ok = disk_fail(error, DISK_ERROR_CORRUPT, "%s: a disk of %" G_GUINT64_FORMAT " bytes is absurd", f->path,
                       im->bytes);
    if (ok && (!im->id || format->lasting_id))
        im->time_id = id_by_time(blk_mtime(f));
    if (ok)
        return im;
    if (im->state && format->close)
        format->close(im);
    image_free(im);
    return NULL;
}

struct image *image_open_file(struct blk_file *f, const struct image_format *format, GError **error)
{
    struct image_how plain = {0};
    return image_open_with(f, format, &plain, error);
}

int image_close(struct image *im)
{
    if (!im)
        return 0;
    int err = image_flush(im);
    if (im->format->close)
        im->format->close(im);
    image_free(im);
    return err;
}

/* ---- the chain ---- */
struct link { /* an image being opened, and its children */
    const struct link *child;
    struct image *im;
    unsigned depth;
};

static char *chain_text(const struct link *l, const char *last)
{
    GString *s = g_string_new(last);
    for (; l; l = l->child)
        g_string_prepend(g_string_prepend(s, " -> "), l->im->file->path);
    return g_string_free(s, FALSE);
}

static struct image *open_one(const char *path, const struct image_how *how, const struct link *child, GError **error);

static bool has_id(const char *path, const char *format, const char *id)
{
    struct image_how how = {.format = format, .unlocked = true, .no_parent = true};
    struct image *im = image_open(path, &how, NULL);
    bool yes = im && ((im->id && !strcmp(im->id, id)) || (im->uuid && !strcmp(im->uuid, id)));
    image_close(im);
    return yes;
}

/* below: from the image's folder; "" or "../" */
static void find_parent_in(struct image *im, const char *below)
{
    g_autofree char *own = g_path_get_dirname(im->file->path), *folder = g_build_filename(own, below, NULL);
    g_autofree char *self = g_path_get_basename(im->file->path);
    GDir *dir = g_dir_open(folder, 0, NULL);
    for (const char *name; dir && !im->parent_name && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        bool named = !g_strcmp0(image_format_promised(name), im->parent_format);
        bool candidate = named && (*below || strcmp(name, self));
        if (candidate && has_id(path, im->parent_format, im->parent_id))
            im->parent_name = g_strconcat(below, name, NULL);
    }
    g_clear_pointer(&dir, g_dir_close);
}

/* For a parent that is known by its id only: a file with that id beside the child, or where VirtualBox has it. */
static bool find_parent_by_id(struct image *im, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(im->file->path), *full = g_canonicalize_filename(folder, NULL);
    bool search = im->parent_by_id && !im->parent_name;
    if (search)
        find_parent_in(im, "");
    if (search && !im->parent_name && g_str_has_suffix(full, "/" IMAGE_SNAPSHOTS))
        find_parent_in(im, "../");
    return !im->parent_by_id || im->parent_name ||
           disk_fail(error, DISK_ERROR_NOT_FOUND,
                     "%s is based on a %s image with id %s, which is not in its folder (or was changed since)",
                     im->file->path, im->parent_format, im->parent_id);
}

static char *named_parent(const struct image *im)
{
    const char *name = im->parent_name + (g_str_has_prefix(im->parent_name, "file:") ? 5 : 0);
    return g_path_is_absolute(name) ? g_strdup(name) : blk_beside(im->file, name);
}

static bool has_lasting_parent_id(const struct image *im)
{
    return im->parent_id && im->parent_format && !g_str_has_prefix(im->parent_id, TIME_ID);
}

/* Renamed, or named by a path of another computer: a file with its id beside the child. */
static void find_moved_parent(struct image *im)
{
    char *name = im->parent_name;
    if (!has_lasting_parent_id(im))
        return;
    im->parent_name = NULL;
    find_parent_in(im, "");
    if (im->parent_name)
        g_free(name);
    else
        im->parent_name = name;
}

/* "..\\base\\disk.vmdk": folders, if it is no name.  *path: what it means then. */
static bool use_windows_name(struct image *im, char **path)
{
    char *was = im->parent_name;
    im->parent_name = g_strdelimit(g_strdup(was), "\\", '/');
    g_autofree char *other = named_parent(im);
    if (!g_file_test(other, G_FILE_TEST_EXISTS)) {
        g_free(im->parent_name);
        im->parent_name = was;
        return false;
    }
    g_free(was);
    g_free(*path);
    *path = g_steal_pointer(&other);
    return true;
}

char *image_parent_path(struct image *im, GError **error)
{
    if (!find_parent_by_id(im, error) || !im->parent_name)
        return NULL;
    g_autofree char *path = named_parent(im);
    if (g_file_test(path, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&path);
    if (strchr(im->parent_name, '\\') && use_windows_name(im, &path))
        return g_steal_pointer(&path);
    find_moved_parent(im);
    return named_parent(im);
}

static bool is_cycle(const struct link *l, struct blk_file *f)
{
    for (; l; l = l->child)
        if (blk_same(l->im->file, f))
            return true;
    return false;
}

static bool open_parent(struct image *im, const struct image_how *how, const struct link *child, GError **error)
{
    GError *why = NULL;
    g_autofree char *path = how->parent ? g_strdup(how->parent) : image_parent_path(im, &why);
    const char *format = how->parent ? how->parent_format : im->parent_format;
    struct link here = {child, im, child ? child->depth + 1 : 1};
    if (why)
        g_propagate_error(error, why);
    if (!path)
        return !why;
    g_autofree char *chain = chain_text(&here, path);
    if (here.depth >= IMAGE_MAX_CHAIN)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "the chain of parents is too long: %s", chain);
    if (!format && !how->guess)
        return disk_fail(error, DISK_ERROR_USAGE, "%s does not say which format its parent %s has", im->file->path,
                         path);
    struct image_how parent = {.format = format, .guess = how->guess, .unlocked = how->unlocked, .cache = how->cache};
    im->parent = open_one(path, &parent, &here, &why);
    if (im->parent)
        return image_same_parent(im, im->parent, error);
    if (strstr(why->message, " -> ")) { /* say the chain once, at its far end */
        g_propagate_error(error, why);
        return false;
    }
    bool lost = g_error_matches(why, DISK_ERROR, DISK_ERROR_NOT_FOUND) && has_lasting_parent_id(im);
    disk_fail(error, why->code, "parent missing or unusable in %s: %s%s%s", chain, why->message,
              lost ? "; put it, or a link to it, into the folder of " : "", lost ? im->file->path : "");
    g_error_free(why);
    return false;
}

static const struct image_format *format_for(struct blk_file *f, const struct image_how *how, GError **error)
{
    if (how->format)
        return image_format_find(how->format, error);
    if (how->guess)
        return image_format_guess(f, error);
    disk_fail(error, DISK_ERROR_USAGE, "%s: no image format was given", f->path);
    return NULL;
}

static unsigned open_flags(const struct image_how *how)
{
    return (how->write ? FILE_WRITE : 0) | (how->unlocked ? FILE_NO_LOCK : 0);
}

/* An image of one format under the name of another. */
static void tell_what_it_is(struct blk_file *f, const struct image_format *tried, GError *why)
{
    const struct image_format *is =
        g_error_matches(why, DISK_ERROR, DISK_ERROR_CORRUPT) ? image_format_guess(f, NULL) : NULL;
    if (!is || is == tried || !is->probe)
        return;
    g_autofree char *said = why->message;
    why->message = g_strdup_printf("%s: it is opened as %s, but looks like %s; say so, or give it a name that fits",
                                   said, tried->name, is->name);
}

/* f NULL: the error is set already. */
static struct image *open_in(struct blk_file *f, const struct image_how *how, const struct link *child, GError **error)
{
    if (!f)
        return NULL;
    const struct image_format *format = NULL;
    if (is_cycle(child, f)) {
        g_autofree char *chain = chain_text(child, f->path);
        disk_fail(error, DISK_ERROR_CORRUPT, "the chain of parents bites its own tail: %s", chain);
    } else {
        format = format_for(f, how, error);
    }
    if (!format) {
        blk_close(f);
        return NULL;
    }
    GError *why = NULL;
    struct blk_file *same = blk_ref(f);
    struct image *im = image_open_with(f, format, how, &why);
    if (why)
        tell_what_it_is(same, format, why);
    blk_close(same);
    if (why)
        g_propagate_error(error, why);
    if (im && !how->no_parent && !open_parent(im, how, child, error)) {
        image_close(im);
        return NULL;
    }
    return im;
}

static struct image *open_one(const char *path, const struct image_how *how, const struct link *child, GError **error)
{
    return open_in(blk_open(path, open_flags(how), how->cache, error), how, child, error);
}

static struct image *open_slice(const char *path, const struct image_how *how, GError **error)
{
    if (g_strcmp0(how->format, "raw")) {
        disk_fail(error, DISK_ERROR_USAGE, "%s: offset and size are for raw images; this one is to be %s", path,
                  how->format ? how->format : "guessed");
        return NULL;
    }
    return open_in(blk_open_slice(path, open_flags(how), how->cache, how->slice, error), how, NULL, error);
}

struct image *image_open(const char *path, const struct image_how *how, GError **error)
{
    return how->slice ? open_slice(path, how, error) : open_one(path, how, NULL, error);
}

struct image *image_open_fd(int fd, const char *path, const struct image_how *how, GError **error)
{
    return open_in(blk_open_fd(fd, path, open_flags(how), how->cache, error), how, NULL, error);
}
