// SPDX-License-Identifier: GPL-2.0-or-later
/* nat_segments.c - what is longer than the guest's link, between libslirp and the guest.
 *
 * TCP: each segment costs libslirp about the same, whatever its length.  So it is told that the guest takes segments of up to
 * SEGMENT_MOST bytes (the option MSS of the guest's SYN is raised to a multiple of what it says), and what comes out goes on as
 * one segment to be cut up by what the guest does take: by its card, or by
 * base/net_offload.c.  The guest sees the segments that it asked
 * for.  If its connections ask for different lengths, the least of them is right for all.
 *
 * Datagrams: libslirp's link is longer than the guest's, so what is too long for an Ethernet frame is cut into fragments here
 * (RFC 791, 3.2; RFC 8200, 4.5). */
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/net_offload.h"
#include "network-modes/nat.h"

enum {
    ETHER = 14,
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    TCP = 6,
    FRAGMENT = 44,
    FRAGMENT_BYTES = 8,
    SYN = 2,
    OPTION_END = 0,
    OPTION_PAD = 1,
    OPTION_MSS = 2,
    SEGMENT_MOST = 16384,
    SEGMENT_LEAST = 88,
    LINK = 1500, /* of the guest's Ethernet: bytes of a packet */
    MORE = 0x2000,
    OFFSET = 0x1fff
};

/* Where a frame's TCP header is, or NULL: it has none. */
static uint8_t *tcp_of(uint8_t *f, size_t bytes, bool *v6)
{
    uint16_t type = get_be16(f + 12);
    size_t ip = type == TYPE_IPV6 ? 40 : type == TYPE_IPV4 && bytes > ETHER ? (f[ETHER] & 15u) * 4 : 0;
    *v6 = type == TYPE_IPV6;
    if (ip < 20 || bytes < ETHER + ip + 20 || f[ETHER + (*v6 ? 6 : 9)] != TCP)
        return NULL;
    return *v6 || !(get_be16(f + ETHER + 6) & (MORE | OFFSET)) ? f + ETHER + ip : NULL;
}

/* The value of the option MSS, or NULL. */
static uint8_t *mss_of(uint8_t *tcp, const uint8_t *end)
{
    uint8_t *o = tcp + 20, *stop = tcp + (tcp[12] >> 4) * 4;
    if (stop > end)
        return NULL;
    while (o + 4 <= stop && *o != OPTION_END && *o != OPTION_MSS)
        o += *o == OPTION_PAD ? 1 : o[1] > 2 ? o[1] : 2;
    return o + 4 <= stop && *o == OPTION_MSS && o[1] == 4 ? o + 2 : NULL;
}

/* RFC 1624: a sum in which one number has become another.  odd: the number does not lie on an even byte. */
static void adjust_sum(uint8_t *sum, uint16_t from, uint16_t to, bool odd)
{
    if (odd) {
        from = GUINT16_SWAP_LE_BE(from);
        to = GUINT16_SWAP_LE_BE(to);
    }
    uint32_t s = (uint16_t)~get_be16(sum) + (uint32_t)(uint16_t)~from + to;
    s = (s & 0xffff) + (s >> 16);
    put_be16(sum, (uint16_t) ~((s & 0xffff) + (s >> 16)));
}

void nat_segments_from_guest(struct nat *n, uint8_t *frame, size_t bytes)
{
    bool v6;
    uint8_t *tcp = tcp_of(frame, bytes, &v6), *mss = tcp && tcp[13] & SYN ? mss_of(tcp, frame + bytes) : NULL;
    uint16_t asked = mss ? get_be16(mss) : 0;
    if (asked < SEGMENT_LEAST || asked > SEGMENT_MOST)
        return;
    n->mss[v6] = n->mss[v6] ? MIN(n->mss[v6], asked) : asked;
    uint16_t told = n->mss[v6] * (SEGMENT_MOST / n->mss[v6]);
    put_be16(mss, told);
    adjust_sum(tcp + 16, asked, told, (mss - tcp) & 1);
}

/* A segment that the guest does not take so long. */
static bool is_long_segment(struct nat *n, const uint8_t *frame, size_t bytes, struct net_offload *left)
{
    bool v6;
    const uint8_t *tcp = tcp_of((uint8_t *)frame, bytes, &v6);
    size_t head = tcp ? (tcp - frame) + (tcp[12] >> 4) * 4u : 0;
    if (!tcp || !n->mss[v6] || bytes <= head + n->mss[v6])
        return false;
    *left =
        (struct net_offload){.segments = v6 ? NET_TSO6 : NET_TSO4, .segment_bytes = n->mss[v6], .header_bytes = head};
    return true;
}

/* ---- fragments ---- */

static void put_v4(uint8_t *ip, size_t head, size_t at, size_t n, uint16_t was, bool last)
{
    put_be16(ip + 2, (uint16_t)(head + n));
    put_be16(ip + 6, (uint16_t)((was & ~OFFSET) + (was & OFFSET) + at / 8) | (last ? 0 : MORE));
    put_be16(ip + 10, 0);
    uint16_t sum = ~offload_fold(offload_sum(ip, head, 0));
    memcpy(ip + 10, &sum, sizeof sum);
}

static void put_v6(uint8_t *ip, size_t at, size_t n, uint8_t next, uint32_t id, bool last)
{
    uint8_t *f = ip + 40;
    put_be16(ip + 4, (uint16_t)(FRAGMENT_BYTES + n));
    ip[6] = FRAGMENT;
    f[0] = next;
    f[1] = 0;
    put_be16(f + 2, (uint16_t)at | !last);
    put_be32(f + 4, id);
}

static void deliver_fragments(struct nat *n, const uint8_t *frame, size_t bytes)
{
    bool v6 = get_be16(frame + 12) == TYPE_IPV6;
    size_t head = v6 ? 40 : (frame[ETHER] & 15u) * 4, all = v6 ? head + FRAGMENT_BYTES : head;
    size_t most = (LINK - all) & ~7u, payload = bytes - ETHER - head;
    uint8_t piece[ETHER + LINK];
    uint16_t was = v6 ? 0 : get_be16(frame + ETHER + 6);
    n->fragment_id++;
    for (size_t at = 0; at < payload; at += most) {
        size_t part = MIN(most, payload - at);
        bool last = at + part == payload;
        memcpy(piece, frame, ETHER + head);
        memcpy(piece + ETHER + all, frame + ETHER + head + at, part);
        if (v6)
            put_v6(piece + ETHER, at, part, frame[ETHER + 6], n->fragment_id, last);
        else
            put_v4(piece + ETHER, head, at, part, was, last && !(was & MORE));
        port_deliver(n->port, piece, ETHER + all + part, NULL);
    }
}

void nat_segments_to_guest(struct nat *n, const uint8_t *frame, size_t bytes)
{
    struct net_offload left;
    uint16_t type = get_be16(frame + 12);
    if (bytes <= ETHER + LINK && (!n->mss[0] || n->mss[0] >= LINK - 40) && (!n->mss[1] || n->mss[1] >= LINK - 60))
        port_deliver(n->port, frame, bytes, NULL); /* nothing can be too long */
    else if (is_long_segment(n, frame, bytes, &left))
        port_deliver(n->port, frame, bytes, &left);
    else if (bytes > ETHER + LINK && (type == TYPE_IPV4 || type == TYPE_IPV6))
        deliver_fragments(n, frame, bytes);
    else
        port_deliver(n->port, frame, bytes, NULL);
}
