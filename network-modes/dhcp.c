// SPDX-License-Identifier: GPL-2.0-or-later
/* dhcp.c - see dhcp.h.  The message (RFC 2131, 2): op, htype, hlen, hops, xid, secs, flags, four addresses, the client's
 * hardware address, 192 bytes of names, and behind a magic number the options (RFC 2132). */
#include "network-modes/dhcp.h"
#include "core-vmm/base/bytes.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ETHER = 14,
    TYPE_IPV4 = 0x0800,
    TYPE_ARP = 0x0806,
    IP = 20,
    UDP = 8,
    PROTOCOL_UDP = 17,
    PORT_SERVER = 67,
    PORT_CLIENT = 68,
    OP_REQUEST = 1,
    OP_REPLY = 2,
    AT_XID = 4,
    AT_FLAGS = 10,
    AT_CLIENT = 12, /* its address, if it has one */
    AT_YOURS = 16,
    AT_RELAY = 24,
    AT_HARDWARE = 28,
    AT_MAGIC = 236,
    AT_OPTIONS = 240,
    MESSAGE_LEAST = 300, /* BOOTP's, RFC 1542 2.1 */
    MAGIC = 0x63825363,
    FLAG_BROADCAST = 0x8000,
    ARP_BYTES = 28,
    DECLINED_S = 300,
};
enum { OPTION_MASK = 1, OPTION_ROUTER = 3, OPTION_DNS = 6, OPTION_HOST = 12, OPTION_ADDRESS = 50, OPTION_LEASE = 51 };
enum { OPTION_TYPE = 53, OPTION_SERVER = 54, OPTION_END = 255 };
enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

struct dhcp {
    struct dhcp_settings set;
    struct dhcp_lease lease[DHCP_LEASES]; /* number i has address first + i; a mac of zeroes: nobody's */
    unsigned count;
    bool changed;
};
struct request {
    const uint8_t *message, *mac;
    uint8_t type;
    uint32_t client, wanted, server; /* 0: not said */
    const uint8_t *host;
    uint8_t host_bytes;
};

static const uint8_t nobody[6], everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct dhcp *dhcp_new(const struct dhcp_settings *set)
{
    struct dhcp *d = g_new0(struct dhcp, 1);
    d->set = *set;
    d->count = set->last >= set->first ? MIN(set->last - set->first + 1, DHCP_LEASES) : 0;
    for (unsigned i = 0; i < d->count; i++)
        d->lease[i].address = set->first + i;
    return d;
}

void dhcp_free(struct dhcp *d)
{
    g_free(d);
}

/* ---- leases ---- */

static struct dhcp_lease *lease_of(struct dhcp *d, const uint8_t *mac)
{
    for (unsigned i = 0; i < d->count; i++)
        if (!memcmp(d->lease[i].mac, mac, 6))
            return &d->lease[i];
    return NULL;
}

static struct dhcp_lease *lease_at(struct dhcp *d, uint32_t address)
{
    return address >= d->set.first && address - d->set.first < d->count ? &d->lease[address - d->set.first] : NULL;
}

static void lease_end(struct dhcp *d, struct dhcp_lease *l)
{
    d->changed |= l->taken;
    *l = (struct dhcp_lease){.address = l->address};
}

/* One that nobody has had; else the one that ran out first. */
static struct dhcp_lease *lease_free(struct dhcp *d, const uint8_t *mac, int64_t now)
{
    struct dhcp_lease *oldest = NULL;
    unsigned begin = d->count ? (mac[3] << 16 | mac[4] << 8 | mac[5]) % d->count : 0;
    for (unsigned i = 0; i < d->count; i++) {
        struct dhcp_lease *l = &d->lease[(begin + i) % d->count];
        if (!l->until)
            return l;
        if (l->until <= now && (!oldest || l->until < oldest->until))
            oldest = l;
    }
    return oldest;
}

