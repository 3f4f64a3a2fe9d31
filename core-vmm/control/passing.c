// SPDX-License-Identifier: GPL-2.0-or-later
/* passing.c - descriptors under way to a client.
 *
 * They weigh more than their message: one that was sent keeps its memory while it lies unread in the socket, where we
 * cannot see it.  The kernel tells how much of what we sent is unread, so descriptors count as under way until nothing is. */
#include "core-vmm/control/serving.h"
#include <errno.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#define PASSING_MAX  2                     /* messages with descriptors under way, per client */
#define PICTURES_MAX (128 << 20)           /* bytes of copied pictures under way, in all; one is always allowed */
#define PASSING_US   (10 * G_USEC_PER_SEC) /* then what lies unread is taken back */

/* What the client has not read of what we sent, in bytes of the kernel's; -1: not known here. */
static int64_t unread(const struct connection *n)
{
    uint32_t info[SK_MEMINFO_VARS];
    socklen_t size = sizeof info;
    if (getsockopt(n->wire.fd, SOL_SOCKET, SO_MEMINFO, info, &size) || size <= SK_MEMINFO_WMEM_ALLOC * sizeof *info)
        return -1;
    return info[SK_MEMINFO_WMEM_ALLOC];
}

static void passing_done(struct connection *n)
{
    n->passing = 0;
    n->picture = 0;
    if (n->picture_fd >= 0)
        close(n->picture_fd);
    n->picture_fd = -1;
}

/* Nothing that we passed is unread any more. */
bool connection_all_read(struct connection *n)
{
    if (n->passing && !n->wire.out.length && unread(n) <= 0)
        passing_done(n);
    return !n->passing;
}

/* The memory is the picture's, not the client's: who comes so late finds it empty. */
void connection_take_back(struct connection *n)
{
    if (!connection_all_read(n) && n->picture_fd >= 0 && ftruncate(n->picture_fd, 0))
        g_warning("control: a picture cannot be taken back: %s", g_strerror(errno));
    passing_done(n);
}

bool connection_late(const struct connection *n)
{
    return g_get_monotonic_time() - n->passed > PASSING_US;
}

bool connection_drop_late(struct connection *n)
{
    if (connection_late(n))
        connection_drop(n, "did not read what it asked for");
    return n->closing;
}

bool connection_may_pass(struct connection *n)
{
    return connection_all_read(n) || n->passing < PASSING_MAX;
}

static size_t pictures_under_way(struct server *s)
{
    size_t all = 0;
    for (unsigned i = 0; i < s->connections->len; i++) {
        struct connection *n = s->connections->pdata[i];
        if (n->picture && !connection_all_read(n) && !connection_drop_late(n))
            all += n->picture;
    }
    return all;
}

bool call_may_picture(struct call *c, size_t bytes)
{
    size_t others = pictures_under_way(c->connection->server);
    return !others || others + bytes <= PICTURES_MAX;
}
