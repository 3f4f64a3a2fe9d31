// SPDX-License-Identifier: GPL-2.0-or-later
/* job.c - see job.h. */
#include "gui/manager/job.h"
#include "core-vmm/host/machines.h"
#include <errno.h>
#include <glib/gi18n.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX (4 << 20) /* of what one vmctl says */

struct _VmJob {
    GObject parent_instance;
    char *title, *problem;
    GSubprocess *process;
    GDataInputStream *told; /* its stderr, by lines */
    GString *output, *notes;
    double fraction;
    bool done, cancelled;
    unsigned open; /* ends of its pipes, and its own end, that have not come yet */
};
enum { PROP_FRACTION = 1, PROP_DONE };
G_DEFINE_FINAL_TYPE(VmJob, vm_job, G_TYPE_OBJECT)

char *vm_command_text(const char *const *words)
{
    GString *s = g_string_new("vmctl");
    for (; *words; words++) {
        bool plain = **words && !(*words)[strspn(*words, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                         "0123456789-_./=,:+@")];
        g_autofree char *quoted = plain ? g_strdup(*words) : g_shell_quote(*words);
        g_string_append_printf(s, " %s", quoted);
    }
    return g_string_free(s, FALSE);
}

char *vm_problem_text(const char *problem)
{
    if (!strstr(problem, g_strerror(ENOSPC)) && !strstr(problem, "No space left on device"))
        return g_strdup(problem);
    return g_strdup_printf("%s\n%s", problem, _("Make room on this computer's disk, then try again."));
}

/* ---- its end ---- */

static void finish(VmJob *j)
{
    if (!g_subprocess_get_if_exited(j->process) || g_subprocess_get_exit_status(j->process)) {
        const char *last = j->notes->len ? j->notes->str : NULL;
        j->problem = last           ? vm_problem_text(last)
                     : j->cancelled ? g_strdup(_("cancelled"))
                                    : g_strdup(_("vmctl ended unexpectedly; the machine's log may say more"));
    }
    j->done = true;
    g_object_notify(G_OBJECT(j), "done");
    g_object_unref(j);
}

static void one_closed(VmJob *j)
{
    if (!--j->open)
        finish(j);
}

static void on_end(GObject *process, GAsyncResult *result, gpointer job)
{
    g_subprocess_wait_finish(G_SUBPROCESS(process), result, NULL);
    one_closed(job);
}

/* ---- what it says ---- */

static void on_line(GObject *stream, GAsyncResult *result, gpointer job);

static void read_line(VmJob *j)
{
    g_data_input_stream_read_line_async(j->told, G_PRIORITY_DEFAULT, NULL, on_line, j);
}

static void take_line(VmJob *j, const char *line)
{
    guint64 done, total;
    if (sscanf(line, "progress %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &done, &total) == 2) {
        j->fraction = total ? CLAMP((double)done / (double)total, 0, 1) : 1;
        g_object_notify(G_OBJECT(j), "fraction");
        return;
    }
    line += g_str_has_prefix(line, "vmctl: ") ? strlen("vmctl: ") : 0;
    if (j->notes->len < TEXT_MAX)
        g_string_append_printf(j->notes, "%s%s", j->notes->len ? "\n" : "", line);
}

static void on_line(GObject *stream, GAsyncResult *result, gpointer job)
{
    VmJob *j = job;
    gsize n;
    g_autofree char *line = g_data_input_stream_read_line_finish(G_DATA_INPUT_STREAM(stream), result, &n, NULL);
    g_autofree char *text = line ? g_utf8_make_valid(line, n) : NULL;
    if (!text) {
        one_closed(j);
        return;
    }
    take_line(j, text);
    read_line(j);
}

static void on_output(GObject *stream, GAsyncResult *result, gpointer job)
{
    VmJob *j = job;
    g_autoptr(GBytes) bytes = g_input_stream_read_bytes_finish(G_INPUT_STREAM(stream), result, NULL);
    gsize n = 0;
    const char *text = bytes ? g_bytes_get_data(bytes, &n) : NULL;
    if (!n) {
        one_closed(j);
        return;
    }
    if (j->output->len < TEXT_MAX)
        g_string_append_len(j->output, text, n);
    g_input_stream_read_bytes_async(G_INPUT_STREAM(stream), 65536, G_PRIORITY_DEFAULT, NULL, on_output, j);
}

/* ---- its beginning ---- */

static gboolean never_started(gpointer job)
{
    g_object_notify(G_OBJECT(job), "done");
    g_object_unref(job);
    return G_SOURCE_REMOVE;
}

static void listen_to(VmJob *j)
{
    GInputStream *out = g_subprocess_get_stdout_pipe(j->process);
    j->told = g_data_input_stream_new(g_subprocess_get_stderr_pipe(j->process));
    j->open = 3;
    read_line(j);
    g_input_stream_read_bytes_async(out, 65536, G_PRIORITY_DEFAULT, NULL, on_output, j);
    g_subprocess_wait_async(j->process, NULL, on_end, j);
}

static GSubprocess *spawn(const char *const *words, bool secret, GError **error)
{
    g_autofree char *program = program_find("vmctl");
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GSubprocessLauncher) l =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE |
                                  (secret ? G_SUBPROCESS_FLAGS_STDIN_PIPE : G_SUBPROCESS_FLAGS_NONE));
    if (!program) {
        g_set_error_literal(error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM,
                            _("the program vmctl is missing; install Terrarium anew"));
        return NULL;
    }
    g_ptr_array_add(argv, program);
    for (; *words; words++)
        g_ptr_array_add(argv, (gpointer)*words);
    g_ptr_array_add(argv, NULL);
    g_subprocess_launcher_setenv(l, "TERRARIUM_PROGRESS", "lines", TRUE);
    return g_subprocess_launcher_spawnv(l, (const char *const *)argv->pdata, error);
}

