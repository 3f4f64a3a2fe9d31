// SPDX-License-Identifier: GPL-2.0-or-later
/* client_vnc.c - see client_vnc.h. */
#include "core-vmm/control/client_vnc.h"
#include "core-vmm/api/config.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/machine_vnc.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <string.h>

#define CALL_MS 5000
#define GONE_MS 3000

static bool runs(const char *name)
{
    g_autofree char *folder = machines_folder(name);
    return machine_lock_holder(folder) != 0;
}

static bool is_absent(const GError *error)
{
    return g_error_matches(error, CONTROL_ERROR, CONTROL_NOT_FOUND) ||
           g_error_matches(error, MACHINE_ERROR, MACHINE_ERROR_NOT_RUNNING);
}

static struct client *connect_vnc(const char *name, GError **error)
{
    g_autofree char *socket = paths_vnc(name, error);
    g_autoptr(GError) why = NULL;
    if (!socket || (!runs(name) && !machines_not_running(name, error)))
        return NULL;
    struct client *c = client_connect_socket(socket, &why);
    if (g_error_matches(why, CONTROL_ERROR, CONTROL_NOT_FOUND))
        g_set_error(error, CONTROL_ERROR, CONTROL_NOT_FOUND, "VNC of %s is off; vmctl vnc %s on", name, name);
    else if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    return c;
}

JsonObject *vnc_ask(const char *name, const char *command, JsonObject *args, GError **error)
{
    struct client *c = connect_vnc(name, error);
    JsonObject *o = c ? client_call(c, command, args, CALL_MS, error) : NULL;
    if (!c && args)
        json_object_unref(args);
    client_free(c);
    return o;
}

/* ---- what there is ---- */

static void add_text(JsonObject *o, const struct config *c, const char *key)
{
    g_autofree char *value = config_string(c, key);
    json_object_set_string_member(o, key, value ? value : "");
}

JsonObject *vnc_status(const char *name, GError **error)
{
    g_autofree char *ini = machines_ini(name), *folder = machines_folder(name);
    g_autofree char *password = machine_vnc_password(folder);
    g_autoptr(GKeyFile) file = machines_settings(name, error);
    if (!file)
        return NULL;
    const struct config c = {file, ini, "vnc"};
    JsonObject *o = json_object_new(), *now = vnc_ask(name, "status", NULL, NULL);
    bool enabled = true, view_only = false;
    config_flag(&c, "enabled", &enabled, NULL);
    config_flag(&c, "view-only", &view_only, NULL);
    json_object_set_string_member(o, "machine", name);
    json_object_set_boolean_member(o, "enabled", g_key_file_has_group(file, "vnc") && enabled);
    add_text(o, &c, "listen");
    add_text(o, &c, "sharing");
    json_object_set_boolean_member(o, "view-only", view_only);
    json_object_set_boolean_member(o, "password", password != NULL);
    if (now)
        json_object_set_object_member(o, "now", now);
    return o;
}

/* ---- changes ---- */

static bool keep(const char *name, const struct vnc_wish *w, const char *enabled, GError **error)
{
    const struct {
        const char *key, *value;
    } all[] = {{"enabled", enabled}, {"listen", w->listen}, {"sharing", w->sharing}, {"view-only", w->view_only}};
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    enum settings_count count;
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        g_autofree char *text = all[i].value ? g_strdup_printf("vnc.%s=%s", all[i].key, all[i].value) : NULL;
        if (text)
            g_strv_builder_add(b, text);
    }
    g_auto(GStrv) assignments = g_strv_builder_end(b);
    return machines_change(name, assignments, NULL, &count, error);
}

/* Its process has ended, and its keeper: then the port is free again. */
static bool stop_now(const char *name, GError **error)
{
    g_autoptr(GError) why = NULL;
    JsonObject *o = vnc_ask(name, "stop", NULL, &why);
    if (o)
        json_object_unref(o);
    for (int ms = 0; !why && ms < GONE_MS; ms += 20) {
        struct client *c = connect_vnc(name, &why);
        client_free(c);
        if (c)
            g_usleep(20000);
    }
    if (!why)
        g_set_error(&why, CONTROL_ERROR, CONTROL_TIMEOUT, "the VNC server of %s does not end", name);
    if (is_absent(why))
        return true;
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

static bool set_now(const char *name, const struct vnc_wish *w, GError **error)
{
    JsonObject *args = json_object_new();
    if (w->sharing)
        json_object_set_string_member(args, "sharing", w->sharing);
    if (w->view_only)
        json_object_set_boolean_member(args, "view-only", !strcmp(w->view_only, "on"));
    g_autoptr(JsonObject) o = vnc_ask(name, "set", args, error);
    return o != NULL;
}

static bool has_display(const char *name, GError **error)
{
    g_autoptr(JsonObject) info = client_info(name, CALL_MS, error);
    if (info && !answer_flag(info, "has-display"))
        g_set_error(error, CONTROL_ERROR, CONTROL_UNSUPPORTED, "%s has no graphics card, so there is no screen to show",
                    name);
    return info && answer_flag(info, "has-display");
}

bool vnc_on(const char *name, const struct vnc_wish *w, GError **error)
{
    if (!keep(name, w, "on", error))
        return false;
    if (!runs(name))
        return true;
    g_autoptr(JsonObject) now = vnc_ask(name, "status", NULL, NULL);
    if (now && !w->listen)
        return set_now(name, w, error);
    return has_display(name, error) && (!now || stop_now(name, error)) && machine_vnc_begin(name, NULL, error);
}

bool vnc_off(const char *name, GError **error)
{
    return keep(name, &(struct vnc_wish){NULL}, "off", error) && (!runs(name) || stop_now(name, error));
}

bool vnc_password(const char *name, const char *password, GError **error)
{
    g_autofree char *folder = machines_folder(name);
    g_autoptr(GError) why = NULL;
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "text", password ? password : "");
    if (!machine_vnc_set_password(folder, password, error)) {
        json_object_unref(args);
        return false;
    }
    g_autoptr(JsonObject) o = vnc_ask(name, "password", args, &why);
    if (o || is_absent(why))
        return true;
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}
