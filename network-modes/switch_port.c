// SPDX-License-Identifier: GPL-2.0-or-later
/* switch_port.c - see switch_port.h. */
#include "network-modes/switch_port.h"
#include "network-modes/capture.h"
#include "network-modes/mac_table.h"
#include "network-modes/mode.h"
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

enum {
    WAITING_MOST = 8 << 20, /* bytes each way */
    ALSO_OWN = 8,           /* addresses that the guest sends from beside its card's */
};

struct waiting {
    int64_t at;
    size_t bytes;
    struct net_offload left;
    uint8_t room[MODE_ROOM], frame[];
};
struct way {
    struct switch_port *port;
    void (*on)(struct switch_port *p, const void *frame, size_t bytes, const struct net_offload *left);
    struct shaper shaper;
    GQueue waits; /* of struct waiting, in the order of their times */
    size_t bytes;
    GSource *timer;
};
struct switch_port {
    struct port_sides sides;
    struct port_settings set;
    struct way from_card, to_card;
    uint8_t also[ALSO_OWN][MAC_BYTES];
    unsigned also_next;
    struct port_counts counts;
    struct capture *capture;
};

static void capture(struct switch_port *p, bool to_guest, const void *frame, size_t bytes,
                    const struct net_offload *left)
{
    if (p->capture)
        capture_frame(p->capture, to_guest, frame, bytes, left);
}

static void on_to_mode(struct switch_port *p, const void *frame, size_t bytes, const struct net_offload *left)
{
    p->sides.to_mode(p->sides.ctx, (void *)frame, bytes, left); /* it came from the card as one to be changed */
}

static void on_to_card(struct switch_port *p, const void *frame, size_t bytes, const struct net_offload *left)
{
    capture(p, true, frame, bytes, left);
    p->sides.to_card(p->sides.ctx, frame, bytes, left);
}

/* ---- waiting ---- */

static void set_timer(struct way *w)
{
    struct waiting *first = g_queue_peek_head(&w->waits);
    g_source_set_ready_time(w->timer, first ? first->at : -1);
}

static gboolean on_time(gpointer data)
{
    struct way *w = data;
    gint64 now = g_get_monotonic_time();
    struct waiting *first;
    while ((first = g_queue_peek_head(&w->waits)) && first->at <= now) {
        g_queue_pop_head(&w->waits);
        w->bytes -= first->bytes;
        w->on(w->port, first->frame, first->bytes, &first->left);
        g_free(first);
    }
    set_timer(w);
    return G_SOURCE_CONTINUE;
}

static gboolean dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    return fn(data);
}

static void way_open(struct way *w, struct switch_port *p,
                     void (*on)(struct switch_port *, const void *, size_t, const struct net_offload *))
{
    static GSourceFuncs funcs = {.dispatch = dispatch};
    w->port = p;
    w->on = on;
    g_queue_init(&w->waits);
    w->timer = g_source_new(&funcs, sizeof(GSource));
    g_source_set_callback(w->timer, on_time, w, NULL);
    g_source_attach(w->timer, g_main_context_get_thread_default());
}

static void way_clear(struct way *w)
{
    g_queue_clear_full(&w->waits, g_free);
    w->bytes = 0;
    set_timer(w);
}

static void way_close(struct way *w)
{
    way_clear(w);
    g_source_destroy(w->timer);
    g_source_unref(w->timer);
}

static bool wait_for(struct way *w, int64_t at, const void *frame, size_t bytes, const struct net_offload *left)
{
    if (w->bytes + bytes > WAITING_MOST)
        return false;
    struct waiting *one = g_malloc(sizeof *one + bytes);
    *one = (struct waiting){.at = at, .bytes = bytes, .left = *left};
    memcpy(one->frame, frame, bytes);
    g_queue_push_tail(&w->waits, one);
    w->bytes += bytes;
    if (w->waits.length == 1)
        set_timer(w);
    return true;
}

