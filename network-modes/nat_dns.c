// SPDX-License-Identifier: GPL-2.0-or-later
/* nat_dns.c - the name server that the guest sees, at an address of its router's network.
 *
 * Over UDP a query goes on by a socket of its own, from a port that the kernel chooses, to the host's name servers one after
 * the other until one answers; which those are is asked anew for every try, so a laptop that has changed networks is answered
 * within two tries.  An answer that does not fit the guest's link goes back without its records and with the bit TC, and the
 * guest asks again over TCP (RFC 1035, 4.2.1).
 *
 * TCP goes through libslirp, as to the host's name server itself: going in, a segment's destination becomes that server's
 * address, coming out, its source becomes ours again.  Which server a connection goes to is settled by its SYN. */
#include "core-vmm/base/bytes.h"
#include "network-modes/nat.h"
#include "core-vmm/base/net_offload.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ETHER = 14,
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    TCP = 6,
    UDP = 17,
    ICMPV6 = 58,
    ROUTER_ADVERTISEMENT = 134,
    OPTION_RDNSS = 25, /* RFC 8106, 5.1 */
    RDNSS_BYTES = 24,
    RDNSS_SECONDS = 3600,
    QUERIES_MOST = 256,
    QUERY_LEAST = 12,   /* DNS's header */
    ANSWER_MOST = 1452, /* with the headers of IPv6 and UDP it fits an Ethernet frame */
    TRY_MS = 1000,
    AGAIN_MS = 250,
    GIVE_UP_US = 6 * G_USEC_PER_SEC,
    CONNECTIONS = 64,
};

struct query {
    struct nat_dns *dns;
    uint8_t head[ETHER + 40 + 8]; /* the guest's frame up to the data */
    size_t head_bytes;
    GBytes *data;
    unsigned round; /* which server is the next; 0: all were asked, or none */
    gint64 since;   /* monotonic us */
    int fd;
    GSource *input, *timer;
};
struct connection {
    uint16_t port; /* the guest's; 0: free */
    struct in6_addr server;
};
struct nat_dns {
    struct nat *nat;
    GPtrArray *queries;
    struct connection connection[CONNECTIONS];
    unsigned next; /* of these, to be taken when none is free */
};

struct nat_dns *nat_dns_new(struct nat *n)
{
    struct nat_dns *d = g_new0(struct nat_dns, 1);
    d->nat = n;
    d->queries = g_ptr_array_new();
    return d;
}

/* ---- frames ---- */

struct view { /* of a frame */
    bool v6;
    uint8_t protocol;
    uint8_t *ip, *body; /* body: of UDP or TCP */
    size_t body_bytes;
};

/* IP without extension headers, whole. */
static bool look(uint8_t *frame, size_t bytes, struct view *v)
{
    uint16_t type = get_be16(frame + 12);
    v->v6 = type == TYPE_IPV6;
    v->ip = frame + ETHER;
    size_t head = v->v6 ? 40 : bytes > ETHER ? (v->ip[0] & 15u) * 4 : 0;
    if ((type != TYPE_IPV4 && !v->v6) || head < 20 || bytes < ETHER + head + 8)
        return false;
    size_t all = v->v6 ? 40u + get_be16(v->ip + 4) : get_be16(v->ip + 2);
    if (all < head + 8 || all > bytes - ETHER || (!v->v6 && get_be16(v->ip + 6) & 0x3fff))
        return false;
    v->protocol = v->ip[v->v6 ? 6 : 9];
    v->body = v->ip + head;
    v->body_bytes = all - head;
    return true;
}

static uint8_t *source_of(const struct view *v)
{
    return v->ip + (v->v6 ? 8 : 12);
}

static uint8_t *destination_of(const struct view *v)
{
    return v->ip + (v->v6 ? 24 : 16);
}

static size_t address_bytes(const struct view *v)
{
    return v->v6 ? 16 : 4;
}

static const void *own_address(const struct nat_dns *d, const struct view *v)
{
    return v->v6 ? (const void *)&d->nat->dns6 : &d->nat->dns;
}

