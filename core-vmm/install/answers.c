// SPDX-License-Identifier: GPL-2.0-or-later
/* answers.c - the files of answers, and the medium with them: an ISO 9660 with Joliet and Rock Ridge names, by libarchive. */
#include "core-vmm/install/answers.h"
#include "core-vmm/install/answers_tree.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/paths.h"
#include <archive.h>
#include <archive_entry.h>
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct {
    answers_fn fn;
    const char *label;
} kinds[] = {
    [UNATTENDED_DEBIAN] = {answers_debian, "PRESEED"},
    [UNATTENDED_UBUNTU] = {answers_ubuntu, "CIDATA"}, /* cloud-init's NoCloud looks for it */
    [UNATTENDED_FEDORA] = {answers_fedora, "OEMDRV"}, /* anaconda does */
    [UNATTENDED_WINDOWS] = {answers_windows, "ANSWERS"},
};

const char *answers_label(enum unattended_kind kind)
{
    return kinds[kind].label;
}

void answers_add(GPtrArray *files, const char *name, char *text)
{
    struct unattended_file *f = g_new(struct unattended_file, 1);
    f->name = g_strdup(name);
    f->text = text;
    g_ptr_array_add(files, f);
}

static void file_free(gpointer file)
{
    struct unattended_file *f = file;
    explicit_bzero(f->text, strlen(f->text));
    g_free(f->name);
    g_free(f->text);
    g_free(f);
}

char *answers_hash(const char *password, GError **error)
{
    struct crypt_data *data = g_new0(struct crypt_data, 1);
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    const char *made = crypt_gensalt_rn("$6$", 0, NULL, 0, salt, sizeof salt);
    const char *hash = made ? crypt_rn(password, salt, data, sizeof *data) : NULL;
    char *copy = g_strdup(hash);
    explicit_bzero(data, sizeof *data);
    g_free(data);
    if (!copy)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the password cannot be hashed by crypt(3): %s",
                    g_strerror(errno));
    return copy;
}

/* What the medium is must be what the answers are for. */
static bool fits(const struct unattended *u, const struct medium *m, GError **error)
{
    if (!m || m->unattended == u->kind)
        return true;
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "%s is %s, whose installer does not take the answers for %s",
                m->path, m->name, unattended_kind_name(u->kind));
    return false;
}

GPtrArray *unattended_files(const struct unattended *u, const struct medium *m, GError **error)
{
    if (!unattended_check(u, error) || !fits(u, m, error))
        return NULL;
    GPtrArray *files = g_ptr_array_new_with_free_func(file_free);
    if (kinds[u->kind].fn(u, m, files, error))
        return files;
    g_ptr_array_unref(files);
    return NULL;
}

/* ---- the medium ---- */

static bool add_file(struct archive *a, const struct unattended_file *f)
{
    struct archive_entry *e = archive_entry_new();
    size_t n = strlen(f->text);
    archive_entry_set_pathname_utf8(e, f->name);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0444);
    archive_entry_set_size(e, n);
    archive_entry_set_mtime(e, time(NULL), 0);
    bool good = archive_write_header(a, e) == ARCHIVE_OK && archive_write_data(a, f->text, n) == (la_ssize_t)n;
    archive_entry_free(e);
    return good;
}

/* drivers: a folder of the host, or NULL. */
static bool write_iso(int fd, const char *label, const GPtrArray *files, const char *drivers, const char *path,
                      GError **error)
{
    struct archive *a = archive_write_new();
    g_autofree char *options = g_strdup_printf("volume-id=%s", label);
    bool good = archive_write_set_format_iso9660(a) == ARCHIVE_OK &&
                archive_write_set_options(a, options) == ARCHIVE_OK && archive_write_open_fd(a, fd) == ARCHIVE_OK;
    for (guint i = 0; good && i < files->len; i++)
        good = add_file(a, files->pdata[i]);
    bool told = good && drivers && !answers_tree(a, drivers, "$WinPEDriver$", error);
    good = good && !told && archive_write_close(a) == ARCHIVE_OK;
    if (!good && !told) {
        int e = archive_errno(a);
        g_set_error(error, G_IO_ERROR, e > 0 ? g_io_error_from_errno(e) : G_IO_ERROR_FAILED,
                    "the medium with the answers, %s, cannot be written: %s", path,
                    e > 0 ? g_strerror(e) : archive_error_string(a));
    }
    archive_write_free(a);
    return good;
}

bool unattended_write(const struct unattended *u, const struct medium *m, const char *to, GError **error)
{
    g_autoptr(GPtrArray) files = unattended_files(u, m, error);
    int fd = files ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return files && path_failed(to, error);
    bool good = write_iso(fd, answers_label(u->kind), files, u->drivers, to, error);
    if (close(fd) && good)
        good = path_failed(to, error);
    if (!good)
        unlink(to);
    return good;
}
