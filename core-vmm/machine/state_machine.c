// SPDX-License-Identifier: GPL-2.0-or-later
/* state_machine.c - which machine a state is of: a list of things and what each is, the same of whoever saves and whoever
 * loads.  The first difference is the reason for a refusal. */
#include "core-vmm/base/cpu_model.h"
#include "core-vmm/machine/drive_media.h"
#include "core-vmm/machine/state.h"
#include <gio/gio.h>
#include <string.h>

#define FACTS_MAX 256
#define FEATURES  "CPU features"
#define NONE      "none" /* what a side says of a thing that it does not have */
struct fact {
    char *what, *is;
};

static void fact_clear(void *fact)
{
    struct fact *f = fact;
    g_free(f->what);
    g_free(f->is);
}

static void add(GArray *facts, const char *what, char *is) /* takes is */
{
    struct fact f = {g_strdup(what), is};
    g_array_append_val(facts, f);
}

/* ---- this machine ---- */

static void add_cpu(GArray *facts, struct machine *m)
{
    struct host_cpu h;
    uint32_t r[4];
    char vendor[13] = "";
    host_cpuid(0, 0, r);
    memcpy(vendor, &r[1], 4);
    memcpy(vendor + 4, &r[3], 4);
    memcpy(vendor + 8, &r[2], 4);
    memset(&h, 0, sizeof h);
    host_cpu_learn_xsave(&h);
    bool amd = !strcmp(vendor, "AuthenticAMD") || !strcmp(vendor, "HygonGenuine");
    add(facts, "CPU model", g_strdup(m->cpu_model));
    add(facts, "CPU maker", g_strdup(amd ? "AMD" : "Intel"));
    if (strcmp(m->cpu_model, cpu_model_names[CPU_MODEL_HOST]))
        return;
    bool kvm = !strcmp(m->engine->name, "kvm");
    const char *maker = m->engine_options ? strstr(m->engine_options, "maker=") : NULL;
    add(facts, "CPU shown by",
        kvm ? g_strdup("kvm") : g_strdup_printf("the software engine%s%s", maker ? " with " : "", maker ? maker : ""));
    add(facts, FEATURES, state_host_features());
    add(facts, "CPU registers for XSAVE", g_strdup_printf("%#" G_GINT64_MODIFIER "x", h.xcr0));
}

static GArray *facts_new(void)
{
    GArray *facts = g_array_new(FALSE, FALSE, sizeof(struct fact));
    g_array_set_clear_func(facts, fact_clear);
    return facts;
}

static GArray *describe(struct machine *m)
{
    GArray *facts = facts_new();
    g_autoptr(GArray) areas = state_areas(m);
    add(facts, "board", g_strdup("pc-i440fx"));
    add(facts, "CPUs", g_strdup_printf("%u", m->cpus));
    add(facts, "sockets", g_strdup_printf("%u", m->sockets));
    for (unsigned i = 0; i < m->devices; i++) {
        g_autofree char *what = g_strdup_printf("device %s", m->device[i]->name);
        add(facts, what, g_strdup(m->device[i]->ops->name));
    }
    for (unsigned i = 0; i < areas->len; i++) {
        const struct memory_area *a = &g_array_index(areas, struct memory_area, i);
        g_autofree char *what = g_strdup_printf("memory %s", a->name);
        add(facts, what, size_format(a->bytes));
    }
    for (struct drive *v = drive_next(m, NULL); v; v = drive_next(m, v)) {
        g_autofree char *what = g_strdup_printf("drive %s", drive_section(v));
        add(facts, what, g_strdup(drive_kind(v)));
    }
    add_cpu(facts, m);
    return facts;
}

/* ---- the two compared ---- */

static const char *find(const GArray *facts, const char *what)
{
    for (unsigned i = 0; i < facts->len; i++)
        if (!strcmp(g_array_index(facts, struct fact, i).what, what))
            return g_array_index(facts, struct fact, i).is;
    return NONE;
}

/* Two hosts' CPUs: what one lacks that the guest may use, or has that it has not seen. */
static bool other_cpu(const char *was, const char *is, GError **error)
{
    g_autoptr(GPtrArray) missing = state_feature_names(was, is), more = state_feature_names(is, was);
    GPtrArray *names = missing->len ? missing : more;
    g_ptr_array_add(names, NULL);
    g_autofree char *list = g_strjoinv(", ", (char **)names->pdata);
    if (names == missing)
        return state_fail(error, "needs a CPU with %s, which this host does not have", list);
    if (*list)
        return state_fail(error, "was made on a CPU without %s, which this host has", list);
    return state_fail(error, "was made on another model of CPU than this host has");
}

/* The one that either side has and the other has not, or has in another way. */
static bool same(const GArray *saved, const GArray *own, const GArray *list, GError **error)
{
    for (unsigned i = 0; i < list->len; i++) {
        const char *what = g_array_index(list, struct fact, i).what, *was = find(saved, what), *is = find(own, what);
        if (!strcmp(was, is))
            continue;
        if (!strcmp(what, FEATURES) && strcmp(was, NONE) && strcmp(is, NONE))
            return other_cpu(was, is, error);
        g_autofree char *shown = g_strescape(what, NULL), *shown_was = g_strescape(was, NULL);
        return state_fail(error, "is of another machine: its %s is %s, and that of this machine is %s", shown,
                          shown_was, is);
    }
    return true;
}

bool state_sync_machine(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    g_autoptr(GArray) own = describe(m), saved = facts_new();
    uint32_t n = own->len;
    stream_check_u32(s, &n, FACTS_MAX);
    for (unsigned i = 0; i < n && stream_ok(s); i++) {
        struct fact f = {NULL, NULL}, *at = s->loading ? &f : &g_array_index(own, struct fact, i);
        stream_text(s, &at->what);
        stream_text(s, &at->is);
        if (s->loading)
            g_array_append_val(saved, f);
    }
    return !s->loading || !stream_ok(s) || (same(saved, own, own, error) && same(saved, own, saved, error));
}
