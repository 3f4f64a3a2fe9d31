// SPDX-License-Identifier: GPL-2.0-or-later
/* serial_page.h - the window with the serial ports of a machine, as a terminal. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmSerial, vm_serial, VM, SERIAL, AdwWindow)

void vm_serial_show(VmWindow *w, VmItem *m); /* the one that is open, or a new one */
