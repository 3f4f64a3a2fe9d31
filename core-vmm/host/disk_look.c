// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_look.c - see disk_look.h. */
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/fence/fence.h"
#include "disk-formats/image/image.h"
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

char *disk_ask(int (*fn)(void *ctx, int answer), void *ctx, const char *path, GError **error)
{
    struct fence_files *f = fence_files_new();
    g_autoptr(GBytes) answer = NULL;
    fence_allow_images(f);
    if (path)
        fence_allow_beside(f, path, FENCE_READ);
    const struct fence_job job = {FENCE_LOOK, f, fn, ctx, DISK_LOOK_SECONDS};
    int code = fence_run(&job, &answer, error);
    if (code > 0)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: the process that looked at the disk image ended with %d",
                    path ? path : "disk images", code);
    gsize n = 0;
    const char *text = answer ? g_bytes_get_data(answer, &n) : NULL;
    return code ? NULL : fence_text(text ? text : "", n);
}

void disk_answer(int to, const char *text)
{
    size_t n = strlen(text);
    if (write(to, text, n) != (ssize_t)n)
        _exit(1);
}

/* "!", an enum disk_error in two digits, and a sentence: sets the error. */
static bool is_refusal(const char *answer, GError **error)
{
    int code;
    bool is = sscanf(answer, "!%2d", &code) == 1 && strlen(answer) > 3;
    if (is)
        disk_fail(error, code, "%s", answer + 3);
    return is;
}

/* ---- its format ---- */

/* A raw disk may hold what a guest wrote there to look like an image that leads to other files. */
static bool leads_elsewhere(const char *path, const struct image_format *format)
{
    struct image_how how = {.format = format->name, .unlocked = true, .no_parent = true};
    struct image *im = image_open(path, &how, NULL);
    bool leads = im && (im->parent_name || im->parent_id || im->many_files);
    image_close(im);
    return leads;
}

/* In a fenced child.  Its answer: the format, and a "+" before it if the image leads elsewhere; or a refusal. */
static int tell_format(void *ctx, int answer)
{
    const char *path = ctx;
    g_autoptr(GError) error = NULL;
    struct blk_file *f = blk_open(path, FILE_NO_LOCK, CACHE_WRITEBACK, &error);
    const struct image_format *format = f ? image_format_guess(f, &error) : NULL;
    blk_close(f);
    g_autofree char *text = format ? g_strconcat(leads_elsewhere(path, format) ? "+" : "", format->name, NULL)
                                   : g_strdup_printf("!%02d%s", error->code, error->message);
    disk_answer(answer, text);
    return 0;
}

const char *disk_look_format(const char *path, GError **error)
{
    g_autofree char *answer = disk_ask(tell_format, (void *)path, path, error);
    if (!answer || is_refusal(answer, error))
        return NULL;
    const struct image_format *format = image_format_find(answer + (*answer == '+'), error);
    if (!format || !strcmp(format->name, "raw"))
        return format ? "raw" : NULL;
    if (*answer != '+')
        return format->name;
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE,
                "%s looks like a %s image that consists of other files too; if you know that it is, and not a raw disk "
                "that a guest made look so, say --disk-format %s",
                path, format->name, format->name);
    return NULL;
}

struct question {
    const char *path, *format;
};

/* In a fenced child: nothing if it is, else a refusal. */
static int tell_whether(void *ctx, int answer)
{
    struct question *q = ctx;
    struct image_how how = {.format = q->format, .unlocked = true, .no_parent = true};
    g_autoptr(GError) error = NULL;
    struct image *im = image_open(q->path, &how, &error);
    g_autofree char *text = im ? NULL : g_strdup_printf("!%02d%s", error->code, error->message);
    image_close(im);
    disk_answer(answer, text ? text : "");
    return 0;
}

bool disk_look_opens(const char *path, const char *format, GError **error)
{
    struct question q = {path, format};
    g_autofree char *answer = disk_ask(tell_whether, &q, path, error);
    return answer && !is_refusal(answer, error);
}

/* ---- what it builds upon ---- */

static int tell_parent(void *ctx, int answer)
{
    struct question *q = ctx;
    struct image_how how = {.format = q->format, .unlocked = true, .no_parent = true};
    struct image *im = image_open(q->path, &how, NULL); /* else the operation says what is wrong */
    g_autofree char *parent = im ? image_parent_path(im, NULL) : NULL;
    if (parent)
        disk_answer(answer, parent);
    return 0;
}

char *disk_parent_of(const char *path, const char *format)
{
    struct question q = {path, format};
    g_autofree char *parent = disk_ask(tell_parent, &q, path, NULL);
    return parent && *parent ? g_steal_pointer(&parent) : NULL;
}
