// SPDX-License-Identifier: GPL-2.0-or-later
/* keys.c - evdev's key codes by name, for scripts. */
#include "tests/devices/keys.h"
#include <glib.h>
#include <linux/input-event-codes.h>
#include <string.h>

#define K(name)                                                                                                        \
    {                                                                                                                  \
#name, KEY_##name                                                                                              \
    }
int key_code(const char *name)
{
    static const struct {
        const char *name;
        int code;
    } keys[] = {
        K(A),        K(B),         K(C),         K(D),          K(E),        K(F),         K(G),       K(H),
        K(Q),        K(Z),         K(1),         K(2),          K(0),        K(ENTER),     K(ESC),     K(TAB),
        K(SPACE),    K(BACKSPACE), K(LEFTSHIFT), K(RIGHTSHIFT), K(LEFTCTRL), K(RIGHTCTRL), K(LEFTALT), K(RIGHTALT),
        K(LEFTMETA), K(CAPSLOCK),  K(NUMLOCK),   K(SCROLLLOCK), K(PAUSE),    K(SYSRQ),     K(UP),      K(DOWN),
        K(LEFT),     K(RIGHT),     K(HOME),      K(END),        K(INSERT),   K(DELETE),    K(F1),      K(F7),
        K(F11),      K(F12),       K(KPENTER),   K(KPSLASH),    K(KP5),      K(102ND),     K(MUTE),    K(VOLUMEUP),
        K(POWER),    K(COMPOSE),
    };
    for (unsigned i = 0; g_str_has_prefix(name, "KEY_") && i < G_N_ELEMENTS(keys); i++)
        if (!strcmp(keys[i].name, name + 4))
            return keys[i].code;
    return -1;
}
