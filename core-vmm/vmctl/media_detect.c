// SPDX-License-Identifier: GPL-2.0-or-later
/* media_detect.c - vmctl media detect: what a medium or a disk image holds. */
#include "core-vmm/install/medium.h"
#include "core-vmm/api/config.h"
#include "core-vmm/vmctl/media.h"

static void row(const char *what, const char *value)
{
    if (value)
        print("%-14s %s\n", what, value);
}

static void print_editions(const struct medium *m)
{
    for (guint i = 0; i < m->editions->len; i++) {
        const struct medium_edition *e = m->editions->pdata[i];
        print("edition %-6u %s (%s)\n", e->index, e->name ? e->name : "?", e->id ? e->id : "?");
    }
}

static void print_table(const struct medium *m)
{
    g_autofree char *memory = m->memory ? size_format(m->memory) : NULL, *disk = m->disk ? size_format(m->disk) : NULL;
    g_autofree char *languages = *m->languages ? g_strjoinv(" ", m->languages) : NULL;
    row("kind", medium_kind_name(m->kind));
    row("system", m->id);
    row("name", m->name);
    row("version", m->version);
    row("architecture", m->architecture);
    row("volume", m->volume);
    row("known by", m->by);
    row("boots by", m->bios ? m->uefi ? "BIOS and UEFI" : "BIOS" : m->uefi ? "UEFI" : "nothing that is known");
    row("--os", m->os);
    row("unattended", unattended_kind_name(m->unattended));
    row("memory", memory);
    row("disk", disk);
    print_editions(m);
    row("languages", languages);
}

int media_detect(const char *path, enum output how)
{
    g_autoptr(GError) error = NULL;
    struct medium *m = medium_detect(path, &error);
    if (!m)
        return fail_error(error);
    if (how == OUTPUT_JSON)
        print_json(medium_json(m));
    else
        print_table(m);
    medium_free(m);
    return EXIT_CODE_OK;
}
