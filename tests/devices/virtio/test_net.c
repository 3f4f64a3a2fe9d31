// SPDX-License-Identifier: GPL-2.0-or-later
/* The virtio network card: Virtual I/O Device Version 1.2, chapter 5.1. */
#include "core-vmm/base/bytes.h"
#include "devices/virtio/virtio_net.h"
#include "tests/devices/virtio/driver.h"

#define BIT(n) (1ull << (n))
#define CONTROL                                                                                                        \
    (BIT(NET_F_CTRL_VQ) | BIT(NET_F_CTRL_RX) | BIT(NET_F_CTRL_RX_EXTRA) | BIT(NET_F_CTRL_VLAN) |                       \
     BIT(NET_F_CTRL_MAC_ADDR))
#define SUMS                                                                                                           \
    (BIT(NET_F_CSUM) | BIT(NET_F_GUEST_CSUM) | BIT(NET_F_HOST_TSO4) | BIT(NET_F_HOST_TSO6) | BIT(NET_F_GUEST_TSO4) |   \
     BIT(NET_F_GUEST_TSO6))
#define MERGE BIT(NET_F_MRG_RXBUF)
enum { RX = 0, TX = 1, CTRL = 2, AT = VDRIVER_BUFFERS, HEADER = 12 };

static struct vdriver *card(uint64_t more)
{
    struct vdriver *v =
        vdriver_new("nic8", "nic8.mac=52:54:00:11:22:33 nic8.packed=on nic8.rom=off", VDRIVER_BASIC | more, 3);
    bench_cable_can(v->device, NET_CHECKSUM | NET_TSO4 | NET_TSO6);
    return v;
}

static void make_frame(uint8_t *f, unsigned bytes, uint8_t to0, uint8_t to5)
{
    static const uint8_t to[6] = {0, 0x54, 0, 0x11, 0x22, 0};
    memcpy(f, to, 6);
    f[0] = to0;
    f[5] = to5;
    for (unsigned i = 6; i < bytes; i++)
        f[i] = i * 7;
}

static void sent_is(struct vdriver *v, const uint8_t *frame, unsigned bytes, struct net_offload *left)
{
    g_autoptr(GBytes) sent = bench_frame_sent(v->device, left);
    g_assert_nonnull(sent);
    g_assert_cmpmem(g_bytes_get_data(sent, NULL), g_bytes_get_size(sent), frame, bytes);
}

static void sends(const void *features)
{
    struct vdriver *v = card(GPOINTER_TO_SIZE(features));
    uint8_t frame[300];
    struct net_offload left;
    make_frame(frame, sizeof frame, 0x52, 0x33);
    memcpy(vdriver_ram(v, AT + HEADER), frame, 100);
    memcpy(vdriver_ram(v, AT + 4096), frame + 100, 200);
    const struct vsegment s[] = {{AT, HEADER + 100}, {AT + 4096, 200}};
    for (unsigned i = 0; i < 40; i++) {
        uint16_t id = vdriver_send(v, TX, s, 2);
        vdriver_expect(v, TX, id, 0);
        sent_is(v, frame, 300, &left);
        g_assert_false(left.checksum || left.segments);
    }
    vdriver_free(v);
}

/* What the cable has no room for stays in the queue, and goes out later. */
static void full(const void *features)
{
    enum { FRAMES = VDRIVER_SIZE, BYTES = 65000 };
    struct vdriver *v = card(GPOINTER_TO_SIZE(features));
    unsigned used = 0;
    uint16_t id;
    uint32_t bytes;
    bench_cable_full(v->device, true);
    for (unsigned i = 0; i < FRAMES; i++) {
        const struct vsegment s = {AT + i * (HEADER + BYTES), HEADER + BYTES};
        memset(vdriver_ram(v, s.gpa + HEADER), i, BYTES);
        vdriver_send(v, TX, &s, 1);
    }
    for (; vdriver_used(v, TX, &id, &bytes); used++)
        ;
    g_assert_cmpuint(used, >, 4);
    g_assert_cmpuint(used, <, FRAMES);
    bench_cable_full(v->device, false);
    for (; vdriver_used(v, TX, &id, &bytes); used++)
        ;
    g_assert_cmpuint(used, ==, FRAMES);
    for (unsigned i = 0; i < FRAMES; i++) {
        g_autofree uint8_t *frame = g_malloc(BYTES);
        memset(frame, i, BYTES);
        sent_is(v, frame, BYTES, NULL);
    }
    vdriver_free(v);
}

