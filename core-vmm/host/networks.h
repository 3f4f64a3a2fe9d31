// SPDX-License-Identifier: GPL-2.0-or-later
/* networks.h - the named networks of this user, and what one does with them: for vmctl, the manager and tests.
 *
 *   $XDG_DATA_HOME/terrarium/networks/NAME.ini                what a network is like, if somebody has defined it
 *   $XDG_RUNTIME_DIR/terrarium/.networks/KIND/NAME/           where the running machines in it meet (network-modes/mesh.h)
 *
 * A network need not be defined: a machine that names one is in it, with the kind that its mode says.  Nothing here prints; an
 * error is one sentence, of the domain G_IO_ERROR. */
#pragma once
#include "core-vmm/base/network_def.h"
#include <stdbool.h>

struct network {
    char *name;
    struct network_def def;
    bool defined;     /* else only machines name it */
    unsigned members; /* running machines' cards in it, as far as the host shows them */
};
struct network_lease {
    char *mac, *address, *host; /* host: what the station calls itself; NULL: nothing */
    gint64 until;               /* seconds since 1970 */
};
/* Those that are defined and those that running machines are in, by name, as struct network; g_ptr_array_unref. */
GPtrArray *networks_list(GError **error);
void network_free(gpointer network);
/* range: NULL for the kind's usual one; dhcp: "on", "off" or NULL. */
bool networks_create(const char *name, const char *kind, const char *range, const char *dhcp, GError **error);
/* Not while machines are in it.  Of a host-only network also what terrarium-netadm has made of it on the host. */
bool networks_delete(const char *name, GError **error);
GPtrArray *networks_leases(const char *name, GError **error); /* as struct network_lease; g_ptr_array_unref */
void network_lease_free(gpointer lease);

/* ---- for whoever starts a machine ---- */
int networks_folder(GError **error);              /* .networks, opened; -1 */
bool networks_copy(GKeyFile *to, GError **error); /* all definitions, as [network:NAME] */
bool networks_find(const char *name, int kind, struct network_def *def,
                   GError **error); /* network_def_read() of its file */
