// SPDX-License-Identifier: GPL-2.0-or-later
/* i8237.h - the DMA controllers as the device at the other end of a channel sees them.  Both calls take the controllers'
 * lock; a device may hold its own. */
#pragma once
#include "core-vmm/api/device.h"

enum i8237_direction { I8237_TO_MEMORY, I8237_FROM_MEMORY };
/* DREQ: moves up to n bytes (channels 5-7: an even number) between data and guest memory as the channel is programmed.
 * Returns how many; 0 while the channel is masked or the controller is off: try again later.  *tc: the count ran out. */
size_t i8237_transfer(struct device *dma, unsigned channel, uint8_t *data, size_t n, enum i8237_direction direction,
                      bool *tc);
