// SPDX-License-Identifier: GPL-2.0-or-later
/* What a guest can do to a chip: the first byte picks a row of tests/devices/chips.c, the rest become accesses, time and
 * save/load (tests/devices/hammer.h).  With FUZZ_DEVICE=NAME in the environment it is always that row. */
#include "tests/devices/hammer.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned rows = 0;
    while (chips[rows].ops)
        rows++;
    if (!size)
        return 0;
    const char *only = g_getenv("FUZZ_DEVICE");
    const struct chip *chip = only ? chip_find(only) : &chips[data[0] % rows];
    if (!chip)
        g_error("chips.c has no '%s'", only);
    g_autoptr(GError) error = NULL;
    struct bench *b = bench_new();
    struct device *d = bench_add_chip(b, chip, &error);
    char *why = d ? hammer(b, d, data + 1, size - 1) : g_strdup(error ? error->message : "init failed");
    if (!why && data[size - 1] % 16 == 7) /* now and then: it is the costly part */
        why = bench_save_load(b);
    if (why) {
        g_printerr("%s\n", why);
        abort();
    }
    bench_free(b);
    return 0;
}