/* Of short frames that have gone the driver is told later, of some of them, or of long ones, at once. */
static void tells_later(void)
{
    enum { SHORT = 60, LONG = 5000, MS = 1000000 };
    struct vdriver *v = card(0);
    const struct vsegment s = {AT, HEADER + SHORT}, l = {AT, HEADER + LONG};
    vdriver_interrupts(v);
    vdriver_expect(v, TX, vdriver_send(v, TX, &s, 1), 0); /* though it could see */
    g_assert_cmpuint(vdriver_interrupts(v), ==, 0);
    bench_step(v->bench, MS);
    g_assert_cmpuint(vdriver_interrupts(v), ==, 1);
    bench_step(v->bench, 10 * MS);
    for (unsigned i = 0; i < VDRIVER_SIZE / 4; i++) {
        g_assert_cmpuint(vdriver_interrupts(v), ==, 0);
        vdriver_send(v, TX, &s, 1);
    }
    g_assert_cmpuint(vdriver_interrupts(v), ==, 1);
    bench_step(v->bench, 10 * MS);
    g_assert_cmpuint(vdriver_interrupts(v), ==, 0);
    vdriver_send(v, TX, &l, 1);
    g_assert_cmpuint(vdriver_interrupts(v), ==, 1);
    vdriver_free(v);
}

