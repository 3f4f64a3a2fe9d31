// SPDX-License-Identifier: GPL-2.0-or-later
/* The virtio disk: Virtual I/O Device Version 1.2, chapter 5.2. */
#include "core-vmm/base/bytes.h"
#include "tests/devices/virtio/driver.h"
#include <errno.h>

enum { HEADER = VDRIVER_BUFFERS, DATA = HEADER + 4096, STATUS = HEADER + 2048, FLUSH = 9, DISCARD = 13, ZEROES = 14 };
#define BIT(n) (1ull << (n))
#define ALL    (BIT(FLUSH) | BIT(DISCARD) | BIT(ZEROES))

static struct vdriver *disk(const char *config, uint64_t more)
{
    return vdriver_new("virtio-disk0", config, VDRIVER_BASIC | more, 1);
}

/* A request whose header lies at its own place; what its status was is seen after time went by. */
static uint16_t begin(struct vdriver *v, unsigned n, uint32_t type, uint64_t sector, const struct vsegment *data)
{
    uint8_t *h = vdriver_ram(v, HEADER + n * 16);
    struct vsegment s[3] = {{HEADER + n * 16, 16}};
    put_le32(h, type);
    put_le64(h + 8, sector);
    *vdriver_ram(v, STATUS + n) = 0xee;
    if (data)
        s[1] = *data;
    s[data ? 2 : 1] = (struct vsegment){STATUS + n, 1, VIRTQ_WRITE};
    return vdriver_send(v, 0, s, data ? 3 : 2);
}

static uint8_t request(struct vdriver *v, uint32_t type, uint64_t sector, const struct vsegment *data)
{
    uint16_t id = begin(v, 0, type, sector, data);
    bench_step(v->bench, 1000);
    vdriver_expect(v, 0, id, 1 + (data && data->flags ? data->bytes : 0));
    return *vdriver_ram(v, STATUS);
}

static void reads_and_writes(const void *features)
{
    struct vdriver *v = disk("virtio-disk0.file=pattern:1M virtio-disk0.packed=on", GPOINTER_TO_SIZE(features));
    const struct vsegment in = {DATA, 4096, VIRTQ_WRITE}, out = {DATA, 4096};
    g_assert_cmpuint(vdriver_config(v, 0, 4), ==, 2048);
    for (unsigned round = 0; round < 20; round++) {
        g_assert_cmpuint(request(v, 0, round * 8, &in), ==, 0);
        for (unsigned i = 0; i < 4096; i++)
            g_assert_cmphex(*vdriver_ram(v, DATA + i), ==, bench_pattern(round * 4096 + i));
        memset(vdriver_ram(v, DATA), round + 1, 4096);
        g_assert_cmpuint(request(v, 1, 1024 + round * 8, &out), ==, 0);
        memset(vdriver_ram(v, DATA), 0, 4096);
        g_assert_cmpuint(request(v, 0, 1024 + round * 8, &in), ==, 0);
        g_assert_cmphex(*vdriver_ram(v, DATA + 4095), ==, round + 1);
    }
    g_assert_cmpuint(request(v, 4, 0, NULL), ==, 0);
    vdriver_free(v);
}

static void refuses(void)
{
    struct vdriver *v = disk("virtio-disk0.file=pattern:1M", ALL);
    g_assert_cmpuint(request(v, 0, 2048, &(struct vsegment){DATA, 512, VIRTQ_WRITE}), ==, 1); /* behind the end */
    g_assert_cmpuint(request(v, 0, UINT64_MAX, &(struct vsegment){DATA, 512, VIRTQ_WRITE}), ==, 1);
    g_assert_cmpuint(request(v, 0, UINT64_MAX / 512 + 1, &(struct vsegment){DATA, 512, VIRTQ_WRITE}), ==, 1);
    g_assert_cmpuint(request(v, 0, 0, &(struct vsegment){DATA, 511, VIRTQ_WRITE}), ==, 1);
    g_assert_cmpuint(request(v, 1, 2047, &(struct vsegment){DATA, 1024}), ==, 1);
    g_assert_cmpuint(request(v, 77, 0, NULL), ==, 2);
    bench_drive_fail(v->bench, bench_drive(v->bench, "virtio-disk0"), EIO);
    g_assert_cmpuint(request(v, 0, 0, &(struct vsegment){DATA, 512, VIRTQ_WRITE}), ==, 1);
    g_assert_cmpuint(request(v, 0, 0, &(struct vsegment){DATA, 512, VIRTQ_WRITE}), ==, 0);
    vdriver_send(v, 0, &(struct vsegment){HEADER, 15}, 1); /* no header, no status */
    g_assert_cmphex(vdriver_status(v) & VIRTIO_NEEDS_RESET, ==, VIRTIO_NEEDS_RESET);
    vdriver_free(v);
}

