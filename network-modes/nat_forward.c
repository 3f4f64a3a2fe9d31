// SPDX-License-Identifier: GPL-2.0-or-later
/* nat_forward.c - ports of the host that lead into the guest.  Connections are the guest's once they are accepted: they live
 * on when their port is taken away. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/forward.h"
#include "network-modes/nat.h"
#include "network-modes/passt_host.h"
#include <errno.h>
#include <gio/gio.h>
#include <string.h>

struct nat_forward {
    struct forward f;
    char *failure; /* why it could not be made; NULL: it stands */
};

static void forward_free(gpointer data)
{
    struct nat_forward *w = data;
    g_free(w->failure);
    g_free(w);
}

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t address_of(union address *a, const struct in6_addr *at, bool v6, uint16_t port)
{
    *a = (union address){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *at}};
    if (v6)
        return sizeof a->v6;
    a->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&a->v4.sin_addr, &at->s6_addr[12], 4);
    return sizeof a->v4;
}

static int flags_of(const struct forward *f)
{
    return (f->udp ? SLIRP_HOSTFWD_UDP : 0) | (f->v6 ? SLIRP_HOSTFWD_V6ONLY : 0);
}

static char *reason(const struct forward *f, int e)
{
    g_autofree char *text = forward_format(f);
    if (e == EADDRINUSE)
        return g_strdup_printf("%s: the host's port %u is taken", text, f->host_port);
    if (e == EACCES)
        return g_strdup_printf("%s: low ports of the host are root's; take one above 1023, or lower "
                               "net.ipv4.ip_unprivileged_port_start",
                               text);
    if (e == E2BIG)
        return g_strdup_printf("%s: passt leads %d ports into a guest at most", text, PASST_FORWARDS);
    return g_strdup_printf("%s: %s", text, e == EADDRNOTAVAIL ? "the host has no such address" : g_strerror(e));
}

/* By libslirp. */
static void lead(struct nat *n, struct nat_forward *w)
{
    union address host, guest;
    const struct forward *f = &w->f;
    socklen_t host_bytes = address_of(&host, &f->host, f->v6, f->host_port);
    socklen_t guest_bytes = address_of(&guest, &f->guest, f->v6, f->guest_port);
    if (!f->v6 && IN6_IS_ADDR_UNSPECIFIED(&f->guest))
        guest.v4.sin_addr = n->guest;
    errno = 0;
    if (slirp_add_hostxfwd(n->slirp, &host.any, host_bytes, &guest.any, guest_bytes, flags_of(f)) < 0)
        w->failure = reason(f, errno ? errno : EIO);
}

static void stand(struct nat *n, const struct forward *f)
{
    struct nat_forward *w = g_new0(struct nat_forward, 1);
    w->f = *f;
    g_ptr_array_add(n->forwards, w);
    g_autofree char *text = forward_format(f);
    if (!n->passt)
        lead(n, w);
    else if (!IN6_IS_ADDR_UNSPECIFIED(&f->guest))
        w->failure = g_strdup_printf("%s: passt leads ports to the guest itself only, not to an address", text);
    if (w->failure)
        port_log(n->port, "%s", w->failure);
}

static void fall(struct nat *n, unsigned at)
{
    struct nat_forward *w = n->forwards->pdata[at];
    union address host;
    socklen_t bytes = address_of(&host, &w->f.host, w->f.v6, w->f.host_port);
    if (!w->failure && n->slirp)
        slirp_remove_hostxfwd(n->slirp, &host.any, bytes, flags_of(&w->f));
    g_ptr_array_remove_index(n->forwards, at);
}

static bool has(const GArray *list, const struct forward *f)
{
    for (unsigned i = 0; i < list->len; i++)
        if (!memcmp(&g_array_index(list, struct forward, i), f, sizeof *f))
            return true;
    return false;
}

static bool stands(const struct nat *n, const struct forward *f)
{
    for (unsigned i = 0; i < n->forwards->len; i++)
        if (!memcmp(&((struct nat_forward *)n->forwards->pdata[i])->f, f, sizeof *f))
            return true;
    return false;
}

