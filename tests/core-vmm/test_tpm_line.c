// SPDX-License-Identifier: GPL-2.0-or-later
/* The VM process' half of its TPM, with a program at the far end that takes its time: what the guest does meanwhile never leaves
 * the TPM stopped, or a command without its locality. */
#include "core-vmm/api/tpm.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/outer/fd_pass.h"
#include "core-vmm/vm/tpm_line.h"
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INIT = 2, SET_LOCALITY = 5, CANCEL = 9, GET_BLOB = 12, SET_BLOB = 13, STOP = 14, SET_DATA_FD = 16, KINDS = 17 };
enum { ENOUGH_MS = 20000, SLOW_MS = 200 };

struct far {
    struct outer_events events;
    const struct tpm_end *end;
    int control, data; /* its own ends */
    const struct tpm_memory *remembered;
    unsigned flags;      /* of the last INIT */
    uint8_t told[3][16]; /* by the kind of blob */
    unsigned bytes[3];
    bool refuses; /* blobs */
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

const struct tpm_memory *tpm_remembered(const struct tpm_port *p)
{
    return far()->remembered;
}

void tpm_forget(struct tpm_port *p)
{
    far()->remembered = NULL;
}

void outer_listen(struct outer *o, unsigned end, const char *name, const struct outer_events *e)
{
    far()->events = *e;
}

/* ---- the program ---- */

static uint32_t take_number(void)
{
    uint8_t n[4];
    g_assert_cmpint(recv(far()->control, n, 4, MSG_WAITALL), ==, 4);
    return get_be32(n);
}

static void take_blob(void)
{
    take_number();
    unsigned kind = take_number() - 1, bytes = take_number();
    g_assert_cmpuint(kind, <, 3);
    g_assert_cmpuint(bytes, <=, 16);
    far()->bytes[kind] = bytes;
    g_assert_cmpint(recv(far()->control, far()->told[kind], bytes, MSG_WAITALL), ==, bytes);
}

/* Answers all that is asked until nothing is; how often each was asked, and what was last of STOP and INIT. */
static uint32_t answer_all(unsigned asked[KINDS])
{
    int fd = far()->control;
    static const uint8_t good[4] = {0};
    uint32_t last = 0, number;
    uint8_t more[1];
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
            far()->flags = take_number();
        else if (number == SET_BLOB)
            take_blob();
        else if (number == SET_LOCALITY)
            g_assert_cmpint(recv(fd, more, 1, MSG_DONTWAIT), ==, 1);
        asked[number]++;
        last = number == INIT || number == STOP ? number : last;
        if (number == SET_BLOB && far()->refuses) {
            g_assert_cmpint(send(fd, "bad!", 4, MSG_NOSIGNAL), ==, 4);
            continue;
        }
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

/* ---- saved states ---- */

static struct tpm_memory memory(void)
{
    struct tpm_memory t = {0};
    for (unsigned i = 0; i < 2; i++)
        t.blob[i].bytes = g_byte_array_append(g_byte_array_new(), (const uint8_t *)"blob0123", 5 + i);
    return t;
}

static void drop(struct tpm_memory *t)
{
    for (unsigned i = 0; i < TPM_BLOBS; i++)
        g_clear_pointer(&t->blob[i].bytes, g_byte_array_unref);
}

/* It is told before it begins; a reset meanwhile ends what it was told. */
static void test_reminded(void)
{
    struct tpm_memory t = memory();
    unsigned asked[KINDS] = {0};
    far()->remembered = &t;
    struct tpm_line *l = come_up();
    g_assert_cmpuint(far()->flags, ==, 1);
    g_assert_null(far()->remembered);
    g_assert_cmpmem(far()->told[0], far()->bytes[0], "blob0", 5);
    g_assert_cmpmem(far()->told[1], far()->bytes[1], "blob01", 6);
    far()->end->reset(far()->end->ctx);
    g_assert_cmpuint(answer_all(asked), ==, INIT);
    g_assert_cmpuint(asked[STOP], ==, 1);
    g_assert_cmpuint(asked[SET_BLOB], ==, 0);
    g_assert_cmpuint(far()->flags, ==, 0);
    go(l);
    drop(&t);
}

static void test_reset_while_reminded(void)
{
    struct tpm_memory t = memory();
    unsigned asked[KINDS] = {0};
    int pair[2];
    far()->remembered = &t;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    far()->control = pair[1];
    struct tpm_line *l = tpm_line_new((struct machine *)far(), NULL, 0);
    far()->events.up(far()->events.ctx, pair[0]);
    far()->end->reset(far()->end->ctx);
    g_assert_cmpuint(answer_all(asked), ==, INIT);
    g_assert_cmpuint(asked[INIT], ==, 2);
    g_assert_cmpuint(asked[STOP], ==, 1);
    g_assert_cmpuint(far()->flags, ==, 0);
    go(l);
    drop(&t);
}

static void test_not_taken(void)
{
    struct tpm_memory t = memory();
    unsigned asked[KINDS] = {0};
    int pair[2];
    far()->remembered = &t;
    far()->refuses = true;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    far()->control = pair[1];
    struct tpm_line *l = tpm_line_new((struct machine *)far(), NULL, 0);
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*does not take what it knew*");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*request 13*");
    far()->events.up(far()->events.ctx, pair[0]);
    answer_all(asked);
    g_test_assert_expected_messages();
    g_assert_null(far()->remembered);
    far()->refuses = false;
    tpm_line_free(l);
    close(far()->control);
    close(far()->data);
}

static void take_request(unsigned kind)
{
    g_assert_cmpuint(take_number(), ==, GET_BLOB);
    take_number();
    g_assert_cmpuint(take_number(), ==, kind);
    take_number();
}

/* A program that answers to three GET_BLOB at once; the last has nothing. */
static void *tell(void *bytes)
{
    for (unsigned i = 1; i <= TPM_BLOBS; i++) {
        uint32_t result = i == TPM_BLOBS ? 0x800 : 0, n = i == TPM_BLOBS ? 0 : GPOINTER_TO_UINT(bytes);
        uint8_t head[16] = {0};
        take_request(i);
        put_be32(head, result);
        put_be32(head + 8, n);
        put_be32(head + 12, n);
        g_assert_cmpint(send(far()->control, head, sizeof head, MSG_NOSIGNAL), ==, sizeof head);
        g_autofree uint8_t *data = g_malloc0(n + 1);
        if (n > TPM_BLOB_MOST)
            return NULL;
        g_assert_cmpint(send(far()->control, data, n, MSG_NOSIGNAL), ==, n);
    }
    return NULL;
}

static void test_saved(void)
{
    struct tpm_memory t = {0};
    g_autoptr(GError) error = NULL;
    struct tpm_line *l = come_up();
    GThread *program = g_thread_new("swtpm", tell, GUINT_TO_POINTER(TPM_BLOB_MOST));
    g_assert_true(far()->end->save(far()->end->ctx, &t, ENOUGH_MS, NULL));
    g_thread_join(program);
    g_assert_cmpuint(t.blob[0].bytes->len, ==, TPM_BLOB_MOST);
    g_assert_cmpuint(t.blob[1].bytes->len, ==, TPM_BLOB_MOST);
    g_assert_null(t.blob[2].bytes);
    drop(&t);
    program = g_thread_new("swtpm", tell, GUINT_TO_POINTER(TPM_BLOB_MOST + 1));
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*does not say what it knows*");
    g_assert_false(far()->end->save(far()->end->ctx, &t, ENOUGH_MS, &error));
    g_test_assert_expected_messages();
    g_thread_join(program);
    drop(&t);
    go(l);
}

static void *tell_error(void *unused)
{
    uint8_t head[16] = {0};
    take_request(1);
    put_be32(head, 9);
    g_assert_cmpint(send(far()->control, head, sizeof head, MSG_NOSIGNAL), ==, sizeof head);
    return NULL;
}

/* One that says no is still the guest's, and may be asked again. */
static void test_not_said(void)
{
    struct tpm_memory t = {0};
    g_autoptr(GError) error = NULL;
    struct tpm_line *l = come_up();
    GThread *program = g_thread_new("swtpm", tell_error, NULL);
    g_assert_false(far()->end->save(far()->end->ctx, &t, ENOUGH_MS, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_FAILED);
    g_thread_join(program);
    g_assert_nonnull(far()->end);
    program = g_thread_new("swtpm", tell, GUINT_TO_POINTER(5));
    g_assert_true(far()->end->save(far()->end->ctx, &t, ENOUGH_MS, NULL));
    g_thread_join(program);
    drop(&t);
    go(l);
}

/* Each in time, but not all of them. */
static void *tell_slowly(void *unused)
{
    uint8_t request[16], said[17] = {[11] = 1, [15] = 1};
    while (recv(far()->control, request, sizeof request, MSG_WAITALL) == sizeof request) {
        g_usleep(SLOW_MS * 1000 * 2 / 3);
        (void)send(far()->control, said, sizeof said, MSG_NOSIGNAL);
    }
    return NULL;
}

static void test_said_too_slowly(void)
{
    struct tpm_memory t = {0};
    g_autoptr(GError) error = NULL;
    struct tpm_line *l = come_up();
    GThread *program = g_thread_new("swtpm", tell_slowly, NULL);
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*does not say what it knows*");
    g_assert_false(far()->end->save(far()->end->ctx, &t, SLOW_MS, &error));
    g_test_assert_expected_messages();
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    g_thread_join(program);
    drop(&t);
    go(l);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tpm-line/slow", test_slow);
    g_test_add_func("/tpm-line/resets", test_resets);
    g_test_add_func("/tpm-line/reminded", test_reminded);
    g_test_add_func("/tpm-line/reset-while-reminded", test_reset_while_reminded);
    g_test_add_func("/tpm-line/not-taken", test_not_taken);
    g_test_add_func("/tpm-line/saved", test_saved);
    g_test_add_func("/tpm-line/not-said", test_not_said);
    g_test_add_func("/tpm-line/said-too-slowly", test_said_too_slowly);
    return g_test_run();
}
