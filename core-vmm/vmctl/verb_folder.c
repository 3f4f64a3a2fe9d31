// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_folder.c - vmctl folder: folders that a machine's guest sees. */
#include "core-vmm/control/client_folder.h"
#include "core-vmm/vmctl/verbs.h"
#include <string.h>

struct folder_options {
    char *name, *links, *output;
    gboolean read_only;
};

static void print_folder(JsonObject *o)
{
    const char *state = !answer_has(o, "works") ? "" : answer_flag(o, "works") ? "  shared now" : "  not shared now";
    print("%-9s %-20s %-10s %s%s\n", answer_flag(o, "readonly") ? "readonly" : "-", answer_text(o, "name", "?"),
          answer_text(o, "symlinks", "?"), answer_text(o, "path", "?"), state);
}

static int list(const char *machine, enum output how)
{
    g_autoptr(GError) error = NULL;
    JsonObject *o = folder_table(machine, &error);
    if (!o)
        return fail_error(error);
    if (how == OUTPUT_JSON) {
        print_json(o);
        return EXIT_CODE_OK;
    }
    JsonArray *all = answer_array(o, "folders");
    for (unsigned i = 0; i < answer_count(all); i++)
        print_folder(answer_element(all, i));
    json_object_unref(o);
    return EXIT_CODE_OK;
}

static int add(const char *machine, const char *path, const struct folder_options *f)
{
    g_autoptr(GError) error = NULL;
    const struct folder_settings s = {path, f->name, f->links, f->read_only};
    unsigned number;
    return folder_share(machine, &s, &number, &error) ? EXIT_CODE_OK : fail_error(error);
}

static int rm(const char *machine, const char *which)
{
    g_autoptr(GError) error = NULL;
    return folder_unshare(machine, which, &error) ? EXIT_CODE_OK : fail_error(error);
}

static int dispatch(const struct verb *v, int argc, char **argv, const struct folder_options *f)
{
    enum output how;
    int code;
    if (!output_parse(f->output, &how, &code))
        return code;
    const char *part = argv[1];
    bool known = (!strcmp(part, "list") && argc == 3) || ((!strcmp(part, "add") || !strcmp(part, "rm")) && argc == 4);
    if (!known)
        return fail(EXIT_CODE_USAGE, "usage: vmctl folder %s", v->args);
    g_autofree char *machine = machine_resolve(argv[2], &code);
    if (!machine)
        return code;
    return !strcmp(part, "list")  ? list(machine, how)
           : !strcmp(part, "add") ? add(machine, argv[3], f)
                                  : rm(machine, argv[3]);
}

static int folder(const struct verb *v, int argc, char **argv)
{
    struct folder_options f = {0};
    const GOptionEntry entries[] = {
        {"name", 'n', 0, G_OPTION_ARG_STRING, &f.name, "Of add: what the guest calls it (the last part of the path)",
         "NAME"},
        {"readonly", 'r', 0, G_OPTION_ARG_NONE, &f.read_only, "Of add: the guest can change nothing in it", NULL},
        {"symlinks", 0, 0, G_OPTION_ARG_STRING, &f.links, "Of add: hide, show (default) or create", "HOW"},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &f.output, "Of list: table or json", "HOW"},
        {NULL},
    };
    int code;
    if (verb_options(v, entries, &argc, &argv, 2, 3, &code))
        code = dispatch(v, argc, argv, &f);
    g_free(f.name);
    g_free(f.links);
    g_free(f.output);
    return code;
}

const struct verb verb_folder = {"folder", "list NAME | add NAME PATH | rm NAME FOLDER",
                                 "folders of the host that the guest sees, by open-vm-tools",
                                 "  vmctl folder add demo ~/projects\n"
                                 "  vmctl folder add demo /srv/music --readonly --name music\n"
                                 "  vmctl folder rm demo music",
                                 folder};
