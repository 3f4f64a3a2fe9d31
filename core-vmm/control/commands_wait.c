// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands whose answer comes when something has happened.  A waiter lives until its call is answered or its client
 * goes; a machine that stops ends all waiting but that for "stopped". */
#include "core-vmm/machine/char_port.h"
#include "core-vmm/control/commands.h"
#include <string.h>

#define POLL_MS          200
#define GRAPHICS_SECONDS 30 /* of graphics, until nobody waits for text any more: boot menus and splashes pass */
#define FOR_EVER         1e9

struct waiter {
    struct call *call;
    guint timeout, poll;
    bool (*look)(struct waiter *w); /* polled; true: it is there, and the waiter gone */
    enum machine_state state;       /* wait.state */
    bool for_state;
    struct char_port *port; /* wait.serial */
    uint64_t offset;        /* output before this has been searched */
    char *text;             /* wait.serial, wait.screen */
    gint64 graphics_since;  /* 0: there is text */
};

static void on_state(void *ctx, const struct machine_event *e);
static void on_serial(void *ctx);

static void waiter_free(void *ctx)
{
    struct waiter *w = ctx;
    server_unlisten(call_server(w->call), on_state, w);
    if (w->port)
        char_unwatch(w->port, on_serial, w);
    if (w->timeout)
        g_source_remove(w->timeout);
    if (w->poll)
        g_source_remove(w->poll);
    g_free(w->text);
    g_free(w);
}

static struct call *waiter_done(struct waiter *w)
{
    struct call *c = w->call;
    waiter_free(w);
    return c;
}

static gboolean on_timeout(gpointer ctx)
{
    struct waiter *w = ctx;
    bool graphics = w->graphics_since;
    w->timeout = 0;
    call_fail(waiter_done(w), CONTROL_TIMEOUT, "it did not happen in time%s%s", graphics ? ": " : "",
              graphics ? NO_TEXT : "");
    return G_SOURCE_REMOVE;
}

static struct waiter *waiter_new(struct call *c)
{
    struct waiter *w = g_new0(struct waiter, 1);
    double seconds = call_seconds(c, "timeout", FOR_EVER);
    w->call = c;
    w->text = g_strdup(call_text(c, "text", NULL));
    if (seconds < FOR_EVER)
        w->timeout = g_timeout_add((guint)MIN(seconds * 1000, G_MAXINT), on_timeout, w);
    server_listen(call_server(c), on_state, w);
    call_on_cancel(c, waiter_free, w);
    return w;
}

static gboolean look_again(gpointer ctx)
{
    struct waiter *w = ctx;
    guint poll = w->poll;
    w->poll = 0;
    if (w->look(w))
        return G_SOURCE_REMOVE;
    w->poll = poll;
    return G_SOURCE_CONTINUE;
}

static void look_until(struct waiter *w, bool (*look)(struct waiter *w))
{
    w->look = look;
    if (!look(w))
        w->poll = g_timeout_add(POLL_MS, look_again, w);
}

/* ---- state ---- */

static void reached(struct waiter *w, enum machine_state state)
{
    JsonObject *r = json_object_new();
    json_object_set_string_member(r, "state", state_name(state));
    call_reply(waiter_done(w), r);
}

static void on_state(void *ctx, const struct machine_event *e)
{
    struct waiter *w = ctx;
    if (w->for_state && w->state == e->state)
        reached(w, e->state);
    else if (e->state == MACHINE_STOPPED)
        call_fail(waiter_done(w), CONTROL_WRONG_STATE, "the machine stopped while it was waited for (%s)",
                  end_name(e->end));
}

static void wait_state(struct call *c)
{
    struct machine *m = call_machine(c);
    const char *name = call_text(c, "state", "");
    for (enum machine_state s = MACHINE_STOPPED; s <= MACHINE_PAUSED; s++) {
        if (strcmp(state_name(s), name))
            continue;
        struct waiter *w = waiter_new(c);
        w->for_state = true;
        w->state = s;
        if (machine_state(m) == s)
            reached(w, s);
        return;
    }
    call_fail(c, CONTROL_USAGE, "a machine is running, paused or stopped, but never \"%s\"", name);
}

