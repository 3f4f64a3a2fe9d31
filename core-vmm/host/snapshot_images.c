// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_images.c - what snapshots do with disk images and states, which a guest may have written: each in a child inside a
 * fence, which may write where its work is and nowhere else (disk_work.h). */
#include "core-vmm/base/state_file.h"
#include "core-vmm/fence/fence.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/disk_work.h"
#include "core-vmm/host/snapshot_inside.h"
#include "disk-formats/ops/ops.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* As seen from the folder of snapshots, where all images are that build upon others. */
char *snapshot_seen_from_inside(const char *file)
{
    if (g_path_is_absolute(file))
        return g_strdup(file);
    return g_str_has_prefix(file, SNAPSHOTS_FOLDER "/") ? g_strdup(file + strlen(SNAPSHOTS_FOLDER "/"))
                                                        : g_build_filename("..", file, NULL);
}

/* ---- new images on top ---- */

struct overlays {
    const char *folder;
    const struct overlay *list;
    guint n;
};

static int create_all(void *ctx, int answer)
{
    const struct overlays *o = ctx;
    for (guint i = 0; i < o->n; i++) {
        g_autofree char *path = g_canonicalize_filename(o->list[i].file, o->folder),
                        *parent = snapshot_seen_from_inside(o->list[i].on);
        struct image_options options = {
            .parent = parent, .parent_format = o->list[i].format, .parent_changes = o->list[i].live};
        g_autoptr(GError) error = NULL;
        if (!image_create(path, "qcow2", &options, false, &error))
            return disk_refuse(answer, error);
    }
    return 0;
}

static int note_all(void *ctx, int answer)
{
    const struct overlays *o = ctx;
    for (guint i = 0; i < o->n; i++) {
        g_autofree char *path = g_canonicalize_filename(o->list[i].file, o->folder);
        g_autofree char *parent = g_canonicalize_filename(o->list[i].on, o->folder);
        disk_note_child(parent, path);
    }
    return 0;
}

static bool overlays_work(int (*fn)(void *ctx, int answer), const char *folder, const char *in,
                          const struct overlay *list, guint n, GError **error)
{
    struct overlays o = {folder, list, n};
    struct fence_files *f = fence_files_new();
    fence_allow_images(f);
    fence_allow(f, folder, FENCE_READ);
    fence_allow(f, in, FENCE_READ | FENCE_WRITE | FENCE_MAKE);
    for (guint i = 0; i < n; i++) {
        g_autofree char *path = g_canonicalize_filename(list[i].on, folder);
        fence_allow_beside(f, path, FENCE_READ | FENCE_DEVICE);
    }
    return disk_work(fn, &o, f, NULL, NULL, error);
}

bool overlays_create(const char *folder, const char *in, const struct overlay *list, guint n, GError **error)
{
    return overlays_work(create_all, folder, in, list, n, error);
}

bool overlays_note(const char *folder, const char *in, const struct overlay *list, guint n, GError **error)
{
    return overlays_work(note_all, folder, in, list, n, error);
}

/* ---- merging ---- */

struct merging {
    const char *folder, *child, *child_format, *parent, *parent_format;
    GPtrArray *above;
    bool in_use; /* the machine runs: what it writes to is told by it alone */
    int answer;
};

static void tell_progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct merging *g = ctx;
    disk_tell_progress(g->answer, done, total);
}

static bool tells_itself(const struct merging *g, const struct snapshot_image *i)
{
    return g->in_use && !i->frozen;
}

/* A merge that was killed may have told some of them already. */
static bool forget_above(const struct merging *g, GError **error)
{
    g_autofree char *name = snapshot_seen_from_inside(g->parent);
    for (guint i = 0; i < g->above->len; i++) {
        const struct snapshot_image *one = g->above->pdata[i];
        g_autofree char *path = g_canonicalize_filename(one->file, g->folder);
        if (tells_itself(g, one))
            continue;
        if (!disk_forget_parent(path, one->format, name, g->in_use, error))
            return false;
    }
    return true;
}

