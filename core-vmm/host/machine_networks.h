// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_networks.h - what the network process of a machine gets for cards that are in named networks or plugged into the
 * host's. */
#pragma once
#include "core-vmm/api/config.h"

/* Takes fd; key: its name in the process' settings. */
typedef bool (*outer_add)(void *ctx, const char *key, int fd, GError **error);
/* c: a card's section, whose mode may need nothing of all that.  Asks terrarium-netadm: see netadm.h. */
bool machine_networks_card(const struct config *c, outer_add add, void *ctx, GError **error);
/* For the process as a whole: where machines meet, and copies of all networks' definitions into its settings. */
bool machine_networks_all(GKeyFile *settings, outer_add add, void *ctx, GError **error);
