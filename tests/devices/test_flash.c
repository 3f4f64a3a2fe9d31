// SPDX-License-Identifier: GPL-2.0-or-later
/* The flash part's commands are in scripts/flash.txt; here is its file: what is written is there soon after the guest reads the
 * memory again, and only that; and on stable storage some time after that.  A thread of its own does both. */
#include "devices/all.h"
#include "tests/devices/bench.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
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

/* Waits for it. */
static void comes_to_file(struct bench *b, unsigned at, uint8_t value)
{
    gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (in_file(b, at) != value && g_get_monotonic_time() < end)
        g_usleep(1000);
    g_assert_cmphex(in_file(b, at), ==, value);
}

/* What is asked of the host's disk is counted here, and who asks; it may be full, or broken. */
struct asked {
    atomic_uint flushes, by_caller, warnings;
    atomic_bool full, broken;
    pthread_t caller;
};

static struct asked *asked(void)
{
    static struct asked all;
    return &all;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    atomic_fetch_add(&asked()->flushes, 1);
    errno = EIO;
    return atomic_load(&asked()->broken) ? -1 : 0;
}

ssize_t __real_pwrite64(int fd, const void *data, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t at)
{
    if (pthread_equal(pthread_self(), asked()->caller))
        atomic_fetch_add(&asked()->by_caller, 1);
    errno = ENOSPC;
    return atomic_load(&asked()->full) ? -1 : __real_pwrite64(fd, data, n, at);
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
    comes_to_file(b, 0x1000, 0x12);
    comes_to_file(b, 0x3fff, 0x34);
    g_assert_cmphex(bench_load(b, FLASH_BASE + 0x3fff, 1), ==, 0x34);
    bench_store(b, FLASH_BASE + 0x3123, 1, ERASE);
    bench_store(b, FLASH_BASE + 0x3123, 1, CONFIRM);
    bench_store(b, FLASH_BASE, 1, READ_ARRAY);
    comes_to_file(b, 0x3fff, 0xff);
    g_assert_cmphex(in_file(b, 0x1000), ==, 0x12);
    bench_free(b);
}

/* A power cut, or a reset, in the middle of commands: what was programmed is kept. */
static void test_reset(void)
{
    struct bench *b = a_part();
    write_byte(b, 7, 0x77);
    bench_reset(b);
    comes_to_file(b, 7, 0x77);
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
    comes_to_file(b, 100, 0x11);
    g_assert_null(bench_save_load(b));
    g_assert_cmpint(pwrite(bench_kept_file(b), &other, 1, 100), ==, 1);
    g_assert_cmphex(bench_load(b, FLASH_BASE + 100, 1), ==, 0x11);
    write_byte(b, 0x5000, 0x22);
    bench_store(b, FLASH_BASE, 1, READ_ARRAY);
    comes_to_file(b, 100, 0x11);
    comes_to_file(b, 0x5000, 0x22);
    bench_free(b);
}

/* It went on from a saved state and ends without a change: the file has what the guest saw. */
static void test_loaded_and_ended(void)
{
    static const uint8_t other = 0x99;
    uint8_t byte;
    struct bench *b = a_part();
    write_byte(b, 100, 0x11);
    bench_store(b, FLASH_BASE, 1, READ_ARRAY);
    comes_to_file(b, 100, 0x11);
    g_assert_null(bench_save_load(b));
    g_assert_cmpint(pwrite(bench_kept_file(b), &other, 1, 100), ==, 1);
    int file = dup(bench_kept_file(b));
    bench_step(b, 1000);
    bench_free(b);
    g_assert_cmpint(pread(file, &byte, 1, 100), ==, 1);
    g_assert_cmphex(byte, ==, 0x11);
    close(file);
}

/* The CPU's thread writes nothing itself; a hundred changes close together are asked of the host's disk once or a few times, but
 * without the machine's end. */
static void test_worker(void)
{
    struct bench *b = a_part();
    asked()->caller = pthread_self();
    atomic_store(&asked()->by_caller, 0);
    atomic_store(&asked()->flushes, 0);
    for (unsigned i = 0; i < 100; i++) {
        write_byte(b, 0x2000 + i, i);
        bench_store(b, FLASH_BASE, 1, READ_ARRAY);
    }
    comes_to_file(b, 0x2063, 99);
    g_assert_cmpuint(atomic_load(&asked()->by_caller), ==, 0);
    gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (!atomic_load(&asked()->flushes) && g_get_monotonic_time() < end)
        g_usleep(1000);
    g_assert_cmpuint(atomic_load(&asked()->flushes), >=, 1);
    g_assert_cmpuint(atomic_load(&asked()->flushes), <, 50);
    bench_free(b);
}

static void hear(const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
    atomic_fetch_add(&asked()->warnings, (level & G_LOG_LEVEL_WARNING) != 0);
}

static void comes_to(atomic_uint *count, unsigned wanted)
{
    gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (atomic_load(count) < wanted && g_get_monotonic_time() < end)
        g_usleep(1000);
    g_assert_cmpuint(atomic_load(count), >=, wanted);
}

static void change_byte(struct bench *b, unsigned at, uint8_t value)
{
    write_byte(b, at, value);
    bench_store(b, FLASH_BASE, 1, READ_ARRAY);
}

/* What the host's disk does not take is told once, and goes there with the next change that it does take; what it does not have
 * on stable storage is told too. */
static void test_failing_disk(void)
{
    struct bench *b = a_part();
    GLogFunc before = g_log_set_default_handler(hear, NULL);
    GLogLevelFlags fatal = g_log_set_always_fatal(G_LOG_FATAL_MASK);
    atomic_store(&asked()->warnings, 0);
    atomic_store(&asked()->full, true);
    change_byte(b, 5, 0x55);
    comes_to(&asked()->warnings, 1);
    change_byte(b, 6, 0x66);
    unsigned flushes = atomic_load(&asked()->flushes);
    comes_to(&asked()->flushes, flushes + 1);
    g_assert_cmpuint(atomic_load(&asked()->warnings), ==, 1);
    g_assert_cmphex(in_file(b, 5), ==, 0xff);
    atomic_store(&asked()->full, false);
    change_byte(b, 0x8000, 0x88);
    comes_to_file(b, 0x8000, 0x88);
    g_assert_cmphex(in_file(b, 5), ==, 0x55);
    g_assert_cmphex(in_file(b, 6), ==, 0x66);
    atomic_store(&asked()->broken, true);
    change_byte(b, 7, 0x77);
    comes_to(&asked()->warnings, 2);
    atomic_store(&asked()->broken, false);
    bench_free(b);
    g_assert_cmpuint(atomic_load(&asked()->warnings), ==, 2);
    g_log_set_always_fatal(fatal);
    g_log_set_default_handler(before, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/flash/through", test_through);
    g_test_add_func("/flash/reset", test_reset);
    g_test_add_func("/flash/loaded", test_loaded);
    g_test_add_func("/flash/loaded-and-ended", test_loaded_and_ended);
    g_test_add_func("/flash/worker", test_worker);
    g_test_add_func("/flash/failing-disk", test_failing_disk);
    return g_test_run();
}
