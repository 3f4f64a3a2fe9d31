// SPDX-License-Identifier: GPL-2.0-or-later
/* Port F4h, by which a test guest ends its machine: writing v stops it with code v * 2 + 1, never 0.  The convention is
 * that of QEMU's isa-debug-exit, for which kvm-unit-tests and many hobby kernels are written. */
#include "core-vmm/api/platform.h"
#include "devices/all.h"

static uint64_t debugexit_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    return 0;
}

static void debugexit_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    if (offset == 0)
        dev_stop_machine(d, MACHINE_END_DEBUG, (uint32_t)v << 1 | 1);
}

const struct device_ops debugexit_ops = {
    .name = "debugexit",
    .version = 1,
    .regions = {{BUS_PORT, 0xf4, 4, 1, 4}},
    .read = debugexit_read,
    .write = debugexit_write,
};
