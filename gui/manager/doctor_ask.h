// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor_ask.h - the doctor's findings (core-vmm/install/doctor.h), looked for in a thread. */
#pragma once
#include "core-vmm/install/doctor.h"
#include <gio/gio.h>

void doctor_ask(GCancellable *cancel, GAsyncReadyCallback done, gpointer data);
/* struct finding; g_ptr_array_unref; NULL: it was cancelled. */
GPtrArray *doctor_answer(GAsyncResult *result);
