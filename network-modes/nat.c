// SPDX-License-Identifier: GPL-2.0-or-later
/* nat.c - the mode nat: the guest is behind a router of its own, which is libslirp in this process.  To the world the guest's
 * connections are this process' own; nothing on the host is set up for it, and nobody need be root.
 *
 * libslirp takes whole IP packets up to 64 KiB whatever the link's MTU is, so a TCP segment that was to be cut up goes in as
 * one, with its sums worked out. */
#include "core-vmm/base/net_range.h"
#include "network-modes/modes.h"
#include "network-modes/nat.h"
#include "core-vmm/base/net_offload.h"
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- libslirp in a GLib main loop ---- */

struct slirp_source {
    GSource base;
    struct nat *nat;
};

/* GLib holds on to where a GPollFD is, so they are kept from turn to turn, and changed in place where they can be. */
static int add_poll(int fd, int events, void *ctx)
{
    struct nat *n = ctx;
    GPollFD *p = n->used < n->polls->len ? n->polls->pdata[n->used] : NULL;
    gushort wanted = (events & SLIRP_POLL_IN ? G_IO_IN : 0) | (events & SLIRP_POLL_OUT ? G_IO_OUT : 0) |
                     (events & SLIRP_POLL_PRI ? G_IO_PRI : 0) | (events & SLIRP_POLL_ERR ? G_IO_ERR : 0) |
                     (events & SLIRP_POLL_HUP ? G_IO_HUP : 0);
    if (p && p->fd != fd) {
        g_source_remove_poll(n->source, p);
        p->fd = fd;
        g_source_add_poll(n->source, p);
    } else if (!p) {
        p = g_new0(GPollFD, 1);
        p->fd = fd;
        g_ptr_array_add(n->polls, p);
        g_source_add_poll(n->source, p);
    }
    p->events = wanted;
    p->revents = 0;
    return n->used++;
}

static int revents_of(int index, void *ctx)
{
    struct nat *n = ctx;
    gushort r = index >= 0 && (unsigned)index < n->used ? ((GPollFD *)n->polls->pdata[index])->revents : 0;
    return (r & G_IO_IN ? SLIRP_POLL_IN : 0) | (r & G_IO_OUT ? SLIRP_POLL_OUT : 0) |
           (r & G_IO_PRI ? SLIRP_POLL_PRI : 0) | (r & (G_IO_ERR | G_IO_NVAL) ? SLIRP_POLL_ERR : 0) |
           (r & G_IO_HUP ? SLIRP_POLL_HUP : 0);
}

static gboolean prepare(GSource *source, gint *timeout)
{
    struct nat *n = ((struct slirp_source *)source)->nat;
    uint32_t ms = UINT32_MAX;
    n->used = 0;
    slirp_pollfds_fill(n->slirp, &ms, add_poll, n);
    while (n->polls->len > n->used) {
        GPollFD *last = g_ptr_array_steal_index_fast(n->polls, n->polls->len - 1);
        g_source_remove_poll(source, last);
        g_free(last);
    }
    n->due = ms == UINT32_MAX ? G_MAXINT64 : g_get_monotonic_time() + (gint64)ms * 1000;
    *timeout = ms == UINT32_MAX ? -1 : (gint)MIN(ms, G_MAXINT);
    return FALSE;
}

static gboolean check(GSource *source)
{
    struct nat *n = ((struct slirp_source *)source)->nat;
    for (unsigned i = 0; i < n->used; i++)
        if (((GPollFD *)n->polls->pdata[i])->revents)
            return TRUE;
    return g_get_monotonic_time() >= n->due;
}

