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
/* A question without a channel, answered at once by the service of that name; NULL: there is none, or it was too long. */
GBytes *channel_ask(struct device *d, const char *service, const void *data, size_t bytes);

/* ---- the service; loop thread, no device lock held ---- */
struct channel_service {
    const char *name;
    size_t most;                                   /* bytes of a message from the guest */
    void *(*opened)(void *ctx, struct channel *c); /* returns what the other two get; c is valid until closed() */
    void (*message)(void *talk, const void *data, size_t bytes);
    void (*closed)(void *talk);
    void *ctx;
    /* Answers channel_ask(): on a vCPU's thread with the device's lock held, so it may take leaf locks only and must not wait. */
    GBytes *(*answer)(void *ctx, const void *data, size_t bytes);
};
void channel_offer(struct machine *m, const struct channel_service *s); /* before machine_start(); *s stays valid */
bool channel_send(struct channel *c, const void *data, size_t bytes);   /* to the guest; false: too much waits */
