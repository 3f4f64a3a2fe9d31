// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_state.c - a snapshot's state knows its disks by the files that they consist of.  Merging puts others in their place, which
 * show the same; so whoever goes back to the snapshot gets a copy of the state that knows those.  It is made in a child inside a
 * fence: the state was written by a VM process, images by guests. */
#include "core-vmm/base/disk_layers.h"
#include "core-vmm/base/state_file.h"
#include "core-vmm/fence/fence.h"
#include "core-vmm/host/disk_work.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/snapshot_inside.h"
#include "disk-formats/image/image.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct retelling {
    const char *folder, *from, *to;
    const struct snapshot_record *record;
    const struct snapshot *snapshot;
};

/* What the disk consists of now; as writable as it was. */
static bool look(const struct retelling *g, const char *drive, struct disk_layers *l, GError **error)
{
    const struct snapshot_disk *d = NULL;
    for (guint i = 0; i < g->snapshot->disks->len && !d; i++) {
        d = g->snapshot->disks->pdata[i];
        d = strcmp(d->drive, drive) ? NULL : d;
    }
    if (!d) /* a CD, or a disk that is only read */
        return true;
    g_autofree char *path = g_canonicalize_filename(d->file, g->folder);
    struct image_how how = {.format = record_image(g->record, d->file)->format, .unlocked = true};
    struct image *im = image_open(path, &how, error);
    g_array_set_size(l->list, 0);
    for (const struct image *one = im; one; one = one->parent)
        disk_layers_add(l, one->file->path, one->format->name, one->bytes);
    image_close(im);
    return im;
}

static bool retell_drive(const struct retelling *g, struct stream *in, struct stream *out, GError **error)
{
    g_autofree char *drive = NULL;
    struct disk_layers l = disk_layers_new(false);
    bool changed = false, locked = false;
    stream_text(in, &drive);
    disk_layers_sync(&l, in);
    stream_bool(in, &changed);
    stream_bool(in, &locked);
    bool good = stream_ok(in) ? !l.list->len || look(g, drive, &l, error)
                              : state_fail(error, "makes no sense in its part \"%s\"", DISK_LAYERS_PART);
    stream_text(out, &drive);
    disk_layers_sync(&l, out);
    stream_bool(out, &changed);
    stream_bool(out, &locked);
    disk_layers_clear(&l);
    return good;
}

static bool retell_drives(const struct retelling *g, const struct state_section *s, struct state_writer *w,
                          GError **error)
{
    struct stream in, out;
    if (s->version != DISK_LAYERS_VERSION)
        return state_fail(error, "has version %u of its part \"%s\"", s->version, s->name);
    stream_init_load(&in, s->data, s->bytes);
    stream_init_save(&out);
    bool good = true;
    while (good && in.at < s->bytes)
        good = retell_drive(g, &in, &out, error);
    good = good && state_put(w, s->name, s->version, out.bytes->data, out.bytes->len, error);
    stream_clear(&in);
    stream_clear(&out);
    return good;
}

static bool copy(const struct retelling *g, int from, int to, GError **error)
{
    struct state_reader r;
    struct state_writer w;
    struct state_section s = {.name = ""};
    bool good = state_open(&r, from, error) && state_begin(&w, to, error) && state_next(&r, &s, error);
    while (good && strcmp(s.name, STATE_END)) {
        good = !strcmp(s.name, DISK_LAYERS_PART) ? retell_drives(g, &s, &w, error)
                                                 : state_put(&w, s.name, s.version, s.data, s.bytes, error);
        good = good && state_next(&r, &s, error);
    }
    state_close(&r);
    return good && state_finish(&w, error);
}

static int retell(void *ctx, int answer)
{
    const struct retelling *g = ctx;
    g_autoptr(GError) error = NULL;
    int from = open(g->from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    int to = open(g->to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (from < 0 || to < 0)
        disk_fail_errno(&error, errno, "%s", from < 0 ? g->from : g->to);
    else
        copy(g, from, to, &error);
    return error ? disk_refuse(answer, error) : 0;
}

bool snapshot_retell_state(const struct change *c, const struct snapshot *s, const char *to, GError **error)
{
    g_autofree char *from = snapshot_path(c->folder, s->id, "state"), *in = g_path_get_dirname(from);
    struct retelling g = {c->folder, from, to, c->record, s};
    struct fence_files *f = fence_files_new();
    fence_allow_images(f);
    fence_allow(f, c->folder, FENCE_READ);
    fence_allow(f, in, FENCE_READ | FENCE_WRITE | FENCE_MAKE);
    for (guint i = 0; i < s->disks->len; i++) {
        g_autofree char *path = g_canonicalize_filename(((struct snapshot_disk *)s->disks->pdata[i])->file, c->folder);
        fence_allow_beside(f, path, FENCE_READ | FENCE_DEVICE);
    }
    return disk_work(retell, &g, f, NULL, NULL, error);
}
