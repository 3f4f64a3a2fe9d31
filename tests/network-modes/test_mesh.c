// SPDX-License-Identifier: GPL-2.0-or-later
/* test_mesh.c - who reaches whom between the members of a network, also when they come, go, die, are slow or lie. */
#include "core-vmm/base/net_wire.h"
#include "network-modes/frame.h"
#include "network-modes/mac_table.h"
#include "network-modes/mesh.h"
#include "tests/network-modes/frames.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MEMBERS = 4, HELLO_BYTES = 36, HELLO_KIND = 0x4d };
struct member {
    struct mesh *mesh;
    struct station station;
    struct mesh_end end;
    unsigned port;
};
struct net {
    char *path;
    int folder;
    struct member m[MEMBERS];
};

static void join(struct net *n, unsigned i)
{
    struct member *m = &n->m[i];
    g_autoptr(GError) error = NULL;
    m->station.frames = 0;
    m->end = (struct mesh_end){station_frame, &m->station};
    m->mesh = mesh_join(n->folder, &error);
    g_assert_no_error(error);
    m->port = mesh_plug(m->mesh, &m->end);
    loop_quiet();
}

static void leave(struct net *n, unsigned i)
{
    mesh_leave(n->m[i].mesh);
    n->m[i].mesh = NULL;
    loop_quiet();
}

static void net_open_test(struct net *n, unsigned members)
{
    memset(n, 0, sizeof *n);
    n->path = g_dir_make_tmp("mesh-XXXXXX", NULL);
    n->folder = open(n->path, O_PATH | O_DIRECTORY);
    for (unsigned i = 0; i < members; i++)
        join(n, i);
}

static unsigned entries(const struct net *n)
{
    g_autoptr(GDir) d = g_dir_open(n->path, 0, NULL);
    unsigned count = 0;
    while (g_dir_read_name(d))
        count++;
    return count;
}

static void net_close_test(struct net *n)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        mesh_leave(n->m[i].mesh);
    g_assert_cmpuint(entries(n), ==, 0);
    close(n->folder);
    g_rmdir(n->path);
    g_free(n->path);
}

static void send_test(struct net *n, unsigned i, unsigned to, unsigned from)
{
    uint8_t frame[FRAME_TEST_BYTES];
    frame_make(frame, to, from, (uint8_t)i);
    mesh_send(n->m[i].mesh, n->m[i].port, frame, sizeof frame, NULL);
    loop_quiet();
}

/* How many frames each has had since it was asked last, as a string of digits. */
static char *had(struct net *n)
{
    static char text[MEMBERS + 1];
    for (unsigned i = 0; i < MEMBERS; i++) {
        text[i] = '0' + MIN(n->m[i].station.frames, 9);
        n->m[i].station.frames = 0;
    }
    return text;
}

static unsigned members(const struct net *n, unsigned i)
{
    struct mesh_counts c;
    mesh_count(n->m[i].mesh, &c);
    return c.members;
}

/* ---- honest ones ---- */

static void test_learning(void)
{
    struct net n;
    net_open_test(&n, 4);
    for (unsigned i = 0; i < 4; i++)
        g_assert_cmpuint(members(&n, i), ==, 3);
    send_test(&n, 0, ALL, 0);
    g_assert_cmpstr(had(&n), ==, "0111");
    send_test(&n, 1, 3, 1); /* not known yet */
    g_assert_cmpstr(had(&n), ==, "1011");
    send_test(&n, 3, 0, 3);
    g_assert_cmpstr(had(&n), ==, "1000");
    g_assert_cmpuint(n.m[0].station.bytes, ==, FRAME_TEST_BYTES);
    g_assert_cmpuint(n.m[0].station.last[20], ==, 3);
    send_test(&n, 0, 3, 0);
    g_assert_cmpstr(had(&n), ==, "0001");
    send_test(&n, 2, 3, 0); /* station 0 has moved to member 2 ... */
    send_test(&n, 1, ALL, 1);
    had(&n);
    send_test(&n, 3, 0, 3); /* ... which who has seen it there knows */
    g_assert_cmpstr(had(&n), ==, "0010");
    net_close_test(&n);
}

