// SPDX-License-Identifier: GPL-2.0-or-later
/* network_def.c - see network_def.h. */
#include "core-vmm/base/network_def.h"
#include <gio/gio.h>

enum { NAME_MOST = 32 };
const char *const network_kinds[] = {"internal", "natnetwork", "hostonly", NULL};

static const struct {
    const char *range;
    bool dhcp;
} defaults[NETWORK_KINDS] = {
    [NETWORK_INTERNAL] = {"192.168.100.0/24", false},
    [NETWORK_NAT] = {"10.0.3.0/24", true},
    [NETWORK_HOSTONLY] = {"192.168.56.0/24", true},
};

bool network_name_check(const char *name, GError **error)
{
    static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.";
    size_t n = strlen(name);
    if (n && n <= NAME_MOST && strspn(name, letters) == n && g_ascii_isalnum(name[0]))
        return true;
    g_set_error(
        error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "\"%s\" is no name of a network: 1 to %u letters, digits, \"-\", \"_\" and \".\", the first a letter or digit",
        name, NAME_MOST);
    return false;
}

unsigned net_range_bits(const struct net_range *r)
{
    return 32 - __builtin_popcount(~r->mask);
}

char *net_range_text(const struct net_range *r)
{
    const uint8_t b[] = {r->network >> 24, r->network >> 16, r->network >> 8, r->network};
    return g_strdup_printf("%u.%u.%u.%u/%u", b[0], b[1], b[2], b[3], net_range_bits(r));
}

static int kind_of(const char *word)
{
    for (int i = 0; i < NETWORK_KINDS; i++)
        if (!g_strcmp0(word, network_kinds[i]))
            return i;
    return -1;
}

static bool wrong(const char *name, const char *key, const char *value, const char *right, GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "the network %s: %s = %s: must be %s", name, key, value,
                right);
    return false;
}

bool network_def_read(GKeyFile *file, const char *group, const char *name, int kind, struct network_def *out,
                      GError **error)
{
    g_autofree char *word = g_key_file_get_string(file, group, "kind", NULL);
    g_autofree char *range = g_key_file_get_string(file, group, "range", NULL);
    g_autofree char *dhcp = g_key_file_get_string(file, group, "dhcp", NULL);
    int is = word ? kind_of(word) : kind < 0 ? NETWORK_INTERNAL : kind;
    if (is < 0)
        return wrong(name, "kind", word, "internal, natnetwork or hostonly", error);
    if (kind >= 0 && is != kind) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "the network %s is of the kind %s, not %s: choose that mode, or another network", name,
                    network_kinds[is], network_kinds[kind]);
        return false;
    }
    out->kind = is;
    out->dhcp = dhcp ? !strcmp(dhcp, "on") : defaults[is].dhcp;
    if (!net_range_parse(range ? range : defaults[is].range, &out->range))
        return wrong(name, "range", range, "a network like 192.168.57.0/24, with 8 to 27 bits", error);
    if (dhcp && strcmp(dhcp, "on") && strcmp(dhcp, "off"))
        return wrong(name, "dhcp", dhcp, "on or off", error);
    return true;
}

void network_def_write(GKeyFile *file, const char *group, const struct network_def *def)
{
    g_autofree char *range = net_range_text(&def->range);
    g_key_file_set_string(file, group, "kind", network_kinds[def->kind]);
    g_key_file_set_string(file, group, "range", range);
    g_key_file_set_string(file, group, "dhcp", def->dhcp ? "on" : "off");
}
