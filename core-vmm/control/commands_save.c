// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_save.c - saving the machine into a file that the client has made: this process may make none.
 *
 * `save` is the first half of suspending it: the client gives the file its name, saved.state in the machine's folder, and then
 * stops the machine, which stands still until then.  A client that goes before it has stopped the machine may have given the
 * name or not: that decides whether the machine ends, for it is saved, or runs on.  So whoever is killed when, it is either. */
#include "core-vmm/control/commands.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "saved" /* what a connection owns */

/* ---- who looks on ---- */

bool save_tell_progress(int pipe, uint64_t done, uint64_t total, GError **error)
{
    char line[64];
    int n = g_snprintf(line, sizeof line, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n", done, total);
    if (pipe < 0 || write(pipe, line, n) > 0 || errno != EPIPE)
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "whoever asked for the state does not want it any more");
    return false;
}

static bool goes_on(void *pipe, uint64_t done, uint64_t total, GError **error)
{
    return save_tell_progress(*(int *)pipe, done, total, error);
}

/* ---- what happens when the client goes ---- */

struct suspended {
    struct machine *machine;
    char *name; /* that its file gets */
    struct stat file;
    bool ran;
};

static bool has_its_name(const struct suspended *s)
{
    struct stat there;
    return !lstat(s->name, &there) && there.st_dev == s->file.st_dev && there.st_ino == s->file.st_ino;
}

static void on_gone(void *suspended)
{
    struct suspended *s = suspended;
    if (machine_state(s->machine) == MACHINE_PAUSED && has_its_name(s))
        machine_stop(s->machine, MACHINE_END_STOPPED, 0, NULL);
    else if (machine_state(s->machine) == MACHINE_PAUSED && s->ran)
        machine_resume(s->machine);
    g_free(s->name);
    g_free(s);
}

static void hold_until_gone(struct call *c, int fd, bool ran)
{
    struct suspended *s = g_new0(struct suspended, 1);
    s->machine = call_machine(c);
    s->name = g_build_filename(call_options(c)->folder, PATHS_SAVED, NULL);
    s->ran = ran;
    if (fstat(fd, &s->file))
        g_warning("save: %s", g_strerror(errno));
    connection_set_data(call_connection(c), KEY, s, on_gone);
}

bool save_holds(struct server *s)
{
    return server_owning(s, KEY) > 0;
}

/* ---- the commands ---- */

bool save_is_usable(int file, int pipe)
{
    struct stat st;
    return !fstat(file, &st) && S_ISREG(st.st_mode) && !st.st_size && (fcntl(file, F_GETFL) & O_ACCMODE) != O_RDONLY &&
           (pipe < 0 || (!fstat(pipe, &st) && S_ISFIFO(st.st_mode)));
}

/* Saving may take a while, and nothing else is answered meanwhile.  Afterwards the machine is paused; if it fails it is as
 * before.  pipe: for who looks on, or -1. */
static bool save_into(struct call *c, int file, int pipe)
{
    struct machine *m = call_machine(c);
    g_autoptr(GError) error = NULL;
    bool ran = machine_state(m) == MACHINE_RUNNING;
    const struct save_watch watch = {goes_on, &pipe};
    if (!save_is_usable(file, pipe)) {
        call_fail(c, CONTROL_USAGE, "the descriptor must be of an empty regular file that is open for writing");
        return false;
    }
    if (pipe >= 0)
        fcntl(pipe, F_SETFL, O_NONBLOCK);
    if (ran)
        machine_pause(m);
    if (machine_save(m, file, pipe >= 0 ? &watch : NULL, &error))
        return true;
    if (ran)
        machine_resume(m);
    bool full = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
    call_fail(c, full ? CONTROL_NO_SPACE : CONTROL_FAILED, "%s", error->message);
    return false;
}

static void save(struct call *c)
{
    int file = call_take_fd(c, 0), pipe = call_take_fd(c, 1);
    bool ran = machine_state(call_machine(c)) == MACHINE_RUNNING;
    if (save_holds(call_server(c)) || machine_saves_live(call_machine(c))) {
        call_fail(c, CONTROL_WRONG_STATE, "the machine is being saved already");
    } else if (call_options(c)->disposable) {
        call_fail(c, CONTROL_UNSUPPORTED, "nothing of a disposable run stays: it cannot go on later");
    } else if (save_into(c, file, pipe)) {
        hold_until_gone(c, file, ran);
        call_reply(c, NULL);
    }
    close(file);
    close(pipe);
}

/* Whoever saved it either ends it, or lets it go on, and then its disks no longer fit what was saved. */
static void debug_save(struct call *c)
{
    int file = call_take_fd(c, 0);
    if (machine_saves_live(call_machine(c)))
        call_fail(c, CONTROL_BUSY, "the machine is being saved already");
    else if (save_into(c, file, -1))
        call_reply(c, NULL);
    close(file);
}

const struct command save_commands[] = {
    {"save",
     {},
     .summary = "save the machine into a file that becomes saved.state, and hold it until it is stopped; 2nd: a pipe",
     .handler = save,
     .fds = 2},
    {"debug.save", {}, .summary = "save the machine into a file, and pause it", .handler = debug_save, .fds = 1},
    {NULL},
};
