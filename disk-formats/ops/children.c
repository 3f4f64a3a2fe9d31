// SPDX-License-Identifier: GPL-2.0-or-later
/* children.c - who is on top of an image: what lies in its folder, or where VirtualBox puts snapshots, and what was made on
 * top of it by us, wherever that lies.  An image may be reached by links: then each folder on the way counts.  Whether two
 * names mean one file is asked of the file itself, so that hard links and other mounts are the same too.
 *
 * For children in other folders the parent's file has an extended attribute with their paths (xattr(7)), which goes along
 * with it under all of its names.  It is a hint: a file system may have none, the file may be read-only, a copy has none,
 * and whoever can write to the file can write anything there.  So each path is looked at before it counts. */
#include "disk-formats/ops/ops.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NOTE       "user.terrarium.children"
#define NOTE_BYTES 2048 /* some file systems have a block for all attributes of a file; the oldest paths go first */

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return a && b && !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* One that was made before the parent was changed has nothing to lose any more. */
static bool could_use(const struct image *child, const char *path)
{
    struct image_how how = {
        .format = child->parent_format, .guess = !child->parent_format, .unlocked = true, .no_parent = true};
    struct image *parent = image_open(path, &how, NULL);
    bool could = parent && image_same_parent(child, parent, NULL);
    image_close(parent);
    return could;
}

static bool is_child(const char *path, const char *parent)
{
    struct image_how how = {.guess = true, .unlocked = true, .no_parent = true};
    struct image *im = image_open(path, &how, NULL);
    g_autofree char *named = im ? image_parent_path(im, NULL) : NULL;
    bool is = same_file(named, parent) && could_use(im, named);
    image_close(im);
    return is;
}

static char *child_in(const char *folder, const char *path, const char *except)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    char *found = NULL;
    for (const char *name; dir && !found && (name = g_dir_read_name(dir));) {
        g_autofree char *other = g_build_filename(folder, name, NULL);
        if (g_file_test(other, G_FILE_TEST_IS_REGULAR) && !same_file(other, except) && is_child(other, path))
            found = g_steal_pointer(&other);
    }
    g_clear_pointer(&dir, g_dir_close);
    return found;
}

static char *child_near(const char *name, const char *path, const char *except)
{
    g_autofree char *folder = g_path_get_dirname(name), *below = g_build_filename(folder, IMAGE_SNAPSHOTS, NULL);
    char *found = child_in(folder, path, except);
    return found ? found : child_in(below, path, except);
}

/* What a link says, as seen from the link's own folder; NULL: it is none. */
static char *link_target(const char *path)
{
    g_autofree char *target = g_file_read_link(path, NULL), *folder = g_path_get_dirname(path);
    return !target || g_path_is_absolute(target) ? g_steal_pointer(&target) : g_build_filename(folder, target, NULL);
}

/* ---- the note ---- */

/* Paths with a zero behind each. */
static GPtrArray *read_note(int fd)
{
    char text[NOTE_BYTES + 1];
    ssize_t n = fd < 0 ? -1 : fgetxattr(fd, NOTE, text, NOTE_BYTES);
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    text[MAX(n, 0)] = 0;
    for (ssize_t at = 0; at < n; at += strlen(text + at) + 1)
        if (text[at] == '/')
            g_ptr_array_add(paths, g_strdup(text + at));
    return paths;
}

static void write_note(int fd, const GPtrArray *paths)
{
    g_autoptr(GByteArray) note = g_byte_array_new();
    for (guint i = paths->len; i-- && note->len + strlen(paths->pdata[i]) < NOTE_BYTES;)
        g_byte_array_prepend(note, paths->pdata[i], strlen(paths->pdata[i]) + 1);
    if (note->len && fsetxattr(fd, NOTE, note->data, note->len, 0))
        return; /* a hint less */
}

static int open_to_ask(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

void disk_note_child(const char *parent, const char *child)
{
    g_autofree char *full = realpath(child, NULL);
    int fd = full ? open_to_ask(parent) : -1;
    g_autoptr(GPtrArray) paths = read_note(fd);
    for (guint i = paths->len; i--;) /* gone, or named anew below */
        if (access(paths->pdata[i], F_OK) || !g_strcmp0(paths->pdata[i], full))
            g_ptr_array_remove_index(paths, i);
    if (fd < 0)
        return;
    g_ptr_array_add(paths, g_strdup(full));
    write_note(fd, paths);
    close(fd);
}

static char *child_noted(const char *path, const char *except)
{
    int fd = open_to_ask(path);
    g_autoptr(GPtrArray) paths = read_note(fd);
    char *found = NULL;
    for (guint i = 0; i < paths->len && !found; i++)
        if (!same_file(paths->pdata[i], except) && is_child(paths->pdata[i], path))
            found = g_strdup(paths->pdata[i]);
    if (fd >= 0)
        close(fd);
    return found;
}

char *disk_child_of(const char *path, const char *except)
{
    char *found = NULL, *next;
    if (!g_file_test(path, G_FILE_TEST_EXISTS)) /* so that the links end somewhere */
        return NULL;
    for (char *name = g_strdup(path); name; name = next) {
        found = found ? found : child_near(name, path, except);
        next = link_target(name);
        g_free(name);
    }
    return found ? found : child_noted(path, except);
}
