// SPDX-License-Identifier: GPL-2.0-or-later
/* main.c - terrarium-machine, which terrarium-vm (starter.c) becomes: one process, one running machine.
 *
 * Order matters: the outermost fence before the first instruction; the lock before anything is touched; sockets and serial ends opened before the fence closes; the fence
 * before the first thread and before anything is looked at that others made (images, firmware, kernels, control
 * clients); then the machine, then its threads, each behind a closer fence of its own.  Whoever started us learns by the
 * ready descriptor how that went: "ready\n", or "error CODE MESSAGE\n" with the exit code. */
#include "core-vmm/base/state_file.h"
#include "core-vmm/control/server.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/machine/drive_media.h"
#include "core-vmm/exit/exit_codes.h"
#include "core-vmm/host/firmware.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/stdio_guard.h"
#include "core-vmm/vm/ends.h"
#include "core-vmm/vm/folder_ends.h"
#include "core-vmm/vm/jail.h"
#include "core-vmm/vm/log.h"
#include "core-vmm/vm/net_line.h"
#include "core-vmm/vm/probe.h"
#include "core-vmm/vm/sound_line.h"
#include "core-vmm/vm/tpm_line.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct options {
    char *folder, *load; /* load: a saved state, or NULL */
    char *engine;        /* instead of machine.ini's, or NULL */
    char *disposable;    /* a folder with images for this run, or NULL */
    char *outer; /* which processes there are around this one, in the order of their numbers on the line: "network" */
    int ready_fd, line_fd;
    gboolean no_jail, probe, foreground, die_with_parent;
};
struct process {
    struct options o;
    char *name, *ini, *runtime, *socket;
    int lock, listening;
    int state;                  /* the saved state to begin with, open; -1: none */
    int older[STATE_BASES_MAX]; /* those that it may build upon */
    unsigned older_count;
    char *suspended; /* its path, if it is the machine's own */
    struct sweeping sweeping;
    GHashTable *ends; /* of serial ports, until the machine has them */
    struct fence_filters *filters;
    GMainLoop *loop;
    struct machine *machine;
    struct outer *outer; /* NULL: whoever started us made no processes around this one */
    struct net_line *network;
    struct additions *additions; /* NULL: the machine has none */
    struct tpm_line *tpm;
    GPtrArray *folders; /* struct folder_end */
    struct sound_line *sound;
    struct server_options server_options;
    struct server *server;
    bool variables;    /* its firmware keeps some */
    bool taken;        /* another process has the machine */
    bool paused_by_us; /* a full disk */
    int exit_code;
};

/* ---- events ---- */

static void on_machine_event(void *ctx, const struct machine_event *e)
{
    static const char *const names[] = {"stopped", "running", "paused"};
    struct process *p = ctx;
    if (e->reset) {
        if (p->additions)
            additions_reset(p->additions);
        if (p->server)
            server_state_changed(p->server, e);
        return;
    }
    g_message("the machine is %s%s%s", names[e->state], e->message ? ": " : "", e->message ? e->message : "");
    if (p->server)
        server_state_changed(p->server, e);
    if (e->state == MACHINE_RUNNING && p->additions)
        additions_resumed(p->additions);
    if (e->state != MACHINE_STOPPED)
        return;
    p->exit_code = exit_code_of_end(e->end, e->code);
    if (p->o.foreground && e->message)
        g_printerr("terrarium-vm: %s\n", e->message);
    g_main_loop_quit(p->loop);
}

static void on_crash(void *ctx, const struct machine_crash *c)
{
    struct process *p = ctx;
    if (p->server)
        server_broadcast(p->server, "crash", crash_describe(c));
}

static gboolean on_signal(gpointer data)
{
    struct process *p = data;
    g_message("a signal asks the machine to stop");
    machine_stop(p->machine, MACHINE_END_STOPPED, 0, NULL);
    return G_SOURCE_CONTINUE;
}

