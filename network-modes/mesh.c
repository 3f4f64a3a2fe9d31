// SPDX-License-Identifier: GPL-2.0-or-later
/* mesh.c - see mesh.h. */
#include "network-modes/mesh.h"
#include "core-vmm/base/net_wire.h"
#include "network-modes/frame.h"
#include "network-modes/mac_table.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    PORTS = MESH_OWN_PORTS + MESH_MEMBERS,
    HELLO = 0x4d, /* a kind that net_wire.h has not */
    VERSION = 1,
    NAME_DIGITS = 32,
    AT_ONCE = 64,         /* frames of one member before others get their turn */
    LOOK_MS = 5000,       /* between two looks into the folder */
    HELLO_MS = 5000,      /* after which whoever has not said who it is goes */
    ENTRIES_MOST = 1024,  /* of the folder that are looked at */
    QUEUE = MESH_MEMBERS, /* connections that wait to be accepted */
    BUFFER = 1 << 20,     /* of a connection; the kernel takes what its limit allows */
    HIDDEN_STALE_S = 60,  /* a hidden name is renamed within moments, or its maker has died */
};

struct name {
    char digits[NAME_DIGITS + 1];
};
struct hello {
    uint8_t kind, version, zero[2];
    char name[NAME_DIGITS];
};
struct port {
    struct mesh *mesh;
    enum { FREE, OWN, MEMBER } kind;
    const struct mesh_end *end; /* OWN */
    int fd;                     /* MEMBER, and the rest */
    GSource *source;
    struct name name;
    bool named, made; /* we know who it is; the connection is one that we made */
    gint64 since;     /* ms */
};
struct mesh {
    int folder, listener;
    struct name name;
    GSource *accept, *look;
    struct port port[PORTS]; /* own ones first */
    struct mac_table macs;
    struct mesh_counts counts;
    uint8_t packet[NET_WIRE_PACKET_MOST];
};

static gint64 now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

/* ---- names ---- */

static bool is_name(const char *text)
{
    return strlen(text) == NAME_DIGITS && strspn(text, "0123456789abcdef") == NAME_DIGITS;
}

static bool name_draw(struct name *n)
{
    uint8_t bytes[NAME_DIGITS / 2];
    bool good = getrandom(bytes, sizeof bytes, 0) == sizeof bytes;
    for (unsigned i = 0; i < sizeof bytes; i++)
        g_snprintf(n->digits + 2 * i, 3, "%02x", bytes[i]);
    return good;
}

/* By its folder's descriptor: a path may be longer than sockaddr_un holds. */
static struct sockaddr_un address_of(const struct mesh *m, const char *hidden, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    g_snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/%s%s", m->folder, hidden, name);
    return a;
}

/* ---- ports ---- */

static unsigned number(const struct port *p)
{
    return p - p->mesh->port;
}

static struct port *port_free(struct mesh *m, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        if (m->port[i].kind == FREE)
            return &m->port[i];
    return NULL;
}

static struct port *port_of(struct mesh *m, const char *name)
{
    for (unsigned i = MESH_OWN_PORTS; i < PORTS; i++)
        if (m->port[i].kind == MEMBER && m->port[i].named && !strcmp(m->port[i].name.digits, name))
            return &m->port[i];
    return NULL;
}

static void source_end(GSource **s)
{
    if (*s) {
        g_source_destroy(*s);
        g_source_unref(*s);
    }
    *s = NULL;
}

static void port_close(struct port *p)
{
    source_end(&p->source);
    if (p->kind == MEMBER)
        close(p->fd);
    mac_table_forget(&p->mesh->macs, number(p));
    *p = (struct port){.mesh = p->mesh, .fd = -1};
}

unsigned mesh_plug(struct mesh *m, const struct mesh_end *end)
{
    struct port *p = port_free(m, 0, MESH_OWN_PORTS);
    g_assert(p);
    p->kind = OWN;
    p->end = end;
    return number(p);
}

void mesh_unplug(struct mesh *m, unsigned port)
{
    port_close(&m->port[port]);
}

/* ---- frames ---- */

