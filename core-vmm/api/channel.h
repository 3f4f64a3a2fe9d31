// SPDX-License-Identifier: GPL-2.0-or-later
/* channel.h - messages between a service of the host and a program in the guest.  A device carries them (a backdoor port, a
 * paravirtual console); services are found by name.  The guest is hostile: messages are bounded in size, and so is what waits
 * each way. */
#pragma once
#include "core-vmm/api/device.h"

/* Bytes that may wait each way, per channel; a message takes some more than it has. */
#define CHANNEL_WAITING (1u << 20)

/* ---- the device; its lock is held ---- */
struct channel;
struct channel_carrier {                          /* loop thread */
    void (*waiting)(struct device *d, void *tag); /* there is something for channel_take() */
};
/* The guest opens a channel to the service of that name; NULL: there is none, or too many channels.  tag: the device's. */
struct channel *channel_open(struct device *d, const char *service, const struct channel_carrier *carrier, void *tag);
bool channel_from_guest(struct channel *c, const void *data,
                        size_t bytes);   /* false: too large, or too much waits; dropped */
GBytes *channel_take(struct channel *c); /* the next message for the guest (g_bytes_unref), or NULL */
void channel_close(struct channel *c);   /* by the guest, by reset, in fini: forget c */
/* A question without a channel, answered by the service of that name: at once, or later, when *ticket is a number to ask for the
 * answer with.  NULL and no ticket: there is no such service, or it was too long. */
GBytes *channel_ask(struct device *d, const char *service, const void *data, size_t bytes, uint64_t *ticket);
GBytes *channel_answered(struct device *d, const char *service, uint64_t ticket, int ms); /* NULL: not yet, after ms */
void channel_forget(struct device *d, const char *service, uint64_t ticket); /* nobody will ask for that answer */

/* ---- the service; loop thread, no device lock held ---- */
struct channel_service {
    const char *name;
    size_t most;                                   /* bytes of a message from the guest */
    void *(*opened)(void *ctx, struct channel *c); /* returns what the other two get; c is valid until closed() */
    void (*message)(void *talk, const void *data, size_t bytes);
    void (*closed)(void *talk);
    void *ctx;
    /* Of channel_ask() and its like: on a vCPU's thread with the device's lock held, so they may take leaf locks only, and wait
     * no longer than they are told to.  The last two where answers may come later. */
    GBytes *(*answer)(void *ctx, const void *data, size_t bytes, uint64_t *ticket);
    GBytes *(*answered)(void *ctx, uint64_t ticket, int ms);
    void (*forget)(void *ctx, uint64_t ticket);
};
void channel_offer(struct machine *m, const struct channel_service *s); /* before machine_start(); *s stays valid */
bool channel_send(struct channel *c, const void *data, size_t bytes);   /* to the guest; false: too much waits */