/* What the header says of a frame, and whether it goes out. */
static void offloads(void)
{
    static const struct {
        uint8_t header[10], data_offset;
        bool good;
        uint8_t segments;
        uint16_t header_bytes;
    } tries[] = {
        {{1, 0, 0, 0, 0, 0, 34, 0, 16, 0}, 0x50, true, 0, 0},
        {{1, 1, 0xff, 0xff, 100, 0, 34, 0, 16, 0}, 0x50, true, NET_TSO4, 54},
        {{1, 4, 0, 0, 100, 0, 34, 0, 16, 0}, 0x80, true, NET_TSO6, 66},
        {{1, 1, 0, 0, 100, 0, 34, 0, 16, 0}, 0x40, false, 0, 0},    /* TCP's header shorter than it can be */
        {{1, 1, 0, 0, 0, 0, 34, 0, 16, 0}, 0x50, false, 0, 0},      /* segments of nothing */
        {{0, 1, 0, 0, 100, 0, 34, 0, 16, 0}, 0x50, false, 0, 0},    /* to be cut up, but no sum */
        {{1, 3, 0, 0, 100, 0, 34, 0, 16, 0}, 0x50, false, 0, 0},    /* UDP was not agreed on */
        {{1, 0x81, 0, 0, 100, 0, 34, 0, 16, 0}, 0x50, false, 0, 0}, /* nor was ECN */
        {{1, 0, 0, 0, 0, 0, 0x2b, 1, 0, 0}, 0x50, false, 0, 0},     /* the sum beyond the end: 299 + 2 */
        {{1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, 0x50, false, 0, 0},
        {{1, 1, 0, 0, 100, 0, 0x20, 1, 0, 0}, 0xf0, false, 0, 0},
    };
    struct vdriver *v = card(SUMS);
    for (unsigned i = 0; i < G_N_ELEMENTS(tries); i++) {
        struct net_offload left;
        memcpy(vdriver_ram(v, AT), tries[i].header, 10);
        make_frame(vdriver_ram(v, AT + HEADER), 300, 0x52, 0x33);
        *vdriver_ram(v, AT + HEADER + 34 + 12) = tries[i].data_offset;
        uint16_t id = vdriver_send(v, TX, &(struct vsegment){AT, HEADER + 300}, 1);
        vdriver_expect(v, TX, id, 0);
        g_autoptr(GBytes) sent = bench_frame_sent(v->device, &left);
        g_assert_cmpint(sent != NULL, ==, tries[i].good);
        if (!sent)
            continue;
        g_assert_true(left.checksum && left.checksum_start == 34 && left.checksum_offset == 16);
        g_assert_cmpuint(left.segments, ==, tries[i].segments);
        if (left.segments)
            g_assert_true(left.header_bytes == tries[i].header_bytes && left.segment_bytes == 100);
    }
    vdriver_free(v);
}

static void short_chains(void)
{
    struct vdriver *v = card(0);
    for (unsigned bytes = 0; bytes <= HEADER + 14; bytes++) {
        vdriver_expect(v, TX, vdriver_send(v, TX, &(struct vsegment){AT, bytes}, 1), 0);
        g_autoptr(GBytes) sent = bench_frame_sent(v->device, NULL);
        g_assert_cmpint(sent != NULL, ==, bytes == HEADER + 14);
    }
    g_assert_cmphex(vdriver_status(v) & VIRTIO_NEEDS_RESET, ==, 0);
    vdriver_free(v);
}

static void add_buffers(struct vdriver *v, unsigned count, unsigned bytes)
{
    for (unsigned i = 0; i < count; i++)
        vdriver_add(v, RX, &(struct vsegment){AT + i * 4096, bytes, VIRTQ_WRITE}, 1);
    vdriver_kick(v, RX);
}

static void receives(const void *features)
{
    struct vdriver *v = card(GPOINTER_TO_SIZE(features));
    uint8_t frame[1000];
    make_frame(frame, sizeof frame, 0x52, 0x33);
    for (unsigned i = 0; i < 40; i++) {
        add_buffers(v, 1, 2048);
        g_assert_true(bench_deliver(v->device, frame, sizeof frame));
        bench_step(v->bench, 1000);
        uint16_t id;
        uint32_t n;
        g_assert_true(vdriver_used(v, RX, &id, &n));
        g_assert_cmpuint(n, ==, HEADER + sizeof frame);
        g_assert_cmpmem(vdriver_ram(v, AT + HEADER), sizeof frame, frame, sizeof frame);
        g_assert_cmpuint(get_le16(vdriver_ram(v, AT + 10)), ==, 1);
        g_assert_cmpuint(*vdriver_ram(v, AT), ==, 0);
        g_assert_cmpuint(vdriver_interrupts(v), ==, 1);
    }
    vdriver_free(v);
}

/* Over several buffers; one that has too few waits until there are enough, and nobody sees a part of it before. */
static void merges(const void *packed)
{
    struct vdriver *v = card(MERGE | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0));
    uint8_t frame[1000], got[1000];
    uint16_t id;
    uint32_t n;
    make_frame(frame, sizeof frame, 0x52, 0x33);
    add_buffers(v, 2, 300);
    g_assert_true(bench_deliver(v->device, frame, sizeof frame));
    bench_step(v->bench, 1000);
    g_assert_false(vdriver_used(v, RX, &id, &n));
    g_assert_cmpuint(bench_frames_waiting(v->device), ==, 1);
    vdriver_save_load(v);
    vdriver_add(v, RX, &(struct vsegment){AT + 2 * 4096, 300, VIRTQ_WRITE}, 1);
    vdriver_add(v, RX, &(struct vsegment){AT + 3 * 4096, 300, VIRTQ_WRITE}, 1);
    vdriver_kick(v, RX);
    bench_step(v->bench, 1000);
    for (unsigned i = 0, at = 0; i < 4; i++) {
        g_assert_true(vdriver_used(v, RX, &id, &n));
        unsigned skip = i ? 0 : HEADER;
        memcpy(got + at, vdriver_ram(v, AT + i * 4096 + skip), n - skip);
        at += n - skip;
        g_assert_cmpuint(at, ==, i < 3 ? (i + 1) * 300 - HEADER : sizeof frame);
    }
    g_assert_cmpmem(got, sizeof got, frame, sizeof frame);
    g_assert_cmpuint(get_le16(vdriver_ram(v, AT + 10)), ==, 4);
    g_assert_cmpuint(bench_frames_waiting(v->device), ==, 0);
    vdriver_free(v);
}

