// SPDX-License-Identifier: GPL-2.0-or-later
/* rtl8139_offload.c - what the C+ does with IPv4 for its driver: sums of headers and segments (RFC 1071), and cutting up
 * large TCP segments.  What the cable's other end can do itself is left to it. */
#include "core-vmm/base/bytes.h"
#include "devices/net/rtl8139.h"

enum { TYPE_AT = 12, IPV4 = 0x0800, IP_LEAST = 20, TCP = 6, UDP = 17, TCP_LEAST = 20, UDP_HEAD = 8 };
enum { IP_LENGTH = 2, IP_ID = 4, IP_FRAGMENT = 6, IP_PROTOCOL = 9, IP_SUM = 10, IP_FROM = 12, FRAGMENT_MASK = 0x3fff };
enum { TCP_SEQUENCE = 4, TCP_OFFSET = 12, TCP_FLAGS = 13, TCP_SUM = 16, UDP_SUM = 6, FIN = 1, PUSH = 8, CWR = 0x80 };
enum { HEADS_MOST = ETHER_HEAD + ETHER_TAG + 60 + 60, SEGMENT_MOST = 0x7ff };

struct packet { /* places in the frame */
    size_t ip, transport, end;
    unsigned protocol;
    bool fragment;
};

static uint32_t sum(const uint8_t *data, size_t bytes, uint32_t before)
{
    uint64_t total = before;
    size_t i = 0;
    for (; i + 1 < bytes; i += 2)
        total += get_be16(data + i);
    if (i < bytes)
        total += data[i] << 8;
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return total;
}

static bool parse(const uint8_t *frame, size_t bytes, struct packet *k)
{
    size_t type =
        bytes >= ETHER_HEAD + ETHER_TAG && get_be16(frame + TYPE_AT) == ETHER_TAG_TYPE ? TYPE_AT + ETHER_TAG : TYPE_AT;
    k->ip = type + 2;
    if (bytes < k->ip + IP_LEAST || get_be16(frame + type) != IPV4 || frame[k->ip] >> 4 != 4)
        return false;
    const uint8_t *ip = frame + k->ip;
    k->transport = k->ip + 4 * (ip[0] & 15);
    k->end = MIN(bytes, k->ip + get_be16(ip + IP_LENGTH));
    k->protocol = ip[IP_PROTOCOL];
    k->fragment = get_be16(ip + IP_FRAGMENT) & FRAGMENT_MASK;
    return k->transport >= k->ip + IP_LEAST && k->transport <= k->end;
}

/* Of the addresses, the protocol and the length. */
static uint32_t pseudo(const uint8_t *frame, const struct packet *k)
{
    return sum(frame + k->ip + IP_FROM, 8, k->protocol + (uint32_t)(k->end - k->transport));
}

static uint16_t transport_sum(const uint8_t *frame, const struct packet *k)
{
    return ~sum(frame + k->transport, k->end - k->transport, pseudo(frame, k));
}

static void make_ip_sum(uint8_t *frame, const struct packet *k)
{
    uint8_t *ip = frame + k->ip;
    put_be16(ip + IP_SUM, 0);
    put_be16(ip + IP_SUM, ~sum(ip, k->transport - k->ip, 0));
}

static bool has_sum(const struct packet *k)
{
    size_t room = k->end - k->transport;
    return !k->fragment && ((k->protocol == TCP && room >= TCP_LEAST) || (k->protocol == UDP && room >= UDP_HEAD));
}

static uint8_t *sum_place(uint8_t *frame, const struct packet *k)
{
    return frame + k->transport + (k->protocol == TCP ? TCP_SUM : UDP_SUM);
}

static void make_transport_sum(uint8_t *frame, const struct packet *k)
{
    put_be16(sum_place(frame, k), 0);
    uint16_t s = transport_sum(frame, k);
    put_be16(sum_place(frame, k), s || k->protocol == TCP ? s : 0xffff); /* in UDP 0 says that there is none */
}

/* ---- large sends ---- */

struct cut {
    size_t heads, at, bytes; /* of all headers; of the payload */
    unsigned number;
};

