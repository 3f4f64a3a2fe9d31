// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_additions.c - guestinfo.*, and what the guest's tools are asked for.  Each row of the table wants the machine's additions, so its
 * handler is called on a machine that has them. */
#include "core-vmm/control/commands.h"
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

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

/* ---- whatever a client has to say to them ---- */

#define NO_SERVICE "open-vm-tools' service does not run in the guest, does not answer, or has too much to do"

static void cancel_tell(void *ctx)
{
    additions_forget(call_options(ctx)->additions, ctx);
}

static void told(void *ctx, const void *answer, size_t bytes)
{
    if (!answer) {
        call_fail(ctx, CONTROL_TIMEOUT, "the guest's tools do not answer");
        return;
    }
    g_autofree char *text = g_base64_encode(answer, bytes);
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "answer", text);
    call_reply(ctx, o);
}

static void tell(struct call *c)
{
    struct additions *a = call_options(c)->additions;
    gsize bytes;
    g_autofree uint8_t *wish = g_base64_decode(call_text(c, "wish", ""), &bytes);
    unsigned seconds = call_number(c, "seconds", 30);
    if (machine_state(call_machine(c)) != MACHINE_RUNNING)
        call_fail(c, CONTROL_WRONG_STATE, "the machine is paused");
    else if (!bytes || !additions_tell(a, wish, bytes, seconds, told, c))
        call_fail(c, CONTROL_WRONG_STATE, NO_SERVICE);
    else
        call_on_cancel(c, cancel_tell, c);
    if (wish)
        memset(wish, 0, bytes); /* it may have a password in it */
}

/* ---- guestinfo ---- */

static void get(struct call *c)
{
    struct additions *a = call_options(c)->additions;
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
    struct additions *a = call_options(c)->additions;
    g_autoptr(GError) error = NULL;
    if (additions_set_variable(a, call_text(c, "key", ""), call_text(c, "value", ""), &error))
        call_reply(c, NULL);
    else
        call_fail(c, CONTROL_USAGE, "%s", error->message);
}

/* ---- clipboard ---- */

static void fail_clipboard(struct call *c, const GError *error)
{
    bool size = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
    call_fail(c, size ? CONTROL_USAGE : CONTROL_WRONG_STATE, "%s", error->message);
}

static void give(struct call *c)
{
    struct additions *a = call_options(c)->additions;
    g_autoptr(GError) error = NULL;
    if (additions_clipboard_give(a, call_text(c, "text", ""), &error))
        call_reply(c, NULL);
    else
        fail_clipboard(c, error);
}

static void cancel_take(void *ctx)
{
    additions_clipboard_forget(call_options(ctx)->additions, ctx);
}

static void taken(void *ctx, const char *text, bool answered)
{
    JsonObject *o;
    if (!answered) {
        call_fail(ctx, CONTROL_TIMEOUT, "the guest does not say what is on its clipboard");
        return;
    }
    o = json_object_new();
    if (text)
        json_object_set_string_member(o, "text", text);
    call_reply(ctx, o);
}

static void take(struct call *c)
{
    struct additions *a = call_options(c)->additions;
    g_autoptr(GError) error = NULL;
    if (additions_clipboard_take(a, taken, c, &error))
        call_on_cancel(c, cancel_take, c);
    else
        fail_clipboard(c, error);
}

/* ---- file systems that stand still ---- */

static void stood(void *ctx, const char *why)
{
    if (why)
        call_fail(ctx, CONTROL_FAILED, "The guest's file systems were not stopped as they should: %s", why);
    else
        call_reply(ctx, NULL);
}

static void cancel_stop(void *ctx)
{
    additions_freeze_forget(call_options(ctx)->additions, ctx);
}

static void answer_stop(struct call *c, bool begun, const GError *error)
{
    if (begun)
        call_on_cancel(c, cancel_stop, c);
    else
        call_fail(c, g_error_matches(error, G_IO_ERROR, G_IO_ERROR_BUSY) ? CONTROL_BUSY : CONTROL_WRONG_STATE, "%s",
                  error->message);
}

