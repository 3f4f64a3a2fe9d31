// SPDX-License-Identifier: GPL-2.0-or-later
/* nat.h - the inside of the mode nat. */
#pragma once
#include "network-modes/mode.h"
#include <slirp/libslirp.h>

struct nat {
    struct net_port *port;
    Slirp *slirp;
    GSource *source;
    GPtrArray *polls; /* of GPollFD: what libslirp waits for */
    unsigned used;    /* how many of them count this turn */
    gint64 due;       /* when libslirp wants to be called at the latest, monotonic us */
};
