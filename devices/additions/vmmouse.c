// SPDX-License-Identifier: GPL-2.0-or-later
/* vmmouse.c - the absolute pointer of VMware's backdoor.
 *
 * The guest's driver enables it by a command, finds the version in the queue, asks for absolute positions, and then reads
 * events of four words: buttons and kind, x, y, wheel.  It hears of them by the PS/2 mouse: at each report of that it empties the
 * queue, and does not care what the report says.  Linux' driver (drivers/input/mouse/vmmouse.c) and X's are written so.
 * Numbers: open-vm-tools, backdoor_def.h; Linux. */
#include "core-vmm/api/input.h"
#include "core-vmm/api/platform.h"
#include "devices/additions/backdoor.h"
#include "devices/input/i8042.h"

enum { ENABLE = 0x45414552, DISABLE = 0xf5, ABSOLUTE = 0x53424152, RELATIVE = 0x4c455252 };
enum { VERSION = 0x3442554a, EVENT_WORDS = 4, MOST_AT_ONCE = 4 };
enum { EVENT_LEFT = 0x20, EVENT_RIGHT = 0x10, EVENT_MIDDLE = 0x08, EVENT_RELATIVE = 0x10000 };
#define STATUS_ERROR 0xffff0000u

/* ---- the queue ---- */

static void push(struct vmmouse *v, uint32_t word)
{
    v->word[(v->first + v->count++) % VMMOUSE_WORDS] = word;
}

static uint32_t pop(struct vmmouse *v)
{
    uint32_t word = v->word[v->first];
    v->first = (v->first + 1) % VMMOUSE_WORDS;
    v->count--;
    return word;
}

/* Nobody listens to a queue that does not work. */
static void told(struct device *d, const struct vmmouse *v)
{
    dev_input(d, v->enabled && v->absolute && !v->failed ? INPUT_POINTER | INPUT_ABSOLUTE : 0);
}

static void empty(struct vmmouse *v)
{
    v->first = v->count = 0;
}

/* ---- commands ---- */

static void run(struct device *d, struct vmmouse *v, uint32_t command)
{
    switch (command) {
    case ENABLE:
        empty(v);
        v->enabled = true;
        v->failed = v->absolute = false;
        push(v, VERSION);
        break;
    case DISABLE:
        empty(v);
        v->enabled = v->absolute = false;
        break;
    case ABSOLUTE:
    case RELATIVE: v->absolute = command == ABSOLUTE; break;
    default: dev_log(d, "the guest gave the pointer an unknown command (%#x)", command);
    }
    told(d, v);
}

/* EAX, EBX, ECX and EDX, as many as it wants. */
static void take(struct device *d, struct vmmouse *v, uint32_t words, struct port_call *p)
{
    if (!words || words > MOST_AT_ONCE || words > v->count) {
        dev_log(d, "the guest wants %u words of the pointer, which has %u", words, v->count);
        empty(v);
        v->failed = true;
        told(d, v);
        return;
    }
    p->value = pop(v);
    if (words > 1)
        p->gpr[X86_RBX] = pop(v);
    if (words > 2)
        p->gpr[X86_RCX] = pop(v);
    if (words > 3)
        p->gpr[X86_RDX] = pop(v);
}

void vmmouse_command(struct device *d, struct vmmouse *v, unsigned command, struct port_call *p)
{
    uint32_t argument = p->gpr[X86_RBX];
    p->value = 0;
    if (command == BACKDOOR_ABSPOINTER_STATUS)
        p->value = v->failed ? STATUS_ERROR : v->count;
    else if (command == BACKDOOR_ABSPOINTER_COMMAND)
        run(d, v, argument);
    else if (command == BACKDOOR_ABSPOINTER_DATA)
        take(d, v, argument, p);
    /* ABSPOINTER_RESTRICT, which rings may do this: all of them go on to. */
}

/* ---- events ---- */

static bool queue_event(struct device *d, struct vmmouse *v, uint32_t kind, uint32_t x, uint32_t y, int wheel,
                        unsigned buttons)
{
    struct device *keyboard = dev_find(d, "keyboard");
    if (!v->enabled || v->failed)
        return true; /* nobody wants it any more */
    if (v->count > VMMOUSE_WORDS - EVENT_WORDS)
        return false;
    push(v, kind | (buttons & POINTER_LEFT ? EVENT_LEFT : 0) | (buttons & POINTER_RIGHT ? EVENT_RIGHT : 0) |
                (buttons & POINTER_MIDDLE ? EVENT_MIDDLE : 0));
    push(v, x);
    push(v, y);
    push(v, CLAMP(wheel, -127, 127));
    if (keyboard)
        i8042_mouse_report(keyboard);
    return true;
}

bool vmmouse_place(struct device *d, struct vmmouse *v, uint16_t x, uint16_t y, int wheel, unsigned buttons)
{
    return queue_event(d, v, 0, x, y, wheel, buttons);
}

bool vmmouse_move(struct device *d, struct vmmouse *v, int dx, int dy, int wheel, unsigned buttons)
{
    return queue_event(d, v, EVENT_RELATIVE, dx, -(uint32_t)dy, wheel, buttons); /* y: upwards */
}

void vmmouse_reset(struct device *d, struct vmmouse *v)
{
    *v = (struct vmmouse){0};
    told(d, v);
}

bool vmmouse_sync(struct device *d, struct vmmouse *v, struct stream *s)
{
    for (unsigned i = 0; i < VMMOUSE_WORDS; i++)
        stream_u32(s, &v->word[i]);
    stream_u8(s, &v->first);
    stream_u8(s, &v->count);
    stream_bool(s, &v->enabled);
    stream_bool(s, &v->absolute);
    stream_bool(s, &v->failed);
    s->failed |= v->first >= VMMOUSE_WORDS || v->count > VMMOUSE_WORDS;
    if (s->loading && stream_ok(s))
        told(d, v);
    return stream_ok(s);
}
