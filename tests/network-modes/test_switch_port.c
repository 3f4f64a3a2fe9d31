// SPDX-License-Identifier: GPL-2.0-or-later
/* test_switch_port.c - what reaches whom by policy; limits, loss and delay; captures, also as tshark reads them. */
#include "core-vmm/base/bytes.h"
#include "network-modes/switch_port.h"
#include "tests/network-modes/frames.h"
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct rig {
    struct switch_port *port;
    struct station mode, card;
};

static void to_mode(void *ctx, void *frame, size_t bytes, const struct net_offload *left)
{
    station_frame(&((struct rig *)ctx)->mode, frame, bytes, left);
}

static void to_card(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    station_frame(&((struct rig *)ctx)->card, frame, bytes, left);
}

static struct port_settings settings(void)
{
    struct port_settings s = {.promiscuous = false, .spoof = true};
    frame_address(s.mac, 1);
    return s;
}

static void rig_open(struct rig *r, const struct port_settings *s, struct port_group *group)
{
    memset(r, 0, sizeof *r);
    r->port = switch_port_new(&(struct port_sides){to_mode, to_card, r});
    switch_port_set(r->port, s, group);
}

static void from_card(struct rig *r, unsigned to, unsigned from)
{
    uint8_t frame[FRAME_TEST_BYTES];
    frame_make(frame, to, from, 0);
    switch_port_from_card(r->port, frame, sizeof frame, NULL);
}

static void from_mode(struct rig *r, unsigned to, unsigned from)
{
    uint8_t frame[FRAME_TEST_BYTES];
    frame_make(frame, to, from, 0);
    switch_port_from_mode(r->port, frame, sizeof frame, NULL);
}

/* ---- policy ---- */

static void test_promiscuous(void)
{
    struct port_settings s = settings();
    struct rig r;
    rig_open(&r, &s, NULL);
    from_mode(&r, 1, 2);
    from_mode(&r, ALL, 2);
    g_assert_cmpuint(r.card.frames, ==, 2);
    from_mode(&r, 3, 2);
    g_assert_cmpuint(r.card.frames, ==, 2);
    from_card(&r, 2, 3); /* the guest itself has station 3 behind it */
    from_mode(&r, 3, 2);
    g_assert_cmpuint(r.card.frames, ==, 3);
    s.spoof = false; /* it may not: then it is not its own either */
    switch_port_set(r.port, &s, NULL);
    from_mode(&r, 3, 2);
    g_assert_cmpuint(r.card.frames, ==, 3);
    s.promiscuous = true;
    switch_port_set(r.port, &s, NULL);
    from_mode(&r, 3, 2);
    g_assert_cmpuint(r.card.frames, ==, 4);
    struct port_counts c;
    switch_port_count(r.port, &c);
    g_assert_cmpuint(c.foreign, ==, 2);
    switch_port_free(r.port);
}

static void test_spoof(void)
{
    struct port_settings s = settings();
    struct port_counts c;
    struct rig r;
    rig_open(&r, &s, NULL);
    from_card(&r, 2, 9);
    g_assert_cmpuint(r.mode.frames, ==, 1);
    s.spoof = false;
    switch_port_set(r.port, &s, NULL);
    from_card(&r, 2, 9);
    from_card(&r, 2, 1);
    g_assert_cmpuint(r.mode.frames, ==, 2);
    switch_port_count(r.port, &c);
    g_assert_cmpuint(c.spoofed, ==, 1);
    switch_port_free(r.port);
}

/* ---- limits: time is the test's ---- */

static double rate(struct shaper *s, unsigned bytes, int64_t seconds, unsigned *full)
{
    int64_t now = s->last + 1000000, at, end = now + seconds * 1000000;
    uint64_t sent = 0;
    *full = 0;
    for (; now < end; now += 100) { /* ten thousand frames a second are offered */
        enum shaped how = shaper_pass(s, now, bytes, &at);
        sent += how == SHAPED_GOES && at < end ? bytes : 0;
        *full += how == SHAPED_FULL;
    }
    return sent * 8.0 / seconds;
}

static void test_limit(void)
{
    struct shaper s = {0};
    unsigned full;
    for (uint64_t bits = 1000000; bits <= 64000000; bits *= 4) {
        shaper_set(&s, &(struct shaper_settings){.bits = bits}, NULL);
        double got = rate(&s, 1500, 60, &full);
        g_test_message("%" G_GUINT64_FORMAT " bit/s asked, %.0f had", bits, got);
        g_assert_cmpfloat(got, <, bits * 1.03);
        g_assert_cmpfloat(got, >, bits * 0.98);
        g_assert_cmpuint(full, >, 0);
    }
    shaper_set(&s, &(struct shaper_settings){0}, NULL);
    g_assert_cmpfloat(rate(&s, 1500, 1, &full), ==, 120000000);
}