/* What can never fit is dropped, and the next one comes in. */
static void too_long(void)
{
    struct vdriver *v = card(0);
    uint8_t frame[1000];
    uint16_t id;
    uint32_t n;
    make_frame(frame, sizeof frame, 0x52, 0x33);
    add_buffers(v, 1, 500);
    bench_deliver(v->device, frame, sizeof frame);
    bench_deliver(v->device, frame, 400);
    bench_step(v->bench, 1000);
    g_assert_true(vdriver_used(v, RX, &id, &n));
    g_assert_cmpuint(n, ==, HEADER + 400);
    vdriver_free(v);
}

static uint8_t control(struct vdriver *v, const void *data, unsigned bytes)
{
    memcpy(vdriver_ram(v, AT + 0x100000), data, bytes);
    *vdriver_ram(v, AT + 0x110000) = 0xee;
    const struct vsegment s[] = {{AT + 0x100000, bytes}, {AT + 0x110000, 1, VIRTQ_WRITE}};
    vdriver_expect(v, CTRL, vdriver_send(v, CTRL, s, 2), 1);
    return *vdriver_ram(v, AT + 0x110000);
}

/* Does a frame to that address come in? */
static bool comes_in(struct vdriver *v, uint8_t to0, uint8_t to5)
{
    uint8_t frame[100];
    uint16_t id;
    uint32_t n;
    make_frame(frame, sizeof frame, to0, to5);
    if (to0 == 0xff)
        memset(frame, 0xff, 6);
    add_buffers(v, 1, 2048);
    bench_deliver(v->device, frame, sizeof frame);
    bench_step(v->bench, 1000);
    if (vdriver_used(v, RX, &id, &n))
        return true;
    make_frame(frame, sizeof frame, 0x52, 0x33); /* takes the buffer */
    bench_deliver(v->device, frame, sizeof frame);
    bench_step(v->bench, 1000);
    g_assert_true(vdriver_used(v, RX, &id, &n));
    return false;
}

static void filters(void)
{
    struct vdriver *v = card(CONTROL);
    uint8_t table[] = {1, 0, 1, 0, 0, 0, 0x52, 0x54, 0, 0x11, 0x22, 0x77, 1, 0, 0, 0, 0x01, 0x54, 0, 0x11, 0x22, 5};
    g_assert_true(comes_in(v, 0x52, 0x99)); /* at first all do */
    g_assert_cmpuint(control(v, "\0\0\0", 3), ==, 0);
    g_assert_false(comes_in(v, 0x52, 0x99));
    g_assert_true(comes_in(v, 0x52, 0x33) && comes_in(v, 0xff, 0xff));
    g_assert_false(comes_in(v, 0x01, 5));
    g_assert_cmpuint(control(v, table, sizeof table), ==, 0);
    g_assert_true(comes_in(v, 0x52, 0x77) && comes_in(v, 0x01, 5));
    g_assert_false(comes_in(v, 0x01, 6) || comes_in(v, 0x52, 0x78));
    vdriver_save_load(v);
    g_assert_true(comes_in(v, 0x01, 5));
    g_assert_false(comes_in(v, 0x01, 6));
    g_assert_cmpuint(control(v, "\0\1\1", 3), ==, 0); /* all multicast */
    g_assert_true(comes_in(v, 0x01, 6));
    g_assert_cmpuint(control(v, "\0\3\1", 3), ==, 0); /* none */
    g_assert_false(comes_in(v, 0x01, 5));
    g_assert_cmpuint(control(v, "\1\1RT\0\x11\x22\x44", 8), ==, 0); /* another address */
    g_assert_cmphex(vdriver_config(v, 5, 1), ==, 0x44);
    g_assert_cmpuint(control(v, "\0\0\1", 3), ==, 0);
    vdriver_free(v);
}

