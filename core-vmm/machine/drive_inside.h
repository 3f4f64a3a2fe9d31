// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_inside.h - the inside of drives: drive.c opens and closes them and answers their controller, drive_requests.c runs
 * requests, drive_limit.c holds back those that are too many, drive_media.c changes what lies in them, drive_overlay.c puts images
 * on top of theirs, drive_files.c looks at images before there is a machine, drive_state.c saves them.
 *
 * submit puts a request on a list; the drive's worker threads take them from there, several at once.  Each puts what it has
 * finished on another list, and one of them takes the device's lock and calls done() for all that is there.  Reads of what the host has in
 * memory do not go that way: within a vCPU's access to the device they are carried out at once, and told when the access is
 * over (bus.c).  In machines whose time stands still between steps (at_once is 0) all of it waits for the loop thread, which
 * otherwise is woken only when a host disk is full, when a drive closes, for what fails at once outside of an access, and when
 * one thread has told of very much.  The medium is counted by the requests that use it, so that it can be
 * changed while some are under way. */
#pragma once
#include "core-vmm/base/disk_layers.h"
#include "core-vmm/machine/drive_media.h"
#include "core-vmm/machine/core.h"
#include "disk-formats/ops/ops.h"

enum { DRIVE_WORKERS = 8 };
enum media { MEDIA_DISK, MEDIA_CDROM, MEDIA_FLOPPY };

struct medium {
    gint users;
    struct image *image;
    char *path;
};

struct job {
    struct drive *drive;
    struct drive_request *request;
    struct medium *medium; /* NULL: the request fails with error */
    int error;
};

struct drive {
    struct drive *next;
    struct device *device;
    char *section, *serial;
    enum media media;
    enum file_cache cache;
    bool readonly; /* by the config */
    bool sliced;   /* the config's file is used in part */
    struct file_slice slice;
    bool bay; /* a disk may be pulled and plugged */
    void (*on_change)(struct device *d, struct drive *v), (*on_batch)(struct device *d, struct drive *v);
    void (*on_full)(void *ctx, struct drive *v, bool full, const char *message);
    void *full_ctx;
    GThreadPool *workers;
    int wake;
    GSource *wake_source, *retry, *limiter;
    GMutex lock; /* of all below; taken inside the device's lock */
    GCond idle;
    struct medium *medium;
    struct medium *overlay; /* ready to be put on top: drive_overlay.c; loop thread */
    bool changed, guest_locked, closing, full;
    bool called;                             /* a worker was called that has not come yet */
    unsigned workers_there;                  /* called, and not gone again */
    unsigned in_flight;                      /* submitted, done() not yet over */
    unsigned running;                        /* waiting for a worker, or with one */
    bool telling;                            /* a worker tells the device */
    GQueue waiting, finished, stalled, held; /* held: until its limit lets them go */
    struct drive_counts counts;
    unsigned draining; /* how many wait for it to stand still */
    struct drive_limit {
        uint64_t bytes, operations; /* a second; 0: any number */
        double may_bytes, may_run;
        gint64 since;
    } limit;
};

/* drive_limit.c; the first two with the lock held */
bool drive_limit_holds(struct drive *v, struct job *j); /* then it is in held */
/* Whoever waits for the drive to stand still says so before and after: all that is held goes, and nothing more is. */
void drive_limit_drain(struct drive *v, bool on);
void drive_limit_stop(struct drive *v);
bool drive_limit_read(struct drive *v, const struct config *c, GError **error);

/* drive.c */
extern const char *const drive_media_names[]; /* by enum media, NULL at the end */
bool drive_read_config(struct drive *v, const struct config *c, GError **error);

/* drive_requests.c */
void drive_call_worker(struct drive *v);      /* lock held: one more, if something waits for one */
void drive_worker(void *drive, void *unused); /* on a thread of the drive's pool */
gboolean drive_on_wake(int fd, GIOCondition condition, void *drive);
void drive_complete_finished(struct drive *v);
void drive_stop_retrying(struct drive *v);

/* drive_media.c */
struct medium *drive_medium_use(struct medium *m);
void drive_medium_release(struct medium *m);
/* fd: the open file, which is taken; -1: to be opened. */
struct medium *drive_medium_open(struct drive *v, int fd, const char *file, const char *format, bool readonly,
                                 GError **error);
void drive_change_medium(struct drive *v, struct medium *m);
void drive_tell_guest(struct drive *v);       /* that its medium is another one */
void drive_wait_for_workers(struct drive *v); /* not with the device's lock: see drive_quiesce() */
/* A guest that writes to an image makes those on top of it useless. */
bool drive_nothing_above_file(const char *path, GError **error);

/* drive_state.c */
struct disk_layers drive_identify(const struct image *im); /* NULL: there is no medium */
void drive_put_state(struct stream *s, char *section, struct disk_layers *id, bool changed, bool locked);
