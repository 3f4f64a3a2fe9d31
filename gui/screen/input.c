// SPDX-License-Identifier: GPL-2.0-or-later
/* input.c - keys and pointer of the window for the guest, and the capture of the pointer. */
#include "gui/screen/input.h"
#include "core-vmm/api/input.h"
#include "gui/screen/keymap.h"

static void send_key(struct input *in, unsigned code, bool down)
{
    JsonObject *args = json_object_new();

    json_object_set_int_member(args, "code", code);
    json_object_set_boolean_member(args, "down", down);
    link_send(in->link, "input.key", args);
    in->held[code] = down;
}

static void send_pointer(struct input *in)
{
    JsonObject *args = json_object_new();

    json_object_set_int_member(args, in->absolute ? "x" : "dx", in->absolute ? in->x : in->dx);
    json_object_set_int_member(args, in->absolute ? "y" : "dy", in->absolute ? in->y : in->dy);
    json_object_set_int_member(args, "wheel", in->wheel);
    json_object_set_int_member(args, "buttons", in->buttons);
    if (in->absolute)
        json_object_set_int_member(args, "screen", in->screen);
    link_send(in->link, in->absolute ? "input.pointer-absolute" : "input.pointer", args);
    in->dx = in->dy = in->wheel = 0;
    in->moved = false;
}

void input_flush(struct input *in)
{
    if (in->moved)
        send_pointer(in);
}

/* ---- capture ---- */

static void show_cursor(const struct input *in)
{
    bool guests = !in->shape && (in->captured || in->inside); /* the guest draws its own */

    SDL_ShowCursor(guests ? SDL_DISABLE : SDL_ENABLE);
}

void input_capture(struct input *in, bool on)
{
    in->captured = on;
    SDL_SetWindowKeyboardGrab(in->window, on);
    SDL_SetRelativeMouseMode(on && !in->absolute);
    show_cursor(in);
}

void input_absolute(struct input *in, bool on)
{
    if (in->absolute == on)
        return;
    in->absolute = on;
    in->dx = in->dy = in->wheel = 0;
    in->moved = in->inside = false;
    input_capture(in, in->captured);
}

void input_release_all(struct input *in)
{
    for (unsigned code = 0; code < KEY_CNT; code++)
        if (in->held[code])
            send_key(in, code, false);
    in->host_down = false;
    in->way_out = in->way_out_down = 0;
    if (in->buttons) {
        in->buttons = 0;
        send_pointer(in);
    }
}

void input_pause(struct input *in, bool paused)
{
    if (paused && !in->paused)
        input_release_all(in);
    in->paused = paused;
    in->dx = in->dy = in->wheel = 0;
    in->moved = false;
}

/* ---- keyboard ---- */

static SDL_Scancode host_combination(struct input *in, const SDL_KeyboardEvent *e)
{
    in->host_used = true;
    return e->repeat ? SDL_SCANCODE_UNKNOWN : e->keysym.scancode;
}

static void host_key(struct input *in, const SDL_KeyboardEvent *e)
{
    bool down = e->type == SDL_KEYDOWN;

    if (e->repeat)
        return;
    if (!down && in->host_down && !in->host_used) {
        input_release_all(in);
        input_capture(in, !in->captured);
    }
    in->host_down = down;
    in->host_used = false;
}

enum { WAY_OUT_CTRL = 1, WAY_OUT_ALT = 2, WAY_OUT = 3, WAY_OUT_SPOILT = 4 };

static unsigned way_out_key(SDL_Scancode key)
{
    return key == SDL_SCANCODE_LCTRL ? WAY_OUT_CTRL : key == SDL_SCANCODE_LALT ? WAY_OUT_ALT : 0;
}

static bool is_anything_held(const struct input *in)
{
    bool held = in->host_down || in->buttons;

    for (unsigned code = 0; code < KEY_CNT; code++)
        held |= in->held[code];
    return held;
}

/* Both were held, and nothing else, and now the first of them is released. */
static bool is_way_out(struct input *in, const SDL_KeyboardEvent *e)
{
    unsigned key = way_out_key(e->keysym.scancode);
    bool out = e->type == SDL_KEYUP && key && in->way_out == WAY_OUT;

    if (e->repeat)
        return false;
    if (e->type == SDL_KEYDOWN && key && !in->way_out_down)
        in->way_out = is_anything_held(in) ? WAY_OUT_SPOILT : 0;
    if (e->type == SDL_KEYDOWN)
        in->way_out |= key ? key : WAY_OUT_SPOILT;
    else if (key)
        in->way_out |= WAY_OUT_SPOILT;
    in->way_out_down = e->type == SDL_KEYDOWN ? in->way_out_down | key : in->way_out_down & ~key;
    return out;
}

