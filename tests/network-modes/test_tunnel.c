// SPDX-License-Identifier: GPL-2.0-or-later
/* test_tunnel.c - the UDP tunnel between two ends on this host; what others send to its port. */
#include "network-modes/tunnel.h"
#include "tests/network-modes/frames.h"
#include <arpa/inet.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void take(void *ctx, const void *frame, size_t bytes)
{
    station_frame(ctx, frame, bytes, NULL);
}

/* Ports that are free now. */
static void free_ports(int family, unsigned *a, unsigned *b)
{
    unsigned *out[] = {a, b};
    int fd[2];
    for (unsigned i = 0; i < 2; i++) {
        struct sockaddr_in6 s = {.sin6_family = family};
        socklen_t n = sizeof s;
        fd[i] = socket(family, SOCK_DGRAM, 0);
        g_assert_cmpint(bind(fd[i], (struct sockaddr *)&s, family == AF_INET ? sizeof(struct sockaddr_in) : n), ==, 0);
        g_assert_cmpint(getsockname(fd[i], (struct sockaddr *)&s, &n), ==, 0);
        *out[i] = ntohs(s.sin6_port); /* at the same place in both families */
    }
    close(fd[0]);
    close(fd[1]);
}

static void test_both_ends(const void *host)
{
    struct station left = {0}, right = {0};
    uint8_t frame[FRAME_TEST_BYTES];
    g_autoptr(GError) error = NULL;
    unsigned a, b;
    free_ports(strchr(host, '[') ? AF_INET6 : AF_INET, &a, &b);
    g_autofree char *to_a = g_strdup_printf("%s:%u", (const char *)host, a);
    g_autofree char *to_b = g_strdup_printf("%s:%u", (const char *)host, b);
    struct tunnel *l = tunnel_open(a, to_b, take, &left, &error);
    g_assert_no_error(error);
    frame_make(frame, ALL, 1, 0);
    for (unsigned i = 0; i < 3; i++) /* nobody there yet */
        tunnel_send(l, frame, sizeof frame);
    loop_quiet();
    struct tunnel *r = tunnel_open(b, to_a, take, &right, &error);
    g_assert_no_error(error);
    tunnel_send(l, frame, sizeof frame); /* may still hear that nobody was there */
    tunnel_send(l, frame, sizeof frame);
    loop_until(&right.frames, 1);
    g_assert_cmpuint(right.frames, >=, 1);
    g_assert_cmpmem(right.last, right.bytes, frame, sizeof frame);
    static uint8_t big[9000];
    frame_make(big, 1, 2, 0);
    tunnel_send(r, big, sizeof big);
    loop_until(&left.frames, 1);
    g_assert_cmpuint(left.frames, ==, 1);
    g_assert_cmpmem(left.last, left.bytes, big, sizeof big);
    tunnel_close(l);
    tunnel_close(r);
}

static void test_wrong_sender(void)
{
    struct station s = {0};
    struct tunnel_counts c;
    g_autoptr(GError) error = NULL;
    uint8_t frame[FRAME_TEST_BYTES];
    unsigned a, b;
    free_ports(AF_INET, &a, &b);
    g_autofree char *peer = g_strdup_printf("127.0.0.1:%u", b);
    struct tunnel *t = tunnel_open(a, peer, take, &s, &error);
    g_assert_no_error(error);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(a), .sin_addr = {htonl(INADDR_LOOPBACK)}},
                       from = {.sin_family = AF_INET, .sin_port = htons(b), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int stranger = socket(AF_INET, SOCK_DGRAM, 0), right = socket(AF_INET, SOCK_DGRAM, 0);
    g_assert_cmpint(bind(right, (struct sockaddr *)&from, sizeof from), ==, 0);
    frame_make(frame, ALL, 1, 0);
    sendto(stranger, frame, sizeof frame, 0, (struct sockaddr *)&to, sizeof to);
    loop_quiet();
    g_assert_cmpuint(s.frames, ==, 0);
    sendto(right, frame, 13, 0, (struct sockaddr *)&to, sizeof to); /* too short */
    sendto(right, frame, 0, 0, (struct sockaddr *)&to, sizeof to);
    frame[6] = 0xff; /* from everybody */
    sendto(right, frame, sizeof frame, 0, (struct sockaddr *)&to, sizeof to);
    frame[6] = 0x52;
    sendto(right, frame, sizeof frame, 0, (struct sockaddr *)&to, sizeof to);
    loop_until(&s.frames, 1);
    g_assert_cmpuint(s.frames, ==, 1);
    tunnel_count(t, &c);
    g_assert_cmpuint(c.broken, ==, 3);
    g_assert_cmpuint(c.received, ==, 1);
    tunnel_close(t);
    close(stranger);
    close(right);
}

static void test_port_in_use(void)
{
    g_autoptr(GError) error = NULL;
    unsigned a, b;
    free_ports(AF_INET, &a, &b);
    g_autofree char *peer = g_strdup_printf("127.0.0.1:%u", b);
    struct tunnel *t = tunnel_open(a, peer, take, NULL, &error);
    g_assert_no_error(error);
    g_assert_null(tunnel_open(a, peer, take, NULL, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
    g_assert_nonnull(strstr(error->message, "choose another local-port"));
    tunnel_close(t);
}

static void test_addresses(void)
{
    static const char *const bad[] = {"",      ":",      "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:1x",
                                      "::1:5", "[::1:5", "[]:5",      "host:5",      "[127.0.0.1]:5",   "[::1]5"};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(tunnel_open(4000, bad[i], take, NULL, &error));
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/net/tunnel/ipv4", "127.0.0.1", test_both_ends);
    int v6 = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 s = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (v6 >= 0 && !bind(v6, (struct sockaddr *)&s, sizeof s))
        g_test_add_data_func("/net/tunnel/ipv6", "[::1]", test_both_ends);
    g_test_add_func("/net/tunnel/wrong-sender", test_wrong_sender);
    g_test_add_func("/net/tunnel/port-in-use", test_port_in_use);
    g_test_add_func("/net/tunnel/addresses", test_addresses);
    return g_test_run();
}
