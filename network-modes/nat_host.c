// SPDX-License-Identifier: GPL-2.0-or-later
/* nat_host.c - which addresses are the host's own.
 *
 * A guest reaches the host at its router's address, which libslirp can refuse, and at every address that the host has, which it
 * cannot.  Those come and go; asking for a list needs more of the kernel than this process has.  But a socket that is connected
 * to one of them gets that same address as its own: so each new destination is asked for once, and again after a while. */
#include "core-vmm/base/bytes.h"
#include "network-modes/nat.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ETHER = 14, TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd, KNOWN_MOST = 1024, KNOWN_US = 5 * G_USEC_PER_SEC };

struct nat_host {
    GHashTable *known; /* GBytes of an address -> is it the host's? */
    gint64 since;
};

struct nat_host *nat_host_new(void)
{
    struct nat_host *h = g_new0(struct nat_host, 1);
    h->known = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    return h;
}

void nat_host_free(struct nat_host *h)
{
    if (h)
        g_hash_table_unref(h->known);
    g_free(h);
}

/* Where a frame goes: 4 or 16 bytes; 0: it is not IP. */
static size_t destination(const uint8_t *frame, size_t bytes, const uint8_t **address)
{
    uint16_t type = get_be16(frame + 12);
    *address = frame + ETHER + (type == TYPE_IPV6 ? 24 : 16);
    if (type == TYPE_IPV6)
        return bytes >= ETHER + 40 ? 16 : 0;
    return type == TYPE_IPV4 && bytes >= ETHER + 20 ? 4 : 0;
}

bool nat_is_martian(const uint8_t *frame, size_t bytes)
{
    const uint8_t *a;
    size_t n = destination(frame, bytes, &a);
    if (n == 4)
        return a[0] == 127 || a[0] == 0;
    struct in6_addr v6;
    if (n == 16)
        memcpy(&v6, a, sizeof v6);
    return n == 16 && (IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_UNSPECIFIED(&v6) || IN6_IS_ADDR_V4MAPPED(&v6));
}

static bool ask(const uint8_t *address, size_t n)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)}}, own = {0};
    if (n == 4)
        to.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(9)};
    memcpy(n == 4 ? (void *)&to.v4.sin_addr : (void *)&to.v6.sin6_addr, address, n);
    socklen_t bytes = n == 4 ? sizeof to.v4 : sizeof to.v6;
    int fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool own_known = fd >= 0 && !connect(fd, &to.any, bytes) && !getsockname(fd, &own.any, &bytes);
    if (fd >= 0)
        close(fd);
    return own_known && !memcmp(n == 4 ? (void *)&own.v4.sin_addr : (void *)&own.v6.sin6_addr, address, n);
}

bool nat_host_is_meant(struct nat_host *h, const uint8_t *frame, size_t bytes)
{
    const uint8_t *a;
    size_t n = destination(frame, bytes, &a);
    gint64 now = g_get_monotonic_time();
    if (!n)
        return false;
    if (now - h->since > KNOWN_US || g_hash_table_size(h->known) >= KNOWN_MOST) {
        g_hash_table_remove_all(h->known);
        h->since = now;
    }
    g_autoptr(GBytes) key = g_bytes_new(a, n);
    gpointer answer = NULL;
    if (!g_hash_table_lookup_extended(h->known, key, NULL, &answer)) {
        answer = GINT_TO_POINTER(ask(a, n));
        g_hash_table_insert(h->known, g_bytes_ref(key), answer);
    }
    return GPOINTER_TO_INT(answer);
}
