// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <SDL.h>

/* The evdev code (KEY_A ...) of a place on the keyboard; 0: none. */
unsigned keymap_code(SDL_Scancode place);
