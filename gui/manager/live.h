// SPDX-License-Identifier: GPL-2.0-or-later
/* live.h - the manager's connection to one running VM: what it tells of itself, small pictures of its screen, and requests. */
#pragma once
#include "core-vmm/control/client.h"
#include <gdk/gdk.h>
#include <stdbool.h>

struct live;
/* From the default main context.  The connection may be freed in none of them. */
struct live_calls {
    void (*info)(void *ctx, JsonObject *info); /* its answer to "info", anew when something of it changed */
    void (*state)(void *ctx, const char *state,
                  const char *message); /* "running", "paused", "stopped"; message: may be NULL */
    void (*picture)(void *ctx, GdkTexture *picture);
    void (*full)(void *ctx, bool full, const char *message); /* the host's disk is, and it stands still; or no longer */
    void (*silent)(void *ctx, bool silent);                  /* nobody has answered for a while; or at last */
    void (*failed)(void *ctx, const char *message);          /* a request was refused */
    void *ctx;
};
/* Tries to connect until it succeeds or is freed. */
struct live *live_new(const char *name, const struct live_calls *calls);
void live_free(struct live *l);
/* Pictures come only while they are wanted: soon after, and then the more rarely the less changes. */
void live_want_pictures(struct live *l, bool wanted);
void live_send(struct live *l, const char *command, JsonObject *args); /* takes args */
