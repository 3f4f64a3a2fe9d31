// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_snapshot.c - vmctl snapshot. */
#include "core-vmm/host/snapshots.h"
#include "core-vmm/host/terminal.h"
#include "core-vmm/vmctl/verbs.h"
#include <string.h>

struct snapshot_options {
    char *name, *description, *keep, *output;
    gboolean quiet, automatic, files, quiesce;
};

/* ---- looking ---- */

static char *time_text(gint64 time)
{
    g_autoptr(GDateTime) t = g_date_time_new_from_unix_local(time);
    return t ? g_date_time_format(t, "%F %T") : g_strdup("?");
}

static JsonArray *left_out(const char *folder, unsigned id)
{
    JsonArray *list = json_array_new();
    g_auto(GStrv) drives = snapshot_left_out(folder, id);
    for (char **d = drives; *d; d++)
        json_array_add_string_element(list, *d);
    return list;
}

static JsonObject *snapshot_object(const char *folder, const struct snapshot *s, bool current)
{
    g_autofree char *picture = snapshot_path(folder, s->id, "png");
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "id", s->id);
    if (s->parent)
        json_object_set_int_member(o, "parent", s->parent);
    if (s->name)
        json_object_set_string_member(o, "name", s->name);
    if (s->description)
        json_object_set_string_member(o, "description", s->description);
    json_object_set_int_member(o, "time", s->time);
    if (s->automatic)
        json_object_set_boolean_member(o, "automatic", true);
    json_object_set_boolean_member(o, "state", s->state_bytes > 0);
    json_object_set_int_member(o, "state-bytes", s->state_bytes);
    json_object_set_array_member(o, "left-out", left_out(folder, s->id));
    json_object_set_boolean_member(o, "current", current);
    if (g_file_test(picture, G_FILE_TEST_IS_REGULAR))
        json_object_set_string_member(o, "picture", picture);
    return o;
}

/* In a row, and on whatever the terminal is. */
static char *one_line(const char *text)
{
    return text ? g_strdelimit(terminal_text(text, strlen(text)), "\n\t", ' ') : NULL;
}

static void print_row(const char *folder, const struct snapshot *s, unsigned depth, bool current)
{
    g_auto(GStrv) drives = snapshot_left_out(folder, s->id);
    g_autofree char *without = g_strjoinv(" ", drives);
    g_autofree char *when = time_text(s->time), *name = one_line(s->name), *description = one_line(s->description);
    print("%*s%-4u %s  %-6s %s%s%s%s%s%s%s\n", (int)depth * 2, "", s->id, when, s->state_bytes ? "saved" : "off",
          name ? name : "-", description ? ": " : "", description ? description : "", *without ? "  (without " : "",
          without, *without ? ")" : "", current ? "  (the present is here)" : "");
}

static void print_branch(const char *folder, const struct snapshot_record *r, unsigned parent, unsigned depth)
{
    for (guint i = 0; i < r->snapshots->len; i++) {
        const struct snapshot *s = r->snapshots->pdata[i];
        if (s->parent != parent)
            continue;
        print_row(folder, s, depth, s->id == r->current);
        print_branch(folder, r, s->id, depth + 1);
    }
}

static int print_all(const char *folder, const struct snapshot_record *r, enum output how)
{
    JsonObject *o = json_object_new();
    JsonArray *list = json_array_new();
    for (guint i = 0; i < r->snapshots->len; i++) {
        const struct snapshot *s = r->snapshots->pdata[i];
        if (how == OUTPUT_TABLE)
            print_row(folder, s, 0, s->id == r->current);
        else if (how == OUTPUT_NAME)
            print("%u\n", s->id);
        json_array_add_object_element(list, snapshot_object(folder, s, s->id == r->current));
    }
    json_object_set_array_member(o, "snapshots", list);
    if (how == OUTPUT_JSON)
        print_json(o);
    else
        json_object_unref(o);
    return EXIT_CODE_OK;
}

static int show(const char *name, bool tree, enum output how)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = machines_folder(name);
    struct snapshot_record *r = snapshots_list(name, &error);
    if (!r)
        return fail_error(error);
    if (tree && how == OUTPUT_TABLE)
        print_branch(folder, r, 0, 0);
    else
        print_all(folder, r, how);
    record_free(r);
    return EXIT_CODE_OK;
}

