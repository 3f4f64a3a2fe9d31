// SPDX-License-Identifier: GPL-2.0-or-later
/* guest_nics.c - the guest's network cards and their addresses, as open-vm-tools tells of them (nicinfo.x, "NicInfoV3") in XDR
 * (RFC 4506): everything in units of four bytes, big-endian; a text or a string of bytes is its length and then itself, filled up
 * to a whole unit; what may be missing has a unit before it that says whether it is there. */
#include "core-vmm/base/bytes.h"
#include "guest-additions/common/inside.h"
#include <arpa/inet.h>
#include <string.h>

enum { VERSION = 3, NICS_MOST = 16, IPS_MOST = 2048, IPV4 = 1, IPV6 = 2, OPAQUE_MOST = 16384 };
enum { SERVERS_MOST = 16, SUFFIXES_MOST = 10 };

struct xdr {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static const uint8_t *take(struct xdr *x, size_t bytes)
{
    size_t whole = (bytes + 3) & ~(size_t)3;
    const uint8_t *at = x->at;
    if (x->failed || whole < bytes || whole > x->left) {
        x->failed = true;
        return NULL;
    }
    x->at += whole;
    x->left -= whole;
    return at;
}

static uint32_t unit(struct xdr *x)
{
    const uint8_t *at = take(x, 4);
    return at ? get_be32(at) : 0;
}

/* A count; more than that makes no sense. */
static uint32_t count(struct xdr *x, uint32_t most)
{
    uint32_t n = unit(x);
    x->failed |= n > most;
    return x->failed ? 0 : n;
}

static const uint8_t *string(struct xdr *x, uint32_t *bytes)
{
    *bytes = count(x, OPAQUE_MOST);
    return take(x, *bytes);
}

static void skip_string(struct xdr *x)
{
    uint32_t bytes;
    string(x, &bytes);
}

static void skip_address(struct xdr *x)
{
    unit(x);
    skip_string(x);
}

/* DnsConfigInfo. */
static void skip_dns(struct xdr *x)
{
    for (unsigned i = 0; i < 2; i++)
        if (unit(x))
            skip_string(x);
    for (uint32_t n = count(x, SERVERS_MOST); n; n--)
        skip_address(x);
    for (uint32_t n = count(x, SUFFIXES_MOST); n; n--)
        skip_string(x);
}

/* WinsConfigInfo, then DhcpConfigInfo for IPv4 and IPv6. */
static void skip_wins_and_dhcp(struct xdr *x)
{
    if (unit(x)) {
        skip_address(x);
        skip_address(x);
    }
    for (unsigned i = 0; i < 2; i++)
        if (unit(x)) {
            unit(x);
            skip_string(x);
        }
}

static void address(struct xdr *x, GPtrArray *out)
{
    char text[INET6_ADDRSTRLEN];
    uint32_t kind = unit(x), bytes;
    const uint8_t *data = string(x, &bytes);
    uint32_t prefix = unit(x);
    for (unsigned i = 0; i < 2; i++) /* where it comes from, and how it does */
        if (unit(x))
            unit(x);
    bool v4 = kind == IPV4 && bytes == 4, v6 = kind == IPV6 && bytes == 16;
    if (x->failed || (!v4 && !v6) || out->len >= ADDRESSES_MOST || prefix > bytes * 8)
        return;
    inet_ntop(v4 ? AF_INET : AF_INET6, data, text, sizeof text);
    g_ptr_array_add(out, g_strdup_printf("%s/%u", text, prefix));
}

GPtrArray *guest_nics_parse(const void *data, size_t bytes)
{
    struct xdr x = {data, bytes};
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(g_free);
    if (unit(&x) != VERSION || !unit(&x))
        return NULL;
    for (uint32_t nics = count(&x, NICS_MOST); nics && !x.failed; nics--) {
        skip_string(&x); /* its own address */
        for (uint32_t n = count(&x, IPS_MOST); n && !x.failed; n--)
            address(&x, out);
        if (unit(&x))
            skip_dns(&x);
        skip_wins_and_dhcp(&x);
    }
    return x.failed ? NULL : g_steal_pointer(&out); /* routes and the like follow */
}
