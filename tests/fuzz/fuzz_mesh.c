// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_mesh.c - what a hostile member of a network sends: packets, some of them a greeting first, to a member with a card and a
 * second, honest member.  Each input is a connection; a byte pair says how long the next packet is. */
#include "network-modes/mesh.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HELLO = 0x4d, HELLO_BYTES = 36, TURNS = 50 };

static struct {
    struct mesh *mesh[2];
    char *path;
    uint64_t seen;
} rig;

/* As a card would look at it. */
static void look(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    const uint8_t *f = frame;
    g_assert(bytes >= NET_FRAME_LEAST && bytes <= NET_FRAME_MOST && !(f[6] & 1));
    g_assert(!left->checksum || (size_t)left->checksum_start + left->checksum_offset + 2 <= bytes);
    g_assert(!left->segments || (left->segment_bytes && left->header_bytes < bytes));
    for (size_t i = 0; i < bytes; i++)
        rig.seen += f[i];
}

static void rig_close(void)
{
    mesh_leave(rig.mesh[0]);
    mesh_leave(rig.mesh[1]);
    g_rmdir(rig.path);
    g_free(rig.path);
}

static void rig_open(void)
{
    static const struct mesh_end end = {look, NULL};
    rig.path = g_dir_make_tmp("fuzz-mesh-XXXXXX", NULL);
    int folder = open(rig.path, O_PATH | O_DIRECTORY);
    for (unsigned i = 0; i < 2; i++) {
        rig.mesh[i] = mesh_join(folder, NULL);
        g_assert(rig.mesh[i]);
        mesh_plug(rig.mesh[i], &end);
    }
    close(folder);
    atexit(rig_close);
}

static int meet(void)
{
    g_autoptr(GDir) d = g_dir_open(rig.path, 0, NULL);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    g_snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", rig.path, g_dir_read_name(d));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    g_assert(!connect(fd, (struct sockaddr *)&a, sizeof a));
    return fd;
}

static void turn(void)
{
    for (unsigned i = 0; i < TURNS && g_main_context_iteration(NULL, FALSE); i++)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t hello[HELLO_BYTES] = {HELLO, 1};
    if (!rig.path)
        rig_open();
    if (size < 2)
        return 0;
    int fd = meet();
    memset(hello + 4, "0123456789abcdef"[data[0] & 15], 32);
    if (data[0] & 0x10)
        send(fd, hello, sizeof hello, MSG_DONTWAIT);
    for (size_t at = 1; at + 2 <= size;) {
        size_t n = MIN((size_t)(data[at] | data[at + 1] << 8) % 1600, size - at - 2);
        send(fd, data + at + 2, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        at += 2 + n;
        turn();
    }
    close(fd);
    turn();
    struct mesh_counts c;
    mesh_count(rig.mesh[0], &c);
    g_assert(c.members <= 2);
    return 0;
}
