// SPDX-License-Identifier: GPL-2.0-or-later
/* Queues and the PCI transport of virtio, tried with the simplest device, which fills what it is given: Virtual I/O Device
 * Version 1.2, chapters 2, 3 and 4.1.  Most tests are done with both layouts of queues. */
#include "core-vmm/base/bytes.h"
#include "tests/devices/virtio/driver.h"

#define EVENTS (1ull << VIRTIO_F_EVENT_IDX)
#define PACKED (1ull << VIRTIO_F_RING_PACKED)
enum { RNG = 0, AT = VDRIVER_BUFFERS };

static struct vdriver *fresh(const void *packed, uint64_t more)
{
    return vdriver_new("rng", "rng.packed=on", VDRIVER_BASIC | more | (packed ? PACKED : 0), 1);
}

static bool filled(struct vdriver *v, uint32_t gpa, uint32_t bytes)
{
    unsigned zeroes = 0;
    for (unsigned i = 0; i < bytes; i++)
        zeroes += !*vdriver_ram(v, gpa + i);
    return zeroes < bytes / 32 + 4;
}

static void fills(const void *packed)
{
    struct vdriver *v = fresh(packed, 0);
    const struct vsegment three[] = {{AT, 64, VIRTQ_WRITE}, {AT + 4096, 0, VIRTQ_WRITE}, {AT + 8192, 100, VIRTQ_WRITE}};
    for (unsigned round = 0; round < 40; round++) { /* more than once around the ring */
        uint16_t first = vdriver_add(v, RNG, three, 3), second = vdriver_send(v, RNG, three, 1);
        vdriver_expect(v, RNG, first, 164);
        vdriver_expect(v, RNG, second, 64);
        g_assert_cmpuint(vdriver_interrupts(v), ==, 1);
    }
    g_assert_true(filled(v, AT, 64) && filled(v, AT + 8192, 100));
    g_assert_false(filled(v, AT + 8192 + 100, 100));
    vdriver_free(v);
}

static void indirect(const void *packed)
{
    struct vdriver *v = fresh(packed, 0);
    uint8_t *table = vdriver_ram(v, AT);
    for (unsigned i = 0; i < 20; i++) { /* longer than the ring */
        put_le64(table + i * 16, AT + 8192 + i * 100);
        put_le32(table + i * 16 + 8, 100);
        put_le16(table + i * 16 + (packed ? 14 : 12), VIRTQ_WRITE | (i < 19 && !packed ? VIRTQ_NEXT : 0));
        put_le16(table + i * 16 + (packed ? 12 : 14), i + 1);
    }
    uint16_t id = vdriver_send(v, RNG, &(struct vsegment){AT, 320, VIRTQ_INDIRECT}, 1);
    vdriver_expect(v, RNG, id, 2000);
    g_assert_true(filled(v, AT + 8192, 2000));
    vdriver_free(v);
}

/* What a driver must not do.  The device says so once, by status and interrupt, and does nothing more until it is reset. */
static void is_broken(struct vdriver *v)
{
    uint16_t id;
    uint32_t bytes;
    g_assert_cmphex(vdriver_status(v) & VIRTIO_NEEDS_RESET, ==, VIRTIO_NEEDS_RESET);
    g_assert_cmpuint(vdriver_interrupts(v), ==, 1);
    vdriver_kick(v, RNG);
    g_assert_false(vdriver_used(v, RNG, &id, &bytes));
    vdriver_save_load(v);
    g_assert_cmphex(vdriver_status(v) & VIRTIO_NEEDS_RESET, ==, VIRTIO_NEEDS_RESET);
    vdriver_start(v, v->features, 1);
    id = vdriver_send(v, RNG, &(struct vsegment){AT, 64, VIRTQ_WRITE}, 1);
    vdriver_expect(v, RNG, id, 64);
}

static void breaks(const void *packed)
{
    static const struct vsegment bad[][2] = {
        {{BENCH_RAM - 10, 20, VIRTQ_WRITE}},
        {{UINT32_MAX, 1, VIRTQ_WRITE}},
        {{AT, UINT32_MAX, VIRTQ_WRITE}},
        {{AT, 0, VIRTQ_INDIRECT}},
        {{AT, 17, VIRTQ_INDIRECT}},
        {{AT, 16 * 257, VIRTQ_INDIRECT}},
        {{UINT32_MAX, 16, VIRTQ_INDIRECT}},
        {{AT, 16, VIRTQ_WRITE}, {AT, 16}},
        {{AT, 16}, {AT, 16, VIRTQ_INDIRECT | VIRTQ_NEXT}},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct vdriver *v = fresh(packed, 0);
        vdriver_send(v, RNG, bad[i], bad[i][1].gpa ? 2 : 1);
        is_broken(v);
        vdriver_free(v);
    }
}