/* Two cards of a group have its limit together; one that has a lower one of its own keeps to that. */
static void test_group(void)
{
    struct bucket group = {.bits = 10000000};
    struct shaper s[2] = {{.last = 0}};
    uint64_t sent[2] = {0};
    int64_t at;
    shaper_set(&s[0], &(struct shaper_settings){0}, &group);
    shaper_set(&s[1], &(struct shaper_settings){.bits = 2000000}, &group);
    for (int64_t now = 1000000; now < 31000000; now += 100)
        for (unsigned i = 0; i < 2; i++)
            sent[i] += shaper_pass(&s[i], now, 1500, &at) == SHAPED_GOES && at < 31000000 ? 1500 * 8 : 0;
    double both = (sent[0] + sent[1]) / 30.0, slow = sent[1] / 30.0;
    g_assert_cmpfloat(both, <, 10400000);
    g_assert_cmpfloat(both, >, 9800000);
    g_assert_cmpfloat(slow, <, 2100000);
}

static void test_loss(void)
{
    const struct shaper_settings set = {.loss = 100000, .seed = 7};
    struct shaper a = {0}, b = {0};
    unsigned lost = 0;
    int64_t at;
    shaper_set(&a, &set, NULL);
    shaper_set(&b, &set, NULL);
    for (unsigned i = 0; i < 100000; i++) {
        enum shaped how = shaper_pass(&a, i, 100, &at);
        g_assert_cmpint(shaper_pass(&b, i, 100, &at), ==, how);
        lost += how == SHAPED_LOST;
    }
    g_assert_cmpuint(lost, >, 9500);
    g_assert_cmpuint(lost, <, 10500);
}

static void test_delay(void)
{
    struct shaper s = {0};
    int64_t at, before = 0;
    bool differs = false;
    shaper_set(&s, &(struct shaper_settings){.delay_us = 50000, .jitter_us = 10000, .seed = 3}, NULL);
    for (int64_t now = 1000; now < 100000000; now += 30000) {
        g_assert_cmpint(shaper_pass(&s, now, 100, &at), ==, SHAPED_GOES);
        g_assert_cmpint(at - now, >=, 40000);
        g_assert_cmpint(at - now, <=, 60000);
        g_assert_cmpint(at, >=, before); /* no overtaking */
        differs |= at - before != 30000;
        before = at;
    }
    g_assert_true(differs);
}

/* The same with a clock that goes: frames wait, and come in order. */
static void test_waiting(void)
{
    struct port_settings s = settings();
    struct rig r;
    s.shape.delay_us = 30000;
    rig_open(&r, &s, NULL);
    gint64 begin = g_get_monotonic_time();
    for (unsigned i = 0; i < 3; i++)
        from_card(&r, 10 + i, 1);
    g_assert_cmpuint(r.mode.frames, ==, 0);
    loop_until(&r.mode.frames, 3);
    g_assert_cmpuint(r.mode.frames, ==, 3);
    g_assert_cmpuint(r.mode.last[5], ==, 12);
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 30000);
    from_card(&r, 2, 1);
    switch_port_drop(r.port);
    g_usleep(35000);
    loop_quiet();
    g_assert_cmpuint(r.mode.frames, ==, 3);
    from_card(&r, 2, 1); /* what waits goes with the port */
    switch_port_free(r.port);
}

/* ---- captures ---- */

/* Ethernet, IPv4 and TCP or UDP around a payload, as a driver with offloads leaves them: no sums but the pseudo header's. */
static size_t packet(uint8_t *f, unsigned protocol, size_t payload)
{
    size_t head = protocol == 6 ? 20 : 8, bytes = 34 + head + payload;
    static const uint8_t to[] = {10, 0, 0, 2}, from[] = {10, 0, 0, 1};
    memset(f, 'x', bytes);
    frame_address(f, 2);
    frame_address(f + 6, 1);
    put_be16(f + 12, 0x800);
    memset(f + 14, 0, 20 + head);
    f[14] = 0x45;
    put_be16(f + 16, bytes - 14);
    f[22] = 64;
    f[23] = protocol;
    memcpy(f + 26, from, 4);
    memcpy(f + 30, to, 4);
    uint32_t sum = 0;
    for (unsigned i = 14; i < 34; i += 2)
        sum += get_be16(f + i);
    put_be16(f + 24, ~(uint16_t)((sum & 0xffff) + (sum >> 16)));
    put_be16(f + 34, 5001);
    put_be16(f + 36, 5002);
    sum = get_be16(f + 26) + get_be16(f + 28) + get_be16(f + 30) + get_be16(f + 32) + protocol + head + payload;
    put_be16(f + (protocol == 6 ? 50 : 40), (sum & 0xffff) + (sum >> 16));
    if (protocol == 6) {
        f[46] = 5 << 4;
        f[47] = 0x18;
        put_be16(f + 48, 65535);
    } else {
        put_be16(f + 38, head + payload);
    }
    return bytes;
}