static void on_disk_full(void *ctx, struct drive *v, bool full, const char *message)
{
    struct process *p = ctx;
    JsonObject *o = json_object_new();
    g_warning("%s", message);
    json_object_set_string_member(o, "drive", drive_section(v));
    json_object_set_boolean_member(o, "full", full);
    json_object_set_string_member(o, "message", message);
    server_broadcast(p->server, "disk-full", o);
    if (full && machine_state(p->machine) == MACHINE_RUNNING) {
        machine_pause(p->machine);
        p->paused_by_us = true;
    } else if (!full && p->paused_by_us) {
        p->paused_by_us = false;
        machine_resume(p->machine);
    }
}

/* ---- set-up ---- */

static bool take_folder(struct process *p, GError **error)
{
    pid_t holder;
    p->ini = g_build_filename(p->o.folder, "machine.ini", NULL);
    p->name = g_path_get_basename(p->o.folder);
    if (access(p->ini, R_OK)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", p->ini, g_strerror(errno));
        return false;
    }
    if (!vm_name_check(p->name, error))
        return false;
    p->lock = machine_lock(p->o.folder, &holder, error);
    p->taken = holder != 0;
    return p->lock >= 0 && log_open(p->o.folder, p->o.foreground, error);
}

/* Once in the jail, one can see that somebody has an image, but not who. */
static bool images_free(struct process *p, GKeyFile *file, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s; s++) {
        struct config c = {file, p->ini, *s};
        if (schema_find(*s, "file", NULL) && !drive_not_in_use(&c, p->o.folder, error))
            return false;
    }
    return true;
}

/* What a snapshot's state builds upon lies beside those of snapshots (host/snapshot_settle.c). */
static void open_older(struct process *p, const char *state)
{
    g_autofree char *folder = g_path_get_dirname(state);
    for (unsigned n = 1; n <= STATE_BASES_MAX; n++) {
        g_autofree char *path = paths_saved_base(folder, n);
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
            return;
        p->older[p->older_count++] = fd;
    }
}

/* The one that was asked for, or the machine's own, if it has one.  A pipe of that name must not hold us up. */
static bool open_state(struct process *p, GError **error)
{
    g_autofree char *own = g_build_filename(p->o.folder, PATHS_SAVED, NULL);
    const char *path = p->o.load ? p->o.load : own;
    p->state = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (p->state < 0 && !p->o.load && errno == ENOENT)
        return true;
    if (p->state < 0 || fstat(p->state, &p->sweeping.file)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
        return false;
    }
    open_older(p, path);
    if (!p->o.load)
        p->suspended = g_steal_pointer(&own);
    return true;
}

/* The file is there before the fence closes, and is opened inside of it like an image. */
static bool prepare_variables(struct process *p, GKeyFile *file, GError **error)
{
    const struct config c = {file, p->ini, "machine"};
    struct firmware_choice f;
    bool good = firmware_choose(&c, &f, error) && firmware_vars_prepare(p->o.folder, &f, error);
    p->variables = good && f.variables;
    firmware_choice_clear(&f);
    return good;
}

/* All that comes from outside and is not an image: nothing of it can be opened later. */
static bool open_outside(struct process *p, GKeyFile *file, GError **error)
{
    p->runtime = paths_runtime_of(p->name, error);
    if (!p->runtime || !prepare_variables(p, file, error) || !open_state(p, error) ||
        (!p->o.no_jail && !images_free(p, file, error)))
        return false;
    p->socket = g_build_filename(p->runtime, "control", NULL);
    p->listening = socket_listen(p->socket, error);
    p->ends = p->listening >= 0 ? ends_open(file, p->ini, p->o.folder, error) : NULL;
    return p->ends != NULL;
}

