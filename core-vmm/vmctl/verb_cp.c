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

enum { NEW_MODE = 0644 };

struct copy {
    struct guest *guest;
    gint cancel; /* by Ctrl-C: what is half of a file goes */
};

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

static bool cancelled(const struct copy *c, GError **error)
{
    if (!g_atomic_int_get(&c->cancel))
        return false;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled; nothing was changed");
    return true;
}

/* A link is not followed, and a folder not copied. */
static bool is_file(const char *path, const struct guest_attr *attr, GError **error)
{
    if (attr->kind == GUEST_FILE)
        return true;
    g_set_error(error, CONTROL_ERROR, CONTROL_USAGE, "%s in the guest is a %s: give the path of a file", path,
                attr->kind == GUEST_FOLDER ? "folder" : "link");
    return false;
}

/* ---- into the guest ---- */

static bool send_all(const struct copy *c, int fd, const char *path, uint32_t handle, GError **error)
{
    uint8_t data[GUEST_PIECE];
    uint64_t offset = 0;
    while (!cancelled(c, error)) {
        ssize_t n = read(fd, data, sizeof data);
        if (n < 0)
            return host_failed(path, error);
        if (!n)
            return true;
        if (!guest_file_write(c->guest, handle, offset, data, n, error))
            return false;
        offset += n;
    }
    return false;
}

/* The mode of a file that is replaced stays. */
static bool mode_of(struct guest *g, const char *path, unsigned *mode, GError **error)
{
    g_autoptr(GError) why = NULL;
    struct guest_attr attr;
    *mode = NEW_MODE;
    if (!guest_file_look(g, path, &attr, &why)) {
        if (g_error_matches(why, CONTROL_ERROR, CONTROL_NOT_FOUND))
            return true;
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    *mode = attr.mode;
    return is_file(path, &attr, error);
}

/* A name beside it that nobody guesses: the file has its own when it is whole, and until then the old one is there. */
static bool send_as(const struct copy *c, int fd, const char *from, const char *path, GError **error)
{
    g_autofree char *part = g_strdup_printf("%s.%08x.part", path, g_random_int());
    uint32_t handle;
    unsigned mode;
    if (!mode_of(c->guest, path, &mode, error) || !guest_file_make(c->guest, part, mode, &handle, error))
        return false;
    bool good = send_all(c, fd, from, handle, error);
    if (!guest_file_close(c->guest, handle, good ? error : NULL))
        good = false;
    good = good && !cancelled(c, error) && guest_file_rename(c->guest, part, path, error);
    g_autoptr(GError) stays = NULL;
    if (!good && !guest_file_remove(c->guest, part, &stays))
        note("%s stays in the guest: %s", part, stays->message);
    return good;
}

static bool into(const struct copy *c, const char *from, const char *to, GError **error)
{
    g_autofree char *path = g_str_has_suffix(to, "/") ? target(to, from) : g_strdup(to);
    int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0)
        return host_failed(from, error);
    errno = EISDIR;
    bool good = !fstat(fd, &st) && !S_ISDIR(st.st_mode);
    good = good ? send_as(c, fd, from, path, error) : host_failed(from, error);
    close(fd);
    return good;
}

/* ---- out of the guest ---- */

/* The guest said how much it is: it does not fill the host's disk. */
static bool receive_all(const struct copy *c, int fd, const char *path, uint32_t handle, uint64_t bytes, GError **error)
{
    uint8_t data[GUEST_PIECE];
    uint64_t offset = 0;
    size_t n = 1;
    while (n) {
        if (cancelled(c, error) || !guest_file_read(c->guest, handle, offset, data, &n, error))
            return false;
        if (n > bytes - offset) {
            g_set_error(error, CONTROL_ERROR, CONTROL_FAILED,
                        "the guest said that the file has %" G_GUINT64_FORMAT " bytes, and sends more: if it grows, "
                        "or is none of a disk, let `vmctl exec` run cat",
                        bytes);
            return false;
        }
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

/* What is half of a file is called so that nobody takes it for the whole one.  It may be a secret, and is the user's alone. */
static bool receive_as(const struct copy *c, const char *path, uint32_t handle, uint64_t bytes, GError **error)
{
    g_autofree char *part = g_strdup_printf("%s.XXXXXX.part", path);
    int fd = g_mkstemp_full(part, O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return host_failed(part, error);
    bool good = receive_all(c, fd, part, handle, bytes, error);
    if (close(fd) && good)
        good = host_failed(part, error);
    if (good && rename(part, path))
        good = host_failed(path, error);
    if (!good)
        unlink(part);
    return good;
}

static bool out_of(const struct copy *c, const char *from, const char *to, GError **error)
{
    g_autofree char *path = target(to, from);
    struct guest_attr attr;
    uint32_t handle;
    if (!guest_file_look(c->guest, from, &attr, error) || !is_file(from, &attr, error) ||
        !guest_file_open(c->guest, from, &handle, error))
        return false;
    bool good = receive_as(c, path, handle, attr.bytes, error);
    guest_file_close(c->guest, handle, NULL);
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
    struct copy c = {guest_login(from ? name : other, o, &code), 0};
    struct progress silent;
    if (!c.guest)
        return code;
    progress_start(&silent, "Copying", true, &c.cancel);
    bool good = from ? out_of(&c, from, argv[2], &error) : into(&c, argv[1], to, &error);
    guest_free(c.guest);
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
