// SPDX-License-Identifier: GPL-2.0-or-later
/* char_target.h - how the far end of a serial line is spelled: none, stdio, pty, file:PATH, socket:PATH. */
#pragma once
#include <stdbool.h>

enum char_kind { CHAR_NONE, CHAR_STDIO, CHAR_PTY, CHAR_FILE, CHAR_SOCKET };
/* *path points into target, NULL for kinds without one. */
bool char_target_parse(const char *target, enum char_kind *kind, const char **path);
bool char_target_valid(const char *target);
