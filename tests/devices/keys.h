// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
int key_code(const char *name); /* "KEY_A" -> its evdev code; -1: unknown */