static void loops(const void *packed)
{
    struct vdriver *v = fresh(packed, 0);
    uint8_t *d = vdriver_ram(v, v->queue[RNG].table);
    vdriver_add(v, RNG, &(struct vsegment){AT, 16, VIRTQ_WRITE}, 1);
    if (packed) /* all descriptors go on */
        for (unsigned i = 0; i < VDRIVER_SIZE; i++) {
            put_le64(d + i * 16, AT);
            put_le16(d + i * 16 + 14, 0x80 | VIRTQ_NEXT);
        }
    else
        put_le32(d + 12, VIRTQ_NEXT | VIRTQ_WRITE); /* to itself */
    vdriver_kick(v, RNG);
    is_broken(v);
    vdriver_free(v);
}

static void indirect_in_indirect(const void *packed)
{
    struct vdriver *v = fresh(packed, 0);
    uint8_t *table = vdriver_ram(v, AT);
    put_le64(table, AT);
    put_le32(table + 8, 16);
    put_le16(table + (packed ? 14 : 12), VIRTQ_INDIRECT);
    put_le16(table + (packed ? 12 : 14), 0);
    vdriver_send(v, RNG, &(struct vsegment){AT, 16, VIRTQ_INDIRECT}, 1);
    if (packed) /* there the flag means nothing: 16 bytes to read */
        vdriver_expect(v, RNG, 0, 0);
    else
        is_broken(v);
    vdriver_free(v);
}

static void wrong_index(void)
{
    struct vdriver *v = fresh(NULL, 0);
    put_le16(vdriver_ram(v, v->queue[RNG].driver + 2), VDRIVER_SIZE + 1);
    vdriver_kick(v, RNG);
    is_broken(v);
    put_le16(vdriver_ram(v, v->queue[RNG].driver + 4 + 2), VDRIVER_SIZE); /* a head beyond the table */
    put_le16(vdriver_ram(v, v->queue[RNG].driver + 2), 2);
    vdriver_kick(v, RNG);
    is_broken(v);
    vdriver_free(v);
}

/* Where a queue may not be: refused when it is used. */
static void wrong_place(const void *packed)
{
    static const uint32_t places[] = {8, BENCH_RAM, BENCH_RAM - 16, UINT32_MAX - 15};
    for (unsigned part = 0; part < 3; part++)
        for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
            struct vdriver *v = fresh(packed, 0);
            bool fits =
                part && (places[i] == 8 || (packed && places[i] == BENCH_RAM - 16)); /* 8 bytes is enough there */
            vdriver_set_common(v, 0x14, 1, 0);
            vdriver_start(v, v->features, 0);
            vdriver_set_common(v, 0x18, 2, VDRIVER_SIZE);
            for (unsigned p = 0; p < 3; p++)
                vdriver_set_common(v, 0x20 + p * 8, 4, p == part ? places[i] : (1u << 20) + p * 0x4000);
            vdriver_set_common(v, 0x1c, 2, 1);
            vdriver_kick(v, RNG);
            g_assert_cmphex(vdriver_status(v) & VIRTIO_NEEDS_RESET, ==, fits ? 0 : VIRTIO_NEEDS_RESET);
            vdriver_free(v);
        }
}

/* ---- who wants to hear what ---- */

static void set_driver_event(struct vdriver *v, uint16_t place, bool wrap)
{
    struct vdriver_queue *q = &v->queue[RNG];
    if (v->packed)
        put_le32(vdriver_ram(v, q->driver), 2u << 16 | wrap << 15 | place);
    else
        put_le16(vdriver_ram(v, q->driver + 4 + q->size * 2), place);
}

static void no_interrupts(const void *packed)
{
    struct vdriver *v = fresh(packed, 0);
    const struct vsegment one = {AT, 16, VIRTQ_WRITE};
    put_le32(vdriver_ram(v, v->queue[RNG].driver), packed ? 1u << 16 : 1);
    if (!packed)
        v->queue[RNG].made = 0;
    vdriver_expect(v, RNG, vdriver_send(v, RNG, &one, 1), 16);
    g_assert_cmpuint(vdriver_interrupts(v), ==, 0);
    vdriver_free(v);
}

static void interrupt_at_event(const void *packed)
{
    struct vdriver *v = fresh(packed, EVENTS);
    const struct vsegment one = {AT, 16, VIRTQ_WRITE};
    for (unsigned i = 0, at = 0; i < 100; i++) { /* an interrupt with every fourth */
        if (i % 4 == 0)
            at = i + 3;
        set_driver_event(v, packed ? at % VDRIVER_SIZE : at, !(at / VDRIVER_SIZE % 2));
        vdriver_expect(v, RNG, vdriver_send(v, RNG, &one, 1), 16);
        g_assert_cmpuint(vdriver_interrupts(v), ==, i % 4 == 3);
    }
    vdriver_free(v);
}

