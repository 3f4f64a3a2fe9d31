// SPDX-License-Identifier: GPL-2.0-or-later
/* vm_call.h - a request to a running VM whose answer somebody wants, from a thread: it may take its time. */
#pragma once
#include <gio/gio.h>
#include <json-glib/json-glib.h>

/* By the machine's whole name; takes args (NULL: none).  ms: how long it may take. */
void vm_call(const char *machine, const char *command, JsonObject *args, int ms, GObject *source,
             GAsyncReadyCallback done, gpointer data);
JsonObject *vm_called(GAsyncResult *result, GError **error); /* json_object_unref */
