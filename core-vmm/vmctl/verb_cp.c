// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_cp.c - vmctl cp: a file into the guest, or out of it. */
#include "core-vmm/vmctl/guest_login.h"
#include "core-vmm/vmctl/verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool host_failed(const char *path, GError **error)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
    return false;
}

/* Of NAME:PATH its path, and the machine in *name; NULL: it is a path of the host.  NAME has no '/', the path begins with one. */
static const char *in_guest(const char *text, char **name)
{
    const char *colon = strstr(text, ":/");
    if (!colon || colon == text || memchr(text, '/', colon - text))
        return NULL;
    *name = g_strndup(text, colon - text);
    return colon + 1;
}

/* A folder means a file in it that is called as the other is. */
static char *target(const char *to, const char *from)
{
    g_autofree char *base = g_path_get_basename(from);
    return g_file_test(to, G_FILE_TEST_IS_DIR) || g_str_has_suffix(to, "/") ? g_build_filename(to, base, NULL)
                                                                            : g_strdup(to);
}

static bool send_all(struct guest *g, int fd, const char *path, uint32_t handle, GError **error)
{
    uint8_t data[GUEST_PIECE];
    uint64_t offset = 0;
    for (;;) {
        ssize_t n = read(fd, data, sizeof data);
        if (n < 0)
            return host_failed(path, error);
        if (!n)
            return true;
        if (!guest_file_write(g, handle, offset, data, n, error))
            return false;
        offset += n;
    }
}

static bool into(struct guest *g, const char *from, const char *to, GError **error)
{
    g_autofree char *path = g_str_has_suffix(to, "/") ? target(to, from) : g_strdup(to);
    int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    uint32_t handle;
    if (fd < 0)
        return host_failed(from, error);
    errno = EISDIR;
    bool good = !fstat(fd, &st) && !S_ISDIR(st.st_mode);
    if (!good)
        host_failed(from, error);
    bool open = good && guest_file_open(g, path, true, &handle, error);
    good = open && send_all(g, fd, from, handle, error);
    if (open && !guest_file_close(g, handle, good ? error : NULL))
        good = false;
    close(fd);
    return good;
}

static bool receive_all(struct guest *g, int fd, const char *path, uint32_t handle, GError **error)
{
    uint8_t data[GUEST_PIECE];
    uint64_t offset = 0;
    size_t n = 1;
    while (n) {
        if (!guest_file_read(g, handle, offset, data, &n, error))
            return false;
        for (size_t done = 0; done < n;) {
            ssize_t now = write(fd, data + done, n - done);
            if (now < 0)
                return host_failed(path, error);
            done += now;
        }
        offset += n;
    }
    return true;
}

/* What is half of a file is called so that nobody takes it for the whole one. */
static bool out_of(struct guest *g, const char *from, const char *to, GError **error)
{
    g_autofree char *path = target(to, from), *part = g_strconcat(path, ".part", NULL);
    uint32_t handle;
    if (!guest_file_open(g, from, false, &handle, error))
        return false;
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    bool good = fd >= 0 ? receive_all(g, fd, part, handle, error) : host_failed(part, error);
    guest_file_close(g, handle, NULL);
    if (fd >= 0 && close(fd) && good)
        good = host_failed(part, error);
    if (good && rename(part, path))
        good = host_failed(path, error);
    if (!good && fd >= 0)
        unlink(part);
    return good;
}

static int copy(const struct verb *v, char **argv, const struct guest_options *o)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = NULL, *other = NULL;
    const char *from = in_guest(argv[1], &name), *to = in_guest(argv[2], &other);
    int code = EXIT_CODE_OK;
    if (!from == !to)
        return fail(EXIT_CODE_USAGE, "usage: vmctl cp %s (paths in the guest begin with /)", v->args);
    struct guest *g = guest_login(from ? name : other, o, &code);
    if (!g)
        return code;
    bool good = from ? out_of(g, from, argv[2], &error) : into(g, argv[1], to, &error);
    guest_free(g);
    return good ? EXIT_CODE_OK : fail_error(error);
}

static int cp(const struct verb *v, int argc, char **argv)
{
    struct guest_options o = {NULL};
    const GOptionEntry entries[] = {GUEST_OPTIONS(o), {NULL}};
    int code;
    if (verb_options(v, entries, &argc, &argv, 2, 2, &code))
        code = copy(v, argv, &o);
    guest_options_clear(&o);
    return code;
}

const struct verb verb_cp = {"cp", "FILE NAME:PATH | NAME:PATH FILE",
                             "copy a file into the guest or out of it, by open-vm-tools",
                             "  vmctl cp --user anna notes.txt demo:/home/anna/\n"
                             "  vmctl cp --user root --password-file pw demo:/var/log/syslog .",
                             cp};
