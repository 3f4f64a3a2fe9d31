// SPDX-License-Identifier: GPL-2.0-or-later
/* package.c - see package.h.
 *
 * Whoever made a description may want the files of whoever imports it: a disk "raw, /home/you/letters" would show them to the
 * guest.  So what a description names, and what images build upon, lies in the description's folder; elsewhere only if the user
 * says that it may. */
#include "core-vmm/foreign/package.h"
#include "core-vmm/foreign/xml.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u

/* ---- reading the description ---- */

static bool load(const char *path, char **text, gsize *n, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    gsize got = 0;
    if (fd < 0 || fstat(fd, &st)) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return disk_fail_errno(error, e, "%s", path);
    }
    bool fits = S_ISREG(st.st_mode) && st.st_size <= DESCRIPTION_MAX;
    *text = fits ? g_malloc0(st.st_size + 1) : NULL;
    for (ssize_t r = 1; fits && r > 0 && got<(gsize)st.st_size; got += r> 0 ? r : 0)
        r = read(fd, *text + got, st.st_size - got);
    close(fd);
    *n = got;
    return fits || disk_fail(error, DISK_ERROR_CORRUPT, "%s is no text file of at most 4 MiB", path);
}

/* The name of the first element: behind declarations and comments. */
static char *root_name(const char *text, gsize n)
{
    const char *p = g_strstr_len(text, n, "<");
    while (p && (p[1] == '?' || p[1] == '!')) {
        const char *end = g_strstr_len(p, n - (p - text), g_str_has_prefix(p, "<!--") ? "-->" : ">");
        p = end ? g_strstr_len(end, n - (end - text), "<") : NULL;
    }
    if (!p)
        return NULL;
    size_t length = strcspn(p + 1, " \t\r\n/>");
    const char *colon = memchr(p + 1, ':', length);
    return colon ? g_strndup(colon + 1, length - (colon - p)) : g_strndup(p + 1, length);
}

static bool kind_of(struct package *p, GError **error)
{
    static const struct {
        const char *root;
        enum foreign_kind kind;
    } roots[] = {
        {"Envelope", FOREIGN_OVF}, {"VirtualBox", FOREIGN_VBOX}, {"domain", FOREIGN_LIBVIRT}, {"plist", FOREIGN_UTM}};
    g_autofree char *root = root_name(p->text, p->n), *small = g_ascii_strdown(p->path, -1);
    p->kind = FOREIGN_KINDS;
    if (g_str_has_suffix(small, ".vmx"))
        p->kind = FOREIGN_VMX;
    else if (g_str_has_suffix(small, ".conf"))
        p->kind = FOREIGN_QUICKEMU;
    else if (plist_is_binary(p->text, p->n))
        p->kind = FOREIGN_UTM;
    for (unsigned i = 0; root && p->kind == FOREIGN_KINDS && i < G_N_ELEMENTS(roots); i++)
        if (root && !strcmp(root, roots[i].root))
            p->kind = roots[i].kind;
    return p->kind != FOREIGN_KINDS || disk_fail(error, DISK_ERROR_UNSUPPORTED,
                                                 "%s is no description of a machine that is known: an OVA or OVF, a "
                                                 ".vmx, .vbox, .utm, a domain of libvirt "
                                                 "or a .conf of quickemu",
                                                 p->path);
}

static bool open_archive(struct package *p, GError **error)
{
    if (!(p->ova = ova_open(p->path, error)))
        return false;
    const struct ova_member *m = ova_ending(p->ova, ".ovf");
    p->kind = FOREIGN_OVF;
    if (!m || m->bytes > DESCRIPTION_MAX)
        return disk_fail(error, DISK_ERROR_CORRUPT,
                         m ? "%s is too large for a description" : "there is no .ovf in the archive", m ? m->name : "");
    p->about = m->name;
    p->n = m->bytes;
    p->text = g_malloc0(m->bytes + 1);
    if (m->bytes)
        memcpy(p->text, m->data, m->bytes);
    return true;
}

bool package_open(struct package *p, const char *path, GError **error)
{
    *p = (struct package){.path = package_description(path)};
    p->folder = g_path_get_dirname(p->path);
    p->about = p->path;
    if (ova_looks_like(p->path))
        return open_archive(p, error);
    return load(p->path, &p->text, &p->n, error) && kind_of(p, error);
}

/* ---- files beside it ---- */

