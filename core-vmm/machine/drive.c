// SPDX-License-Identifier: GPL-2.0-or-later
/* drive.c - a drive: between a controller's requests and a disk image. */
#include "core-vmm/machine/drive_inside.h"
#include <fcntl.h>
#include <glib-unix.h>
#include <sys/eventfd.h>
#include <unistd.h>

const char *const drive_media_names[] = {"disk", "cdrom", "floppy", NULL};

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
    struct medium *m = drive_medium_use(v->medium);
    g_mutex_unlock(&v->lock);
    struct iovec iov = {to, bytes};
    bool good = m && offset <= m->image->bytes && bytes <= m->image->bytes - offset &&
                image_readv(m->image, offset, &iov, 1) == 0;
    drive_medium_release(m);
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

void drive_on_batch(struct drive *v, void (*fn)(struct device *d, struct drive *v))
{
    v->on_batch = fn;
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
    bool idle = v->in_flight == 0 && !v->telling;
    g_mutex_unlock(&v->lock);
    return idle;
}

static bool read_slice(struct drive *v, const struct config *c, GError **error)
{
    v->sliced = g_key_file_has_key(c->file, c->section, "offset", NULL) ||
                g_key_file_has_key(c->file, c->section, "size", NULL);
    return !v->sliced ||
           (config_size(c, "offset", &v->slice.offset, error) && config_size(c, "size", &v->slice.bytes, error));
}

bool drive_read_config(struct drive *v, const struct config *c, GError **error)
{
    unsigned kind = MEDIA_FLOPPY, cache;
    bool floppy = g_str_has_prefix(c->section, "floppy");
    if ((!floppy && !config_choice(c, "media", drive_media_names, &kind, error)) ||
        !config_flag(c, "readonly", &v->readonly, error) || !config_choice(c, "cache", file_cache_names, &cache, error))
        return false;
    v->media = kind;
    v->cache = cache;
    v->serial = floppy ? NULL : config_string(c, "serial");
    return read_slice(v, c, error);
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
        return drive_removable(v) ||
               disk_fail(error, DISK_ERROR_USAGE, "%s: section [%s] has no \"file\"", c->path, c->section);
    GError *why = NULL;
    v->medium = drive_medium_open(v, -1, file, format, v->readonly, &why);
    if (!v->medium && v->media == MEDIA_FLOPPY && g_error_matches(why, DISK_ERROR, DISK_ERROR_PERMISSION)) {
        g_clear_error(&why);
        v->medium = drive_medium_open(v, -1, file, format, true, &why);
    }
    if (why)
        say_way_out(v, file, why);
    if (why)
        g_propagate_prefixed_error(error, why, "%s: section [%s]: ", c->path, c->section);
    return v->medium != NULL;
}

/* A serial number that stays the same for this VM's drive, where the config names none. */
static void default_serial(struct drive *v)
{
    g_autofree char *seed = g_strdup_printf("%s/%s", v->device->machine->folder, v->section);
    if (!v->serial)
        v->serial = g_strdup_printf("TV%08x", g_str_hash(seed));
}

static struct drive *open_one(struct device *d, const struct config *c, bool bay, GError **error)
{
    struct drive *v = g_new0(struct drive, 1);
    v->device = d;
    v->bay = bay;
    v->section = g_strdup(c->section);
    g_mutex_init(&v->lock);
    g_cond_init(&v->idle);
    v->workers = g_thread_pool_new(drive_worker, NULL, DRIVE_WORKERS, FALSE, NULL);
    v->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    v->wake_source = g_unix_fd_source_new(v->wake, G_IO_IN);
    g_source_set_callback(v->wake_source, G_SOURCE_FUNC(drive_on_wake), v, NULL);
    g_source_attach(v->wake_source, NULL);
    v->next = d->machine->drives;
    d->machine->drives = v;
    if (drive_read_config(v, c, error) && drive_limit_read(v, c, error) && open_first_medium(v, c, error)) {
        default_serial(v);
        return v;
    }
    drive_close(v);
    return NULL;
}

struct drive *drive_open(struct device *d, const struct config *c, GError **error)
{
    return open_one(d, c, false, error);
}

struct drive *drive_open_bay(struct device *d, const struct config *c, GError **error)
{
    return open_one(d, c, true, error);
}

static void drop_jobs(struct drive *v)
{
    struct job *j;
    while ((j = g_queue_pop_head(&v->finished)) || (j = g_queue_pop_head(&v->stalled))) {
        drive_medium_release(j->medium);
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
    g_mutex_unlock(&v->lock);
    drive_limit_stop(v);
    drive_wait_for_workers(v);
    drive_stop_retrying(v);
    g_source_destroy(v->wake_source);
    g_source_unref(v->wake_source);
    g_thread_pool_free(v->workers, FALSE, TRUE);
    close(v->wake);
    drop_jobs(v);
    drive_medium_release(v->overlay);
    drive_medium_release(v->medium);
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
