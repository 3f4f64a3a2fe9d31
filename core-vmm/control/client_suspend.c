// SPDX-License-Identifier: GPL-2.0-or-later
/* client_suspend.c - a running machine is saved to the disk, and ends.
 *
 * The file is made here, with the user's rights, and written by the VM process.  It gets its name before the machine is
 * stopped: that decides (commands_save.c).  If we are killed before, the machine runs on; later, it ends by itself. */
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STOP_MS 30000
#define GONE_US (30 * G_USEC_PER_SEC)

struct watching { /* how far the VM process is */
    struct machine_job *job;
    int pipe; /* what it says; -1: it need not go on */
};

/* Lines "DONE TOTAL"; the last whole one counts. */
static void hear(struct watching *w)
{
    char some[4096];
    ssize_t n = read(w->pipe, some, sizeof some - 1);
    uint64_t done, total;
    if (n <= 0)
        return;
    some[n] = 0;
    char *end = strrchr(some, '\n');
    if (end)
        *end = 0;
    char *line = end ? strrchr(some, '\n') : NULL;
    if (end && w->job->progress &&
        sscanf(line ? line + 1 : some, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &done, &total) == 2 && total &&
        done <= total)
        w->job->progress(w->job->ctx, done, total);
}

static void on_tick(void *ctx)
{
    struct watching *w = ctx;
    if (w->pipe < 0)
        return;
    hear(w);
    if (!g_atomic_int_get(&w->job->cancel))
        return;
    close(w->pipe); /* then it stops */
    w->pipe = -1;
}

JsonObject *client_ask_to_save(struct client *c, const char *command, int file, int vars, struct machine_job *job,
                               GError **error)
{
    struct machine_job nobody = {.cancel = 0};
    int ends[2];
    if (!g_unix_open_pipe(ends, FD_CLOEXEC, error))
        return NULL;
    struct watching w = {.job = job ? job : &nobody, .pipe = ends[0]};
    struct client_tick tick = {ends[0], on_tick, &w};
    g_unix_set_fd_nonblocking(ends[0], TRUE, NULL);
    JsonObject *result = client_call_ticking(c, command, (int[]){file, ends[1], vars}, vars < 0 ? 2 : 3, &tick, error);
    close(ends[1]);
    if (w.pipe >= 0)
        close(w.pipe);
    return result;
}

static bool ask_to_save(struct client *c, int file, struct machine_job *job, GError **error)
{
    JsonObject *result = client_ask_to_save(c, "save", file, -1, job, error);
    bool good = result;
    g_clear_pointer(&result, json_object_unref);
    return good;
}

/* It is saved, whatever becomes of this. */
static bool end_machine(struct client *c, const char *name, GError **error)
{
    JsonObject *o = client_call(c, "stop", NULL, STOP_MS, NULL);
    g_clear_pointer(&o, json_object_unref);
    return machines_wait_gone(name, GONE_US) || machines_kill(name, "it is saved, and did not end", error);
}

static bool suspend(struct client *c, const char *name, struct machine_job *job, GError **error)
{
    g_autofree char *folder = paths_machine(name), *path = NULL;
    int file = saved_new(folder, &path, error);
    if (file < 0)
        return false;
    bool saved = ask_to_save(c, file, job, error) && saved_publish(folder, path, error);
    if (!saved)
        unlink(path);
    close(file);
    return saved && end_machine(c, name, error);
}

bool client_suspend(const char *given, struct machine_job *job, char **name, GError **error)
{
    g_autofree char *exact = NULL;
    struct client *c = client_connect_machine(given, &exact, error);
    bool good = c != NULL;
    if (c && paths_is_throwaway(exact)) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "%s is a throw-away machine: it is gone when it ends, and cannot go on later", exact);
        good = false;
    }
    good = good && suspend(c, exact, job, error);
    client_free(c);
    if (good && name)
        *name = g_steal_pointer(&exact);
    return good;
}
