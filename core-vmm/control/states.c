// SPDX-License-Identifier: GPL-2.0-or-later
/* states.c - who hears of a machine's state: all clients, and handlers that wait for one. */
#include "core-vmm/control/serving.h"
#include <string.h>

#define RESET_US 100000

static int find_listener(struct server *s, const struct listener *l)
{
    for (unsigned i = 0; i < s->listeners->len; i++)
        if (!memcmp(&g_array_index(s->listeners, struct listener, i), l, sizeof *l))
            return i;
    return -1;
}

void server_listen(struct server *s, void (*fn)(void *ctx, const struct machine_event *e), void *ctx)
{
    struct listener l = {fn, ctx};
    g_array_append_val(s->listeners, l);
}

void server_unlisten(struct server *s, void (*fn)(void *ctx, const struct machine_event *e), void *ctx)
{
    int at = find_listener(s, &(struct listener){fn, ctx});
    if (at >= 0)
        g_array_remove_index_fast(s->listeners, at);
}

/* A guest may reset all the time. */
static void tell_reset(struct server *s)
{
    gint64 now = g_get_monotonic_time();
    if (s->reset_told && now - s->reset_told < RESET_US)
        return;
    s->reset_told = now;
    server_broadcast(s, "reset", json_object_new());
}

void server_state_changed(struct server *s, const struct machine_event *e)
{
    if (e->reset) {
        tell_reset(s);
        return;
    }
    g_autoptr(GArray) now = g_array_copy(s->listeners);
    server_broadcast(s, "state", state_describe(e));
    for (unsigned i = 0; i < now->len; i++) {
        struct listener l = g_array_index(now, struct listener, i);
        if (find_listener(s, &l) >= 0)
            l.fn(l.ctx, e);
    }
}
