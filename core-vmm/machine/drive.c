// SPDX-License-Identifier: GPL-2.0-or-later
/* drive.c - a drive: between a controller's requests and a disk image.
 *
 * submit hands a request to the drive's worker threads, which may run several at once; finished ones go on a list, and
 * an event descriptor wakes the loop thread, which calls done() with the device's lock held.  The medium is counted by
 * the requests that use it, so that it can be changed while some are under way. */
#include "core-vmm/machine/drive_media.h"
#include "disk-formats/ops/ops.h"
#include "core-vmm/machine/core.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS       8
#define RETRY_SECONDS 1
#define CD_SECTOR     2048u

enum media { MEDIA_DISK, MEDIA_CDROM, MEDIA_FLOPPY };
static const char *const media_names[] = {"disk", "cdrom", "floppy", NULL};

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
    void (*on_change)(struct device *d, struct drive *v);
    void (*on_full)(void *ctx, struct drive *v, bool full, const char *message);
    void *full_ctx;
    GThreadPool *workers;
    int wake;
    GSource *wake_source, *retry;
    GMutex lock; /* of all below; taken inside the device's lock */
    GCond idle;
    struct medium *medium;
    bool changed, guest_locked, closing, full;
    unsigned in_flight; /* submitted, done() not yet called */
    unsigned running;   /* with a worker */
    GQueue finished, stalled;
};

/* ---- medium ---- */
static struct medium *medium_use(struct medium *m)
{
    if (m)
        g_atomic_int_inc(&m->users);
    return m;
}

static void medium_release(struct medium *m)
{
    if (!m || !g_atomic_int_dec_and_test(&m->users))
        return;
    int err = image_close(m->image);
    if (err)
        g_warning("%s: data may be lost: %s", m->path, g_strerror(-err));
    g_free(m->path);
    g_free(m);
}

/* A guest that writes to an image makes those on top of it useless. */
static bool nothing_above(const char *path, GError **error)
{
    g_autofree char *child = disk_child_of(path, NULL);
    return !child ||
           disk_fail(error, DISK_ERROR_LOCKED,
                     "%s is the parent of %s, which could not be used any more if a machine wrote to it; give "
                     "the machine an image of its own (vmctl disk clone --linked), or move the child to another "
                     "folder if it is not needed",
                     path, child);
}

static bool can_overwrite(const struct image *im, GError **error)
{
    return !im->append_only ||
           disk_fail(error, DISK_ERROR_UNSUPPORTED,
                     "%s is compressed for transport, and cannot be written to: convert it (vmctl disk "
                     "convert), put an image on top of it (vmctl disk clone --linked), or make the "
                     "drive read-only",
                     im->file->path);
}

/* fd: the open file, which is taken; -1: to be opened. */
static struct medium *medium_open(struct drive *v, int fd, const char *file, const char *format, bool readonly,
                                  GError **error)
{
    g_autofree char *path =
        g_path_is_absolute(file) ? g_strdup(file) : g_build_filename(v->device->machine->folder, file, NULL);
    struct image_how how = {.format = format ? format : image_format_by_name(path),
                            .write = !readonly && v->media != MEDIA_CDROM,
                            .cache = v->cache};
    struct image *image = fd < 0 ? image_open(path, &how, error) : image_open_fd(fd, path, &how, error);
    if (image && how.write && !nothing_above(path, error))
        g_clear_pointer(&image, image_close);
    if (image && how.write && !can_overwrite(image, error))
        g_clear_pointer(&image, image_close);
    if (!image)
        return NULL;
    if (v->media == MEDIA_CDROM && !strcmp(image->format->name, "raw"))
        image->bytes =
            (image->bytes + CD_SECTOR - 1) / CD_SECTOR * CD_SECTOR; /* what is behind the file's end reads as 0 */
    struct medium *m = g_new0(struct medium, 1);
    *m = (struct medium){1, image, g_steal_pointer(&path)};
    return m;
}

/* ---- requests ---- */
static int run_request(struct image *im, const struct drive_request *r)
{
    switch (r->op) {
    case DRIVE_READ: return image_readv(im, r->offset, r->iov, r->iov_count);
    case DRIVE_WRITE: return image_writev(im, r->offset, r->iov, r->iov_count);
    case DRIVE_FLUSH: return image_flush(im);
    case DRIVE_DISCARD: return image_discard(im, r->offset, r->bytes);
    case DRIVE_ZERO: return image_zero(im, r->offset, r->bytes);
    }
    return -EINVAL;
}

