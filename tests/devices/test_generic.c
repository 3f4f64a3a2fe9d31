// SPDX-License-Identifier: GPL-2.0-or-later
/* Every chip under random accesses of any width anywhere, random time and save/load at random moments: nothing may
 * crash, and what was saved must come back the same.  g_test prints the seed; --seed repeats a run. */
#include "tests/devices/hammer.h"

enum { ROUNDS = 40, BYTES = 6000 };

static void test_hammer(const void *row)
{
    const struct chip *c = row;
    uint8_t data[BYTES];
    for (unsigned round = 0; round < ROUNDS; round++) {
        g_autoptr(GError) error = NULL;
        struct bench *b = bench_new();
        struct device *d = bench_add_chip(b, c, &error);
        g_assert_no_error(error);
        for (unsigned i = 0; i < BYTES; i++)
            data[i] = g_test_rand_int_range(0, 256);
        g_autofree char *why = hammer(b, d, data, BYTES);
        if (!why)
            why = bench_save_load(b);
        g_assert_cmpstr(why, ==, NULL);
        bench_free(b);
    }
}

/* What is loaded may be anything: it is refused or taken, and then the chip still works. */
static void test_load_garbage(const void *row)
{
    const struct chip *c = row;
    uint8_t data[512], more[600];
    for (unsigned round = 0; round < ROUNDS && c->ops->sync; round++) {
        g_autoptr(GError) error = NULL;
        struct bench *b = bench_new();
        struct device *d = bench_add_chip(b, c, &error);
        g_assert_no_error(error);
        for (unsigned i = 0; i < sizeof data; i++)
            data[i] = g_test_rand_int_range(0, round % 2 ? 256 : 3);
        struct stream s;
        stream_init_load(&s, data, sizeof data);
        bool ok = d->ops->sync(d, &s, c->ops->version) && stream_ok(&s);
        stream_clear(&s);
        for (unsigned i = 0; i < sizeof more; i++)
            more[i] =
                g_test_rand_int_range(0, 251); /* without save/load: after a refused load anything may be in there */
        if (!ok)
            bench_reset(b);
        g_autofree char *why = hammer(b, d, more, sizeof more);
        g_assert_cmpstr(why, ==, NULL);
        bench_free(b);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (const struct chip *c = chips; c->ops; c++) {
        g_autofree char *hammer_name = g_strconcat("/devices/", c->ops->name, "/hammer", NULL);
        g_autofree char *load_name = g_strconcat("/devices/", c->ops->name, "/load-garbage", NULL);
        g_test_add_data_func(hammer_name, c, test_hammer);
        g_test_add_data_func(load_name, c, test_load_garbage);
    }
    return g_test_run();
}
