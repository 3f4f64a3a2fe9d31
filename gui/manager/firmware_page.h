// SPDX-License-Identifier: GPL-2.0-or-later
/* firmware_page.h - the window with what a machine's UEFI remembers, which can begin anew. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmFirmware, vm_firmware, VM, FIRMWARE, AdwWindow)

void vm_firmware_show(VmWindow *w, VmItem *m);
