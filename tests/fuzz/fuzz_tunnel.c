// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_tunnel.c - datagrams of a hostile peer of a UDP tunnel, and then what a card's switch port makes of them. */
#include "network-modes/switch_port.h"
#include "network-modes/tunnel.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TURNS = 50 };

static struct {
    struct tunnel *tunnel;
    struct switch_port *port;
    int peer;
    uint64_t seen;
} rig;

static void look(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    for (size_t i = 0; i < bytes; i++)
        rig.seen += ((const uint8_t *)frame)[i];
}

static void drop(void *ctx, void *frame, size_t bytes, const struct net_offload *left)
{
}

static void take(void *ctx, const void *frame, size_t bytes)
{
    g_assert(bytes >= NET_FRAME_LEAST && bytes <= NET_FRAME_MOST);
    switch_port_from_mode(rig.port, frame, bytes, NULL);
}

static unsigned port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    g_assert(!getsockname(fd, (struct sockaddr *)&a, &n));
    return ntohs(a.sin_port);
}

static int bound(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    g_assert(!bind(fd, (struct sockaddr *)&a, sizeof a));
    return fd;
}

static void rig_open(void)
{
    int other = bound();
    unsigned local = port_of(other);
    rig.peer = bound();
    close(other);
    g_autofree char *peer = g_strdup_printf("127.0.0.1:%u", port_of(rig.peer));
    rig.tunnel = tunnel_open(local, peer, take, NULL, NULL);
    g_assert(rig.tunnel);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(local), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    g_assert(!connect(rig.peer, (struct sockaddr *)&to, sizeof to));
    rig.port = switch_port_new(&(struct port_sides){drop, look, NULL});
    g_assert(switch_port_capture(rig.port, open("/dev/null", O_WRONLY), "fuzz", NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig.tunnel)
        rig_open();
    for (size_t at = 0; at + 2 <= size;) {
        size_t n = MIN((size_t)(data[at] | data[at + 1] << 8) % 9000, size - at - 2);
        send(rig.peer, data + at + 2, n, MSG_DONTWAIT);
        at += 2 + n;
    }
    for (unsigned i = 0; i < TURNS && g_main_context_iteration(NULL, FALSE); i++)
        ;
    return 0;
}
