// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor_page.h - the window with what is wrong with this computer and its machines, as vmctl doctor tells it. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmDoctor, vm_doctor, VM, DOCTOR, AdwWindow)
void vm_doctor_show(VmWindow *w);
