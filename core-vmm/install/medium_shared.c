// SPDX-License-Identifier: GPL-2.0-or-later
/* medium_shared.c - what terrarium-look and those who ask it share: a medium, names of kinds, where osinfo-db is, and a medium as JSON. */
#include "core-vmm/install/medium.h"
#include <string.h>

static const char *const unattended_names[] = {"none", "debian", "ubuntu", "fedora", "windows"};

const char *unattended_kind_name(enum unattended_kind kind)
{
    return unattended_names[kind];
}

enum unattended_kind unattended_kind_find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(unattended_names); i++)
        if (!strcmp(name, unattended_names[i]))
            return i;
    return UNATTENDED_NONE;
}

static const char *const medium_names[] = {"unknown", "installer", "live", "disk"};

const char *medium_kind_name(enum medium_kind kind)
{
    return medium_names[kind];
}

enum medium_kind medium_kind_find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(medium_names); i++)
        if (!strcmp(name, medium_names[i]))
            return i;
    return MEDIUM_UNKNOWN;
}

static void edition_free(gpointer edition)
{
    struct medium_edition *e = edition;
    g_free(e->id);
    g_free(e->name);
    g_free(e->architecture);
    g_free(e);
}

struct medium *medium_new(void)
{
    struct medium *m = g_new0(struct medium, 1);
    m->editions = g_ptr_array_new_with_free_func(edition_free);
    m->languages = g_new0(char *, 1);
    return m;
}

void medium_free(struct medium *m)
{
    if (!m)
        return;
    char *const texts[] = {m->path,         m->id,     m->os, m->name,   m->version,
                           m->architecture, m->volume, m->by, m->kernel, m->initrd};
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    g_ptr_array_unref(m->editions);
    g_strfreev(m->languages);
    g_free(m);
}

const char *osinfo_folder(void)
{
    const char *told = g_getenv("OSINFO_SYSTEM_DIR"); /* as libosinfo does */
    return told && *told ? told : "/usr/share/osinfo";
}

/* ---- JSON ---- */

static void set_text(JsonObject *o, const char *name, const char *text)
{
    if (text)
        json_object_set_string_member(o, name, text);
}

static JsonArray *editions_json(const struct medium *m)
{
    JsonArray *a = json_array_new();
    for (guint i = 0; i < m->editions->len; i++) {
        const struct medium_edition *e = m->editions->pdata[i];
        JsonObject *o = json_object_new();
        json_object_set_int_member(o, "index", e->index);
        set_text(o, "id", e->id);
        set_text(o, "name", e->name);
        set_text(o, "architecture", e->architecture);
        json_object_set_int_member(o, "build", e->build);
        json_array_add_object_element(a, o);
    }
    return a;
}

JsonObject *medium_json(const struct medium *m)
{
    JsonObject *o = json_object_new();
    JsonArray *languages = json_array_new();
    json_object_set_string_member(o, "kind", medium_kind_name(m->kind));
    set_text(o, "id", m->id);
    set_text(o, "os", m->os);
    set_text(o, "name", m->name);
    set_text(o, "version", m->version);
    set_text(o, "architecture", m->architecture);
    set_text(o, "volume", m->volume);
    set_text(o, "by", m->by);
    json_object_set_boolean_member(o, "bios", m->bios);
    json_object_set_boolean_member(o, "uefi", m->uefi);
    json_object_set_boolean_member(o, "secure-boot", m->wants_secure_boot);
    json_object_set_string_member(o, "unattended", unattended_kind_name(m->unattended));
    set_text(o, "kernel", m->kernel);
    set_text(o, "initrd", m->initrd);
    json_object_set_int_member(o, "memory", MIN(m->memory, G_MAXINT64));
    json_object_set_int_member(o, "disk", MIN(m->disk, G_MAXINT64));
    json_object_set_int_member(o, "cpus", m->cpus);
    json_object_set_array_member(o, "editions", editions_json(m));
    for (char **l = m->languages; *l; l++)
        json_array_add_string_element(languages, *l);
    json_object_set_array_member(o, "languages", languages);
    return o;
}
