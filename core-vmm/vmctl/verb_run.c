// SPDX-License-Identifier: GPL-2.0-or-later
/* A throw-away machine: its folder lies among the runtime files and goes with it.  We are between the user and the VM
 * process: signals go to it as a request to stop, its exit code becomes ours, the terminal is put right after it. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define STOP_SECONDS 10 /* then SIGKILL */
#define GONE_TRIES   100
#define GONE_US      10000

struct run_options {
    struct settings settings;
    gboolean headless, no_jail;
    char *load;     /* a state, or NULL */
    double timeout; /* 0: none */
};

/* ---- what the bare FILE means ---- */

static bool is_floppy(const char *path)
{
    static const unsigned kib[] = {160, 180, 320, 360, 720, 1200, 1440, 2880};
    struct stat st;
    for (unsigned i = 0; i < G_N_ELEMENTS(kib); i++)
        if (!stat(path, &st) && st.st_size == kib[i] * 1024)
            return true;
    return false;
}

static void append(char ***list, const char *item)
{
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    if (*list)
        g_strv_builder_addv(b, (const char **)*list);
    g_strv_builder_add(b, item);
    g_strfreev(*list);
    *list = g_strv_builder_end(b);
}

static void take_file(struct settings *s, const char *path)
{
    g_autofree char *lower = g_ascii_strdown(path, -1);
    bool cd = g_str_has_suffix(lower, ".iso"), floppy = !cd && is_floppy(path);
    append(cd ? &s->cdroms : floppy ? &s->floppies : &s->disks, path);
    if (!s->boot)
        s->boot = g_strdup(cd ? "cdrom,disk,floppy" : floppy ? "floppy,disk,cdrom" : "disk,cdrom,floppy");
}

/* ---- waiting for the end ---- */

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigprocmask(SIG_BLOCK, set, NULL);
}

static bool reaped(GPid pid, int *status)
{
    return waitpid(pid, status, WNOHANG) == pid;
}

/* Until the process ends, or a signal, or the deadline.  True: it has ended. */
static bool wait_until(GPid pid, const sigset_t *set, gint64 deadline, int *status, bool *asked)
{
    *asked = false;
    while (!reaped(pid, status)) {
        gint64 us = deadline - g_get_monotonic_time();
        if (us <= 0)
            return false;
        struct timespec t = {us / G_USEC_PER_SEC, us % G_USEC_PER_SEC * 1000};
        int signal = sigtimedwait(set, NULL, &t);
        if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) {
            *asked = true;
            return false;
        }
    }
    return true;
}

static int say_end(int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CODE_CRASHED;
    if (!WIFEXITED(status))
        fail(code, "the VM process was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (code == EXIT_CODE_STOPPED)
        note("vmctl: the machine was stopped");
    else if (code == EXIT_CODE_RESET)
        note("vmctl: the guest reset the machine");
    else if (code >= EXIT_CODE_DEBUG)
        note("vmctl: the guest ended with debug exit %d", code - EXIT_CODE_DEBUG);
    return code;
}

static int watch(GPid pid, const sigset_t *set, double timeout)
{
    gint64 deadline = timeout > 0 ? g_get_monotonic_time() + (gint64)(timeout * G_USEC_PER_SEC) : G_MAXINT64;
    bool asked;
    int status;
    if (wait_until(pid, set, deadline, &status, &asked))
        return say_end(status);
    kill(pid, SIGTERM);
    gint64 patience = g_get_monotonic_time() + STOP_SECONDS * G_USEC_PER_SEC;
    bool again;
    while (!wait_until(pid, set, patience, &status, &again))
        if (!again)
            kill(pid, SIGKILL);
    return asked ? say_end(status) : fail(EXIT_CODE_TIMEOUT, "the machine was stopped after %g s", timeout);
}

/* The user has never seen this machine.ini: its name says nothing. */
static int not_started(int code, const char *message, const char *folder)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini: ", NULL);
    return fail(code, "%s", g_str_has_prefix(message, ini) ? message + strlen(ini) : message);
}

