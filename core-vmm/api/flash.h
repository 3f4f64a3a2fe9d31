// SPDX-License-Identifier: GPL-2.0-or-later
/* flash.h - what parts that remember without power ask of core.  Inside a callback, like device.h. */
#pragma once
#include "core-vmm/api/device.h"

/* Memory of dev_memory() that is hidden: the guest's reads come to read().  At first it is shown.  What the guest writes to
 * read-only memory comes to write() if the region says `commands`. */
void dev_memory_show(struct device *d, unsigned region, bool shown);
/* A file in the machine's folder, of which the first bytes are read into contents.  NULL: an error.  In init only. */
struct kept_file *dev_kept_file(struct device *d, const char *name, void *contents, size_t bytes, GError **error);
/* A worker writes it to the file soon, and has it on stable storage some 100 ms later; what cannot be written is told to the log. */
void kept_file_write(struct kept_file *k, size_t at, const void *data, size_t n);
void kept_file_close(struct kept_file *k); /* all is on stable storage; in fini only */
