// SPDX-License-Identifier: GPL-2.0-or-later
/* job.c - see job.h. */
#include "gui/screen/job.h"
#include "core-vmm/host/machines.h"
#include <gio/gio.h>
#include <string.h>

struct job {
    char **argv; /* of vmctl; NULL: it is a call */
    job_call call;
    char *arg;
    uint32_t event;
    job_done done;
    void *ctx;
    char *output, *problem;
};

static void job_free(struct job *j)
{
    g_strfreev(j->argv);
    g_free(j->arg);
    g_free(j->output);
    g_free(j->problem);
    g_free(j);
}

/* The last that it said; its own name does not belong to the sentence. */
static char *sentence(const char *errors)
{
    g_autofree char *text = g_strstrip(g_utf8_make_valid(errors ? errors : "", -1));
    const char *last = strrchr(text, '\n');

    last = last ? last + 1 : text;
    last += g_str_has_prefix(last, "vmctl: ") ? strlen("vmctl: ") : 0;
    return g_strdup(*last ? last : "vmctl ended unexpectedly");
}

static void run(struct job *j)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *errors = NULL;
    g_autoptr(GSubprocess) p = g_subprocess_newv(
        (const char *const *)j->argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &error);

    if (!p || !g_subprocess_communicate_utf8(p, NULL, NULL, &j->output, &errors, &error))
        j->problem = g_strdup(error->message);
    else if (!g_subprocess_get_successful(p))
        j->problem = sentence(errors);
}

static gpointer work(gpointer data)
{
    struct job *j = data;

    if (j->call)
        j->output = j->call(j->arg, &j->problem);
    else if (!j->argv[0])
        j->problem = g_strdup("the program vmctl is missing; install Terrarium anew");
    else
        run(j);
    SDL_PushEvent(&(SDL_Event){.user = {.type = j->event, .data1 = j}});
    return NULL;
}

static void start(struct jobs *jobs, struct job job)
{
    if (!jobs->event)
        jobs->event = SDL_RegisterEvents(1);
    job.event = jobs->event;
    g_thread_unref(g_thread_new("job", work, g_memdup2(&job, sizeof job)));
}

void job_start_call(struct jobs *jobs, job_call call, const char *arg, job_done done, void *ctx)
{
    start(jobs, (struct job){.call = call, .arg = g_strdup(arg), .done = done, .ctx = ctx});
}

void job_start(struct jobs *jobs, const char *const *words, job_done done, void *ctx)
{
    GPtrArray *argv = g_ptr_array_new();

    g_ptr_array_add(argv, program_find("vmctl"));
    for (; *words; words++)
        g_ptr_array_add(argv, g_strdup(*words));
    g_ptr_array_add(argv, NULL);
    start(jobs, (struct job){.argv = (char **)g_ptr_array_free(argv, FALSE), .done = done, .ctx = ctx});
}

bool job_finish(struct jobs *jobs, const SDL_Event *e)
{
    struct job *j;

    if (!jobs->event || e->type != jobs->event)
        return false;
    j = e->user.data1;
    if (j->done)
        j->done(j->ctx, j->output, j->problem);
    job_free(j);
    return true;
}
