// SPDX-License-Identifier: GPL-2.0-or-later
/* VMware's backdoor: what a machine tells of itself, the absolute pointer, and messages in every order. */
#include "core-vmm/api/input.h"
#include "tests/guest-additions/caller.h"
#include <string.h>

enum { MAGIC = 0x564d5868, POINTER_DATA = 39, POINTER_STATUS = 40, POINTER_COMMAND = 41 };
enum { OPEN, SEND_SIZE, SEND, RECEIVE_SIZE, RECEIVE, RECEIVED, CLOSE };

static void tells(void)
{
    struct caller *c = caller_new("", false);
    g_assert_cmphex(caller_command(c, 10, 0), ==, 6);
    g_assert_cmphex(c->r[X86_RBX], ==, MAGIC);
    g_assert_cmphex(caller_command(c, 20, 0), ==, 16);
    g_assert_cmphex(caller_command(c, 15, 0), ==, 1280 << 16 | 800);
    uint32_t low = caller_command(c, 45, 0);
    g_assert_cmpuint((uint64_t)c->r[X86_RBX] << 32 | low, ==, clock_tsc_khz(c->machine->clock) * 1000);
    g_assert_cmpuint(c->r[X86_RCX], ==, 1000000000);
    g_assert_cmpuint(caller_command(c, 1, 0), ==, clock_tsc_khz(c->machine->clock) / 1000);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    g_assert_cmphex(caller_command(c, 46, 0), ==, MAGIC);
    g_assert_cmpint(((gint64)c->r[X86_RSI] << 32 | c->r[X86_RDX]) - now, <=, 2);
    g_assert_cmpint(((gint64)c->r[X86_RSI] << 32 | c->r[X86_RDX]) - now, >=, 0);
    g_assert_cmphex(caller_command(c, 91, 0), ==, UINT32_MAX);
    g_assert_cmphex(caller_command(c, 0xffff, 0), ==, UINT32_MAX);
    caller_free(c);
}

/* Neither another magic number nor another width is a call, and registers stay. */
static void not_calls(void)
{
    struct caller *c = caller_new("", false);
    g_assert_cmphex(caller_command(c, 4, 0), ==, 0xff9cff9c); /* the pointer is not in the guest */
    uint64_t gpr[8] = {[X86_RAX] = 6, [X86_RCX] = 4};
    c->machine->engine->registers(c->machine->vcpu[0].engine_vcpu, gpr, true);
    g_assert_cmphex(machine_in(c->machine, 0, 0x5658, 4), ==, UINT32_MAX);
    gpr[X86_RAX] = MAGIC;
    c->machine->engine->registers(c->machine->vcpu[0].engine_vcpu, gpr, true);
    g_assert_cmphex(machine_in(c->machine, 0, 0x5658, 2), ==, 0xffff);
    g_assert_cmphex(machine_in(c->machine, 0, 0x5659, 4), ==, UINT32_MAX);
    caller_free(c);
}

/* ---- the pointer ---- */

static void enable(struct caller *c)
{
    caller_command(c, POINTER_COMMAND, 0x45414552);
    g_assert_cmphex(caller_command(c, POINTER_STATUS, 0), ==, 1);
    g_assert_cmphex(caller_command(c, POINTER_DATA, 1), ==, 0x3442554a);
    g_assert_false(machine_takes_absolute(c->machine));
    caller_command(c, POINTER_COMMAND, 0x53424152);
    g_assert_true(machine_takes_absolute(c->machine));
}

/* Bytes of the mouse's port; 0x100: there is none. */
static unsigned mouse_byte(struct caller *c)
{
    caller_wait(c, 1000000);
    for (unsigned i = 0; i < 20; i++)
        if (machine_in(c->machine, 0, 0x64, 1) & 1)
            return machine_in(c->machine, 0, 0x60, 1);
    return 0x100;
}

