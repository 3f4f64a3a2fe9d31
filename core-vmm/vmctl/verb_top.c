// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_top.c - vmctl top: what running machines use of the host, again and again. */
#include "core-vmm/control/client_usage.h"
#include "core-vmm/vmctl/verbs.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct seen {
    struct usage last, rate; /* rate: a second, between the last two looks; not of memory */
    bool twice;
};
struct top {
    GHashTable *machines; /* name -> struct seen */
    const char *only;     /* NULL: all */
    enum output how;
    double interval;
    bool once;
};

/* ---- looking ---- */

static double rate(double now, double before, double seconds)
{
    return seconds > 0 && now > before ? (now - before) / seconds : 0;
}

static void compare(struct seen *s, const struct usage *now)
{
    const struct usage *b = &s->last;
    double t = now->seconds - b->seconds;
    s->twice = b->seconds > 0;
    s->rate = (struct usage){.cpu = rate(now->cpu, b->cpu, t),
                             .held = rate(now->held, b->held, t),
                             .read = rate(now->read, b->read, t),
                             .written = rate(now->written, b->written, t),
                             .reads = rate(now->reads, b->reads, t),
                             .writes = rate(now->writes, b->writes, t),
                             .disk_held = rate(now->disk_held, b->disk_held, t),
                             .received = rate(now->received, b->received, t),
                             .sent = rate(now->sent, b->sent, t)};
    s->last = *now;
}

static void look_at(struct top *t, const char *name)
{
    struct usage now;
    struct seen *s = g_hash_table_lookup(t->machines, name);
    if (!usage_look(name, &now, NULL)) {
        g_hash_table_remove(t->machines, name);
        return;
    }
    if (!s) {
        s = g_new0(struct seen, 1);
        g_hash_table_insert(t->machines, g_strdup(name), s);
    }
    compare(s, &now);
}

/* One that runs and does not answer now may do so later. */
static bool look_at_only(struct top *t, GError **error)
{
    struct machine_entry *e = machines_glance(t->only);
    bool runs = e->state == ENTRY_RUNS;
    machine_entry_free(e);
    if (!runs)
        return machines_not_running(t->only, error);
    look_at(t, t->only);
    return true;
}

static bool look(struct top *t, GError **error)
{
    g_autoptr(GPtrArray) all = t->only ? NULL : machines_list(error);
    if (t->only)
        return look_at_only(t, error);
    for (unsigned i = 0; all && i < all->len; i++) {
        struct machine_entry *e = all->pdata[i];
        if (e->state == ENTRY_RUNS)
            look_at(t, e->name);
        else
            g_hash_table_remove(t->machines, e->name);
    }
    return all;
}

/* ---- showing ---- */

static void add_number(JsonObject *o, const char *name, uint64_t n)
{
    json_object_set_int_member(o, name, n);
}

static JsonObject *describe(const char *name, const struct seen *s)
{
    JsonObject *o = json_object_new();
    const struct usage *r = &s->rate, *l = &s->last;
    json_object_set_string_member(o, "machine", name);
    json_object_set_double_member(o, "cpu-percent", r->cpu * 100);
    if (l->cpu_limit) {
        add_number(o, "cpu-limit", l->cpu_limit);
        json_object_set_double_member(o, "cpu-held-percent", r->held * 100);
    }
    add_number(o, "memory", l->memory);
    add_number(o, "memory-limit", l->memory_limit);
    add_number(o, "read-bytes-per-second", r->read);
    add_number(o, "written-bytes-per-second", r->written);
    add_number(o, "reads-per-second", r->reads);
    add_number(o, "writes-per-second", r->writes);
    add_number(o, "disk-requests-held-per-second", r->disk_held);
    add_number(o, "received-bytes-per-second", r->received);
    add_number(o, "sent-bytes-per-second", r->sent);
    return o;
}

static char *amount(uint64_t bytes)
{
    return g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
}

static void print_row(const char *name, const struct seen *s)
{
    const struct usage *r = &s->rate;
    g_autofree char *memory = amount(s->last.memory), *read = amount(r->read), *written = amount(r->written);
    g_autofree char *in = amount(r->received), *out = amount(r->sent);
    g_autofree char *limit =
        s->last.cpu_limit ? g_strdup_printf("%" G_GINT64_FORMAT, s->last.cpu_limit) : g_strdup("-");
    print("%-20s %6.1f %6s %5.1f %11s %12s %12s %12s %12s\n", name, r->cpu * 100, limit, r->held * 100, memory, read,
          written, in, out);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(a, b);
}

static void show(const struct top *t)
{
    GList *names = g_list_sort(g_hash_table_get_keys(t->machines), by_name);
    JsonArray *rows = json_array_new();
    bool terminal = isatty(STDOUT_FILENO) && !t->once;
    if (t->how == OUTPUT_TABLE && terminal)
        fputs("\033[H\033[2J", stdout);
    if (t->how == OUTPUT_TABLE)
        print("%-20s %6s %6s %5s %11s %12s %12s %12s %12s\n", "NAME", "CPU%", "LIMIT", "HELD%", "MEMORY", "READ/s",
              "WRITTEN/s", "RECEIVED/s", "SENT/s");
    for (GList *l = names; l; l = l->next) {
        const struct seen *s = g_hash_table_lookup(t->machines, l->data);
        if (t->how == OUTPUT_JSON)
            json_array_add_object_element(rows, describe(l->data, s));
        else if (t->how == OUTPUT_TABLE)
            print_row(l->data, s);
        else
            print("%s\n", (char *)l->data);
    }
    g_list_free(names);
    JsonObject *o = json_object_new();
    json_object_set_array_member(o, "machines", rows);
    if (t->how == OUTPUT_JSON)
        print_json_line(o);
    else
        json_object_unref(o);
    fflush(stdout);
}

/* ---- */

static int run(struct top *t)
{
    g_autoptr(GError) error = NULL;
    gint cancel = 0;
    struct progress p;
    progress_start(&p, "top", true, &cancel); /* Ctrl-C is the way out */
    for (unsigned n = 0; !g_atomic_int_get(&cancel) && !(t->once && n == 2) && !ferror(stdout); n++) {
        if (!look(t, &error))
            return fail_error(error);
        if (n > 0)
            show(t);
        for (double left = t->interval; left > 0 && !g_atomic_int_get(&cancel) && !(t->once && n); left -= 0.1)
            g_usleep(MIN(left, 0.1) * G_USEC_PER_SEC);
    }
    return EXIT_CODE_OK;
}

static int top(const struct verb *v, int argc, char **argv)
{
    g_autofree char *output = NULL, *name = NULL;
    gboolean once = FALSE;
    double interval = 1;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"once", '1', 0, G_OPTION_ARG_NONE, &once, "Look for one interval, print that, and end", NULL},
        {"interval", 'i', 0, G_OPTION_ARG_DOUBLE, &interval, "How long each look takes (1)", "SECONDS"},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table, json (an object a line) or name", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 0, 1, &code) || !output_parse(output, &how, &code))
        return code;
    if (!(interval >= 0.1 && interval <= 3600))
        return fail(EXIT_CODE_USAGE, "--interval: from 0.1 to 3600 seconds");
    if (argc > 1 && !(name = machine_resolve(argv[1], &code)))
        return code;
    struct top t = {g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free), name, how, interval, once};
    code = run(&t);
    g_hash_table_unref(t.machines);
    return code;
}

const struct verb verb_top = {"top", "[NAME]", "what running machines use of CPU, memory, disk and network",
                              "  vmctl top\n  vmctl top demo --once -o json", top};