static void freeze(struct call *c)
{
    struct additions *a = call_options(c)->additions;
    g_autoptr(GError) error = NULL;
    if (machine_state(call_machine(c)) != MACHINE_RUNNING) {
        call_fail(c, CONTROL_WRONG_STATE, "the machine is paused, so its guest cannot stop its file systems");
        return;
    }
    bool begun = additions_freeze(a, call_number(c, "seconds", 60), stood, c, &error);
    answer_stop(c, begun, error);
}

static void thaw(struct call *c)
{
    struct additions *a = call_options(c)->additions;
    g_autoptr(GError) error = NULL;
    bool begun = additions_thaw(a, stood, c, &error);
    answer_stop(c, begun, error);
}

/* ---- shared folders ---- */

#define FOLDER_NUMBER                                                                                                  \
    {                                                                                                                  \
        "number", PARAM_NUMBER, true, 1, 9                                                                             \
    }

static void folder_add(struct call *c)
{
    struct additions *a = call_options(c)->additions;
    int fd = call_take_fd(c, 0);
    const char *name = call_text(c, "name", "");
    bool good = g_unix_set_fd_nonblocking(fd, TRUE, NULL) &&
                additions_folder_add(a, call_number(c, "number", 0), name, call_flag(c, "readonly"), fd);
    if (good) {
        call_reply(c, NULL);
        return;
    }
    close(fd);
    call_fail(c, CONTROL_WRONG_STATE, "%s is no name for a shared folder, or it or its number is taken", name);
}

static void folder_remove(struct call *c)
{
    unsigned number = call_number(c, "number", 0);
    struct additions *a = call_options(c)->additions;
    if (additions_folder_remove(a, number))
        call_reply(c, NULL);
    else
        call_fail(c, CONTROL_NOT_FOUND, "there is no shared folder number %u", number);
}

static void folder_list(struct call *c)
{
    struct additions *a = call_options(c)->additions;
    JsonObject *o = json_object_new();
    json_object_set_array_member(o, "folders", additions_folders(a));
    call_reply(c, o);
}

const struct command additions_commands[] = {
    {"clipboard.give",
     {{"text", PARAM_TEXT, true}},
     .additions = true,
     .summary = "put a text on the guest's clipboard",
     .handler = give},
    {"clipboard.take", .additions = true, .summary = "the text on the guest's clipboard", .handler = take},
    {"folder.add",
     {FOLDER_NUMBER, {"name", PARAM_TEXT, true}, {"readonly", PARAM_FLAG}},
     .additions = true,
     .summary = "share a folder with the guest; the line to its process comes along",
     .handler = folder_add,
     .fds = 1},
    {"folder.list", .additions = true, .summary = "the folders that the guest sees", .handler = folder_list},
    {"folder.remove", {FOLDER_NUMBER}, .additions = true, .summary = "share it no more", .handler = folder_remove},
    {"guestinfo.get",
     {{"key", PARAM_TEXT, true}},
     .additions = true,
     .summary = "a text that guest and host both may read and set (VMware's guestinfo.KEY)",
     .handler = get},
    {"guest.freeze",
     {{"seconds", PARAM_NUMBER, false, 1, 280}},
     .additions = true,
     .summary = "the guest's file systems stand still, until guest.thaw or for five minutes",
     .handler = freeze},
    {"guest.tell",
     {{"wish", PARAM_TEXT, true}, {"seconds", PARAM_NUMBER, false, 1, 600}},
     .additions = true,
     .summary = "a wish to open-vm-tools' service, and its answer; both base64",
     .handler = tell},
    {"guest.thaw", .additions = true, .summary = "they go on", .handler = thaw},
    {"guestinfo.set",
     {{"key", PARAM_TEXT, true}, {"value", PARAM_TEXT, true}},
     .additions = true,
     .summary = "set it",
     .handler = set},
    {NULL},
};