/* "C:\machines\disk.vdi": of such a path only the last part can mean something here. */
static const char *local_name(const char *file)
{
    bool windows = g_ascii_isalpha(file[0]) && file[1] == ':';
    const char *last = windows ? strrchr(file, '\\') : NULL;
    return last ? last + 1 : file;
}

char *package_locate(const char *description, const char *file)
{
    g_autofree char *folder = g_path_get_dirname(description), *small = g_ascii_strdown(description, -1);
    g_autofree char *path = g_canonicalize_filename(local_name(file), folder);
    if (g_file_test(path, G_FILE_TEST_EXISTS) || !g_str_has_suffix(small, ".conf"))
        return g_steal_pointer(&path);
    g_autofree char *above = g_build_filename("..", local_name(file), NULL); /* quickemu's start where it is called */
    return g_canonicalize_filename(above, folder);
}

char *package_description(const char *path)
{
    g_autofree char *inside = g_build_filename(path, "config.plist", NULL);
    return g_canonicalize_filename(g_file_test(path, G_FILE_TEST_IS_DIR) ? inside : path, NULL);
}

static bool lies_in(const char *path, const char *folder)
{
    g_autofree char *real = realpath(path, NULL), *in = realpath(folder, NULL);
    size_t n = in ? strlen(in) : 0;
    return real && in && !strncmp(real, in, n) && (real[n] == '/' || n == 1);
}

char *package_path(const char *description, const char *file, bool outside, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(description), *path = package_locate(description, file);
    if (access(path, F_OK))
        disk_fail_errno(error, errno, "%s, which %s names", path, description);
    else if (!outside && !lies_in(path, folder))
        disk_fail(
            error, DISK_ERROR_PERMISSION,
            "%s names %s, which is not in its folder: if that is what you want the machine to have, say --outside",
            description, path);
    else
        return g_steal_pointer(&path);
    return NULL;
}

/* ---- images ---- */

static const struct image_format *format_for(const struct plan_disk *d, struct blk_file *f, GError **error)
{
    const char *name = d->cdrom || d->floppy ? "raw" : d->format ? d->format : image_format_promised(d->file);
    return name ? image_format_find(name, error) : image_format_guess(f, error);
}

static struct image *member_image(const struct package *p, const struct plan_disk *d, GError **error)
{
    const struct ova_member *m = ova_find(p->ova, d->file);
    if (!m) {
        disk_fail(error, DISK_ERROR_NOT_FOUND, "%s names %s, which is not in the archive", p->about, d->file);
        return NULL;
    }
    const struct file_slice slice = {m->offset, (m->bytes + SECTOR - 1) / SECTOR * SECTOR};
    struct blk_file *f = m->bytes ? blk_open_slice(p->path, 0, CACHE_WRITEBACK, &slice, error) : NULL;
    const struct image_format *format = f ? format_for(d, f, error) : NULL;
    if (!m->bytes)
        disk_fail(error, DISK_ERROR_CORRUPT, "%s is empty", d->file);
    if (!format) {
        blk_close(f);
        return NULL;
    }
    return image_open_file(f, format, error);
}

/* What an image builds upon, outside, cannot even be opened then: the fence is in the way. */
static void hint(GError **error, bool outside)
{
    GError *why = error ? *error : NULL;
    if (!outside && g_error_matches(why, DISK_ERROR, DISK_ERROR_PERMISSION) && !strstr(why->message, "--outside"))
        g_prefix_error(error, "only what is in the folder of the description may be read, unless you say --outside: ");
}

static struct image *beside_image(const struct package *p, const struct plan_disk *d, bool outside, GError **error)
{
    g_autofree char *path = package_path(p->path, d->file, outside, error);
    struct blk_file *f = path ? blk_open(path, 0, CACHE_WRITEBACK, error) : NULL;
    const struct image_format *format = f ? format_for(d, f, error) : NULL;
    struct image_how how = {.format = format ? format->name : NULL};
    blk_close(f);
    struct image *im = format ? image_open(path, &how, error) : NULL;
    if (format && !im)
        hint(error, outside);
    return im;
}

/* All that it consists of must be in the package, too. */
static bool stays_inside(const struct package *p, const struct image *im, bool outside, GError **error)
{
    if (p->ova && (im->parent_name || im->parent_id || im->many_files))
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s consists of other files, too", im->file->path);
    for (const struct image *i = im->parent; i && !outside; i = i->parent)
        if (!lies_in(i->file->path, p->folder))
            return disk_fail(
                error, DISK_ERROR_PERMISSION,
                "%s builds upon %s, which is not in the folder of the description: if that is what you want the "
                "machine to have, say --outside",
                im->file->path, i->file->path);
    return true;
}

