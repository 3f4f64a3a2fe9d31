// SPDX-License-Identifier: GPL-2.0-or-later
/* Kernel files for direct boot: any bytes are loaded or refused. */
#include "devices/all.h"
#include "devices/firmware/pc_firmware.h"
#include "tests/devices/bench.h"
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("kernel", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GError) error = NULL;
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        return 0;
    struct bench *b = bench_new();
    struct device *d = bench_add(b, &fw_cfg_ops, "fw-cfg", NULL);
    bool ok = direct_boot_setup(d, path, size & 1 ? path : NULL, "text", 32 << 20, &error);
    g_assert(ok == !error);
    bench_free(b);
    close(fd);
    return 0;
}
