// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_events.c - vmctl events: what becomes of machines, a line each, until Ctrl-C. */
#include "core-vmm/vmctl/verbs.h"
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>

enum { AGAIN_MS = 100, TRIES = 50 }; /* a machine that has just started has its socket in a moment */

struct events {
    GMainLoop *loop;
    const char *only; /* NULL: all machines */
    bool json;
    GHashTable *followed; /* name -> struct followed */
};
struct followed {
    struct events *events;
    char *name;
    struct client *client; /* NULL: not yet, or not any more */
    guint again;
    unsigned tries;
};

/* ---- saying ---- */

static void say_json(const char *machine, const char *event, JsonObject *data)
{
    JsonObject *o = json_object_new();
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ");
    json_object_set_string_member(o, "time", time);
    json_object_set_string_member(o, "machine", machine);
    json_object_set_string_member(o, "event", event);
    if (data)
        json_object_set_object_member(o, "data", json_object_ref(data));
    print_json_line(o);
}

static char *words_of(JsonObject *data)
{
    GString *s = g_string_new(NULL);
    g_autoptr(GList) names = data ? json_object_get_members(data) : NULL;
    for (GList *l = names; l; l = l->next) {
        g_autofree char *value = answer_shown(data, l->data);
        if (value)
            g_string_append_printf(s, " %s=%s", (char *)l->data, value);
    }
    return g_string_free(s, FALSE);
}

static void say_event(struct events *e, const char *machine, const char *event, JsonObject *data)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%F %T"), *words = words_of(data);
    if (e->only && strcmp(e->only, machine))
        return;
    if (e->json)
        say_json(machine, event, data);
    else
        print("%s %s %s%s\n", time, machine, event, words);
    if (fflush(stdout))
        g_main_loop_quit(e->loop); /* nobody reads any more */
}

/* ---- what a running machine says ---- */

static void on_event(void *ctx, const char *event, JsonObject *data, int *fds, unsigned fd_count)
{
    struct followed *f = ctx;
    say_event(f->events, f->name, event, data);
}

static void on_closed(void *ctx, const GError *error)
{
    struct followed *f = ctx;
    client_free(f->client);
    f->client = NULL;
}

static gboolean connect_to(gpointer data)
{
    struct followed *f = data;
    f->client = client_connect(f->name, NULL);
    if (!f->client && ++f->tries < TRIES)
        return G_SOURCE_CONTINUE;
    f->again = 0;
    if (f->client)
        client_attach(f->client, NULL, on_event, on_closed, f);
    return G_SOURCE_REMOVE;
}

static void followed_free(gpointer data)
{
    struct followed *f = data;
    if (f->again)
        g_source_remove(f->again);
    client_free(f->client);
    g_free(f->name);
    g_free(f);
}

static void follow(struct events *e, const char *name)
{
    if (e->only && strcmp(e->only, name))
        return;
    struct followed *f = g_new0(struct followed, 1);
    f->events = e;
    f->name = g_strdup(name);
    g_hash_table_replace(e->followed, f->name, f);
    if (connect_to(f) == G_SOURCE_CONTINUE)
        f->again = g_timeout_add(AGAIN_MS, connect_to, f);
}

/* ---- what becomes of all of them ---- */

static void on_change(void *ctx, const char *name, enum machine_change change)
{
    static const char *const words[] = {"created", "deleted", "changed", "started", "ended"};
    struct events *e = ctx;
    say_event(e, name, words[change], NULL);
    if (change == MACHINE_STARTED)
        follow(e, name);
    else if (change == MACHINE_ENDED)
        g_hash_table_remove(e->followed, name);
}

static void follow_running(struct events *e)
{
    g_autoptr(GPtrArray) all = machines_list(NULL);
    for (unsigned i = 0; all && i < all->len; i++) {
        struct machine_entry *entry = all->pdata[i];
        if (entry->state == ENTRY_RUNS)
            follow(e, entry->name);
    }
}

static gboolean on_signal(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

static int run(struct events *e)
{
    g_autoptr(GError) error = NULL;
    struct machine_watch *w = machines_watch(on_change, e, &error);
    if (!w)
        return fail_error(error);
    g_unix_signal_add(SIGINT, on_signal, e->loop);
    g_unix_signal_add(SIGTERM, on_signal, e->loop);
    follow_running(e);
    g_main_loop_run(e->loop);
    machine_watch_free(w);
    return EXIT_CODE_OK;
}

static int events(const struct verb *v, int argc, char **argv)
{
    g_autofree char *output = NULL, *name = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table, or json: an object a line", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 0, 1, &code) || !output_parse(output, &how, &code))
        return code;
    if (argc > 1 && !(name = machine_resolve(argv[1], &code)))
        return code;
    struct events e = {g_main_loop_new(NULL, FALSE), name, how == OUTPUT_JSON,
                       g_hash_table_new_full(g_str_hash, g_str_equal, NULL, followed_free)};
    code = run(&e);
    g_hash_table_unref(e.followed);
    g_main_loop_unref(e.loop);
    return code;
}

const struct verb verb_events = {"events", "[NAME]", "tell what becomes of machines, as it happens",
                                 "  vmctl events\n  vmctl events demo -o json | while read -r line; do ...; done",
                                 events};
