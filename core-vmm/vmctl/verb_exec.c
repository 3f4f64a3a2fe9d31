// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_exec.c - vmctl exec: a program in the guest.  The guest's shell sends what it says into two files of /tmp, whose names nobody
 * can guess and which only that user can read; they are fetched while it runs, and removed at its end. */
#include "core-vmm/vmctl/guest_login.h"
#include "core-vmm/vmctl/verbs.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { FIRST_LOOK_MS = 50, LOOK_MS = 1000 };

struct output_file {
    char *path;
    int to;
    uint32_t handle;
    bool open;
    uint64_t offset;
};
struct run {
    struct guest *guest;
    int64_t pid;
    struct output_file out, err;
};

static bool names(struct run *r)
{
    uint64_t n[2];
    if (getrandom(n, sizeof n, 0) != sizeof n)
        return false;
    r->out.path =
        g_strdup_printf("/tmp/.terrarium-%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x.out", n[0], n[1]);
    r->err.path =
        g_strdup_printf("/tmp/.terrarium-%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x.err", n[0], n[1]);
    r->out.to = STDOUT_FILENO;
    r->err.to = STDERR_FILENO;
    return true;
}

/* Each argument is one in the guest too. */
static char *words(const struct run *r, char **argv, const char *folder)
{
    GString *s = g_string_new(NULL);
    g_autofree char *quoted = folder ? g_shell_quote(folder) : NULL;
    g_string_append_printf(s, "m=$(umask); umask 077; set -C; exec >%s 2>%s </dev/null; set +C; umask $m; ",
                           r->out.path, r->err.path);
    if (quoted)
        g_string_append_printf(s, "cd %s || exit 126; ", quoted);
    g_string_append(s, "exec");
    for (char **a = argv; *a; a++) {
        g_autofree char *one = g_shell_quote(*a);
        g_string_append_printf(s, " %s", one);
    }
    return g_string_free(s, FALSE);
}

static bool write_all(int fd, const uint8_t *data, size_t n)
{
    while (n) {
        ssize_t done = write(fd, data, n);
        if (done < 0 && errno != EINTR)
            return false;
        data += MAX(done, 0);
        n -= MAX(done, 0);
    }
    return true;
}

/* What there is not yet may come: only at the end of the program that is an error. */
static bool opened(struct run *r, struct output_file *f, bool ended, GError **error)
{
    g_autoptr(GError) why = NULL;
    f->open = f->open || guest_file_open(r->guest, f->path, &f->handle, &why);
    if (f->open || (!ended && g_error_matches(why, CONTROL_ERROR, CONTROL_NOT_FOUND)))
        return true;
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

/* What has come since the last time. */
static bool fetch(struct run *r, struct output_file *f, bool ended, GError **error)
{
    uint8_t data[GUEST_PIECE];
    size_t n = 1;
    if (!opened(r, f, ended, error))
        return false;
    while (f->open && n) {
        if (!guest_file_read(r->guest, f->handle, f->offset, data, &n, error))
            return false;
        f->offset += n;
        if (!write_all(f->to, data, n)) {
            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "writing what the program says: %s",
                        g_strerror(errno));
            return false;
        }
    }
    return true;
}

/* Until it has ended and all that it said is here. */
static bool follow(struct run *r, int *status, GError **error)
{
    bool ended = false;
    for (unsigned ms = FIRST_LOOK_MS; !ended; ms = MIN(2 * ms, LOOK_MS)) {
        g_usleep(ms * 1000);
        uint64_t before = r->out.offset + r->err.offset;
        if (!guest_ended(r->guest, r->pid, &ended, status, error) || !fetch(r, &r->out, ended, error) ||
            !fetch(r, &r->err, ended, error))
            return false;
        if (r->out.offset + r->err.offset > before)
            ms = FIRST_LOOK_MS;
    }
    return true;
}

static void clean(struct run *r, struct output_file *f)
{
    g_autoptr(GError) error = NULL;
    if (f->open)
        guest_file_close(r->guest, f->handle, NULL);
    if (r->pid && !guest_file_remove(r->guest, f->path, &error) &&
        !g_error_matches(error, CONTROL_ERROR, CONTROL_NOT_FOUND))
        note("%s stays in the guest: %s", f->path, error->message);
    g_free(f->path);
}

static int run(struct guest *g, char **argv, const char *folder)
{
    g_autoptr(GError) error = NULL;
    struct run r = {.guest = g};
    int status = 0;
    if (!names(&r))
        return fail(EXIT_CODE_FAILED, "the host has no random numbers");
    g_autofree char *text = words(&r, argv, folder);
    bool good = guest_start(g, text, &r.pid, &error) && follow(&r, &status, &error);
    clean(&r, &r.out);
    clean(&r, &r.err);
    return good ? status & 0xff : fail_error(error);
}

static int exec(const struct verb *v, int argc, char **argv)
{
    struct guest_options o = {NULL};
    char *folder = NULL;
    const GOptionEntry entries[] = {
        GUEST_OPTIONS(o),
        {"cd", 0, 0, G_OPTION_ARG_STRING, &folder, "In that folder of the guest (else the user's own)", "FOLDER"},
        {NULL},
    };
    int code;
    if (verb_options(v, entries, &argc, &argv, 2, -1, &code)) {
        char **program = !strcmp(argv[2], "--") ? argv + 3 : argv + 2;
        struct guest *g = *program ? guest_login(argv[1], &o, &code) : NULL;
        if (!*program)
            code = fail(EXIT_CODE_USAGE, "usage: vmctl exec %s", v->args);
        else if (g)
            code = run(g, program, folder);
        guest_free(g);
    }
    guest_options_clear(&o);
    g_free(folder);
    return code;
}

const struct verb verb_exec = {"exec", "NAME -- PROGRAM [ARGUMENT...]", "run a program in the guest, by open-vm-tools",
                               "  vmctl exec demo --user anna -- uname -a\n"
                               "  vmctl exec demo -u root --password-file pw -- sh -c 'df -h; who'",
                               exec};
