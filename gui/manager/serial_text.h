// SPDX-License-Identifier: GPL-2.0-or-later
/* serial_text.h - what a guest says on a serial port, as the lines that a terminal of 80 x 24 shows, with what has scrolled away above them.
 *
 * It knows what moves the cursor and erases in a VT100, and the box drawing characters; colours are left out.  What a guest sends may be
 * anything: nothing of it takes more room than the lines that are kept. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { SERIAL_COLUMNS = 80, SERIAL_ROWS = 24, SERIAL_LINES_MOST = 10000 };

struct serial_text;
struct serial_text *serial_text_new(void);
void serial_text_free(struct serial_text *t);
void serial_text_put(struct serial_text *t, const uint8_t *data, gsize n);

guint serial_text_count(const struct serial_text *t);
char *serial_text_line(const struct serial_text *t, guint n); /* without spaces at its end; g_free */
void serial_text_cursor(const struct serial_text *t, guint *line, guint *column);
/* What has changed since the last call: lines from *first on, of those that are left when *gone have gone at the beginning. */
void serial_text_changed(struct serial_text *t, guint *gone, guint *first);
char *serial_text_answer(struct serial_text *t); /* what the guest has asked for; g_free; NULL: nothing */