/* The device names the place from which on it wants to be kicked. */
static void kick_event(const void *packed)
{
    struct vdriver *v = fresh(packed, EVENTS);
    const struct vdriver_queue *q = &v->queue[RNG];
    const struct vsegment one = {AT, 16, VIRTQ_WRITE};
    for (unsigned i = 1; i < 40; i++) {
        vdriver_expect(v, RNG, vdriver_send(v, RNG, &one, 1), 16);
        if (packed)
            g_assert_cmphex(get_le32(vdriver_ram(v, q->ring)), ==, 2u << 16 | q->wrap << 15 | q->next);
        else
            g_assert_cmpuint(get_le16(vdriver_ram(v, q->ring + 4 + q->size * 8)), ==, i);
    }
    vdriver_free(v);
}

/* ---- the interface ---- */

static void refuses_features(void)
{
    struct vdriver *v = fresh(NULL, 0);
    static const uint64_t wrong[] = {1ull << VIRTIO_F_VERSION_1 | 1, 1ull << 63, 1ull << VIRTIO_F_INDIRECT_DESC};
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        vdriver_set_common(v, 0x14, 1, 0);
        vdriver_set_common(v, 0x14, 1, 3);
        for (unsigned word = 0; word < 2; word++) {
            vdriver_set_common(v, 8, 4, word);
            vdriver_set_common(v, 12, 4, wrong[i] >> word * 32);
        }
        vdriver_set_common(v, 0x14, 1, 11);
        g_assert_cmphex(vdriver_status(v), ==, 3);
    }
    vdriver_free(v);
}

static void registers(void)
{
    struct vdriver *v = fresh(NULL, 0);
    g_assert_cmpuint(vdriver_common(v, 0x12, 2), ==, 1);
    vdriver_set_common(v, 0x18, 2, 8); /* its size stands while it is on */
    g_assert_cmpuint(vdriver_common(v, 0x18, 2), ==, VDRIVER_SIZE);
    g_assert_cmphex(vdriver_common(v, 0x20, 4), ==, v->queue[0].table);
    g_assert_cmphex(vdriver_common(v, 0x1a, 2), ==, 0xffff);
    vdriver_set_common(v, 0x1a, 2, 1);
    g_assert_cmphex(vdriver_common(v, 0x1a, 2), ==, 1);
    vdriver_set_common(v, 0x1a, 2, 2); /* there are two */
    g_assert_cmphex(vdriver_common(v, 0x1a, 2), ==, 0xffff);
    vdriver_set_common(v, 0x16, 2, 7); /* no such queue */
    g_assert_cmpuint(vdriver_common(v, 0x18, 2), ==, 0);
    vdriver_set_common(v, 0x14, 1, 0);
    vdriver_set_common(v, 0x18, 2, 257);
    g_assert_cmpuint(vdriver_common(v, 0x18, 2), ==, 256);
    g_assert_cmphex(vdriver_common(v, 0x14, 4), ==, 0); /* several fields at once: status, generation, queue */
    g_assert_cmphex(vdriver_common(v, 0x16, 4), ==, 256u << 16);
    vdriver_free(v);
}

static void by_messages(void)
{
    struct vdriver *v = fresh(NULL, 0);
    bench_pci_write(v->device, 0x42, 2, 0x8000);
    vdriver_set_common(v, 0x10, 2, 0);
    vdriver_set_common(v, 0x1a, 2, 1);
    vdriver_send(v, RNG, &(struct vsegment){AT, 16, VIRTQ_WRITE}, 1);
    g_autofree char *queue = bench_event(v->bench);
    g_assert_cmpstr(queue, ==, "msi 1");
    vdriver_send(v, RNG, &(struct vsegment){UINT32_MAX, 16, VIRTQ_WRITE}, 1);
    g_autofree char *broken = bench_event(v->bench);
    g_assert_cmpstr(broken, ==, "msi 0");
    g_assert_cmpuint(bench_load(v->bench, 0xe0101000, 1), ==, 0);
    vdriver_free(v);
}

