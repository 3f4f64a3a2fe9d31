// SPDX-License-Identifier: GPL-2.0-or-later
/* folder_ends.c - see folder_ends.h. */
#include "core-vmm/vm/folder_ends.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/folder_name.h"
#include <stdlib.h>
#include <string.h>

#define SECTION "folder"

struct folder_end {
    struct additions *additions;
    unsigned number;
    char name[sizeof SECTION + 1];
};

/* 0: another section. */
static unsigned number_of(const char *section)
{
    const struct schema_section *s = schema_find_section(section);
    return s && !strcmp(s->name, SECTION) ? atoi(section + strlen(SECTION)) : 0;
}

void folder_ends_declare(struct additions *a, GKeyFile *file, const char *ini)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s; s++) {
        const struct config c = {file, ini, *s};
        unsigned number = number_of(*s);
        bool read_only = false;
        g_autofree char *name = number ? folder_name_of(file, *s) : NULL;
        if (number)
            config_flag(&c, "readonly", &read_only, NULL);
        if (name && !additions_folder_add(a, number, name, read_only, -1))
            g_warning("[%s] is not shared: %s is no name for a folder, or taken", *s, name);
    }
}

static void up(void *ctx, int fd)
{
    struct folder_end *e = ctx;
    additions_folder_up(e->additions, e->number, fd);
}

static void down(void *ctx)
{
    struct folder_end *e = ctx;
    additions_folder_down(e->additions, e->number);
}

struct folder_end *folder_end_new(struct additions *a, struct outer *o, unsigned end, const char *name)
{
    unsigned number = number_of(name);
    if (!number)
        return NULL;
    struct folder_end *e = g_new0(struct folder_end, 1);
    *e = (struct folder_end){.additions = a, .number = number};
    g_strlcpy(e->name, name, sizeof e->name);
    outer_listen(o, end, e->name, &(struct outer_events){up, down, e});
    return e;
}
