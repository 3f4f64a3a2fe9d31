// SPDX-License-Identifier: GPL-2.0-or-later
/* The virtio console: Virtual I/O Device Version 1.2, chapter 5.3. */
#include "tests/devices/virtio/driver.h"
#include <string.h>

enum { INPUT, OUTPUT, IN_AT = VDRIVER_BUFFERS, OUT_AT = IN_AT + 0x10000, FIFO = 512 };
#define BIT(n)    (1ull << (n))
#define EMERGENCY BIT(2)

static struct vdriver *fresh(const void *packed)
{
    return vdriver_new("console1", "console1.packed=on",
                       VDRIVER_BASIC | EMERGENCY | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 2);
}

static void expect_sent(struct vdriver *v, const char *text)
{
    g_autofree char *sent = bench_char_sent(v->device);
    g_assert_cmpstr(sent, ==, text);
}

static void writes(const void *packed)
{
    struct vdriver *v = fresh(packed);
    const struct vsegment parts[] = {{OUT_AT, 5}, {OUT_AT + 100, 0}, {OUT_AT + 200, 2}};
    memcpy(vdriver_ram(v, OUT_AT), "hello", 5);
    memcpy(vdriver_ram(v, OUT_AT + 200), "!\n", 2);
    for (unsigned round = 0; round < 40; round++) {
        vdriver_expect(v, OUTPUT, vdriver_send(v, OUTPUT, parts, 3), 0);
        expect_sent(v, "hello!\n");
    }
    uint16_t first = vdriver_add(v, OUTPUT, parts, 1), second = vdriver_send(v, OUTPUT, parts + 2, 1);
    vdriver_expect(v, OUTPUT, first, 0);
    vdriver_expect(v, OUTPUT, second, 0);
    expect_sent(v, "hello!\n");
    vdriver_free(v);
}

static void reads(const void *packed)
{
    struct vdriver *v = fresh(packed);
    uint16_t id = vdriver_send(v, INPUT, &(struct vsegment){IN_AT, 100, VIRTQ_WRITE}, 1);
    bench_char_send(v->device, (const uint8_t *)"type", 4);
    vdriver_expect(v, INPUT, id, 4);
    g_assert_cmpmem(vdriver_ram(v, IN_AT), 4, "type", 4);
    bench_char_send(v->device, (const uint8_t *)"waits", 5); /* until there is a buffer */
    vdriver_save_load(v);
    id = vdriver_send(v, INPUT, &(struct vsegment){IN_AT, 3, VIRTQ_WRITE}, 1);
    vdriver_expect(v, INPUT, id, 3);
    g_assert_cmpmem(vdriver_ram(v, IN_AT), 3, "wai", 3);
    id = vdriver_send(v, INPUT, &(struct vsegment){IN_AT, 3, VIRTQ_WRITE}, 1);
    vdriver_expect(v, INPUT, id, 2);
    g_assert_cmpmem(vdriver_ram(v, IN_AT), 2, "ts", 2);
    vdriver_free(v);
}

/* More than the device keeps stays with the sender, in order. */
static void keeps_order(const void *packed)
{
    struct vdriver *v = fresh(packed);
    uint8_t data[FIFO * 3], got[sizeof data];
    size_t done = 0;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = i * 7 + i / 256;
    bench_char_send(v->device, data, sizeof data);
    while (done < sizeof data) {
        uint16_t is, id = vdriver_send(v, INPUT, &(struct vsegment){IN_AT, 60, VIRTQ_WRITE}, 1);
        uint32_t bytes;
        bench_step(v->bench, 1000);
        g_assert_true(vdriver_used(v, INPUT, &is, &bytes));
        g_assert_cmpuint(is, ==, id);
        g_assert_cmpuint(bytes, ==, MIN(60, sizeof data - done));
        memcpy(got + done, vdriver_ram(v, IN_AT), bytes);
        done += bytes;
    }
    g_assert_cmpmem(got, done, data, sizeof data);
    vdriver_free(v);
}

/* What is typed before there is a driver is not lost with its reset. */
static void before_the_driver(void)
{
    struct vdriver *v = fresh(NULL);
    vdriver_set_common(v, 0x14, 1, 0);
    bench_char_send(v->device, (const uint8_t *)"early", 5);
    vdriver_start(v, v->features, 2);
    uint16_t id = vdriver_send(v, INPUT, &(struct vsegment){IN_AT, 100, VIRTQ_WRITE}, 1);
    bench_step(v->bench, 1000);
    vdriver_expect(v, INPUT, id, 5);
    g_assert_cmpmem(vdriver_ram(v, IN_AT), 5, "early", 5);
    vdriver_free(v);
}

static void emergency(void)
{
    struct vdriver *v = fresh(NULL);
    g_assert_cmphex(v->features & EMERGENCY, ==, EMERGENCY);
    for (const char *c = "help"; *c; c++)
        bench_store(v->bench, 0xe0102008, 4, *c);
    expect_sent(v, "help");
    g_assert_cmphex(vdriver_config(v, 8, 4), ==, 0);
    bench_store(v->bench, 0xe0102000, 4, 'x'); /* elsewhere */
    expect_sent(v, "");
    vdriver_free(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/virtio/console/writes/split", NULL, writes);
    g_test_add_data_func("/virtio/console/writes/packed", "packed", writes);
    g_test_add_data_func("/virtio/console/reads/split", NULL, reads);
    g_test_add_data_func("/virtio/console/reads/packed", "packed", reads);
    g_test_add_data_func("/virtio/console/keeps-order/split", NULL, keeps_order);
    g_test_add_data_func("/virtio/console/keeps-order/packed", "packed", keeps_order);
    g_test_add_func("/virtio/console/before-the-driver", before_the_driver);
    g_test_add_func("/virtio/console/emergency", emergency);
    return g_test_run();
}
