// SPDX-License-Identifier: GPL-2.0-or-later
/* tapped.c - see tapped.h. */
#include "network-modes/tapped.h"
#include <gio/gio.h>

static void on_frame(void *ctx, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    struct tapped *t = ctx;
    t->frame(t->ctx, frame, bytes, left);
}

/* The guest sees that the cable is out; a new interface is made by the next start of the machine. */
static void on_gone(void *ctx)
{
    struct tapped *t = ctx;
    g_warning("%s: the host's interface that it was plugged into has gone", port_card(t->port));
    port_link(t->port, false);
}

bool tapped_start(struct tapped *t, GError **error)
{
    const struct tap_end end = {on_frame, on_gone, t};
    int fd = port_fd(t->port, "tap");
    if (fd >= 0) {
        t->tap = tap_open(fd, &end, error);
        return t->tap != NULL;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED,
                "the host's interface for it is made when the machine is started: stop it and start it again");
    return false;
}

void tapped_stop(struct tapped *t)
{
    tap_close(t->tap);
}

void tapped_describe(const struct tapped *t, JsonObject *into)
{
    struct tap_counts c;
    tap_count(t->tap, &c);
    json_object_set_int_member(into, "host-full", (gint64)c.full);
    json_object_set_int_member(into, "broken", (gint64)c.broken);
}