static int verify(const char *name, const char *which, enum output how)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) findings = snapshots_verify(name, which, &error);
    if (!findings)
        return fail_error(error);
    JsonArray *list = json_array_new();
    for (guint i = 0; i < findings->len; i++) {
        json_array_add_string_element(list, findings->pdata[i]);
        if (how != OUTPUT_JSON)
            fail(EXIT_CODE_FAILED, "%s", (char *)findings->pdata[i]);
    }
    JsonObject *o = json_object_new();
    json_object_set_boolean_member(o, "whole", !findings->len);
    json_object_set_array_member(o, "findings", list);
    if (how == OUTPUT_JSON)
        print_json(o);
    else
        json_object_unref(o);
    return findings->len ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

/* ---- changing ---- */

static int take(const char *name, const char *snapshot, const struct snapshot_options *o, enum output how)
{
    g_autoptr(GError) error = NULL;
    struct progress bar = {.shown = -1};
    struct machine_job job = {progress_show, &bar};
    struct snapshot_taken taken;
    struct machine_entry *e = machines_glance(name);
    if (e->state == ENTRY_RUNS) /* the rest takes no time, and nobody needs to end it in good order */
        progress_start(&bar, "Saving", o->quiet, &job.cancel);
    machine_entry_free(e);
    bool good = o->automatic ? client_snapshot_automatic(name, &taken, &error)
                             : client_snapshot(name, snapshot, o->description, o->quiesce, &job, &taken, &error);
    progress_end(&bar);
    g_autofree char *folder = machines_folder(name);
    g_auto(GStrv) without = good ? snapshot_left_out(folder, taken.id) : NULL;
    for (char **d = without; d && *d; d++)
        note("drive %s is independent: the snapshot does not have it, and going back leaves it as it is", *d);
    if (good && taken.ran)
        note("%s stood still for %.1f ms", name, (double)taken.stood_us / 1000);
    if (!good)
        return fail_error(error);
    if (how == OUTPUT_JSON) {
        JsonObject *answer = json_object_new();
        json_object_set_int_member(answer, "id", taken.id);
        json_object_set_array_member(answer, "left-out", left_out(folder, taken.id));
        if (taken.ran)
            json_object_set_double_member(answer, "stood-ms", (double)taken.stood_us / 1000);
        print_json(answer);
    } else {
        print("%u\n", taken.id);
    }
    return EXIT_CODE_OK;
}

static int thin(const char *name)
{
    g_autoptr(GError) error = NULL;
    unsigned gone;
    if (!client_snapshot_thin(name, &gone, &error))
        return fail_error(error);
    note("%u automatic snapshot%s went", gone, gone == 1 ? "" : "s");
    return EXIT_CODE_OK;
}

static int watch(const char *name)
{
    client_snapshot_watch(name);
    return EXIT_CODE_OK;
}

static int delete_one(const char *name, const char *which, const struct snapshot_options *o)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *kept = NULL;
    struct progress bar;
    struct machine_job job = {progress_show, &bar};
    progress_start(&bar, "Merging", o->quiet, &job.cancel);
    bool good = client_snapshot_delete(name, which, &job, &kept, &error);
    progress_end(&bar);
    if (kept)
        note("%s", kept);
    return good ? EXIT_CODE_OK : fail_error(error);
}

/* What a part does not know would be lost without a word. */
static bool options_fit(const char *part, const struct snapshot_options *o)
{
    bool take = !strcmp(part, "take"), edit = !strcmp(part, "edit"), restore = !strcmp(part, "restore");
    return (!o->name || edit) && (!o->keep || restore) && (!o->description || take || edit) &&
           (!o->automatic || take) && (!o->files || !strcmp(part, "diff")) && (!o->quiesce || (take && !o->automatic));
}

