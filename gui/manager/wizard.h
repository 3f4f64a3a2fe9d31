// SPDX-License-Identifier: GPL-2.0-or-later
/* wizard.h - from a file, or nothing, to a machine that runs: two pages and a moment's work. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmWizard, vm_wizard, VM, WIZARD, AdwWindow)

void vm_wizard_show(VmWindow *w, const char *file); /* file: an ISO or a disk to begin with; NULL: none */