static char *capture_file(unsigned *frames)
{
    static uint8_t f[NET_FRAME_MOST];
    char *path = g_strdup_printf("%s/capture-XXXXXX.pcapng", g_get_tmp_dir());
    struct port_settings s = settings();
    g_autoptr(GError) error = NULL;
    uint64_t count, missed;
    struct rig r;
    int fd = g_mkstemp(path);
    rig_open(&r, &s, NULL);
    g_assert_true(switch_port_capture(r.port, dup(fd), "box nic1", &error));
    g_assert_false(switch_port_capture(r.port, dup(fd), "box nic1", &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_BUSY);
    size_t n = packet(f, 17, 101);
    switch_port_from_card(r.port, f, n, &(struct net_offload){true, 34, 6});
    n = packet(f, 6, 501);
    frame_address(f, 1);
    switch_port_from_mode(r.port, f, n, &(struct net_offload){true, 34, 16});
    n = packet(f, 6, 60000);
    switch_port_from_card(r.port, f, n, &(struct net_offload){true, 34, 16, NET_TSO4, 1460, 54});
    from_card(&r, ALL, 1);
    from_mode(&r, 7, 2); /* does not reach the card */
    g_assert_true(switch_port_captures(r.port, &count, &missed));
    switch_port_capture_stop(r.port);
    g_assert_cmpuint(missed, ==, 0);
    g_assert_cmpuint(count, ==, 1 + 1 + 42 + 1);
    from_card(&r, ALL, 1);
    *frames = count;
    switch_port_free(r.port);
    close(fd);
    return path;
}

/* Walks the blocks: types, lengths, directions. */
static void test_capture(void)
{
    unsigned frames, seen = 0, inbound = 0;
    g_autofree char *path = capture_file(&frames), *data = NULL;
    gsize n;
    g_assert_true(g_file_get_contents(path, &data, &n, NULL));
    g_assert_cmpuint(get_le32(data), ==, 0x0a0d0d0a);
    for (gsize at = 0; at < n; at += get_le32(data + at + 4)) {
        uint32_t type = get_le32(data + at), bytes = get_le32(data + at + 4);
        g_assert_cmpuint(bytes, <=, n - at);
        g_assert_cmpuint(get_le32(data + at + bytes - 4), ==, bytes);
        seen += type == 6;
        inbound += type == 6 && get_le32(data + at + bytes - 12) == 1;
    }
    g_assert_cmpuint(seen, ==, frames);
    g_assert_cmpuint(inbound, ==, 1);
    g_unlink(path);
}

static char *tshark(const char *path, const char *filter)
{
    const char *argv[] = {"tshark", "-n",
                          "-r",     path,
                          "-o",     "ip.check_checksum:TRUE",
                          "-o",     "tcp.check_checksum:TRUE",
                          "-o",     "udp.check_checksum:TRUE",
                          "-Y",     filter,
                          "-T",     "fields",
                          "-e",     "frame.number",
                          NULL};
    g_autoptr(GError) error = NULL;
    char *out = NULL, *err = NULL;
    int status;
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error);
    g_assert_no_error(error);
    if (status)
        g_test_message("tshark: %s", err);
    g_assert_cmpint(status, ==, 0);
    g_free(err);
    return out;
}

static void test_tshark(void)
{
    unsigned frames, lines = 0;
    g_autofree char *program = g_find_program_in_path("tshark");
    if (!program) {
        g_test_skip("tshark is not installed");
        return;
    }
    g_autofree char *path = capture_file(&frames);
    g_autofree char *wrong = tshark(path, "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || "
                                          "udp.checksum.status == 0");
    g_autofree char *right = tshark(path, "tcp.checksum.status == 1 || udp.checksum.status == 1");
    g_assert_cmpstr(wrong, ==, "");
    for (const char *at = right; (at = strchr(at, '\n')); at++)
        lines++;
    g_assert_cmpuint(lines, ==, frames - 1);
    g_unlink(path);
}

