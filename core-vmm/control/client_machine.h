// SPDX-License-Identifier: GPL-2.0-or-later
/* client_machine.h - what one does with a machine (core-vmm/host/machines.h) that needs its running VM. */
#pragma once
#include "core-vmm/control/client.h"

/* A connection to the machine that an exact name or the unique beginning of one means.  *name (may be NULL): its name,
 * g_free. */
struct client *client_connect_machine(const char *given, char **name, GError **error);
/* What the VM tells of itself, as the command "info"; NULL: it does not answer so long.  json_object_unref. */
JsonObject *client_info(const char *name, int timeout_ms, GError **error);

/* Its screen as a PNG that is at most so wide. */
bool client_picture(struct client *c, const char *path, unsigned width, GError **error);

struct machine_job;
/* Saves the machine to the disk and ends it: its next start goes on from there.  Waits until the VM process has gone.  If it
 * fails, or is cancelled, the machine goes on as before.  *name (may be NULL): its name, g_free. */
bool client_suspend(const char *given, struct machine_job *job, char **name, GError **error);

/* The command "save" or "live.save" with an empty file, and vars, another one, for what UEFI remembers (-1: "save" takes none); the
 * result, or NULL: an error, or job's cancel.  json_object_unref. */
JsonObject *client_ask_to_save(struct client *c, const char *command, int file, int vars, struct machine_job *job,
                               GError **error);

/* Takes a snapshot, with its state if it is suspended or runs.  One that runs goes on meanwhile, and stands still for a moment: that
 * is what the snapshot has.  name, description: may be NULL.  Forks: see snapshots.h. */
struct snapshot_taken {
    unsigned id;
    bool ran;
    int64_t stood_us; /* it ran: how long it stood still */
};
/* still: of one that runs, its guest's file systems stand still meanwhile, or there is no snapshot.  An error although out->id is not 0:
 * there is one, but they went on too early. */
bool client_snapshot(const char *given, const char *name, const char *description, bool still, struct machine_job *job,
                     struct snapshot_taken *out, GError **error);

/* snapshots_delete(), also of one that runs. */
bool client_snapshot_delete(const char *given, const char *which, struct machine_job *job, char **kept, GError **error);

/* ---- client_automatic.c: by the whole name; forks ---- */
/* Deletes the automatic snapshots that need not stay; *gone: so many. */
bool client_snapshot_thin(const char *name, unsigned *gone, GError **error);
bool client_snapshot_automatic(const char *name, struct snapshot_taken *out, GError **error); /* takes one, and thins */
void client_snapshot_watch(const char *name); /* takes them when they are due, until the machine ends */

/* ---- client_try.c: by the whole name; forks ---- */
/* Takes a snapshot, and starts the machine if it does not run; later one of the others.  MACHINE_ERROR_EXISTS: it is being tried. */
bool client_try_begin(const char *name, struct machine_job *job, struct snapshot_taken *out, GError **error);
/* *kept: as of snapshots_delete(). */
bool client_try_keep(const char *name, struct machine_job *job, char **kept, GError **error);
/* *goes_on: it ran now and before, and does so from that moment. */
bool client_try_undo(const char *name, struct machine_job *job, bool *goes_on, GError **error);

/* Both wait until the VM process has gone. */
/* Presses the power button, and gives the guest so many seconds. */
bool client_power_off(const char *given, double seconds, GError **error);
/* Cuts the power, whatever the VM process says to that.  *why: the process was ended by a signal, for this reason (g_free);
 * else NULL. */
bool client_power_cut(const char *given, char **why, GError **error);
