// SPDX-License-Identifier: GPL-2.0-or-later
/* Which files a machine's images consist of: extents, the images they build upon; and whether others build upon them.  One
 * has to open them to know, and whoever made a hostile image must have nothing of that.  So a child does it, which may read
 * and do nothing else, and all that comes back is lines of text, each with a letter before it (enum jail_line). */
#include "../config_schema.h"
#include "../drive_media.h"
#include "jail.h"
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_SECONDS = 20, TEXT_MAX = 1 << 20 };

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

static void child(const struct jail *j, int to)
{
    g_auto(GStrv) sections = g_key_file_get_groups(j->file, NULL);
    alarm(CHILD_SECONDS);
    if (!jail_reading_only())
        _exit(1);
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
    _exit(0);
}

/* ---- the VM process ---- */

static GStrv read_lines(int from)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GStrvBuilder) lines = g_strv_builder_new();
    uint8_t some[4096];
    ssize_t n;
    while (bytes->len < TEXT_MAX && (n = read(from, some, sizeof some)) > 0)
        g_byte_array_append(bytes, some, n);
    g_byte_array_append(bytes, (const uint8_t *)"", 1);
    for (size_t at = 0; at < bytes->len; at += strlen((char *)bytes->data + at) + 1)
        if (bytes->data[at])
            g_strv_builder_add(lines, (char *)bytes->data + at);
    return g_strv_builder_end(lines);
}

GStrv jail_images(const struct jail *j)
{
    int ends[2];
    pid_t pid = pipe(ends) ? -1 : fork();
    if (pid == 0)
        child(j, ends[1]);
    if (pid < 0)
        return g_new0(char *, 1);
    close(ends[1]);
    GStrv lines = read_lines(ends[0]);
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return lines;
}
