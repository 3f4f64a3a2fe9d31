// SPDX-License-Identifier: GPL-2.0-or-later
/* terminal.h - text of strangers (guests, VM processes, file names) on the user's terminal.  A terminal obeys escape
 * sequences: they can clear it, change its title, or make it type.  So control characters are shown, not sent. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* What may be printed: control characters but line ends and tabs as ^X, C1 controls, characters that turn the direction of
 * writing and bytes that are no UTF-8 as \xNN; a carriage return before a line end goes.  g_free. */
char *terminal_text(const char *text, gsize n);
/* The same for a stream that comes in pieces: how many of the n bytes make whole characters (the rest comes again with
 * the next piece). */
gsize terminal_whole(const char *text, gsize n);
/* Puts \uNNNN for the characters of JSON text that a terminal would obey and JSON lets stand.  g_free. */
char *terminal_json(const char *json);