/* They are short, so a pipe takes it at once. */
static void tell(VmJob *j, const char *lines)
{
    GOutputStream *in = g_subprocess_get_stdin_pipe(j->process);
    if (g_output_stream_write_all(in, lines, strlen(lines), NULL, NULL, NULL))
        g_output_stream_write_all(in, "\n", 1, NULL, NULL, NULL);
    g_output_stream_close(in, NULL, NULL);
}

VmJob *vm_job_new(const char *title, const char *const *words)
{
    return vm_job_new_secret(title, words, NULL);
}

VmJob *vm_job_new_secret(const char *title, const char *const *words, const char *lines)
{
    VmJob *j = g_object_new(vm_job_get_type(), NULL);
    g_autoptr(GError) error = NULL;
    j->title = g_strdup(title);
    j->process = spawn(words, lines, &error);
    g_object_ref(j);
    if (j->process && lines)
        tell(j, lines);
    if (j->process) {
        listen_to(j);
        return j;
    }
    j->problem = g_strdup(error->message);
    j->done = true;
    g_idle_add(never_started, j);
    return j;
}

void vm_job_cancel(VmJob *j)
{
    if (j->done)
        return;
    j->cancelled = true;
    g_subprocess_send_signal(j->process, SIGINT);
}

bool vm_job_was_cancelled(VmJob *j)
{
    return j->cancelled;
}

const char *vm_job_title(VmJob *j)
{
    return j->title;
}

double vm_job_fraction(VmJob *j)
{
    return j->fraction;
}

const char *vm_job_problem(VmJob *j)
{
    return j->problem;
}

const char *vm_job_output(VmJob *j)
{
    return j->output->str;
}

const char *vm_job_note(VmJob *j)
{
    return j->notes->len ? j->notes->str : NULL;
}

/* ---- as an object ---- */

static void get_property(GObject *o, guint id, GValue *v, GParamSpec *spec)
{
    VmJob *j = VM_JOB(o);
    switch (id) {
    case PROP_FRACTION: g_value_set_double(v, j->fraction); break;
    case PROP_DONE: g_value_set_boolean(v, j->done); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
    }
}

static void finalize(GObject *o)
{
    VmJob *j = VM_JOB(o);
    g_clear_object(&j->told);
    g_clear_object(&j->process);
    g_string_free(j->output, TRUE);
    g_string_free(j->notes, TRUE);
    g_free(j->title);
    g_free(j->problem);
    G_OBJECT_CLASS(vm_job_parent_class)->finalize(o);
}

static void vm_job_class_init(VmJobClass *c)
{
    GObjectClass *o = G_OBJECT_CLASS(c);
    const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
    o->get_property = get_property;
    o->finalize = finalize;
    g_object_class_install_property(o, PROP_FRACTION, g_param_spec_double("fraction", NULL, NULL, -1, 1, -1, flags));
    g_object_class_install_property(o, PROP_DONE, g_param_spec_boolean("done", NULL, NULL, FALSE, flags));
}

static void vm_job_init(VmJob *j)
{
    j->output = g_string_new(NULL);
    j->notes = g_string_new(NULL);
    j->fraction = -1;
}