static void test_coming_and_going(void)
{
    struct net n;
    net_open_test(&n, 3);
    leave(&n, 1);
    g_assert_cmpuint(members(&n, 0), ==, 1);
    send_test(&n, 0, ALL, 0);
    g_assert_cmpstr(had(&n), ==, "0010");
    join(&n, 1);
    join(&n, 3);
    g_assert_cmpuint(members(&n, 0), ==, 3);
    send_test(&n, 3, ALL, 3);
    g_assert_cmpstr(had(&n), ==, "1110");
    net_close_test(&n);
}

static void test_own_ports(void)
{
    struct net n;
    struct station router = {0};
    const struct mesh_end end = {station_frame, &router};
    net_open_test(&n, 2);
    unsigned port = mesh_plug(n.m[0].mesh, &end);
    send_test(&n, 1, ALL, 1);
    g_assert_cmpuint(router.frames, ==, 1);
    g_assert_cmpstr(had(&n), ==, "1000");
    uint8_t frame[FRAME_TEST_BYTES];
    frame_make(frame, 1, 9, 0);
    mesh_send(n.m[0].mesh, port, frame, sizeof frame, NULL);
    loop_quiet();
    g_assert_cmpstr(had(&n), ==, "0100"); /* not the card beside it */
    send_test(&n, 0, 9, 0);
    g_assert_cmpuint(router.frames, ==, 2);
    g_assert_cmpstr(had(&n), ==, "0000");
    mesh_unplug(n.m[0].mesh, port);
    send_test(&n, 1, ALL, 1);
    g_assert_cmpuint(router.frames, ==, 2);
    net_close_test(&n);
}

static void test_offload(void)
{
    static uint8_t big[65000];
    const struct net_offload left = {true, 34, 16, NET_TSO4, 1460, 54};
    struct net n;
    net_open_test(&n, 2);
    frame_make(big, 1, 0, 0);
    mesh_send(n.m[0].mesh, n.m[0].port, big, sizeof big, &left);
    loop_quiet();
    g_assert_cmpuint(n.m[1].station.frames, ==, 1);
    g_assert_cmpuint(n.m[1].station.bytes, ==, sizeof big);
    g_assert_cmpmem(&n.m[1].station.left, sizeof left, &left, sizeof left);
    net_close_test(&n);
}

/* ---- dying ones ---- */