/* By way of configuration space, as firmware does it. */
static void window(void)
{
    struct vdriver *v = fresh(NULL, 0);
    bench_pci_write(v->device, 0x94, 1, 4);
    bench_pci_write(v->device, 0x98, 4, 0x14);
    bench_pci_write(v->device, 0x9c, 4, 1);
    g_assert_cmphex(bench_pci_read(v->device, 0xa0, 4), ==, 15);
    uint16_t id = vdriver_add(v, RNG, &(struct vsegment){AT, 16, VIRTQ_WRITE}, 1);
    bench_pci_write(v->device, 0x98, 4, 0x3000);
    bench_pci_write(v->device, 0x9c, 4, 2);
    bench_pci_write(v->device, 0xa0, 2, 0);
    vdriver_expect(v, RNG, id, 16);
    bench_pci_write(v->device, 0x98, 4, 0x1000);
    bench_pci_write(v->device, 0x9c, 4, 1);
    g_assert_cmphex(bench_pci_read(v->device, 0xa0, 1), ==, VIRTIO_ISR_QUEUE);
    g_assert_cmphex(bench_pci_read(v->device, 0xa0, 1), ==, 0);
    bench_pci_write(v->device, 0x98, 4, 0xffffffff); /* nowhere */
    bench_pci_write(v->device, 0xa0, 4, 0);
    bench_pci_write(v->device, 0x9c, 4, 3);
    bench_pci_write(v->device, 0xa0, 4, 0);
    g_assert_cmphex(vdriver_status(v), ==, 15);
    vdriver_free(v);
}

static void legacy(void)
{
    struct vdriver *v = vdriver_new("rng", NULL, 1ull << VIRTIO_F_INDIRECT_DESC, 1);
    g_assert_cmpuint(v->queue[0].size, ==, 256);
    for (unsigned i = 0; i < 300; i++) {
        uint16_t id = vdriver_send(v, RNG, &(struct vsegment){AT, 16, VIRTQ_WRITE}, 1);
        vdriver_expect(v, RNG, id, 16);
        g_assert_cmpuint(vdriver_interrupts(v), ==, 1);
    }
    vdriver_send(v, RNG, &(struct vsegment){UINT32_MAX, 16, VIRTQ_WRITE}, 1); /* it has no status for that */
    g_assert_cmphex(vdriver_status(v), ==, 7);
    g_assert_cmpuint(vdriver_interrupts(v), ==, 0);
    vdriver_free(v);
}

static void identities(void)
{
    static const struct {
        const char *config;
        uint16_t device, subsystem;
        bool ports, parts;
    } kinds[] = {{"rng.virtio=transitional", 0x1005, 4, true, true},
                 {"rng.virtio=modern", 0x1044, 0x1100, false, true},
                 {"rng.virtio=legacy", 0x1005, 4, true, false}};
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        struct bench *b = bench_new();
        struct chip c = *chip_find("rng");
        c.config = kinds[i].config;
        struct device *d = bench_add_chip(b, &c, NULL);
        g_assert_cmphex(bench_pci_read(d, 0, 4), ==, 0x1af4u | (uint32_t)kinds[i].device << 16);
        g_assert_cmphex(bench_pci_read(d, 0x2e, 2), ==, kinds[i].subsystem);
        bench_pci_write(d, 0x10, 4, UINT32_MAX);
        g_assert_cmphex(bench_pci_read(d, 0x10, 4), ==, kinds[i].ports ? 0xffffff81 : 0);
        g_assert_cmphex(bench_pci_read(d, 0x41, 1) != 0, ==, kinds[i].parts);
        bench_free(b);
    }
}

/* A driver that never lets a queue run dry gets its turn, and others theirs. */
static void never_dry(const void *packed)
{
    struct vdriver *v = fresh(packed, 0);
    const struct vsegment one = {AT, 16, VIRTQ_WRITE};
    for (unsigned i = 0; i < VDRIVER_SIZE; i++)
        vdriver_add(v, RNG, &one, 1);
    vdriver_kick(v, RNG);
    bench_step(v->bench, 1);
    for (unsigned i = 0; i < VDRIVER_SIZE; i++)
        vdriver_expect(v, RNG, i, 16);
    vdriver_save_load(v);
    vdriver_expect(v, RNG, vdriver_send(v, RNG, &one, 1), 16);
    vdriver_free(v);
}

static void add(const char *name, void (*fn)(const void *packed))
{
    g_autofree char *split = g_strconcat("/virtio/split/", name, NULL);
    g_autofree char *packed = g_strconcat("/virtio/packed/", name, NULL);
    g_test_add_data_func(split, NULL, fn);
    g_test_add_data_func(packed, "packed", fn);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("fills", fills);
    add("indirect", indirect);
    add("breaks", breaks);
    add("loops", loops);
    add("indirect-in-indirect", indirect_in_indirect);
    add("wrong-place", wrong_place);
    add("no-interrupts", no_interrupts);
    add("interrupt-at-event", interrupt_at_event);
    add("kick-event", kick_event);
    add("never-dry", never_dry);
    g_test_add_func("/virtio/split/wrong-index", wrong_index);
    g_test_add_func("/virtio/interface/refuses-features", refuses_features);
    g_test_add_func("/virtio/interface/registers", registers);
    g_test_add_func("/virtio/interface/by-messages", by_messages);
    g_test_add_func("/virtio/interface/window", window);
    g_test_add_func("/virtio/interface/legacy", legacy);
    g_test_add_func("/virtio/interface/identities", identities);
    return g_test_run();
}
