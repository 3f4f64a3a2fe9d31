// SPDX-License-Identifier: GPL-2.0-or-later
/* test_dhcp.c - the DHCP server: the usual exchange, storms, nonsense, and leases that outlive a server. */
#include "core-vmm/base/bytes.h"
#include "network-modes/dhcp.h"
#include <string.h>

enum {
    DISCOVER = 1,
    OFFER,
    REQUEST,
    DECLINE,
    ACK,
    NAK,
    RELEASE,
    INFORM,
    MESSAGE = 14 + 20 + 8,
    NOW = 1000000,
    POOL = 10
};

static const struct dhcp_settings set = {.server = 0xc0a83802,
                                         .mask = 0xffffff00,
                                         .router = 0,
                                         .dns = 0,
                                         .first = 0xc0a83864,
                                         .last = 0xc0a83864 + POOL - 1,
                                         .mac = {0x52, 0x54, 0, 1, 2, 3},
                                         .arp = true};

struct ask {
    unsigned type, station;
    uint32_t client, wanted, server;
    const char *host;
    bool everybody;
};

static uint8_t *put_option(uint8_t *at, unsigned code, unsigned bytes, const void *data)
{
    *at++ = code;
    *at++ = bytes;
    memcpy(at, data, bytes);
    return at + bytes;
}

static uint8_t *put_address(uint8_t *at, unsigned code, uint32_t address)
{
    uint8_t raw[4];
    put_be32(raw, address);
    return address ? put_option(at, code, 4, raw) : at;
}

static size_t make(uint8_t *f, const struct ask *a)
{
    uint8_t *m = f + MESSAGE, type = a->type;
    memset(f, 0, DHCP_FRAME_MOST);
    memset(f, 0xff, 6);
    const uint8_t mac[6] = {0x52, 0x54, 0, 0, a->station >> 8, a->station};
    memcpy(f + 6, mac, 6);
    memcpy(m + 28, mac, 6);
    put_be16(f + 12, 0x800);
    put_be32(f + 30, UINT32_MAX);
    m[0] = m[1] = 1;
    m[2] = 6;
    put_be32(m + 4, 0x11223344);
    put_be16(m + 10, a->everybody ? 0x8000 : 0);
    put_be32(m + 12, a->client);
    put_be32(m + 236, 0x63825363);
    uint8_t *at = put_option(m + 240, 53, 1, &type);
    at = put_address(at, 50, a->wanted);
    at = put_address(at, 54, a->server);
    at = a->host ? put_option(at, 12, strlen(a->host), a->host) : at;
    *at++ = 255;
    f[14] = 0x45;
    f[23] = 17;
    put_be16(f + 16, at - f - 14);
    put_be16(f + 36, 67);
    put_be16(f + 38, at - f - 34);
    return at - f;
}

static void say(struct dhcp *d, const struct ask *a, int64_t now, struct dhcp_reply *out)
{
    uint8_t frame[DHCP_FRAME_MOST];
    size_t n = make(frame, a);
    g_assert_true(dhcp_frame(d, frame, n, now, out));
}

static const uint8_t *find(const struct dhcp_reply *r, unsigned code)
{
    const uint8_t *at = r->frame + MESSAGE + 240;
    while (*at != 255 && *at != code)
        at += 2 + at[1];
    return *at == code ? at + 2 : NULL;
}

static unsigned type_of(const struct dhcp_reply *r)
{
    return r->bytes ? *find(r, 53) : 0;
}

static uint32_t yours(const struct dhcp_reply *r)
{
    return get_be32(r->frame + MESSAGE + 16);
}

/* The address that a station has after the usual exchange; 0: none. */
static uint32_t lease(struct dhcp *d, unsigned station, int64_t now)
{
    struct dhcp_reply r;
    say(d, &(struct ask){DISCOVER, station}, now, &r);
    if (type_of(&r) != OFFER)
        return 0;
    uint32_t address = yours(&r);
    say(d, &(struct ask){REQUEST, station, 0, address, set.server, "box<>1"}, now, &r);
    g_assert_cmpuint(type_of(&r), ==, ACK);
    g_assert_cmpuint(yours(&r), ==, address);
    return address;
}

static void test_exchange(void)
{
    struct dhcp *d = dhcp_new(&set);
    struct dhcp_reply r;
    say(d, &(struct ask){DISCOVER, 1, .everybody = true}, NOW, &r);
    g_assert_cmpuint(type_of(&r), ==, OFFER);
    g_assert_cmpmem(r.frame, 6, "\xff\xff\xff\xff\xff\xff", 6);
    g_assert_cmpmem(r.frame + 6, 6, set.mac, 6);
    g_assert_cmpuint(get_be32(find(&r, 1)), ==, set.mask);
    g_assert_cmpuint(get_be32(find(&r, 54)), ==, set.server);
    g_assert_null(find(&r, 3));
    uint32_t a = lease(d, 1, NOW), b = lease(d, 2, NOW);
    g_assert_cmpuint(a, >=, set.first);
    g_assert_cmpuint(a, <=, set.last);
    g_assert_cmpuint(a, !=, b);
    g_assert_cmpuint(lease(d, 1, NOW + 10 * DHCP_LEASE_S), ==, a); /* nobody needed it */
    say(d, &(struct ask){REQUEST, 2, b}, NOW + 100, &r);           /* renewing, RFC 2131 4.3.2 */
    g_assert_cmpuint(type_of(&r), ==, ACK);
    say(d, &(struct ask){REQUEST, 2, 0, 0x0a000001}, NOW + 100, &r); /* it was on another network */
    g_assert_cmpuint(type_of(&r), ==, NAK);
    say(d, &(struct ask){REQUEST, 3, 0, set.last, 0x01020304}, NOW, &r); /* another server's */
    g_assert_cmpuint(r.bytes, ==, 0);
    say(d, &(struct ask){INFORM, 3, 0xc0a83805}, NOW, &r);
    g_assert_cmpuint(type_of(&r), ==, ACK);
    g_assert_cmpuint(yours(&r), ==, 0);
    g_assert_null(find(&r, 51));
    dhcp_free(d);
}

