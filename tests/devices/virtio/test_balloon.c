// SPDX-License-Identifier: GPL-2.0-or-later
/* The memory balloon (Virtual I/O Device Version 1.2, chapter 5.5), and memory that goes back to the host. */
#include "core-vmm/api/balloon.h"
#include "core-vmm/base/bytes.h"
#include "tests/devices/virtio/driver.h"
#include <string.h>
#include <sys/mman.h>

enum { INFLATE, DEFLATE, FURTHER, PAGE_BYTES = 4096, LIST = VDRIVER_BUFFERS, BLOCK = 8 << 20 };
#define BIT(n)    (1ull << (n))
#define STATS     BIT(1)
#define REPORTING BIT(5)
#define EVENTS    BIT(VIRTIO_F_EVENT_IDX)

static struct vdriver *fresh(uint64_t more)
{
    return vdriver_new("balloon", "balloon.packed=on", VDRIVER_BASIC | more, 4);
}

static struct balloon_state look(struct vdriver *v)
{
    struct balloon_state b;
    v->device->ops->balloon->look(v->device, &b);
    return b;
}

/* Has the host given that page of the guest's memory? */
static bool resident(struct vdriver *v, uint64_t gpa)
{
    unsigned char there;
    g_assert_cmpint(mincore(vdriver_ram(v, gpa), PAGE_BYTES, &there), ==, 0);
    return there & 1;
}

static void fill(struct vdriver *v, uint64_t gpa, unsigned pages)
{
    memset(vdriver_ram(v, gpa), 0xaa, (size_t)pages * PAGE_BYTES);
}

static void name_pages(struct vdriver *v, unsigned queue, const uint32_t *page, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        put_le32(vdriver_ram(v, LIST + i * 4), page[i]);
    vdriver_expect(v, queue, vdriver_send(v, queue, &(struct vsegment){LIST, count * 4}, 1), 0);
}

static void inflates(const void *features)
{
    struct vdriver *v = fresh(GPOINTER_TO_SIZE(features));
    const uint32_t first = BLOCK / PAGE_BYTES, up[] = {first, first + 1, first + 2},
                   down[] = {first + 9, first + 8, first + 7, first + 20};
    fill(v, BLOCK, 32);
    name_pages(v, INFLATE, up, 3);
    name_pages(v, INFLATE, down, 4);
    for (unsigned i = 0; i < 32; i++) {
        bool gone = i < 3 || (i >= 7 && i < 10) || i == 20;
        g_assert_cmpint(resident(v, BLOCK + i * PAGE_BYTES), ==, !gone);
        g_assert_cmphex(*vdriver_ram(v, BLOCK + i * PAGE_BYTES + 77), ==, gone ? 0 : 0xaa);
    }
    g_assert_cmpuint(look(v).returned, ==, 7 * PAGE_BYTES);
    name_pages(v, DEFLATE, up, 3);
    fill(v, BLOCK, 3);
    g_assert_true(resident(v, BLOCK));
    vdriver_free(v);
}

/* Pages that are not RAM, and lists that are no lists. */
static void wild(void)
{
    struct vdriver *v = fresh(0);
    const uint32_t page[] = {BENCH_RAM / PAGE_BYTES, UINT32_MAX, 0xa0, 0xf0, 0xe0100, BENCH_RAM / PAGE_BYTES - 1};
    name_pages(v, INFLATE, page, G_N_ELEMENTS(page));
    g_assert_cmpuint(look(v).returned, ==, PAGE_BYTES); /* the last one */
    vdriver_expect(v, INFLATE, vdriver_send(v, INFLATE, &(struct vsegment){LIST, 3}, 1), 0);
    vdriver_expect(v, INFLATE, vdriver_send(v, INFLATE, &(struct vsegment){LIST, 64, VIRTQ_WRITE}, 1), 0);
    g_assert_cmpuint(look(v).returned, ==, PAGE_BYTES);
    vdriver_send(v, INFLATE, &(struct vsegment){LIST, (1 << 20) + 4}, 1);
    g_assert_cmphex(vdriver_status(v) & VIRTIO_NEEDS_RESET, ==, VIRTIO_NEEDS_RESET);
    vdriver_free(v);
}

/* Memory of other devices is none to give away. */
static void of_devices(void)
{
    enum { PICTURE = 0xc00 };
    struct vdriver *v = fresh(0);
    struct device *video = bench_add_chip(v->bench, chip_find("video"), NULL);
    const uint32_t page[] = {PICTURE << 8, (PICTURE << 8) + 1};
    bench_pci_write(video, 0x10, 4, (uint32_t)PICTURE << 20);
    bench_pci_write(video, 4, 2, 3);
    bench_store(v->bench, ((uint64_t)PICTURE << 20) + 5, 1, 0x77);
    name_pages(v, INFLATE, page, 2);
    g_assert_cmphex(bench_load(v->bench, ((uint64_t)PICTURE << 20) + 5, 1), ==, 0x77);
    g_assert_cmpuint(look(v).returned, ==, 0);
    vdriver_free(v);
}

