// SPDX-License-Identifier: GPL-2.0-or-later
/* commands.c - what the VNC process answers on its control socket (docs/control.md). */
#include "gui/vnc/vnc.h"
#include <string.h>

static struct vnc *vnc_of(struct call *c)
{
    return call_options(c)->ctx;
}

static void status(struct call *c)
{
    struct vnc *v = vnc_of(c);
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "machine", v->name);
    json_object_set_string_member(o, "where", v->where);
    json_object_set_boolean_member(o, "password", v->password != NULL);
    json_object_set_boolean_member(o, "view-only", v->view_only);
    json_object_set_string_member(o, "sharing", v->exclusive ? "exclusive" : "shared");
    json_object_set_int_member(o, "clients", gates_in(v));
    json_object_set_int_member(o, "most", v->most);
    call_reply(c, o);
}

static void clients(struct call *c)
{
    struct vnc *v = vnc_of(c);
    JsonObject *o = json_object_new();
    JsonArray *all = json_array_new();
    for (unsigned i = 0; i < v->gates->len; i++) {
        JsonObject *one = gate_describe(v->gates->pdata[i]);
        if (one)
            json_array_add_object_element(all, one);
    }
    json_object_set_array_member(o, "clients", all);
    call_reply(c, o);
}

static void disconnect(struct call *c)
{
    unsigned id = call_number(c, "id", 0);
    if (gate_close_id(vnc_of(c), id))
        call_reply(c, NULL);
    else
        call_fail(c, CONTROL_NOT_FOUND, "there is no VNC client %u", id);
}

static void set(struct call *c)
{
    struct vnc *v = vnc_of(c);
    const char *sharing = call_text(c, "sharing", v->exclusive ? "exclusive" : "shared");
    if (strcmp(sharing, "shared") && strcmp(sharing, "exclusive")) {
        call_fail(c, CONTROL_USAGE, "sharing is shared or exclusive");
        return;
    }
    v->exclusive = !strcmp(sharing, "exclusive");
    if (call_has(c, "view-only") && call_flag(c, "view-only") != v->view_only) {
        v->view_only = call_flag(c, "view-only");
        gates_view_only(v);
    }
    vnc_keep(v);
    call_reply(c, NULL);
}

/* Whoever is in was let in by other terms. */
static void password(struct call *c)
{
    struct vnc *v = vnc_of(c);
    const char *text = call_text(c, "text", "");
    if (strlen(text) > VNC_PASSWORD_MOST) {
        call_fail(c, CONTROL_USAGE, "a password of VNC has at most %d characters", VNC_PASSWORD_MOST);
        return;
    }
    g_free(v->password);
    v->password = *text ? g_strdup(text) : NULL;
    gates_close(v, NULL);
    vnc_keep(v);
    call_reply(c, NULL);
}

static void stop(struct call *c)
{
    struct vnc *v = vnc_of(c);
    call_reply(c, NULL); /* the call is gone after that */
    vnc_end(v, 0);
}

static const struct command vnc_commands[] = {
    {"status", .summary = "where it listens, and for whom", .handler = status},
    {"clients", .summary = "who is let in", .handler = clients},
    {"disconnect",
     {{"id", PARAM_NUMBER, true, 1, G_MAXUINT}},
     .summary = "sends one of them away",
     .handler = disconnect},
    {"set",
     {{"view-only", PARAM_FLAG}, {"sharing", PARAM_TEXT}},
     .summary =
         "may clients use keys and pointer; several at once (shared), or one, which a new one replaces (exclusive)",
     .handler = set},
    {"password", {{"text", PARAM_TEXT, true}}, .summary = "another password; empty: none", .handler = password},
    {"stop", .summary = "ends it", .handler = stop},
    {NULL},
};

const struct command *const *command_groups(void)
{
    static const struct command *const groups[] = {own_commands, vnc_commands, NULL};
    return groups;
}
