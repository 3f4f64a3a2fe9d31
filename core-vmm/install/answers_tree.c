// SPDX-License-Identifier: GPL-2.0-or-later
/* answers_tree.c - a folder of the host onto the medium with answers: drivers, which Windows Setup looks for in $WinPEDriver$ on
 * every drive. */
#include "core-vmm/install/answers_tree.h"
#include "core-vmm/host/paths.h"
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 16, PIECE = 1 << 16 };

static bool header(struct archive *a, const char *name, const struct stat *st, GError **error)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname_utf8(e, name);
    archive_entry_set_filetype(e, S_ISDIR(st->st_mode) ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(e, S_ISDIR(st->st_mode) ? 0555 : 0444);
    archive_entry_set_mtime(e, st->st_mtime, 0);
    if (S_ISREG(st->st_mode))
        archive_entry_set_size(e, st->st_size);
    bool good = archive_write_header(a, e) == ARCHIVE_OK;
    archive_entry_free(e);
    if (!good)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s does not fit onto the medium: %s", name,
                    archive_error_string(a));
    return good;
}

static bool contents(struct archive *a, int fd, const char *path, GError **error)
{
    g_autofree char *some = g_malloc(PIECE);
    ssize_t n;
    while ((n = read(fd, some, PIECE)) > 0)
        if (archive_write_data(a, some, n) < 0) {
            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(archive_errno(a)), "%s: %s", path,
                        archive_error_string(a));
            return false;
        }
    return n == 0 || path_failed(path, error);
}

static bool one_file(struct archive *a, const char *path, const char *name, GError **error)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool there = fd >= 0 && !fstat(fd, &st);
    bool good = there ? !S_ISREG(st.st_mode) || (header(a, name, &st, error) && contents(a, fd, path, error))
                      : path_failed(path, error);
    if (fd >= 0)
        close(fd);
    return good;
}

/* Links are followed, what is neither file nor folder is left out. */
static bool folder(struct archive *a, const char *path, const char *name, unsigned depth, GError **error)
{
    struct stat st;
    if (depth > DEPTH) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: folders lie more than %d deep in each other", path,
                    DEPTH);
        return false;
    }
    g_autoptr(GDir) d = g_dir_open(path, 0, error);
    if (!d || stat(path, &st) || !header(a, name, &st, error))
        return false;
    bool good = true;
    for (const char *entry; good && (entry = g_dir_read_name(d));) {
        g_autofree char *from = g_build_filename(path, entry, NULL), *to = g_strconcat(name, "/", entry, NULL);
        good = g_file_test(from, G_FILE_TEST_IS_DIR) ? folder(a, from, to, depth + 1, error)
                                                     : one_file(a, from, to, error);
    }
    return good;
}

bool answers_tree(struct archive *a, const char *path, const char *name, GError **error)
{
    return folder(a, path, name, 0, error);
}
