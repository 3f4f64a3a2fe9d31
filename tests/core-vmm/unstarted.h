// SPDX-License-Identifier: GPL-2.0-or-later
/* unstarted.h - a real machine that takes itself for running, though no thread runs a CPU: that is left to the test. */
#pragma once
#include "core-vmm/machine/core.h"

struct machine *machine_unstarted(GKeyFile *file); /* file: all of machine.ini; machine_free() */
