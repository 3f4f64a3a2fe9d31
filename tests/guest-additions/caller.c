// SPDX-License-Identifier: GPL-2.0-or-later
/* caller.c - see caller.h. */
#include "tests/guest-additions/caller.h"
#include "tests/core-vmm/stepped.h"
#include <string.h>

enum { PORT = 0x5658, FAST_PORT = 0x5659, MAGIC = 0x564d5868, MESSAGE = 30 };
enum { OPEN, SEND_SIZE, SEND, RECEIVE_SIZE, RECEIVE, RECEIVED };

static void registers(struct caller *c, bool set)
{
    struct machine *m = c->machine;
    uint64_t gpr[8];
    for (unsigned n = 0; n < 8 && set; n++)
        gpr[n] = c->r[n];
    m->engine->registers(m->vcpu[0].engine_vcpu, gpr, set);
    for (unsigned n = 0; n < 8 && !set; n++)
        c->r[n] = gpr[n];
}

struct caller *caller_new(const char *keys, bool served)
{
    struct caller *c = g_new0(struct caller, 1);
    g_autofree char *text = g_strdup_printf("[additions]\n%s\n", keys);
    c->stepped = stepped_new(text);
    c->machine = c->stepped->m;
    c->additions = served ? additions_new(c->machine, true, CLIPBOARD_BOTH) : NULL;
    return c;
}

void caller_free(struct caller *c)
{
    stepped_free(c->stepped);
    additions_free(c->additions);
    g_free(c);
}

void caller_wait(struct caller *c, uint64_t ns)
{
    stepped_ns(c->stepped, ns);
}

void caller_reset(struct caller *c)
{
    stepped_reset(c->stepped);
}

void caller_save_load(struct caller *from, struct caller *to)
{
    struct device *a = machine_device(from->machine, "additions"), *b = machine_device(to->machine, "additions");
    struct stream save, load, again;
    stream_init_save(&save);
    g_assert_true(a->ops->sync(a, &save, a->ops->version));
    stream_init_load(&load, save.bytes->data, save.bytes->len);
    g_assert_true(b->ops->sync(b, &load, b->ops->version));
    g_assert_cmpuint(load.at, ==, save.bytes->len);
    stream_init_save(&again);
    g_assert_true(b->ops->sync(b, &again, b->ops->version));
    g_assert_cmpmem(save.bytes->data, save.bytes->len, again.bytes->data, again.bytes->len);
    stream_clear(&save);
    stream_clear(&load);
    stream_clear(&again);
    memcpy(to->cookie, from->cookie, sizeof to->cookie);
}

static uint32_t call(struct caller *c)
{
    registers(c, true);
    uint32_t value = machine_in(c->machine, 0, PORT, 4);
    registers(c, false);
    return c->r[X86_RAX] = value; /* the engine would put it there */
}

uint32_t caller_command(struct caller *c, unsigned command, uint32_t argument)
{
    memset(c->r, 0, sizeof c->r);
    c->r[X86_RAX] = MAGIC;
    c->r[X86_RBX] = argument;
    c->r[X86_RCX] = command;
    c->r[X86_RDX] = PORT;
    return call(c);
}

unsigned caller_message(struct caller *c, unsigned channel, unsigned kind, uint32_t argument)
{
    memset(c->r, 0, sizeof c->r);
    c->r[X86_RAX] = MAGIC;
    c->r[X86_RBX] = argument;
    c->r[X86_RCX] = MESSAGE | kind << 16;
    c->r[X86_RDX] = PORT | channel << 16;
    c->r[X86_RSI] = c->cookie[0];
    c->r[X86_RDI] = c->cookie[1];
    call(c);
    return c->r[X86_RCX] >> 16;
}

int caller_open(struct caller *c, uint32_t protocol)
{
    if (!(caller_message(c, 0, OPEN, protocol | 0x80000000) & CALLER_SUCCESS))
        return -1;
    c->cookie[0] = c->r[X86_RSI];
    c->cookie[1] = c->r[X86_RDI];
    return c->r[X86_RDX] >> 16;
}

/* Bytes by OUTSB, or INSB, which has the cookie in other registers. */
unsigned caller_fast(struct caller *c, unsigned channel, bool in, uint8_t *data, uint32_t bytes)
{
    memset(c->r, 0, sizeof c->r);
    c->r[X86_RAX] = MAGIC;
    c->r[X86_RBX] = CALLER_SUCCESS << 16;
    c->r[X86_RDX] = FAST_PORT | channel << 16;
    c->r[in ? X86_RSI : X86_RBP] = c->cookie[0];
    c->r[in ? X86_RBP : X86_RDI] = c->cookie[1];
    registers(c, true);
    if (bytes > 1)
        machine_string(c->machine, 0, FAST_PORT, in, data, bytes);
    else if (in)
        *data = machine_in(c->machine, 0, FAST_PORT, 1);
    else
        machine_out(c->machine, 0, FAST_PORT, 1, *data);
    registers(c, false);
    return c->r[X86_RBX] >> 16;
}

/* As an engine has them: one alone, or many at once. */
static uint32_t fast_piece(uint32_t at, uint32_t left)
{
    return MIN(left, 1 + at % 2 * 1000);
}

unsigned caller_send(struct caller *c, unsigned channel, const void *data, uint32_t bytes, bool fast)
{
    const uint8_t *from = data;
    unsigned status = caller_message(c, channel, SEND_SIZE, bytes);
    for (uint32_t at = 0, n; at < bytes && status & CALLER_SUCCESS; at += n) {
        uint32_t part = 0;
        n = fast ? fast_piece(at, bytes - at) : 4;
        memcpy(&part, from + at, MIN(bytes - at, 4));
        status =
            fast ? caller_fast(c, channel, false, (uint8_t *)from + at, n) : caller_message(c, channel, SEND, part);
    }
    return status;
}

GBytes *caller_receive(struct caller *c, unsigned channel, bool fast)
{
    unsigned status = caller_message(c, channel, RECEIVE_SIZE, 0);
    uint32_t bytes = c->r[X86_RBX];
    if (!(status & CALLER_WAITS))
        return NULL;
    g_assert_cmpuint(c->r[X86_RDX] >> 16, ==, SEND_SIZE);
    GByteArray *all = g_byte_array_new();
    while (all->len < bytes) {
        uint8_t data[1001];
        uint32_t n = fast ? fast_piece(all->len, bytes - all->len) : MIN(4, bytes - all->len);
        unsigned said =
            fast ? caller_fast(c, channel, true, data, n) : caller_message(c, channel, RECEIVE, CALLER_SUCCESS);
        g_assert_true(said & CALLER_SUCCESS);
        g_byte_array_append(all, fast ? data : (uint8_t *)&c->r[X86_RBX], n);
    }
    g_assert_cmpuint(caller_message(c, channel, RECEIVED, CALLER_SUCCESS), ==, CALLER_SUCCESS);
    return g_byte_array_free_to_bytes(all);
}

char *caller_ask(struct caller *c, const char *question)
{
    int channel = caller_open(c, CALLER_RPCI);
    g_assert_cmpint(channel, >=, 0);
    g_assert_true(caller_send(c, channel, question, strlen(question), false) & CALLER_SUCCESS);
    GBytes *answer = caller_receive(c, channel, false);
    gsize bytes;
    g_assert_cmpuint(caller_message(c, channel, 6, 0), ==, CALLER_SUCCESS);
    const char *data = answer ? g_bytes_get_data(answer, &bytes) : NULL;
    char *text = data ? g_strndup(data, bytes) : NULL;
    g_clear_pointer(&answer, g_bytes_unref);
    return text;
}
