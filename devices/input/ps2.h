// SPDX-License-Identifier: GPL-2.0-or-later
/* ps2.h - what hangs on the two ports of the keyboard controller: a keyboard and a mouse.  They know nothing of ports,
 * interrupts or time; the controller (i8042.c) takes bytes from their queues and gives them bytes. */
#pragma once
#include "core-vmm/api/device.h"

#define PS2_QUEUE 64
struct ps2_queue {
    uint8_t data[PS2_QUEUE];
    uint8_t head, count;
    uint8_t last; /* the byte sent last, for "resend" */
};
static inline unsigned ps2_room(const struct ps2_queue *q)
{
    return PS2_QUEUE - q->count;
}
static inline void ps2_put(struct ps2_queue *q, uint8_t byte) /* dropped if there is no room */
{
    if (q->count < PS2_QUEUE)
        q->data[(q->head + q->count++) % PS2_QUEUE] = byte;
}
static inline uint8_t ps2_take(struct ps2_queue *q) /* count > 0 */
{
    q->last = q->data[q->head];
    q->head = (q->head + 1) % PS2_QUEUE;
    q->count--;
    return q->last;
}
static inline void ps2_sync_queue(struct ps2_queue *q, struct stream *s)
{
    stream_raw(s, q->data, sizeof q->data);
    stream_u8(s, &q->head);
    stream_u8(s, &q->count);
    stream_u8(s, &q->last);
    s->failed |= q->head >= PS2_QUEUE || q->count > PS2_QUEUE;
    if (s->failed)
        q->head = q->count = 0;
}

struct ps2_keyboard {
    struct ps2_queue out;
    uint8_t scan_set; /* 1, 2, 3 */
    uint8_t leds, typematic;
    bool scanning;
    uint8_t command;    /* whose argument comes next, or 0 */
    uint8_t held;       /* modifiers that change what PrintScreen and Pause send: enum held in ps2_keyboard.c */
    uint8_t modes[256]; /* set 3, by code: enum key_mode */
};
void ps2_keyboard_reset(struct ps2_keyboard *k);               /* power-on */
void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t byte); /* from the host */
/* evdev code; what the keyboard lacks is ignored.  false: no room now. */
bool ps2_keyboard_key(struct ps2_keyboard *k, unsigned code, bool down);
void ps2_keyboard_sync(struct ps2_keyboard *k, struct stream *s);

struct ps2_mouse {
    struct ps2_queue out;
    uint8_t id;    /* 0, 3 (wheel), 4 (wheel and five buttons) */
    uint8_t knock; /* how far the host came with the sample rates that ask for more: see ps2_mouse.c */
    uint8_t resolution, rate;
    uint8_t buttons, sent_buttons; /* POINTER_ bits */
    bool reporting, remote, wrap, scaling;
    uint8_t command;     /* whose argument comes next, or 0 */
    int32_t x, y, wheel; /* moved, not yet reported; y upwards, wheel towards the user */
};
void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte);
bool ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int wheel, unsigned buttons); /* as input.h's pointer() */
void ps2_mouse_fill(struct ps2_mouse *m); /* makes the next report, if there is something and the queue is empty */
void ps2_mouse_report(struct ps2_mouse *m); /* makes one with or without news, if the queue is empty */
void ps2_mouse_sync(struct ps2_mouse *m, struct stream *s);
