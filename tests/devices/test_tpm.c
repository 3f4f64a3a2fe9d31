// SPDX-License-Identifier: GPL-2.0-or-later
/* A TPM's interface with somebody at its far end: commands go there as they were written, answers come back, and one to what was
 * asked before a reset is nobody's. */
#include "core-vmm/api/tpm.h"
#include "devices/all.h"
#include "tests/devices/bench.h"
#include <string.h>

enum { REQ = 0x40, CANCEL = 0x48, START = 0x4c, BUFFER = 0x80 };

struct far {
    uint8_t command[TPM_MOST];
    size_t bytes;
    unsigned commands, cancels, resets, waits, saves;
    struct tpm_port *port;
};

static void on_command(void *ctx, uint8_t locality, const uint8_t *data, size_t bytes)
{
    struct far *f = ctx;
    memcpy(f->command, data, bytes);
    f->bytes = bytes;
    f->commands++;
}

static void on_cancel(void *ctx)
{
    ((struct far *)ctx)->cancels++;
}

static void on_reset(void *ctx)
{
    ((struct far *)ctx)->resets++;
}

/* It answers when it is waited for. */
static bool on_wait(void *ctx, int ms)
{
    struct far *f = ctx;
    const uint8_t bytes[12] = {0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0xcc, 0xcc};
    f->waits++;
    tpm_answer(f->port, bytes, sizeof bytes);
    return true;
}

static bool on_save(void *ctx, struct tpm_memory *out, unsigned ms, GError **error)
{
    struct far *f = ctx;
    for (unsigned i = 0; i < 2; i++) {
        out->blob[i].flags = i;
        out->blob[i].bytes = g_byte_array_append(g_byte_array_new(), (const uint8_t *)"knows", 4 + i);
    }
    f->saves++;
    return true;
}

static void turn_loop(void)
{
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

static void ask(struct bench *b, uint8_t code)
{
    const uint8_t command[12] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, code, 0, 8};
    for (unsigned i = 0; i < sizeof command; i++)
        bench_store(b, TPM_CRB_BASE + BUFFER + i, 1, command[i]);
    bench_store(b, TPM_CRB_BASE + START, 4, 1);
    turn_loop();
}

static void answer(struct tpm_port *p, uint8_t what)
{
    const uint8_t bytes[12] = {0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, what, what};
    tpm_answer(p, bytes, sizeof bytes);
    turn_loop();
}

static bool works(struct bench *b)
{
    return bench_load(b, TPM_CRB_BASE + START, 4);
}

static void test_exchange(void)
{
    struct far f = {0};
    const struct tpm_end end = {on_command, on_cancel, on_reset, on_wait, on_save, &f};
    struct bench *b = bench_new();
    struct device *d = bench_add_chip(b, chip_find("tpm"), NULL);
    struct tpm_port *p = machine_tpm(d->machine);
    turn_loop();
    tpm_attach(p, &end);
    bench_store(b, TPM_CRB_BASE + REQ, 4, 1);
    ask(b, 0x7b);
    g_assert_true(works(b));
    g_assert_cmpuint(f.bytes, ==, 12);
    g_assert_cmphex(f.command[9], ==, 0x7b);
    bench_store(b, TPM_CRB_BASE + BUFFER, 1, 0x55); /* too late */
    bench_store(b, TPM_CRB_BASE + CANCEL, 4, 1);
    turn_loop();
    g_assert_cmpuint(f.cancels, ==, 1);
    answer(p, 0xaa);
    g_assert_false(works(b));
    g_assert_cmphex(bench_load(b, TPM_CRB_BASE + BUFFER, 1), ==, 0x80);
    g_assert_cmphex(bench_load(b, TPM_CRB_BASE + BUFFER + 10, 2), ==, 0xaaaa);

    ask(b, 0x44);
    unsigned resets = f.resets;
    bench_reset(b);
    turn_loop();
    g_assert_cmpuint(f.resets, ==, resets + 1);
    bench_store(b, TPM_CRB_BASE + REQ, 4, 1);
    ask(b, 0x45); /* waits for the answer to the one before */
    g_assert_cmphex(f.command[9], ==, 0x44);
    answer(p, 0xbb);
    g_assert_true(works(b));
    g_assert_cmphex(f.command[9], ==, 0x45);
    tpm_attach(p, NULL); /* the TPM dies: "failure" */
    g_assert_false(works(b));
    g_assert_cmphex(bench_load(b, TPM_CRB_BASE + BUFFER + 8, 2), ==, 0x0101);
    bench_free(b);
}

/* What was asked is answered first; what it knows goes to another machine's, for whose TPM commands wait. */
static void test_saved(void)
{
    struct far f = {0}, g = {0};
    const struct tpm_end end = {on_command, on_cancel, on_reset, on_wait, on_save, &f};
    const struct tpm_end other = {on_command, on_cancel, on_reset, on_wait, on_save, &g};
    struct bench *b = bench_new();
    struct device *d = bench_add_chip(b, chip_find("tpm"), NULL);
    f.port = machine_tpm(d->machine);
    turn_loop();
    tpm_attach(f.port, &end);
    bench_store(b, TPM_CRB_BASE + REQ, 4, 1);
    ask(b, 0x7b);
    g_assert_true(tpm_settle(d->machine, NULL));
    g_assert_cmpuint(f.waits, ==, 1);
    g_assert_false(works(b));

    struct stream s;
    stream_init_save(&s);
    g_assert_true(tpm_sync(d->machine, &s, NULL));
    g_assert_cmpuint(f.saves, ==, 1);
    tpm_attach(f.port, NULL);
    tpm_reset(f.port); /* of a machine that was built, and is forgotten */
    struct stream t;
    stream_init_load(&t, s.bytes->data, s.bytes->len);
    g_assert_true(tpm_sync(d->machine, &t, NULL));
    turn_loop();
    const struct tpm_memory *m = tpm_remembered(f.port);
    g_assert_cmpmem(m->blob[0].bytes->data, m->blob[0].bytes->len, "know", 4);
    g_assert_cmpmem(m->blob[1].bytes->data, m->blob[1].bytes->len, "knows", 5);
    g_assert_cmpuint(m->blob[1].flags, ==, 1);
    g_assert_null(m->blob[2].bytes);
    ask(b, 0x45);
    g_assert_true(works(b));
    g.port = f.port;
    tpm_attach(f.port, &other);
    turn_loop();
    g_assert_cmphex(g.command[9], ==, 0x45);
    bench_reset(b);
    turn_loop();
    g_assert_null(tpm_remembered(f.port));
    stream_clear(&s);
    stream_clear(&t);

    stream_init_load(&t, "\0\0\0\0\xff\xff\xff\x7f", 8);
    g_assert_false(tpm_sync(d->machine, &t, NULL)); /* more than there may be */
    g_assert_null(tpm_remembered(f.port));
    stream_clear(&t);
    bench_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tpm/exchange", test_exchange);
    g_test_add_func("/tpm/saved", test_saved);
    return g_test_run();
}
