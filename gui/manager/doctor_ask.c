// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor_ask.c - see doctor_ask.h. */
#include "gui/manager/doctor_ask.h"

static void work(GTask *task, gpointer source, gpointer data, GCancellable *cancel)
{
    g_task_return_pointer(task, doctor_look(), (GDestroyNotify)g_ptr_array_unref);
}

void doctor_ask(GCancellable *cancel, GAsyncReadyCallback done, gpointer data)
{
    g_autoptr(GTask) task = g_task_new(NULL, cancel, done, data);
    g_task_run_in_thread(task, work);
}

GPtrArray *doctor_answer(GAsyncResult *result)
{
    return g_task_propagate_pointer(G_TASK(result), NULL);
}
