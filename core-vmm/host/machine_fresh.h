// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_fresh.h - the snapshot "Fresh install": what a machine is when its system has just been installed.
 *
 * In the folder of a machine that waits for it lies a file "fresh-install", a key file: the disk that the system goes to, and the media
 * that it comes from.  When there is a boot loader on the disk, those media are taken out of their drives, the snapshot is taken, and the
 * file goes.  That is looked for when the guest resets (an installer's last step: client_fresh.h), and before each start. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define FRESH_FILE     "fresh-install"
#define FRESH_SNAPSHOT "Fresh install"

/* In a new machine's folder.  by_reset: a reset with a boot loader on the disk says that the system is installed; else (Windows, which
 * resets in between) only a guest that switches itself off does, and the next start. */
bool fresh_mark(const char *folder, GKeyFile *settings, const char *disk, bool uefi, bool by_reset, GError **error);
bool fresh_waits(const char *folder);
/* There is a boot loader on the disk, and a reset may say so. */
bool fresh_is_installed(const char *folder);
void fresh_powered_off(const char *folder); /* the guest has just switched itself off */
/* The media that the system came from, absolute; g_strfreev. */
char **fresh_media(const char *folder);
/* They go from machine.ini, whether the machine runs or not. */
bool fresh_take_media_out(const char *folder, GError **error);
bool fresh_is_taken(const char *folder); /* the snapshot is there */
void fresh_forget(const char *folder);   /* it is done */
/* Of a machine that stands still and waits for it, because somebody says that its system is installed. */
void fresh_take(const char *folder);
/* Before a start, of a machine that stands still.  Nothing that goes wrong here keeps a machine from starting.  Looks into images:
 * forks. */
void fresh_settle(const char *folder);
/* The machine's only disk for a new system, by its section; g_free; NULL: there is none, or several. */
char *fresh_disk(GKeyFile *settings);
