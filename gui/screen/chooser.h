// SPDX-License-Identifier: GPL-2.0-or-later
/* chooser.h - the desktop's own dialogue for choosing a file, by xdg-desktop-portal. */
#pragma once

/* Waits until the user has chosen; not on the window's thread.  The file's path, g_free; NULL: none was chosen, or *problem (g_free) says
 * why there is no such dialogue. */
char *chooser_file(const char *title, char **problem);
