// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_watch.c - tells what becomes of machines, whoever does it.
 *
 * The file system says that something happened in the folder of all machines, or in that of one; the kernel says that a VM
 * process has ended (a pidfd).  That is only a reason to look: what changed is found by comparing with what was known.  So
 * events that come late, twice or together do no harm.  After each it is looked a few times, for a lock is let go of a
 * moment after its process has ended, and whatever is seen here may just be on its way. */
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RATE_MS 50 /* between two events of one file */
#define LOOK_MS 50 /* after an event; then twice as long, and so on */
#define LOOKS   4  /* so the last one is 0.75 s after it */

struct watched {
    guint64 settings; /* of machine_entry; 0: no machine yet */
    bool runs;
    GFileMonitor *monitor; /* of its folder; NULL: none could be had */
    bool stale;            /* there may be another folder of that name by now */
    bool seen;             /* by the look that is under way */
    pid_t process;         /* whose end is waited for; 0: nobody's */
    int pidfd;
    GSource *end;
};
struct machine_watch {
    machine_changed changed;
    void *ctx;
    GFileMonitor *all;
    GHashTable *machines; /* name -> struct watched */
    GMainContext *context;
    GSource *timer; /* NULL: nothing to look at */
    unsigned looks; /* since the last event */
    bool waits;     /* for a lock whose process has ended, or is not known yet */
};

static void on_file(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer watch);

/* ---- monitors ---- */

static GFileMonitor *monitor_of(struct machine_watch *w, const char *folder, GError **error)
{
    g_autoptr(GFile) file = g_file_new_for_path(folder);
    GFileMonitor *m = g_file_monitor_directory(file, G_FILE_MONITOR_WATCH_MOVES, NULL, error);
    if (!m)
        return NULL;
    g_file_monitor_set_rate_limit(m, RATE_MS);
    g_signal_connect(m, "changed", G_CALLBACK(on_file), w);
    return m;
}

static void monitor_free(GFileMonitor *m, struct machine_watch *w)
{
    if (!m)
        return;
    g_signal_handlers_disconnect_by_data(m, w);
    g_file_monitor_cancel(m);
    g_object_unref(m);
}

/* ---- a process's end ---- */

static void look_soon(struct machine_watch *w);

static gboolean on_end(int fd, GIOCondition condition, gpointer watch)
{
    look_soon(watch);
    return G_SOURCE_REMOVE;
}

static void stop_waiting(struct watched *m)
{
    if (!m->process)
        return;
    g_source_destroy(m->end);
    g_clear_pointer(&m->end, g_source_unref);
    close(m->pidfd);
    m->process = 0;
}

static void wait_for_end(struct machine_watch *w, struct watched *m, pid_t process)
{
    if (m->process == process)
        return;
    stop_waiting(m);
    int fd = process > 0 ? syscall(SYS_pidfd_open, process, 0) : -1;
    if (fd < 0)
        return;
    m->process = process;
    m->pidfd = fd;
    m->end = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(m->end, G_SOURCE_FUNC(on_end), w, NULL);
    g_source_attach(m->end, w->context);
}

/* Somebody has the lock; is it certain that we shall hear of the end? */
static bool hears_of_end(const struct watched *m)
{
    struct pollfd p = {m->pidfd, POLLIN, 0};
    return m->process && !poll(&p, 1, 0);
}

/* ---- looking ---- */

static struct watched *watched_of(struct machine_watch *w, const char *name)
{
    struct watched *m = g_hash_table_lookup(w->machines, name);
    if (m && !m->stale)
        return m;
    g_autofree char *folder = paths_machine(name);
    if (!m) {
        m = g_new0(struct watched, 1);
        g_hash_table_insert(w->machines, g_strdup(name), m);
    }
    monitor_free(m->monitor, w);
    m->monitor = monitor_of(w, folder, NULL);
    m->stale = false;
    return m;
}

/* What is new of one machine; tell: not at the first look. */
static void compare(struct machine_watch *w, const char *name, bool tell)
{
    struct watched *m = watched_of(w, name), old = *m;
    struct machine_entry *e = machines_glance(name);
    m->seen = true;
    m->settings = e->settings;
    m->runs = e->state == ENTRY_RUNS;
    wait_for_end(w, m, e->process);
    w->waits |= m->runs && !hears_of_end(m);
    machine_entry_free(e);
    if (tell && !old.settings && m->settings)
        w->changed(w->ctx, name, MACHINE_CREATED);
    else if (tell && old.settings && m->settings && old.settings != m->settings)
        w->changed(w->ctx, name, MACHINE_CHANGED);
    if (tell && !old.runs && m->runs)
        w->changed(w->ctx, name, MACHINE_STARTED);
    if (tell && old.runs && !m->runs)
        w->changed(w->ctx, name, MACHINE_ENDED);
    if (tell && old.settings && !m->settings)
        w->changed(w->ctx, name, MACHINE_DELETED);
}

