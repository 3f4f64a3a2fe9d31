// SPDX-License-Identifier: GPL-2.0-or-later
/* children.c - who is on top of an image: only what lies in its folder, or where VirtualBox puts snapshots, is known.  An
 * image may be reached by links: then each folder on the way counts.  Whether two names mean one file is asked of the file
 * itself, so that hard links and other mounts are the same too. */
#include "disk-formats/ops/ops.h"
#include <sys/stat.h>

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
    return found;
}
