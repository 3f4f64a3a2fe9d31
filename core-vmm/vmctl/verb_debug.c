// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_debug.c - vmctl debug. */
#include "core-vmm/vmctl/verbs.h"
#include <stdio.h>
#include <string.h>

struct counter {
    const char *name;
    gint64 value;
};

static int by_value(gconstpointer a, gconstpointer b)
{
    const struct counter *x = a, *y = b;
    return x->value < y->value ? 1 : -(x->value > y->value);
}

static void print_group(const char *name, JsonObject *group)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct counter));
    g_autoptr(GList) members = json_object_get_members(group);
    for (GList *l = members; l; l = l->next) {
        struct counter one = {l->data, answer_number(group, l->data, G_MININT64, G_MAXINT64, 0)};
        g_array_append_val(all, one);
    }
    g_array_sort(all, by_value);
    print("%s\n", name);
    for (guint i = 0; i < all->len; i++) {
        const struct counter *one = &g_array_index(all, struct counter, i);
        print("  %16" G_GINT64_FORMAT "  %s\n", one->value, one->name);
    }
}

static bool print_counters(JsonObject *o, GError **error)
{
    JsonObject *groups = answer_need_object(o, "counters", error);
    g_autoptr(GList) names = groups ? json_object_get_members(groups) : NULL;
    for (GList *l = names; l; l = l->next)
        if (answer_object(groups, l->data))
            print_group(l->data, answer_object(groups, l->data));
    return groups != NULL;
}

static bool print_code(JsonObject *o, GError **error)
{
    const char *text = answer_need_text(o, "text", error);
    if (text)
        print("%s", text);
    return text != NULL;
}

/* The answer, as the command has it or for people. */
static int print_answer(const char *what, JsonObject *o, enum output how)
{
    g_autoptr(GError) error = NULL;
    if (how == OUTPUT_JSON || !strcmp(what, "cpu")) {
        print_json(o);
        return EXIT_CODE_OK;
    }
    bool good = !strcmp(what, "engine") ? print_counters(o, &error) : print_code(o, &error);
    json_object_unref(o);
    return good ? EXIT_CODE_OK : fail_error(error);
}

static int ask(const char *what, const char *name, int cpu, int most, enum output how)
{
    int code;
    g_autofree char *command = g_strconcat("debug.", what, NULL);
    struct client *c = machine_connect(name, NULL, &code);
    if (!c)
        return code;
    JsonObject *args = json_object_new();
    if (strcmp(what, "engine"))
        json_object_set_int_member(args, "cpu", cpu);
    if (!strcmp(what, "code"))
        json_object_set_int_member(args, "most", most);
    JsonObject *o = machine_call(c, command, args, &code);
    if (o)
        code = print_answer(what, o, how);
    client_free(c);
    return code;
}

static int save(const char *name, const char *file)
{
    g_autoptr(GError) error = NULL;
    int code;
    struct client *c = machine_connect(name, NULL, &code);
    if (!c)
        return code;
    code = client_save(c, file, &error) ? EXIT_CODE_OK : fail_error(error);
    if (!code)
        note("%s is saved in %s, and paused", name, file);
    client_free(c);
    return code;
}

static int debug(const struct verb *v, int argc, char **argv)
{
    static const char *const words[] = {"cpu", "engine", "code", NULL};
    g_autofree char *output = NULL;
    enum output how;
    int code, cpu = 0, most = 10;
    const GOptionEntry entries[] = {
        {"cpu", 0, 0, G_OPTION_ARG_INT, &cpu, "Which CPU (0)", "N"},
        {"most", 0, 0, G_OPTION_ARG_INT, &most, "Of code: how many runs (10)", "N"},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "Of engine and code: table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 3, &code) || !output_parse(output, &how, &code))
        return code;
    bool saves = argc > 1 && !strcmp(argv[1], "save");
    if (saves && argc == 4)
        return save(argv[2], argv[3]);
    if (argc == 4 || (saves && argc == 3))
        return fail(EXIT_CODE_USAGE, "usage: vmctl debug save NAME FILE, vmctl debug [cpu|engine|code] NAME");
    const char *what = argc == 3 ? argv[1] : "cpu";
    if (!g_strv_contains(words, what))
        return fail(EXIT_CODE_USAGE, "vmctl debug shows cpu, engine or code, not %s", what);
    return ask(what, argv[argc - 1], cpu, most, how);
}

const struct verb verb_debug = {"debug", "[cpu|engine|code] NAME | save NAME FILE",
                                "show a CPU's registers, or what the engine does",
                                "  vmctl debug demo --cpu 1\n"
                                "  vmctl debug engine demo     why it leaves translated code, and how often\n"
                                "  vmctl debug code demo --most 3     guest code and what was made of it\n"
                                "  vmctl debug save demo FILE     all of it but the disks, which must not change\n"
                                "                                 until vmctl start --load FILE; it is then paused",
                                debug};