static void pointer(void)
{
    struct caller *c = caller_new("", false);
    enable(c);
    machine_out(c->machine, 0, 0x64, 1, 0xa8);
    machine_out(c->machine, 0, 0x64, 1, 0xd4);
    machine_out(c->machine, 0, 0x60, 1, 0xf4); /* the mouse reports */
    g_assert_cmphex(mouse_byte(c), ==, 0xfa);
    machine_pointer_absolute(c->machine, 0x1234, 0xfedc, -2, POINTER_LEFT | POINTER_MIDDLE);
    g_assert_cmphex(mouse_byte(c), ==, 8); /* a report that says nothing */
    g_assert_cmphex(mouse_byte(c), ==, 0);
    g_assert_cmphex(mouse_byte(c), ==, 0);
    g_assert_cmphex(caller_command(c, POINTER_STATUS, 0), ==, 4);
    g_assert_cmphex(caller_command(c, POINTER_DATA, 4), ==, 0x28);
    g_assert_cmphex(c->r[X86_RBX], ==, 0x1234);
    g_assert_cmphex(c->r[X86_RCX], ==, 0xfedc);
    g_assert_cmpint((int32_t)c->r[X86_RDX], ==, -2);
    machine_pointer(c->machine, 3, 4, 0, 0);
    g_assert_cmphex(caller_command(c, POINTER_DATA, 4), ==, 0x10000);
    g_assert_cmpint((int32_t)c->r[X86_RBX], ==, 3);
    g_assert_cmpint((int32_t)c->r[X86_RCX], ==, -4);
    caller_command(c, POINTER_COMMAND, 0xf5);
    g_assert_false(machine_takes_absolute(c->machine));
    caller_free(c);
}

/* More than there is: an error until it is enabled again; and the queue has an end. */
static void pointer_errors(void)
{
    struct caller *c = caller_new("", false);
    enable(c);
    for (unsigned i = 0; i < 1000; i++)
        machine_pointer_absolute(c->machine, i, i, 0, i & 1);
    g_assert_cmphex(caller_command(c, POINTER_STATUS, 0), ==, 64);
    caller_command(c, POINTER_DATA, 0);
    g_assert_cmphex(caller_command(c, POINTER_STATUS, 0), ==, 0xffff0000);
    g_assert_false(machine_takes_absolute(c->machine));
    enable(c);
    caller_command(c, POINTER_DATA, 4); /* there are none */
    g_assert_cmphex(caller_command(c, POINTER_STATUS, 0), ==, 0xffff0000);
    enable(c);
    caller_command(c, POINTER_DATA, 0xffffffff);
    g_assert_cmphex(caller_command(c, POINTER_STATUS, 0), ==, 0xffff0000);
    caller_free(c);
}

/* ---- messages ---- */

static void questions(void)
{
    struct caller *c = caller_new("", true);
    struct {
        const char *question, *answer;
    } cases[] = {{"info-set guestinfo.a.b hello  there", "1 "},
                 {"info-get guestinfo.a.b", "1 hello  there"},
                 {"info-get guestinfo.none", "0 No value found"},
                 {"info-get other", "0 No value found"},
                 {"info-set other x", "0 only guestinfo.* can be set"},
                 {"info-set guestinfo. x", "0 "},
                 {"info-set guestinfo.bad \xff\xfe", "0 "},
                 {"no-such-thing", "0 Unknown command"},
                 {"", "0 Unknown command"},
                 {"SetGuestInfo  1 debian", "1 "},
                 {"SetGuestInfo", "0 "},
                 {"tools.capability.anything 1", "1 "},
                 {"vmx.set_option synctime 0 2", "0 "}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *answer = caller_ask(c, cases[i].question);
        g_assert_cmpstr(answer, ==, cases[i].answer);
    }
    g_autofree char *both = additions_variable(c->additions, "a.b");
    g_assert_cmpstr(both, ==, "hello  there");
    g_autoptr(JsonObject) o = additions_describe(c->additions);
    g_assert_cmpstr(json_object_get_string_member(o, "host-name"), ==, "debian");
    caller_free(c);
}

