// SPDX-License-Identifier: GPL-2.0-or-later
/* machine.c - the VM's control socket: its picture for the viewers, their keys and pointers for it.
 *
 * Movements are added up while the VM process has not answered to the one before, so that none of them waits behind others. */
#include "core-vmm/api/input.h"
#include "core-vmm/control/answer.h"
#include "gui/vnc/vnc.h"
#include <string.h>

enum { BUSY = 128, MOVE_MOST = 16384, WHEEL_UP = 1 << 3, WHEEL_DOWN = 1 << 4 };

struct machine_link {
    struct vnc *vnc;
    struct client *client;
    bool watching, absolute;
    unsigned leds, unanswered;
    /* What was not sent yet. */
    bool moved, moving; /* moving: the last one is not answered */
    int dx, dy, x, y, wheel;
    unsigned buttons;
};

/* ---- what it says ---- */

static void on_mode(struct machine_link *m, JsonObject *data, const int *fds, unsigned count)
{
    struct picture *p = count && m->watching ? picture_new(data, fds[0]) : NULL;
    if (!p)
        return;
    picture_unref(m->vnc->picture);
    m->vnc->picture = p;
    gates_picture(m->vnc);
}

static void on_damage(struct machine_link *m, JsonObject *data)
{
    const struct picture *p = m->vnc->picture;
    if (!p)
        return;
    int x = answer_number(data, "x", 0, p->width, 0), y = answer_number(data, "y", 0, p->height, 0);
    int width = answer_number(data, "width", 0, p->width - x, p->width - x);
    int height = answer_number(data, "height", 0, p->height - y, p->height - y);
    if (width && height)
        gates_damage(m->vnc, x, y, width, height);
}

static void on_input(struct machine_link *m, JsonObject *data)
{
    unsigned leds = answer_number(data, "leds", 0, 7, 0);
    bool changed = leds != m->leds;
    m->absolute = answer_flag(data, "absolute-pointer");
    m->leds = leds;
    if (changed)
        gates_leds(m->vnc);
}

static void on_event(void *ctx, const char *event, JsonObject *data, int *fds, unsigned fd_count)
{
    struct machine_link *m = ctx;
    if (!strcmp(event, "display.mode"))
        on_mode(m, data, fds, fd_count);
    else if (!strcmp(event, "display.damage"))
        on_damage(m, data);
    else if (!strcmp(event, "input.mode"))
        on_input(m, data);
    else if (!strcmp(event, "state") && !strcmp(answer_text(data, "state", ""), "stopped"))
        vnc_end(m->vnc, 0);
}

/* One that is cut off although the machine goes on comes back with another process. */
static void on_closed(void *ctx, const GError *error)
{
    struct machine_link *m = ctx;
    if (error)
        g_warning("the VM process does not talk any more: %s", error->message);
    vnc_end(m->vnc, error ? 1 : 0);
}

static void on_watching(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    struct machine_link *m = ctx;
    if (!error) {
        on_input(m, result);
        return;
    }
    g_warning("there is no picture: %s", error->message);
    m->watching = false;
    gates_close(m->vnc, NULL);
}

/* ---- what it is told ---- */

static void on_answer(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    struct machine_link *m = ctx;
    if (--m->unanswered == BUSY / 2)
        gates_go_on(m->vnc);
}

static void send_command(struct machine_link *m, const char *command, JsonObject *args)
{
    m->unanswered++;
    client_send(m->client, command, args, on_answer, m);
}

bool machine_is_busy(const struct machine_link *m)
{
    return m->unanswered >= BUSY;
}

unsigned machine_leds_now(const struct machine_link *m)
{
    return m->leds;
}

void machine_watch_picture(struct machine_link *m, bool on)
{
    if (m->watching == on)
        return;
    m->watching = on;
    client_send(m->client, on ? "display.watch" : "display.unwatch", NULL, on ? on_watching : NULL, m);
    if (!on)
        g_clear_pointer(&m->vnc->picture, picture_unref);
}

void machine_press(struct machine_link *m, unsigned code, bool down)
{
    JsonObject *args = json_object_new();
    json_object_set_int_member(args, "code", code);
    json_object_set_boolean_member(args, "down", down);
    send_command(m, "input.key", args);
}

static void send_pointer(struct machine_link *m);

static void on_moved(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    struct machine_link *m = ctx;
    m->moving = false;
    if (m->moved)
        send_pointer(m);
    on_answer(ctx, result, fds, fd_count, error);
}

static void send_pointer(struct machine_link *m)
{
    JsonObject *args = json_object_new();
    json_object_set_int_member(args, m->absolute ? "x" : "dx",
                               m->absolute ? m->x : CLAMP(m->dx, -MOVE_MOST, MOVE_MOST));
    json_object_set_int_member(args, m->absolute ? "y" : "dy",
                               m->absolute ? m->y : CLAMP(m->dy, -MOVE_MOST, MOVE_MOST));
    json_object_set_int_member(args, "wheel", CLAMP(m->wheel, -100, 100));
    json_object_set_int_member(args, "buttons", m->buttons);
    m->dx = m->dy = m->wheel = 0;
    m->moved = false;
    m->moving = true;
    m->unanswered++;
    client_send(m->client, m->absolute ? "input.pointer-absolute" : "input.pointer", args, on_moved, m);
}

static unsigned buttons_of(unsigned rfb)
{
    return (rfb & 1 ? POINTER_LEFT : 0) | (rfb & 2 ? POINTER_MIDDLE : 0) | (rfb & 4 ? POINTER_RIGHT : 0);
}

static int part_of(int at, int length)
{
    return length > 1 ? CLAMP((int64_t)at * 65535 / (length - 1), 0, 65535) : 0;
}

void machine_point(struct machine_link *m, struct pointer *last, int x, int y, unsigned buttons)
{
    const struct picture *p = m->vnc->picture;
    unsigned pressed = buttons & ~last->buttons, now = buttons_of(buttons);
    bool clicked = now != m->buttons || pressed & (WHEEL_UP | WHEEL_DOWN);
    m->wheel += (pressed & WHEEL_DOWN ? 1 : 0) - (pressed & WHEEL_UP ? 1 : 0);
    m->dx += last->known ? x - last->x : 0;
    m->dy += last->known ? y - last->y : 0;
    m->x = p ? part_of(x, p->width) : 0;
    m->y = p ? part_of(y, p->height) : 0;
    m->moved = true;
    m->buttons = now;
    *last = (struct pointer){x, y, buttons, true};
    if (clicked || !m->moving)
        send_pointer(m);
}

void machine_point_release(struct machine_link *m, struct pointer *last)
{
    if (last->known && buttons_of(last->buttons))
        machine_point(m, last, last->x, last->y, 0);
}

void machine_xvp(struct machine_link *m, unsigned code)
{
    JsonObject *args = NULL;
    switch (code) {
    case rfbXvp_Shutdown: send_command(m, "powerbutton", NULL); break;
    case rfbXvp_Reboot:
        args = json_object_new();
        json_object_set_string_member(args, "keys", "ctrl+alt+delete");
        send_command(m, "input.keys", args);
        break;
    case rfbXvp_Reset: send_command(m, "reset", NULL); break;
    default: break;
    }
}

/* ---- */

struct machine_link *machine_link_new(struct vnc *v, struct client *c)
{
    struct machine_link *m = g_new0(struct machine_link, 1);
    m->vnc = v;
    m->client = c;
    client_attach(c, NULL, on_event, on_closed, m);
    return m;
}

void machine_link_free(struct machine_link *m)
{
    client_free(m->client);
    g_free(m);
}