static void finish(struct job *j)
{
    struct drive *v = j->drive;
    uint64_t one = 1;
    bool full = (j->error == -ENOSPC || j->error == -EDQUOT) && v->on_full;
    g_mutex_lock(&v->lock);
    g_queue_push_tail(full && !v->closing ? &v->stalled : &v->finished, j);
    v->running--;
    if (write(v->wake, &one, sizeof one) != sizeof one)
        g_warning("drive %s: cannot wake the loop", v->section);
    g_cond_broadcast(&v->idle);
    g_mutex_unlock(&v->lock);
}

static void worker(void *data, void *unused)
{
    struct job *j = data;
    const struct thread_hook *h = &j->drive->device->machine->on_thread;
    bool may = !h->begins || h->begins(h->ctx, MACHINE_THREAD_WORKER);
    j->error = may ? run_request(j->medium->image, j->request) : -EPERM;
    finish(j);
}

static int check_request(const struct image *im, const struct drive_request *r)
{
    bool writes = r->op == DRIVE_WRITE || r->op == DRIVE_DISCARD || r->op == DRIVE_ZERO;
    bool moves = r->op == DRIVE_READ || r->op == DRIVE_WRITE;
    if (r->op == DRIVE_FLUSH)
        return 0;
    if (writes && !im->writable)
        return -EROFS;
    if (r->offset > im->bytes || r->bytes > im->bytes - r->offset)
        return -EIO;
    return moves && iov_bytes(r->iov, r->iov_count) != r->bytes ? -EINVAL : 0;
}

void drive_submit(struct drive *v, struct drive_request *r)
{
    struct job *j = g_slice_new0(struct job);
    g_mutex_lock(&v->lock);
    *j = (struct job){v, r, medium_use(v->medium), 0};
    v->in_flight++;
    v->running++;
    g_mutex_unlock(&v->lock);
    j->error = j->medium ? check_request(j->medium->image, r) : -ENOMEDIUM;
    if (j->error)
        finish(j);
    else
        g_thread_pool_push(v->workers, j, NULL);
}

static void complete(struct drive *v, struct job *j)
{
    struct device *d = v->device;
    dev_lock(d);
    g_mutex_lock(&v->lock);
    v->in_flight--;
    g_mutex_unlock(&v->lock);
    j->request->done(d, j->request, -j->error);
    dev_unlock(d);
    medium_release(j->medium);
    g_slice_free(struct job, j);
}

/* ---- a full host disk ---- */
static void say_full(struct drive *v, bool full)
{
    g_autofree char *path = drive_file(v);
    g_autofree char *message =
        full ? g_strdup_printf("The host's disk is full: %s cannot grow.  The VM waits until there is space.", path)
             : g_strdup_printf("There is space again for %s.", path);
    v->on_full(v->full_ctx, v, full, message);
}

static gboolean retry_stalled(void *data)
{
    struct drive *v = data;
    struct job *j;
    g_mutex_lock(&v->lock);
    while ((j = g_queue_pop_head(&v->stalled))) {
        v->running++;
        g_thread_pool_push(v->workers, j, NULL);
    }
    g_mutex_unlock(&v->lock);
    return G_SOURCE_CONTINUE;
}

static void stop_retrying(struct drive *v)
{
    if (v->retry)
        g_source_destroy(v->retry);
    g_clear_pointer(&v->retry, g_source_unref);
}

static void start_retrying(struct drive *v)
{
    v->retry = g_timeout_source_new_seconds(RETRY_SECONDS);
    g_source_set_callback(v->retry, retry_stalled, v, NULL);
    g_source_attach(v->retry, NULL);
}

/* Full begins with the first stalled request and ends when all that had stalled have gone through. */
static void watch_full(struct drive *v)
{
    g_mutex_lock(&v->lock);
    bool full = v->stalled.length > 0 || (v->full && v->running > 0), was = v->full;
    v->full = full;
    g_mutex_unlock(&v->lock);
    if (full == was)
        return;
    if (full)
        start_retrying(v);
    else
        stop_retrying(v);
    say_full(v, full);
}

void drive_on_full(struct drive *v, void (*fn)(void *ctx, struct drive *v, bool full, const char *message), void *ctx)
{
    v->on_full = fn;
    v->full_ctx = ctx;
}

