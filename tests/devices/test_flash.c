// SPDX-License-Identifier: GPL-2.0-or-later
/* The flash part's commands are in scripts/flash.txt; here is its file: what is written is there as soon as the guest reads the
 * memory again, and only that. */
#include "devices/all.h"
#include "tests/devices/bench.h"
#include <unistd.h>

enum { PROGRAM = 0x10, ERASE = 0x20, CONFIRM = 0xd0, READ_ARRAY = 0xff };

static struct bench *a_part(void)
{
    struct bench *b = bench_new();
    g_assert_nonnull(bench_add_chip(b, chip_find("flash"), NULL));
    return b;
}

static uint8_t in_file(struct bench *b, unsigned at)
{
    uint8_t byte;
    g_assert_cmpint(pread(bench_kept_file(b), &byte, 1, at), ==, 1);
    return byte;
}

static void write_byte(struct bench *b, unsigned at, uint8_t value)
{
    bench_store(b, FLASH_BASE + at, 1, PROGRAM);
    bench_store(b, FLASH_BASE + at, 1, value);
}

static void test_through(void)
{
    struct bench *b = a_part();
    write_byte(b, 0x1000, 0x12);
    write_byte(b, 0x3fff, 0x34);
    g_assert_cmphex(in_file(b, 0x1000), ==, 0xff);
    bench_store(b, FLASH_BASE, 1, READ_ARRAY);
    g_assert_cmphex(in_file(b, 0x1000), ==, 0x12);
    g_assert_cmphex(in_file(b, 0x3fff), ==, 0x34);
    g_assert_cmphex(bench_load(b, FLASH_BASE + 0x3fff, 1), ==, 0x34);
    bench_store(b, FLASH_BASE + 0x3123, 1, ERASE);
    bench_store(b, FLASH_BASE + 0x3123, 1, CONFIRM);
    bench_store(b, FLASH_BASE, 1, READ_ARRAY);
    g_assert_cmphex(in_file(b, 0x3fff), ==, 0xff);
    g_assert_cmphex(in_file(b, 0x1000), ==, 0x12);
    bench_free(b);
}

/* A power cut, or a reset, in the middle of commands: what was programmed is kept. */
static void test_reset(void)
{
    struct bench *b = a_part();
    write_byte(b, 7, 0x77);
    bench_reset(b);
    g_assert_cmphex(in_file(b, 7), ==, 0x77);
    g_assert_cmphex(bench_load(b, FLASH_BASE + 7, 1), ==, 0x77);
    bench_free(b);
}

/* A machine that goes on from a saved state has its own memory, whatever is in the file meanwhile: with the first change all of
 * it is the file's. */
static void test_loaded(void)
{
    static const uint8_t other = 0x99;
    struct bench *b = a_part();
    write_byte(b, 100, 0x11);
    bench_store(b, FLASH_BASE, 1, READ_ARRAY);
    g_assert_null(bench_save_load(b));
    g_assert_cmpint(pwrite(bench_kept_file(b), &other, 1, 100), ==, 1);
    g_assert_cmphex(bench_load(b, FLASH_BASE + 100, 1), ==, 0x11);
    write_byte(b, 0x5000, 0x22);
    bench_store(b, FLASH_BASE, 1, READ_ARRAY);
    g_assert_cmphex(in_file(b, 100), ==, 0x11);
    g_assert_cmphex(in_file(b, 0x5000), ==, 0x22);
    bench_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/flash/through", test_through);
    g_test_add_func("/flash/reset", test_reset);
    g_test_add_func("/flash/loaded", test_loaded);
    return g_test_run();
}
