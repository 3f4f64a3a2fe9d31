// SPDX-License-Identifier: GPL-2.0-or-later
/* addresses.c - see addresses.h. */
#include "network-modes/addresses.h"
#include "core-vmm/base/bytes.h"
#include <arpa/inet.h>

enum {
    ETHER = 14,
    TYPE_ARP = 0x0806,
    TYPE_IPV6 = 0x86dd,
    ARP_SENDER = ETHER + 14,
    ARP_BYTES = ETHER + 28,
    ICMPV6 = 58,
    SOLICITATION = 135,
    ADVERTISEMENT = 136,
    ND_TARGET = ETHER + 40 + 8
};

/* To the front of a list of addresses of that size.  True: it was not in it. */
static bool note(uint8_t *list, unsigned *count, size_t size, const uint8_t *address)
{
    static const uint8_t none[16];
    uint8_t copy[16];
    unsigned at = 0;
    if (!memcmp(address, none, size) || (*count && !memcmp(list, address, size)))
        return false;
    memcpy(copy, address, size);
    while (at < *count && memcmp(list + at * size, copy, size))
        at++;
    bool new = at == *count;
    if (new &&*count < ADDRESSES_MOST)
        ++*count;
    at = at < ADDRESSES_MOST ? at : ADDRESSES_MOST - 1;
    memmove(list + size, list, at * size);
    memcpy(list, copy, size);
    return new;
}

/* A guest that looks whether an address is free says that it is about to have it (RFC 4862, 5.4). */
static const uint8_t *v6_of(const uint8_t *f, size_t bytes)
{
    static const uint8_t none[16];
    bool neighbours = bytes >= ND_TARGET + 16 && f[ETHER + 6] == ICMPV6;
    bool looks = neighbours && f[ETHER + 40] == SOLICITATION && !memcmp(f + ETHER + 8, none, 16);
    return looks || (neighbours && f[ETHER + 40] == ADVERTISEMENT) ? f + ND_TARGET : f + ETHER + 8;
}

bool addresses_learn(struct addresses *a, const uint8_t *f, size_t bytes)
{
    uint16_t type = get_be16(f + 12);
    if (type == TYPE_ARP && bytes >= ARP_BYTES && get_be16(f + ETHER + 2) == 0x800)
        return note(a->v4[0], &a->v4_count, 4, f + ARP_SENDER);
    return type == TYPE_IPV6 && bytes >= ETHER + 40 && note(a->v6[0], &a->v6_count, 16, v6_of(f, bytes));
}

/* Is it an acknowledgement?  Options are code, length, value (RFC 2132). */
static bool acknowledges(const uint8_t *option, const uint8_t *end)
{
    enum { PAD = 0, TYPE = 53, ACK = 5, END = 255 };
    while (option + 3 <= end && *option != END && *option != TYPE)
        option += *option == PAD ? 1 : 2 + option[1];
    return option + 3 <= end && *option == TYPE && option[2] == ACK;
}

bool addresses_learn_lease(struct addresses *a, const uint8_t *f, size_t bytes, const uint8_t mac[6])
{
    enum {
        TYPE_IPV4 = 0x0800,
        UDP = 17,
        TO_PORT = ETHER + 20 + 2,
        CLIENT = 68,
        BOOTP = ETHER + 28,
        OPTIONS = BOOTP + 240
    };
    bool whole = bytes > OPTIONS && f[ETHER] == 0x45 && get_be16(f + 12) == TYPE_IPV4;
    return whole && f[ETHER + 9] == UDP && get_be16(f + TO_PORT) == CLIENT && f[BOOTP] == 2 &&
           !memcmp(f + BOOTP + 28, mac, 6) && acknowledges(f + OPTIONS, f + bytes) &&
           note(a->v4[0], &a->v4_count, 4, f + BOOTP + 16);
}

static void add(JsonArray *to, int family, const void *address)
{
    char text[INET6_ADDRSTRLEN];
    json_array_add_string_element(to, inet_ntop(family, address, text, sizeof text));
}

JsonArray *addresses_describe(const struct addresses *a)
{
    JsonArray *list = json_array_new();
    for (unsigned i = 0; i < a->v4_count; i++)
        add(list, AF_INET, a->v4[i]);
    for (unsigned of_link = 0; of_link < 2; of_link++)
        for (unsigned i = 0; i < a->v6_count; i++)
            if ((a->v6[i][0] == 0xfe && (a->v6[i][1] & 0xc0) == 0x80) == of_link)
                add(list, AF_INET6, a->v6[i]);
    return list;
}
