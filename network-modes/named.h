// SPDX-License-Identifier: GPL-2.0-or-later
/* named.h - the named network that a card is in: its definition, and its folder, where its members meet. */
#pragma once
#include "core-vmm/base/network_def.h"
#include "network-modes/mode.h"

struct named {
    char *name;
    struct network_def def;
};
/* What the card's section and the starter's copy of the definitions say; kind: enum network_kind, the mode's. */
bool named_read(struct net_port *p, const struct config *c, int kind, struct named *out, GError **error);
void named_clear(struct named *n);
/* Its folder, made if it is not there; -1. */
int named_folder(struct net_port *p, const struct named *n, GError **error);
