// SPDX-License-Identifier: GPL-2.0-or-later
/* driver.c - runs a fuzzer's entry without libFuzzer: seeded random inputs, or the files named on the command line. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>

#define INPUTS    2000
#define MAX_BYTES 512
#define MAX_USEC  (3 * G_USEC_PER_SEC)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void random_inputs(void)
{
    uint8_t data[MAX_BYTES];
    int64_t end = g_get_monotonic_time() + MAX_USEC;
    for (unsigned i = 0; i < INPUTS && g_get_monotonic_time() < end; i++) {
        size_t n = g_test_rand_int_range(0, MAX_BYTES + 1);
        for (size_t k = 0; k < n; k++)
            data[k] = g_test_rand_bit() && k ? data[k - 1] : g_test_rand_int_range(0, 256);
        LLVMFuzzerTestOneInput(data, n);
    }
}

static int run_files(int count, char **names)
{
    for (int i = 0; i < count; i++) {
        g_autofree char *data = NULL;
        gsize n;
        g_autoptr(GError) error = NULL;
        if (!g_file_get_contents(names[i], &data, &n, &error)) {
            g_printerr("%s\n", error->message);
            return EXIT_FAILURE;
        }
        LLVMFuzzerTestOneInput((const uint8_t *)data, n);
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] != '-')
        return run_files(argc - 1, argv + 1);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fuzz/smoke", random_inputs);
    return g_test_run();
}
