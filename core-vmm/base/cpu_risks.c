// SPDX-License-Identifier: GPL-2.0-or-later
/* cpu_risks.c - see cpu_risks.h. */
#include "core-vmm/base/cpu_risks.h"
#include <glib.h>
#include <string.h>

/* The file's line, "" if there is none; g_free. */
static char *line_of(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? g_strchomp(text) : g_strdup("");
}

static bool absent(const char *folder, const char *name)
{
    g_autofree char *line = line_of(folder, name);
    return !strcmp(line, "Not affected");
}

static void read_branches(struct cpu_risks *r, const char *folder)
{
    g_autofree char *line = line_of(folder, "spectre_v2");
    bool none = !strcmp(line, "Not affected");
    r->ibrs_all = none || strstr(line, "Enhanced IBRS") || strstr(line, "Enhanced / Automatic IBRS");
    r->ibrs = r->ibrs_all || strstr(line, "IBRS;") || strstr(line, "IBRS_FW") || strstr(line, "IBPB");
    /* older kernels put no colon there */
    r->no_bhi = none || strstr(line, "BHI: Not affected") || strstr(line, "BHI Not affected");
}

/* Loads that always wait cannot run ahead. */
static void read_store_bypass(struct cpu_risks *r, const char *folder)
{
    g_autofree char *line = line_of(folder, "spec_store_bypass");
    r->ssb_prctl = g_str_has_prefix(line, "Mitigation") && strstr(line, "prctl");
    r->no_ssb = !strcmp(line, "Not affected") || (g_str_has_prefix(line, "Mitigation") && !r->ssb_prctl);
}

void cpu_risks_read(struct cpu_risks *r, const char *folder)
{
    g_autofree char *rfds = line_of(folder, "reg_file_data_sampling");
    *r = (struct cpu_risks){
        .no_mds = absent(folder, "mds"),
        .no_rfds = !strcmp(rfds, "Not affected"),
        .rfds_clear = g_str_has_prefix(rfds, "Mitigation: Clear Register File"),
        .no_tsa = absent(folder, "tsa"),
    };
    read_branches(r, folder);
    read_store_bypass(r, folder);
}
