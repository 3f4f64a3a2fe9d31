// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile program at VMware's backdoor: every command, and messages in every order and of every length, to the services of the
 * host and to what they want of the guest; saved and loaded in between.  Its cookies are right mostly, for else nothing happens. */
#include "tests/fuzz/bytes.h"
#include "tests/guest-additions/caller.h"
#include <string.h>

enum { ROUNDS_MOST = 400, CHANNELS = 8 };
enum { OPEN, SEND_SIZE, SEND, RECEIVE_SIZE, RECEIVE, RECEIVED, CLOSE };

struct hostile {
    struct caller *c;
    struct bytes in;
    uint32_t cookie[CHANNELS][2];
    unsigned channel; /* that the program is at */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void use(struct hostile *h, unsigned channel)
{
    h->channel = channel % CHANNELS;
    memcpy(h->c->cookie, h->cookie[h->channel], sizeof h->c->cookie);
}

static void open_one(struct hostile *h)
{
    unsigned what = take(&h->in);
    int n = caller_open(h->c, what & 1 ? CALLER_RPCI : what & 2 ? CALLER_TCLO : take_number(&h->in, 4));
    if (n >= 0 && n < CHANNELS) {
        memcpy(h->cookie[n], h->c->cookie, sizeof h->cookie[n]);
        use(h, n);
    }
}

/* What services look for, with something behind it. */
static void whole_message(struct hostile *h)
{
    static const char *const words[] = {"log ",
                                        "info-set guestinfo.",
                                        "info-get guestinfo.",
                                        "SetGuestInfo  ",
                                        "SetGuestInfo  10 ",
                                        "tools.set.version ",
                                        "OK ",
                                        "ERROR ",
                                        "OK ATR toolbox",
                                        "OK ATR ",
                                        "vmx.set_option synctime 0 ",
                                        "tools.capability.",
                                        "tools.os.statechange.status ",
                                        "vmx.capability.unified_loop ",
                                        "",
                                        "SetGuestInfo  1 "};
    uint8_t text[512];
    const char *word = words[take(&h->in) % G_N_ELEMENTS(words)];
    unsigned n = strlen(word), more = take(&h->in);
    bool fast = more & 1;
    memcpy(text, word, n);
    for (unsigned i = 0; i < more; i++)
        text[n++] = take(&h->in);
    caller_send(h->c, h->channel, text, n, fast);
}

/* Any registers at all, at either port. */
static void anything(struct hostile *h)
{
    struct machine *m = h->c->machine;
    uint64_t gpr[8];
    for (unsigned i = 0; i < 8; i++)
        gpr[i] = take_number(&h->in, 4);
    if (take(&h->in) & 3)
        gpr[0] = 0x564d5868;
    unsigned how = take(&h->in);
    uint8_t many[64] = {0};
    m->engine->registers(m->vcpu[0].engine_vcpu, gpr, true);
    if (how >> 5 == 1)
        machine_string(m, 0, 0x5658 + (how >> 1 & 3), how & 1, many, 1 + take(&h->in) % sizeof many);
    else if (how & 1)
        machine_in(m, 0, 0x5658 + (how >> 1 & 3), 1 << (how >> 3) % 3);
    else
        machine_out(m, 0, 0x5658 + (how >> 1 & 3), 1 << (how >> 3) % 3, take(&h->in));
}

static void host_wants(struct hostile *h)
{
    unsigned what = take(&h->in);
    if (what & 1)
        additions_say(h->c->additions, what & 2 ? ADDITIONS_HALT : ADDITIONS_REBOOT, NULL, NULL);
    else if (what & 2)
        machine_pointer_absolute(h->c->machine, what << 8, what, what & 7, what >> 3 & 7);
    else
        machine_pointer(h->c->machine, what, -(int)what, what & 7, what >> 3 & 7);
}

static void step(struct hostile *h)
{
    switch (take(&h->in) % 12) {
    case 0: open_one(h); break;
    case 1: use(h, take(&h->in)); break;
    case 2: whole_message(h); break;
    case 3: caller_message(h->c, h->channel, take(&h->in) % 8, take_number(&h->in, 4)); break;
    case 4: caller_message(h->c, h->channel, SEND_SIZE, take_number(&h->in, 3)); break;
    case 5: {
        g_autoptr(GBytes) got = caller_receive(h->c, h->channel, take(&h->in) & 1);
        break;
    }
    case 6: anything(h); break;
    case 7: caller_command(h->c, take(&h->in), take_number(&h->in, 4)); break;
    case 8: host_wants(h); break;
    case 9:
        while (g_main_context_iteration(NULL, FALSE))
            ;
        break;
    case 10: caller_wait(h->c, (uint64_t)take(&h->in) << 30); break;
    case 11:
        if (take(&h->in) & 7)
            caller_save_load(h->c, h->c);
        else
            caller_reset(h->c);
        break;
    }
}

static void quiet(const char *domain, GLogLevelFlags level, const char *message, gpointer ctx)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct hostile h = {.in = {data, n}};
    g_log_set_default_handler(quiet, NULL);
    h.c = caller_new("", true);
    for (unsigned i = 0; i < ROUNDS_MOST && h.in.left; i++)
        step(&h);
    g_autoptr(JsonObject) o = additions_describe(h.c->additions);
    caller_free(h.c);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    return 0;
}