static void refuses_commands(void)
{
    static const struct {
        const char *data;
        unsigned bytes;
    } bad[] = {{"", 0},           {"\0", 1},         {"\0\0", 2},
               {"\0\6\0", 3},     {"\5\0\0", 3},     {"\1\0\xff\xff\xff\xff", 6},
               {"\1\0\1\0\0", 5}, {"\1\1\0\0\0", 5}, {"\2\0\0\x10", 4},
               {"\2\2\0\0", 4},   {"\3\0", 2},       {"\4\0\1\0", 4},
               {"\1\2\0\0", 4},   {"\xff\xff\1", 3}, {"\1\0\0\0\0\0\1\0\0\0", 10}};
    struct vdriver *v = card(CONTROL);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_cmpuint(control(v, bad[i].data, bad[i].bytes), ==, 1);
    vdriver_free(v);
}

static void vlans(void)
{
    struct vdriver *v = card(CONTROL);
    for (unsigned round = 0; round < 3; round++) {
        uint8_t frame[100];
        uint16_t id;
        uint32_t n;
        make_frame(frame, sizeof frame, 0x52, 0x33);
        put_be16(frame + 12, 0x8100);
        put_be16(frame + 14, 0x6000 | 7);
        add_buffers(v, 1, 2048);
        bench_deliver(v->device, frame, sizeof frame);
        bench_step(v->bench, 1000);
        g_assert_cmpint(vdriver_used(v, RX, &id, &n), ==, round == 1);
        if (round < 2)
            g_assert_cmpuint(control(v, round ? "\2\1\7\0" : "\2\0\7\0", 4), ==, 0);
    }
    vdriver_free(v);
}

static void link_state(void)
{
    struct vdriver *v = card(BIT(NET_F_STATUS) | BIT(NET_F_GUEST_ANNOUNCE) | CONTROL);
    g_assert_cmphex(vdriver_config(v, 6, 2), ==, 1);
    bench_cable(v->device, false);
    g_assert_cmphex(vdriver_config(v, 6, 2), ==, 0);
    g_assert_cmpuint(vdriver_interrupts(v), ==, 1);
    bench_cable(v->device, true);
    g_assert_cmphex(vdriver_config(v, 6, 2), ==, 3); /* announce yourself */
    g_assert_cmpuint(control(v, "\3\0", 2), ==, 0);
    g_assert_cmphex(vdriver_config(v, 6, 2), ==, 1);
    vdriver_free(v);
}

static void legacy(void)
{
    struct vdriver *v = card(0);
    uint8_t frame[100];
    vdriver_start(v, BIT(NET_F_MAC), 2);
    make_frame(frame, sizeof frame, 0x52, 0x33);
    memcpy(vdriver_ram(v, AT + 10), frame, sizeof frame); /* its header is shorter */
    vdriver_expect(v, TX, vdriver_send(v, TX, &(struct vsegment){AT, 10 + sizeof frame}, 1), 0);
    sent_is(v, frame, sizeof frame, NULL);
    add_buffers(v, 1, 2048);
    bench_deliver(v->device, frame, sizeof frame);
    bench_step(v->bench, 1000);
    vdriver_expect(v, RX, 0, 10 + sizeof frame);
    g_assert_cmpmem(vdriver_ram(v, AT + 10), sizeof frame, frame, sizeof frame);
    bench_out(v->bench, 0xc000 + 20 + 5, 1, 0x55); /* its address it sets in the configuration */
    g_assert_cmphex(vdriver_config(v, 5, 1), ==, 0x55);
    vdriver_free(v);
}