static gboolean dispatch(GSource *source, GSourceFunc unused, gpointer data)
{
    struct nat *n = ((struct slirp_source *)source)->nat;
    slirp_pollfds_poll(n->slirp, 0, revents_of, n);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs slirp_funcs = {.prepare = prepare, .check = check, .dispatch = dispatch};

/* ---- what libslirp calls ---- */

void nat_to_guest(struct nat *n, const uint8_t *frame, size_t bytes)
{
    if (!nat_dns_minds(frame, bytes)) {
        nat_segments_to_guest(n, frame, bytes);
        return;
    }
    g_autofree uint8_t *copy = g_malloc(bytes + NAT_DNS_ROOM);
    memcpy(copy, frame, bytes);
    nat_segments_to_guest(n, copy, nat_dns_to_guest(n->dns_server, copy, bytes));
}

static ssize_t to_guest(const void *frame, size_t bytes, void *ctx)
{
    nat_to_guest(ctx, frame, bytes);
    return (ssize_t)bytes;
}

static void guest_error(const char *message, void *ctx)
{
    port_log(((struct nat *)ctx)->port, "%s", message);
}

static int64_t clock_ns(void *ctx)
{
    return g_get_monotonic_time() * 1000;
}

struct nat_timer {
    struct nat *nat;
    SlirpTimerId id;
    void *ctx;
    GSource *source;
};

static gboolean on_timer(gpointer data)
{
    struct nat_timer *t = data;
    g_source_set_ready_time(t->source, -1);
    slirp_handle_timer(t->nat->slirp, t->id, t->ctx);
    return G_SOURCE_CONTINUE;
}

/* Not GLib's own timeouts: those set their next time themselves. */
static gboolean dispatch_timer(GSource *source, GSourceFunc fn, gpointer data)
{
    return fn(data);
}

static GSourceFuncs timer_funcs = {.dispatch = dispatch_timer};

static void *timer_new(SlirpTimerId id, void *timer_ctx, void *ctx)
{
    struct nat_timer *t = g_new0(struct nat_timer, 1);
    *t = (struct nat_timer){ctx, id, timer_ctx, g_source_new(&timer_funcs, sizeof(GSource))};
    g_source_set_ready_time(t->source, -1);
    g_source_set_callback(t->source, on_timer, t, NULL);
    g_source_attach(t->source, NULL);
    return t;
}

static void timer_free(void *timer, void *ctx)
{
    struct nat_timer *t = timer;
    g_source_destroy(t->source);
    g_source_unref(t->source);
    g_free(t);
}

static void timer_mod(void *timer, int64_t at_ms, void *ctx)
{
    g_source_set_ready_time(((struct nat_timer *)timer)->source, at_ms * 1000);
}

static void ignore_fd(int fd, void *ctx)
{
}

static void ignore_notify(void *ctx)
{
}

static const SlirpCb callbacks = {
    .send_packet = to_guest,
    .guest_error = guest_error,
    .clock_get_ns = clock_ns,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = ignore_fd,
    .unregister_poll_fd = ignore_fd,
    .notify = ignore_notify,
    .timer_new_opaque = timer_new,
};

/* ---- the mode ---- */

/* Whole, with its sums. */
static void packet(struct nat *n, uint8_t *frame, size_t bytes)
{
    if (nat_is_martian(frame, bytes) || (n->host && nat_host_is_meant(n->host, frame, bytes)))
        port_dropped(n->port, "the host is not to be reached");
    else if (!nat_dns_from_guest(n->dns_server, frame, bytes)) {
        nat_segments_from_guest(n, frame, bytes);
        if (n->passt)
            nat_passt_send(n->passt, frame, bytes);
        else
            slirp_input(n->slirp, frame, (int)bytes);
    }
}

static void frame(void *state, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    struct nat *n = state;
    bool bad = !(left->segments ? offload_whole(frame, bytes, left) : offload_checksum(frame, bytes, left));
    nat_note_answer(n, frame, bytes);
    uint8_t *all = bad ? NULL : nat_fragments_take(n->fragments, frame, &bytes, &bad);
    if (bad)
        port_dropped(n->port, "no frame");
    else if (all)
        packet(n, all, bytes);
}

static void stop(void *state)
{
    struct nat *n = state;
    if (n->slirp || n->passt)
        nat_forwards_stop(n);
    nat_passt_free(n->passt);
    if (n->slirp) {
        g_source_destroy(n->source);
        g_source_unref(n->source);
        slirp_cleanup(n->slirp);
    }
    nat_dns_free(n->dns_server);
    nat_fragments_free(n->fragments);
    nat_host_free(n->host);
    g_ptr_array_unref(n->polls);
    g_free(n->bootfile);
    g_free(n->tftp);
    g_free(n);
}

/* The network's own addresses: .2 the router, .3 the name server, .15 the guest. */
static void choose_addresses(struct nat *n, const struct config *c)
{
    g_autofree char *net = config_string(c, "net");
    struct net_range range = {0};
    net_range_parse(net, &range);
    n->mask.s_addr = htonl(range.mask);
    n->network.s_addr = htonl(range.network);
    n->router.s_addr = htonl(range.network + 2);
    n->dns.s_addr = htonl(range.network + 3);
    n->guest.s_addr = htonl(range.network + 15);
    n->prefix6 = (struct in6_addr){{{0xfd}}};
    n->router6 = (struct in6_addr){{{0xfd, [15] = 2}}};
    n->dns6 = (struct in6_addr){{{0xfd, [15] = 3}}};
}

static bool read_settings(struct nat *n, const struct config *c, GError **error)
{
    int folder = port_fd(n->port, "tftp");
    choose_addresses(n, c);
    n->bootfile = config_string(c, "bootfile");
    n->tftp = folder < 0 ? NULL : g_strdup_printf("/proc/self/fd/%d", folder);
    return config_flag(c, "ipv6", &n->ipv6, error) && config_flag(c, "host-reachable", &n->host_reachable, error);
}

static bool start_slirp(struct nat *n, GError **error)
{
    const SlirpConfig config = {.version = 4,
                                .in_enabled = true,
                                .vnetwork = n->network,
                                .vnetmask = n->mask,
                                .vhost = n->router,
                                .vdhcp_start = n->guest,
                                .vnameserver = n->dns,
                                .in6_enabled = n->ipv6,
                                .vprefix_addr6 = n->prefix6,
                                .vprefix_len = 64,
                                .vhost6 = n->router6,
                                .vnameserver6 = n->dns6,
                                .vhostname = port_machine(n->port),
                                .tftp_path = n->tftp,
                                .bootfile = n->bootfile,
                                .if_mtu = NAT_LINK,
                                .if_mru = NAT_LINK,
                                .disable_host_loopback = !n->host_reachable};
    n->slirp = slirp_new(&config, &callbacks, n);
    if (!n->slirp) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "libslirp does not start");
        return false;
    }
    n->source = g_source_new(&slirp_funcs, sizeof(struct slirp_source));
    ((struct slirp_source *)n->source)->nat = n;
    g_source_attach(n->source, NULL);
    return true;
}

