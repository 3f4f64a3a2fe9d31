// SPDX-License-Identifier: GPL-2.0-or-later
/* usage_watch.c - see usage_watch.h.  Looking waits for answers of two processes, so vmctl does it in one of its own. */
#include "gui/manager/usage_watch.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/host/machines.h"
#include <signal.h>

#define SECONDS "2"

struct usage_watch {
    GSubprocess *process;
    GDataInputStream *lines;
    GCancellable *cancel;
    usage_told told;
    void *ctx;
};

static uint64_t count(JsonObject *o, const char *name)
{
    return (uint64_t)answer_number(o, name, 0, G_MAXINT64, 0);
}

static void tell(struct usage_watch *w, JsonObject *m)
{
    const struct usage_now now = {.machine = answer_text(m, "machine", "?"),
                                  .cpu = answer_real(m, "cpu-percent", 0, 1e6, 0),
                                  .memory = count(m, "memory"),
                                  .memory_limit = count(m, "memory-limit"),
                                  .read = count(m, "read-bytes-per-second"),
                                  .written = count(m, "written-bytes-per-second"),
                                  .received = count(m, "received-bytes-per-second"),
                                  .sent = count(m, "sent-bytes-per-second")};
    w->told(w->ctx, &now);
}

static void take(struct usage_watch *w, const char *line)
{
    g_autoptr(JsonObject) o = answer_parse(line, NULL);
    JsonArray *machines = answer_array(o, "machines");
    for (unsigned i = 0; i < answer_count(machines); i++)
        if (answer_element(machines, i))
            tell(w, answer_element(machines, i));
}

static void read_line(struct usage_watch *w);

static void on_line(GObject *stream, GAsyncResult *result, gpointer watch)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line =
        g_data_input_stream_read_line_finish_utf8(G_DATA_INPUT_STREAM(stream), result, NULL, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) /* freed meanwhile */
        return;
    struct usage_watch *w = watch;
    if (!line) {
        w->told(w->ctx, NULL);
        return;
    }
    read_line(w);
    take(w, line);
}

static void read_line(struct usage_watch *w)
{
    g_data_input_stream_read_line_async(w->lines, G_PRIORITY_DEFAULT, w->cancel, on_line, w);
}

struct usage_watch *usage_watch_new(const char *name, usage_told told, void *ctx)
{
    struct usage_watch *w = g_new0(struct usage_watch, 1);
    g_autofree char *program = program_find("vmctl");
    w->told = told;
    w->ctx = ctx;
    w->cancel = g_cancellable_new();
    w->process = program ? g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL,
                                            program, "top", "--interval=" SECONDS, "--output=json", "--", name, NULL)
                         : NULL;
    if (w->process) {
        w->lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(w->process));
        read_line(w);
    }
    return w;
}

void usage_watch_free(struct usage_watch *w)
{
    if (!w)
        return;
    g_cancellable_cancel(w->cancel);
    if (w->process)
        g_subprocess_send_signal(w->process, SIGTERM);
    g_clear_object(&w->lines);
    g_clear_object(&w->process);
    g_object_unref(w->cancel);
    g_free(w);
}