/* Frames of one connection stay on one queue, and both are used. */
static void several_queues(void)
{
    struct vdriver *v =
        vdriver_new("nic8", "nic8.queues=2 nic8.rom=off", VDRIVER_BASIC | BIT(NET_F_MQ) | BIT(NET_F_CTRL_VQ), 5);
    unsigned seen[2] = {0};
    g_assert_cmpuint(vdriver_config(v, 8, 2), ==, 2);
    memcpy(vdriver_ram(v, AT + 0x100000), "\4\0\2\0", 4);
    const struct vsegment s[] = {{AT + 0x100000, 4}, {AT + 0x110000, 1, VIRTQ_WRITE}};
    vdriver_expect(v, 4, vdriver_send(v, 4, s, 2), 1);
    g_assert_cmpuint(*vdriver_ram(v, AT + 0x110000), ==, 0);
    for (unsigned i = 0; i < VDRIVER_SIZE; i++)
        for (unsigned q = 0; q < 4; q += 2)
            vdriver_send(v, q, &(struct vsegment){AT + i * 8192 + q * 2048, 2048, VIRTQ_WRITE}, 1);
    for (unsigned i = 0, last = 0; i < VDRIVER_SIZE; i++) {
        uint8_t frame[100] = {[12] = 8, [14] = 0x45, [23] = 6, [37] = i / 2};
        uint16_t id;
        uint32_t n;
        bench_deliver(v->device, frame, sizeof frame);
        bench_step(v->bench, 1000);
        unsigned at = vdriver_used(v, 0, &id, &n) ? 0 : 1;
        g_assert_true(at == 0 || vdriver_used(v, 2, &id, &n));
        g_assert_true(i % 2 == 0 || at == last);
        last = at;
        seen[at]++;
    }
    g_assert_true(seen[0] && seen[1]);
    vdriver_free(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/virtio/net/sends/split", GSIZE_TO_POINTER(0), sends);
    g_test_add_data_func("/virtio/net/sends/packed", GSIZE_TO_POINTER(BIT(VIRTIO_F_RING_PACKED)), sends);
    g_test_add_data_func("/virtio/net/receives/split", GSIZE_TO_POINTER(0), receives);
    g_test_add_data_func("/virtio/net/receives/merge", GSIZE_TO_POINTER(MERGE), receives);
    g_test_add_data_func("/virtio/net/receives/packed", GSIZE_TO_POINTER(BIT(VIRTIO_F_RING_PACKED)), receives);
    g_test_add_data_func("/virtio/net/merges/split", NULL, merges);
    g_test_add_data_func("/virtio/net/merges/packed", "packed", merges);
    g_test_add_data_func("/virtio/net/full/split", GSIZE_TO_POINTER(0), full);
    g_test_add_data_func("/virtio/net/full/packed", GSIZE_TO_POINTER(BIT(VIRTIO_F_RING_PACKED)), full);
    g_test_add_func("/virtio/net/tells-later", tells_later);
    g_test_add_func("/virtio/net/offloads", offloads);
    g_test_add_func("/virtio/net/short-chains", short_chains);
    g_test_add_func("/virtio/net/too-long", too_long);
    g_test_add_func("/virtio/net/filters", filters);
    g_test_add_func("/virtio/net/refuses-commands", refuses_commands);
    g_test_add_func("/virtio/net/vlans", vlans);
    g_test_add_func("/virtio/net/link", link_state);
    g_test_add_func("/virtio/net/legacy", legacy);
    g_test_add_func("/virtio/net/several-queues", several_queues);
    return g_test_run();
}
