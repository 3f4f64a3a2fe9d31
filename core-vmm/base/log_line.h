// SPDX-License-Identifier: GPL-2.0-or-later
/* log_line.h - a line of a log file, for writers of GLib's messages (g_log_set_writer_func). */
#pragma once
#include <glib.h>

/* "2026-01-31 12:00:00.000 warning TEXT\n", in local time; NULL: it is for developers only.  g_free.  Any thread, also one that
 * can open no file, once a first line was made. */
char *log_line(GLogLevelFlags level, const GLogField *fields, gsize n);
const char *log_message(const GLogField *fields, gsize n); /* what is said in it */