/* The longest message and the longest answer, by both ports. */
static void long_messages(void)
{
    struct caller *c = caller_new("", true);
    g_autofree char *long_text = g_strnfill(65000, 'x');
    g_autofree char *set = g_strconcat("info-set guestinfo.long ", long_text, NULL);
    int n = caller_open(c, CALLER_RPCI);
    for (unsigned fast = 0; fast < 2; fast++) {
        g_assert_true(caller_send(c, n, set, strlen(set), fast) & CALLER_SUCCESS);
        g_autoptr(GBytes) done = caller_receive(c, n, fast);
        g_assert_cmpmem(g_bytes_get_data(done, NULL), g_bytes_get_size(done), "1 ", 2);
        g_assert_true(caller_send(c, n, "info-get guestinfo.long", 23, fast) & CALLER_SUCCESS);
        g_autoptr(GBytes) back = caller_receive(c, n, fast);
        g_assert_cmpuint(g_bytes_get_size(back), ==, 65002);
        g_assert_false(memcmp((const char *)g_bytes_get_data(back, NULL) + 2, long_text, 65000));
    }
    g_assert_true(caller_send(c, n, "log x", 5, false) & CALLER_SUCCESS);
    caller_message(c, n, RECEIVE_SIZE, 0);
    g_assert_cmpuint(caller_message(c, n, RECEIVE, CALLER_SUCCESS), ==, CALLER_SUCCESS);
    g_assert_cmphex(c->r[X86_RBX], ==, 0x2031); /* "1 ", and nothing behind it */
    g_assert_cmpuint(caller_message(c, n, RECEIVE, CALLER_SUCCESS), ==, 0);
    g_assert_cmpuint(caller_message(c, n, SEND_SIZE, 65537), ==, 0);
    g_assert_cmpuint(caller_message(c, n, SEND_SIZE, UINT32_MAX), ==, 0);
    g_assert_cmpuint(caller_message(c, n, SEND, 0), ==, 0);
    caller_free(c);
}

/* Who says or fetches more than there is hears so, whether the bytes come alone or together; the message is whole all the same. */
static void fast_ends(void)
{
    struct caller *c = caller_new("", true);
    int n = caller_open(c, CALLER_RPCI);
    uint8_t text[] = "log xABCDEF", got[6];
    g_assert_true(caller_message(c, n, SEND_SIZE, 5) & CALLER_SUCCESS);
    g_assert_cmpuint(caller_fast(c, n, false, text, 2), ==, CALLER_SUCCESS);
    g_assert_cmpuint(caller_fast(c, n, false, text + 2, 9), ==, 0);
    g_assert_cmpuint(caller_fast(c, n, false, text, 1), ==, 0);
    g_assert_true(caller_message(c, n, RECEIVE_SIZE, 0) & CALLER_WAITS);
    g_assert_cmpuint(c->r[X86_RBX], ==, 2);
    memset(got, 0xaa, sizeof got);
    g_assert_cmpuint(caller_fast(c, n, true, got, 1), ==, CALLER_SUCCESS);
    g_assert_cmpuint(caller_fast(c, n, true, got + 1, 5), ==, 0);
    g_assert_cmpmem(got, sizeof got, "1 \0\0\0\0", sizeof got);
    g_assert_cmpuint(caller_fast(c, n + 1, true, got, sizeof got), ==, 0); /* no such channel */
    g_assert_cmpmem(got, sizeof got, "\0\0\0\0\0\0", sizeof got);
    machine_string(c->machine, 0, 0x5658, true, got, sizeof got); /* no call */
    g_assert_cmpmem(got, sizeof got, "\xff\xff\xff\xff\xff\xff", sizeof got);
    caller_free(c);
}

