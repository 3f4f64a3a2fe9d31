// SPDX-License-Identifier: GPL-2.0-or-later
/* The VM process' half of its TPM, with a program at the far end that takes its time: what the guest does meanwhile never leaves
 * the TPM stopped, or a command without its locality. */
#include "core-vmm/api/tpm.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/outer/fd_pass.h"
#include "core-vmm/vm/tpm_line.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INIT = 2, SET_LOCALITY = 5, CANCEL = 9, STOP = 14, SET_DATA_FD = 16, KINDS = 17 };

struct far {
    struct outer_events events;
    const struct tpm_end *end;
    int control, data; /* its own ends */
};

static struct far *far(void)
{
    static struct far it;
    return &it;
}

/* ---- what the line uses of the machine and of the keeper ---- */

struct tpm_port *machine_tpm(struct machine *m)
{
    return (struct tpm_port *)m;
}

void tpm_attach(struct tpm_port *p, const struct tpm_end *end)
{
    far()->end = end;
}

void tpm_answer(struct tpm_port *p, const uint8_t *data, size_t bytes)
{
}

void outer_listen(struct outer *o, unsigned end, const char *name, const struct outer_events *e)
{
    far()->events = *e;
}

/* ---- the program ---- */

/* Answers all that is asked until nothing is; how often each was asked, and what was last of STOP and INIT. */
static uint32_t answer_all(unsigned asked[KINDS])
{
    int fd = far()->control;
    static const uint8_t good[4] = {0};
    uint32_t last = 0, number;
    uint8_t more[4];
    for (unsigned turns = 0; turns < 100; turns++) {
        while (g_main_context_iteration(NULL, FALSE))
            ;
        uint8_t bytes[4];
        int passed = -1;
        if (fd_receive(fd, bytes, sizeof bytes, &passed, MSG_DONTWAIT) != sizeof bytes)
            continue;
        if (passed >= 0)
            far()->data = passed;
        number = get_be32(bytes);
        g_assert_cmpuint(number, <, KINDS);
        if (number == INIT)
            g_assert_cmpint(recv(fd, more, 4, MSG_DONTWAIT), ==, 4);
        else if (number == SET_LOCALITY)
            g_assert_cmpint(recv(fd, more, 1, MSG_DONTWAIT), ==, 1);
        asked[number]++;
        last = number == INIT || number == STOP ? number : last;
        g_assert_cmpint(send(fd, good, sizeof good, MSG_NOSIGNAL), ==, sizeof good);
    }
    return last;
}

/* A TPM that works. */
static struct tpm_line *come_up(void)
{
    unsigned asked[KINDS] = {0};
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    far()->control = pair[1];
    struct tpm_line *l = tpm_line_new((struct machine *)far(), NULL, 0);
    far()->events.up(far()->events.ctx, pair[0]);
    g_assert_cmpuint(answer_all(asked), ==, INIT);
    g_assert_cmpuint(asked[SET_DATA_FD], ==, 1);
    return l;
}

static void go(struct tpm_line *l)
{
    tpm_line_free(l);
    close(far()->control);
    close(far()->data);
}

static void test_slow(void)
{
    unsigned asked[KINDS] = {0};
    struct tpm_line *l = come_up();
    const struct tpm_end *end = far()->end;
    for (unsigned i = 0; i < 20; i++)
        end->cancel(end->ctx);
    for (unsigned i = 0; i < 20; i++)
        end->reset(end->ctx);
    end->command(end->ctx, 3, (const uint8_t *)"0123456789", 10);
    g_assert_cmpuint(answer_all(asked), ==, INIT);
    g_assert_cmpuint(asked[STOP], ==, asked[INIT]);
    g_assert_cmpuint(asked[CANCEL], >=, 1);
    g_assert_cmpuint(asked[SET_LOCALITY], ==, 1);
    memset(asked, 0, sizeof asked);
    end->reset(end->ctx); /* and a later one counts again */
    g_assert_cmpuint(answer_all(asked), ==, INIT);
    g_assert_cmpuint(asked[STOP], ==, 1);
    go(l);
}

/* As many resets as there is room for, and one half. */
static void test_resets(void)
{
    unsigned asked[KINDS] = {0};
    struct tpm_line *l = come_up();
    const struct tpm_end *end = far()->end;
    end->cancel(end->ctx);
    for (unsigned i = 0; i < 20; i++)
        end->reset(end->ctx);
    g_assert_cmpuint(answer_all(asked), ==, INIT);
    g_assert_cmpuint(asked[STOP], ==, asked[INIT]);
    go(l);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tpm-line/slow", test_slow);
    g_test_add_func("/tpm-line/resets", test_resets);
    return g_test_run();
}
