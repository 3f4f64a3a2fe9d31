// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_state.c - drives in a saved state.
 * What is on a medium is not saved.  The state holds which it was, and the one that is there when it is loaded must be the
 * same, and untouched since. */
#include "core-vmm/machine/drive_inside.h"
#include <sys/stat.h>
#include <unistd.h>

/* All requests of one drive are finished and told, and those that their devices then make. */
static bool drain(struct drive *v, unsigned *requests, GError **error)
{
    while (!drive_idle(v)) {
        drive_wait_for_workers(v);
        g_mutex_lock(&v->lock);
        *requests += v->finished.length;
        g_mutex_unlock(&v->lock);
        drive_complete_finished(v);
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
    if (!was->present && is.present && !drive_removable(v))
        good =
            disk_fail(error, DISK_ERROR_USAGE, "drive %s is a hard disk, and the state knows none there", v->section);
    else if (!was->present && is.present) {
        drive_change_medium(v, NULL);
        drive_tell_guest(v);
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