/* The queue for free pages is behind that for statistics, if there is one. */
static void reports(const void *features)
{
    uint64_t more = GPOINTER_TO_SIZE(features);
    struct vdriver *v = fresh(more);
    unsigned queue = more & STATS ? FURTHER + 1 : FURTHER;
    const struct vsegment pages[] = {{BLOCK, 16 * PAGE_BYTES, VIRTQ_WRITE},
                                     {BLOCK + 20 * PAGE_BYTES + 100, 2 * PAGE_BYTES, VIRTQ_WRITE}};
    fill(v, BLOCK, 32);
    vdriver_expect(v, queue, vdriver_send(v, queue, pages, 2), 0);
    for (unsigned i = 0; i < 32; i++)
        g_assert_cmpint(resident(v, BLOCK + i * PAGE_BYTES), ==,
                        i >= 16 && i != 21); /* of the second part only a whole page */
    g_assert_cmphex(*vdriver_ram(v, BLOCK + 20 * PAGE_BYTES + 200), ==, 0xaa);
    g_assert_cmpuint(look(v).returned, ==, 17 * PAGE_BYTES);
    vdriver_free(v);
}

static void put_stat(struct vdriver *v, unsigned n, uint16_t tag, uint64_t value)
{
    put_le16(vdriver_ram(v, LIST + n * 10), tag);
    put_le64(vdriver_ram(v, LIST + n * 10 + 2), value);
}

static void statistics(const void *features)
{
    struct vdriver *v = fresh(STATS | GPOINTER_TO_SIZE(features));
    uint16_t is, id;
    uint32_t bytes;
    put_stat(v, 0, 4, 1234567);
    put_stat(v, 1, 999, 5);
    put_stat(v, 2, 5, 0x123456789abcull);
    id = vdriver_send(v, FURTHER, &(struct vsegment){LIST, 30}, 1);
    g_assert_false(vdriver_used(v, FURTHER, &is, &bytes)); /* it stays with the device */
    g_assert_cmphex(look(v).stats, ==, 1 << 4 | 1 << 5);
    g_assert_cmpuint(look(v).stat[4], ==, 1234567);
    g_assert_cmpuint(look(v).stat[5], ==, 0x123456789abcull);
    vdriver_save_load(v);
    for (unsigned round = 0; round < 40; round++) {
        v->device->ops->balloon->refresh(v->device);
        if (v->features & EVENTS) /* the next one is to be told of */
            g_assert_cmpuint(get_le16(vdriver_ram(v, v->queue[FURTHER].ring + 4 + VDRIVER_SIZE * 8)), ==,
                             v->queue[FURTHER].made);
        vdriver_expect(v, FURTHER, id, 0);
        put_stat(v, 0, 4, round);
        id = vdriver_send(v, FURTHER, &(struct vsegment){LIST, 10}, 1);
        g_assert_cmpuint(look(v).stat[4], ==, round);
        g_assert_cmphex(look(v).stats, ==, 1 << 4);
    }
    vdriver_free(v);
}

static void asks(void)
{
    struct vdriver *v = fresh(0);
    g_assert_true(look(v).listens);
    g_assert_cmpuint(vdriver_interrupts(v), ==, 0);
    v->device->ops->balloon->ask(v->device, 3 << 20);
    g_assert_cmpuint(vdriver_interrupts(v), ==, 1);
    g_assert_cmpuint(vdriver_config(v, 0, 4), ==, 768);
    bench_store(v->bench, 0xe0102000, 4, 1); /* not the driver's */
    bench_store(v->bench, 0xe0102004, 4, 700);
    g_assert_cmpuint(vdriver_config(v, 0, 4), ==, 768);
    g_assert_cmpuint(look(v).given, ==, 700 * PAGE_BYTES);
    vdriver_save_load(v);
    g_assert_cmpuint(look(v).given, ==, 700 * PAGE_BYTES);
    vdriver_start(v, v->features, 4); /* the guest was restarted: it has all again, and shall give as much as before */
    g_assert_cmpuint(look(v).given, ==, 0);
    g_assert_cmpuint(vdriver_config(v, 0, 4), ==, 768);
    vdriver_free(v);
}

static void no_reports(void)
{
    struct vdriver *v = vdriver_new("balloon", "balloon.report=off", VDRIVER_BASIC | REPORTING, 2);
    g_assert_cmphex(v->features & REPORTING, ==, 0);
    vdriver_free(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/virtio/balloon/inflates/split", GSIZE_TO_POINTER(0), inflates);
    g_test_add_data_func("/virtio/balloon/inflates/packed", GSIZE_TO_POINTER(BIT(VIRTIO_F_RING_PACKED)), inflates);
    g_test_add_data_func("/virtio/balloon/reports/alone", GSIZE_TO_POINTER(REPORTING), reports);
    g_test_add_data_func("/virtio/balloon/reports/with-statistics", GSIZE_TO_POINTER(REPORTING | STATS), reports);
    g_test_add_data_func("/virtio/balloon/statistics/split", GSIZE_TO_POINTER(0), statistics);
    g_test_add_data_func("/virtio/balloon/statistics/packed", GSIZE_TO_POINTER(BIT(VIRTIO_F_RING_PACKED)), statistics);
    g_test_add_data_func("/virtio/balloon/statistics/events", GSIZE_TO_POINTER(EVENTS), statistics);
    g_test_add_func("/virtio/balloon/wild", wild);
    g_test_add_func("/virtio/balloon/of-devices", of_devices);
    g_test_add_func("/virtio/balloon/asks", asks);
    g_test_add_func("/virtio/balloon/no-reports", no_reports);
    return g_test_run();
}
