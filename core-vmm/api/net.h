// SPDX-License-Identifier: GPL-2.0-or-later
/* net.h - the cable between a network card and its far end (a network mode, a switch).  Whole Ethernet frames without the
 * check sequence.  Nothing blocks: what the other side has no room for waits for a while, and beyond that is dropped and
 * counted.  A link that is down carries nothing. */
#pragma once
#include "core-vmm/api/device.h"
#include "core-vmm/base/net_offload.h"
#include <sys/uio.h>

enum { NET_FRAME_LEAST = 14, NET_FRAME_MOST = 65550 };
struct net_counts {
    uint64_t sent, sent_dropped, received, received_dropped; /* frames, as the guest sees it */
};

/* The card's address: its section's key `mac`, else one that comes from the machine's path and the section, so that it stays
 * the same: 52:54:00 and three bytes.  Any thread; the file has been found good. */
void net_mac(const struct config *c, uint8_t mac[6]);

/* ---- the card ---- */
struct net_cable;
struct net_card { /* with the device's lock held, on any thread */
    /* A frame for the guest; false: no room, try again after net_more_room(). */
    bool (*frame)(struct device *d, const void *frame, size_t bytes, const struct net_offload *left);
    void (*link)(struct device *d, bool up);
    /* There is room to send, after net_room() had said that there is none, or another cable; NULL: the card does not ask. */
    void (*room)(struct device *d);
};
struct net_cable *net_open(struct device *d, const struct net_card *card); /* in init; the link is down */
void net_close(struct net_cable *c);                                       /* in fini */
void net_can(struct net_cable *c, unsigned offloads);                      /* what the guest's driver can be given */
/* These with the device's lock held, on any thread.  left: NULL, or what is left to do; beyond what net_end_can() says it is
 * done here, which costs the caller time. */
void net_send(struct net_cable *c, const struct iovec *iov, int count, const struct net_offload *left);
/* Is there room for a frame, so that it will not be dropped?  False: the card's room() is called when there is. */
bool net_room(struct net_cable *c);
/* Have all CPUs halted, and wait for an interrupt?  Then one costs the guest nothing.  False where it is not known (KVM). */
bool net_guest_waits(struct net_cable *c);
unsigned net_end_can(struct net_cable *c);
bool net_link(struct net_cable *c);
void net_more_room(struct net_cable *c);

/* ---- the far end; loop thread, no device lock held ---- */
struct net_end {
    /* A frame of the guest; false: no room, try again after net_end_room(). */
    bool (*frame)(void *ctx, const void *frame, size_t bytes, const struct net_offload *left);
    /* The same from a vCPU's thread with the card's device lock held, while no earlier frame waits: the short way.  It takes
     * net_attach() to have it not called any more.  NULL: there is none. */
    bool (*at_once)(void *ctx, const struct iovec *iov, int count, const struct net_offload *left);
    void (*closed)(void *ctx); /* the card goes, and the cable with it; NULL: not before the end */
    unsigned can;
    void *ctx;
};
struct net_cable *machine_cable(struct machine *m, const char *card); /* by its section, "nic1"; NULL */
void net_attach(struct net_cable *c, const struct net_end *end); /* the link comes up; NULL: down.  *end stays valid */
void net_end_room(struct net_cable *c);
void net_counts(struct net_cable *c, struct net_counts *out);
/* Any thread, one at a time, no device lock held: a frame for the guest.  What is left to do and its driver cannot is done
 * here.  False: dropped. */
bool net_deliver(struct net_cable *c, const void *frame, size_t bytes, const struct net_offload *left);
