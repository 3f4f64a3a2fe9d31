// SPDX-License-Identifier: GPL-2.0-or-later
/* script.h - runs one device script; the language is at the top of script.c. */
#pragma once
#include <glib.h>

/* NULL if it passed, else "file:line: what is wrong"; g_free. */
char *script_run(const char *path);