static void test_pool(void)
{
    struct dhcp *d = dhcp_new(&set);
    struct dhcp_reply r;
    for (unsigned i = 0; i < POOL; i++)
        g_assert_cmpuint(lease(d, 100 + i, NOW), !=, 0);
    g_assert_cmpuint(lease(d, 1, NOW), ==, 0);
    uint32_t last = lease(d, 105, NOW + 10);
    say(d, &(struct ask){RELEASE, 105, last}, NOW + 20, &r);
    g_assert_cmpuint(lease(d, 1, NOW + 20), ==, last);
    say(d, &(struct ask){DECLINE, 1, 0, last}, NOW + 20, &r); /* somebody has it without having asked */
    g_assert_cmpuint(lease(d, 1, NOW + 20), ==, 0);
    g_assert_cmpuint(lease(d, 1, NOW + 1000), ==, last);
    dhcp_free(d);
}

static void test_storm(void)
{
    struct dhcp *d = dhcp_new(&set);
    struct dhcp_reply r;
    uint32_t mine = lease(d, 1, NOW);
    for (unsigned i = 0; i < 100000; i++)
        say(d, &(struct ask){DISCOVER, 1000 + i % 50000}, NOW, &r);
    say(d, &(struct ask){REQUEST, 1, mine}, NOW + 1, &r);
    g_assert_cmpuint(type_of(&r), ==, ACK);
    g_assert_cmpuint(lease(d, 2, NOW + 1), ==, 0);
    g_assert_cmpuint(lease(d, 2, NOW + DHCP_OFFER_S + 1), !=, 0); /* nobody took what was offered */
    dhcp_free(d);
}

static void test_leases(void)
{
    struct dhcp *d = dhcp_new(&set), *e = dhcp_new(&set);
    struct dhcp_lease l;
    uint32_t a = lease(d, 1, NOW), b = lease(d, 2, NOW);
    g_assert_true(dhcp_changed(d));
    g_assert_false(dhcp_changed(d));
    g_autofree char *text = dhcp_leases_text(d, NOW), *damaged = g_strconcat("x\n1:2 3\n", text, "00:", NULL);
    g_assert_nonnull(strstr(text, "52:54:00:00:00:01 192.168.56."));
    g_assert_true(dhcp_lease_parse(text, &l));
    g_assert_cmpstr(l.host, ==, "box1"); /* without what does not belong into a name */
    dhcp_leases_take(e, damaged);
    g_assert_cmpuint(lease(e, 2, NOW + 1), ==, b);
    g_assert_cmpuint(lease(e, 1, NOW + 1), ==, a);
    g_autofree char *later = dhcp_leases_text(d, NOW + 2 * DHCP_LEASE_S);
    g_assert_cmpstr(later, ==, "");
    dhcp_free(d);
    dhcp_free(e);
}

static void test_arp(void)
{
    struct dhcp *d = dhcp_new(&set);
    struct dhcp_reply r;
    uint8_t f[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0,   0,  0,   1, 8, 6, 0, 1, 8, 0,   6,   4,  0,
                     1,    0x52, 0x54, 0,    0,    0,    1,    192,  168, 56, 100, 0, 0, 0, 0, 0, 0, 192, 168, 56, 2};
    g_assert_true(dhcp_frame(d, f, sizeof f, NOW, &r));
    g_assert_cmpuint(r.bytes, ==, 42);
    g_assert_cmpuint(r.frame[21], ==, 2);
    g_assert_cmpmem(r.frame, 6, f + 6, 6);
    g_assert_cmpmem(r.frame + 22, 6, set.mac, 6);
    g_assert_cmpmem(r.frame + 28, 4, f + 38, 4);
    f[41] = 3;
    g_assert_false(dhcp_frame(d, f, sizeof f, NOW, &r));
    dhcp_free(d);
}

/* Each length of a good frame, and each byte of it changed: an answer or none, never a crash (under ASan). */
static void test_nonsense(void)
{
    struct dhcp *d = dhcp_new(&set);
    uint8_t good[DHCP_FRAME_MOST];
    struct dhcp_reply r;
    size_t n = make(good, &(struct ask){REQUEST, 1, 0, set.first, set.server, "name"});
    for (size_t cut = 0; cut <= n; cut++) {
        g_autofree uint8_t *f = g_memdup2(good, cut);
        dhcp_frame(d, f, cut, NOW, &r);
        g_assert_true(!r.bytes || cut >= n - 1); /* the end mark may be missing */
    }
    for (size_t at = 0; at < n; at++)
        for (unsigned change = 1; change < 256; change <<= 1) {
            g_autofree uint8_t *f = g_memdup2(good, n);
            f[at] ^= change;
            dhcp_frame(d, f, n, NOW, &r);
        }
    dhcp_free(d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/dhcp/exchange", test_exchange);
    g_test_add_func("/net/dhcp/pool", test_pool);
    g_test_add_func("/net/dhcp/storm", test_storm);
    g_test_add_func("/net/dhcp/leases", test_leases);
    g_test_add_func("/net/dhcp/arp", test_arp);
    g_test_add_func("/net/dhcp/nonsense", test_nonsense);
    return g_test_run();
}
