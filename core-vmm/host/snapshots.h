// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots.h - points that a machine can go back to: its settings, what its disks hold, and its saved state if it is suspended.
 * docs/snapshots.md has what lies on the disk and the order in which that is written.
 *
 * Those that change anything are for machines that stand still, by the whole name.  They look into images and change them in fenced children, so
 * they fork: from a process with one thread.  Whenever one is killed, the machine is as before it or as after it; what is left
 * over, and a merge that is not done, is seen to by the next one. */
#pragma once
#include "core-vmm/host/machines.h"
#include "core-vmm/host/snapshot_record.h"

/* What there is; record_free; NULL: an error. */
struct snapshot_record *snapshots_list(const char *name, GError **error);
/* By its number or its name; NULL: MACHINE_ERROR_NOT_FOUND or _AMBIGUOUS. */
struct snapshot *snapshots_find(const struct snapshot_record *r, const char *machine, const char *which,
                                GError **error);

#define SNAPSHOT_TRY                                                                                                   \
    "before-try" /* the name of the one that vmctl try goes back to: while it is there, the machine is being tried */
bool snapshots_trying(const char *machine); /* false also if that cannot be known */

/* name, description: may be NULL.  *id: its number. */
bool snapshots_take(const char *machine, const char *name, const char *description, unsigned *id, GError **error);
/* The present becomes that snapshot; what it was is lost, unless keep is the name of a snapshot of it to be taken first. */
bool snapshots_restore(const char *machine, const char *which, const char *keep, GError **error);
/* Merges its images into others where that can be; those of *kept (a sentence why, g_free) stay until it can.  Cancelled, or killed, it
 * goes on with the next one.  live: the machine runs; merged() has its VM process read what two images have become, at path, instead of
 * the one of path `gone`, which goes then.  name: as seen from the folder of snapshots; writes: the path of the image on top of it that
 * the VM process writes to, which it tells, or "". */
struct live_merges {
    bool (*merged)(void *ctx, const char *path, const char *gone, const char *name, const char *writes, GError **error);
    void *ctx;
};
bool snapshots_delete(const char *machine, const char *which, struct machine_job *job, const struct live_merges *live,
                      char **kept, GError **error);
/* NULL: as it is. */
bool snapshots_edit(const char *machine, const char *which, const char *name, const char *description, GError **error);
char **snapshot_independent_drives(GKeyFile *file); /* those that are to stay out (independent=on); g_strfreev */
/* The drives that stayed out of it; g_strfreev. */
char **snapshot_left_out(const char *folder, unsigned id);
/* Findings about one (NULL: all), sentences; none: it is whole.  g_ptr_array_unref; NULL: an error. */
GPtrArray *snapshots_verify(const char *machine, const char *which, GError **error);

/* ---- snapshot_extract.c ---- */
/* A file of a disk's file system (ext2, ext3, ext4, FAT, NTFS) as it was then, to fd.  drive: "ide0", or "ide0:2" for one partition.
 * Any process may take and delete snapshots meanwhile; if this one went, it fails.  False: there may be a beginning in fd. */
bool snapshots_extract(const char *machine, const char *which, const char *drive, const char *path, int fd,
                       GError **error);

/* ---- snapshot_thin.c: automatic ones ---- */
#define SNAPSHOT_AUTOMATIC "" /* as the name of one that is taken: it is automatic, and gets a name by its time */
struct snapshot_policy {      /* [snapshots] of machine.ini */
    unsigned minutes;         /* between two while it runs; 0: none */
    unsigned hourly, daily;
    bool before_stop;
};
bool snapshots_policy(const char *machine, struct snapshot_policy *out, GError **error);
/* The numbers of those that go: unsigned; g_array_unref. */
GArray *snapshots_thinned(const struct snapshot_record *r, const struct snapshot_policy *p);
gint64 snapshots_last_automatic(const struct snapshot_record *r); /* its time; 0: there is none */

/* Does what a killed one had decided and not done.  For whoever is about to read machine.ini; takes the settings' lock. */
bool snapshots_settle(const char *folder, GError **error);
bool snapshots_settle_held(const char *folder, GError **error); /* by who has that lock */
/* For who only looks at them: takes the lock only if machine.ini is not yet what the record says. */
bool snapshots_settle_if_pending(const char *folder, GError **error);

/* ---- snapshot_live.c: of a machine that runs.  Whoever calls talks to the VM process: client_snapshot.c ---- */
struct live_disk {
    char *drive;
    char *on, *file; /* what it has, and the fresh image that it is to go on with, as machine.ini names them */
    char *on_path, *file_path; /* absolute */
};
struct snapshot_live {
    char *machine, *name, *description, *settings; /* settings: that belong to the snapshot */
    unsigned number;
    GPtrArray *disks; /* struct live_disk */
    int busy;         /* one at a time of each machine */
};
/* present: the path of what is in each drive, by its section.  Then machine.ini names fresh images, which are there and empty.
 * name, description: may be NULL. */
bool snapshots_live_begin(struct snapshot_live *l, const char *machine, const char *name, const char *description,
                          GHashTable *present, GError **error);
/* Whole states, each of which builds upon those before it, that the next one's may build upon: paths, the oldest first, g_strfreev; NULL: none.
 * Reads all of them. */
char **snapshots_live_bases(const char *machine);
struct
    live_files { /* paths: the state of that moment, what it builds upon (NULL: nothing), what UEFI remembered (NULL: there is none) */
    const char *state;
    char **bases;
    const char *vars;
};
/* The disks use them, and what is below is flushed: it is a snapshot. */
bool snapshots_live_finish(struct snapshot_live *l, const struct live_files *made, GError **error);
/* The VM process uses none of them and will not: as before. */
bool snapshots_live_undo(struct snapshot_live *l, GError **error);
void snapshots_live_end(struct snapshot_live *l);                          /* whether it was begun or not */
bool snapshot_same_file(const char *folder, const char *a, const char *b); /* one file, maybe by two names */

/* ---- snapshot_images.c: in fenced children ---- */
struct overlay { /* a new image on top of another; relative to the machine's folder */
    const char *file, *on, *format;
    bool live; /* somebody writes to the one below */
};
/* in: the folder that they all come into. */
bool overlays_create(const char *folder, const char *in, const struct overlay *list, guint n, GError **error);
/* Those below note what is on top of them, which is not done while somebody writes to them. */
bool overlays_note(const char *folder, const char *in, const struct overlay *list, guint n, GError **error);
/* child's blocks into parent, and parent instead of child below all of above.  in_use: a machine that runs reads them, and sees to what it
 * writes to itself. */
bool images_merge(const char *folder, const struct snapshot_image *child, const struct snapshot_image *parent,
                  GPtrArray *above, bool in_use, struct machine_job *job, GError **error);
/* What is wrong with an image (alone: without what it builds upon) or a state file; NULL: nothing.  g_free. */
char *image_damage(const char *path, const char *format, bool alone);
char *state_damage(const char *path);
