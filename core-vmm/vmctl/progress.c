// SPDX-License-Identifier: GPL-2.0-or-later
/* progress.c - a bar on a terminal while something takes long, and signals that end it in good order. */
#include "core-vmm/vmctl/vmctl.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define BAR 40

/* A program that runs vmctl, as the manager does, is told by lines. */
static bool wants_lines(void)
{
    return !g_strcmp0(g_getenv("TERRARIUM_PROGRESS"), "lines");
}

void progress_show(void *ctx, uint64_t done, uint64_t total)
{
    struct progress *p = ctx;
    if (wants_lines())
        fprintf(stderr, "progress %" PRIu64 " %" PRIu64 "\n", done, total);
    int permille = total ? (int)((double)done / (double)total * 1000) : 1000;
    if (!p->terminal || permille == p->shown)
        return;
    p->shown = permille;
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++)
        bar[i] = i * 1000 < permille * BAR ? '#' : ' ';
    bar[BAR] = '\0';
    fprintf(stderr, "\r%s [%s] %3d.%d%%", p->what, bar, permille / 10, permille % 10);
}

/* Its own thread takes the signals, so that the operation can end in good order. */
static gpointer wait_for_signals(gpointer cancel)
{
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    while (sigwait(&set, &number) == 0)
        g_atomic_int_set((gint *)cancel, 1);
    return NULL;
}

void progress_start(struct progress *p, const char *what, bool quiet, gint *cancel)
{
    sigset_t set;
    *p = (struct progress){.what = what, .terminal = !quiet && isatty(STDERR_FILENO), .shown = -1};
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    g_thread_unref(g_thread_new("signals", wait_for_signals, cancel)); /* ends with the process */
}

void progress_end(struct progress *p)
{
    if (p->shown >= 0)
        fputc('\n', stderr);
}
