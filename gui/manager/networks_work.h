// SPDX-License-Identifier: GPL-2.0-or-later
/* networks_work.h - the networks library from a thread: it asks running processes, and the host's network is changed only after the user was asked. */
#pragma once
#include "core-vmm/host/networks.h"
#include <gio/gio.h>

struct network_seen {
    struct network *network;
    GPtrArray *leases; /* struct network_lease; NULL: nobody knows of any */
};
void networks_look(GObject *source, GAsyncReadyCallback done, gpointer data);
GPtrArray *networks_looked(GAsyncResult *result, GError **error); /* of struct network_seen; g_ptr_array_unref */

struct network_wish { /* delete: name alone; texts may be NULL: as usual */
    const char *name, *kind, *range, *dhcp;
    bool goes;
};
void networks_change(GObject *source, const struct network_wish *w, GAsyncReadyCallback done, gpointer data);
bool networks_changed(GAsyncResult *result, GError **error);
