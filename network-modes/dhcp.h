// SPDX-License-Identifier: GPL-2.0-or-later
/* dhcp.h - a DHCP server for networks of virtual machines (RFC 2131), as a function from frames to frames.  Guests are
 * hostile: leases are bounded, what was only offered is free again after seconds, and the file with them is not written more
 * than once a second.  A station keeps its address as long as nobody else needs it. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DHCP_LEASES = 512, DHCP_LEASE_S = 86400, DHCP_OFFER_S = 30, DHCP_HOST_MOST = 63, DHCP_FRAME_MOST = 590 };
struct dhcp_lease {
    uint8_t mac[6];
    uint32_t address;              /* host order; 0: no lease */
    int64_t until;                 /* seconds, of the host's wall clock */
    bool taken;                    /* else only offered */
    char host[DHCP_HOST_MOST + 1]; /* what the station calls itself; letters, digits, "-." */
};
struct dhcp_settings {                  /* addresses in host order */
    uint32_t server, mask, router, dns; /* router, dns: 0 for none */
    uint32_t first, last;
    uint8_t mac[6]; /* of the server */
    bool arp;       /* it is a station of its own and says so; else somebody else has its address */
};
struct dhcp_reply {
    size_t bytes; /* 0: none */
    uint8_t frame[DHCP_FRAME_MOST];
};
struct dhcp;
struct dhcp *dhcp_new(const struct dhcp_settings *set);
void dhcp_free(struct dhcp *d);
/* True: the frame was for the server and goes nowhere else unless it is a broadcast.  now: seconds, wall clock. */
bool dhcp_frame(struct dhcp *d, const void *frame, size_t bytes, int64_t now, struct dhcp_reply *reply);

/* ---- leases as text: "MAC ADDRESS UNTIL NAME", a line each; what is no such line is ignored ---- */
char *dhcp_leases_text(const struct dhcp *d, int64_t now); /* those that are taken; g_free */
void dhcp_leases_take(struct dhcp *d, const char *text);   /* those of a server before */
bool dhcp_changed(struct dhcp *d);                         /* since it was asked last: the text is another one */
bool dhcp_lease_parse(const char *line, struct dhcp_lease *l);
