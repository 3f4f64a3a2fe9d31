// SPDX-License-Identifier: GPL-2.0-or-later
/* mode.h - the plug of a network mode: what the cable of a card ends in.  One mode, one file; modes.c lists them.
 *
 * All of it runs on the one thread of the network process, whose loop is GLib's default main context; nothing may block (starting
 * passt does, for two seconds at most).
 * Frames come from a hostile guest and from hostile networks: every length from NET_FRAME_LEAST to NET_FRAME_MOST, any
 * content.  A frame that a mode cannot use is dropped and counted (port_dropped). */
#pragma once
#include "core-vmm/api/config.h"
#include "core-vmm/api/net.h"
#include <json-glib/json-glib.h>

enum { MODE_ROOM = 16 }; /* bytes before a frame of the guest's, which are the mode's to use */

struct net_port; /* one card's place in the process */
struct net_mode {
    const char *name; /* as [nicN] mode has it */
    const char *help; /* one line, for people */
    unsigned can;     /* what of a frame's making may be left to frame(): NET_CHECKSUM, NET_TSO4, NET_TSO6, or-ed */
    /* Reads its keys from the card's section.  Its state, or NULL with an error: then the cable stays out. */
    void *(*start)(struct net_port *p, const struct config *c, GError **error);
    /* A frame of the guest, which may be changed in place; there is MODE_ROOM before it. */
    void (*frame)(void *state, uint8_t *frame, size_t bytes, const struct net_offload *left);
    /* A key of its section has another value now.  True: that counts already; false without an error: only after stop() and
     * start(), which the guest sees as a cable pulled.  May be NULL: the latter. */
    bool (*change)(void *state, const struct config *c, const char *key, GError **error);
    /* A command of the control socket that is the mode's own, for `vmctl nic` and `vmctl net`.  NULL without an error: it
     * does not know that one.  May be NULL, like describe. */
    JsonObject *(*command)(void *state, const char *name, JsonObject *args, GError **error);
    void (*describe)(void *state, JsonObject *into); /* what `vmctl nic list` shows of it */
    void (*stop)(void *state);
};

/* ---- what a port offers to its mode ---- */
const char *port_card(const struct net_port *p);    /* "nic1" */
const char *port_machine(const struct net_port *p); /* the VM's name */
const uint8_t *port_mac(const struct net_port *p);  /* of the card, 6 bytes; zeroes: not known yet */
unsigned port_guest_can(const struct net_port *p);  /* what may be left to the guest's driver */
/* A frame for the guest.  What is left to do and the guest cannot is done here first. */
void port_deliver(struct net_port *p, const uint8_t *frame, size_t bytes, const struct net_offload *left);
void port_link(struct net_port *p, bool up); /* the mode's far end is there, or not: up until told otherwise */
void port_dropped(struct net_port *p, const char *why);                         /* counted by reason; why: a constant */
void port_log(struct net_port *p, const char *format, ...) G_GNUC_PRINTF(2, 3); /* the log has room for so many a second */
bool port_has_card(const struct net_port *p);             /* false: it is inside of another mode */
unsigned port_number(const struct net_port *p);           /* of the card, from 0 */
struct passt_host *port_passt(const struct net_port *p);  /* network-modes/passt_host.h; NULL: no passt is to be had */
struct resolver *port_resolver(const struct net_port *p); /* network-modes/resolver.h */
/* A descriptor that the starter opened for this card under that name (`tftp`), or -1; stays the process'. */
int port_fd(const struct net_port *p, const char *name);
