// SPDX-License-Identifier: GPL-2.0-or-later
/* messages.h - what a client of RFB says once it is in, message by message. */
#pragma once
#include "gui/vnc/keys.h"

enum message_kind {
    MESSAGE_NONE,      /* not all of one is there */
    MESSAGE_DONE,      /* keys, or nothing that matters, or passed on */
    MESSAGE_POINTER,   /* x, y, buttons */
    MESSAGE_ENCODINGS, /* passed on; new_keys, wants_leds */
    MESSAGE_XVP,       /* code: the machine's power */
    MESSAGE_BAD,       /* complaint */
};
struct messages {
    struct keys keys;
    uint32_t skip; /* bytes of a text that is of no use */
    int x, y;
    unsigned buttons, code;
    bool keys_by_place, wants_leds; /* extensions that it knows */
    bool new_keys;                  /* the first time it says so */
    const char *complaint;
};
void messages_init(struct messages *m, const struct keymap *map, void (*key)(void *ctx, unsigned code, bool down),
                   void *ctx);
void messages_clear(struct messages *m); /* lets all its keys come up */
/* Takes the first message from in.  What is for libvncserver goes to on, whole and checked.  look_on: it may press nothing. */
enum message_kind messages_take(struct messages *m, GByteArray *in, GByteArray *on, bool look_on);
