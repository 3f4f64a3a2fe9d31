// SPDX-License-Identifier: GPL-2.0-or-later
/* client_folder.c - see client_folder.h. */
#include "core-vmm/control/client_folder.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/folder_name.h"
#include "core-vmm/host/machine_folders.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALL_MS = 5000, SECTION_BYTES = 16 };

static bool runs(const char *machine)
{
    g_autofree char *folder = machines_folder(machine);
    return machine_lock_holder(folder) != 0;
}

static void section_of(unsigned number, char section[SECTION_BYTES])
{
    g_snprintf(section, SECTION_BYTES, "folder%u", number);
}

static bool refuse(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool refuse(GError **error, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, CONTROL_ERROR, code, text);
    return false;
}

/* A command about one folder, with a descriptor or without (-1). */
static bool tell(const char *machine, const char *command, JsonObject *args, int fd, GError **error)
{
    struct client *c = client_connect(machine, error);
    JsonObject *o =
        c ? client_call_fds(c, command, args, fd >= 0 ? &fd : NULL, fd >= 0, NULL, NULL, CALL_MS, error) : NULL;
    if (!c)
        json_object_unref(args);
    if (o)
        json_object_unref(o);
    client_free(c);
    return o != NULL;
}

/* ---- a new one ---- */

/* 0: there are as many as there can be, or another has that name. */
static unsigned free_number(GKeyFile *file, const char *name, GError **error)
{
    unsigned found = 0;
    for (unsigned n = MACHINE_FOLDERS_MOST; n >= 1; n--) {
        char section[SECTION_BYTES];
        section_of(n, section);
        g_autofree char *other = folder_name_of(file, section);
        if (!g_key_file_has_group(file, section))
            found = n;
        else if (!g_strcmp0(other, name))
            return refuse(error, CONTROL_FAILED, "[%s] is called %s already: give this one another name by --name",
                          section, name);
    }
    if (!found)
        refuse(error, CONTROL_FAILED, "a machine has at most %d shared folders", MACHINE_FOLDERS_MOST);
    return found;
}

struct share {
    const struct folder_settings *s;
    char *path, *name; /* path: without links, so that nobody can make it another folder */
    unsigned number;
};

static bool share_init(struct share *h, const struct folder_settings *s, GError **error)
{
    g_autofree char *said = g_canonicalize_filename(s->path, NULL);
    *h = (struct share){s, .path = realpath(said, NULL)};
    h->name = s->name ? g_strdup(s->name) : g_path_get_basename(said);
    if (!h->path || !g_file_test(h->path, G_FILE_TEST_IS_DIR))
        return refuse(error, CONTROL_NOT_FOUND, "%s is no folder", said);
    if (!folder_name_fits(h->name))
        return refuse(error, CONTROL_USAGE, "%s is no name for a folder: give it one by --name", h->name);
    return true;
}

static void share_clear(struct share *h)
{
    free(h->path);
    g_free(h->name);
}

static bool may_begin(const char *machine, GError **error)
{
    g_autoptr(GKeyFile) file = machines_settings(machine, error);
    if (file && !g_key_file_has_group(file, "additions") && runs(machine))
        return refuse(
            error, CONTROL_WRONG_STATE,
            "%s has no backdoor for its guest's tools: vmctl set %s additions.identity=auto, and start it anew",
            machine, machine);
    return file != NULL;
}

static bool assign(GKeyFile *file, const char *ini, const char *section, const char *key, const char *value,
                   GError **error)
{
    g_autofree char *text = value ? g_strdup_printf("%s.%s=%s", section, key, value) : NULL;
    return !text || settings_assign(file, ini, text, error);
}

static bool add_section(void *ctx, GKeyFile *file, const char *ini, GError **error)
{
    struct share *h = ctx;
    char section[SECTION_BYTES];
    g_autofree char *usual = g_path_get_basename(h->path);
    bool has = g_key_file_has_group(file, "additions");
    if (!(h->number = free_number(file, h->name, error)))
        return false;
    section_of(h->number, section);
    return assign(file, ini, "additions", "identity", has ? NULL : "auto", error) &&
           assign(file, ini, section, "path", h->path, error) &&
           assign(file, ini, section, "name", strcmp(usual, h->name) ? h->name : NULL, error) &&
           assign(file, ini, section, "readonly", h->s->read_only ? "on" : NULL, error) &&
           assign(file, ini, section, "symlinks", h->s->links, error);
}

bool folder_keep(const char *machine, const struct folder_settings *s, GError **error)
{
    struct share h;
    bool good = share_init(&h, s, error) && machines_edit(machine, add_section, &h, error);
    share_clear(&h);
    return good;
}

struct gone {
    const char *section, *path;
};

/* If it is another's by now it stays. */
static bool remove_section(void *ctx, GKeyFile *file, const char *ini, GError **error)
{
    const struct gone *g = ctx;
    g_autofree char *path = g_key_file_get_string(file, g->section, "path", NULL);
    if (!g_strcmp0(path, g->path))
        g_key_file_remove_group(file, g->section, NULL);
    return true;
}

static bool forget(const char *machine, const char *section, const char *path, GError **error)
{
    struct gone g = {section, path};
    return machines_edit(machine, remove_section, &g, error);
}

