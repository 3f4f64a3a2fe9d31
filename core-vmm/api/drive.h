// SPDX-License-Identifier: GPL-2.0-or-later
/* drive.h - what a disk, CD or floppy controller sees of a medium.  Requests are asynchronous; done() comes later with the
 * device's lock held, never from inside of submit: from a worker's thread, from the loop's, or from the vCPU's at the end of
 * the very access that submit was called in. */
#pragma once
#include "core-vmm/api/device.h"
#include <sys/uio.h>

struct drive;
enum drive_op { DRIVE_READ, DRIVE_WRITE, DRIVE_FLUSH, DRIVE_DISCARD, DRIVE_ZERO };
struct drive_request { /* lives in the device's state until done() */
    enum drive_op op;
    uint64_t offset, bytes; /* bytes == the sum of iov; checked against the medium by submit */
    struct iovec *iov;
    int iov_count;
    void (*done)(struct device *d, struct drive_request *r, int error); /* 0 or an errno */
    void *tag;                                                          /* the device's */
};
/* The drive that section c describes (keys file, format, media = disk|cdrom|floppy, readonly, cache, serial).
 * No file: an empty removable drive, or NULL with an error for a fixed disk. */
struct drive *drive_open(struct device *d, const struct config *c, GError **error);
/* The same for a controller whose disks may be pulled and plugged while the machine runs: then a disk's medium is the drive,
 * an empty one is an empty bay, and drive_on_change() tells of both. */
struct drive *drive_open_bay(struct device *d, const struct config *c, GError **error);
uint64_t drive_bytes(struct drive *v); /* 0: no medium */
/* Reads at once; for init and when the medium changes, to see what it is.  false: it cannot be read. */
bool drive_peek(struct drive *v, uint64_t offset, void *to, size_t bytes);
bool drive_readonly(struct drive *v);
const char *drive_serial(struct drive *v);
bool drive_changed(struct drive *v); /* the medium changed since the last call */
void drive_on_change(struct drive *v,
                     void (*fn)(struct device *d, struct drive *v)); /* insert/eject by the user; lock held */
void drive_guest_lock(struct drive *v, bool locked);                 /* the guest locked the tray */
void drive_guest_eject(struct drive *v);
void drive_submit(struct drive *v, struct drive_request *r);
/* Called after one or several done() in a row, before the device's lock goes: one interrupt for all of them. */
void drive_on_batch(struct drive *v, void (*fn)(struct device *d, struct drive *v));
/* Until no request touches the guest's memory any more; their done() is still to come.  What waits for room on the host's
 * disk is given up.  For resets of a controller: it may block for as long as the host's disk takes. */
void drive_quiesce(struct drive *v);
bool drive_idle(struct drive *v);  /* no request under way */
void drive_close(struct drive *v); /* waits for requests */