/* A member in a process of its own, which is killed: it takes nothing away. */
static void kill_member(struct net *n)
{
    int ready[2];
    char byte;
    g_assert_cmpint(pipe(ready), ==, 0);
    pid_t pid = fork();
    if (!pid) {
        struct mesh *m = mesh_join(n->folder, NULL);
        if (m && write(ready[1], "", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
    loop_quiet();
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    loop_quiet();
    close(ready[0]);
    close(ready[1]);
}

static void test_killed(void)
{
    struct net n;
    net_open_test(&n, 1);
    kill_member(&n);
    g_assert_cmpuint(entries(&n), ==, 2);
    g_assert_cmpuint(members(&n, 0), ==, 0);
    join(&n, 1); /* finds the socket that nobody listens at */
    g_assert_cmpuint(entries(&n), ==, 2);
    g_assert_cmpuint(members(&n, 0), ==, 1);
    g_assert_cmpuint(members(&n, 1), ==, 1);
    net_close_test(&n);
}

/* ---- those that lie ---- */

static int raw_socket(const struct net *n, const char *name, bool listens)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    g_snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", n->path, name);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    g_assert_cmpint(listens ? bind(fd, (struct sockaddr *)&a, sizeof a) : connect(fd, (struct sockaddr *)&a, sizeof a),
                    ==, 0);
    if (listens)
        g_assert_cmpint(listen(fd, 8), ==, 0);
    return fd;
}

static char *name_of(const struct net *n) /* of the first entry */
{
    g_autoptr(GDir) d = g_dir_open(n->path, 0, NULL);
    return g_strdup(g_dir_read_name(d));
}

static void say_hello(int fd, char digit)
{
    uint8_t hello[HELLO_BYTES] = {HELLO_KIND, 1};
    memset(hello + 4, digit, 32);
    g_assert_cmpint(send(fd, hello, sizeof hello, 0), ==, sizeof hello);
}

static bool closed(int fd)
{
    uint8_t byte[64];
    ssize_t n;
    while ((n = recv(fd, byte, sizeof byte, MSG_DONTWAIT)) > 0)
        ;
    return n == 0 || errno == ECONNRESET; /* the latter: it had not read all */
}

static void send_raw(int fd, unsigned from)
{
    struct net_wire head = {.kind = NET_WIRE_FRAME};
    uint8_t packet[sizeof head + FRAME_TEST_BYTES];
    memcpy(packet, &head, sizeof head);
    frame_make(packet + sizeof head, ALL, from, 0);
    g_assert_cmpint(send(fd, packet, sizeof packet, 0), ==, sizeof packet);
}

/* Two connect to each other at once: the connection that the smaller name made stays. */
static void test_both_ways(void)
{
    for (unsigned smaller = 0; smaller < 2; smaller++) {
        struct net n;
        char digit = smaller ? '0' : 'f';
        net_open_test(&n, 0);
        g_autofree char *peer = g_strnfill(32, digit);
        int listening = raw_socket(&n, peer, true);
        join(&n, 0);
        g_unlink(g_build_filename(n.path, peer, NULL));
        g_autofree char *name = name_of(&n);
        int theirs = accept(listening, NULL, NULL), ours = raw_socket(&n, name, false);
        say_hello(ours, digit);
        say_hello(theirs, digit);
        loop_quiet();
        g_assert_cmpint(closed(ours), ==, !smaller);
        g_assert_cmpint(closed(theirs), ==, smaller);
        g_assert_cmpuint(members(&n, 0), ==, 1);
        send_raw(smaller ? ours : theirs, 7);
        loop_quiet();
        g_assert_cmpuint(n.m[0].station.frames, ==, 1);
        close(ours);
        close(theirs);
        close(listening);
        net_close_test(&n);
    }
}

static void test_slow(void)
{
    static uint8_t big[60000];
    struct net n;
    struct mesh_counts c;
    net_open_test(&n, 1);
    g_autofree char *name = name_of(&n);
    int slow = raw_socket(&n, name, false); /* and never reads */
    say_hello(slow, '5');
    join(&n, 1);
    g_assert_cmpuint(members(&n, 0), ==, 2);
    frame_make(big, ALL, 0, 0);
    for (unsigned i = 0; i < 100; i++) {
        mesh_send(n.m[0].mesh, n.m[0].port, big, sizeof big, NULL);
        loop_quiet();
    }
    g_assert_cmpuint(n.m[1].station.frames, ==, 100);
    mesh_count(n.m[0].mesh, &c);
    g_assert_cmpuint(c.full, >, 20); /* what the kernel holds for it differs */
    close(slow);
    net_close_test(&n);
}

static void test_nonsense(void)
{
    uint8_t junk[200] = {0};
    struct net n;
    struct mesh_counts c;
    net_open_test(&n, 2);
    g_autofree char *name = name_of(&n);
    int early = raw_socket(&n, name, false), twice = raw_socket(&n, name, false), junky = raw_socket(&n, name, false);
    send_raw(early, 7); /* before it has said who it is */
    loop_quiet();
    g_assert_cmpstr(had(&n), ==, "0000");
    say_hello(early, '6');
    loop_quiet();
    say_hello(twice, '6'); /* somebody has that name */
    send_raw(twice, 8);
    send(junky, junk, sizeof junk, 0);
    junk[0] = HELLO_KIND;
    send(junky, junk, sizeof junk, 0);
    loop_quiet();
    g_assert_true(closed(twice));
    g_assert_true(closed(junky));
    g_assert_false(closed(early));
    g_assert_cmpstr(had(&n), ==, "0000");
    send_raw(early, 7);
    loop_quiet();
    unsigned both = n.m[0].station.frames + n.m[1].station.frames;
    g_assert_cmpuint(both, ==, 1); /* whoever it is connected to; no member passes on what another said */
    struct mesh_counts d;
    mesh_count(n.m[0].mesh, &c);
    mesh_count(n.m[1].mesh, &d);
    g_assert_cmpuint(c.broken + d.broken, ==, 2);
    close(early);
    close(twice);
    close(junky);
    net_close_test(&n);
}

static void test_crowd(void)
{
    struct net n;
    int crowd[3 * MESH_MEMBERS];
    net_open_test(&n, 2);
    g_autofree char *name = name_of(&n);
    for (unsigned i = 0; i < G_N_ELEMENTS(crowd); i++) {
        crowd[i] = raw_socket(&n, name, false);
        g_main_context_iteration(NULL, FALSE);
        g_main_context_iteration(NULL, FALSE);
    }
    loop_quiet();
    unsigned refused = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(crowd); i++)
        refused += closed(crowd[i]);
    g_assert_cmpuint(refused, ==, G_N_ELEMENTS(crowd) - MESH_MEMBERS + 1);
    send_test(&n, 0, ALL, 0); /* whoever was there is still reached */
    g_assert_cmpstr(had(&n), ==, "0100");
    for (unsigned i = 0; i < G_N_ELEMENTS(crowd); i++)
        close(crowd[i]);
    loop_quiet();
    net_close_test(&n);
}