static int dispatch(const struct verb *v, int argc, char **argv, const struct snapshot_options *o)
{
    g_autoptr(GError) error = NULL;
    enum output how;
    int code;
    const char *part = argv[1], *third = argc > 3 ? argv[3] : NULL;
    if (!options_fit(part, o))
        return fail(
            EXIT_CODE_USAGE,
            "vmctl snapshot %s has no such option: --name is of edit, --description of take and edit, --automatic and "
            "--quiesce of take, one of them, --keep of restore, --files of diff",
            part);
    if (!output_parse(o->output, &how, &code))
        return code;
    g_autofree char *name = machine_resolve(argv[2], &code);
    if (!name)
        return code;
    if (!strcmp(part, "diff") && third && argc < 6)
        return snapshot_diff_show(name, third, argc > 4 ? argv[4] : NULL, o->files, how);
    if (!strcmp(part, "extract") && argc == 7)
        return snapshot_extract(name, third, argv[4], argv[5], argv[6]);
    if (argc > 4)
        return fail(EXIT_CODE_USAGE, "usage: vmctl snapshot %s", v->args);
    if (!strcmp(part, "take") && (!third || !o->automatic))
        return take(name, third, o, how);
    if ((!strcmp(part, "list") || !strcmp(part, "tree")) && !third)
        return show(name, *part == 't', how);
    if (!strcmp(part, "thin") && !third)
        return thin(name);
    if (!strcmp(part, "watch") && !third)
        return watch(name);
    if (!strcmp(part, "verify"))
        return verify(name, third, how);
    if (!strcmp(part, "restore") && third)
        return snapshots_restore(name, third, o->keep, &error) ? EXIT_CODE_OK : fail_error(error);
    if (!strcmp(part, "delete") && third)
        return delete_one(name, third, o);
    if (!strcmp(part, "edit") && third && (o->name || o->description))
        return snapshots_edit(name, third, o->name, o->description, &error) ? EXIT_CODE_OK : fail_error(error);
    return fail(EXIT_CODE_USAGE, "usage: vmctl snapshot %s", v->args);
}

static int snapshot(const struct verb *v, int argc, char **argv)
{
    struct snapshot_options o = {0};
    const GOptionEntry entries[] = {
        {"name", 0, 0, G_OPTION_ARG_STRING, &o.name, "Of edit: its name from now on", "TEXT"},
        {"description", 0, 0, G_OPTION_ARG_STRING, &o.description, "Of take and edit: what people are to know", "TEXT"},
        {"keep", 0, 0, G_OPTION_ARG_STRING, &o.keep, "Of restore: first take a snapshot of the present, so called",
         "NAME"},
        {"automatic", 0, 0, G_OPTION_ARG_NONE, &o.automatic, "Of take: as if nobody had asked for it; then thin", NULL},
        {"quiesce", 0, 0, G_OPTION_ARG_NONE, &o.quiesce,
         "Of take: the guest's file systems stand still meanwhile (open-vm-tools)", NULL},
        {"files", 0, 0, G_OPTION_ARG_NONE, &o.files, "Of diff: which files have changed, too (ext2 to ext4, FAT, NTFS)",
         NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &o.quiet, "No progress bar", NULL},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &o.output, "Of take, list, tree, verify and diff: table, json or name",
         "HOW"},
        {NULL},
    };
    int code;
    if (verb_options(v, entries, &argc, &argv, 2, 6, &code))
        code = dispatch(v, argc, argv, &o);
    g_free(o.name);
    g_free(o.description);
    g_free(o.keep);
    g_free(o.output);
    return code;
}

const struct verb verb_snapshot = {
    "snapshot",
    "take NAME [SNAPSHOT] | list|tree NAME | restore|delete|edit NAME SNAPSHOT | verify NAME [SNAPSHOT] | "
    "diff NAME SNAPSHOT [SNAPSHOT] | extract NAME SNAPSHOT DRIVE[:PARTITION] PATH FILE|- | thin NAME",
    "points that a machine can go back to",
    "  vmctl snapshot take demo before-update --description 'all is well'\n"
    "  vmctl snapshot restore demo before-update --keep broken\n"
    "  vmctl snapshot tree demo\n"
    "  vmctl snapshot diff demo before-update --files\n"
    "  vmctl snapshot extract demo before-update sata0 /etc/fstab old-fstab\n"
    "  vmctl snapshot delete demo broken     merges what it had with what is on top",
    snapshot};
