// SPDX-License-Identifier: GPL-2.0-or-later
/* vm_call.c - see vm_call.h. */
#include "gui/manager/vm_call.h"
#include "core-vmm/control/client.h"

struct request {
    char *machine, *command;
    JsonObject *args;
    int ms;
};

static void request_free(gpointer request)
{
    struct request *r = request;
    g_clear_pointer(&r->args, json_object_unref);
    g_free(r->machine);
    g_free(r->command);
    g_free(r);
}

static void work(GTask *task, gpointer source, gpointer request, GCancellable *cancel)
{
    struct request *r = request;
    GError *error = NULL;
    struct client *c = client_connect(r->machine, &error);
    JsonObject *o = c ? client_call(c, r->command, g_steal_pointer(&r->args), r->ms, &error) : NULL;
    client_free(c);
    if (o)
        g_task_return_pointer(task, o, (GDestroyNotify)json_object_unref);
    else
        g_task_return_error(task, error);
}

void vm_call(const char *machine, const char *command, JsonObject *args, int ms, GObject *source,
             GAsyncReadyCallback done, gpointer data)
{
    const struct request r = {g_strdup(machine), g_strdup(command), args, ms};
    g_autoptr(GTask) task = g_task_new(source, NULL, done, data);
    g_task_set_task_data(task, g_memdup2(&r, sizeof r), request_free);
    g_task_run_in_thread(task, work);
}

JsonObject *vm_called(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