static struct dhcp_lease *lease_for(struct dhcp *d, const struct request *r, int64_t now)
{
    struct dhcp_lease *l = lease_of(d, r->mac), *wanted = lease_at(d, r->wanted ? r->wanted : r->client);
    if (!l && wanted && wanted->until <= now)
        l = wanted;
    if (!l)
        l = lease_free(d, r->mac, now);
    if (l && memcmp(l->mac, r->mac, 6)) {
        lease_end(d, l);
        memcpy(l->mac, r->mac, 6);
    }
    return l;
}

/* Only what may stand in a host's name: it comes from a guest, and people read it. */
static void take_host(struct dhcp_lease *l, const struct request *r)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->host_bytes && n < DHCP_HOST_MOST; i++)
        if (g_ascii_isalnum(r->host[i]) || r->host[i] == '-' || r->host[i] == '.')
            l->host[n++] = r->host[i];
    l->host[n] = 0;
}

/* ---- reading ---- */

static void take_option(struct request *r, unsigned code, const uint8_t *data, unsigned bytes)
{
    if (code == OPTION_TYPE && bytes == 1)
        r->type = *data;
    else if (code == OPTION_ADDRESS && bytes == 4)
        r->wanted = get_be32(data);
    else if (code == OPTION_SERVER && bytes == 4)
        r->server = get_be32(data);
    else if (code == OPTION_HOST) {
        r->host = data;
        r->host_bytes = bytes;
    }
}

static bool take_options(struct request *r, const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at != OPTION_END) {
        if (!*at) { /* padding */
            at++;
            continue;
        }
        if (end - at < 2 || at[1] > end - at - 2)
            return false;
        take_option(r, at[0], at + 2, at[1]);
        at += 2 + at[1];
    }
    return r->type >= DISCOVER && r->type <= INFORM;
}

static bool parse_message(const uint8_t *m, size_t bytes, struct request *r)
{
    if (bytes < AT_OPTIONS || m[0] != OP_REQUEST || m[1] != 1 || m[2] != 6 || get_be32(m + AT_MAGIC) != MAGIC ||
        get_be32(m + AT_RELAY) || !memcmp(m + AT_HARDWARE, nobody, 6) || m[AT_HARDWARE] & 1)
        return false;
    *r = (struct request){.message = m, .mac = m + AT_HARDWARE, .client = get_be32(m + AT_CLIENT)};
    return take_options(r, m + AT_OPTIONS, m + bytes);
}

/* The UDP datagram's content, if it is one to a DHCP server at this address or all; whole, not a fragment. */
static const uint8_t *find_message(const struct dhcp *d, const uint8_t *f, size_t bytes, size_t *n)
{
    if (bytes < ETHER + IP + UDP || get_be16(f + 12) != TYPE_IPV4 || f[ETHER] >> 4 != 4)
        return NULL;
    const uint8_t *ip = f + ETHER;
    size_t head = (ip[0] & 15u) * 4, all = get_be16(ip + 2);
    uint32_t to = get_be32(ip + 16);
    if (head < IP || all > bytes - ETHER || all < head + UDP || ip[9] != PROTOCOL_UDP || get_be16(ip + 6) & 0x3fff ||
        (to != d->set.server && to != UINT32_MAX && to != (d->set.server | ~d->set.mask)))
        return NULL;
    const uint8_t *udp = ip + head;
    size_t length = get_be16(udp + 4);
    if (get_be16(udp + 2) != PORT_SERVER || length < UDP || length > all - head)
        return NULL;
    *n = length - UDP;
    return udp + UDP;
}

/* ---- answering ---- */

static uint8_t *option(uint8_t *at, unsigned code, uint32_t value)
{
    *at++ = code;
    *at++ = 4;
    put_be32(at, value);
    return at + 4;
}

static uint8_t *options(const struct dhcp *d, uint8_t *at, unsigned type)
{
    const struct dhcp_settings *s = &d->set;
    *at++ = OPTION_TYPE;
    *at++ = 1;
    *at++ = type;
    at = option(at, OPTION_SERVER, s->server);
    if (type != NAK) {
        at = option(at, OPTION_MASK, s->mask);
        at = s->router ? option(at, OPTION_ROUTER, s->router) : at;
        at = s->dns ? option(at, OPTION_DNS, s->dns) : at;
    }
    return at;
}