static int run_folder(const char *folder, const struct run_options *o)
{
    g_autoptr(GError) error = NULL;
    const struct machine_start how = {.terminal = true,
                                      .unfenced = o->no_jail,
                                      .seconds = o->timeout > 0 ? o->timeout : MACHINE_START_SECONDS,
                                      .load = o->load};
    struct termios terminal;
    bool has_terminal = !tcgetattr(STDIN_FILENO, &terminal) && tcgetpgrp(STDIN_FILENO) == getpgrp();
    struct machine_run r;
    sigset_t set;
    block_signals(&set);
    if (!machines_start_folder(folder, &how, &r, &error))
        return not_started(r.refusal ? r.refusal : exit_code_of_error(error), error->message, folder);
    g_autofree char *name = g_path_get_basename(folder);
    GPid window = o->headless ? 0 : window_open(name, false);
    int code = watch(r.pid, &set, o->timeout);
    if (window)
        kill(window, SIGTERM); /* still our child, so the id is still its */
    if (has_terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
    return code;
}

static bool names_one(char **paths)
{
    while (paths && *paths && !**paths) /* "": an empty drive */
        paths++;
    return paths && *paths;
}

/* A --set may be a kernel: it gets the benefit of the doubt. */
static bool has_something(const struct settings *s)
{
    return names_one(s->disks) || names_one(s->cdroms) || names_one(s->floppies) || s->kernel || s->firmware || s->sets;
}

static int run_machine(struct run_options *o, const char *path)
{
    g_autoptr(GError) error = NULL;
    if (!path && !has_something(&o->settings))
        return fail(EXIT_CODE_USAGE, "nothing to boot: name an image, or give --kernel, --disk, --cdrom or --floppy");
    if (!(o->timeout >= 0 && o->timeout < 1e9))
        return fail(EXIT_CODE_USAGE, "--timeout: seconds from 0");
    if (path)
        take_file(&o->settings, path);
    int lock;
    g_autofree char *folder = machines_create_throwaway(&o->settings, &lock, &error);
    settings_tell(&o->settings);
    if (!folder)
        return fail_error(error);
    int code = run_folder(folder, o);
    for (unsigned i = 0; i < GONE_TRIES && machine_lock_holder(folder); i++) /* it has ended, but is not swept up yet */
        g_usleep(GONE_US);
    machines_end_throwaway(folder, lock);
    return code;
}

static int run(const struct verb *v, int argc, char **argv)
{
    struct run_options o = {0};
    const GOptionEntry more[] = {
        {"headless", 0, 0, G_OPTION_ARG_NONE, &o.headless, "No window", NULL},
        {"timeout", 't', 0, G_OPTION_ARG_DOUBLE, &o.timeout, "Stop it after this, exit code 5", "SECONDS"},
        {"no-jail", 0, 0, G_OPTION_ARG_NONE, &o.no_jail, "Do not fence the VM process, for debugging", NULL},
        {"load", 0, 0, G_OPTION_ARG_FILENAME, &o.load, "Go on from a state of vmctl debug save", "FILE"},
        {NULL},
    };
    g_autofree GOptionEntry *entries = settings_entries(&o.settings, more);
    int code;
    if (verb_options(v, entries, &argc, &argv, 0, 1, &code))
        code = run_machine(&o, argc > 1 ? argv[1] : NULL);
    settings_clear(&o.settings);
    g_free(o.load);
    return code;
}

const struct verb verb_run = {
    "run", "[FILE.iso|FILE.img]", "run a throw-away machine until its guest ends",
    "  vmctl run debian.iso --memory 2G\n"
    "  vmctl run --kernel vmlinuz --initrd initrd.gz --cmdline console=ttyS0 --serial stdio --headless\n"
    "On a terminal, Ctrl-A x ends a machine whose serial port is stdio.\n"
    "The exit code says how the guest ended: 0 switched off, 20 stopped, 21 reset, 22 engine failed, 64+N debug exit "
    "N.",
    run};
