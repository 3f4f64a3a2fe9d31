// SPDX-License-Identifier: GPL-2.0-or-later
/* plan.c - see plan.h. */
#include "gui/manager/plan.h"
#include "core-vmm/host/paths.h"
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

void plan_clear(struct plan *p)
{
    medium_free(p->medium);
    g_free(p->file);
    g_free(p->name);
    g_free(p->os);
    g_free(p->disk_format);
    g_free(p->disk_bus);
    g_free(p->nic);
    g_free(p->user);
    g_free(p->edition);
    g_free(p->key);
    *p = (struct plan){0};
}

/* ---- names ---- */

/* Of a wish, what a machine's name may have. */
static char *allowed(const char *wish)
{
    GString *s = g_string_new(NULL);
    for (const char *c = wish; *c; c = g_utf8_next_char(c)) {
        gunichar u = g_utf8_get_char(c);
        bool good = u >= 0x80 ? g_unichar_isgraph(u) : g_ascii_isalnum((char)u) || (s->len && strchr("-_. ", (int)u));
        if (good && s->len < 56)
            g_string_append_unichar(s, u);
        else if (s->len && s->str[s->len - 1] != ' ' && s->len < 56)
            g_string_append_c(s, ' ');
    }
    g_strstrip(s->str);
    char *name = vm_name_check(s->str, NULL) ? g_strdup(s->str) : g_strdup("machine");
    g_string_free(s, TRUE);
    return name;
}

static bool taken(GPtrArray *names, const char *name)
{
    for (guint i = 0; names && i < names->len; i++)
        if (!strcmp(names->pdata[i], name))
            return true;
    return false;
}

char *plan_free_name(const char *wish)
{
    g_autofree char *base = allowed(wish);
    g_autoptr(GPtrArray) names = paths_list(NULL);
    char *name = g_strdup(base);
    for (unsigned n = 2; taken(names, name); n++) {
        g_free(name);
        name = g_strdup_printf("%s %u", base, n);
    }
    return name;
}

/* ---- what is usual ---- */

void plan_usual(const char *os, uint64_t *memory, uint64_t *disk, unsigned *cpus)
{
    static const struct {
        const char *os;
        unsigned memory_mib, disk_gib, cpus;
    } usual[] = {
        {"linux", 2048, 20, 2},     {"bsd", 1024, 16, 2}, {"windows", 4096, 64, 2},
        {"windows-old", 512, 8, 1}, {"dos", 64, 2, 1},    {NULL, 1024, 10, 1},
    };
    unsigned i = 0;
    while (usual[i].os && strcmp(usual[i].os, os))
        i++;
    *memory = usual[i].memory_mib * MIB;
    *disk = usual[i].disk_gib * GIB;
    *cpus = usual[i].cpus;
}

/* ---- the command ---- */

static void add(GPtrArray *words, const char *option, const char *value)
{
    if (!value || !*value)
        return;
    g_ptr_array_add(words, g_strdup(option));
    g_ptr_array_add(words, g_strdup(value));
}

static void add_mib(GPtrArray *words, const char *option, uint64_t bytes)
{
    g_autofree char *text = bytes % GIB ? g_strdup_printf("%" G_GUINT64_FORMAT "M", bytes / MIB)
                                        : g_strdup_printf("%" G_GUINT64_FORMAT "G", bytes / GIB);
    add(words, option, text);
}

static void add_answers(const struct plan *p, GPtrArray *words)
{
    g_ptr_array_add(words, g_strdup("--unattended"));
    add(words, "--user", p->user);
    add(words, "--password-file", "-");
    add(words, "--edition", p->edition);
    add(words, "--key-file", p->key ? "-" : NULL);
}

char **plan_words(const struct plan *p)
{
    GPtrArray *words = g_ptr_array_new();
    g_autofree char *cpus = g_strdup_printf("%u", p->cpus);
    g_ptr_array_add(words, g_strdup("create"));
    g_ptr_array_add(words, g_strdup(p->name));
    add(words, "--os", p->os);
    add_mib(words, "--memory", p->memory);
    add(words, "--cpus", cpus);
    if (p->source == PLAN_DISK)
        add(words, "--disk", p->file);
    else if (p->disk)
        add_mib(words, "--disk", p->disk);
    if (p->source != PLAN_DISK)
        add(words, "--disk-format", p->disk_format);
    add(words, "--disk-bus", p->disk_bus);
    add(words, "--nic", p->nic);
    if (p->source == PLAN_MEDIUM)
        add(words, "--cdrom", p->file);
    if (p->source == PLAN_MEDIUM && p->disk && p->medium_installs && !p->automatic)
        g_ptr_array_add(words, g_strdup("--snapshot-when-installed"));
    if (p->automatic)
        add_answers(p, words);
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}
