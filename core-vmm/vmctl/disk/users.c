// SPDX-License-Identifier: GPL-2.0-or-later
/* users.c - who still needs the images in a folder (other machines' disks, or parents of them), or one image (its
 * children beside it). */
#include "core-vmm/vmctl/disk/disk.h"
#include "core-vmm/host/paths.h"
#include <stdlib.h>
#include <string.h>

static bool lies_in(const char *path, const char *folder)
{
    g_autofree char *full = realpath(path, NULL), *in = realpath(folder, NULL);
    size_t n = in ? strlen(in) : 0;
    return full && in && !strncmp(full, in, n) && full[n] == '/';
}

/* Any image of the chain; one that cannot be opened needs nobody. */
static bool chain_needs(const char *path, const char *format, const char *folder)
{
    struct image_how how = {.format = disk_format(format, path), .unlocked = true};
    struct image *im = image_open(path, &how, NULL);
    bool needs = lies_in(path, folder);
    for (struct image *p = im; p && !needs; p = p->parent)
        needs = lies_in(p->file->path, folder);
    image_close(im);
    return needs;
}

static bool machine_needs(const char *name, const char *folder)
{
    g_autofree char *own = paths_machine(name), *ini = paths_machine_ini(name);
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_key_file_load_from_file(file, ini, 0, NULL))
        return false;
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    bool needs = false;
    for (char **s = sections; *s && !needs; s++) {
        g_autofree char *image = g_key_file_get_string(file, *s, "file", NULL);
        g_autofree char *format = g_key_file_get_string(file, *s, "format", NULL);
        g_autofree char *path =
            image && !g_path_is_absolute(image) ? g_build_filename(own, image, NULL) : g_strdup(image);
        needs = path && *image && chain_needs(path, format, folder);
    }
    return needs;
}

struct user_question {
    const char *folder, *except;
    GPtrArray *names;
};

static int tell_user(void *ctx, int answer)
{
    struct user_question *q = ctx;
    for (guint i = 0; i < q->names->len; i++)
        if (strcmp(q->names->pdata[i], q->except) && machine_needs(q->names->pdata[i], q->folder)) {
            disk_answer(answer, q->names->pdata[i]);
            return 0;
        }
    return 0;
}

bool disk_user_of(const char *folder, const char *except, char **user, GError **error)
{
    g_autoptr(GPtrArray) names = paths_list(error);
    struct user_question q = {folder, except, names};
    g_autofree char *answer = names ? disk_ask(tell_user, &q, folder, error) : NULL;
    *user = answer && *answer ? g_strdup(answer) : NULL;
    return answer != NULL;
}

int disk_may_replace(const char *path)
{
    g_autofree char *child = disk_child_of(path, NULL);
    g_autoptr(GError) error = NULL;
    struct blk_file *f = blk_open(path, FILE_WRITE, CACHE_WRITEBACK, &error); /* for the lock */
    blk_close(f);
    if (g_error_matches(error, DISK_ERROR, DISK_ERROR_LOCKED))
        return fail_error(error);
    return child ? fail(EXIT_CODE_BUSY, "%s is the parent of %s, which would lose its data", path, child)
                 : EXIT_CODE_OK;
}

int disk_may_change(const char *path, const char *except)
{
    g_autofree char *child = disk_child_of(path, except);
    return child ? fail(EXIT_CODE_BUSY,
                        "%s is the parent of %s, which could not be used any more; delete the child if it is not "
                        "needed, or use --force",
                        path, child)
                 : EXIT_CODE_OK;
}
