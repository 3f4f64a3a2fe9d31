// SPDX-License-Identifier: GPL-2.0-or-later
/* client_automatic.c - snapshots that nobody asks for: their names, who goes when there are enough, and the process that takes them while
 * a machine runs.  That one is started with the machine, outside of the VM process' fence and with the user's rights, and ends with
 * it; it hears nothing of the guest. */
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_MS 10000 /* the settings may have changed */
#define MINUTE  60

bool client_snapshot_thin(const char *name, unsigned *gone, GError **error)
{
    struct snapshot_policy policy;
    struct snapshot_record *r = snapshots_policy(name, &policy, error) ? snapshots_list(name, error) : NULL;
    g_autoptr(GArray) ids = r ? snapshots_thinned(r, &policy) : NULL;
    bool good = r;
    *gone = 0;
    for (guint i = 0; good && i < ids->len; i++) {
        g_autofree char *which = g_strdup_printf("%u", g_array_index(ids, unsigned, i)), *kept = NULL;
        good = client_snapshot_delete(name, which, NULL, &kept, error);
        *gone += good;
    }
    record_free(r);
    return good;
}

bool client_snapshot_automatic(const char *name, struct snapshot_taken *out, GError **error)
{
    unsigned gone;
    return client_snapshot(name, SNAPSHOT_AUTOMATIC, NULL, false, NULL, out, error) &&
           client_snapshot_thin(name, &gone, error);
}

/* Seconds until the next one; 0: now; none are to be taken: a long time. */
static gint64 due_in(const char *name, gint64 began)
{
    struct snapshot_policy policy;
    struct snapshot_record *r = snapshots_policy(name, &policy, NULL) ? snapshots_list(name, NULL) : NULL;
    gint64 last = r ? MAX(snapshots_last_automatic(r), began) : 0;
    bool any = r && policy.minutes;
    record_free(r);
    return any ? MAX(last + policy.minutes * MINUTE - g_get_real_time() / G_USEC_PER_SEC, 0) : G_MAXINT32;
}

void client_snapshot_watch(const char *name)
{
    g_autofree char *folder = machines_folder(name);
    gint64 began = g_get_real_time() / G_USEC_PER_SEC;
    pid_t vm = machine_lock_holder(folder);
    int fd = vm > 0 ? (int)syscall(SYS_pidfd_open, vm, 0) : -1;
    struct pollfd p = {fd, POLLIN, 0};
    while (fd >= 0 && machine_lock_holder(folder) == vm) {
        gint64 due = due_in(name, began);
        struct snapshot_taken taken;
        g_autoptr(GError) error = NULL;
        if (due) {
            poll(&p, 1, (int)MIN(due * 1000, LOOK_MS));
        } else if (!client_snapshot_automatic(name, &taken, &error)) {
            g_message("no automatic snapshot of %s: %s", name, error->message);
            began = g_get_real_time() / G_USEC_PER_SEC; /* the next one at its time */
        }
    }
    if (fd >= 0)
        close(fd);
}
