// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_users.c - which machines need an image, or one in a folder: as a disk of theirs, or as what one builds upon.
 *
 * A file is the same by any of its names: that is asked of the file system, which knows hard links and other mounts.  A
 * folder counts if it holds the image, or a link on the way to it: without that link nobody finds the image. */
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/path_lies.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_record.h"
#include "disk-formats/image/image.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BETWEEN "/" /* names in the answer: no machine's name has it */

enum need { NEEDS_NOT, NEEDS_PERHAPS /* it could not be read */, NEEDS };
struct user_question {
    const char *path, *except; /* path: real */
    bool folder;
    GPtrArray *names;
};

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* What is not there leads nowhere; what is there and cannot be read may lead anywhere. */
static enum need cannot_tell(const char *path)
{
    struct stat st;
    return lstat(path, &st) && (errno == ENOENT || errno == ENOTDIR) ? NEEDS_NOT : NEEDS_PERHAPS;
}

/* Is the image meant itself?  That needs no look into it. */
static bool is_meant(const char *path, const struct user_question *q)
{
    return q->folder ? path_lies_in(path, q->path) : same_file(path, q->path);
}

/* Any image of the chain, one after the other: what is wrong further down hides none of those above. */
static enum need chain_needs(const char *top, const char *format, const struct user_question *q)
{
    g_autofree char *path = g_strdup(top), *known = g_strdup(format);
    for (unsigned i = 0; path && i < IMAGE_MAX_CHAIN; i++) {
        g_autoptr(GError) error = NULL;
        struct image_how how = {
            .format = known ? known : image_format_by_name(path), .unlocked = true, .no_parent = true};
        if (is_meant(path, q))
            return NEEDS;
        if (!strcmp(how.format, "raw"))
            return NEEDS_NOT;
        struct image *im = image_open(path, &how, NULL);
        if (!im)
            return cannot_tell(path);
        bool uses = !q->folder && image_uses(im, q->path);
        char *next = image_parent_path(im, &error);
        g_free(known);
        known = g_strdup(im->parent_format);
        image_close(im);
        g_free(path);
        path = next;
        if (uses || error)
            return uses ? NEEDS : NEEDS_PERHAPS;
    }
    return NEEDS_NOT;
}

/* What its snapshots consist of: a restore may bring back what the present does not have. */
static enum need snapshots_need(const char *folder, const struct user_question *q)
{
    struct snapshot_record *r = record_load(folder, NULL);
    enum need needs = r ? NEEDS_NOT : NEEDS_PERHAPS;
    for (guint i = 0; r && i < r->images->len && needs != NEEDS; i++) {
        const struct snapshot_image *image = r->images->pdata[i];
        g_autofree char *path = g_canonicalize_filename(image->file, folder);
        needs = MAX(needs, chain_needs(path, image->format, q));
    }
    if (r)
        record_free(r);
    return needs;
}

static enum need machine_needs(const char *name, const struct user_question *q)
{
    g_autofree char *own = paths_machine(name), *ini = paths_machine_ini(name);
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_file_test(own, G_FILE_TEST_IS_DIR)) /* something else that has taken a name */
        return NEEDS_NOT;
    enum need needs = snapshots_need(own, q);
    if (needs == NEEDS || !g_key_file_load_from_file(file, ini, 0, NULL))
        return MAX(needs, cannot_tell(ini));
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s && needs != NEEDS; s++) {
        g_autofree char *image = g_key_file_get_string(file, *s, "file", NULL);
        g_autofree char *format = g_key_file_get_string(file, *s, "format", NULL);
        g_autofree char *path = image && *image ? g_canonicalize_filename(image, own) : NULL;
        if (path)
            needs = MAX(needs, chain_needs(path, format, q));
    }
    return needs;
}

/* In a fenced child: names, each with BETWEEN behind it. */
static int tell_users(void *ctx, int answer)
{
    struct user_question *q = ctx;
    for (guint i = 0; i < q->names->len; i++)
        if (g_strcmp0(q->names->pdata[i], q->except)) {
            enum need needs = machine_needs(q->names->pdata[i], q);
            disk_answer(answer, needs == NEEDS ? q->names->pdata[i] : "");
            if (needs == NEEDS_PERHAPS) {
                disk_answer(answer, "perhaps ");
                disk_answer(answer, q->names->pdata[i]);
            }
            disk_answer(answer, BETWEEN);
        }
    return 0;
}

GPtrArray *disk_users(const char *path, const char *except, GError **error)
{
    g_autofree char *real = realpath(path, NULL);
    g_autoptr(GPtrArray) names = paths_list(error);
    struct user_question q = {real ? real : path, except, g_file_test(path, G_FILE_TEST_IS_DIR), names};
    g_autofree char *answer = names ? disk_ask(tell_users, &q, path, error) : NULL;
    if (!answer)
        return NULL;
    g_auto(GStrv) words = g_strsplit(answer, BETWEEN, -1);
    GPtrArray *users = g_ptr_array_new_with_free_func(g_free);
    for (char **w = words; *w; w++)
        if (**w)
            g_ptr_array_add(users, g_strdup(*w));
    return users;
}
