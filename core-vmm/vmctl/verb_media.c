// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_media.c - vmctl media. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/vmctl/media.h"
#include "core-vmm/api/config.h"
#include <stdio.h>
#include <string.h>

struct media_options {
    char *drive, *format, *output;
    gboolean readonly, force;
};

static void print_drive(JsonObject *o)
{
    g_autofree char *size = size_format(answer_number(o, "bytes", 0, G_MAXINT64, 0));
    print("%-10s %-8s %s\n", answer_text(o, "drive", "?"), answer_has(o, "file") ? size : "-",
          answer_text(o, "file", "(empty)"));
}

static int print_drives(JsonObject *o)
{
    g_autoptr(GError) error = NULL;
    JsonArray *drives = answer_need_array(o, "drives", &error);
    for (unsigned i = 0; i < answer_count(drives); i++)
        print_drive(answer_element(drives, i));
    return drives ? EXIT_CODE_OK : fail_error(error);
}

static int list(const char *given, enum output how)
{
    int code;
    struct client *c = machine_connect(given, NULL, &code);
    JsonObject *o = c ? machine_call(c, "media.list", NULL, &code) : NULL;
    client_free(c);
    if (!o)
        return code;
    if (how == OUTPUT_JSON) {
        print_json(o);
        return code;
    }
    code = print_drives(o);
    json_object_unref(o);
    return code;
}

static int insert(const char *given, const char *file, const struct media_options *m)
{
    g_autoptr(GError) error = NULL;
    int code;
    struct client *c = machine_connect(given, NULL, &code);
    if (!c)
        return code;
    bool good = client_insert(c, file, m->drive, m->format, m->readonly, &error);
    client_free(c);
    return good ? EXIT_CODE_OK : fail_error(error);
}

static int eject(const char *given, const struct media_options *m)
{
    JsonObject *args = json_object_new();
    if (m->drive)
        json_object_set_string_member(args, "drive", m->drive);
    json_object_set_boolean_member(args, "force", m->force);
    return machine_command(given, "media.eject", args);
}

static int dispatch(const struct verb *v, int argc, char **argv, const struct media_options *m)
{
    enum output how;
    int code;
    if (!output_parse(m->output, &how, &code))
        return code;
    if (!strcmp(argv[1], "list") && argc == 3)
        return list(argv[2], how);
    if (!strcmp(argv[1], "detect") && argc == 3)
        return media_detect(argv[2], how);
    if (!strcmp(argv[1], "insert") && argc == 4)
        return insert(argv[2], argv[3], m);
    if (!strcmp(argv[1], "eject") && argc == 3)
        return eject(argv[2], m);
    return fail(EXIT_CODE_USAGE, "usage: vmctl media %s", v->args);
}

static int media(const struct verb *v, int argc, char **argv)
{
    struct media_options m = {0};
    const GOptionEntry entries[] = {
        {"drive", 'd', 0, G_OPTION_ARG_STRING, &m.drive, "Which drive, like ide2 (default: the only one)", "DRIVE"},
        {"format", 0, 0, G_OPTION_ARG_STRING, &m.format, "The image's format, if its name does not tell", "FORMAT"},
        {"readonly", 0, 0, G_OPTION_ARG_NONE, &m.readonly, "Write-protected", NULL},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &m.force, "Eject even if the guest has locked the tray", NULL},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &m.output, "Of list and detect: table or json", "HOW"},
        {NULL},
    };
    int code;
    if (verb_options(v, entries, &argc, &argv, 2, 3, &code))
        code = dispatch(v, argc, argv, &m);
    g_free(m.drive);
    g_free(m.format);
    g_free(m.output);
    return code;
}

const struct verb verb_media = {"media", "list NAME | insert NAME FILE | eject NAME | detect FILE",
                                "change CDs and floppies while running; tell what a medium holds",
                                "  vmctl media insert demo tools.iso\n  vmctl media eject demo --drive floppy0\n"
                                "  vmctl media detect debian.iso",
                                media};