static void channels(void)
{
    struct caller *c = caller_new("", true);
    for (unsigned i = 0; i < 128; i++)
        g_assert_cmpint(caller_open(c, i % 2 ? CALLER_RPCI : CALLER_TCLO), ==, i);
    g_assert_cmpint(caller_open(c, CALLER_RPCI), ==, -1);
    g_assert_cmpuint(caller_message(c, 127, SEND_SIZE, 8) & CALLER_SUCCESS, ==, CALLER_SUCCESS);
    g_assert_cmpuint(caller_message(c, 126, SEND_SIZE, 8), ==, 0); /* another's cookie */
    for (unsigned half = 0; half < 2; half++) {
        c->cookie[half] ^= 1;
        g_assert_cmpuint(caller_message(c, 127, SEND_SIZE, 8), ==, 0);
        c->cookie[half] ^= 1;
    }
    g_assert_cmpuint(caller_message(c, 128, SEND_SIZE, 8), ==, 0);
    g_assert_cmpuint(caller_message(c, 0xffff, CLOSE, 0), ==, 0);
    g_assert_cmpuint(caller_message(c, 127, 7, 0), ==, 0);
    g_assert_cmpuint(caller_message(c, 127, CLOSE, 0), ==, CALLER_SUCCESS);
    g_assert_cmpuint(caller_message(c, 127, CLOSE, 0), ==, 0);
    g_assert_cmpint(caller_open(c, CALLER_RPCI), ==, 127);
    g_assert_cmpint(caller_open(c, 0x12345678), ==, -1);
    caller_free(c);
}

/* What a program left open when it was killed is taken away when others want it, a minute later. */
static void left_open(void)
{
    struct caller *c = caller_new("", true);
    for (unsigned i = 0; i < 128; i++) {
        g_assert_cmpint(caller_open(c, CALLER_TCLO), ==, i);
        caller_wait(c, 1000000);
    }
    g_assert_cmpuint(caller_message(c, 127, RECEIVE_SIZE, 0) & CALLER_SUCCESS, ==, CALLER_SUCCESS);
    g_assert_cmpint(caller_open(c, CALLER_RPCI), ==, -1);
    caller_wait(c, 60ull * 1000000000);
    g_assert_cmpint(caller_open(c, CALLER_RPCI), ==, 0);
    g_assert_cmpint(caller_open(c, CALLER_RPCI), ==, 1);
    g_assert_true(caller_send(c, 1, "log x", 5, false) & CALLER_SUCCESS);
    caller_free(c);
}

static void unserved(void)
{
    struct caller *c = caller_new("", false);
    g_assert_cmpint(caller_open(c, CALLER_TCLO), ==, -1);
    int n = caller_open(c, CALLER_RPCI);
    g_assert_true(caller_send(c, n, "log x", 5, false) & CALLER_SUCCESS);
    g_assert_null(caller_receive(c, n, false));
    caller_free(c);
}

/* ---- what the host wants ---- */

