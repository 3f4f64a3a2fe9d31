// SPDX-License-Identifier: GPL-2.0-or-later
/* client_fresh.h - the snapshot "Fresh install" of a machine that runs (host/machine_fresh.h). */
#pragma once

/* Waits for the reset at the end of an installation, takes the media out and the snapshot while the machine goes on, and ends; or ends with
 * the machine.  By the whole name; forks. */
void client_fresh_watch(const char *name);
