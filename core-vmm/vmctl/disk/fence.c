// SPDX-License-Identifier: GPL-2.0-or-later
/* fence.c - an image may come from anybody: it is looked at only where that can do no harm.
 *
 * `vmctl disk` fences itself when it knows what it is about to do; what is left of it needs no more.  Whoever goes on to do
 * other things afterwards asks a child in a fence: core-vmm/host/disk_look.h. */
#include "core-vmm/vmctl/disk/disk.h"
#include "core-vmm/fence/fence.h"
#include <stdlib.h>
#include <sys/stat.h>

/* The lock is tried before: from inside, one cannot see who has it. */
static bool is_free(const char *path, bool write, int *code)
{
    g_autoptr(GError) error = NULL;
    struct blk_file *f = blk_open(path, write ? FILE_WRITE : 0, CACHE_WRITEBACK, &error);
    blk_close(f);
    if (!g_error_matches(error, DISK_ERROR, DISK_ERROR_LOCKED))
        return true; /* anything else is said when it is opened for good */
    *code = fail_error(error);
    return false;
}

static void allow_folder(struct fence_files *f, const char *path, unsigned access)
{
    g_autofree char *real = realpath(path, NULL), *in = g_path_get_dirname(path);
    g_autofree char *there = g_path_get_dirname(real ? real : path);
    fence_allow(f, in, access);
    fence_allow(f, there, access);
}

struct files_question {
    const char *path, *format;
};

/* In a fenced child: the names of an image's files beside it, each with a zero behind it. */
static int tell_files(void *ctx, int answer)
{
    const struct files_question *q = ctx;
    struct image_how how = {.format = q->format, .guess = !q->format, .unlocked = true, .no_parent = true};
    struct image *im = image_open(q->path, &how, NULL); /* else the operation says what is wrong */
    g_autofree char *real = realpath(q->path, NULL), *folder = g_path_get_dirname(real ? real : q->path);
    g_autoptr(GDir) dir = im ? g_dir_open(folder, 0, NULL) : NULL;
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *full = g_build_filename(folder, name, NULL);
        if (image_uses(im, full) && write(answer, name, strlen(name) + 1) < 0)
            _exit(1);
    }
    image_close(im);
    return 0;
}

/* To be written: what the image consists of, and nothing else.  Whatever a hostile one made the child say, it lies beside. */
static void allow_parts(struct fence_files *f, const char *path, const char *format)
{
    struct files_question q = {path, format};
    struct fence_files *inside = fence_files_new();
    fence_allow_images(inside);
    fence_allow_beside(inside, path, FENCE_READ);
    const struct fence_job job = {FENCE_LOOK, inside, tell_files, &q, DISK_LOOK_SECONDS};
    g_autoptr(GBytes) answer = NULL;
    g_autofree char *real = realpath(path, NULL), *folder = g_path_get_dirname(real ? real : path);
    gsize n = 0;
    const char *names = fence_run(&job, &answer, NULL) == 0 ? g_bytes_get_data(answer, &n) : NULL;
    for (gsize at = 0; at < n && memchr(names + at, 0, n - at); at += strlen(names + at) + 1) {
        g_autofree char *full = g_build_filename(folder, names + at, NULL);
        if (names[at] && names[at] != '.' && !strchr(names + at, '/'))
            fence_allow_file(f, full, FENCE_READ | FENCE_WRITE);
    }
    fence_allow_file(f, path, FENCE_READ | FENCE_WRITE | FENCE_DEVICE);
}

static struct fence_files *files_of(const struct disk_needs *n)
{
    struct fence_files *f = fence_files_new();
    fence_allow_images(f);
    for (const char *const *p = n->looks; *p; p++)
        fence_allow_beside(f, *p, FENCE_READ);
    for (const char *const *p = n->changes; *p; p++) {
        fence_allow_beside(f, *p, FENCE_READ);
        allow_parts(f, *p, p == n->changes ? n->format : NULL);
    }
    if (n->makes)
        allow_folder(f, n->makes, FENCE_READ | FENCE_WRITE | FENCE_MAKE);
    return f;
}

bool disk_fence(const struct disk_needs *n, int *code)
{
    g_autoptr(GError) error = NULL;
    for (const char *const *p = n->looks; *p; p++)
        if (!n->unlocked && !is_free(*p, false, code))
            return false;
    for (const char *const *p = n->changes; *p; p++)
        if (!is_free(*p, true, code))
            return false;
    if (n->makes && n->replace && !is_free(n->makes, true, code))
        return false;
    if (fence_alone(&error) && fence_files_close(files_of(n), &error) && fence_calls_close(FENCE_TOOL, &error) &&
        fence_holds(&error))
        return true;
    *code = fail_error(error);
    return false;
}