/* What was pressed before this window had the keyboard is not pressed now, though it repeats. */
static bool is_for_guest(const struct input *in, unsigned code, const SDL_KeyboardEvent *e)
{
    return code && (in->held[code] || (e->type == SDL_KEYDOWN && !e->repeat && !in->paused));
}

SDL_Scancode input_key(struct input *in, const SDL_KeyboardEvent *e)
{
    unsigned code = keymap_code(e->keysym.scancode);

    if (is_way_out(in, e) && in->captured) {
        input_release_all(in);
        input_capture(in, false);
        return SDL_SCANCODE_UNKNOWN;
    }
    if (e->keysym.scancode == in->host_key)
        host_key(in, e);
    else if (e->type == SDL_KEYDOWN && in->host_down)
        return host_combination(in, e);
    else if (is_for_guest(in, code, e)) /* repeats go on as repeats */
        send_key(in, code, e->type == SDL_KEYDOWN);
    return SDL_SCANCODE_UNKNOWN;
}

/* ---- lock keys ---- */

enum { LED_NUM = 2, LED_CAPS = 4 };

static unsigned host_locks(void)
{
    SDL_Keymod mod = SDL_GetModState();

    return (mod & KMOD_NUM ? LED_NUM : 0) | (mod & KMOD_CAPS ? LED_CAPS : 0);
}

bool input_leds(struct input *in, unsigned leds)
{
    bool first = !in->leds_known;

    in->tapped &= ~(leds ^ in->leds); /* it does follow */
    in->leds = leds;
    in->leds_known = true;
    return first;
}

/* A guest that shows no LEDs, or uses the key for something else, gets one tap and no more. */
static void tap_lock(struct input *in, unsigned led, unsigned code)
{
    if (!((host_locks() ^ in->leds) & led) || in->tapped & led)
        return;
    send_key(in, code, true);
    send_key(in, code, false);
    in->tapped |= led;
}

void input_sync_locks(struct input *in)
{
    if (!in->leds_known)
        return;
    tap_lock(in, LED_NUM, KEY_NUMLOCK);
    tap_lock(in, LED_CAPS, KEY_CAPSLOCK);
}

/* ---- mouse ---- */

/* Where a point is in the picture, 0-65535; outside: at its edge. */
static int part_of(double at, int from, int length)
{
    double part = length > 1 ? (at - from) / (length - 1) : 0;

    return CLAMP(part, 0, 1) * 65535 + 0.5;
}

void input_motion(struct input *in, const SDL_MouseMotionEvent *e, const SDL_Rect *place, double density)
{
    SDL_Point at = {e->x * density, e->y * density};

    if (in->absolute) {
        in->inside = SDL_PointInRect(&at, place);
        in->x = part_of(at.x, place->x, place->w);
        in->y = part_of(at.y, place->y, place->h);
        in->moved = (in->inside || in->buttons) && !in->paused;
        show_cursor(in);
    } else if (in->captured && !in->paused) {
        in->dx = CLAMP(in->dx + e->xrel, -10000, 10000);
        in->dy = CLAMP(in->dy + e->yrel, -10000, 10000);
        in->moved = true;
    }
}

void input_leave(struct input *in)
{
    in->inside = false;
    show_cursor(in);
}

static unsigned button_bit(uint8_t button)
{
    switch (button) {
    case SDL_BUTTON_LEFT: return POINTER_LEFT;
    case SDL_BUTTON_RIGHT: return POINTER_RIGHT;
    case SDL_BUTTON_MIDDLE: return POINTER_MIDDLE;
    case SDL_BUTTON_X1: return POINTER_SIDE;
    case SDL_BUTTON_X2: return POINTER_EXTRA;
    default: return 0;
    }
}

/* The click that captures is for us, not for the guest. */
void input_button(struct input *in, const SDL_MouseButtonEvent *e)
{
    unsigned bit = button_bit(e->button);

    if (!in->captured && !in->absolute) {
        if (e->type == SDL_MOUSEBUTTONDOWN && e->button == SDL_BUTTON_LEFT)
            input_capture(in, true);
        return;
    }
    in->way_out |= WAY_OUT_SPOILT;
    if (in->paused)
        return;
    input_flush(in); /* the movement came first */
    if (e->type == SDL_MOUSEBUTTONDOWN)
        in->buttons |= bit;
    else
        in->buttons &= ~bit;
    send_pointer(in);
}

/* SDL counts away from the user, the guest's mouse towards the user (screen directions). */
void input_wheel(struct input *in, const SDL_MouseWheelEvent *e)
{
    int turns = e->direction == SDL_MOUSEWHEEL_FLIPPED ? -e->y : e->y;

    in->way_out |= WAY_OUT_SPOILT;
    if ((!in->captured && !in->absolute) || in->paused)
        return;
    in->wheel = CLAMP(in->wheel - turns, -100, 100);
    in->moved = true;
}