static void pass(struct way *w, const void *frame, size_t bytes, const struct net_offload *left)
{
    static const struct net_offload none;
    struct port_counts *c = &w->port->counts;
    gint64 now = g_get_monotonic_time(), at = now;
    enum shaped how = shaper_pass(&w->shaper, now, bytes, &at);
    left = left ? left : &none;
    if (how == SHAPED_LOST)
        c->lost++;
    else if (how == SHAPED_FULL)
        c->full++;
    else if (at <= now && !w->waits.length)
        w->on(w->port, frame, bytes, left);
    else
        c->full += !wait_for(w, at, frame, bytes, left);
}

/* ---- addresses ---- */

static bool is_own(const struct switch_port *p, const uint8_t *address)
{
    bool own = !memcmp(address, p->set.mac, MAC_BYTES);
    for (unsigned i = 0; i < ALSO_OWN && p->set.spoof && !own; i++)
        own = !memcmp(address, p->also[i], MAC_BYTES);
    return own;
}

/* Whoever may send from an address may also be answered. */
static void also_own(struct switch_port *p, const uint8_t *address)
{
    if (!is_own(p, address))
        memcpy(p->also[p->also_next++ % ALSO_OWN], address, MAC_BYTES);
}

void switch_port_from_card(struct switch_port *p, void *frame, size_t bytes, const struct net_offload *left)
{
    const uint8_t *source = (const uint8_t *)frame + MAC_BYTES;
    capture(p, false, frame, bytes, left);
    if (!p->set.spoof && memcmp(source, p->set.mac, MAC_BYTES)) {
        p->counts.spoofed++;
        return;
    }
    also_own(p, source);
    pass(&p->from_card, frame, bytes, left);
}

void switch_port_from_mode(struct switch_port *p, const void *frame, size_t bytes, const struct net_offload *left)
{
    if (p->set.promiscuous || mac_is_group(frame) || is_own(p, frame))
        pass(&p->to_card, frame, bytes, left);
    else
        p->counts.foreign++;
}

/* ---- settings ---- */

struct switch_port *switch_port_new(const struct port_sides *sides)
{
    struct switch_port *p = g_new0(struct switch_port, 1);
    p->sides = *sides;
    p->set.promiscuous = p->set.spoof = true;
    way_open(&p->from_card, p, on_to_mode);
    way_open(&p->to_card, p, on_to_card);
    return p;
}

void switch_port_free(struct switch_port *p)
{
    if (!p)
        return;
    way_close(&p->from_card);
    way_close(&p->to_card);
    switch_port_capture_stop(p);
    g_free(p);
}

void switch_port_set(struct switch_port *p, const struct port_settings *set, struct port_group *group)
{
    struct shaper_settings back = set->shape;
    back.seed ^= UINT64_C(1) << 63; /* the two ways lose other frames */
    p->set = *set;
    memset(p->also, 0, sizeof p->also);
    shaper_set(&p->from_card.shaper, &set->shape, group ? &group->from_card : NULL);
    shaper_set(&p->to_card.shaper, &back, group ? &group->to_card : NULL);
}

void switch_port_count(const struct switch_port *p, struct port_counts *out)
{
    *out = p->counts;
}

void switch_port_drop(struct switch_port *p)
{
    way_clear(&p->from_card);
    way_clear(&p->to_card);
}

bool switch_port_capture(struct switch_port *p, int fd, const char *name, GError **error)
{
    if (p->capture) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, "%s is being captured already: stop that capture first", name);
        close(fd);
        return false;
    }
    p->capture = capture_start(fd, name, error);
    return p->capture != NULL;
}

void switch_port_capture_stop(struct switch_port *p)
{
    if (p->capture)
        capture_stop(p->capture);
    p->capture = NULL;
}

bool switch_port_captures(const struct switch_port *p, uint64_t *frames, uint64_t *missed)
{
    if (p->capture)
        capture_count(p->capture, frames, missed);
    return p->capture != NULL;
}
