// SPDX-License-Identifier: GPL-2.0-or-later
/* fpu_error.h - the wires between the CPUs' x87 units and the chipset. */
#pragma once
#include "core-vmm/api/device.h"

/* FERR# of a CPU; returns IGNNE#: shall it go on in spite of the error?  With the device's lock held. */
bool fpu_error_line(struct device *d, unsigned cpu, bool level);
