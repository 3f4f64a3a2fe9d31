// SPDX-License-Identifier: GPL-2.0-or-later
/* end_settings.h - what a process around a VM is to do: a key file in memory (a memfd) that whoever starts the process again
 * after its end passes on, so that what has changed meanwhile is written back there. */
#pragma once
#include <glib.h>

int end_settings_new(GKeyFile *settings, GError **error); /* a memfd, the caller's; -1 */
GKeyFile *end_settings_read(int fd, GError **error);      /* g_key_file_unref */
void end_settings_write(int fd, GKeyFile *settings);
