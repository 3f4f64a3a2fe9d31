// SPDX-License-Identifier: GPL-2.0-or-later
/* test_net_offload.c - a sum that comes out as zero: UDP must not say that, TCP and ICMPv6 do (RFC 768, RFC 1624). */
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/net_offload.h"
#include <glib.h>

enum { HEADERS = 34, BYTES = 66 };

/* What is put offset behind the headers if the rest sums up to sum. */
static uint16_t put(uint16_t sum, unsigned offset)
{
    uint8_t frame[BYTES] = {0};
    struct net_offload left = {.checksum = true, .checksum_start = HEADERS, .checksum_offset = offset};
    put_be16(frame + HEADERS + 20, sum);
    g_assert_true(offload_checksum(frame, sizeof frame, &left));
    return get_be16(frame + HEADERS + offset);
}

static void test_zero(void)
{
    g_assert_cmphex(put(0xffff, 16), ==, 0);
    g_assert_cmphex(put(0xffff, 2), ==, 0);
    g_assert_cmphex(put(0xffff, 6), ==, 0xffff);
    g_assert_cmphex(put(0xfffe, 6), ==, 1);
    g_assert_cmphex(put(0xfffe, 16), ==, 1);
    g_assert_cmphex(put(0, 16), ==, 0xffff);
}

static void test_outside(void)
{
    uint8_t frame[BYTES] = {0};
    for (unsigned start = BYTES - 8; start < BYTES + 4; start++) {
        struct net_offload left = {.checksum = true, .checksum_start = start, .checksum_offset = 6};
        g_assert_cmpint(offload_checksum(frame, sizeof frame, &left), ==, start + 8 <= BYTES);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net-offload/zero", test_zero);
    g_test_add_func("/net-offload/outside", test_outside);
    return g_test_run();
}
