// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_media.c - what lies in a drive: opening an image for it, changing it, and who it is. */
#include "core-vmm/machine/drive_inside.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CD_SECTOR 2048u

struct medium *drive_medium_use(struct medium *m)
{
    if (m)
        g_atomic_int_inc(&m->users);
    return m;
}

void drive_medium_release(struct medium *m)
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
bool drive_nothing_above_file(const char *path, GError **error)
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
struct medium *drive_medium_open(struct drive *v, int fd, const char *file, const char *format, bool readonly,
                                 GError **error)
{
    g_autofree char *path =
        g_path_is_absolute(file) ? g_strdup(file) : g_build_filename(v->device->machine->folder, file, NULL);
    struct image_how how = {.format = format ? format : image_format_by_name(path),
                            .write = !readonly && v->media != MEDIA_CDROM,
                            .cache = v->cache,
                            .slice = v->sliced && fd < 0 ? &v->slice : NULL}; /* what the user inserts is whole */
    struct image *image = fd < 0 ? image_open(path, &how, error) : image_open_fd(fd, path, &how, error);
    if (image && how.write && !drive_nothing_above_file(path, error))
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

void drive_change_medium(struct drive *v, struct medium *m)
{
    g_mutex_lock(&v->lock);
    struct medium *old = v->medium;
    v->medium = m;
    v->changed = true;
    g_mutex_unlock(&v->lock);
    drive_medium_release(old);
}

void drive_guest_eject(struct drive *v)
{
    if (v->media != MEDIA_DISK)
        drive_change_medium(v, NULL);
}

bool drive_removable(struct drive *v)
{
    return v->media != MEDIA_DISK || v->bay;
}

const char *drive_section(struct drive *v)
{
    return v->section;
}

const char *drive_kind(struct drive *v)
{
    return drive_media_names[v->media];
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
    if (!drive_removable(v))
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "drive %s has no removable medium", v->section);
    g_mutex_lock(&v->lock);
    bool locked = v->guest_locked && v->medium && !force;
    if (!locked)
        v->guest_locked = false;
    g_mutex_unlock(&v->lock);
    return !locked || disk_fail(error, DISK_ERROR_LOCKED,
                                "the guest has locked the tray of %s; eject it in the guest, or force it", v->section);
}

void drive_tell_guest(struct drive *v)
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
    drive_change_medium(v, NULL);
    drive_tell_guest(v);
    return true;
}

void drive_wait_for_workers(struct drive *v)
{
    g_mutex_lock(&v->lock);
    drive_limit_drain(v, true);
    while (v->running || v->telling)
        g_cond_wait(&v->idle, &v->lock);
    drive_limit_drain(v, false);
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
        drive_change_medium(v, NULL);
        drive_wait_for_workers(v);
        drive_complete_finished(v);
    }
    readonly = readonly || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
    struct medium *m = drive_medium_open(v, fd, path, format, readonly, error);
    if (m)
        drive_change_medium(v, m);
    if (m || again)
        drive_tell_guest(v);
    if (!m && error && g_error_matches(*error, DISK_ERROR, DISK_ERROR_PERMISSION))
        g_prefix_error(error, "the VM may read only what it was started with: ");
    return m;
}

bool drive_sync(struct drive *v, GError **error)
{
    drive_wait_for_workers(v);
    g_mutex_lock(&v->lock);
    struct medium *m = drive_medium_use(v->medium);
    g_mutex_unlock(&v->lock);
    int err = m ? image_flush(m->image) : 0;
    if (m && !err && m->image->writable)
        blk_lasting_mtime(m->image->file); /* by which a state is going to know it */
    drive_medium_release(m);
    return !err || disk_fail_errno(error, -err, "drive %s", v->section);
}