void drive_give_up(struct drive *v)
{
    struct job *j;
    v->on_full = NULL;
    stop_retrying(v);
    for (;;) {
        g_mutex_lock(&v->lock);
        v->full = false;
        j = g_queue_pop_head(&v->stalled);
        g_mutex_unlock(&v->lock);
        if (!j)
            return;
        complete(v, j);
    }
}

/* ---- the loop's side ---- */
static void complete_finished(struct drive *v)
{
    GQueue jobs;
    struct job *j;
    g_mutex_lock(&v->lock);
    jobs = v->finished;
    g_queue_init(&v->finished);
    g_mutex_unlock(&v->lock);
    while ((j = g_queue_pop_head(&jobs)))
        complete(v, j);
}

static gboolean on_wake(int fd, GIOCondition condition, void *data)
{
    struct drive *v = data;
    uint64_t count;
    if (read(fd, &count, sizeof count) != sizeof count)
        return G_SOURCE_CONTINUE;
    complete_finished(v);
    if (v->on_full)
        watch_full(v);
    return G_SOURCE_CONTINUE;
}

/* ---- what a controller asks ---- */
uint64_t drive_bytes(struct drive *v)
{
    g_mutex_lock(&v->lock);
    uint64_t bytes = v->medium ? v->medium->image->bytes : 0;
    g_mutex_unlock(&v->lock);
    return bytes;
}

bool drive_peek(struct drive *v, uint64_t offset, void *to, size_t bytes)
{
    g_mutex_lock(&v->lock);
    struct medium *m = medium_use(v->medium);
    g_mutex_unlock(&v->lock);
    struct iovec iov = {to, bytes};
    bool good = m && offset <= m->image->bytes && bytes <= m->image->bytes - offset &&
                image_readv(m->image, offset, &iov, 1) == 0;
    medium_release(m);
    return good;
}

bool drive_readonly(struct drive *v)
{
    g_mutex_lock(&v->lock);
    bool readonly = !v->medium || !v->medium->image->writable;
    g_mutex_unlock(&v->lock);
    return readonly;
}

const char *drive_serial(struct drive *v)
{
    return v->serial;
}

bool drive_changed(struct drive *v)
{
    g_mutex_lock(&v->lock);
    bool changed = v->changed;
    v->changed = false;
    g_mutex_unlock(&v->lock);
    return changed;
}

void drive_on_change(struct drive *v, void (*fn)(struct device *d, struct drive *v))
{
    v->on_change = fn;
}

void drive_guest_lock(struct drive *v, bool locked)
{
    g_mutex_lock(&v->lock);
    v->guest_locked = locked;
    g_mutex_unlock(&v->lock);
}

bool drive_idle(struct drive *v)
{
    g_mutex_lock(&v->lock);
    bool idle = v->in_flight == 0;
    g_mutex_unlock(&v->lock);
    return idle;
}

static void change_medium(struct drive *v, struct medium *m)
{
    g_mutex_lock(&v->lock);
    struct medium *old = v->medium;
    v->medium = m;
    v->changed = true;
    g_mutex_unlock(&v->lock);
    medium_release(old);
}

void drive_guest_eject(struct drive *v)
{
    if (v->media != MEDIA_DISK)
        change_medium(v, NULL);
}

/* ---- what the user asks ---- */
bool drive_removable(struct drive *v)
{
    return v->media != MEDIA_DISK;
}

const char *drive_section(struct drive *v)
{
    return v->section;
}

const char *drive_kind(struct drive *v)
{
    return media_names[v->media];
}

char *drive_file(struct drive *v)
{
    g_mutex_lock(&v->lock);
    char *path = v->medium ? g_strdup(v->medium->path) : NULL;
    g_mutex_unlock(&v->lock);
    return path;
}

struct drive *drive_next(struct machine *m, struct drive *v)
{
    return v ? v->next : m->drives;
}

struct drive *machine_drive(struct machine *m, const char *section)
{
    struct drive *v = m->drives;
    while (v && strcmp(v->section, section))
        v = v->next;
    return v;
}

static bool may_change(struct drive *v, bool force, GError **error)
{
    if (v->media == MEDIA_DISK)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "drive %s has no removable medium", v->section);
    g_mutex_lock(&v->lock);
    bool locked = v->guest_locked && v->medium && !force;
    if (!locked)
        v->guest_locked = false;
    g_mutex_unlock(&v->lock);
    return !locked || disk_fail(error, DISK_ERROR_LOCKED,
                                "the guest has locked the tray of %s; eject it in the guest, or force it", v->section);
}

static void tell_guest(struct drive *v)
{
    dev_lock(v->device);
    if (v->on_change)
        v->on_change(v->device, v);
    dev_unlock(v->device);
}

