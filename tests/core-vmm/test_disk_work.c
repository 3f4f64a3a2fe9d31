// SPDX-License-Identifier: GPL-2.0-or-later
/* test_disk_work.c - long work in fenced children: what they answer, progress, cancelling, and children that talk too much. */
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/disk_work.h"
#include "disk-formats/image/error.h"
#include <string.h>
#include <unistd.h>

static int says_well(void *ctx, int answer)
{
    (void)ctx;
    for (unsigned i = 0; i <= 4; i++)
        disk_tell_progress(answer, i, 4);
    disk_answer(answer, "four\x1b[2J");
    return 0;
}

static int refuses(void *ctx, int answer)
{
    (void)ctx;
    g_autoptr(GError) error = NULL;
    disk_fail(&error, DISK_ERROR_NO_SPACE, "no room");
    return disk_refuse(answer, error);
}

/* Digits without a line's end, as if it were progress. */
static int never_ends_its_line(void *ctx, int answer)
{
    (void)ctx;
    char digits[4096];
    memset(digits, '1', sizeof digits);
    while (write(answer, digits, sizeof digits) > 0)
        ;
    return 0;
}

static int never_ends(void *ctx, int answer)
{
    (void)ctx;
    for (uint64_t i = 0; i < UINT64_MAX; i++) /* always something to read */
        disk_tell_progress(answer, i % 1000, 1000);
    return 0;
}

static void count(void *ctx, uint64_t done, uint64_t total)
{
    (void)done;
    g_assert_cmpuint(total, ==, 4);
    ++*(unsigned *)ctx;
}

static void answers(void)
{
    unsigned calls = 0;
    struct machine_job job = {count, &calls};
    g_autoptr(GError) error = NULL;
    g_autofree char *said = NULL;
    g_assert_true(disk_work(says_well, NULL, fence_files_new(), &job, &said, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(said, ==, "four?[2J");
    g_assert_cmpuint(calls, ==, 5);
    g_assert_false(disk_work(refuses, NULL, fence_files_new(), NULL, NULL, &error));
    g_assert_error(error, DISK_ERROR, DISK_ERROR_NO_SPACE);
    g_assert_cmpstr(error->message, ==, "no room");
}

static void too_long(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(disk_work(never_ends_its_line, NULL, fence_files_new(), NULL, NULL, &error));
    g_assert_nonnull(strstr(error->message, "longer than 1 MiB"));
}

static void cancel_soon(void *ctx, uint64_t done, uint64_t total)
{
    struct machine_job *job = ctx;
    (void)total;
    if (done == 500)
        g_atomic_int_set(&job->cancel, 1);
}

static void cancelled(void)
{
    struct machine_job job = {cancel_soon, &job};
    g_autoptr(GError) error = NULL;
    g_assert_false(disk_work(never_ends, NULL, fence_files_new(), &job, NULL, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk-work/answers", answers);
    g_test_add_func("/disk-work/too-long", too_long);
    g_test_add_func("/disk-work/cancelled", cancelled);
    return g_test_run();
}
