// SPDX-License-Identifier: GPL-2.0-or-later
/* net_range.h - an IPv4 network as it is written, "10.0.2.0/24". */
#pragma once
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NET_RANGE_SHORTEST = 8, NET_RANGE_LONGEST = 27 /* room for the addresses that a router needs */ };
struct net_range {
    uint32_t network, mask; /* the host's byte order */
};

/* False: it is none, has bits behind its prefix, or a prefix of a length that no network of ours has. */
static inline bool net_range_parse(const char *text, struct net_range *out)
{
    char address[INET_ADDRSTRLEN];
    const char *slash = text ? strchr(text, '/') : NULL;
    struct in_addr a;
    if (!slash || slash - text >= (long)sizeof address || slash[1] < '1' || slash[1] > '9')
        return false;
    memcpy(address, text, slash - text);
    address[slash - text] = 0;
    char *end;
    unsigned long bits = strtoul(slash + 1, &end, 10);
    if (*end || bits < NET_RANGE_SHORTEST || bits > NET_RANGE_LONGEST || inet_pton(AF_INET, address, &a) != 1)
        return false;
    out->mask = ~UINT32_C(0) << (32 - bits);
    out->network = ntohl(a.s_addr);
    return !(out->network & ~out->mask) && out->network >> 24 != 127 && out->network >> 24 != 0 &&
           out->network >> 28 < 0xe;
}