bool drive_eject(struct drive *v, bool force, GError **error)
{
    if (!may_change(v, force, error))
        return false;
    change_medium(v, NULL);
    tell_guest(v);
    return true;
}

static void wait_for_workers(struct drive *v)
{
    g_mutex_lock(&v->lock);
    while (v->running)
        g_cond_wait(&v->idle, &v->lock);
    g_mutex_unlock(&v->lock);
}

static bool is_inside(struct drive *v, int fd)
{
    struct stat new, old;
    return v->medium && !fstat(fd, &new) && !stat(v->medium->path, &old) &&
           new.st_dev == old.st_dev &&new.st_ino == old.st_ino;
}

bool drive_insert(struct drive *v, int fd, const char *path, const char *format, bool readonly, GError **error)
{
    if (!may_change(v, false, error)) {
        close(fd);
        return false;
    }
    bool again = is_inside(v, fd);
    if (again) { /* its own lock would keep it out */
        change_medium(v, NULL);
        wait_for_workers(v);
        complete_finished(v);
    }
    readonly = readonly || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
    struct medium *m = medium_open(v, fd, path, format, readonly, error);
    if (m)
        change_medium(v, m);
    if (m || again)
        tell_guest(v);
    if (!m && error && g_error_matches(*error, DISK_ERROR, DISK_ERROR_PERMISSION))
        g_prefix_error(error, "the VM may read only what it was started with: ");
    return m;
}

bool drive_sync(struct drive *v, GError **error)
{
    g_mutex_lock(&v->lock);
    while (v->running)
        g_cond_wait(&v->idle, &v->lock);
    struct medium *m = medium_use(v->medium);
    g_mutex_unlock(&v->lock);
    int err = m ? image_flush(m->image) : 0;
    medium_release(m);
    return !err || disk_fail_errno(error, -err, "drive %s", v->section);
}

/* ---- saved state ----
 * What is on a medium is not saved.  The state holds which it was, and the one that is there when it is loaded must be the
 * same, and untouched since. */

/* All requests of one drive are finished and told, and those that their devices then make. */
static bool drain(struct drive *v, unsigned *requests, GError **error)
{
    while (!drive_idle(v)) {
        wait_for_workers(v);
        g_mutex_lock(&v->lock);
        *requests += v->finished.length;
        g_mutex_unlock(&v->lock);
        complete_finished(v);
        g_mutex_lock(&v->lock);
        bool stuck = v->stalled.length && !v->running && !v->finished.length;
        g_mutex_unlock(&v->lock);
        if (stuck)
            return disk_fail(error, DISK_ERROR_NO_SPACE,
                             "drive %s waits for space on the host's disk; make some before the machine is saved",
                             v->section);
    }
    return true;
}

bool drives_settle(struct machine *m, unsigned *requests, GError **error)
{
    *requests = 0;
    for (struct drive *v = m->drives; v; v = v->next)
        if (!drain(v, requests, error))
            return false;
    return true;
}

struct identity { /* of a medium; all empty: there is none */
    char *path, *format;
    uint64_t bytes, file_bytes, changed_ns;
    bool present, writable;
};

static struct identity identify(const struct drive *v)
{
    const struct medium *m = v->medium;
    struct identity id = {.path = g_strdup(m ? m->path : ""), .format = g_strdup(""), .present = m};
    struct stat st;
    if (!m)
        return id;
    g_free(id.format);
    id.format = g_strdup(m->image->format->name);
    id.bytes = m->image->bytes;
    id.writable = m->image->writable;
    if (!stat(m->path, &st) && S_ISREG(st.st_mode)) {
        id.file_bytes = st.st_size;
        id.changed_ns = st.st_mtim.tv_sec * UINT64_C(1000000000) + st.st_mtim.tv_nsec;
    }
    return id;
}

static void identity_clear(struct identity *id)
{
    g_free(id->path);
    g_free(id->format);
}

static void sync_identity(struct identity *id, struct stream *s)
{
    stream_bool(s, &id->present);
    stream_text(s, &id->path);
    stream_text(s, &id->format);
    stream_u64(s, &id->bytes);
    stream_u64(s, &id->file_bytes);
    stream_u64(s, &id->changed_ns);
    stream_bool(s, &id->writable);
}