static uint8_t range(struct vdriver *v, uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    put_le64(vdriver_ram(v, DATA), sector);
    put_le32(vdriver_ram(v, DATA + 8), sectors);
    put_le32(vdriver_ram(v, DATA + 12), flags);
    return request(v, type, 0, &(struct vsegment){DATA, 16});
}

static void clears(void)
{
    struct vdriver *v = disk("virtio-disk0.file=pattern:1M", ALL);
    const struct vsegment in = {DATA, 1024, VIRTQ_WRITE};
    g_assert_cmpuint(range(v, 13, 8, 1, 0), ==, 0);
    g_assert_cmpuint(request(v, 0, 8, &in), ==, 0);
    g_assert_cmphex(*vdriver_ram(v, DATA) | *vdriver_ram(v, DATA + 511), ==, 0);
    g_assert_cmphex(*vdriver_ram(v, DATA + 513), ==, bench_pattern(9 * 512 + 1));
    g_assert_cmpuint(range(v, 13, 8, 1, 1), ==, 0);
    g_assert_cmpuint(range(v, 11, 16, 1, 0), ==, 0);
    g_assert_cmpuint(range(v, 11, 16, 1, 1), ==, 2);
    g_assert_cmpuint(range(v, 13, 16, 1, 2), ==, 2);
    g_assert_cmpuint(range(v, 13, 2040, 9, 0), ==, 1);
    g_assert_cmpuint(range(v, 13, UINT64_MAX - 3, 8, 0), ==, 1);
    g_assert_cmpuint(range(v, 13, 0, UINT32_MAX, 0), ==, 1);
    vdriver_free(v);
}

static void tells_its_name(void)
{
    struct vdriver *v = disk("virtio-disk0.file=zero:1M virtio-disk0.serial=ABC", 0);
    g_assert_cmpuint(request(v, 8, 0, &(struct vsegment){DATA, 20, VIRTQ_WRITE}), ==, 0);
    g_assert_cmpmem(vdriver_ram(v, DATA), 4, "ABC", 4);
    vdriver_free(v);
}

/* Several at a time; saving finishes them, a reset forgets them. */
static void many(void)
{
    struct vdriver *v = disk("virtio-disk0.file=pattern:1M", 0);
    for (unsigned n = 0; n < 5; n++)
        begin(v, n, 0, n, &(struct vsegment){DATA + n * 512, 512, VIRTQ_WRITE});
    vdriver_save_load(v);
    for (unsigned n = 0, seen = 0; n < 5; n++) {
        uint16_t id;
        uint32_t bytes;
        g_assert_true(vdriver_used(v, 0, &id, &bytes));
        g_assert_false(seen >> id & 1);
        seen |= 1u << id;
        g_assert_cmphex(*vdriver_ram(v, DATA + n * 512), ==, bench_pattern(n * 512));
        g_assert_cmpuint(*vdriver_ram(v, STATUS + n), ==, 0);
    }
    for (unsigned n = 0; n < 3; n++)
        begin(v, n, 0, n, &(struct vsegment){DATA + n * 512, 512, VIRTQ_WRITE});
    vdriver_start(v, VDRIVER_BASIC, 1);
    memset(vdriver_ram(v, DATA), 0x55, 4096);
    bench_step(v->bench, 1000);
    uint16_t id;
    uint32_t bytes;
    g_assert_false(vdriver_used(v, 0, &id, &bytes));
    g_assert_cmphex(*vdriver_ram(v, DATA), ==, 0x55);
    g_assert_cmpuint(request(v, 0, 3, &(struct vsegment){DATA, 512, VIRTQ_WRITE}), ==, 0);
    vdriver_free(v);
}

static void readonly(void)
{
    struct vdriver *v = disk("virtio-disk0.file=pattern:1M virtio-disk0.readonly=on", ALL | BIT(5));
    g_assert_cmphex(v->features & (BIT(5) | BIT(DISCARD) | BIT(ZEROES)), ==, BIT(5));
    g_assert_cmpuint(request(v, 1, 0, &(struct vsegment){DATA, 512}), ==, 1);
    g_assert_cmpuint(request(v, 0, 0, &(struct vsegment){DATA, 512, VIRTQ_WRITE}), ==, 0);
    vdriver_free(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/virtio/blk/moves/split", GSIZE_TO_POINTER(ALL), reads_and_writes);
    g_test_add_data_func("/virtio/blk/moves/no-flush", GSIZE_TO_POINTER(0), reads_and_writes);
    g_test_add_data_func("/virtio/blk/moves/packed", GSIZE_TO_POINTER(ALL | BIT(VIRTIO_F_RING_PACKED)),
                         reads_and_writes);
    g_test_add_func("/virtio/blk/refuses", refuses);
    g_test_add_func("/virtio/blk/clears", clears);
    g_test_add_func("/virtio/blk/name", tells_its_name);
    g_test_add_func("/virtio/blk/many", many);
    g_test_add_func("/virtio/blk/readonly", readonly);
    return g_test_run();
}
