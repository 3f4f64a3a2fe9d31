// SPDX-License-Identifier: GPL-2.0-or-later
/* own_board.h - for tests that bring a board of their own, which is a board_pc_build() that comes before the PC's: link
 * own_board.c with it, before the machine. */
#pragma once
#include "core-vmm/machine/core.h"

const struct wiring *pc_place(const char *name); /* its row of the PC's list; NULL: there is none of that name */