bool nat_forwards_change(struct nat *n, const char *text, GError **error)
{
    g_autoptr(GArray) list = forward_parse_list(text, error);
    if (!list)
        return false;
    for (unsigned i = n->forwards->len; i-- > 0;) { /* what failed is tried again */
        const struct nat_forward *w = n->forwards->pdata[i];
        if (w->failure || !has(list, &w->f))
            fall(n, i);
    }
    for (unsigned i = 0; i < list->len; i++)
        if (!stands(n, &g_array_index(list, struct forward, i)))
            stand(n, &g_array_index(list, struct forward, i));
    if (n->passt)
        nat_passt_restart(n->passt);
    return true;
}

char *nat_forwards_wanted(const struct nat *n)
{
    GString *s = g_string_new("");
    for (unsigned i = 0, wanted = 0; i < n->forwards->len && wanted < PASST_FORWARDS; i++) {
        const struct nat_forward *w = n->forwards->pdata[i];
        g_autofree char *text = forward_format(&w->f);
        if (!w->failure)
            g_string_append_printf(s, "%s%s", s->len ? "; " : "", text);
        wanted += !w->failure;
    }
    return g_string_free(s, FALSE);
}

void nat_forwards_told(struct nat *n, const int *errors, unsigned count)
{
    for (unsigned i = 0, of = 0; i < n->forwards->len; i++) {
        struct nat_forward *w = n->forwards->pdata[i];
        if (w->failure)
            continue;
        int e = of < count ? errors[of] : E2BIG;
        of++;
        if (e)
            w->failure = reason(&w->f, e);
        if (e)
            port_log(n->port, "%s", w->failure);
    }
}

bool nat_forwards_start(struct nat *n, const char *list, GError **error)
{
    n->forwards = g_ptr_array_new_with_free_func(forward_free);
    return nat_forwards_change(n, list, error);
}

void nat_forwards_stop(struct nat *n)
{
    while (n->forwards && n->forwards->len)
        fall(n, n->forwards->len - 1);
    g_clear_pointer(&n->forwards, g_ptr_array_unref);
}

void nat_forwards_describe(struct nat *n, JsonObject *into)
{
    JsonArray *list = json_array_new();
    for (unsigned i = 0; i < n->forwards->len; i++) {
        const struct nat_forward *w = n->forwards->pdata[i];
        g_autofree char *text = forward_format(&w->f);
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "forward", text);
        json_object_set_boolean_member(o, "stands", !w->failure);
        if (w->failure)
            json_object_set_string_member(o, "failure", w->failure);
        json_array_add_object_element(list, o);
    }
    json_object_set_array_member(into, "forwards", list);
}

/* ---- which ports of the guest answer ---- */

void nat_note_answer(struct nat *n, const uint8_t *f, size_t bytes)
{
    enum { ETHER = 14, TYPE_IPV4 = 0x0800, TCP = 6, SYN_ACK = 0x12, FLAGS = 13 };
    size_t tcp = ETHER + (f[ETHER] & 15u) * 4;
    if (bytes < ETHER + 20 + 20 || get_be16(f + 12) != TYPE_IPV4 || f[ETHER + 9] != TCP || bytes < tcp + 20 ||
        (f[tcp + FLAGS] & SYN_ACK) != SYN_ACK)
        return;
    unsigned oldest = 0, at = 0;
    uint16_t port = get_be16(f + tcp);
    for (; at < NAT_ANSWERED && n->answered[at].port != port; at++)
        oldest = n->answered[at].at < n->answered[oldest].at ? at : oldest;
    at = at < NAT_ANSWERED ? at : oldest;
    n->answered[at].port = port;
    n->answered[at].at = g_get_monotonic_time();
}

gint64 nat_answered(const struct nat *n, uint16_t port)
{
    for (unsigned i = 0; i < NAT_ANSWERED; i++)
        if (n->answered[i].port == port && n->answered[i].at)
            return (g_get_monotonic_time() - n->answered[i].at) / 1000;
    return -1;
}
