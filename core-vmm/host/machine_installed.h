// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_installed.h - machines whose system is being installed without questions (install/installing.h makes them).
 *
 * In such a machine's folder lies a file "installing", a key file: which disk the system goes to, and which files and settings
 * serve the installation only.  The first start that finds a boot loader on that disk takes all of them away. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define INSTALLING_FILE    "installing"
#define INSTALLING_ANSWERS "answers.iso"
#define INSTALLING_KERNEL  "installer-kernel"
#define INSTALLING_INITRD  "installer-initrd"

/* In the folder: the disk's section; how it is booted; is the end seen from the disk, or does somebody say so? */
bool installing_mark(const char *folder, const char *disk, bool uefi, bool seen, GError **error);
bool is_installing(const char *folder);
/* Before a start.  Without the file nothing; else what the disk says counts: the installation is over, has not begun, or was
 * interrupted and begins again.  What cannot be found out leaves all as it is. */
bool installed_settle(const char *folder, GError **error);
/* The same because somebody says that it is over: by the whole name, while the machine stands still. */
bool machines_installed(const char *name, GError **error);
