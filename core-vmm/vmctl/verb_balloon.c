// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_balloon.c - vmctl balloon. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/api/config.h"

static void print_amount(JsonObject *o, const char *name, const char *what)
{
    const double mib = 1 << 20;
    print("%-14s %.1f MiB\n", what, answer_number(o, name, 0, G_MAXINT64, 0) / mib);
}

/* Bytes by their names, as the guest tells them; counters are left to -o json. */
static void print_table(JsonObject *o)
{
    JsonObject *stats = answer_object(o, "statistics");
    print_amount(o, "memory", "memory");
    print_amount(o, "wanted", "wanted");
    print_amount(o, "left", "left");
    print_amount(o, "on-host", "on the host");
    print_amount(o, "given-back", "given back");
    if (answer_has(stats, "free"))
        print_amount(stats, "free", "guest: free");
    if (answer_has(stats, "available"))
        print_amount(stats, "available", "  available");
    if (answer_has(stats, "disk-caches"))
        print_amount(stats, "disk-caches", "  disk caches");
}

static int show(struct client *c, enum output how)
{
    int code;
    g_autoptr(JsonObject) o = machine_call(c, "balloon.info", NULL, &code);
    if (!o)
        return code;
    if (!json_object_get_boolean_member_with_default(o, "driver", FALSE))
        note("vmctl: the guest has no driver for it at work (Linux: virtio_balloon), and gives nothing back");
    if (how == OUTPUT_JSON)
        print_json(json_object_ref(o));
    else
        print_table(o);
    return EXIT_CODE_OK;
}

static int ask(struct client *c, const char *size)
{
    uint64_t bytes;
    int code;
    if (!size_parse(size, &bytes) || bytes > G_MAXINT64)
        return fail(EXIT_CODE_USAGE, "\"%s\" is no size; it is like 512M", size);
    JsonObject *args = json_object_new();
    json_object_set_int_member(args, "memory", bytes);
    JsonObject *o = machine_call(c, "balloon.set", args, &code);
    if (o)
        json_object_unref(o);
    return code;
}

static int balloon(const struct verb *v, int argc, char **argv)
{
    g_autofree char *output = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 2, &code) || !output_parse(output, &how, &code))
        return code;
    struct client *c = machine_connect(argv[1], NULL, &code);
    if (!c)
        return code;
    code = argc > 2 ? ask(c, argv[2]) : show(c, how);
    client_free(c);
    return code;
}

const struct verb verb_balloon = {"balloon", "NAME [SIZE]", "show or say how much memory the guest keeps",
                                  "  vmctl balloon demo\n  vmctl balloon demo 512M", balloon};
