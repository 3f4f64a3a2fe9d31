// SPDX-License-Identifier: GPL-2.0-or-later
/* channel.c - see api/channel.h.  What the guest does (open, say, close) goes to the service through a mailbox; what the service
 * says waits in a queue until the device takes it.  A channel that the guest closed lives until the service has heard of it. */
#include "core-vmm/api/channel.h"
#include "core-vmm/machine/core.h"
#include "core-vmm/machine/mailbox.h"
#include <string.h>

enum { OPENED, MESSAGE, CLOSED }; /* the first byte of a block */
#define CHANNELS_MOST 256         /* with those whose service has not heard yet that they are closed */
#define MESSAGE_COST  64 /* what one takes beside its bytes: without it there would be no bound to empty ones */

struct channel {
    struct machine *machine;
    _Atomic(struct device *) device; /* NULL: the guest has closed it */
    const struct channel_carrier *carrier;
    void *tag;
    const struct channel_service *service;
    void *talk;
    struct mailbox *to_service;
    _Atomic size_t from_guest_waiting;
    GQueue to_guest; /* GBytes; with to_guest_waiting under the device's lock */
    size_t to_guest_waiting;
};

static void channel_free(struct channel *c)
{
    mailbox_free(c->to_service);
    g_queue_clear_full(&c->to_guest, (GDestroyNotify)g_bytes_unref);
    g_free(c);
}

static gboolean forget(gpointer data)
{
    struct channel *c = data;
    g_mutex_lock(&c->machine->channels_lock);
    g_ptr_array_remove_fast(c->machine->channels, c);
    g_mutex_unlock(&c->machine->channels_lock);
    channel_free(c);
    return G_SOURCE_REMOVE;
}

static bool give_to_service(void *ctx, const void *data, size_t bytes)
{
    struct channel *c = ctx;
    const struct channel_service *s = c->service;
    const uint8_t *block = data;
    if (block[0] == OPENED) {
        c->talk = s->opened(s->ctx, c);
    } else if (block[0] == MESSAGE) {
        atomic_fetch_sub(&c->from_guest_waiting, bytes - 1 + MESSAGE_COST);
        s->message(c->talk, block + 1, bytes - 1);
    } else {
        s->closed(c->talk);
        g_idle_add_full(G_PRIORITY_DEFAULT, forget, c, NULL); /* not here: its mailbox is busy */
    }
    return true;
}

static void post(struct channel *c, uint8_t what, const void *data, size_t bytes)
{
    struct iovec iov[] = {{&what, 1}, {(void *)data, bytes}};
    mailbox_put(c->to_service, iov, bytes ? 2 : 1);
}

/* ---- the device's side ---- */

static const struct channel_service *service_named(struct machine *m, const char *name)
{
    for (unsigned i = 0; i < m->services->len; i++) {
        const struct channel_service *s = g_ptr_array_index(m->services, i);
        if (!strcmp(s->name, name))
            return s;
    }
    return NULL;
}

struct channel *channel_open(struct device *d, const char *service, const struct channel_carrier *carrier, void *tag)
{
    const struct channel_service *s = service_named(d->machine, service);
    g_mutex_lock(&d->machine->channels_lock);
    bool room = d->machine->channels->len < CHANNELS_MOST;
    g_mutex_unlock(&d->machine->channels_lock);
    if (!s || !s->opened || !room)
        return NULL;
    struct channel *c = g_new0(struct channel, 1);
    c->machine = d->machine;
    c->device = d;
    c->carrier = carrier;
    c->tag = tag;
    c->service = s;
    c->to_service = mailbox_new(give_to_service, c, SIZE_MAX); /* bounded by from_guest_waiting */
    g_queue_init(&c->to_guest);
    g_mutex_lock(&d->machine->channels_lock);
    g_ptr_array_add(d->machine->channels, c);
    g_mutex_unlock(&d->machine->channels_lock);
    post(c, OPENED, NULL, 0);
    return c;
}

bool channel_from_guest(struct channel *c, const void *data, size_t bytes)
{
    size_t waits = c->from_guest_waiting;
    if (bytes > c->service->most || waits + bytes + MESSAGE_COST > CHANNEL_WAITING)
        return false;
    atomic_fetch_add(&c->from_guest_waiting, bytes + MESSAGE_COST);
    post(c, MESSAGE, data, bytes);
    return true;
}

GBytes *channel_take(struct channel *c)
{
    GBytes *message = g_queue_pop_head(&c->to_guest);
    if (message)
        c->to_guest_waiting -= g_bytes_get_size(message);
    return message;
}

void channel_close(struct channel *c)
{
    atomic_store(&c->device, NULL);
    post(c, CLOSED, NULL, 0);
}

GBytes *channel_ask(struct device *d, const char *service, const void *data, size_t bytes, uint64_t *ticket)
{
    const struct channel_service *s = service_named(d->machine, service);
    *ticket = 0;
    return s && s->answer && bytes <= s->most ? s->answer(s->ctx, data, bytes, ticket) : NULL;
}

GBytes *channel_answered(struct device *d, const char *service, uint64_t ticket, int ms)
{
    const struct channel_service *s = service_named(d->machine, service);
    return s->answered(s->ctx, ticket, ms);
}

void channel_forget(struct device *d, const char *service, uint64_t ticket)
{
    const struct channel_service *s = service_named(d->machine, service);
    s->forget(s->ctx, ticket);
}

/* ---- the service's side ---- */

void channel_offer(struct machine *m, const struct channel_service *s)
{
    g_ptr_array_add(m->services, (gpointer)s);
}

/* A device goes on the loop thread only, so it is there as long as this runs. */
bool channel_send(struct channel *c, const void *data, size_t bytes)
{
    struct device *d = atomic_load(&c->device);
    bool sent = false;
    if (!d)
        return false;
    dev_lock(d);
    if (atomic_load(&c->device) && bytes <= CHANNEL_WAITING - c->to_guest_waiting) {
        g_queue_push_tail(&c->to_guest, g_bytes_new(data, bytes));
        c->to_guest_waiting += bytes;
        c->carrier->waiting(d, c->tag);
        sent = true;
    }
    dev_unlock(d);
    return sent;
}

/* ---- with the machine ---- */

void channels_init(struct machine *m)
{
    g_mutex_init(&m->channels_lock);
    m->channels = g_ptr_array_new();
    m->services = g_ptr_array_new();
}

void channels_free(struct machine *m)
{
    while (m->channels->len) {
        struct channel *c = g_ptr_array_index(m->channels, m->channels->len - 1);
        g_source_remove_by_user_data(c);
        g_ptr_array_remove(m->channels, c);
        channel_free(c);
    }
    g_ptr_array_unref(m->channels);
    g_ptr_array_unref(m->services);
    g_mutex_clear(&m->channels_lock);
}