/* libslirp or passt; the shared router of a NAT network is always the former, for passt has one guest. */
static bool start_back_end(struct nat *n, const struct config *c, GError **error)
{
    g_autofree char *which = config_string(c, "nat-backend");
    if (strcmp(which, "passt") || !port_has_card(n->port))
        return start_slirp(n, error);
    n->passt = nat_passt_new(n, error);
    return n->passt != NULL;
}

/* Pings are sent by sockets that not every host lets everybody have. */
static bool may_ping(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void *start(struct net_port *p, const struct config *c, GError **error)
{
    struct nat *n = g_new0(struct nat, 1);
    g_autofree char *forwards = config_string(c, "forward");
    n->port = p;
    n->resolver = port_resolver(p);
    n->fragments = nat_fragments_new();
    n->polls = g_ptr_array_new_with_free_func(g_free);
    n->dns_server = nat_dns_new(n);
    n->ping = may_ping();
    if (read_settings(n, c, error) && start_back_end(n, c, error) &&
        nat_forwards_start(n, forwards ? forwards : "", error)) {
        n->host = n->host_reachable ? NULL : nat_host_new();
        resolver_servers(n->resolver); /* so that they are known when the guest asks */
        return n;
    }
    stop(n);
    return NULL;
}

/* ---- while it runs ---- */

static bool change(void *state, const struct config *c, const char *key, GError **error)
{
    g_autofree char *forwards = config_string(c, "forward");
    return !strcmp(key, "forward") && nat_forwards_change(state, forwards ? forwards : "", error);
}

static void set_address(JsonObject *o, const char *name, struct in_addr a)
{
    char text[INET_ADDRSTRLEN];
    json_object_set_string_member(o, name, inet_ntop(AF_INET, &a, text, sizeof text));
}

static JsonObject *command(void *state, const char *name, JsonObject *args, GError **error)
{
    if (strcmp(name, "answered"))
        return NULL;
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "ms", nat_answered(state, (uint16_t)json_object_get_int_member(args, "port")));
    return o;
}

static void describe(void *state, JsonObject *into)
{
    struct nat *n = state;
    set_address(into, "router", n->router);
    set_address(into, "name-server", n->dns);
    json_object_set_string_member(into, "nat-backend", n->passt ? "passt" : "libslirp");
    json_object_set_boolean_member(into, "host-reachable", n->host_reachable);
    json_object_set_boolean_member(into, "ping", n->ping);
    if (!n->ping)
        json_object_set_string_member(
            into, "ping-remark",
            "the host lets no process of yours send pings: its setting net.ipv4.ping_group_range "
            "leaves your groups out, so the guest can ping its router only");
    nat_forwards_describe(n, into);
}

const struct net_mode nat_mode = {
    .name = "nat",
    .help = "behind a router of its own: all that the host reaches, and nobody reaches it but by forwards",
    .can = NET_CHECKSUM | NET_TSO4 | NET_TSO6,
    .start = start,
    .frame = frame,
    .change = change,
    .command = command,
    .describe = describe,
    .stop = stop,
};