/* ---- the table ---- */

static void test_table(void)
{
    struct mac_table t;
    uint8_t mac[6], group[6] = {1, 0, 0x5e, 0, 0, 1};
    mac_table_init(&t, 12345);
    frame_address(mac, 1);
    mac_table_learn(&t, mac, 3, 1);
    mac_table_learn(&t, group, 3, 1);
    g_assert_cmpuint(mac_table_find(&t, mac, MAC_AGE_US), ==, 3);
    g_assert_cmpuint(mac_table_find(&t, mac, MAC_AGE_US + 1), ==, MAC_NOWHERE);
    g_assert_cmpuint(mac_table_find(&t, group, 2), ==, MAC_NOWHERE);
    mac_table_learn(&t, mac, 4, 2);
    g_assert_cmpuint(mac_table_find(&t, mac, 3), ==, 4);
    for (unsigned i = 0; i < 100000; i++) { /* a flood from port 5 */
        const uint8_t invented[6] = {2, 0, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        mac_table_learn(&t, invented, 5, 3);
        if (i == 50000) /* it is still there, or pushed out by the first of its set; then it comes back for good */
            mac_table_learn(&t, mac, 4, 4);
    }
    g_assert_cmpuint(mac_table_find(&t, mac, 5), ==, 4);
    mac_table_forget(&t, 4);
    g_assert_cmpuint(mac_table_find(&t, mac, 5), ==, MAC_NOWHERE);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/mesh/learning", test_learning);
    g_test_add_func("/net/mesh/coming-and-going", test_coming_and_going);
    g_test_add_func("/net/mesh/own-ports", test_own_ports);
    g_test_add_func("/net/mesh/offload", test_offload);
    g_test_add_func("/net/mesh/killed", test_killed);
    g_test_add_func("/net/mesh/both-ways", test_both_ways);
    g_test_add_func("/net/mesh/slow", test_slow);
    g_test_add_func("/net/mesh/nonsense", test_nonsense);
    g_test_add_func("/net/mesh/crowd", test_crowd);
    g_test_add_func("/net/mesh/table", test_table);
    return g_test_run();
}