/* A pipe that nobody reads: frames are missed, and what comes after is whole again. */
static void test_pipe(void)
{
    struct port_settings s = settings();
    g_autoptr(GError) error = NULL;
    uint64_t count, missed;
    struct rig r;
    int ends[2];
    uint32_t head[2];
    unsigned packets = 0;
    g_assert_cmpint(pipe(ends), ==, 0);
    rig_open(&r, &s, NULL);
    g_assert_true(switch_port_capture(r.port, ends[1], "box nic1", &error));
    for (unsigned i = 0; i < 2000; i++)
        from_card(&r, ALL, 1);
    g_assert_cmpuint(r.mode.frames, ==, 2000);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    for (unsigned turn = 0; turn < 2; turn++) {
        while (read(ends[0], head, sizeof head) == sizeof head) {
            g_autofree uint8_t *rest = g_malloc(head[1]);
            size_t most = head[1] - sizeof head;
            ssize_t n = read(ends[0], rest, most);
            if (n >= 0 && n < (ssize_t)most) { /* what it had no room for comes with the next frame */
                from_card(&r, ALL, 1);
                n += read(ends[0], rest + n, most - n);
            }
            g_assert_cmpint(n, ==, most);
            packets += head[0] == 6;
        }
        from_card(&r, ALL, 1);
    }
    g_assert_true(switch_port_captures(r.port, &count, &missed));
    switch_port_capture_stop(r.port);
    while (read(ends[0], head, sizeof head) == sizeof head) {
        g_autofree uint8_t *rest = g_malloc(head[1]);
        g_assert_cmpint(read(ends[0], rest, head[1] - sizeof head), ==, head[1] - sizeof head);
        packets += head[0] == 6;
    }
    g_assert_cmpuint(packets, ==, count);
    g_assert_cmpuint(missed, >, 0);
    close(ends[0]);
    switch_port_free(r.port);
}

static unsigned packets_in(const char *path)
{
    g_autofree char *data = NULL;
    unsigned packets = 0;
    gsize n;
    g_assert_true(g_file_get_contents(path, &data, &n, NULL));
    for (gsize at = 0; at < n; at += get_le32(data + at + 4)) {
        g_assert_cmpuint(n - at, >=, 12);
        g_assert_cmpuint(get_le32(data + at + 4), <=, n - at);
        packets += get_le32(data + at) == 6;
    }
    return packets;
}

static void limit_files(rlim_t bytes)
{
    struct rlimit l;
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &l), ==, 0);
    l.rlim_cur = bytes;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &l), ==, 0);
}

/* A disk that is full, as files may be no longer: the file has whole blocks at any time, and goes on when there is room. */
static void test_full(void)
{
    g_autofree char *path = g_strdup_printf("%s/capture-XXXXXX.pcapng", g_get_tmp_dir());
    struct port_settings s = settings();
    uint64_t count, missed, then;
    struct rig r;
    signal(SIGXFSZ, SIG_IGN);
    rig_open(&r, &s, NULL);
    g_assert_true(switch_port_capture(r.port, g_mkstemp(path), "box nic1", NULL));
    limit_files(2000);
    for (unsigned i = 0; i < 100; i++)
        from_card(&r, ALL, 1);
    limit_files(RLIM_INFINITY);
    g_assert_cmpuint(r.mode.frames, ==, 100);
    g_assert_true(switch_port_captures(r.port, &count, &missed));
    g_assert_cmpuint(count + missed, ==, 100);
    g_assert_cmpuint(missed, >, 0);
    g_assert_cmpuint(packets_in(path), ==, count);
    from_card(&r, ALL, 1);
    g_assert_true(switch_port_captures(r.port, &then, &missed));
    g_assert_cmpuint(then, ==, count + 1);
    g_assert_cmpuint(packets_in(path), ==, then);
    switch_port_free(r.port);
    g_unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/switch/promiscuous", test_promiscuous);
    g_test_add_func("/net/switch/spoof", test_spoof);
    g_test_add_func("/net/switch/limit", test_limit);
    g_test_add_func("/net/switch/group", test_group);
    g_test_add_func("/net/switch/loss", test_loss);
    g_test_add_func("/net/switch/delay", test_delay);
    g_test_add_func("/net/switch/waiting", test_waiting);
    g_test_add_func("/net/switch/capture", test_capture);
    g_test_add_func("/net/switch/tshark", test_tshark);
    g_test_add_func("/net/switch/pipe", test_pipe);
    g_test_add_func("/net/switch/full", test_full);
    return g_test_run();
}
