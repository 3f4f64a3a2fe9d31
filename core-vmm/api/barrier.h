// SPDX-License-Identifier: GPL-2.0-or-later
/* barrier.h - for devices that share memory with a driver on equal terms: each side writes a word of its own and then reads the
 * other's.
 *
 * A word that both write, the guest by an instruction with LOCK, is worse: if the device does that on another thread than the
 * vCPU's, that instruction may have read the old before and write after it (machine/barrier.c).  Such a device looks at its word again
 * behind dev_barrier(), when the instruction is over, and writes it anew if it was lost. */
#pragma once
#include "core-vmm/api/device.h"

/* What this thread wrote to RAM comes before what it reads of it next, and if the guest has a barrier between its store and its
 * load, one of the two sees what the other wrote.  __ATOMIC_SEQ_CST does not do (machine/barrier.c).  Any thread; takes up to some
 * microseconds, so once for a burst. */
void dev_barrier(struct device *d);