/* The sums of IP and of what it carries; at: where the latter's lies. */
static void put_sums(struct view *v, size_t at)
{
    uint8_t rest[4] = {0, v->protocol, (uint8_t)(v->body_bytes >> 8), (uint8_t)v->body_bytes};
    uint64_t pseudo = offload_sum(rest, sizeof rest, offload_sum(source_of(v), 2 * address_bytes(v), 0));
    put_be16(v->body + at, 0);
    uint16_t sum = ~offload_fold(offload_sum(v->body, v->body_bytes, pseudo));
    if (!sum)
        sum = 0xffff;
    memcpy(v->body + at, &sum, sizeof sum);
    if (v->v6)
        return;
    put_be16(v->ip + 10, 0);
    sum = ~offload_fold(offload_sum(v->ip, v->body - v->ip, 0));
    memcpy(v->ip + 10, &sum, sizeof sum);
}

/* ---- UDP ---- */

static void source_stop(GSource **source)
{
    if (*source)
        g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void query_close(struct query *q)
{
    source_stop(&q->input);
    source_stop(&q->timer);
    if (q->fd >= 0)
        close(q->fd);
    q->fd = -1;
}

static void query_free(struct query *q)
{
    query_close(q);
    g_ptr_array_remove_fast(q->dns->queries, q);
    g_bytes_unref(q->data);
    g_free(q);
}

/* Without its records, if it is too long for a frame; how long it is then. */
static size_t shorten(uint8_t *answer, size_t n)
{
    if (n <= ANSWER_MOST)
        return n;
    answer[2] |= 2;           /* TC */
    memset(answer + 4, 0, 8); /* no questions either: they may be anywhere in it */
    return QUERY_LEAST;
}

/* The guest's own frame turned round. */
static void give_answer(struct query *q, uint8_t *answer, size_t n)
{
    uint8_t frame[sizeof q->head + ANSWER_MOST];
    n = shorten(answer, n);
    memcpy(frame, q->head + 6, 6);
    memcpy(frame + 6, q->head, 6);
    memcpy(frame + 12, q->head + 12, q->head_bytes - 12);
    memcpy(frame + q->head_bytes, answer, n);
    struct view v = {.v6 = get_be16(frame + 12) == TYPE_IPV6, UDP, frame + ETHER, frame + q->head_bytes - 8, n + 8};
    uint8_t guest[16];
    memcpy(guest, source_of(&v), address_bytes(&v));
    memcpy(source_of(&v), destination_of(&v), address_bytes(&v));
    memcpy(destination_of(&v), guest, address_bytes(&v));
    if (v.v6)
        put_be16(v.ip + 4, (uint16_t)v.body_bytes);
    else
        put_be16(v.ip + 2, (uint16_t)(v.body - v.ip + v.body_bytes));
    put_be16(v.body + 2, get_be16(v.body));
    put_be16(v.body, RESOLVER_PORT);
    put_be16(v.body + 4, (uint16_t)v.body_bytes);
    put_sums(&v, 6);
    port_deliver(q->dns->nat->port, frame, q->head_bytes + n, NULL);
}

static void try_next(struct query *q);

static gboolean on_late(gpointer data)
{
    try_next(data);
    return G_SOURCE_CONTINUE;
}

static void set_timer(struct query *q, unsigned ms)
{
    source_stop(&q->timer);
    q->timer = g_timeout_source_new(ms);
    g_source_set_callback(q->timer, on_late, q, NULL);
    g_source_attach(q->timer, NULL);
}

/* Nobody listens there. */
static void refused(struct query *q)
{
    if (q->round) {
        try_next(q);
        return;
    }
    query_close(q);
    set_timer(q, AGAIN_MS);
}

static gboolean on_answer(int fd, GIOCondition condition, gpointer data)
{
    struct query *q = data;
    uint8_t answer[65536];
    const uint8_t *asked = g_bytes_get_data(q->data, NULL);
    ssize_t n = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n < 0) {
        refused(q);
    } else if (n >= QUERY_LEAST && !memcmp(answer, asked, 2) && answer[2] & 0x80) {
        give_answer(q, answer, n);
        query_free(q);
    }
    return G_SOURCE_CONTINUE;
}