static void forget(struct machine_watch *w, const char *name, struct watched *m)
{
    if (m->runs)
        w->changed(w->ctx, name, MACHINE_ENDED);
    if (m->settings)
        w->changed(w->ctx, name, MACHINE_DELETED);
    stop_waiting(m);
    monitor_free(m->monitor, w);
}

static bool look(struct machine_watch *w, bool tell, GError **error)
{
    g_autoptr(GPtrArray) names = paths_list(error);
    GHashTableIter i;
    gpointer name, m;
    w->waits = false;
    for (guint n = 0; names && n < names->len; n++) {
        g_autofree char *folder = paths_machine(names->pdata[n]);
        if (g_file_test(folder, G_FILE_TEST_IS_DIR))
            compare(w, names->pdata[n], tell);
    }
    g_hash_table_iter_init(&i, w->machines);
    while (names && g_hash_table_iter_next(&i, &name, &m)) {
        struct watched *one = m;
        if (!one->seen) {
            forget(w, name, one);
            g_hash_table_iter_remove(&i);
        } else {
            one->seen = false;
        }
    }
    return names != NULL;
}

/* ---- events ---- */

static gboolean on_timer(gpointer watch);

static void look_again(struct machine_watch *w)
{
    g_clear_pointer(&w->timer, g_source_unref);
    if (w->looks == LOOKS && !w->waits)
        return;
    w->looks = MIN(w->looks + 1, LOOKS);
    w->timer = g_timeout_source_new(LOOK_MS << (w->looks - 1));
    g_source_set_callback(w->timer, on_timer, w, NULL);
    g_source_attach(w->timer, w->context);
}

static gboolean on_timer(gpointer watch)
{
    look(watch, true, NULL);
    look_again(watch);
    return G_SOURCE_REMOVE;
}

static void look_soon(struct machine_watch *w)
{
    bool idle = !w->timer;
    w->looks = !idle;
    if (idle)
        look_again(w);
}

/* Of what a machine's folder has, only these say something; its disk images change all the time. */
static bool matters(GFile *file)
{
    g_autofree char *name = file ? g_file_get_basename(file) : NULL;
    return !g_strcmp0(name, "machine.ini") || !g_strcmp0(name, "lock");
}

/* A folder came or went: one that had that name is not watched by it any more.  GLib finds that out itself, but seconds
 * later. */
static void mark_stale(struct machine_watch *w, GFile *folder)
{
    g_autofree char *name = folder ? g_file_get_basename(folder) : NULL;
    struct watched *m = name ? g_hash_table_lookup(w->machines, name) : NULL;
    if (m)
        m->stale = true;
}

static void on_file(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer watch)
{
    struct machine_watch *w = watch;
    if (monitor == w->all) {
        mark_stale(w, file);
        mark_stale(w, other);
    }
    if (monitor == w->all || matters(file) || matters(other))
        look_soon(w);
}

/* ---- life ---- */

struct machine_watch *machines_watch(machine_changed changed, void *ctx, GError **error)
{
    g_autofree char *machines = paths_machines();
    if (g_mkdir_with_parents(machines, 0700)) {
        int e = errno;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "%s: %s", machines, g_strerror(e));
        return NULL;
    }
    struct machine_watch *w = g_new0(struct machine_watch, 1);
    w->changed = changed;
    w->ctx = ctx;
    w->context = g_main_context_ref_thread_default();
    w->machines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    w->all = monitor_of(w, machines, error);
    if (w->all && look(w, false, error))
        return w;
    machine_watch_free(w);
    return NULL;
}

void machine_watch_free(struct machine_watch *w)
{
    GHashTableIter i;
    gpointer m;
    if (w->timer) {
        g_source_destroy(w->timer);
        g_source_unref(w->timer);
    }
    g_hash_table_iter_init(&i, w->machines);
    while (g_hash_table_iter_next(&i, NULL, &m)) {
        stop_waiting(m);
        monitor_free(((struct watched *)m)->monitor, w);
    }
    monitor_free(w->all, w);
    g_hash_table_unref(w->machines);
    g_main_context_unref(w->context);
    g_free(w);
}
