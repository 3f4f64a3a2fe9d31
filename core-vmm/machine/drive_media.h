// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_media.h - what the user's side (control, main) does with a drive: change the medium, hear of a full host disk.
 * Loop thread only. */
#pragma once
#include "core-vmm/api/drive.h"

/* A running VM's removable drive.  fd is the open image, taken also on failure: the VM process itself may not be allowed
 * to open it; if it was opened for reading only, the medium is write-protected.  path is absolute and names it; format
 * NULL: what its name promises (x.vdi), else raw.
 * insert takes the old medium out first, and like eject fails if the guest has locked the tray, unless forced. */
bool drive_insert(struct drive *v, int fd, const char *path, const char *format, bool readonly, GError **error);
bool drive_eject(struct drive *v, bool force, GError **error);
bool drive_removable(struct drive *v);
char *drive_file(struct drive *v); /* path of the medium, NULL: empty; g_free */
const char *drive_section(struct drive *v);
const char *drive_kind(struct drive *v); /* "disk", "cdrom", "floppy" */
struct drive_counts {                    /* since the start: requests, bytes, requests that waited because of a limit */
    uint64_t reads, read_bytes, writes, written_bytes, held;
};
struct drive_counts drive_counts(struct drive *v); /* any thread */
/* Opens the image of a section, with or without those it builds upon, for reading and without a lock, and never closes it:
 * for a process that wants to know which files it consists of.  False: one is damaged, or is not what those on top of it
 * were made for.  Whatever else goes wrong is ignored, and said when the image is opened for good. */
bool drive_open_files(const struct config *c, const char *folder, bool parents, GError **error);
/* drive_open() refuses an image that others have open; this is for a process that may still learn who that is. */
bool drive_not_in_use(const struct config *c, const char *folder, GError **error);
/* drive_open() refuses a disk that other images build upon.  This is for a process that may look at them. */
bool drive_nothing_above(const struct config *c, const char *folder, GError **error);
struct drive *drive_next(struct machine *m, struct drive *v); /* all drives of a machine; v NULL: the first */

/* A write met a full host disk.  The request waits and is tried again every second; fn hears when that begins (full:
 * pause the VM and show the message) and when it is over (resume it).  Without fn the guest gets the error. */
void drive_on_full(struct drive *v, void (*fn)(void *ctx, struct drive *v, bool full, const char *message), void *ctx);
/* Gives up waiting: the guest gets the errors (for a VM that is stopped while its disk is full). */
void drive_give_up(struct drive *v);
/* Writes back all that the host caches, for a snapshot; waits. */
bool drive_sync(struct drive *v, GError **error);
