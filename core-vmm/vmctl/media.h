// SPDX-License-Identifier: GPL-2.0-or-later
/* media.h - parts of vmctl media. */
#pragma once
#include "core-vmm/vmctl/vmctl.h"

int media_detect(const char *path, enum output how); /* media_detect.c; an exit code */
