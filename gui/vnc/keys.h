// SPDX-License-Identifier: GPL-2.0-or-later
/* keys.h - a VNC client's keys as keys of a PC keyboard (evdev codes).
 *
 * VNC names what a key means on the user's keyboard (a keysym), but a PC has places, and what those mean is the guest's
 * layout.  Clients that know QEMU's extension send the place too, and then nothing has to be guessed.  For all others the layout
 * that the guest is set to must be known (vnc.keyboard): the keysym's place is looked up in it, and where the guest's layout wants
 * another Shift or AltGr for it than the user holds, that is pressed, or let go of, for the moment. */
#pragma once
#include <glib.h>
#include <linux/input-event-codes.h>
#include <stdbool.h>
#include <stdint.h>

struct keymap;
/* layout: as X has them, "us", "de", "fr(oss)"; read from files, so before the fence.  NULL: there is none of that name. */
struct keymap *keymap_new(const char *layout);
void keymap_free(struct keymap *k);

/* What a client holds. */
struct keys {
    const struct keymap *map;
    bool down[KEY_CNT];
    GHashTable *by_sym; /* keysym -> code that was pressed for it */
    unsigned leds;      /* of the guest: bit 0 scroll lock, 1 num lock, 2 caps lock */
    void (*send)(void *ctx, unsigned code, bool down);
    void *ctx;
};
void keys_init(struct keys *k, const struct keymap *map, void (*send)(void *ctx, unsigned code, bool down), void *ctx);
void keys_clear(struct keys *k);
/* place: an XT scan code as QEMU's extension has it (E0-prefixed ones with bit 7); 0: not known. */
void keys_event(struct keys *k, uint32_t sym, uint32_t place, bool down);
void keys_release_all(struct keys *k);
