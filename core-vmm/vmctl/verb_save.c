// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_save.c - vmctl save. */
#include "core-vmm/vmctl/verbs.h"

static int print_saved(const char *name, enum output how)
{
    struct machine_saved s = {0};
    saved_look(name, &s);
    if (how == OUTPUT_JSON) {
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "name", name);
        json_object_set_int_member(o, "bytes", s.bytes);
        print_json(o);
    } else {
        note("%s is saved (%.1f MiB); vmctl start %s goes on from here", name, (double)s.bytes / (1 << 20), name);
    }
    return EXIT_CODE_OK;
}

static int save(const struct verb *v, int argc, char **argv)
{
    gboolean quiet = FALSE;
    g_autofree char *output = NULL, *name = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code) || !output_parse(output, &how, &code))
        return code;
    g_autoptr(GError) error = NULL;
    struct progress bar;
    struct machine_job job = {progress_show, &bar};
    progress_start(&bar, "Saving", quiet, &job.cancel);
    bool good = client_suspend(argv[1], &job, &name, &error);
    progress_end(&bar);
    return good ? print_saved(name, how) : fail_error(error);
}

const struct verb verb_save = {"save", "NAME", "save a running machine to the disk, and end it",
                               "  vmctl save demo     Ctrl-C: it runs on\n"
                               "  vmctl start demo    goes on where it was",
                               save};
