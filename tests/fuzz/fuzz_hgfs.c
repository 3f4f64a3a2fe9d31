// SPDX-License-Identifier: GPL-2.0-or-later
/* Both who may lie to the VM process' side of shared folders: a guest, whose packets of HGFS begin well mostly, and a folder's process
 * that has been taken over, whose answers have the right number mostly. */
#include "core-vmm/base/bytes.h"
#include "guest-additions/common/hgfs.h"
#include "guest-additions/common/inside.h"
#include "tests/fuzz/bytes.h"
#include "tests/guest-additions/caller.h"
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 52, BODY_MOST = 300, DATA_MOST = 400, ROUNDS_MOST = 60, TICKETS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t packet(struct bytes *in, uint8_t *p)
{
    unsigned odd = take(in), body = take(in) + (odd & 1 ? 45 : 0);
    put_le32(p + 4, odd & 2 ? 7 : 0xff);
    put_le32(p + 8, odd & 4 ? take_number(in, 4) : HEADER + body);
    put_le32(p + 12, odd & 8 ? take_number(in, 4) : HEADER);
    put_le32(p + 20, odd & 16 ? take(in) : 24 + take(in) % 19);
    put_le64(p + 36, take(in) % 3);
    for (unsigned i = 0; i < body; i++)
        p[HEADER + i] = take(in);
    if (odd & 32 && body > 40) { /* a name that is one */
        put_le32(p + HEADER + 16, 9);
        memcpy(p + HEADER + 32, "work\0file", 9);
    }
    return odd & 64 ? take(in) : HEADER + body;
}

static void answer(struct bytes *in, int fd)
{
    uint8_t wish[FOLDER_WISH_MOST], said[sizeof(struct folder_answer) + DATA_MOST] = {0};
    struct folder_wish w = {0};
    unsigned odd = take(in), data = take_number(in, 2) % DATA_MOST;
    ssize_t n = recv(fd, wish, sizeof wish, MSG_DONTWAIT);
    if (n >= (ssize_t)sizeof w)
        memcpy(&w, wish, sizeof w);
    struct folder_answer a = {
        .serial = odd & 1 ? take(in) : w.serial, .error = odd & 2 ? take(in) : 0, .count = take(in)};
    a.count = odd & 4 ? data : a.count;
    a.attr.kind = take(in);
    memcpy(said, &a, sizeof a);
    for (unsigned i = 0; i < data; i++)
        said[sizeof a + i] = take(in);
    size_t bytes = odd & 8 ? take(in) : sizeof a + data;
    if (send(fd, said, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return; /* it has been hung up on */
}

static void check(GBytes *reply)
{
    gsize n;
    const char *text = g_bytes_get_data(reply, &n);
    g_assert_true(n >= 2 && n <= HGFS_PACKET_MOST + 2 && (text[0] == '0' || text[0] == '1'));
    g_bytes_unref(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bytes in = {data, n};
    uint64_t ticket[TICKETS] = {0};
    int pair[2];
    signal(SIGPIPE, SIG_IGN);
    struct caller *c = caller_new("", true);
    struct folders *f = c->additions->folders;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==, 0);
    g_assert_true(additions_folder_add(c->additions, 1, "work", false, pair[1]));
    for (unsigned i = 0; i < ROUNDS_MOST && in.left; i++) {
        unsigned what = take(&in), which = what >> 4;
        if (what & 1 && !ticket[which]) {
            uint8_t p[HEADER + BODY_MOST + 64] = {0};
            GBytes *reply = folders_answer(f, p, packet(&in, p), &ticket[which]);
            if (reply)
                check(reply);
        } else if (what & 2) {
            answer(&in, pair[0]);
        } else if (what & 4 && ticket[which]) {
            folders_forget(f, ticket[which]);
            ticket[which] = 0;
        } else if (ticket[which]) {
            GBytes *reply = folders_answered(f, ticket[which], 0);
            if (reply)
                check(reply);
            ticket[which] = reply ? 0 : ticket[which];
        } else if (what == 0) {
            folders_reset(f);
        }
    }
    close(pair[0]);
    caller_free(c);
    return 0;
}