static uint16_t ip_sum(const uint8_t *ip)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < IP; i += 2)
        sum += get_be16(ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~(uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Ethernet, IP and UDP around the message; UDP's sum is left out, as it may be. */
static void wrap(const struct dhcp *d, struct dhcp_reply *out, const uint8_t *to_mac, uint32_t to, size_t message)
{
    uint8_t *f = out->frame, *ip = f + ETHER, *udp = ip + IP;
    memcpy(f, to_mac, 6);
    memcpy(f + 6, d->set.mac, 6);
    put_be16(f + 12, TYPE_IPV4);
    ip[0] = 0x45;
    put_be16(ip + 2, IP + UDP + message);
    ip[8] = 64;
    ip[9] = PROTOCOL_UDP;
    put_be32(ip + 12, d->set.server);
    put_be32(ip + 16, to);
    put_be16(ip + 10, ip_sum(ip));
    put_be16(udp, PORT_SERVER);
    put_be16(udp + 2, PORT_CLIENT);
    put_be16(udp + 4, UDP + message);
    out->bytes = ETHER + IP + UDP + message;
}

static void answer(const struct dhcp *d, const struct request *r, unsigned type, uint32_t yours, bool lease,
                   struct dhcp_reply *out)
{
    memset(out, 0, sizeof *out);
    uint8_t *m = out->frame + ETHER + IP + UDP;
    bool all = type == NAK || get_be16(r->message + AT_FLAGS) & FLAG_BROADCAST;
    uint32_t to = r->client ? r->client : yours;
    memcpy(m, r->message, 4);
    m[0] = OP_REPLY;
    memcpy(m + AT_XID, r->message + AT_XID, 4);
    memcpy(m + AT_FLAGS, r->message + AT_FLAGS, 2);
    put_be32(m + AT_CLIENT, type == ACK ? r->client : 0);
    put_be32(m + AT_YOURS, yours);
    memcpy(m + AT_HARDWARE, r->mac, 6);
    put_be32(m + AT_MAGIC, MAGIC);
    uint8_t *end = options(d, m + AT_OPTIONS, type);
    end = lease ? option(end, OPTION_LEASE, DHCP_LEASE_S) : end;
    *end++ = OPTION_END;
    wrap(d, out, all ? everybody : r->mac, all ? UINT32_MAX : to, MAX(end - m, MESSAGE_LEAST));
}

static void on_discover(struct dhcp *d, const struct request *r, int64_t now, struct dhcp_reply *out)
{
    struct dhcp_lease *l = lease_for(d, r, now);
    if (!l)
        return;
    l->until = MAX(l->until, now + DHCP_OFFER_S);
    answer(d, r, OFFER, l->address, true, out);
}

static void on_request(struct dhcp *d, const struct request *r, int64_t now, struct dhcp_reply *out)
{
    uint32_t wanted = r->wanted ? r->wanted : r->client;
    struct dhcp_lease *had = lease_of(d, r->mac);
    if (r->server && r->server != d->set.server) { /* it takes another server's offer */
        if (had && !had->taken)
            lease_end(d, had);
        return;
    }
    struct dhcp_lease *l = lease_for(d, r, now);
    if (!l || l->address != wanted) {
        answer(d, r, NAK, 0, false, out);
        return;
    }
    take_host(l, r);
    l->until = now + DHCP_LEASE_S;
    l->taken = d->changed = true;
    answer(d, r, ACK, l->address, true, out);
}

/* The station found somebody else at that address. */
static void on_decline(struct dhcp *d, const struct request *r, int64_t now)
{
    struct dhcp_lease *l = lease_of(d, r->mac);
    if (!l || l->address != r->wanted)
        return;
    lease_end(d, l);
    l->until = now + DECLINED_S;
}

static void on_release(struct dhcp *d, const struct request *r)
{
    struct dhcp_lease *l = lease_of(d, r->mac);
    if (l && l->address == r->client)
        lease_end(d, l);
}

static void on_message(struct dhcp *d, const struct request *r, int64_t now, struct dhcp_reply *out)
{
    switch (r->type) {
    case DISCOVER: on_discover(d, r, now, out); break;
    case REQUEST: on_request(d, r, now, out); break;
    case DECLINE: on_decline(d, r, now); break;
    case RELEASE: on_release(d, r); break;
    case INFORM: answer(d, r, ACK, 0, false, out); break;
    }
}

/* RFC 826: who has the server's address? */
static bool on_arp(const struct dhcp *d, const uint8_t *f, size_t bytes, struct dhcp_reply *out)
{
    static const uint8_t request[] = {0, 1, 8, 0, 6, 4, 0, 1};
    const uint8_t *a = f + ETHER;
    if (bytes < ETHER + ARP_BYTES || get_be16(f + 12) != TYPE_ARP || memcmp(a, request, sizeof request) ||
        get_be32(a + 24) != d->set.server)
        return false;
    memset(out, 0, sizeof *out);
    uint8_t *reply = out->frame + ETHER;
    memcpy(out->frame, f + 6, 6);
    memcpy(out->frame + 6, d->set.mac, 6);
    put_be16(out->frame + 12, TYPE_ARP);
    memcpy(reply, request, sizeof request);
    reply[7] = 2;
    memcpy(reply + 8, d->set.mac, 6);
    put_be32(reply + 14, d->set.server);
    memcpy(reply + 18, a + 8, 10);
    out->bytes = ETHER + ARP_BYTES;
    return true;
}

bool dhcp_frame(struct dhcp *d, const void *frame, size_t bytes, int64_t now, struct dhcp_reply *reply)
{
    struct request r;
    size_t n = 0;
    reply->bytes = 0;
    const uint8_t *message = find_message(d, frame, bytes, &n);
    if (message) {
        if (parse_message(message, n, &r))
            on_message(d, &r, now, reply);
        return true;
    }
    return d->set.arp && (on_arp(d, frame, bytes, reply) || (bytes >= ETHER && !memcmp(frame, d->set.mac, 6)));
}

/* ---- the file ---- */

char *dhcp_leases_text(const struct dhcp *d, int64_t now)
{
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < d->count; i++) {
        const struct dhcp_lease *l = &d->lease[i];
        if (!l->taken || l->until <= now)
            continue;
        for (unsigned k = 0; k < 6; k++)
            g_string_append_printf(s, k ? ":%02x" : "%02x", l->mac[k]);
        struct in_addr a = {htonl(l->address)};
        g_string_append_printf(s, " %s %" PRId64 " %s\n", inet_ntoa(a), l->until, l->host[0] ? l->host : "-");
    }
    return g_string_free(s, FALSE);
}

bool dhcp_lease_parse(const char *line, struct dhcp_lease *l)
{
    unsigned m[6];
    char address[16], host[DHCP_HOST_MOST + 1];
    struct in_addr a;
    *l = (struct dhcp_lease){.taken = true};
    int n = sscanf(line, "%2x:%2x:%2x:%2x:%2x:%2x %15s %" SCNd64 " %63s", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5],
                   address, &l->until, host);
    if (n != 9 || inet_pton(AF_INET, address, &a) != 1 || l->until <= 0)
        return false;
    for (unsigned i = 0; i < 6; i++)
        l->mac[i] = m[i];
    l->address = ntohl(a.s_addr);
    struct request name = {.host = (const uint8_t *)host, .host_bytes = strlen(host)};
    if (strcmp(host, "-"))
        take_host(l, &name);
    return memcmp(l->mac, nobody, 6) != 0;
}

void dhcp_leases_take(struct dhcp *d, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", DHCP_LEASES + 1);
    for (unsigned i = 0; lines[i] && i < DHCP_LEASES; i++) {
        struct dhcp_lease l, *at;
        if (dhcp_lease_parse(lines[i], &l) && (at = lease_at(d, l.address)) && !lease_of(d, l.mac))
            *at = l;
    }
}

bool dhcp_changed(struct dhcp *d)
{
    bool changed = d->changed;
    d->changed = false;
    return changed;
}
