// SPDX-License-Identifier: GPL-2.0-or-later
/* switch_port.h - what the switch does with one card's frames on their way, both ways:
 *
 *   card -> capture -> own address? -> limits, loss, delay -> mode
 *   mode -> for this card? -> limits, loss, delay -> capture -> card (which may be slow, and drop it)
 *
 * It stands between the cable and the mode, whatever the mode is.  One thread. */
#pragma once
#include "core-vmm/api/net.h"
#include "network-modes/shaper.h"

struct port_settings {
    uint8_t mac[6];               /* of the card */
    bool promiscuous;             /* frames for other stations reach it too */
    bool spoof;                   /* it may send from other addresses than its own */
    struct shaper_settings shape; /* each way */
};
struct port_group { /* cards with one limit together */
    struct bucket from_card, to_card;
};
struct port_counts {
    uint64_t spoofed, foreign; /* from another's address; for another station */
    uint64_t lost, full;       /* by the loss that was asked for; over the limit or the room for what waits */
};
struct port_sides {
    /* The frame may be changed, with as much room before it as it came with; MODE_ROOM if it has waited. */
    void (*to_mode)(void *ctx, void *frame, size_t bytes, const struct net_offload *left);
    void (*to_card)(void *ctx, const void *frame, size_t bytes, const struct net_offload *left);
    void *ctx;
};
struct switch_port;
struct switch_port *switch_port_new(const struct port_sides *sides); /* sides is copied; lets everything through */
void switch_port_free(struct switch_port *p);
void switch_port_set(struct switch_port *p, const struct port_settings *set, struct port_group *group /* or NULL */);
void switch_port_from_card(struct switch_port *p, void *frame, size_t bytes, const struct net_offload *left);
void switch_port_from_mode(struct switch_port *p, const void *frame, size_t bytes, const struct net_offload *left);
void switch_port_count(const struct switch_port *p, struct port_counts *out);
void switch_port_drop(struct switch_port *p); /* what waits, when the cable is pulled */

/* Writes what passes into fd as pcapng from now on; takes fd.  One at a time. */
bool switch_port_capture(struct switch_port *p, int fd, const char *name, GError **error);
void switch_port_capture_stop(struct switch_port *p); /* fine if there is none */
/* Is there one, and how many frames has it written and missed so far? */
bool switch_port_captures(const struct switch_port *p, uint64_t *frames, uint64_t *missed);
