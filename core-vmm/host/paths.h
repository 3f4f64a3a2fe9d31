// SPDX-License-Identifier: GPL-2.0-or-later
/* paths.h - where machines live and where running ones are met.
 *
 *   $XDG_DATA_HOME/terrarium/machines/NAME/     machine.ini, disks, logs/, lock
 *   $XDG_RUNTIME_DIR/terrarium/NAME/            control, network (sockets), serial1 ... (links to ptys)
 *
 * There is no daemon: a machine exists if its folder has a machine.ini, and runs if its lock is held.  Folders beside it
 * whose names begin with a dot are on their way in or out (fresh.h). */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* 1-64 of letters, digits, "-_.", spaces and non-ASCII UTF-8; starts with a letter, digit or non-ASCII. */
bool vm_name_check(const char *name, GError **error);

char *paths_machines(void);                               /* g_free all of them */
char *paths_machine(const char *name);                    /* its folder */
char *paths_machine_ini(const char *name);                /* the file in it */
char *paths_runtime(GError **error);                      /* made if missing, 0700, checked to be ours alone */
char *paths_runtime_of(const char *name, GError **error); /* made too */
char *paths_socket(const char *name, GError **error);     /* its control socket; nothing is made */

#define PATHS_NETWORKS   ".networks"  /* in the runtime folder: where machines meet (networks.h) */
#define PATHS_NETWORK    "network"    /* beside it: the control socket of the machine's network process */
#define PATHS_VNC        "vnc"        /* and that of its VNC server */
#define PATHS_VNC_SCREEN "vnc-screen" /* where that is met, if it listens on a Unix socket */
char *paths_network(const char *name, GError **error);
char *paths_vnc(const char *name, GError **error);

#define SNAPSHOTS_FOLDER "snapshots"                    /* in a machine's folder */
char *paths_saved_base(const char *folder, unsigned n); /* what saved.state builds upon, n from 1 on; g_free */
#define PATHS_SAVED "saved.state" /* in a machine's folder: the machine is suspended, and a start goes on from it */

/* Names of all machines, sorted; throw-away ones (only a runtime folder) only if they run.  Whatever else is in the machines'
 * folder under a name that a machine could have is among them: no new machine can have it. */
GPtrArray *paths_list(GError **error);
#define PATHS_THROWAWAY "run-" /* how names of throw-away machines begin */
bool paths_is_throwaway(const char *name);

/* The lock that keeps two processes off one machine: an open-file-description lock on FOLDER/lock, which the kernel
 * drops when the process dies.  -1 with an error, *holder then being the other process (0: unknown). */
int machine_lock(const char *folder, pid_t *holder, GError **error);
pid_t machine_lock_holder(const char *folder); /* 0: nobody; -1: somebody, not known who */

/* Unix sockets by paths of any length. */
int socket_listen(const char *path, GError **error); /* a stale socket is removed, a live one is an error */
int socket_connect(const char *path, GError **error);
bool socket_is_alive(const char *path); /* is one of packets, with a process that listens */

/* FOLDER/logs/vm.log, network.log, vnc.log and debug.log, older ones vm.log.1 ... */
#define LOG_KEEP 5
char *paths_log(const char *folder);
char *paths_network_log(const char *folder);
char *paths_vnc_log(const char *folder);
char *paths_debug_log(const char *folder); /* what [debug-port] writes to if it has no target */
void log_rotate(const char *log);
int log_begin(const char *log, GError **error); /* rotated, and the new one open for a process around the VM; -1 */

/* Sets what errno says of it as the error; false. */
bool path_failed(const char *path, GError **error);

/* And all in it; follows no link.  What is gone already, or goes meanwhile, is fine. */
bool folder_remove(const char *path, GError **error);
/* What was made, renamed or removed in it is on stable storage. */
bool folder_sync(const char *path, GError **error);
/* New, fsync, rename.  Replaces a regular file only: never a device, pipe or socket. */
bool file_replace(const char *path, const char *data, gsize n, GError **error);
