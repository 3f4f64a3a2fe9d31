// SPDX-License-Identifier: GPL-2.0-or-later
/* facts.c - see facts.h. */
#include "gui/manager/facts.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/machines.h"
#include <glib/gi18n.h>
#include <string.h>

char *size_for_people(guint64 bytes)
{
    return g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
}

static void fact_free(gpointer fact)
{
    g_free(((struct fact *)fact)->value);
    g_free(fact);
}

static void add(GPtrArray *list, const char *what, char *value)
{
    struct fact f = {what, value};
    if (value)
        g_ptr_array_add(list, g_memdup2(&f, sizeof f));
}

static char *value_of(GKeyFile *file, const char *section, const char *key)
{
    char *value = g_key_file_get_string(file, section, key, NULL);
    const struct schema_key *k = schema_find(section, key, NULL);
    return value ? value : k && k->otherwise ? g_strdup(k->otherwise) : NULL;
}

static void add_engine(GPtrArray *list, VmItem *m)
{
    JsonObject *info = vm_item_info(m);
    const char *engine = answer_text(info, "engine", NULL), *why = answer_text(info, "engine-reason", NULL);
    if (engine)
        add(list, _("Engine"),
            g_strdup_printf("%s%s%s",
                            !strcmp(engine, "kvm") ? _("KVM, the CPU's virtualization")
                                                   : _("Software, without virtualization"),
                            why ? "\n" : "", why ? why : ""));
}

/* "disk.img (ide0)" and so on, of one kind of medium. */
static char *drives_of(GKeyFile *file, const char *media)
{
    GString *s = g_string_new(NULL);
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **g = sections; *g; g++) {
        const struct schema_section *known = schema_find_section(*g);
        if (!known || !known->drive)
            continue;
        g_autofree char *kind = value_of(file, *g, "media"), *path = value_of(file, *g, "file");
        if (!strcmp(known->name, "usb") && !path) /* no drive, or a place for a stick */
            continue;
        g_autofree char *name = path ? g_path_get_basename(path) : g_strdup(_("empty"));
        bool floppy = g_str_has_prefix(*g, "floppy");
        if (!g_strcmp0(floppy ? "floppy" : kind ? kind : "disk", media))
            g_string_append_printf(s, "%s%s (%s)", s->len ? "\n" : "", name, *g);
    }
    return g_string_free(s, !s->len);
}

static char *cards_of(GKeyFile *file)
{
    GString *s = g_string_new(NULL);
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **g = sections; *g; g++) {
        if (!g_str_has_prefix(*g, "nic"))
            continue;
        g_autofree char *model = value_of(file, *g, "model"), *mode = value_of(file, *g, "mode");
        g_string_append_printf(s, "%s%s, %s", s->len ? "\n" : "", mode, model);
    }
    return s->len ? g_string_free(s, FALSE) : (g_string_free(s, TRUE), g_strdup(_("none")));
}

static void add_saved(GPtrArray *list, VmItem *m)
{
    struct machine_saved saved;
    if (!saved_look(vm_item_name(m), &saved))
        return;
    g_autoptr(GDateTime) when = g_date_time_new_from_unix_local(saved.time);
    g_autofree char *time = when ? g_date_time_format(when, "%x %X") : NULL, *size = size_for_people(saved.bytes);
    add(list, _("Saved"), g_strdup_printf("%s, %s", time ? time : "?", size));
}

GPtrArray *facts_of(VmItem *m)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(fact_free);
    g_autoptr(GKeyFile) file = machines_settings(vm_item_name(m), NULL);
    if (!file)
        return list;
    add_engine(list, m);
    add_saved(list, m);
    add(list, _("Memory"), size_for_people(vm_item_memory(m)));
    add(list, _("Processors"), value_of(file, "machine", "cpus"));
    add(list, _("Disks"), drives_of(file, "disk"));
    add(list, _("CD Drives"), drives_of(file, "cdrom"));
    add(list, _("Floppies"), drives_of(file, "floppy"));
    add(list, _("Network"), cards_of(file));
    return list;
}
