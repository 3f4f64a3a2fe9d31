// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_installed.h - machines whose system is being installed without questions (install/installing.h makes them).
 *
 * In such a machine's folder lies a file "installing", a key file: which disk the system goes to, and how its installer is started.
 * The first start that finds a boot loader on that disk takes away all that serves the installation only.  One that finds something
 * else on it takes only the installer's kernel out of the settings: what is on the disk may be worth more than the installation. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define INSTALLING_FILE    "installing"
#define INSTALLING_ANSWERS "answers.iso"
#define INSTALLING_KERNEL  "installer-kernel"
#define INSTALLING_INITRD  "installer-initrd"

struct installing {
    char *disk;    /* section */
    bool uefi;     /* how the machine is booted */
    bool seen;     /* the end can be seen from the disk; else somebody has to say so */
    char *cmdline; /* of the installer's kernel; NULL: the medium is booted */
};
bool installing_mark(const char *folder, const struct installing *i, GError **error); /* in the folder */
/* The kernel's settings, for a disk that is empty (again false), or whatever is on it. */
bool installing_arm(GKeyFile *file, const struct installing *i, bool again, GError **error);
bool is_installing(const char *folder);
/* Before a start.  What cannot be found out leaves all as it is. */
bool installed_settle(const char *folder, GError **error);
/* By the whole name, while the machine stands still: the installation is over, because somebody says so (also one that is
 * only waited for, machine_fresh.h); or its next start begins it again, over what is on the disk. */
bool machines_installed(const char *name, GError **error);
bool machines_install_again(const char *name, GError **error);