static bool other_medium(const struct drive *v, const struct identity *was, const struct identity *is, GError **error)
{
    g_autofree char *path = g_strescape(was->path, NULL);
    if (!is->present)
        return disk_fail(error, DISK_ERROR_USAGE,
                         "drive %s is empty, and had %s in it when the state was saved: name it in machine.ini (file=)",
                         v->section, path);
    if (strcmp(was->format, is->format) || was->bytes != is->bytes || was->writable != is->writable)
        return disk_fail(error, DISK_ERROR_USAGE,
                         "drive %s has %s in it, which is not what was there when the state was saved (%s)", v->section,
                         is->path, path);
    if (was->file_bytes != is->file_bytes || was->changed_ns != is->changed_ns)
        return disk_fail(error, DISK_ERROR_USAGE,
                         "%s (drive %s) was changed after the state was saved: the guest would find a disk that does "
                         "not fit what it remembers",
                         is->path, v->section);
    return true;
}

/* What the guest has ejected is taken out here too. */
static bool match_medium(struct drive *v, const struct identity *was, GError **error)
{
    struct identity is = identify(v);
    bool good = !was->present || other_medium(v, was, &is, error);
    if (!was->present && is.present && v->media == MEDIA_DISK)
        good =
            disk_fail(error, DISK_ERROR_USAGE, "drive %s is a hard disk, and the state knows none there", v->section);
    else if (!was->present && is.present) {
        change_medium(v, NULL);
        tell_guest(v);
    }
    identity_clear(&is);
    return good;
}

static bool sync_drive(struct drive *v, struct stream *s, GError **error)
{
    struct identity id = s->loading ? (struct identity){0} : identify(v);
    bool changed = v->changed, locked = v->guest_locked;
    sync_identity(&id, s);
    stream_bool(s, &changed);
    stream_bool(s, &locked);
    bool good = stream_ok(s) && (!s->loading || match_medium(v, &id, error));
    v->changed = changed;
    v->guest_locked = locked;
    identity_clear(&id);
    return good;
}

/* By their names, in this machine's order: which there are was compared before. */
bool drives_sync(struct machine *m, struct stream *s, GError **error)
{
    bool good = true;
    for (struct drive *v = m->drives; v && good; v = v->next) {
        char *section = g_strdup(v->section);
        stream_text(s, &section);
        good = stream_ok(s) && !strcmp(section, v->section) && sync_drive(v, s, error);
        g_free(section);
    }
    return good;
}

/* ---- open and close ---- */
static bool read_config(struct drive *v, const struct config *c, GError **error)
{
    unsigned kind = MEDIA_FLOPPY, cache;
    bool floppy = g_str_has_prefix(c->section, "floppy");
    if ((!floppy && !config_choice(c, "media", media_names, &kind, error)) ||
        !config_flag(c, "readonly", &v->readonly, error) || !config_choice(c, "cache", file_cache_names, &cache, error))
        return false;
    v->media = kind;
    v->cache = cache;
    v->serial = floppy ? NULL : config_string(c, "serial");
    return true;
}

/* An image of somebody else, or one that is kept as it is. */
static void say_way_out(struct drive *v, const char *file, GError *why)
{
    g_autofree char *path = g_canonicalize_filename(file, v->device->machine->folder);
    if (v->media != MEDIA_DISK || v->readonly || !g_error_matches(why, DISK_ERROR, DISK_ERROR_PERMISSION) ||
        faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) || !faccessat(AT_FDCWD, path, W_OK, AT_EACCESS))
        return;
    g_autofree char *said = why->message;
    why->message =
        g_strdup_printf("%s; it may be read, but not written: leave it as it is (readonly=on in this section), "
                        "or give the machine an image of its own on top of it (vmctl disk clone --linked)",
                        said);
}

static bool open_first_medium(struct drive *v, const struct config *c, GError **error)
{
    g_autofree char *file = config_string(c, "file"), *format = config_string(c, "format");
    if (!file || !*file)
        return v->media != MEDIA_DISK ||
               disk_fail(error, DISK_ERROR_USAGE, "%s: section [%s] has no \"file\"", c->path, c->section);
    GError *why = NULL;
    v->medium = medium_open(v, -1, file, format, v->readonly, &why);
    if (!v->medium && v->media == MEDIA_FLOPPY && g_error_matches(why, DISK_ERROR, DISK_ERROR_PERMISSION)) {
        g_clear_error(&why);
        v->medium = medium_open(v, -1, file, format, true, &why);
    }
    if (why)
        say_way_out(v, file, why);
    if (why)
        g_propagate_prefixed_error(error, why, "%s: section [%s]: ", c->path, c->section);
    return v->medium != NULL;
}

