// SPDX-License-Identifier: GPL-2.0-or-later
/* net_offload.c - see net_offload.h.
 *
 * A card with segmentation offload hands over Ethernet, IP and TCP headers and up to 64 KiB of payload.  A segment of it has
 * the same headers but for: IP's length, IPv4's identification (one more each) and sum, TCP's sequence number and sum; FIN and
 * PSH only in the last, CWR only in the first (RFC 3168 6.1.2).  Drivers disagree about what lengths and sums hold before:
 * nothing is taken from there. */
#include "core-vmm/base/net_offload.h"
#include "core-vmm/base/bytes.h"
#include <glib.h>
#include <string.h>

enum {
    ETHER = 14,
    VLAN = 4,
    TYPE_VLAN = 0x8100,
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    PROTOCOL_TCP = 6,
    UDP_CHECKSUM = 6, /* where it is in UDP's header, and in no other */
    HEADERS_MOST = 192,
    SEGMENT_LEAST = 32, /* TCP has none below 88; nobody is to make thousands of frames out of one */
    FIN = 1,
    PSH = 8,
    CWR = 0x80
};

/* ---- sums ---- */

/* Four bytes a step: the sum modulo 65535 does not care how it is cut (RFC 1071, 2). */
uint64_t offload_sum(const uint8_t *bytes, size_t n, uint64_t sum)
{
    uint64_t a = 0, b = 0;
    for (; n >= 16; n -= 16, bytes += 16) {
        uint32_t w[4];
        memcpy(w, bytes, sizeof w);
        a += (uint64_t)w[0] + w[1];
        b += (uint64_t)w[2] + w[3];
    }
    for (; n >= 2; n -= 2, bytes += 2) {
        uint16_t w;
        memcpy(&w, bytes, sizeof w);
        a += w;
    }
    if (n)
        a += *bytes; /* as if a zero came behind: the host is little-endian */
    sum += (a & 0xffffffff) + (a >> 32);
    return sum + (b & 0xffffffff) + (b >> 32);
}

uint16_t offload_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

bool offload_checksum(uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    size_t at = (size_t)left->checksum_start + left->checksum_offset;
    if (!left->checksum)
        return true;
    if (left->checksum_start > bytes || at + 2 > bytes)
        return false;
    uint16_t sum = ~offload_fold(offload_sum(frame + left->checksum_start, bytes - left->checksum_start, 0));
    if (!sum && left->checksum_offset == UDP_CHECKSUM) /* there it would say that there is none (RFC 768) */
        sum = 0xffff;
    memcpy(frame + at, &sum, sizeof sum);
    return true;
}

/* ---- TCP segments ---- */

struct headers {
    bool v6;
    size_t ip, tcp, all; /* offsets; all: where the payload begins */
};

/* Where is what?  False: not what left says. */
static bool find_headers(const uint8_t *f, size_t bytes, const struct net_offload *left, struct headers *h)
{
    size_t n = left->header_bytes;
    if (n > bytes || n > HEADERS_MOST || n < ETHER + 20 + 20)
        return false;
    h->ip = get_be16(f + 12) == TYPE_VLAN ? ETHER + VLAN : ETHER;
    uint16_t type = get_be16(f + h->ip - 2);
    h->v6 = type == TYPE_IPV6;
    if (type != (left->segments == NET_TSO6 ? TYPE_IPV6 : TYPE_IPV4))
        return false;
    size_t ip_bytes = h->v6 ? 40 : (f[h->ip] & 15u) * 4;
    h->tcp = h->ip + ip_bytes;
    if (ip_bytes < 20 || h->tcp + 20 > n || f[h->ip + (h->v6 ? 6 : 9)] != PROTOCOL_TCP)
        return false;
    h->all = h->tcp + (f[h->tcp + 12] >> 4) * 4u;
    return h->all == n && h->all >= h->tcp + 20;
}

/* The pseudo header's sum (RFC 9293, 3.1; RFC 8200, 8.1). */
static uint64_t pseudo_sum(const uint8_t *ip, bool v6, size_t tcp_bytes)
{
    uint8_t rest[4] = {0, PROTOCOL_TCP, (uint8_t)(tcp_bytes >> 8), (uint8_t)tcp_bytes};
    uint64_t sum = offload_sum(ip + (v6 ? 8 : 12), v6 ? 32 : 8, 0);
    return offload_sum(rest, sizeof rest, sum);
}

/* IP's length, and sum. */
static void finish_ip(uint8_t *f, size_t bytes, const struct headers *h)
{
    uint8_t *ip = f + h->ip;
    if (h->v6) {
        put_be16(ip + 4, (uint16_t)(bytes - h->ip - 40));
    } else {
        put_be16(ip + 2, (uint16_t)(bytes - h->ip));
        put_be16(ip + 10, 0);
        uint16_t sum = ~offload_fold(offload_sum(ip, h->tcp - h->ip, 0));
        memcpy(ip + 10, &sum, sizeof sum);
    }
}

/* Lengths and sums of a frame whose other fields are right. */
static void finish(uint8_t *f, size_t bytes, const struct headers *h)
{
    uint8_t *ip = f + h->ip, *tcp = f + h->tcp;
    size_t tcp_bytes = bytes - h->tcp;
    finish_ip(f, bytes, h);
    put_be16(tcp + 16, 0);
    uint16_t sum = ~offload_fold(offload_sum(tcp, tcp_bytes, pseudo_sum(ip, h->v6, tcp_bytes)));
    memcpy(tcp + 16, &sum, sizeof sum);
}

bool offload_whole(uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    struct headers h;
    if (!find_headers(frame, bytes, left, &h) || bytes - h.ip > UINT16_MAX)
        return false;
    finish(frame, bytes, &h);
    return true;
}

bool offload_prepare(uint8_t *frame, size_t bytes, const struct net_offload *left, size_t *tcp)
{
    struct headers h;
    if (!find_headers(frame, bytes, left, &h) || bytes - h.ip > UINT16_MAX)
        return false;
    finish_ip(frame, bytes, &h);
    uint16_t sum = offload_fold(pseudo_sum(frame + h.ip, h.v6, bytes - h.tcp));
    memcpy(frame + h.tcp + 16, &sum, sizeof sum);
    *tcp = h.tcp;
    return true;
}

bool offload_cut(const uint8_t *frame, size_t bytes, const struct net_offload *left,
                 void (*fn)(void *ctx, uint8_t *frame, size_t bytes), void *ctx)
{
    struct headers h;
    uint8_t segment[HEADERS_MOST + UINT16_MAX];
    if (!find_headers(frame, bytes, left, &h) || left->segment_bytes < SEGMENT_LEAST ||
        h.all - h.ip + left->segment_bytes > UINT16_MAX)
        return false;
    uint8_t flags = frame[h.tcp + 13];
    uint32_t sequence = get_be32(frame + h.tcp + 4);
    uint16_t id = h.v6 ? 0 : get_be16(frame + h.ip + 4);
    size_t at = h.all;
    do {
        size_t n = MIN(bytes - at, left->segment_bytes);
        bool first = at == h.all, last = at + n == bytes;
        memcpy(segment, frame, h.all);
        memcpy(segment + h.all, frame + at, n);
        put_be32(segment + h.tcp + 4, sequence + (uint32_t)(at - h.all));
        segment[h.tcp + 13] = flags & ~((last ? 0 : FIN | PSH) | (first ? 0 : CWR));
        if (!h.v6)
            put_be16(segment + h.ip + 4, id++);
        finish(segment, h.all + n, &h);
        fn(ctx, segment, h.all + n);
        at += n;
    } while (at < bytes);
    return true;
}
