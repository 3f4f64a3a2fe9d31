// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_overlay.h - a running drive goes on with a fresh image on top of its own, which nobody writes to from then on.  The guest
 * sees the same disk.  Loop thread, unless said otherwise. */
#pragma once
#include "core-vmm/machine/core.h"

/* Makes an image ready: qcow2, empty, with the one in the drive as its parent; fd is taken.  on: the path of the drive's image, which
 * must be that one.  False: one sentence. */
bool drive_overlay_open(struct drive *v, int fd, const char *path, const char *on, GError **error);
void drive_overlays_close(struct machine *m); /* those that are ready, and were not put on top */

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

/* The image at path `gone`, which the drive reads through, is merged into what it was on top of: fd, open for reading, at path.  Whatever was on top of it is now on top of that, and if the guest writes to it notes so; name: as seen from its folder.  One that does not read through it stays as
 * it is. */
bool drive_images_merged(struct drive *v, int fd, const char *path, const char *gone, const char *name, GError **error);
