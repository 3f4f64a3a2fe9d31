// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000e.h - what the files of the 82574L share beside e1000.h. */
#pragma once
#include "devices/net/e1000.h"

enum { E1000E_MSIX_AT = 0xa0 }; /* its MSI-X capability */

/* e1000e_irq.c */
void e1000e_irq_update(struct device *d);
uint32_t e1000e_icr_read(struct device *d, uint32_t at);
void e1000e_irq_sync(struct device *d, struct stream *s);
