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
#define SHOWN_BY  "CPU shown by"
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

/* What all models have of them differs with KVM on kernels without split interrupt chips. */
static void add_lapics(GArray *facts, struct machine *m)
{
    uint32_t r[4] = {0};
    if (m->engine->cpuid)
        m->engine->cpuid(m->vcpu[0].engine_vcpu, 1, 0, r);
    add(facts, "local APICs",
        g_strdup_printf("xAPIC%s%s", r[2] >> 21 & 1 ? ", x2APIC" : "", r[2] >> 24 & 1 ? ", TSC deadline" : ""));
}

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
    add_lapics(facts, m);
    if (strcmp(m->cpu_model, cpu_model_names[CPU_MODEL_HOST]))
        return;
    bool kvm = !strcmp(m->engine->name, "kvm");
    const char *maker = m->engine_options ? strstr(m->engine_options, "maker=") : NULL;
    add(facts, FEATURES, state_features(m));
    add(facts, SHOWN_BY,
        kvm ? g_strdup("kvm") : g_strdup_printf("the software engine%s%s", maker ? " with " : "", maker ? maker : ""));
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
        if (m->device[i]->ops->lapic)
            continue; /* some engines bring them */
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

/* With cpu-model = host engines do not show the same CPU. */
static bool other_engine(const char *was_by, const char *is_by, const char *missing, GError **error)
{
    return state_fail(
        error,
        "was made under %s with cpu-model = host, whose guest may use what this engine (%s) does not show: "
        "%s; start it under the engine that it was saved under (engine = in machine.ini, or --engine), and "
        "give a machine that is to go from one engine to the other cpu-model = x86-64-v2 or x86-64-v3 while "
        "it is off",
        was_by, is_by, missing);
}

/* Two hosts' CPUs: what one lacks that the guest may use, or has that it has not seen. */
static bool other_cpu(const GArray *saved, const GArray *own, GError **error)
{
    const char *was = find(saved, FEATURES), *is = find(own, FEATURES);
    const char *was_by = find(saved, SHOWN_BY), *is_by = find(own, SHOWN_BY);
    g_autoptr(GPtrArray) missing = state_feature_names(was, is), more = state_feature_names(is, was);
    GPtrArray *names = missing->len ? missing : more;
    g_ptr_array_add(names, NULL);
    g_autofree char *list = g_strjoinv(", ", (char **)names->pdata), *by = g_strescape(was_by, NULL);
    if (strcmp(was_by, is_by))
        return other_engine(by, is_by, names == missing ? list : "its model and its caches", error);
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
        if (strcmp(was, NONE) && strcmp(is, NONE) && (!strcmp(what, FEATURES) || !strcmp(what, SHOWN_BY)))
            return other_cpu(saved, own, error);
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
