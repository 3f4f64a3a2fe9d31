// SPDX-License-Identifier: GPL-2.0-or-later
/* networks_page.h - the window with the networks that machines share. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmNetworks, vm_networks, VM, NETWORKS, AdwWindow)

void vm_networks_show(VmWindow *w);