struct image *package_image(const struct package *p, const struct plan_disk *d, bool outside, GError **error)
{
    struct image *im = p->ova ? member_image(p, d, error) : beside_image(p, d, outside, error);
    if (im && stays_inside(p, im, outside, error))
        return im;
    image_close(im);
    return NULL;
}

/* ---- checksums ---- */

struct verifying {
    const struct package *p;
    void (*tell)(void *ctx, uint64_t bytes);
    void *ctx;
};

static bool check_beside(const struct verifying *v, const struct manifest_line *l, GError **error)
{
    if (strchr(l->name, '/'))
        return disk_fail(error, DISK_ERROR_CORRUPT, "the manifest names %s, with a folder", l->name);
    g_autofree char *path = g_build_filename(v->p->folder, l->name, NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat st = {0};
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        int e = fd < 0 ? errno : EINVAL;
        if (fd >= 0)
            close(fd);
        return disk_fail_errno(error, e, "%s, which the manifest names", path);
    }
    uint8_t *map = st.st_size ? mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    if (map == MAP_FAILED)
        return disk_fail_errno(error, errno, "%s", path);
    bool good = manifest_check(l, map, st.st_size, v->tell, v->ctx, error);
    if (map)
        munmap(map, st.st_size);
    return good;
}

static bool check_line(const struct verifying *v, const struct manifest_line *l, GError **error)
{
    const struct ova_member *m = v->p->ova ? ova_find(v->p->ova, l->name) : NULL;
    if (!v->p->ova)
        return check_beside(v, l, error);
    if (!m)
        return disk_fail(error, DISK_ERROR_NOT_FOUND, "the manifest names %s, which is not in the archive", l->name);
    return manifest_check(l, m->data, m->bytes, v->tell, v->ctx, error);
}

static bool has_line(const GArray *lines, const char *name)
{
    for (guint i = 0; i < lines->len; i++)
        if (!strcmp(g_array_index(lines, struct manifest_line, i).name, name))
            return true;
    return false;
}

static bool check_all(const struct verifying *v, const char *text, gsize n, struct plan *plan, GError **error)
{
    g_autoptr(GArray) lines = manifest_read(text, n, error);
    for (guint i = 0; lines && i < lines->len; i++)
        if (!check_line(v, &g_array_index(lines, struct manifest_line, i), error))
            return false;
    for (guint i = 0; lines && i < plan->disks->len; i++) {
        const char *file = g_array_index(plan->disks, struct plan_disk, i).file;
        if (!has_line(lines, file))
            g_ptr_array_add(plan->left, g_strdup_printf("a checksum of %s: the manifest has none", file));
    }
    if (lines)
        g_ptr_array_add(plan->mapped, g_strdup_printf("%u checksums are right", lines->len));
    return lines;
}

/* FILE.mf beside FILE.ovf; NULL: there is none. */
static char *manifest_beside(const struct package *p)
{
    const char *dot = strrchr(p->path, '.');
    g_autofree char *base = g_strndup(p->path, dot && !strchr(dot, '/') ? (gsize)(dot - p->path) : strlen(p->path));
    g_autofree char *path = g_strconcat(base, ".mf", NULL);
    return g_file_test(path, G_FILE_TEST_IS_REGULAR) ? g_steal_pointer(&path) : NULL;
}

bool package_verify(const struct package *p, void (*tell)(void *ctx, uint64_t bytes), void *ctx, struct plan *plan,
                    GError **error)
{
    const struct verifying v = {p, tell, ctx};
    const struct ova_member *m = p->ova ? ova_ending(p->ova, ".mf") : NULL;
    g_autofree char *path = p->ova || p->kind != FOREIGN_OVF ? NULL : manifest_beside(p), *text = NULL;
    gsize n;
    if (p->ova && ova_ending(p->ova, ".cert"))
        g_ptr_array_add(plan->left, g_strdup("its signature, which is not verified"));
    if (m)
        return check_all(&v, (const char *)m->data, m->bytes, plan, error);
    if (path)
        return load(path, &text, &n, error) && check_all(&v, text, n, plan, error);
    if (p->kind == FOREIGN_OVF)
        g_ptr_array_add(plan->left, g_strdup("checksums: there is no manifest"));
    return true;
}
