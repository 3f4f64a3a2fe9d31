// SPDX-License-Identifier: GPL-2.0-or-later
/* passt_host.h - a process beside the network process that starts passt (passt.top) for its cards: the network process itself may
 * start nothing.  It is made before the fence is closed.  Whoever has taken over the network process can have passt started with other port
 * forwards and addresses, and with the host within reach, and with nothing else.
 *
 *   network process <== frames ==> passt, which fences itself in
 *        | which forwards              | started and ended by
 *        +--------------------> this process
 */
#pragma once
#include "core-vmm/base/net_range.h"
#include <glib.h>

enum { PASST_FORWARDS = 32, PASST_FORWARDS_BYTES = 4096 };

struct passt_host;
/* Before the fence, while there is one thread.  NULL: passt is not installed. */
struct passt_host *passt_host_new(void);
void passt_host_free(struct passt_host *h); /* NULL is fine */

struct passt_request {
    uint32_t card, number; /* number: passt_host_start() sets it */
    struct net_range range;
    bool ipv6, host_reachable;
    char forwards[PASST_FORWARDS_BYTES]; /* as machine.ini has them, without addresses of the guest */
};
struct passt_reply {
    uint32_t number;             /* of the request */
    int error;                   /* errno; 0 and no socket: passt has ended at once */
    int forward[PASST_FORWARDS]; /* errno of each, in their order; 0: it stands */
};
/* A stream socket to a new passt for that card, whose old one has ended; or -1; error EPIPE: the process that starts it has ended.  Each frame is its length, 32 bits, big-endian, and
 * then itself.  Waits two seconds at most. */
int passt_host_start(struct passt_host *h, struct passt_request *r, struct passt_reply *reply);
