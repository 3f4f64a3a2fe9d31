// SPDX-License-Identifier: GPL-2.0-or-later
/* keys.h - keys by name, and characters as keys of a US keyboard.  Codes are evdev's. */
#pragma once
#include <glib.h>
#include <stdbool.h>

unsigned key_by_name(const char *name); /* "a", "f1", "ctrl", "enter"; 0: unknown */
bool key_of_char(gunichar c, unsigned *code, bool *shift);
/* "ctrl+alt+delete" into codes; the number of them, or 0 with an error. */
unsigned keys_parse(const char *combination, unsigned codes[8], GError **error);
