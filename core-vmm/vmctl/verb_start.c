// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_start.c - vmctl start. */
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/vmctl/verbs.h"
#include <errno.h>
#include <sys/wait.h>

#define ANSWER_MS 5000

static void tell_engine(const char *name)
{
    JsonObject *o = client_info(name, ANSWER_MS, NULL);
    if (!o)
        return;
    note("%s runs; engine %s: %s", name, answer_text(o, "engine", "?"), answer_text(o, "engine-reason", "?"));
    json_object_unref(o);
}

static void tell_network(const char *name)
{
    g_autoptr(GPtrArray) remarks = network_remarks(name);
    for (unsigned i = 0; i < remarks->len; i++)
        note("%s", (char *)remarks->pdata[i]);
}

static void tell_installing(const char *name)
{
    g_autofree char *folder = machines_folder(name), *ini = machines_ini(name);
    g_autoptr(GKeyFile) file = is_installing(folder) ? schema_load(ini, NULL) : NULL;
    if (file && g_key_file_has_key(file, "machine", "kernel", NULL))
        note("it installs its system; the start after that is an ordinary one");
    else if (file)
        note("its installation is not known to be over: vmctl unattended finish %s ends it, vmctl unattended again %s "
             "lets the "
             "next start begin it again, over what is on the disk",
             name, name);
}

static void tell_vnc(const char *name)
{
    g_autoptr(JsonObject) o = vnc_ask(name, "status", NULL, NULL);
    if (o)
        note("VNC listens at %s", answer_text(o, "where", "?"));
}

static void tell_saved(const struct machine_saved *s)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(s->time);
    g_autofree char *text = g_date_time_format(time, "%F %T");
    note("it goes on from where it was saved at %s", text);
}

static int wait_for(GPid pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_CODE_FAILED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CODE_CRASHED;
}

static int start_machine(const char *name, const struct machine_start *how)
{
    g_autoptr(GError) error = NULL;
    struct machine_run r;
    struct machine_saved saved;
    bool goes_on = !how->load && saved_look(name, &saved);
    if (!machines_start(name, how, &r, &error))
        return fail(r.refusal ? r.refusal : exit_code_of_error(error), "%s", error->message);
    tell_engine(name);
    if (goes_on)
        tell_saved(&saved);
    if (how->disposable)
        note("what its disks get is gone when it ends");
    tell_network(name);
    tell_installing(name);
    tell_vnc(name);
    return how->terminal ? wait_for(r.pid) : EXIT_CODE_OK;
}

static int start(const struct verb *v, int argc, char **argv)
{
    gboolean foreground = FALSE, window = FALSE, no_jail = FALSE, disposable = FALSE;
    g_autofree char *load = NULL, *vnc = NULL, *engine = NULL;
    double patience = MACHINE_START_SECONDS;
    const GOptionEntry entries[] = {
        {"foreground", 'f', 0, G_OPTION_ARG_NONE, &foreground, "Stay with it; its stdio is this terminal", NULL},
        {"window", 'w', 0, G_OPTION_ARG_NONE, &window, "Open a window with its screen", NULL},
        {"timeout", 't', 0, G_OPTION_ARG_DOUBLE, &patience, "How long it may take to be ready (60), exit code 5",
         "SECONDS"},
        {"disposable", 0, 0, G_OPTION_ARG_NONE, &disposable, "Nothing that its disks get in this run stays", NULL},
        {"vnc", 0, 0, G_OPTION_ARG_STRING, &vnc, "Start its VNC server too, this time: auto, :1, unix", "WHERE"},
        {"engine", 'e', 0, G_OPTION_ARG_STRING, &engine, "This time: auto, kvm, soft or interp", "ENGINE"},
        {"no-jail", 0, 0, G_OPTION_ARG_NONE, &no_jail, "Do not fence the VM process, for debugging", NULL},
        {"load", 0, 0, G_OPTION_ARG_FILENAME, &load, "Go on from a state of vmctl debug save", "FILE"},
        {NULL},
    };
    int code;
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    if (!(patience > 0 && patience < 1e9))
        return fail(EXIT_CODE_USAGE, "--timeout: more than 0 seconds");
    g_autofree char *name = machine_resolve(argv[1], &code);
    if (!name)
        return code;
    code = start_machine(name, &(struct machine_start){.terminal = foreground,
                                                       .unfenced = no_jail,
                                                       .seconds = patience,
                                                       .vnc = vnc,
                                                       .load = load,
                                                       .disposable = disposable,
                                                       .engine = engine});
    if (!code && window && !foreground)
        window_open(name, true);
    return code;
}

const struct verb verb_start = {"start", "NAME", "start a machine in the background",
                                "  vmctl start demo --window\n  vmctl start demo && vmctl wait demo --serial login:\n"
                                "  vmctl start demo --disposable     forgets everything at power-off\n"
                                "  vmctl start demo --engine soft    a saved one goes on under another engine, too",
                                start};
