// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_additions.c - guestinfo.*, and what the guest's tools are asked for. */
#include "core-vmm/control/commands.h"

/* ---- the tools ---- */

struct asked {
    struct call *call;
    void (*agreed)(struct server *s);
    void (*otherwise)(struct call *c);
};

static void cancel(void *ctx)
{
    struct asked *w = ctx;
    additions_forget(call_options(w->call)->additions, w);
    g_free(w);
}

static void done(void *ctx, bool agreed)
{
    struct asked w = *(struct asked *)ctx;
    g_free(ctx);
    if (!agreed) {
        w.otherwise(w.call);
        return;
    }
    if (w.agreed)
        w.agreed(call_server(w.call));
    call_reply(w.call, NULL);
}

void ask_tools(struct call *c, const char *wish, void (*agreed)(struct server *s), void (*otherwise)(struct call *c))
{
    struct additions *a = call_options(c)->additions;
    struct asked *w = g_new0(struct asked, 1);
    *w = (struct asked){c, agreed, otherwise};
    if (a && machine_state(call_machine(c)) == MACHINE_RUNNING && additions_say(a, wish, done, w)) {
        call_on_cancel(c, cancel, w);
        return;
    }
    g_free(w);
    otherwise(c);
}

/* ---- guestinfo ---- */

#define NONE                                                                                                           \
    "the machine has no backdoor by which its guest could see that; add a section [additions] to its machine.ini "     \
    "(vmctl set NAME additions.identity=auto)"

static struct additions *additions_of(struct call *c)
{
    struct additions *a = call_options(c)->additions;
    if (!a)
        call_fail(c, CONTROL_WRONG_STATE, NONE);
    return a;
}

static void get(struct call *c)
{
    struct additions *a = additions_of(c); /* NULL: the call is gone */
    if (!a)
        return;
    const char *key = call_text(c, "key", "");
    g_autofree char *value = additions_variable(a, key);
    if (!value) {
        call_fail(c, CONTROL_NOT_FOUND, "guestinfo.%s is not set", key);
        return;
    }
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "value", value);
    call_reply(c, o);
}

static void set(struct call *c)
{
    struct additions *a = additions_of(c);
    g_autoptr(GError) error = NULL;
    if (!a)
        return;
    if (additions_set_variable(a, call_text(c, "key", ""), call_text(c, "value", ""), &error))
        call_reply(c, NULL);
    else
        call_fail(c, CONTROL_USAGE, "%s", error->message);
}

const struct command additions_commands[] = {
    {"guestinfo.get",
     {{"key", PARAM_TEXT, true}},
     .summary = "a text that guest and host both may read and set (VMware's guestinfo.KEY)",
     .handler = get},
    {"guestinfo.set", {{"key", PARAM_TEXT, true}, {"value", PARAM_TEXT, true}}, .summary = "set it", .handler = set},
    {NULL},
};
