// SPDX-License-Identifier: GPL-2.0-or-later
/* forward.h - how a port forward is written: "tcp 127.0.0.1:2222 22", "udp [::1]:5353 53", "tcp 8080 10.0.2.20:80".
 * Protocol, the host's port, the guest's port.  Without an address the host's is 127.0.0.1 and the guest's the one that the
 * guest was given; several are joined by semicolons. */
#pragma once
#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>

struct forward {
    bool udp, v6;                /* v6: the host's address is one of IPv6, and then so is the guest's */
    struct in6_addr host, guest; /* IPv4 ones in the last four bytes; guest all zeroes: not said */
    uint16_t host_port, guest_port;
};
bool forward_parse(const char *text, struct forward *f, GError **error);
char *forward_format(const struct forward *f); /* as it is parsed, in one way only; g_free */
/* Do both want the same port of the host?  An address 0.0.0.0 or :: is all of them. */
bool forward_same_host(const struct forward *a, const struct forward *b);
/* A list, "" for none; struct forward; NULL with an error: one of them is wrong, or two want one port. */
GArray *forward_parse_list(const char *text, GError **error);
