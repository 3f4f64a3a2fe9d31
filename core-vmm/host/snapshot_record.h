// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_record.h - snapshots/record.json in a machine's folder: which snapshots there are, and what they are made of.  It is
 * written new, then renamed, and that is the moment at which anything about snapshots becomes so.
 *
 * What has to change with it outside of it (machine.ini, saved.state) is in it as "pending" until it has: whoever comes next
 * does that first (snapshots_settle()), as often as it takes. */
#pragma once
#include "core-vmm/base/state_file.h"
#include "core-vmm/host/paths.h"
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define SNAPSHOTS_MAX     10000
#define SNAPSHOT_TEXT_MAX 4096 /* bytes of a name or description */

struct snapshot_disk {
    char *drive, *file; /* section; image, as machine.ini would name it */
};
enum { KEPT_VARS, KEPT_TPM, KEPT_COUNT };   /* what UEFI remembers, and a TPM */
enum { KEPT_NONE = -1, KEPT_UNKNOWN = -2 }; /* there was nothing; an older record, which does not say */
struct snapshot {
    unsigned id, parent; /* parent 0: none */
    char *name, *description;
    gint64 time;          /* Unix */
    uint64_t state_bytes; /* of its saved state; 0: it was off */
    unsigned bases;       /* states that this one builds upon, of which it has links of its own, the oldest first: */
    uint64_t base_bytes[STATE_BASES_MAX];
    bool automatic;           /* nobody asked for it: it goes when there are newer ones */
    bool moved;               /* its disks consist of other files than its state says */
    uint32_t settings;        /* CRC-32C of its settings */
    int64_t kept[KEPT_COUNT]; /* CRC-32C of its copies, or one of above */
    GPtrArray *disks;         /* struct snapshot_disk */
};
struct snapshot_image {       /* that a snapshot or the present needs, or another image does */
    char *file, *format, *on; /* on: the image that it builds upon and that is here too; NULL: none */
    bool ours;                /* made by a snapshot: may go when nobody needs it */
    bool merging;             /* it gets the blocks of the one on top, which hides that it is neither */
    bool
        live; /* frozen, but the machine that runs may write to it yet, or has done so since: bytes and changed_ns say nothing */
    bool frozen;        /* nobody writes to it any more: */
    uint64_t bytes;     /* its file's size and the time of its last change, */
    int64_t changed_ns; /* as when it was frozen */
};
enum { PENDING_STATE_STAYS = 0, PENDING_STATE_GOES = -1 };
struct snapshot_record {
    unsigned next, current; /* next: the number of the next snapshot or image; current: what the present builds upon */
    GPtrArray *snapshots, *images;
    char *pending;     /* the machine.ini that is to be; NULL: nothing is pending */
    int pending_state; /* and what saved.state is to be: that of this number, or one of above */
};

struct snapshot_record *record_new(void);
void record_free(struct snapshot_record *r);

/* Of what a file says; NULL: it is none, in one sentence.  path: for that. */
struct snapshot_record *record_parse(const char *text, gsize n, const char *path, GError **error);
char *record_print(const struct snapshot_record *r); /* g_free */
/* Of a machine's folder; an empty one if it has no snapshots.  A record that is missing beside their files is an error. */
struct snapshot_record *record_load(const char *folder, GError **error);
bool record_store(const char *folder, const struct snapshot_record *r,
                  GError **error); /* on stable storage on return */

struct snapshot *record_snapshot(const struct snapshot_record *r, unsigned id); /* NULL: none */
struct snapshot_image *record_image(const struct snapshot_record *r, const char *file);
/* Those that build upon it: struct snapshot_image; g_ptr_array_unref. */
GPtrArray *record_children(const struct snapshot_record *r, const char *file);
bool record_needs(const struct snapshot_record *r, const char *file); /* a snapshot has it as a disk */
struct snapshot *snapshot_new(unsigned id);
void snapshot_free(gpointer snapshot); /* one that is in no record */
void snapshot_add_disk(struct snapshot *s, const char *drive, const char *file);
struct snapshot_image *record_add_image(struct snapshot_record *r, const char *file, const char *format,
                                        const char *on);
char *snapshot_path(const char *folder, unsigned id, const char *ending); /* FOLDER/snapshots/ID.ENDING; g_free */
/* What its state builds upon, n from 1 on: FOLDER/snapshots/ID.baseN; g_free. */
char *snapshot_base(const char *folder, unsigned id, unsigned n);
bool snapshot_is_saved_base(const char *name); /* the name of a paths_saved_base() in the folder of snapshots */
bool snapshot_is_state(const char *path);      /* the path of one of those, of an N.state or of an N.baseN */
char *snapshot_fresh_image(const char *drive, unsigned number); /* as machine.ini names it; g_free */
/* The number in a name that is given in the folder of snapshots (docs/snapshots.md); 0: it is another name. */
guint64 snapshot_file_number(const char *name);