static void settle(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* What the host wants next, after the agent has said that. */
static char *wish(struct caller *c, unsigned n, const char *says)
{
    g_assert_true(caller_send(c, n, says, strlen(says), false) & CALLER_SUCCESS);
    settle();
    g_autoptr(GBytes) bytes = caller_receive(c, n, false);
    return bytes ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : NULL;
}

static void note(void *ctx, bool agreed)
{
    *(int *)ctx = agreed;
}

static unsigned begin(struct caller *c)
{
    static const char *const talk[][2] = {{"", "reset"},
                                          {"OK ATR toolbox", "Capabilities_Register"},
                                          {"OK ", "Set_Option synctime 0"},
                                          {"OK ", "Set_Option broadcastIP 1"},
                                          {"OK ", "vmbackup.snapshotDone"},
                                          {"OK ", "Time_Synchronize 1"},
                                          {"OK ", NULL}};
    int n = caller_open(c, CALLER_TCLO);
    settle();
    for (unsigned i = 0; i < G_N_ELEMENTS(talk); i++) {
        g_autofree char *what = wish(c, n, talk[i][0]);
        g_assert_cmpstr(what, ==, talk[i][1]);
    }
    return n;
}

static void wishes(void)
{
    struct caller *c = caller_new("", true);
    int answer = -1, other = -1;
    g_assert_false(additions_say(c->additions, ADDITIONS_HALT, note, &answer));
    unsigned n = begin(c);
    g_assert_true(additions_listening(c->additions));
    g_assert_true(additions_say(c->additions, ADDITIONS_HALT, note, &answer));
    g_assert_true(additions_say(c->additions, ADDITIONS_REBOOT, note, &other));
    g_autofree char *halt = wish(c, n, ""), *reboot = wish(c, n, "OK "), *none = wish(c, n, "ERROR no");
    g_assert_cmpstr(halt, ==, ADDITIONS_HALT);
    g_assert_cmpstr(reboot, ==, ADDITIONS_REBOOT);
    g_assert_null(none);
    g_assert_cmpint(answer, ==, true);
    g_assert_cmpint(other, ==, false);
    additions_resumed(c->additions);
    g_autofree char *clock = wish(c, n, "");
    g_assert_cmpstr(clock, ==, "Time_Synchronize 1");
    answer = -1;
    g_assert_true(additions_say(c->additions, ADDITIONS_HALT, note, &answer));
    additions_forget(c->additions, &answer);
    caller_message(c, n, CLOSE, 0);
    settle();
    g_assert_cmpint(answer, ==, -1);
    g_assert_false(additions_listening(c->additions));
    caller_free(c);
}

/* A question of another program, while the agent's channel stays as it is. */
static char *ask_beside(struct caller *c, const char *question)
{
    uint32_t cookie[2];
    memcpy(cookie, c->cookie, sizeof cookie);
    char *said = caller_ask(c, question);
    memcpy(c->cookie, cookie, sizeof cookie);
    return said;
}

/* Sizes of screens go to who says that it sets them: what was asked for before, too. */
static void sizes(void)
{
    struct caller *c = caller_new("", true);
    g_assert_false(additions_ask_size(c->additions, 0, 800, 600));
    g_assert_false(additions_ask_size(c->additions, ADDITIONS_SCREENS, 800, 600));
    unsigned n = begin(c);
    g_assert_false(additions_sets_sizes(c->additions));
    for (unsigned i = 0; i < 1000; i++) {
        g_autofree char *said = ask_beside(c, "tools.capability.resolution_server toolbox 1");
        g_assert_cmpstr(said, ==, "1 ");
    }
    g_autofree char *first = wish(c, n, "");
    g_assert_cmpstr(first, ==, "DisplayTopology_Set 1 , 0 0 800 600");
    g_assert_true(additions_sets_sizes(c->additions));
    g_autofree char *done = wish(c, n, "OK ");
    g_assert_null(done);
    additions_size_now(c->additions, 0, 1, 1, false); /* another has been asked for */
    g_assert_true(additions_ask_size(c->additions, 2, 640, 480));
    g_autofree char *both = wish(c, n, "");
    g_assert_cmpstr(both, ==, "DisplayTopology_Set 2 , 0 0 800 600 , 800 0 640 480");
    g_autofree char *none = wish(c, n, "OK ");
    g_assert_null(none);
    g_assert_true(additions_ask_size(c->additions, 2, 0, 0));
    g_autofree char *one = wish(c, n, "");
    g_assert_cmpstr(one, ==, "DisplayTopology_Set 1 , 0 0 800 600");
    g_autofree char *fine = wish(c, n, "OK ");
    g_assert_null(fine);
    additions_size_now(c->additions, 0, 900, 700, true); /* the guest's own choice, as that it has no third any more */
    additions_size_now(c->additions, 2, 64, 64, false);
    additions_size_now(c->additions, 2, 0, 0, true);
    g_assert_true(additions_ask_size(c->additions, 1, 320, 200));
    g_autofree char *own = wish(c, n, "");
    g_assert_cmpstr(own, ==, "DisplayTopology_Set 2 , 0 0 900 700 , 900 0 320 200");
    g_autofree char *nobody = ask_beside(c, "tools.capability.resolution_server elsewhere 1"),
                    *gone = ask_beside(c, "tools.capability.resolution_server toolbox 0");
    g_assert_cmpstr(nobody, ==, "0 ");
    g_assert_cmpstr(gone, ==, "1 ");
    g_assert_false(additions_sets_sizes(c->additions));
    caller_free(c);
}

/* ---- file systems that stand still ---- */

struct stand {
    unsigned heard;
    char *why; /* NULL: they stand */
};

static void on_stand(void *ctx, const char *why)
{
    struct stand *s = ctx;
    s->heard++;
    g_free(s->why);
    s->why = g_strdup(why);
}

/* The service agrees, and its file systems stand. */
static void freeze(struct caller *c, unsigned n, struct stand *s)
{
    g_autoptr(GError) error = NULL;
    additions_freeze(c->additions, 60, on_stand, s, &error);
    g_assert_no_error(error);
    g_autofree char *start = wish(c, n, ""), *done = wish(c, n, "OK ");
    g_assert_true(g_str_has_prefix(start, "vmbackup.startWithOpts "));
    g_assert_null(done);
    g_autofree char *said = ask_beside(c, "vmbackup.eventSet prov.snapshotCommit 0 now");
    g_assert_cmpstr(said, ==, "1 ");
    settle();
}

/* A service that is killed while they stand leaves its channel open.  The one that comes after it knows of nothing: it can be asked. */
static void service_again(void)
{
    struct caller *c = caller_new("", true);
    struct stand s = {0};
    freeze(c, begin(c), &s);
    g_assert_cmpuint(s.heard, ==, 1);
    g_assert_null(s.why);
    unsigned n = begin(c);
    g_autoptr(GError) error = NULL;
    g_assert_false(additions_thaw(c->additions, on_stand, &s, &error));
    g_assert_nonnull(error);
    freeze(c, n, &s);
    g_assert_cmpuint(s.heard, ==, 2);
    g_assert_null(s.why);
    g_assert_true(additions_thaw(c->additions, on_stand, &s, NULL));
    begin(c); /* and that one is killed too, before it says that they go on */
    g_assert_cmpuint(s.heard, ==, 3);
    g_assert_cmpstr(s.why, ==, "its tools have ended");
    g_free(s.why);
    caller_free(c);
}

/* Before the host comes to it, a guest opens and closes without end. */
static void churn(void)
{
    struct caller *c = caller_new("", true);
    for (unsigned i = 0; i < 2000; i++) {
        int n = caller_open(c, CALLER_TCLO);
        if (n >= 0)
            caller_message(c, n, CLOSE, 0);
        g_assert_cmpuint(c->machine->channels->len, <=, 256);
    }
    g_assert_cmpint(caller_open(c, CALLER_TCLO), ==, -1);
    settle();
    g_assert_cmpuint(c->machine->channels->len, ==, 0);
    g_assert_cmpint(caller_open(c, CALLER_TCLO), ==, 0);
    caller_free(c);
}

static void hear(const char *domain, GLogLevelFlags level, const char *message, gpointer heard)
{
    g_string_append(heard, message);
}

/* No line of the log is the guest's own, nor is a fact more than a line. */
static void lines(void)
{
    struct caller *c = caller_new("", true);
    g_autoptr(GString) heard = g_string_new(NULL);
    GLogFunc before = g_log_set_default_handler(hear, heard);
    g_free(caller_ask(c, "log a\nb\x1b[1m"));
    g_free(caller_ask(c, "tools.os.statechange.status c\nd\xc2\x9b"));
    g_log_set_default_handler(before, NULL);
    g_assert_nonnull(strstr(heard->str, "a b [1m"));
    g_assert_nonnull(strstr(heard->str, "c d "));
    g_assert_null(strchr(heard->str, '\n'));
    caller_free(c);
}

/* A question goes on where it was; what the host wanted is asked anew. */
static void saved(void)
{
    struct caller *from = caller_new("", true), *to = caller_new("", true);
    enable(from);
    int n = caller_open(from, CALLER_RPCI);
    g_assert_true(caller_message(from, n, SEND_SIZE, 8) & CALLER_SUCCESS);
    g_assert_true(caller_message(from, n, SEND, 0x20676f6c) & CALLER_SUCCESS); /* "log " */
    caller_save_load(from, to);
    g_assert_true(machine_takes_absolute(to->machine));
    g_assert_true(caller_message(to, n, SEND, 0x64636261) & CALLER_SUCCESS);
    caller_save_load(to, from); /* with the answer waiting */
    g_autoptr(GBytes) answer = caller_receive(from, n, false);
    g_assert_cmpmem(g_bytes_get_data(answer, NULL), g_bytes_get_size(answer), "1 ", 2);
    int t = begin(to);
    g_assert_true(additions_say(to->additions, ADDITIONS_HALT, NULL, NULL));
    g_assert_true(caller_message(to, t, RECEIVE_SIZE, 0) & CALLER_WAITS);
    caller_save_load(to, from);
    settle();
    g_assert_cmpuint(caller_message(from, t, RECEIVE, CALLER_SUCCESS), ==, 0x10); /* start over */
    g_assert_cmpuint(caller_message(from, t, RECEIVED, CALLER_SUCCESS), ==, 0x10);
    g_autoptr(GBytes) reset = caller_receive(from, t, false);
    g_assert_cmpmem(g_bytes_get_data(reset, NULL), g_bytes_get_size(reset), "reset", 5);
    caller_free(from);
    caller_free(to);
}

/* An agent that says anything but its name is not the service. */
static void strangers(void)
{
    static const char *const names[] = {"OK",
                                        "OK ATR ",
                                        "OK ATR tool box",
                                        "OK ATR \xff",
                                        "ERROR ",
                                        "OK ATR toolboxes",
                                        "OK ATR 0123456789012345678901234567890123456789"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        struct caller *c = caller_new("", true);
        int n = caller_open(c, CALLER_TCLO);
        settle();
        g_autofree char *reset = wish(c, n, ""), *after = wish(c, n, names[i]);
        g_assert_cmpstr(reset, ==, "reset");
        g_assert_false(additions_listening(c->additions));
        caller_free(c);
    }
}

/* ---- the guest's addresses ---- */

static void put(GByteArray *a, uint32_t v)
{
    v = GUINT32_TO_BE(v);
    g_byte_array_append(a, (uint8_t *)&v, 4);
}

static GByteArray *nics(void)
{
    static const uint8_t v4[4] = {10, 0, 2, 15}, v6[16] = {0xfd, 0, [15] = 7};
    GByteArray *a = g_byte_array_new();
    g_byte_array_append(a, (const uint8_t *)"SetGuestInfo  10 ", 17);
    put(a, 3), put(a, 1), put(a, 1);
    put(a, 17), g_byte_array_append(a, (const uint8_t *)"52:54:00:12:34:56\0\0\0", 20);
    put(a, 2);
    put(a, 1), put(a, 4), g_byte_array_append(a, v4, 4), put(a, 24), put(a, 0), put(a, 1), put(a, 1);
    put(a, 2), put(a, 16), g_byte_array_append(a, v6, 16), put(a, 64), put(a, 1), put(a, 5), put(a, 0);
    for (unsigned i = 0; i < 4; i++)
        put(a, 0);
    return a;
}

static void addresses(void)
{
    struct caller *c = caller_new("", true);
    g_autoptr(GByteArray) a = nics();
    int n = caller_open(c, CALLER_RPCI);
    for (unsigned bytes = 17; bytes <= a->len; bytes++) {
        g_assert_true(caller_send(c, n, a->data, bytes, true) & CALLER_SUCCESS);
        g_autoptr(GBytes) answer = caller_receive(c, n, true);
        g_assert_cmpint(((const char *)g_bytes_get_data(answer, NULL))[0], ==, bytes == a->len ? '1' : '0');
    }
    g_autoptr(JsonObject) o = additions_describe(c->additions);
    JsonArray *list = json_object_get_array_member(o, "addresses");
    g_assert_cmpuint(json_array_get_length(list), ==, 2);
    g_assert_cmpstr(json_array_get_string_element(list, 0), ==, "10.0.2.15/24");
    g_assert_cmpstr(json_array_get_string_element(list, 1), ==, "fd00::7/64");
    caller_free(c);
}

/* ---- bounds of what is kept ---- */

static void variables(void)
{
    struct caller *c = caller_new("", true);
    g_autoptr(GError) error = NULL;
    for (unsigned i = 0; i < 256; i++) {
        g_autofree char *key = g_strdup_printf("k%u", i);
        g_assert_true(additions_set_variable(c->additions, key, "v", &error));
    }
    g_assert_false(additions_set_variable(c->additions, "one-more", "v", &error));
    g_assert_nonnull(error);
    g_autofree char *large = g_strnfill(65534, 'y');
    for (unsigned i = 0; i < 15; i++) {
        g_autofree char *key = g_strdup_printf("k%u", i);
        g_assert_true(additions_set_variable(c->additions, key, large, NULL));
    }
    g_assert_false(additions_set_variable(c->additions, "k15", large, NULL));
    g_assert_true(additions_set_variable(c->additions, "k14", "", NULL));
    g_assert_true(additions_set_variable(c->additions, "k15", large, NULL));
    g_autofree char *whole = caller_ask(c, "info-get guestinfo.k15");
    g_assert_cmpuint(strlen(whole), ==, 65536);
    g_autofree char *larger = g_strnfill(65535, 'y');
    g_assert_false(additions_set_variable(c->additions, "k15", larger, NULL));
    caller_free(c);
}

static uint32_t signature(const char *keys)
{
    struct caller *c = caller_new(keys, false);
    bool vmware = c->machine->cpu_vm.vmware;
    caller_free(c);
    return vmware;
}

static void identity(void)
{
    g_assert_true(signature("") && signature("identity=auto") && signature("identity=vmware"));
    g_assert_false(signature("identity=kvm"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backdoor/tells", tells);
    g_test_add_func("/backdoor/not-calls", not_calls);
    g_test_add_func("/backdoor/identity", identity);
    g_test_add_func("/pointer/events", pointer);
    g_test_add_func("/pointer/errors", pointer_errors);
    g_test_add_func("/messages/questions", questions);
    g_test_add_func("/messages/long", long_messages);
    g_test_add_func("/messages/fast-ends", fast_ends);
    g_test_add_func("/messages/channels", channels);
    g_test_add_func("/messages/left-open", left_open);
    g_test_add_func("/messages/unserved", unserved);
    g_test_add_func("/wishes/answered", wishes);
    g_test_add_func("/sizes/answered", sizes);
    g_test_add_func("/quiesce/service-again", service_again);
    g_test_add_func("/saved", saved);
    g_test_add_func("/messages/churn", churn);
    g_test_add_func("/messages/lines", lines);
    g_test_add_func("/wishes/strangers", strangers);
    g_test_add_func("/facts/addresses", addresses);
    g_test_add_func("/facts/variables", variables);
    return g_test_run();
}
