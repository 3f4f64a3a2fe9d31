// SPDX-License-Identifier: GPL-2.0-or-later
/* nat.h - the inside of the mode nat: nat.c joins libslirp to the card and the main loop, or nat_passt.c passt; nat_dns.c is the name server,
 * nat_segments.c is for what is longer than the guest's link, nat_fragments.c for what the guest has cut up, nat_forward.c has
 * the ports of the host that lead into the guest, nat_host.c keeps the guest from the host. */
#pragma once
#include "network-modes/mode.h"
#include "network-modes/resolver.h"
#include <slirp/libslirp.h>

enum { NAT_ANSWERED = 16 };
struct nat {
    struct net_port *port;
    struct resolver *resolver;
    Slirp *slirp;            /* NULL: passt does it */
    struct nat_passt *passt; /* NULL: libslirp does */
    GSource *source;
    GPtrArray *polls;                                 /* of GPollFD: what libslirp waits for */
    unsigned used;                                    /* how many of them count this turn */
    gint64 due;                                       /* when libslirp wants to be called at the latest, monotonic us */
    struct in_addr network, mask, router, dns, guest; /* guest: whom forwards lead to if they do not say */
    struct in6_addr prefix6, router6, dns6;
    bool ipv6, host_reachable, ping;
    char *bootfile, *tftp;
    uint16_t mss[2]; /* the least that the guest asked for, IPv4 and IPv6; 0: nothing yet */
    uint32_t fragment_id;
    struct nat_dns *dns_server;
    struct nat_fragments *fragments;
    GPtrArray *forwards; /* of struct nat_forward */
    struct {
        uint16_t port;
        gint64 at;            /* monotonic us */
    } answered[NAT_ANSWERED]; /* TCP ports of the guest that took a connection, the last NAT_ANSWERED */
    struct nat_host *host;    /* NULL: it may be reached */
};

/* ---- nat.c ---- */
void nat_to_guest(struct nat *n, const uint8_t *frame, size_t bytes); /* what the back end has for it */

/* ---- nat_passt.c ---- */
struct nat_passt *nat_passt_new(struct nat *n, GError **error);
void nat_passt_free(struct nat_passt *p);    /* NULL is fine */
void nat_passt_restart(struct nat_passt *p); /* with the forwards that there are now; connections are lost */
void nat_passt_send(struct nat_passt *p, const uint8_t *frame, size_t bytes);

/* ---- nat_dns.c ---- */
enum { NAT_DNS_ROOM = 24 }; /* that a frame to the guest may grow by */
struct nat_dns *nat_dns_new(struct nat *n);
void nat_dns_free(struct nat_dns *d);
/* A frame of the guest, whose sums are right, and may be changed.  True: it was a question, and is done with. */
bool nat_dns_from_guest(struct nat_dns *d, uint8_t *frame, size_t bytes);
/* Has it anything to do with names?  Then it goes through the other; its length after that. */
bool nat_dns_minds(const uint8_t *frame, size_t bytes);
size_t nat_dns_to_guest(struct nat_dns *d, uint8_t *frame, size_t bytes);

/* ---- nat_segments.c ---- */
enum { NAT_LINK = 32768 }; /* of libslirp's own link: bytes of a packet */
void nat_segments_from_guest(struct nat *n, uint8_t *frame, size_t bytes); /* its sums are right and stay right */
void nat_segments_to_guest(struct nat *n, const uint8_t *frame, size_t bytes);

/* ---- nat_fragments.c ---- */
struct nat_fragments *nat_fragments_new(void);
void nat_fragments_free(struct nat_fragments *f);
/* A frame of the guest: itself if it is no fragment; for the last one that was missing the whole, with MODE_ROOM before
 * it and good until the next call; else NULL, and *bad says whether it is of no use. */
uint8_t *nat_fragments_take(struct nat_fragments *f, uint8_t *frame, size_t *bytes, bool *bad);

/* ---- nat_forward.c ---- */
/* The list of machine.ini.  One that cannot be made is kept with the reason: the others count. */
bool nat_forwards_start(struct nat *n, const char *list, GError **error);
/* To what that list says now; those in both are left alone, and so are connections of those that go. */
bool nat_forwards_change(struct nat *n, const char *list, GError **error);
void nat_forwards_stop(struct nat *n);
/* A frame of the guest: does it take a connection? */
void nat_note_answer(struct nat *n, const uint8_t *frame, size_t bytes);
/* How long ago it last did so on that port, ms; -1: never, or too many others since. */
gint64 nat_answered(const struct nat *n, uint16_t port);
void nat_forwards_describe(struct nat *n, JsonObject *into);
char *nat_forwards_wanted(const struct nat *n); /* those that have not failed, as a list; g_free */
void nat_forwards_told(struct nat *n, const int *errors, unsigned count); /* of those, in their order: errno, or 0 */

/* ---- nat_host.c ---- */
struct nat_host *nat_host_new(void);
void nat_host_free(struct nat_host *h);
/* Is this frame of the guest for an address of the host itself? */
bool nat_host_is_meant(struct nat_host *h, const uint8_t *frame, size_t bytes);
/* For 127.0.0.0/8 or ::1, which no frame may be for? */
bool nat_is_martian(const uint8_t *frame, size_t bytes);
