// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_networks.c - see machine_networks.h. */
#include "core-vmm/host/machine_networks.h"
#include "core-vmm/api/net.h"
#include "core-vmm/host/netadm.h"
#include "core-vmm/host/networks.h"
#include <string.h>
#include <unistd.h>

static bool add_for_card(const struct config *c, const char *what, int fd, outer_add add, void *ctx, GError **error)
{
    g_autofree char *key = g_strconcat(c->section, ".", what, NULL);
    return add(ctx, key, fd, error);
}

/* The other end of `hold` waits for the end of the process, or of whoever starts it again. */
static bool add_tap(const struct config *c, const struct netadm_tap *t, outer_add add, void *ctx, GError **error)
{
    if (add_for_card(c, "tap", t->fd, add, ctx, error))
        return add_for_card(c, "hold", t->hold, add, ctx, error);
    close(t->hold);
    return false;
}

static bool bridged(const struct config *c, struct netadm_tap *t, GError **error)
{
    g_autofree char *interface = config_string(c, "interface");
    uint8_t mac[6];
    net_mac(c, mac);
    return netadm_bridged(interface, mac, t, error);
}

static bool hostonly(const struct config *c, struct netadm_tap *t, GError **error)
{
    g_autofree char *network = config_string(c, "network");
    struct network_def def;
    return networks_find(network, NETWORK_HOSTONLY, &def, error) && netadm_hostonly(network, &def.range, t, error);
}

/* Is the network that the card names of its mode's kind? */
static bool check(const struct config *c, int kind, GError **error)
{
    g_autofree char *network = config_string(c, "network");
    struct network_def def;
    return networks_find(network, kind, &def, error);
}

bool machine_networks_card(const struct config *c, outer_add add, void *ctx, GError **error)
{
    g_autofree char *mode = config_string(c, "mode");
    struct netadm_tap t;
    bool good = true, tapped = !strcmp(mode, "bridged") || !strcmp(mode, "hostonly");
    if (tapped)
        good = !strcmp(mode, "bridged") ? bridged(c, &t, error) : hostonly(c, &t, error);
    else if (!strcmp(mode, network_kinds[NETWORK_INTERNAL]))
        good = check(c, NETWORK_INTERNAL, error);
    else if (!strcmp(mode, network_kinds[NETWORK_NAT]))
        good = check(c, NETWORK_NAT, error);
    if (!good)
        g_prefix_error(error, "[%s] mode = %s: ", c->section, mode);
    return good && (!tapped || add_tap(c, &t, add, ctx, error));
}

bool machine_networks_all(GKeyFile *settings, outer_add add, void *ctx, GError **error)
{
    int fd = networks_folder(error);
    return fd >= 0 && add(ctx, "networks", fd, error) && networks_copy(settings, error);
}