static bool tell_those_above(const struct merging *g, GError **error)
{
    g_autofree char *name = snapshot_seen_from_inside(g->parent);
    for (guint i = 0; i < g->above->len; i++) {
        const struct snapshot_image *one = g->above->pdata[i];
        g_autofree char *path = g_canonicalize_filename(one->file, g->folder);
        if (tells_itself(g, one))
            continue;
        if (!disk_set_parent(path, one->format, name, g->parent_format, g->in_use, error))
            return false;
    }
    return true;
}

static int merge(void *ctx, int answer)
{
    struct merging *g = ctx;
    struct disk_job job = {.progress = tell_progress, .ctx = g};
    g_autofree char *path = g_canonicalize_filename(g->child, g->folder);
    g_autoptr(GError) error = NULL;
    g->answer = answer;
    bool good = forget_above(g, &error) && disk_merge(path, g->child_format, g->in_use, &job, &error) &&
                tell_those_above(g, &error);
    return good ? 0 : disk_refuse(answer, error);
}

static void allow_writing(struct fence_files *f, const char *folder, const char *file)
{
    g_autofree char *path = g_canonicalize_filename(file, folder);
    fence_allow_beside(f, path, FENCE_READ);
    fence_allow_file(f, path, FENCE_READ | FENCE_WRITE | FENCE_DEVICE);
}

bool images_merge(const char *folder, const struct snapshot_image *child, const struct snapshot_image *parent,
                  GPtrArray *above, bool in_use, struct machine_job *job, GError **error)
{
    struct merging g = {folder, child->file, child->format, parent->file, parent->format, above, in_use, -1};
    struct fence_files *f = fence_files_new();
    fence_allow_images(f);
    fence_allow(f, folder, FENCE_READ);
    allow_writing(f, folder, child->file);
    allow_writing(f, folder, parent->file);
    for (guint i = 0; i < above->len; i++)
        allow_writing(f, folder, ((struct snapshot_image *)above->pdata[i])->file);
    return disk_work(merge, &g, f, job, NULL, error);
}

/* ---- looking for damage ---- */

struct looked_at {
    const char *path, *format;
    bool alone;
};

static int check_image(void *ctx, int answer)
{
    const struct looked_at *l = ctx;
    struct image_how how = {.format = l->format, .unlocked = true, .no_parent = l->alone};
    g_autoptr(GError) error = NULL;
    struct image *im = image_open(l->path, &how, &error);
    struct image_check c;
    image_check_init(&c);
    if (!im || (im->format->check && !image_check(im, false, &c, &error)))
        disk_refuse(answer, error);
    else if (c.corruptions)
        disk_answer(answer, c.text->str);
    image_check_clear(&c);
    image_close(im);
    return 0;
}

static int check_state(void *ctx, int answer)
{
    const struct looked_at *l = ctx;
    g_autoptr(GError) error = NULL;
    int fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        disk_answer(answer, "it cannot be opened");
    else if (!state_check(fd, &error))
        disk_answer(answer, error->message);
    return 0;
}

static char *look(int (*fn)(void *ctx, int answer), struct looked_at *l)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) answer = NULL;
    struct fence_files *f = fence_files_new();
    fence_allow_images(f);
    fence_allow_beside(f, l->path, FENCE_READ | FENCE_DEVICE);
    fence_allow_file(f, l->path, FENCE_READ);
    const struct fence_job job = {.kind = FENCE_LOOK, .files = f, .fn = fn, .ctx = l};
    int code = fence_run(&job, &answer, &error);
    if (code == 128 + SIGBUS) /* a mapping's way to say so */
        return g_strdup("it cannot be read: its disk fails, or it became shorter meanwhile");
    if (code)
        return error ? g_strdup(error->message) : g_strdup_printf("the process that looked at it ended with %d", code);
    gsize n;
    const char *said = g_bytes_get_data(answer, &n); /* NULL: nothing */
    unsigned skip = n > 3 && *said == '!' ? 3 : 0;
    g_autofree char *text = fence_text(n ? said + skip : "", n - skip);
    return *text ? g_steal_pointer(&text) : NULL;
}

char *image_damage(const char *path, const char *format, bool alone)
{
    return look(check_image, &(struct looked_at){path, format, alone});
}

char *state_damage(const char *path)
{
    return look(check_state, &(struct looked_at){.path = path});
}