static bool fence(struct process *p, GKeyFile *file, GError **error)
{
    struct jail jail = {p->o.folder, file, p->ini, p->variables};
    g_autoptr(GPtrArray) names = ends_names(p->ends);
    static const char *const others[] = {PATHS_NETWORK, PATHS_VNC, PATHS_VNC_SCREEN};
    g_ptr_array_set_free_func(names, g_free);
    g_ptr_array_add(names, g_strdup(p->socket));
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
        g_ptr_array_add(names, g_build_filename(p->runtime, others[i], NULL));
    g_ptr_array_add(names, NULL);
    p->filters = p->o.no_jail ? NULL : fence_filters_new(error);
    p->sweeping.lock = p->lock;
    p->sweeping.names = (char **)names->pdata;
    p->sweeping.runtime = p->runtime;
    p->sweeping.state = p->suspended;
    return p->o.no_jail || (p->filters && sweeper_start(&p->sweeping, error) && jail_close(&jail, error));
}

static bool thread_begins(void *ctx, enum machine_thread kind)
{
    struct process *p = ctx;
    g_autoptr(GError) error = NULL;
    bool good = fence_thread(p->filters, kind == MACHINE_THREAD_VCPU ? FENCE_VCPU : FENCE_WORKER, &error);
    if (!good)
        machine_stop(p->machine, MACHINE_END_FAILED, 0, error->message);
    return good;
}

static void watch_signals(struct process *p)
{
    g_unix_signal_add(SIGTERM, on_signal, p); /* makes a thread */
    g_unix_signal_add(SIGINT, on_signal, p);
}

static bool restore(struct process *p, GError **error)
{
    GError *why = NULL;
    if (p->state < 0 || machine_restore(p->machine, p->state, p->older, p->older_count, &why))
        return true;
    if (p->suspended)
        g_propagate_error(error, g_error_new(why->domain, why->code,
                                             "%s (%s is suspended; vmctl discard-state %s gives "
                                             "its state up, and it starts from the beginning)",
                                             why->message, p->name, p->name));
    else
        g_propagate_prefixed_error(error, g_error_copy(why), "%s: ", p->o.load);
    g_error_free(why);
    return false;
}

/* For this run drives have other images, on top of those that machine.ini names. */
static void use_disposable(struct process *p, GKeyFile *file)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s && p->o.disposable; s++) {
        g_autofree char *name = g_strconcat(*s, ".qcow2", NULL), *path = g_build_filename(p->o.disposable, name, NULL);
        if (!schema_find(*s, "file", NULL) || !g_file_test(path, G_FILE_TEST_IS_REGULAR))
            continue;
        g_key_file_set_string(file, *s, "file", path);
        g_key_file_set_string(file, *s, "format", "qcow2");
    }
}

/* A guest whose real-time clock stands while the machine does is to be left alone. */
static void add_additions(struct process *p, GKeyFile *file)
{
    static const char *const policies[] = {"off", "to-guest", "to-host", "both", NULL}; /* as enum clipboard_policy */
    struct config c = {file, p->ini, "machine"}, of_additions = {file, p->ini, "additions"};
    g_autofree char *rtc = config_string(&c, "rtc");
    unsigned policy = CLIPBOARD_OFF;
    if (g_key_file_has_group(file, "additions") && config_choice(&of_additions, "clipboard", policies, &policy, NULL))
        p->additions = additions_new(p->machine, !strcmp(rtc, "host"), policy);
    if (p->additions)
        folder_ends_declare(p->additions, file, p->ini);
}

