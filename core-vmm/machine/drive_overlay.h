// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_overlay.h - a running drive goes on with a fresh image on top of its own, which nobody writes to from then on.  The guest
 * sees the same disk.  Loop thread, unless said otherwise. */
#pragma once
#include "core-vmm/machine/core.h"

/* Makes an image ready: qcow2, empty, with the one in the drive as its parent; fd is taken.  on: the path of the drive's image, which
 * must be that one.  False: one sentence. */
bool drive_overlay_open(struct drive *v, int fd, const char *path, const char *on, GError **error);
void drive_overlays_close(struct machine *m); /* those that are ready, and were not put on top */

/* The images that stay in their drives are flushed while the guest runs (any thread), so that there is little to do while it stands. */
struct drives_plain;
struct drives_plain *drives_plain(struct machine *m);
bool drives_plain_flush(struct drives_plain *p, GError **error);
void drives_plain_free(struct drives_plain *p); /* NULL is fine */

/* While the vCPUs stand and no request is under way: what lies in the drives, for a state of this moment; and then those that
 * are ready come on top. */
struct drives_frozen;
bool drives_freeze(struct machine *m, struct drives_frozen **out, GError **error);
void drives_put_on_top(struct machine *m);
/* Then, while the machine runs on, in this order: those below are flushed (any thread); nobody writes to them any more; those on top
 * note what they are on top of (any thread). */
bool drives_frozen_flush(struct drives_frozen *f, GError **error);
void drives_frozen_settle(struct drives_frozen *f);
bool drives_frozen_note(struct drives_frozen *f, GError **error);
/* After they are settled: the part "drives" of a state; g_byte_array_unref. */
GByteArray *drives_frozen_save(struct drives_frozen *f);
void drives_frozen_free(struct drives_frozen *f); /* NULL is fine */

/* An image that drives read through has been merged into the one that it was on top of. */
struct merged_images {
    int fd;                  /* of what the two have become, open for reading */
    const char *path, *gone; /* of that; of the one that is no longer needed */
    const char *name;        /* what the image on top of them notes, as seen from its folder */
    const char *writes;      /* the path of that image, if a drive writes to it; else "" */
};
/* The drive reads that from then on, if it read through the other; *told: it writes to the image on top, which notes so now. */
bool drive_images_merged(struct drive *v, const struct merged_images *g, bool *told, GError **error);
