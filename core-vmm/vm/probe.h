// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

/* Prints what this host offers as JSON, for `vmctl host-info`; an exit code. */
int probe_print(void);