static bool build(struct process *p, GError **error)
{
    g_autoptr(GKeyFile) file = schema_load(p->ini, error);
    if (file)
        use_disposable(p, file);
    if (file && p->o.engine)
        g_key_file_set_string(file, "machine", "engine", p->o.engine);
    if (!file || !schema_check_together(file, p->ini, p->o.folder, error) || !open_outside(p, file, error) ||
        !fence(p, file, error))
        return false;
    watch_signals(p);
    p->machine = machine_new(file, p->ini, p->o.folder, p->ends, error);
    if (p->machine)
        add_additions(p, file);
    if (!p->machine || !restore(p, error))
        return false;
    if (p->state >= 0)
        g_message("it goes on from a saved state");
    g_message("engine %s: %s", machine_engine(p->machine), machine_engine_reason(p->machine));
    for (struct drive *v = drive_next(p->machine, NULL); v; v = drive_next(p->machine, v))
        drive_on_full(v, on_disk_full, p);
    machine_on_event(p->machine, on_machine_event, p);
    machine_on_crash(p->machine, on_crash, p);
    if (p->filters)
        machine_on_thread(p->machine, (struct thread_hook){thread_begins, p});
    return true;
}

/* What it does not know it leaves alone: then that end's socket is never taken. */
static void attach_ends(struct process *p)
{
    struct folder_end *folder;
    if (p->o.line_fd < 0 || !p->o.outer)
        return;
    g_auto(GStrv) names = g_strsplit(p->o.outer, ",", OUTER_ENDS_MAX);
    p->outer = outer_new(p->o.line_fd, g_strv_length(names));
    for (unsigned i = 0; names[i]; i++)
        if (!strcmp(names[i], "network") && !p->network)
            p->network = net_line_new(p->machine, p->outer, i);
        else if (!strcmp(names[i], "tpm") && !p->tpm)
            p->tpm = tpm_line_new(p->machine, p->outer, i);
        else if (p->additions && (folder = folder_end_new(p->additions, p->outer, i, names[i])))
            g_ptr_array_add(p->folders, folder);
        else if (!strcmp(names[i], "sound") && !p->sound)
            p->sound = sound_line_new(p->machine, p->outer, i);
}

static void serve(struct process *p)
{
    p->server_options = (struct server_options){.machine = p->machine,
                                                .name = p->name,
                                                .folder = p->o.folder,
                                                .started_us = g_get_monotonic_time(),
                                                .additions = p->additions,
                                                .disposable = p->o.disposable != NULL};
    p->server = server_new(&p->server_options, p->listening, p->socket);
    p->listening = -1;
}

static bool may_run(void *process, GError **error)
{
    struct process *p = process;
    return sweeper_remove_state(&p->sweeping, error);
}

static bool set_up(struct process *p, GError **error)
{
    if (!take_folder(p, error) || !build(p, error))
        return false;
    attach_ends(p);
    serve(p);
    if (p->filters && !fence_holds(error))
        return false;
    machine_on_start(p->machine, (struct start_hook){may_run, p});
    if (!machine_start(p->machine, error))
        return false;
    return !p->filters || fence_thread(p->filters, FENCE_LOOP, error);
}

/* To whoever started us; a sentence on stderr if nobody did. */
static void report(struct process *p, const GError *error)
{
    if (p->o.ready_fd >= 0) {
        FILE *f = fdopen(p->o.ready_fd, "w");
        if (f && error)
            fprintf(f, "error %d %s\n", p->exit_code, error->message);
        else if (f)
            fprintf(f, "ready\n");
        if (f)
            fclose(f);
    } else if (error) {
        g_printerr("terrarium-vm: %s\n", error->message);
    }
}

static void clean_up(struct process *p)
{
    if (p->server)
        server_drain(p->server);
    for (struct drive *v = p->machine ? drive_next(p->machine, NULL) : NULL; v; v = drive_next(p->machine, v))
        drive_give_up(v);
    server_free(p->server);
    net_line_free(p->network);
    tpm_line_free(p->tpm);
    sound_line_free(p->sound);
    outer_free(p->outer);
    g_ptr_array_unref(p->folders);
    if (p->machine)
        machine_free(p->machine);
    additions_free(p->additions);
    g_clear_pointer(&p->ends, g_hash_table_unref);
    if (p->listening >= 0)
        close(p->listening);
    if (p->runtime)
        rmdir(p->runtime); /* not from inside of the fence: see sweeper.c */
    if (p->lock >= 0)
        close(p->lock);
    if (p->state >= 0)
        close(p->state);
    for (unsigned i = 0; i < p->older_count; i++)
        close(p->older[i]);
    fence_filters_free(p->filters);
    g_free(p->suspended);
    g_free(p->socket);
    g_free(p->runtime);
    g_free(p->ini);
    g_free(p->name);
    g_free(p->o.folder);
    g_free(p->o.load);
    g_free(p->o.engine);
    g_free(p->o.disposable);
    g_free(p->o.outer);
}

