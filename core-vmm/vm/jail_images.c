// SPDX-License-Identifier: GPL-2.0-or-later
/* Which files a machine's images consist of: extents, the images they build upon; and whether others build upon them.  One
 * has to open them to know, and whoever made a hostile image must have nothing of that.  So a child does it, which may read
 * images and do nothing else, and all that comes back is lines of text, each with a letter before it (enum jail_line). */
#include "core-vmm/host/config_schema.h"
#include "core-vmm/machine/drive_media.h"
#include "core-vmm/vm/jail.h"
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHILD_SECONDS = 20 };

/* ---- the child ---- */

static void tell(int to, enum jail_line kind, const char *text)
{
    g_autofree char *line = g_strdup_printf("%c%s", kind, text);
    if (write(to, line, strlen(line) + 1) < 0)
        _exit(1);
}

static void tell_file(int to, enum jail_line kind, const char *name)
{
    char path[4096];
    struct stat st;
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%s", name);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0 || *path != '/' || stat(link, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
        return;
    path[n] = 0;
    tell(to, kind, path);
}

static void tell_open_files(int to, enum jail_line kind)
{
    DIR *open_files = opendir("/proc/self/fd");
    for (struct dirent *e; open_files && (e = readdir(open_files));)
        tell_file(to, kind, e->d_name);
    if (open_files)
        closedir(open_files);
}

/* In the fence, what a damaged image names is a file that may not be opened: that would be the reason given. */
static void tell_damage(int to, const struct config *c, const char *folder, bool parents)
{
    g_autoptr(GError) error = NULL;
    if (!drive_open_files(c, folder, parents, &error))
        tell(to, JAIL_DAMAGED, error->message);
}

static void tell_children(int to, const struct config *c, const char *folder)
{
    g_autoptr(GError) error = NULL;
    if (!drive_nothing_above(c, folder, &error))
        tell(to, JAIL_REFUSED, error->message);
}

static int look(void *ctx, int to)
{
    const struct jail *j = ctx;
    g_auto(GStrv) sections = g_key_file_get_groups(j->file, NULL);
    for (unsigned parents = 0; parents < 2; parents++) {
        for (char **s = sections; *s; s++) {
            struct config c = {j->file, j->path, *s};
            if (schema_find(*s, "file", NULL))
                tell_damage(to, &c, j->folder, parents);
        }
        tell_open_files(to, parents ? JAIL_READ : JAIL_WRITE);
    }
    for (char **s = sections; *s; s++) {
        struct config c = {j->file, j->path, *s};
        if (schema_find(*s, "file", NULL))
            tell_children(to, &c, j->folder);
    }
    return 0;
}

/* ---- the VM process ---- */

/* Images that machine.ini names may lie where others are not looked for, such as on a device. */
static void allow_named(struct fence_files *f, const struct jail *j)
{
    g_auto(GStrv) sections = g_key_file_get_groups(j->file, NULL);
    fence_allow(f, j->folder, FENCE_READ);
    for (char **s = sections; *s; s++) {
        struct config c = {j->file, j->path, *s};
        g_autofree char *file = schema_find(*s, "file", NULL) ? config_string(&c, "file") : NULL;
        g_autofree char *path = file && *file ? g_canonicalize_filename(file, j->folder) : NULL;
        if (path)
            fence_allow_beside(f, path, FENCE_READ);
    }
}

/* Strings with a zero behind each. */
static GStrv lines_of(GBytes *answer)
{
    g_autoptr(GStrvBuilder) lines = g_strv_builder_new();
    gsize n;
    const char *text = g_bytes_get_data(answer, &n);
    for (gsize at = 0; at < n; at += strnlen(text + at, n - at) + 1)
        if (text[at] && memchr(text + at, 0, n - at))
            g_strv_builder_add(lines, text + at);
    return g_strv_builder_end(lines);
}

/* A child that a broken image ended has said what it found until then; opening the image will say what is wrong. */
GStrv jail_images(const struct jail *j, GError **error)
{
    struct fence_files *f = fence_files_new();
    fence_allow_images(f);
    allow_named(f, j);
    const struct fence_job job = {FENCE_LOOK, f, look, (void *)j, CHILD_SECONDS};
    g_autoptr(GBytes) answer = NULL;
    return fence_run(&job, &answer, error) < 0 ? NULL : lines_of(answer);
}
