// SPDX-License-Identifier: GPL-2.0-or-later
/* service.c - see service.h. */
#include "network-modes/service.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOCK   "router.lock"
#define LEASES "leases"
#define FRESH  ".leases"
enum {
    TRY_MS = 2000,   /* between two looks whether whoever does it has gone */
    WRITE_MS = 1000, /* that a change of leases may wait */
    LEASES_MOST = DHCP_LEASES * 128,
    FIRST = 100, /* of a range, if it is so large; else the upper half */
};

struct service {
    int folder, lock;
    bool ours;
    struct dhcp *dhcp; /* NULL: none is wanted */
    struct service_side side;
    GSource *timer;
};

static int64_t now_s(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

/* ---- leases ---- */

static void read_leases(struct service *s)
{
    g_autofree char *text = g_malloc0(LEASES_MOST + 1);
    int fd = openat(s->folder, LEASES, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && read(fd, text, LEASES_MOST) > 0)
        dhcp_leases_take(s->dhcp, text);
    if (fd >= 0)
        close(fd);
}

static void write_leases(struct service *s)
{
    g_autofree char *text = dhcp_leases_text(s->dhcp, now_s());
    int fd = openat(s->folder, FRESH, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    if (!good || renameat(s->folder, FRESH, s->folder, LEASES))
        g_warning("the leases of a network cannot be written: %s", g_strerror(errno));
}

/* ---- who does it ---- */

static gboolean on_timer(gpointer data);

static void set_timer(struct service *s, unsigned ms)
{
    if (s->timer) {
        g_source_destroy(s->timer);
        g_source_unref(s->timer);
    }
    s->timer = g_timeout_source_new(ms);
    g_source_set_callback(s->timer, on_timer, s, NULL);
    g_source_attach(s->timer, g_main_context_get_thread_default());
}

static void try(struct service *s)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(s->lock, F_OFD_SETLK, &whole))
        return;
    s->ours = true;
    if (s->dhcp)
        read_leases(s);
    if (s->side.ours)
        s->side.ours(s->side.ctx);
    set_timer(s, WRITE_MS);
}

static gboolean on_timer(gpointer data)
{
    struct service *s = data;
    if (!s->ours)
        try(s);
    else if (s->dhcp && dhcp_changed(s->dhcp))
        write_leases(s);
    return G_SOURCE_CONTINUE;
}

/* ---- addresses ---- */

/* .1 is the host's in a host-only network; .2 the server's, which in a NAT network is the router; .3 there the name server. */
static struct dhcp_settings dhcp_settings(const struct named *n)
{
    uint32_t hosts = ~n->def.range.mask, base = n->def.range.network;
    uint32_t first = hosts > 2 * FIRST ? FIRST : hosts / 2 + 1;
    bool nat = n->def.kind == NETWORK_NAT;
    struct dhcp_settings d = {.server = base + 2,
                              .mask = n->def.range.mask,
                              .router = nat ? base + 2 : 0,
                              .dns = nat ? base + 3 : 0,
                              .first = base + first,
                              .last = base + MIN(hosts - 1, first + DHCP_LEASES - 1),
                              .mac = {0x52, 0x55},
                              .arp = !nat};
    const uint32_t raw = GUINT32_TO_BE(d.server); /* the address that libslirp gives its router */
    memcpy(d.mac + 2, &raw, sizeof raw);
    return d;
}

struct service *service_new(int folder, const struct named *n, const struct service_side *side, GError **error)
{
    int lock = openat(folder, LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "the lock of the network %s: %s", n->name,
                    g_strerror(errno));
        return NULL;
    }
    struct service *s = g_new0(struct service, 1);
    const struct dhcp_settings d = dhcp_settings(n);
    s->folder = fcntl(folder, F_DUPFD_CLOEXEC, 3);
    s->lock = lock;
    s->side = *side;
    s->dhcp = n->def.dhcp ? dhcp_new(&d) : NULL;
    set_timer(s, TRY_MS);
    try(s);
    return s;
}

void service_free(struct service *s)
{
    if (!s)
        return;
    if (s->ours && s->dhcp && dhcp_changed(s->dhcp))
        write_leases(s);
    g_source_destroy(s->timer);
    g_source_unref(s->timer);
    close(s->lock);
    close(s->folder);
    if (s->dhcp)
        dhcp_free(s->dhcp);
    g_free(s);
}

bool service_is_ours(const struct service *s)
{
    return s->ours;
}

bool service_frame(struct service *s, const uint8_t *frame, size_t bytes)
{
    struct dhcp_reply reply;
    if (!s->ours || !s->dhcp || !dhcp_frame(s->dhcp, frame, bytes, now_s(), &reply))
        return false;
    if (reply.bytes)
        s->side.send(s->side.ctx, reply.frame, reply.bytes);
    return true;
}