/* ---- serial ---- */

static bool search_serial(struct waiter *w)
{
    uint64_t start, overlap = strlen(w->text) - 1;
    g_autoptr(GBytes) bytes = char_tail(w->port, w->offset - MIN(w->offset, overlap), &start);
    gsize n;
    const char *data = g_bytes_get_data(bytes, &n), *found = memmem(data, n, w->text, strlen(w->text));
    w->offset = start + n;
    if (!found)
        return false;
    JsonObject *r = json_object_new();
    json_object_set_int_member(r, "offset", start + (found - data) + strlen(w->text));
    call_reply(waiter_done(w), r);
    return true;
}

static void on_serial(void *ctx)
{
    search_serial(ctx);
}

/* The text that was asked for; NULL: the call has failed. */
static const char *wanted_text(struct call *c)
{
    const char *text = call_text(c, "text", "");
    if (*text)
        return text;
    call_fail(c, CONTROL_USAGE, "text must not be empty");
    return NULL;
}

static void wait_serial(struct call *c)
{
    struct char_port *p = wanted_text(c) ? call_serial(c) : NULL;
    if (!p)
        return;
    struct waiter *w = waiter_new(c);
    w->port = p;
    w->offset = call_flag(c, "new") ? char_written(p) : 0;
    char_watch(p, on_serial, w);
    search_serial(w);
}

/* ---- screen ---- */

static bool gives_up(struct waiter *w)
{
    gint64 now = g_get_monotonic_time();
    w->graphics_since = w->graphics_since ? w->graphics_since : now;
    if (now - w->graphics_since < GRAPHICS_SECONDS * G_USEC_PER_SEC)
        return false;
    call_fail(waiter_done(w), CONTROL_WRONG_STATE, NO_TEXT);
    return true;
}

static bool search_screen(struct waiter *w)
{
    g_autofree char *screen = screen_read_text(call_machine(w->call), NULL);
    if (!screen)
        return gives_up(w);
    w->graphics_since = 0;
    if (!strstr(screen, w->text))
        return false;
    call_reply(waiter_done(w), NULL);
    return true;
}

static void wait_screen(struct call *c)
{
    if (!wanted_text(c))
        return;
    if (!machine_display(call_machine(c), 0)) {
        call_fail(c, CONTROL_UNSUPPORTED, "the machine has no graphics card");
        return;
    }
    look_until(waiter_new(c), search_screen);
}

/* ---- the guest's crash ---- */

static bool look_for_crash(struct waiter *w)
{
    struct machine_crash c;
    machine_crash_look(call_machine(w->call), &c);
    bool crashed = c.count;
    if (crashed)
        call_reply(waiter_done(w), crash_describe(&c));
    machine_crash_clear(&c);
    return crashed;
}

static void wait_crash(struct call *c)
{
    look_until(waiter_new(c), look_for_crash);
}

const struct command wait_commands[] = {
    {"wait.state",
     {{"state", PARAM_TEXT, true}, {"timeout", PARAM_SECONDS}},
     .summary = "until the machine is running, paused or stopped",
     .handler = wait_state},
    {"wait.serial",
     {{"device", PARAM_TEXT}, {"text", PARAM_TEXT, true}, {"new", PARAM_FLAG}, {"timeout", PARAM_SECONDS}},
     .summary = "until the guest has sent this text; new: counting from now",
     .handler = wait_serial},
    {"wait.screen",
     {{"text", PARAM_TEXT, true}, {"timeout", PARAM_SECONDS}},
     .summary = "until the text screen shows this",
     .handler = wait_screen},
    {"wait.crash",
     {{"timeout", PARAM_SECONDS}},
     .summary = "until the guest has told that it crashed, if it has not since the machine was started",
     .handler = wait_crash},
    {NULL},
};
