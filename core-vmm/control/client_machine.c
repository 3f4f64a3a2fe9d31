// SPDX-License-Identifier: GPL-2.0-or-later
/* client_machine.c - see client_machine.h. */
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/machines.h"

#define CALL_MS   30000
#define FORCED_US (10 * G_USEC_PER_SEC)
#define CUT_MS    5000

struct client *client_connect_machine(const char *given, char **name, GError **error)
{
    g_autofree char *exact = machines_find(given, error);
    g_autoptr(GError) why = NULL;
    struct client *c = exact ? client_connect(exact, &why) : NULL;
    if (g_error_matches(why, CONTROL_ERROR, CONTROL_NOT_FOUND))
        machines_not_running(exact, error);
    else if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    if (c && name)
        *name = g_steal_pointer(&exact);
    return c;
}

JsonObject *client_info(const char *name, int timeout_ms, GError **error)
{
    struct client *c = client_connect(name, error);
    JsonObject *o = c ? client_call(c, "info", NULL, timeout_ms, error) : NULL;
    client_free(c);
    return o;
}

bool client_power_off(const char *given, double seconds, GError **error)
{
    g_autofree char *name = NULL;
    struct client *c = client_connect_machine(given, &name, error);
    JsonObject *o = c ? client_call(c, "powerbutton", NULL, CALL_MS, error) : NULL;
    bool pressed = o != NULL;
    g_clear_pointer(&o, json_object_unref);
    bool gone = pressed && machines_wait_gone(name, (gint64)(seconds * G_USEC_PER_SEC));
    client_free(c);
    if (pressed && !gone)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_TIMEOUT,
                    "the guest did not shut down within %g s; vmctl stop --force %s cuts its power", seconds, name);
    return gone;
}

bool client_power_cut(const char *given, char **why, GError **error)
{
    g_autofree char *name = machines_find(given, error);
    g_autoptr(GError) refused = NULL;
    *why = NULL;
    if (!name)
        return false;
    if (machines_wait_gone(name, 0))
        return machines_not_running(name, error);
    struct client *c = client_connect(name, &refused);
    bool absent = g_error_matches(refused, CONTROL_ERROR, CONTROL_NOT_FOUND);
    JsonObject *o = c ? client_call(c, "stop", NULL, CUT_MS, &refused) : NULL;
    bool asked = o != NULL;
    g_clear_pointer(&o, json_object_unref);
    client_free(c);
    if (machines_wait_gone(name, asked ? FORCED_US : 0))
        return true;
    g_autofree char *reason = g_strdup(asked    ? "its process said that it would end, and did not"
                                       : absent ? "nobody listens at its control socket"
                                                : refused->message);
    if (!machines_kill(name, reason, error))
        return false;
    *why = g_steal_pointer(&reason);
    return true;
}
