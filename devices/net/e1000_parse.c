// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000_parse.c - what a card finds out about a frame that comes in: whether the sums of IP, TCP and UDP are right (SDM 3.2.9;
 * data sheet 7.1.10), the sum of the packet, and the hash that chooses its queue (data sheet 7.1.11; Microsoft, "Verifying
 * the RSS Hash Calculation"). */
#include "core-vmm/base/bytes.h"
#include "devices/net/e1000.h"
#include "devices/net/ethernet.h"

enum {
    ETHER = 14,
    TAG = 4,
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    IPV6_HEADER = 40
};
enum { HASH_NONE, HASH_TCP4, HASH_IP4, HASH_TCP6, HASH_IP6_EX, HASH_IP6 };

/* Where the headers are; 0: it has none of that kind. */
struct packet {
    bool v6, fragment;
    uint32_t ip, payload, end; /* of IP */
    uint8_t protocol;
};

static bool find_ipv4(const uint8_t *f, uint32_t bytes, struct packet *p)
{
    if (bytes < p->ip + 20 || f[p->ip] >> 4 != 4)
        return false;
    uint32_t header = (f[p->ip] & 15) * 4;
    p->payload = p->ip + header;
    p->end = p->ip + get_be16(f + p->ip + 2);
    p->protocol = f[p->ip + 9];
    p->fragment = get_be16(f + p->ip + 6) & 0x3fff;
    return header >= 20 && p->payload <= p->end && p->end <= bytes;
}

static bool find_ipv6(const uint8_t *f, uint32_t bytes, struct packet *p)
{
    if (bytes < p->ip + IPV6_HEADER || f[p->ip] >> 4 != 6)
        return false;
    p->v6 = true;
    p->payload = p->ip + IPV6_HEADER;
    p->end = p->payload + get_be16(f + p->ip + 4);
    p->protocol = f[p->ip + 6];
    return p->end <= bytes;
}

static bool find(const struct e1000_incoming *in, uint32_t vet, struct packet *p)
{
    uint32_t at = ETHER_HEAD - 2;
    if (in->bytes > ETHER_HEAD + ETHER_TAG && get_be16(in->data + at) == vet)
        at += ETHER_TAG;
    uint16_t type = get_be16(in->data + at);
    p->ip = at + 2;
    return type == TYPE_IPV4   ? find_ipv4(in->data, in->bytes, p)
           : type == TYPE_IPV6 ? find_ipv6(in->data, in->bytes, p)
                               : false;
}

/* ---- sums ---- */

/* Sums of TCP and UDP run over a pseudo header, too (RFC 9293, 3.1; RFC 8200, 8.1). */
static uint64_t pseudo_sum(const uint8_t *f, const struct packet *p)
{
    uint32_t bytes = p->end - p->payload;
    uint8_t rest[4] = {0, p->protocol, bytes >> 8, bytes};
    return offload_sum(rest, sizeof rest, offload_sum(f + p->ip + (p->v6 ? 8 : 12), p->v6 ? 32 : 8, 0));
}

static void check_transport(struct e1000_incoming *in, const struct packet *p)
{
    bool tcp = p->protocol == PROTOCOL_TCP, udp = p->protocol == PROTOCOL_UDP;
    uint32_t least = tcp ? 20 : 8;
    if ((!tcp && !udp) || p->fragment || p->end - p->payload < least)
        return;
    if (udp && !get_be16(in->data + p->payload + 6)) /* the sender made none */
        return;
    bool good =
        offload_fold(offload_sum(in->data + p->payload, p->end - p->payload, pseudo_sum(in->data, p))) == 0xffff;
    in->status |= RX_TCPCS | (udp ? RX_UDPCS : 0);
    in->errors |= good ? 0 : RX_TCPE;
}

/* The card's own sum, of all from a byte on that the driver chooses. */
static void sum_packet(struct e1000_incoming *in, uint32_t from)
{
    if (from < in->bytes)
        in->sum = GUINT16_FROM_BE((uint16_t)~offload_fold(offload_sum(in->data + from, in->bytes - from, 0)));
}

static void check(struct e1000 *e, struct e1000_incoming *in, const struct packet *p)
{
    uint32_t rxcsum = *e1000_reg(e, RXCSUM);
    if (!p->v6 && rxcsum & RXCSUM_IPOFL) {
        in->status |= RX_IPCS;
        if (offload_fold(offload_sum(in->data + p->ip, p->payload - p->ip, 0)) != 0xffff)
            in->errors |= RX_IPE;
    }
    if (rxcsum & RXCSUM_TUOFL && (!p->v6 || e->model->extended))
        check_transport(in, p);
}

/* ---- hash ---- */

/* Toeplitz: for each bit of the input that is set, the 32 bits of the key from that place on. */
static uint32_t toeplitz(const uint8_t *key, const uint8_t *input, unsigned bytes)
{
    uint32_t hash = 0, window = get_be32(key);
    for (unsigned i = 0; i < bytes; i++) {
        uint8_t next = key[i + 4];
        for (unsigned bit = 0; bit < 8; bit++) {
            hash ^= input[i] >> (7 - bit) & 1 ? window : 0;
            window = window << 1 | (next >> (7 - bit) & 1);
        }
    }
    return hash;
}

static unsigned hash_type(uint32_t mrqc, const struct packet *p)
{
    bool tcp = p->protocol == PROTOCOL_TCP && !p->fragment && p->end - p->payload >= 20;
    if (!p->v6)
        return tcp && mrqc & MRQC_TCP4 ? HASH_TCP4 : mrqc & MRQC_IP4 ? HASH_IP4 : HASH_NONE;
    if (tcp && mrqc & MRQC_TCP6)
        return HASH_TCP6;
    return mrqc & MRQC_IP6 ? HASH_IP6 : mrqc & MRQC_IP6_EX ? HASH_IP6_EX : HASH_NONE;
}

static void hash(struct e1000 *e, struct e1000_incoming *in, const struct packet *p)
{
    uint8_t key[4 * RSSRK_WORDS], input[36];
    unsigned addresses = p->v6 ? 32 : 8, n = addresses;
    in->hash_type = hash_type(*e1000_reg(e, MRQC), p);
    for (unsigned i = 0; i < RSSRK_WORDS; i++)
        put_le32(key + 4 * i, *e1000_reg(e, RSSRK + 4 * i));
    memcpy(input, in->data + p->ip + (p->v6 ? 8 : 12), addresses);
    if (in->hash_type == HASH_TCP4 || in->hash_type == HASH_TCP6) {
        memcpy(input + n, in->data + p->payload, 4);
        n += 4;
    }
    if (in->hash_type != HASH_NONE)
        in->hash = toeplitz(key, input, n);
}

/* The table has 128 bytes, of which the highest bit is the queue. */
static unsigned queue_of(struct e1000 *e, const struct e1000_incoming *in)
{
    unsigned entry = in->hash & 0x7f;
    return in->hash_type ? *e1000_reg(e, RETA + (entry & ~3u)) >> (8 * (entry & 3) + 7) & 1 : 0;
}

unsigned e1000_parse(struct e1000 *e, struct e1000_incoming *in)
{
    struct packet p = {0};
    uint32_t rxcsum = *e1000_reg(e, RXCSUM);
    bool extended = e->model->extended, several = extended && (*e1000_reg(e, MRQC) & MRQC_ENABLE) == MRQC_RSS,
         ip = false;
    if (several || rxcsum & (RXCSUM_IPOFL | RXCSUM_TUOFL))
        ip = find(in, *e1000_reg(e, VET), &p);
    if (ip)
        check(e, in, &p);
    if (!(in->status & (RX_IPCS | RX_TCPCS)))
        in->status |= RX_IXSM;
    if (!extended || !(rxcsum & RXCSUM_PCSD))
        sum_packet(in, rxcsum & RXCSUM_PCSS);
    if (ip && several)
        hash(e, in, &p);
    unsigned queue = several ? queue_of(e, in) : 0;
    in->queue = queue;
    if (extended && !(rxcsum & RXCSUM_PCSD)) { /* the same place in the descriptor */
        in->hash = (uint32_t)in->sum << 16 | (ip && !p.v6 ? get_be16(in->data + p.ip + 4) : 0);
        in->status |= ip && !p.v6 ? RX_IPIDV : 0;
    }
    return queue;
}