/* Is its image one that the guest may write to? */
static bool written(const struct config *c)
{
    struct drive v = {0};
    bool is = read_config(&v, c, NULL) && !v.readonly && v.media != MEDIA_CDROM;
    g_free(v.serial);
    return is;
}

static char *file_of(const struct config *c, const char *folder)
{
    g_autofree char *file = config_string(c, "file");
    return file && *file ? g_canonicalize_filename(file, folder) : NULL;
}

bool drive_open_files(const struct config *c, const char *folder, bool parents, GError **error)
{
    g_autofree char *path = file_of(c, folder), *format = config_string(c, "format");
    struct image_how how = {.format = format, .unlocked = true, .no_parent = !parents};
    GError *why = NULL;
    if (!path)
        return true;
    if (!format)
        how.format = image_format_by_name(path);
    if (image_open(path, &how, &why) || !g_error_matches(why, DISK_ERROR, DISK_ERROR_CORRUPT)) {
        g_clear_error(&why);
        return true;
    }
    g_propagate_prefixed_error(error, why, "%s: section [%s]: ", c->path, c->section);
    return false;
}

bool drive_not_in_use(const struct config *c, const char *folder, GError **error)
{
    g_autofree char *path = file_of(c, folder);
    bool write = path && written(c);
    GError *why = NULL;
    blk_close(path ? blk_open(path, write ? FILE_WRITE : 0, CACHE_WRITEBACK, &why) : NULL);
    if (!g_error_matches(why, DISK_ERROR, DISK_ERROR_LOCKED)) {
        g_clear_error(&why); /* anything else is said when it is opened for good */
        return true;
    }
    g_propagate_prefixed_error(error, why, "%s: section [%s]: ", c->path, c->section);
    return false;
}

bool drive_nothing_above(const struct config *c, const char *folder, GError **error)
{
    g_autofree char *path = file_of(c, folder);
    GError *why = NULL;
    if (!path || !written(c) || nothing_above(path, &why))
        return true;
    g_propagate_prefixed_error(error, why, "%s: section [%s]: ", c->path, c->section);
    return false;
}

/* A serial number that stays the same for this VM's drive, where the config names none. */
static void default_serial(struct drive *v)
{
    g_autofree char *seed = g_strdup_printf("%s/%s", v->device->machine->folder, v->section);
    if (!v->serial)
        v->serial = g_strdup_printf("TV%08x", g_str_hash(seed));
}

struct drive *drive_open(struct device *d, const struct config *c, GError **error)
{
    struct drive *v = g_new0(struct drive, 1);
    v->device = d;
    v->section = g_strdup(c->section);
    g_mutex_init(&v->lock);
    g_cond_init(&v->idle);
    v->workers = g_thread_pool_new(worker, NULL, WORKERS, FALSE, NULL);
    v->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    v->wake_source = g_unix_fd_source_new(v->wake, G_IO_IN);
    g_source_set_callback(v->wake_source, G_SOURCE_FUNC(on_wake), v, NULL);
    g_source_attach(v->wake_source, NULL);
    v->next = d->machine->drives;
    d->machine->drives = v;
    if (read_config(v, c, error) && open_first_medium(v, c, error)) {
        default_serial(v);
        return v;
    }
    drive_close(v);
    return NULL;
}

static void drop_jobs(struct drive *v)
{
    struct job *j;
    while ((j = g_queue_pop_head(&v->finished)) || (j = g_queue_pop_head(&v->stalled))) {
        medium_release(j->medium);
        g_slice_free(struct job, j);
    }
}

/* Requests that are done but not yet told are dropped: their device goes. */
void drive_close(struct drive *v)
{
    if (!v)
        return;
    g_mutex_lock(&v->lock);
    v->closing = true;
    while (v->running)
        g_cond_wait(&v->idle, &v->lock);
    g_mutex_unlock(&v->lock);
    stop_retrying(v);
    g_source_destroy(v->wake_source);
    g_source_unref(v->wake_source);
    g_thread_pool_free(v->workers, FALSE, TRUE);
    close(v->wake);
    drop_jobs(v);
    medium_release(v->medium);
    struct drive **link = &v->device->machine->drives;
    while (*link && *link != v)
        link = &(*link)->next;
    if (*link)
        *link = v->next;
    g_mutex_clear(&v->lock);
    g_cond_clear(&v->idle);
    g_free(v->section);
    g_free(v->serial);
    g_free(v);
}
