// SPDX-License-Identifier: GPL-2.0-or-later
/* live.c - see live.h.
 *
 * Pictures are asked for and not watched: a VM process whose display is watched looks at it 60 times a second, idle or not. */
#include "gui/manager/live.h"
#include "core-vmm/control/answer.h"
#include "gui/manager/picture.h"
#include <glib/gi18n.h>
#include <string.h>

enum {
    RETRY_MS = 150,
    RETRY_SLOW_MS = 5000,
    RETRIES = 30,           /* quick ones */
    ANSWER_MS = 10000,      /* who answers nothing for so long hangs */
    PING_MS = 10000,        /* after an answer */
    PICTURE_FIRST_MS = 400, /* after it is wanted */
    PICTURE_MIN_MS = 2000,  /* while it changes */
    PICTURE_MAX_MS = 32000, /* while it does not */
};

struct live {
    char *name;
    struct live_calls calls;
    struct client *client; /* NULL: not connected */
    guint retry, picture;  /* sources; 0: none */
    guint watch;           /* the same: the next ping's, or of an answer that is due */
    unsigned tries, period_ms;
    bool wanted, asked, has_display, silent;
    guint64 shown; /* a sum of the last picture */
};

/* ---- whether it answers ----
 *
 * The host takes connections for a process that stands still, so only answers say that it does not. */

static void on_pong(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error);

static void set_silent(struct live *l, bool silent)
{
    if (l->silent == silent)
        return;
    l->silent = silent;
    l->calls.silent(l->calls.ctx, silent);
}

static void stop_watch(struct live *l)
{
    if (l->watch)
        g_source_remove(l->watch);
    l->watch = 0;
}

static gboolean on_late(gpointer live)
{
    struct live *l = live;
    l->watch = 0; /* what was asked is answered when it goes on */
    set_silent(l, true);
    return G_SOURCE_REMOVE;
}

static void ask(struct live *l, const char *command, client_reply fn)
{
    stop_watch(l);
    l->watch = g_timeout_add(ANSWER_MS, on_late, l);
    client_send(l->client, command, NULL, fn, l);
}

static gboolean on_ping_time(gpointer live)
{
    struct live *l = live;
    l->watch = 0;
    ask(l, "media.list", on_pong); /* it costs little */
    return G_SOURCE_REMOVE;
}

static void answered(struct live *l)
{
    stop_watch(l);
    l->watch = g_timeout_add(PING_MS, on_ping_time, l);
    set_silent(l, false);
}

/* ---- pictures ---- */

static gboolean on_picture_time(gpointer live);

static void picture_in(struct live *l, unsigned ms)
{
    if (l->picture)
        g_source_remove(l->picture);
    l->picture = g_timeout_add(ms, on_picture_time, l);
}

static void on_shot(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    struct live *l = ctx;
    struct answer_picture p;
    g_autofree uint32_t *pixels = error || !fd_count ? NULL : answer_picture(result, fds[0], &p, NULL);
    l->asked = false;
    guint64 sum = pixels ? picture_sum(pixels, p.width, p.height, p.stride) : 0;
    bool same = sum == l->shown;
    l->shown = sum;
    l->period_ms = same ? MIN(l->period_ms * 2, PICTURE_MAX_MS) : PICTURE_MIN_MS;
    if (pixels && !same) {
        g_autoptr(GdkTexture) texture = picture_small(pixels, p.width, p.height, p.stride);
        l->calls.picture(l->calls.ctx, texture);
    }
    if (l->wanted)
        picture_in(l, l->period_ms);
}

static gboolean on_picture_time(gpointer live)
{
    struct live *l = live;
    l->picture = 0;
    if (l->client && l->has_display && l->wanted && !l->asked) {
        l->asked = true;
        client_send(l->client, "screen.shot", NULL, on_shot, l);
    }
    return G_SOURCE_REMOVE;
}

void live_want_pictures(struct live *l, bool wanted)
{
    if (l->wanted == wanted)
        return;
    l->wanted = wanted;
    l->period_ms = PICTURE_MIN_MS;
    if (wanted)
        picture_in(l, PICTURE_FIRST_MS);
    else if (l->picture)
        g_source_remove(l->picture), l->picture = 0;
}

/* ---- what it says ---- */

static void on_info(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    struct live *l = ctx;
    if (error)
        return;
    answered(l);
    bool first = !l->has_display;
    l->has_display = answer_flag(result, "has-display");
    l->calls.info(l->calls.ctx, result);
    l->calls.state(l->calls.ctx, answer_text(result, "state", "running"), NULL);
    if (first && l->wanted)
        picture_in(l, PICTURE_FIRST_MS);
}

static void ask_info(struct live *l)
{
    ask(l, "info", on_info);
}

static void on_pong(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    struct live *l = ctx;
    bool was_silent = l->silent;
    if (g_error_matches(error, CONTROL_ERROR, CONTROL_CLOSED))
        return;
    answered(l);
    if (was_silent)
        ask_info(l);
}

static void on_event(void *ctx, const char *event, JsonObject *data, int *fds, unsigned fd_count)
{
    struct live *l = ctx;
    if (!strcmp(event, "state"))
        l->calls.state(l->calls.ctx, answer_text(data, "state", "?"), answer_text(data, "message", NULL));
    else if (!strcmp(event, "media"))
        ask_info(l);
    else if (!strcmp(event, "disk-full"))
        l->calls.full(l->calls.ctx, answer_flag(data, "full"), answer_text(data, "message", NULL));
}

static void connect_in(struct live *l, unsigned ms);

static void on_closed(void *ctx, const GError *error)
{
    struct live *l = ctx;
    g_clear_pointer(&l->client, client_free);
    stop_watch(l);
    l->asked = l->has_display = false;
    l->tries = 0;
    connect_in(l, RETRY_MS); /* perhaps it only threw us out; if it has gone, the watch says so */
}

/* ---- connecting ---- */

static gboolean try_connect(gpointer live)
{
    struct live *l = live;
    l->retry = 0;
    l->client = client_connect_now(l->name, NULL);
    if (!l->client) {
        bool slow = ++l->tries > RETRIES;
        if (slow)
            set_silent(l, true);
        connect_in(l, slow ? RETRY_SLOW_MS : RETRY_MS);
        return G_SOURCE_REMOVE;
    }
    client_attach(l->client, NULL, on_event, on_closed, l);
    ask_info(l);
    return G_SOURCE_REMOVE;
}

static void connect_in(struct live *l, unsigned ms)
{
    l->retry = g_timeout_add(ms, try_connect, l);
}

struct live *live_new(const char *name, const struct live_calls *calls)
{
    struct live *l = g_new0(struct live, 1);
    l->name = g_strdup(name);
    l->calls = *calls;
    l->period_ms = PICTURE_MIN_MS;
    connect_in(l, 0);
    return l;
}

void live_free(struct live *l)
{
    if (!l)
        return;
    if (l->retry)
        g_source_remove(l->retry);
    if (l->picture)
        g_source_remove(l->picture);
    stop_watch(l);
    client_free(l->client);
    g_free(l->name);
    g_free(l);
}

static void on_reply(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    struct live *l = ctx;
    if (error && !g_error_matches(error, CONTROL_ERROR, CONTROL_CLOSED))
        l->calls.failed(l->calls.ctx, error->message);
}

void live_send(struct live *l, const char *command, JsonObject *args)
{
    if (l->client && !l->silent) {
        client_send(l->client, command, args, on_reply, l);
        return;
    }
    if (args)
        json_object_unref(args);
    l->calls.failed(l->calls.ctx, _("The machine's process does not answer. Force Off ends it."));
}
