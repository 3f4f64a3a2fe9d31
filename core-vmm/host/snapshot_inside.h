// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_inside.h - what the files that change snapshots share. */
#pragma once
#include "core-vmm/host/snapshots.h"

/* Small files of the machine's folder of which a snapshot has copies, by these endings. */
struct snapshot_kept {
    const char *file, *ending;
};
extern const struct snapshot_kept snapshot_kept[KEPT_COUNT];

struct change { /* of one machine that stands still; its locks are held */
    const char *name;
    char *folder;
    int lock, held; /* lock -1: it runs */
    int busy;       /* nobody else takes, restores or deletes; -1: there were no snapshots */
    struct snapshot_record *record;
};
/* Settled, and without leftovers. */
bool change_begin(struct change *c, const char *name, GError **error);
/* The same of one that runs. */
bool change_begin_live(struct change *c, const char *name, GError **error);
void change_end(struct change *c); /* whether it was begun or not */
/* The record as it is, and with it this machine.ini (NULL: as it is) and saved state: decides, and does it. */
bool change_commit(struct change *c, GKeyFile *settings, int state, GError **error);
bool snapshot_note_time(const char *folder, struct snapshot_image *i, GError **error); /* as its file is now */
/* The same, when that and all that it holds is on stable storage: of what the record is about to call final. */
bool snapshot_note_lasting(const char *folder, struct snapshot_image *i, GError **error);
/* Is its file as it was when it was frozen?  False: a sentence. */
bool snapshot_image_same(const char *folder, const struct snapshot_image *i, GError **error);
/* All that a disk consists of, from it down: struct snapshot_image; g_ptr_array_unref. */
GPtrArray *snapshot_disk_chain(const struct snapshot_record *r, const struct snapshot_disk *d);
/* All that its disks consist of, from them down: struct snapshot_image, each once; g_ptr_array_unref. */
GPtrArray *snapshot_chain(const struct snapshot_record *r, const struct snapshot *s);
/* Is i that image, or below it? */
bool snapshot_in_chain_of(const struct snapshot_record *r, const struct snapshot_image *i, const char *top);

/* ---- snapshot_live.c ---- */
/* Who takes, restores or deletes has this lock, also while nobody has that of the settings; close() ends it.  -1: an error, also if somebody
 * has had it for seconds. */
int snapshots_hold(const char *folder, GError **error);
bool snapshots_are_held(const char *folder);

/* ---- snapshot_images.c ---- */
char *snapshot_seen_from_inside(const char *file); /* from the folder of snapshots; g_free */

/* ---- snapshot_independent.c ---- */
bool snapshot_is_independent(GKeyFile *file, const char *section);
/* False: one that is to stay out cannot, and there is no snapshot. */
bool snapshot_may_stay_out(const struct change *c, GKeyFile *file, const char *section, GError **error);
/* Independent drives of the present go into the settings that the machine goes back to, as they are.  Of the snapshot's disks those that are
 * none; g_ptr_array_unref.  keep: a snapshot of the present is taken before.  NULL: one sentence. */
GPtrArray *snapshot_keep_independent(const struct change *c, const struct snapshot *s, GKeyFile *present,
                                     GKeyFile *file, bool keep, GError **error);

/* ---- snapshot_state.c ---- */
/* The snapshot's state with what its disks consist of now, into a new file. */
bool snapshot_retell_state(const struct change *c, const struct snapshot *s, const char *to, GError **error);

/* ---- snapshots.c: of taking one ---- */
/* The image of the record that is that file, by whatever name; NULL: none. */
struct snapshot_image *snapshot_image_at(const struct change *c, const char *file);
/* The image of a drive that a guest writes to; what is removable, or is only read, is as it is.  g_free; NULL: none. */
char *snapshot_written_image(GKeyFile *file, const char *section);
char *snapshot_format_of(GKeyFile *file, const char *section, const char *image); /* g_free */
bool snapshot_may_freeze(GKeyFile *file, const char *section, GError **error); /* something can be put on top of it */
bool snapshot_is_newest(const struct change *c, GError **error);
bool snapshot_may_take_next(const struct change *c, const char *name, const char *description, GError **error);
/* A name stands for one snapshot, and is no number; own: whose it is to be, or NULL. */
bool snapshot_name_fits(const struct snapshot_record *r, const struct snapshot *own, const char *name, GError **error);
/* Into the record, on top of what the present builds upon; with the name SNAPSHOT_AUTOMATIC it is automatic. */
void snapshot_add(struct snapshot_record *r, struct snapshot *s, const char *name, const char *description);
bool snapshot_begin_record(const struct change *c, GError **error); /* the folder and the record are there */
bool snapshot_find_disks(struct change *c, GKeyFile *file, struct snapshot *s, GError **error);
/* New images on top of those of the list's drives, into the settings and the record. */
bool snapshot_put_on_top(struct change *c, GKeyFile *file, GPtrArray *disks, unsigned number, GError **error);

/* Where what is a snapshot's comes from. */
struct snapshot_files {
    const char *settings; /* the text */
    const char *state;    /* a path; NULL: it has none */
    char **bases;         /* what that builds upon, the oldest first; NULL: nothing */
    const char *vars;     /* the path of what UEFI remembers; NULL: the file in the machine's folder, if there is one */
};
/* Into files of its own and the record, neither of which is synced. */
bool snapshot_keep_files(const struct change *c, struct snapshot *s, const struct snapshot_files *f, GError **error);

/* What is wrong with the copies of small files that it is to have; g_free; NULL: nothing. */
char *snapshot_kept_damage(const char *folder, const struct snapshot *s);
/* What is wrong with its state, if it is to have one; g_free; NULL: nothing. */
char *snapshot_state_damage(const char *folder, const struct snapshot *s);

/* ---- snapshot_bases.c ---- */
/* What the state of that snapshot builds upon (with_own: and itself), what saved.state does: paths, the oldest first; g_strfreev. */
char **snapshot_bases(const char *folder, const struct snapshot *s, bool with_own);
char **snapshot_saved_bases(const char *folder);
bool snapshot_link_bases(const char *folder, unsigned id, char **bases, GError **error); /* under that number */

/* ---- snapshot_settle.c ---- */
bool snapshots_do_pending(const char *folder, struct snapshot_record *r, GError **error);
void snapshots_remove_leftovers(const char *folder, const struct snapshot_record *r);
/* A file of a number that the record has not given: it is an older record.  g_free; NULL: there is none. */
char *snapshot_newer_file(const char *folder, const struct snapshot_record *r);
