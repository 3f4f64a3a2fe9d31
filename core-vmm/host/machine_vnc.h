// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_vnc.h - the VNC server of a running machine (gui/vnc): what it listens on is opened, and it is started, here.
 *
 * It is a process beside the VM with a keeper of its own (outer_start_beside()), and not one of the ends that a VM is born with: it
 * is a client of the control socket, so it can come and go while the machine runs, and a machine that nobody looks at has none. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define VNC_PASSWORD_FILE "vnc.password" /* in the machine's folder, 0600 */

enum { MACHINE_VNC_FDS = 6 };
struct machine_vnc {
    int fd[MACHINE_VNC_FDS];
    unsigned count; /* 0: there is to be none */
    char *where;    /* it listens, for people */
};
/* What machine.ini wants, or listen in its stead (NULL: what that says); always: also if machine.ini wants none.  Everything that
 * can go wrong (a port that is in use) does so here. */
bool machine_vnc_open(const char *folder, const char *listen, bool always, struct machine_vnc *v, GError **error);
/* vm: the VM process, which runs.  From a process with one thread. */
bool machine_vnc_start(const struct machine_vnc *v, pid_t vm, GError **error);
void machine_vnc_close(struct machine_vnc *v); /* our copies */
/* All of that for a machine that runs; listen: as above. */
bool machine_vnc_begin(const char *name, const char *listen, GError **error);

/* NULL: none.  g_free. */
char *machine_vnc_password(const char *folder);
/* At most 8 characters, which is what VNC has; NULL or empty: it goes. */
bool machine_vnc_set_password(const char *folder, const char *password, GError **error);