/* A server of IPv4 is asked by a socket of IPv4: the host may have no IPv6. */
static int open_to(const struct sockaddr_in6 *server)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = server->sin6_port};
    bool mapped = IN6_IS_ADDR_V4MAPPED(&server->sin6_addr);
    int fd = socket(mapped ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(&v4.sin_addr, &server->sin6_addr.s6_addr[12], 4);
    if (fd >= 0 && !connect(fd, mapped ? (const struct sockaddr *)&v4 : (const struct sockaddr *)server,
                            mapped ? sizeof v4 : sizeof *server))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Sends it to the next server; false: that one cannot be reached. */
static bool send_to(struct query *q, const struct sockaddr_in6 *server)
{
    gsize n;
    const void *data = g_bytes_get_data(q->data, &n);
    q->fd = open_to(server);
    if (q->fd < 0 || send(q->fd, data, n, MSG_NOSIGNAL) < 0)
        return false;
    q->input = g_unix_fd_source_new(q->fd, G_IO_IN | G_IO_ERR);
    g_source_set_callback(q->input, G_SOURCE_FUNC(on_answer), q, NULL);
    g_source_attach(q->input, NULL);
    return true;
}

/* One that refuses is passed over at once; when all have, they are asked again after a moment, for they may be others then.
 * The query goes when that has taken too long. */
static void try_next(struct query *q)
{
    const struct resolver_servers *s = resolver_servers(q->dns->nat->resolver);
    bool sent = false;
    query_close(q);
    if (g_get_monotonic_time() - q->since > GIVE_UP_US) {
        port_dropped(q->dns->nat->port, "no name server answers");
        query_free(q);
        return;
    }
    while (!sent && q->round < s->count) {
        query_close(q);
        sent = send_to(q, &s->server[q->round++]);
    }
    if (q->round >= s->count)
        q->round = 0;
    set_timer(q, sent ? TRY_MS : AGAIN_MS);
}

/* The guest asks again by itself, from the same port: it is the same question. */
static bool asked_already(const struct nat_dns *d, const struct query *q)
{
    for (unsigned i = 0; i < d->queries->len; i++) {
        const struct query *other = d->queries->pdata[i];
        if (other->head_bytes == q->head_bytes &&
            !memcmp(other->head + q->head_bytes - 8, q->head + q->head_bytes - 8, 4) &&
            g_bytes_equal(other->data, q->data))
            return true;
    }
    return false;
}

static void take_query(struct nat_dns *d, const uint8_t *frame, const struct view *v)
{
    size_t head = (v->body - frame) + 8, n = MIN(v->body_bytes, get_be16(v->body + 4));
    if (n < 8 + QUERY_LEAST || head > sizeof((struct query *)0)->head || d->queries->len >= QUERIES_MOST) {
        port_dropped(d->nat->port, "too many questions");
        return;
    }
    struct query *q = g_new0(struct query, 1);
    *q = (struct query){.dns = d, .head_bytes = head, .since = g_get_monotonic_time(), .fd = -1};
    memcpy(q->head, frame, head);
    q->data = g_bytes_new(v->body + 8, n - 8);
    bool again = asked_already(d, q);
    g_ptr_array_add(d->queries, q);
    if (again)
        query_free(q);
    else
        try_next(q);
}

/* ---- TCP ---- */

static struct connection *find_connection(struct nat_dns *d, uint16_t port, bool v6)
{
    for (struct connection *c = d->connection; c < d->connection + CONNECTIONS; c++)
        if (c->port == port && v6 == !IN6_IS_ADDR_V4MAPPED(&c->server))
            return c;
    return NULL;
}

/* The first of the host's servers of that family. */
static const struct in6_addr *server_of(struct nat_dns *d, bool v6)
{
    const struct resolver_servers *s = resolver_servers(d->nat->resolver);
    for (unsigned i = 0; i < s->count; i++)
        if (v6 == !IN6_IS_ADDR_V4MAPPED(&s->server[i].sin6_addr))
            return &s->server[i].sin6_addr;
    return NULL;
}

static void redirect(struct nat_dns *d, struct view *v)
{
    uint16_t port = get_be16(v->body);
    bool syn = v->body[13] & 2;
    struct connection *c = find_connection(d, port, v->v6);
    const struct in6_addr *server = syn ? server_of(d, v->v6) : NULL;
    if (!port || (!syn && !c) || (syn && !server))
        return; /* libslirp refuses it */
    if (syn) {
        c = c ? c : &d->connection[d->next++ % CONNECTIONS];
        *c = (struct connection){port, *server};
    }
    memcpy(destination_of(v), &c->server.s6_addr[v->v6 ? 0 : 12], address_bytes(v));
    put_sums(v, 16);
}

bool nat_dns_from_guest(struct nat_dns *d, uint8_t *frame, size_t bytes)
{
    struct view v;
    if (!look(frame, bytes, &v) || memcmp(destination_of(&v), own_address(d, &v), address_bytes(&v)) ||
        get_be16(v.body + 2) != RESOLVER_PORT)
        return false;
    if (v.protocol == UDP)
        take_query(d, frame, &v);
    else if (v.protocol == TCP && v.body_bytes >= 20)
        redirect(d, &v);
    return v.protocol == UDP;
}

/* libslirp tells guests of name servers only if it has found one itself, which it cannot here. */
static size_t add_rdnss(struct nat_dns *d, uint8_t *frame, size_t bytes, struct view *v)
{
    uint8_t *o = frame + bytes;
    o[0] = OPTION_RDNSS;
    o[1] = RDNSS_BYTES / 8;
    put_be16(o + 2, 0);
    put_be32(o + 4, RDNSS_SECONDS);
    memcpy(o + 8, &d->nat->dns6, 16);
    v->body_bytes += RDNSS_BYTES;
    put_be16(v->ip + 4, (uint16_t)v->body_bytes);
    put_sums(v, 2);
    return bytes + RDNSS_BYTES;
}

bool nat_dns_minds(const uint8_t *frame, size_t bytes)
{
    uint16_t type = bytes > ETHER + 40 ? get_be16(frame + 12) : 0;
    if (type == TYPE_IPV6 && frame[ETHER + 6] == ICMPV6)
        return frame[ETHER + 40] == ROUTER_ADVERTISEMENT;
    size_t head = type == TYPE_IPV6 ? 40 : (frame[ETHER] & 15u) * 4;
    return type && frame[ETHER + (type == TYPE_IPV6 ? 6 : 9)] == TCP && bytes > ETHER + head + 2 &&
           get_be16(frame + ETHER + head) == RESOLVER_PORT;
}

size_t nat_dns_to_guest(struct nat_dns *d, uint8_t *frame, size_t bytes)
{
    struct view v;
    if (!look(frame, bytes, &v))
        return bytes;
    if (v.protocol == ICMPV6 && v.v6 && v.body[0] == ROUTER_ADVERTISEMENT && bytes == ETHER + 40 + v.body_bytes)
        return add_rdnss(d, frame, bytes, &v);
    struct connection *c = v.protocol == TCP && get_be16(v.body) == RESOLVER_PORT && v.body_bytes >= 20
                               ? find_connection(d, get_be16(v.body + 2), v.v6)
                               : NULL;
    if (c && c->port && !memcmp(source_of(&v), &c->server.s6_addr[v.v6 ? 0 : 12], address_bytes(&v))) {
        memcpy(source_of(&v), own_address(d, &v), address_bytes(&v));
        put_sums(&v, 16);
    }
    return bytes;
}

void nat_dns_free(struct nat_dns *d)
{
    while (d->queries->len)
        query_free(d->queries->pdata[d->queries->len - 1]);
    g_ptr_array_unref(d->queries);
    g_free(d);
}
