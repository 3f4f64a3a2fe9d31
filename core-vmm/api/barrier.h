// SPDX-License-Identifier: GPL-2.0-or-later
/* barrier.h - for devices that share memory with a driver on equal terms: each writes a word of its own and then reads the
 * other's. */
#pragma once
#include "core-vmm/api/device.h"

/* What this thread wrote to RAM comes before what it reads of it next, and if the guest has a barrier between its store and its
 * load, one of the two sees what the other wrote.  __ATOMIC_SEQ_CST does not do (machine/barrier.c).  Any thread; takes up to some
 * microseconds, so once for a burst. */
void dev_barrier(struct device *d);
