// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_work.c - see disk_work.h. */
#include "core-vmm/host/disk_work.h"
#include "core-vmm/host/disk_look.h"
#include "disk-formats/image/error.h"
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX (1 << 20)

int disk_refuse(int to, const GError *error)
{
    int code = error->domain == DISK_ERROR ? error->code : DISK_ERROR_USAGE;
    g_autofree char *text = g_strdup_printf("!%02d%s", code, error->message);
    disk_answer(to, text);
    return 0;
}

void disk_tell_progress(int to, uint64_t done, uint64_t total)
{
    g_autofree char *line = g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n", done, total);
    disk_answer(to, line);
}

void disk_tell_step(void *ctx, uint64_t done, uint64_t total)
{
    struct disk_steps *s = ctx;
    disk_tell_progress(s->answer, MIN(s->done + done, s->total), s->total);
    if (done == total)
        s->done += total;
}

struct hearing {
    GString *rest; /* behind the last line */
    struct machine_job *job;
    gint *stop; /* to set when it talks too much */
    bool too_long;
};

static void hear(void *ctx, const char *data, gsize n)
{
    struct hearing *h = ctx;
    bool line = memchr(data, '\n', n);
    char *end;
    if (h->rest->len + n > ANSWER_MAX) {
        h->too_long = true;
        g_atomic_int_set(h->stop, 1);
        return;
    }
    g_string_append_len(h->rest, data, n);
    while (line && g_ascii_isdigit(*h->rest->str) && (end = strchr(h->rest->str, '\n'))) {
        guint64 done, total;
        if (h->job && h->job->progress &&
            sscanf(h->rest->str, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &done, &total) == 2 && done <= total)
            h->job->progress(h->job->ctx, done, total);
        g_string_erase(h->rest, 0, end + 1 - h->rest->str);
    }
}

/* What the child's end means. */
static bool understand(int code, const struct hearing *h, const char *answer, GError **error)
{
    int disk;
    if (h->too_long) {
        g_clear_error(error);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                    "the process that works on disk images was ended: its answer was longer than 1 MiB");
        return false;
    }
    if (code && g_atomic_int_get(h->stop)) {
        g_clear_error(error);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
    } else if (code > 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the process that works on disk images ended with %d", code);
    } else if (code == 0 && sscanf(answer, "!%2d", &disk) == 1 && strlen(answer) > 3) {
        return disk_fail(error, disk, "%s", answer + 3);
    }
    return code == 0;
}

bool disk_work(int (*fn)(void *ctx, int answer), void *ctx, struct fence_files *files, struct machine_job *job,
               char **said, GError **error)
{
    g_autoptr(GBytes) none = NULL;
    gint own = 0;
    struct hearing h = {g_string_new(NULL), job, job ? &job->cancel : &own};
    const struct fence_job work = {
        .kind = FENCE_TOOL, .files = files, .fn = fn, .ctx = ctx, .hear = hear, .hear_ctx = &h, .cancel = h.stop};
    int code = fence_run(&work, &none, error);
    g_autofree char *answer = fence_text(h.rest->str, h.rest->len);
    g_string_free(h.rest, TRUE);
    bool good = understand(code, &h, answer, error);
    if (good && said)
        *said = g_steal_pointer(&answer);
    return good;
}
