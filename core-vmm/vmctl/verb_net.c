// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_net.c - vmctl net: networks that machines share. */
#include "core-vmm/host/networks.h"
#include "core-vmm/vmctl/verbs.h"
#include <stdio.h>
#include <string.h>

struct net_options {
    char *kind, *range, *dhcp, *output;
};

/* ---- list ---- */

static void print_network(const struct network *n, enum output how, JsonArray *list)
{
    g_autofree char *range = net_range_text(&n->def.range);
    bool ranged = n->def.dhcp || n->def.kind != NETWORK_INTERNAL; /* else nobody gives out what is in it */
    if (how == OUTPUT_NAME) {
        print("%s\n", n->name);
    } else if (how == OUTPUT_TABLE) {
        print("%-20s %-11s %-19s %-5s %-8u %s\n", n->name, network_kinds[n->def.kind], ranged ? range : "-",
              n->def.dhcp ? "on" : "off", n->members, n->defined ? "yes" : "no");
    } else {
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "name", n->name);
        json_object_set_string_member(o, "kind", network_kinds[n->def.kind]);
        if (ranged)
            json_object_set_string_member(o, "range", range);
        json_object_set_boolean_member(o, "dhcp", n->def.dhcp);
        json_object_set_int_member(o, "members", n->members);
        json_object_set_boolean_member(o, "defined", n->defined);
        json_array_add_object_element(list, o);
    }
}

static int print_list(const char *member, JsonArray *list, enum output how)
{
    JsonObject *o = json_object_new();
    json_object_set_array_member(o, member, list);
    if (how == OUTPUT_JSON)
        print_json(o);
    else
        json_object_unref(o);
    return EXIT_CODE_OK;
}

static int list(enum output how)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) all = networks_list(&error);
    if (!all)
        return fail_error(error);
    JsonArray *rows = json_array_new();
    if (how == OUTPUT_TABLE && all->len)
        print("%-20s %-11s %-19s %-5s %-8s %s\n", "NAME", "KIND", "RANGE", "DHCP", "MEMBERS", "DEFINED");
    for (unsigned i = 0; i < all->len; i++)
        print_network(all->pdata[i], how, rows);
    return print_list("networks", rows, how);
}

/* ---- leases ---- */

static void print_lease(const struct network_lease *l, enum output how, JsonArray *list)
{
    if (how != OUTPUT_JSON) {
        g_autoptr(GDateTime) until = g_date_time_new_from_unix_local(l->until);
        g_autofree char *text = until ? g_date_time_format(until, "%F %T") : g_strdup("?");
        print("%-17s %-15s %-19s %s\n", l->mac, l->address, text, l->host ? l->host : "-");
        return;
    }
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "mac", l->mac);
    json_object_set_string_member(o, "address", l->address);
    json_object_set_int_member(o, "until", l->until);
    if (l->host)
        json_object_set_string_member(o, "host", l->host);
    json_array_add_object_element(list, o);
}

static int leases(const char *name, enum output how)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) all = networks_leases(name, &error);
    if (!all)
        return fail_error(error);
    JsonArray *rows = json_array_new();
    if (how == OUTPUT_TABLE && all->len)
        print("%-17s %-15s %-19s %s\n", "MAC", "ADDRESS", "UNTIL", "HOST");
    for (unsigned i = 0; i < all->len; i++)
        print_lease(all->pdata[i], how, rows);
    return print_list("leases", rows, how);
}

/* ---- */

static int dispatch(const struct verb *v, int argc, char **argv, const struct net_options *n)
{
    g_autoptr(GError) error = NULL;
    enum output how;
    int code;
    if (!output_parse(n->output, &how, &code))
        return code;
    if (!strcmp(argv[1], "list") && argc == 2)
        return list(how);
    if (!strcmp(argv[1], "leases") && argc == 3)
        return leases(argv[2], how);
    if (!strcmp(argv[1], "create") && argc == 3)
        return networks_create(argv[2], n->kind, n->range, n->dhcp, &error) ? EXIT_CODE_OK : fail_error(error);
    if (!strcmp(argv[1], "delete") && argc == 3)
        return networks_delete(argv[2], &error) ? EXIT_CODE_OK : fail_error(error);
    return fail(EXIT_CODE_USAGE, "usage: vmctl net %s", v->args);
}

static int net(const struct verb *v, int argc, char **argv)
{
    struct net_options n = {0};
    const GOptionEntry entries[] = {
        {"kind", 0, 0, G_OPTION_ARG_STRING, &n.kind, "Of create: internal (the default), natnetwork or hostonly",
         "KIND"},
        {"range", 0, 0, G_OPTION_ARG_STRING, &n.range, "Of create: its addresses, like 10.0.3.0/24", "NETWORK"},
        {"dhcp", 0, 0, G_OPTION_ARG_STRING, &n.dhcp, "Of create: on or off", "ON"},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &n.output, "Of list and leases: table, json or name", "HOW"},
        {NULL},
    };
    int code;
    if (verb_options(v, entries, &argc, &argv, 1, 2, &code))
        code = dispatch(v, argc, argv, &n);
    g_free(n.kind);
    g_free(n.range);
    g_free(n.dhcp);
    g_free(n.output);
    return code;
}

const struct verb verb_net = {"net", "list | create NAME | delete NAME | leases NAME", "networks that machines share",
                              "  vmctl net create lab --kind natnetwork --range 10.0.3.0/24\n"
                              "  vmctl set box nic1.mode=natnetwork nic1.network=lab\n  vmctl net leases lab",
                              net};