static bool begin(const char *machine, const char *section, unsigned number, const char *name, bool read_only,
                  GError **error)
{
    g_autofree char *folder = machines_folder(machine), *ini = machines_ini(machine);
    g_autoptr(GKeyFile) file = machines_settings(machine, error);
    const struct config c = {file, ini, section};
    int line;
    if (!file || !machine_folder_begin(&c, folder, &line, error))
        return false;
    JsonObject *args = json_object_new();
    json_object_set_int_member(args, "number", number);
    json_object_set_string_member(args, "name", name);
    json_object_set_boolean_member(args, "readonly", read_only);
    bool good = tell(machine, "folder.add", args, line, error);
    close(line);
    return good;
}

static bool share_now(const char *machine, const struct share *h, GError **error)
{
    char section[SECTION_BYTES];
    section_of(h->number, section);
    if (!runs(machine) || begin(machine, section, h->number, h->name, h->s->read_only, error))
        return true;
    forget(machine, section, h->path, NULL);
    return false;
}

bool folder_share(const char *machine, const struct folder_settings *s, unsigned *number, GError **error)
{
    struct share h;
    bool good = share_init(&h, s, error) && may_begin(machine, error) &&
                machines_edit(machine, add_section, &h, error) && share_now(machine, &h, error);
    *number = h.number;
    share_clear(&h);
    return good;
}

/* ---- one that goes ---- */

static unsigned number_named(GKeyFile *file, const char *which)
{
    for (unsigned n = 1; n <= MACHINE_FOLDERS_MOST; n++) {
        char section[SECTION_BYTES], digits[4];
        section_of(n, section);
        g_snprintf(digits, sizeof digits, "%u", n);
        g_autofree char *name = folder_name_of(file, section);
        if (g_key_file_has_group(file, section) &&
            (!g_strcmp0(name, which) || !strcmp(digits, which) || !strcmp(section, which)))
            return n;
    }
    return 0;
}

/* The machine that runs does not have it, or has no backdoor: it is only in the settings, for the next start. */
static bool is_unseen(const GError *e)
{
    return g_error_matches(e, CONTROL_ERROR, CONTROL_NOT_FOUND) ||
           g_error_matches(e, CONTROL_ERROR, CONTROL_WRONG_STATE);
}

bool folder_unshare(const char *machine, const char *which, GError **error)
{
    g_autoptr(GKeyFile) file = machines_settings(machine, error);
    g_autoptr(GError) why = NULL;
    unsigned number = file ? number_named(file, which) : 0;
    char section[SECTION_BYTES];
    if (file && !number)
        refuse(error, CONTROL_NOT_FOUND, "%s shares no folder %s; vmctl folder list %s", machine, which, machine);
    if (!number)
        return false;
    section_of(number, section);
    g_autofree char *path = g_key_file_get_string(file, section, "path", NULL);
    JsonObject *args = json_object_new();
    json_object_set_int_member(args, "number", number);
    if (!runs(machine))
        json_object_unref(args);
    else if (!tell(machine, "folder.remove", args, -1, &why) && !is_unseen(why)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return forget(machine, section, path, error);
}

/* ---- what there is ---- */

static JsonObject *running(const char *machine)
{
    struct client *c = runs(machine) ? client_connect(machine, NULL) : NULL;
    JsonObject *o = c ? client_call(c, "folder.list", NULL, CALL_MS, NULL) : NULL;
    client_free(c);
    return o;
}

static void add_works(JsonObject *o, JsonObject *now, unsigned number)
{
    JsonArray *all = answer_array(now, "folders");
    bool works = false;
    for (unsigned i = 0; i < answer_count(all); i++) {
        JsonObject *one = answer_element(all, i);
        works |= answer_number(one, "number", 0, MACHINE_FOLDERS_MOST, 0) == number && answer_flag(one, "works");
    }
    json_object_set_boolean_member(o, "works", works);
}

static JsonObject *describe(const struct config *c, unsigned number)
{
    g_autofree char *name = folder_name_of(c->file, c->section), *path = config_path(c, "path");
    g_autofree char *links = config_string(c, "symlinks");
    bool read_only = false;
    JsonObject *o = json_object_new();
    config_flag(c, "readonly", &read_only, NULL);
    json_object_set_int_member(o, "number", number);
    json_object_set_string_member(o, "name", name ? name : "");
    json_object_set_string_member(o, "path", path ? path : "");
    json_object_set_boolean_member(o, "readonly", read_only);
    json_object_set_string_member(o, "symlinks", links);
    return o;
}

JsonObject *folder_table(const char *machine, GError **error)
{
    g_autofree char *ini = machines_ini(machine);
    g_autoptr(GKeyFile) file = machines_settings(machine, error);
    if (!file)
        return NULL;
    g_autoptr(JsonObject) now = running(machine);
    JsonArray *all = json_array_new();
    for (unsigned n = 1; n <= MACHINE_FOLDERS_MOST; n++) {
        char section[SECTION_BYTES];
        section_of(n, section);
        const struct config c = {file, ini, section};
        if (!g_key_file_has_group(file, section))
            continue;
        JsonObject *one = describe(&c, n);
        if (now)
            add_works(one, now, n);
        json_array_add_object_element(all, one);
    }
    JsonObject *o = json_object_new();
    json_object_set_array_member(o, "folders", all);
    return o;
}
