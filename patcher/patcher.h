// SPDX-License-Identifier: GPL-2.0-or-later
/* patcher.h - the software CPU engines. */
#pragma once
#include "../core-vmm/api/cpu.h"

extern const struct cpu_engine interp_engine; /* tier 1: decodes and interprets; runs everything */
