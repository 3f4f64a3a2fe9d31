// SPDX-License-Identifier: GPL-2.0-or-later
/* mesh.h - a network of virtual machines of one user, without a process in its middle.
 *
 * Each member has a listening Unix socket (SOCK_SEQPACKET) in the network's folder, named by 32 random hexadecimal digits,
 * and a connection to every other member.  It is a learning switch whose ports are its own (the card, a router) and the
 * other members:
 *
 *      member A              member B                 a frame from an own port goes where its address was last seen,
 *    card   router             card                   or everywhere; one from a member only to own ports, since
 *       \   /                   |                     that member has sent it to all others itself
 *      [switch] ===========  [switch]
 *           \\               //
 *            ==== [switch] ===
 *                    | member C's card
 *
 * Joining: listen under a hidden name, rename (so whoever is seen also listens), connect to all that are there.  Two that
 * join at once connect both ways; the connection that the smaller name made stays.  A socket that refuses connections is
 * what a killed member has left, and is removed.  Every few seconds all look whether somebody is missing.
 *
 * Nothing waits: a member whose socket is full misses frames, and nobody else does.  Members are this user's processes, and
 * may still be in a guest's hands: what they send is checked, and how much of it is taken at once is bounded.
 * All calls from one thread, whose default main context the sockets are watched in. */
#pragma once
#include "core-vmm/api/net.h"
#include <json-glib/json-glib.h>

enum { MESH_OWN_PORTS = 3, MESH_MEMBERS = 64 }; /* at most, beside ourselves */

struct mesh_end { /* an own port */
    /* A frame that is for it.  Members may leave all of NET_CHECKSUM, NET_TSO4 and NET_TSO6 to do.  Not to leave from. */
    void (*frame)(void *ctx, const void *frame, size_t bytes, const struct net_offload *left);
    void *ctx;
};
struct mesh_counts {
    unsigned members;                      /* whom we are connected to */
    uint64_t sent, full, received, broken; /* frames to members; those that a member had no room for; from; nonsense */
};
struct mesh;
/* folder: of the network, opened for listing; the mesh duplicates it. */
struct mesh *mesh_join(int folder, GError **error);
void mesh_leave(struct mesh *m);
/* The number of a new port, for mesh_send(); *end stays valid. */
unsigned mesh_plug(struct mesh *m, const struct mesh_end *end);
void mesh_unplug(struct mesh *m, unsigned port);
void mesh_send(struct mesh *m, unsigned port, const void *frame, size_t bytes, const struct net_offload *left);
void mesh_describe(const struct mesh *m, JsonObject *into); /* members and counts */
void mesh_count(const struct mesh *m, struct mesh_counts *out);