/* One segment, behind headers that fit it. */
static bool send_segment(struct device *d, const uint8_t *frame, const struct packet *k, const struct cut *c)
{
    uint8_t out[HEADS_MOST + SEGMENT_MOST], *ip = out + k->ip, *tcp = out + k->transport;
    struct packet own = *k;
    bool last = c->heads + c->at + c->bytes == k->end;
    memcpy(out, frame, c->heads);
    memcpy(out + c->heads, frame + c->heads + c->at, c->bytes);
    own.end = c->heads + c->bytes;
    put_be16(ip + IP_LENGTH, own.end - k->ip);
    put_be16(ip + IP_ID, get_be16(ip + IP_ID) + c->number);
    put_be32(tcp + TCP_SEQUENCE, get_be32(tcp + TCP_SEQUENCE) + c->at);
    tcp[TCP_FLAGS] &= ~((last ? 0 : FIN | PUSH) | (c->at ? CWR : 0));
    make_ip_sum(out, &own);
    make_transport_sum(out, &own);
    return rtl_send(d, out, own.end, NULL);
}

static bool send_large(struct device *d, uint8_t *frame, size_t bytes, struct packet *k, unsigned segment)
{
    struct rtl8139 *p = d->state;
    k->end = bytes; /* whatever the header says */
    size_t heads = k->transport + 4 * (frame[k->transport + TCP_OFFSET] >> 4);
    if (heads < k->transport + TCP_LEAST || heads > bytes)
        return rtl_send(d, frame, bytes, NULL);
    if (net_end_can(p->cable) & NET_TSO4 && !rtl_looped(p)) {
        struct net_offload left = {true, k->transport, TCP_SUM, NET_TSO4, segment, heads};
        put_be16(sum_place(frame, k), pseudo(frame, k));
        return rtl_send(d, frame, bytes, &left);
    }
    bool sent = true;
    struct cut c = {.heads = heads};
    do {
        c.bytes = MIN(segment, bytes - heads - c.at);
        sent &= send_segment(d, frame, k, &c);
        c.at += c.bytes;
        c.number++;
    } while (heads + c.at < bytes);
    return sent;
}

bool rtl_offload_send(struct device *d, uint8_t *frame, size_t bytes, const struct rtl_offload *o)
{
    struct rtl8139 *p = d->state;
    struct packet k;
    if (!(o->ip || o->tcp || o->udp) || !parse(frame, bytes, &k))
        return rtl_send(d, frame, bytes, NULL);
    if (o->segment_bytes && k.protocol == TCP && has_sum(&k))
        return send_large(d, frame, bytes, &k, o->segment_bytes);
    if (o->ip)
        make_ip_sum(frame, &k);
    if (!has_sum(&k) || !(k.protocol == TCP ? o->tcp : o->udp))
        return rtl_send(d, frame, bytes, NULL);
    if (!(net_end_can(p->cable) & NET_CHECKSUM) || rtl_looped(p)) {
        make_transport_sum(frame, &k);
        return rtl_send(d, frame, bytes, NULL);
    }
    struct net_offload left = {true, k.transport, k.protocol == TCP ? TCP_SUM : UDP_SUM};
    put_be16(sum_place(frame, &k), pseudo(frame, &k));
    return rtl_send(d, frame, bytes, &left);
}

/* ---- receiving ---- */

unsigned rtl_sums(const uint8_t *frame, size_t bytes)
{
    struct packet k;
    if (!parse(frame, bytes, &k))
        return 0;
    unsigned bad = sum(frame + k.ip, k.transport - k.ip, 0) != 0xffff ? SUM_IP_BAD : 0;
    if (!has_sum(&k))
        return SUM_IP | bad;
    bool none = k.protocol == UDP && !get_be16(frame + k.transport + UDP_SUM);
    bool right = none || !transport_sum(frame, &k);
    return bad | (k.protocol == TCP ? SUM_TCP | (right ? 0 : SUM_TCP_BAD) : SUM_UDP | (right ? 0 : SUM_UDP_BAD));
}