static void send_packet(struct port *p, struct iovec *iov, int count)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = count};
    if (sendmsg(p->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        p->mesh->counts.sent++;
    else
        p->mesh->counts.full++; /* or it has gone, which its source hears of */
}

static void give(struct port *p, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct net_wire head = net_wire_frame(0, left);
    struct iovec iov[] = {{&head, sizeof head}, {(void *)frame, bytes}};
    if (p->kind == OWN)
        p->end->frame(p->end->ctx, frame, bytes, left);
    else
        send_packet(p, iov, 2);
}

static void switch_frame(struct mesh *m, unsigned from, const void *frame, size_t bytes, const struct net_offload *left)
{
    const uint8_t *to = frame, *source = to + MAC_BYTES;
    gint64 now = g_get_monotonic_time();
    unsigned only = mac_is_group(to) ? MAC_NOWHERE : mac_table_find(&m->macs, to, now);
    unsigned end = from < MESH_OWN_PORTS ? PORTS : MESH_OWN_PORTS;
    mac_table_learn(&m->macs, source, from, now);
    for (unsigned i = 0; i < end; i++) {
        struct port *p = &m->port[i];
        bool there = p->kind == OWN || (p->kind == MEMBER && p->named);
        if (there && i != from && (only == MAC_NOWHERE || only == i))
            give(p, frame, bytes, left);
    }
}

void mesh_send(struct mesh *m, unsigned port, const void *frame, size_t bytes, const struct net_offload *left)
{
    static const struct net_offload none;
    if (frame_good(frame, bytes, left))
        switch_frame(m, port, frame, bytes, left ? left : &none);
    else
        m->counts.broken++;
}

/* ---- members ---- */

/* Both have connected to each other at once: one of the two connections is one too many.  True: it is not p. */
static bool settle(struct port *p, const char *name)
{
    struct mesh *m = p->mesh;
    struct port *other = port_of(m, name);
    if (!other || other == p)
        return true;
    bool ours_stays = strcmp(m->name.digits, name) < 0; /* the one that the smaller name made */
    if (other->made == p->made || p->made != ours_stays)
        return false;
    port_close(other);
    return true;
}

static bool take_hello(struct port *p, const uint8_t *packet, size_t bytes)
{
    const struct hello *h = (const struct hello *)packet;
    struct name name = {0};
    if (bytes != sizeof *h || h->version != VERSION)
        return false;
    memcpy(name.digits, h->name, NAME_DIGITS);
    bool good = is_name(name.digits) && strcmp(name.digits, p->mesh->name.digits) &&
                (!p->named || !strcmp(p->name.digits, name.digits)) && settle(p, name.digits);
    if (good) {
        p->name = name;
        p->named = true;
    }
    return good;
}

static void take_frame(struct port *p, const uint8_t *packet, size_t bytes)
{
    struct net_wire head;
    struct net_offload left;
    const uint8_t *frame = packet + sizeof head;
    memcpy(&head, packet, MIN(bytes, sizeof head));
    bool good =
        bytes > sizeof head && p->named && net_wire_left(&head, &left) && frame_good(frame, bytes - sizeof head, &left);
    if (!good) {
        p->mesh->counts.broken++;
        return;
    }
    p->mesh->counts.received++;
    switch_frame(p->mesh, number(p), frame, bytes - sizeof head, &left);
}

enum taken { TAKEN, NOTHING, GONE };

static enum taken take_packet(struct port *p)
{
    struct mesh *m = p->mesh;
    ssize_t n = recv(p->fd, m->packet, sizeof m->packet, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? NOTHING : GONE;
    if (n == 0)
        return GONE;
    if (n <= (ssize_t)sizeof m->packet && m->packet[0] == HELLO)
        return take_hello(p, m->packet, n) ? TAKEN : GONE;
    if (n <= (ssize_t)sizeof m->packet && m->packet[0] == NET_WIRE_FRAME)
        take_frame(p, m->packet, n);
    else
        m->counts.broken++;
    return TAKEN;
}

static gboolean on_packets(gint fd, GIOCondition condition, gpointer data)
{
    struct port *p = data;
    enum taken taken = TAKEN;
    for (unsigned i = 0; i < AT_ONCE && taken == TAKEN; i++)
        taken = take_packet(p);
    if (taken == GONE)
        port_close(p);
    return taken == GONE ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static GSource *watch_fd(int fd, GUnixFDSourceFunc fn, void *data)
{
    GSource *s = g_unix_fd_source_new(fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(s, G_SOURCE_FUNC(fn), data, NULL);
    g_source_attach(s, g_main_context_get_thread_default());
    return s;
}

/* A new connection, of which the other side hears who we are; takes fd. */
static struct port *member_new(struct mesh *m, int fd)
{
    struct port *p = port_free(m, MESH_OWN_PORTS, PORTS);
    struct hello h = {.kind = HELLO, .version = VERSION};
    int buffer = BUFFER;
    memcpy(h.name, m->name.digits, NAME_DIGITS);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    if (!p || send(fd, &h, sizeof h, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof h) {
        close(fd);
        return NULL;
    }
    p->kind = MEMBER;
    p->fd = fd;
    p->since = now_ms();
    p->source = watch_fd(fd, on_packets, p);
    return p;
}

static bool ours(int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) && who.uid == geteuid();
}

static gboolean on_accept(gint fd, GIOCondition condition, gpointer data)
{
    struct mesh *m = data;
    int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (got >= 0 && ours(got))
        member_new(m, got);
    else if (got >= 0)
        close(got);
    return G_SOURCE_CONTINUE;
}

/* -1: errno. */
static int open_socket(const struct mesh *m, const char *hidden, const char *name,
                       int (*use)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_un a = address_of(m, hidden, name);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && !use(fd, (struct sockaddr *)&a, sizeof a))
        return fd;
    int e = errno;
    if (fd >= 0)
        close(fd);
    errno = e;
    return -1;
}

static void meet(struct mesh *m, const char *name)
{
    if (!strcmp(name, m->name.digits) || port_of(m, name))
        return;
    int fd = open_socket(m, "", name, connect);
    if (fd < 0 && errno == ECONNREFUSED)
        unlinkat(m->folder, name, 0);
    struct port *p = fd >= 0 && ours(fd) ? member_new(m, fd) : NULL;
    if (!p)
        return;
    g_strlcpy(p->name.digits, name, sizeof p->name.digits);
    p->named = p->made = true;
}

/* ---- the folder ---- */

/* A name that its maker did not live to change. */
static void sweep_hidden(struct mesh *m, const char *name)
{
    struct stat st;
    bool old = !fstatat(m->folder, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISSOCK(st.st_mode) &&
               time(NULL) - st.st_mtime > HIDDEN_STALE_S;
    if (old)
        unlinkat(m->folder, name, 0);
}

static bool is_there(struct mesh *m)
{
    return !faccessat(m->folder, m->name.digits, F_OK, AT_SYMLINK_NOFOLLOW);
}

static bool announce(struct mesh *m, GError **error);

static void look_around(struct mesh *m)
{
    int fd = openat(m->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    for (unsigned i = 0; d && i < ENTRIES_MOST && (e = readdir(d)); i++) {
        if (is_name(e->d_name))
            meet(m, e->d_name);
        else if (e->d_name[0] == '.' && is_name(e->d_name + 1))
            sweep_hidden(m, e->d_name);
    }
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
}

static gboolean on_look(gpointer data)
{
    struct mesh *m = data;
    for (unsigned i = MESH_OWN_PORTS; i < PORTS; i++)
        if (m->port[i].kind == MEMBER && !m->port[i].named && now_ms() - m->port[i].since > HELLO_MS)
            port_close(&m->port[i]);
    if (!is_there(m)) /* somebody has tidied up */
        announce(m, NULL);
    look_around(m);
    return G_SOURCE_CONTINUE;
}

static int listen_hidden(const struct mesh *m)
{
    int fd = open_socket(m, ".", m->name.digits, bind);
    if (fd < 0 || !listen(fd, QUEUE))
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

/* From here on the others can see us. */
static bool announce(struct mesh *m, GError **error)
{
    g_autofree char *hidden = g_strconcat(".", m->name.digits, NULL);
    int fd = listen_hidden(m);
    if (fd < 0 || renameat(m->folder, hidden, m->folder, m->name.digits)) {
        int e = errno;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "the network's folder takes no socket: %s",
                    g_strerror(e));
        if (fd >= 0)
            close(fd);
        return false;
    }
    source_end(&m->accept);
    if (m->listener >= 0)
        close(m->listener);
    m->listener = fd;
    m->accept = watch_fd(fd, on_accept, m);
    return true;
}

struct mesh *mesh_join(int folder, GError **error)
{
    struct mesh *m = g_new0(struct mesh, 1);
    uint64_t salt = 0;
    m->folder = fcntl(folder, F_DUPFD_CLOEXEC, 3);
    m->listener = -1;
    for (unsigned i = 0; i < PORTS; i++)
        m->port[i] = (struct port){.mesh = m, .fd = -1};
    bool drawn = name_draw(&m->name) && getrandom(&salt, sizeof salt, 0) == sizeof salt;
    mac_table_init(&m->macs, salt);
    if (!drawn || !announce(m, error)) {
        mesh_leave(m);
        return NULL;
    }
    look_around(m);
    m->look = g_timeout_source_new(LOOK_MS);
    g_source_set_callback(m->look, on_look, m, NULL);
    g_source_attach(m->look, g_main_context_get_thread_default());
    return m;
}

void mesh_leave(struct mesh *m)
{
    if (!m)
        return;
    source_end(&m->look);
    source_end(&m->accept);
    for (unsigned i = 0; i < PORTS; i++)
        port_close(&m->port[i]);
    if (m->listener >= 0) {
        unlinkat(m->folder, m->name.digits, 0);
        close(m->listener);
    }
    if (m->folder >= 0)
        close(m->folder);
    g_free(m);
}

void mesh_count(const struct mesh *m, struct mesh_counts *out)
{
    *out = m->counts;
    out->members = 0;
    for (unsigned i = MESH_OWN_PORTS; i < PORTS; i++)
        out->members += m->port[i].kind == MEMBER && m->port[i].named;
}

void mesh_describe(const struct mesh *m, JsonObject *into)
{
    struct mesh_counts c;
    mesh_count(m, &c);
    json_object_set_int_member(into, "members", c.members);
    json_object_set_int_member(into, "to-members", (gint64)c.sent);
    json_object_set_int_member(into, "from-members", (gint64)c.received);
    json_object_set_int_member(into, "members-full", (gint64)c.full);
    json_object_set_int_member(into, "broken", (gint64)c.broken);
}
