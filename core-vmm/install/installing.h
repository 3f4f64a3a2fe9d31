// SPDX-License-Identifier: GPL-2.0-or-later
/* installing.h - a new machine that installs its system by itself.
 *
 * Beside disks and CD drives it has, in its folder, the medium with the answers and, for Debian, the installer's kernel and
 * initial RAM disk out of the ISO.  When a start finds that the system is on the disk, those go, and the CD drives are empty
 * (host/machine_installed.c).  Any thread; nothing here prints. */
#pragma once
#include "core-vmm/host/machines.h"
#include "core-vmm/install/medium.h"

/* Says what is not said yet of a new machine: its system by the medium, and memory, CPUs and disk that the system should have,
 * as far as the host has them (half of it at most). */
void installing_defaults(struct settings *s, const struct medium *m);
/* As machines_create(), with the medium in the first CD drive and, if u is not NULL, an installation that asks nothing.  u is
 * completed and checked, and the firmware is the machine's.  The machine must have one disk, with nothing on it. */
bool installing_create(const char *name, struct settings *s, const struct medium *m, struct unattended *u,
                       GError **error);
/* Of a new machine whose system somebody is about to install from its medium, before it is made: the snapshot "Fresh install"
 * (host/machine_fresh.h) is to be taken when that is done.  The machine must have one disk, with nothing on it. */
void installing_watched(struct settings *s);
