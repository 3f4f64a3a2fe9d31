// SPDX-License-Identifier: GPL-2.0-or-later
/* patcher.h - the software CPU engines. */
#pragma once
#include "core-vmm/api/cpu.h"

extern const struct cpu_engine interp_engine; /* tier 1: decodes and interprets; runs everything */
extern const struct cpu_engine soft_engine;   /* tier 2 over it: hot code is translated and runs on the host CPU */
