// SPDX-License-Identifier: GPL-2.0-or-later
/* flash.h - what parts that remember without power ask of core.  Inside a callback, like device.h. */
#pragma once
#include "core-vmm/api/device.h"

/* Memory of dev_memory() that is hidden: the guest's reads come to read().  At first it is shown.  What the guest writes to
 * read-only memory comes to write() if the region says `commands`. */
void dev_memory_show(struct device *d, unsigned region, bool shown);
/* A file in the machine's folder, open for reading and writing; the chip closes it.  -1: an error.  In init only. */
int dev_kept_file(struct device *d, const char *name, GError **error);
