// SPDX-License-Identifier: GPL-2.0-or-later
/* A client watches the display: it gets the picture's memory once per mode, and then boxes to redraw.  Boxes are merged
 * while the client has not read what was sent before. */
#include "core-vmm/machine/display.h"
#include "core-vmm/control/commands.h"
#include <sys/mman.h>
#include <unistd.h>

#define INPUT_POLL_MS 200
#define WATCH         "display.watch"
#define WATCHERS_MAX  8 /* each may hold a picture that is the guest's no longer */

struct watch {
    struct connection *connection;
    struct display *display;
    struct display_sink sink;
    uint32_t left, top, right, bottom; /* damage not told yet; right == 0: none */
    bool absolute, sets_size;
    unsigned leds;
    guint poll;
    bool stale; /* the client had not read earlier descriptors when there was a new mode or cursor */
};

/* A client that does not read gets what there is when it does. */
static bool may_pass(struct watch *w)
{
    w->stale |= !connection_may_pass(w->connection);
    return !w->stale;
}

static void on_mode(void *ctx, const struct surface *s)
{
    struct watch *w = ctx;
    if (!may_pass(w))
        return;
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "width", s->width);
    json_object_set_int_member(o, "height", s->height);
    json_object_set_int_member(o, "stride", s->stride);
    json_object_set_int_member(o, "generation", s->generation);
    w->right = 0;
    w->stale = !connection_event(w->connection, "display.mode", o, s->fd);
}

static void send_damage(void *ctx)
{
    struct watch *w = ctx;
    if (!w->right)
        return;
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "x", w->left);
    json_object_set_int_member(o, "y", w->top);
    json_object_set_int_member(o, "width", w->right - w->left);
    json_object_set_int_member(o, "height", w->bottom - w->top);
    w->right = 0;
    connection_event(w->connection, "display.damage", o, -1);
}

static void on_damage(void *ctx, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
    struct watch *w = ctx;
    bool none = !w->right;
    if (w->stale)
        return;
    w->left = none ? x : MIN(w->left, x);
    w->top = none ? y : MIN(w->top, y);
    w->right = none ? x + width : MAX(w->right, x + width);
    w->bottom = none ? y + height : MAX(w->bottom, y + height);
    if (connection_idle(w->connection))
        send_damage(w);
    else
        connection_on_idle(w->connection, send_damage, w);
}

static void on_cursor(void *ctx, int hot_x, int hot_y, uint32_t width, uint32_t height, const uint32_t *argb)
{
    struct watch *w = ctx;
    if (!may_pass(w))
        return;
    size_t bytes = (size_t)width * height * 4;
    JsonObject *o = json_object_new();
    int fd = argb ? memfd_create("terrarium-cursor", MFD_CLOEXEC) : -1;
    bool visible = fd >= 0 && write(fd, argb, bytes) == (ssize_t)bytes;
    json_object_set_boolean_member(o, "visible", visible);
    if (visible) {
        json_object_set_int_member(o, "hot-x", hot_x);
        json_object_set_int_member(o, "hot-y", hot_y);
        json_object_set_int_member(o, "width", width);
        json_object_set_int_member(o, "height", height);
    }
    connection_event(w->connection, "display.cursor", o, visible ? fd : -1);
    if (fd >= 0)
        close(fd);
}

/* Whether the guest's input devices changed, or what it has to set sizes with. */
static bool look_at_input(struct watch *w)
{
    struct machine *m = connection_machine(w->connection);
    struct additions *a = connection_additions(w->connection);
    bool absolute = machine_takes_absolute(m), sets_size = a && additions_sets_sizes(a);
    unsigned leds = machine_leds(m);
    bool changed = absolute != w->absolute || leds != w->leds || sets_size != w->sets_size;
    w->absolute = absolute;
    w->sets_size = sets_size;
    w->leds = leds;
    return changed;
}

static JsonObject *describe_input(const struct watch *w)
{
    JsonObject *o = json_object_new();
    json_object_set_boolean_member(o, "absolute-pointer", w->absolute);
    json_object_set_int_member(o, "leds", w->leds);
    json_object_set_boolean_member(o, "sets-size", w->sets_size);
    return o;
}

static gboolean poll_input(gpointer data)
{
    struct watch *w = data;
    if (look_at_input(w))
        connection_event(w->connection, "input.mode", describe_input(w), -1);
    if (w->stale && connection_may_pass(w->connection)) {
        w->stale = false;
        display_unwatch(w->display, &w->sink);
        display_watch(w->display, &w->sink);
    }
    return G_SOURCE_CONTINUE;
}

static void watch_free(void *data)
{
    struct watch *w = data;
    connection_on_idle(w->connection, NULL, NULL);
    g_source_remove(w->poll);
    display_unwatch(w->display, &w->sink);
    g_free(w);
}

static void display_watch_begin(struct call *c)
{
    struct connection *n = call_connection(c);
    struct display *p = call_screen(c);
    if (!p)
        return;
    if (!connection_data(n, WATCH) && server_owning(call_server(c), WATCH) >= WATCHERS_MAX) {
        call_fail(c, CONTROL_BUSY, "%d clients watch the display already, which is the most", WATCHERS_MAX);
        return;
    }
    struct watch *w = g_new0(struct watch, 1);
    w->connection = n;
    w->display = p;
    w->sink = (struct display_sink){on_mode, on_damage, on_cursor, w};
    look_at_input(w);
    w->poll = g_timeout_add(INPUT_POLL_MS, poll_input, w);
    connection_set_data(n, WATCH, w, watch_free);
    call_reply(c, describe_input(w));
    display_watch(p, &w->sink);
}

static void display_watch_end(struct call *c)
{
    connection_set_data(call_connection(c), WATCH, NULL, NULL);
    call_reply(c, NULL);
}

const struct command display_commands[] = {
    {WATCH,
     {{"screen", PARAM_NUMBER, .high = MACHINE_SCREENS - 1}},
     .summary = "get the picture and what changes in it",
     .handler = display_watch_begin},
    {"display.unwatch", .summary = "no more of that", .handler = display_watch_end},
    {NULL},
};