static void run(struct process *p)
{
    g_autoptr(GError) error = NULL;
    p->loop = g_main_loop_new(NULL, FALSE);
    p->folders = g_ptr_array_new_with_free_func(g_free);
    signal(SIGPIPE, SIG_IGN);
    if (set_up(p, &error)) {
        report(p, NULL);
        g_main_loop_run(p->loop);
    } else {
        g_message("the machine did not start: %s", error->message);
        p->exit_code = p->taken ? EXIT_CODE_WRONG_STATE : exit_code_of_error(error);
        report(p, error);
    }
    clean_up(p);
    g_main_loop_unref(p->loop);
}

static bool parse(struct options *o, int argc, char **argv)
{
    g_autofree char *folder = NULL;
    const GOptionEntry entries[] = {
        {"folder", 'f', 0, G_OPTION_ARG_FILENAME, &folder, "The machine's folder, with its machine.ini (default: here)",
         "DIR"},
        {"foreground", 0, 0, G_OPTION_ARG_NONE, &o->foreground, "Warnings and the machine's end on stderr too", NULL},
        {"ready-fd", 0, 0, G_OPTION_ARG_INT, &o->ready_fd, "Tell on this descriptor how the start went", "FD"},
        {"line-fd", 0, 0, G_OPTION_ARG_INT, &o->line_fd, "What keeps the processes around this one talks here", "FD"},
        {"outer", 0, 0, G_OPTION_ARG_STRING, &o->outer, "Which of them there are, by commas: network, tpm, folder1",
         "NAMES"},
        {"die-with-parent", 0, 0, G_OPTION_ARG_NONE, &o->die_with_parent, "Stop when whoever started this ends", NULL},
        {"no-jail", 0, 0, G_OPTION_ARG_NONE, &o->no_jail, "Keep all privileges, for debugging", NULL},
        {"load", 0, 0, G_OPTION_ARG_FILENAME, &o->load, "Go on from a saved state (vmctl debug save)", "FILE"},
        {"engine", 0, 0, G_OPTION_ARG_STRING, &o->engine, "For this run, instead of that in machine.ini", "ENGINE"},
        {"disposable", 0, 0, G_OPTION_ARG_FILENAME, &o->disposable, "Images for this run, DRIVE.qcow2", "DIR"},
        {"probe", 0, 0, G_OPTION_ARG_NONE, &o->probe, "Print what this host offers, as JSON", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- runs one virtual machine (see vmctl)");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
        g_printerr("terrarium-vm: %s\n", error ? error->message : "takes no arguments but options");
        return false;
    }
    o->folder = o->probe ? NULL : g_canonicalize_filename(folder ? folder : ".", NULL);
    return true;
}

int main(int argc, char **argv)
{
    struct process p = {.o.ready_fd = -1, .o.line_fd = -1, .lock = -1, .listening = -1, .state = -1};
    prctl(PR_SET_NAME, "terrarium-vm"); /* as it was started */
    stdio_guard();
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error of writing, like others */
    setlocale(LC_ALL, "");
    tzset(); /* the zone's file is read now: localtime_r() of a fenced thread finds it in memory */
    umask(077);
    if (!parse(&p.o, argc, argv))
        return EXIT_CODE_USAGE;
    if (p.o.die_with_parent)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (p.o.probe)
        return probe_print();
    run(&p);
    return p.exit_code;
}
