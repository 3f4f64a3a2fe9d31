// SPDX-License-Identifier: GPL-2.0-or-later
/* app.h - the application: one process for all its windows, found by its id. */
#pragma once
#include <adwaita.h>

#define APP_ID "org.terrarium.Terrarium"
G_DECLARE_FINAL_TYPE(VmApp, vm_app, VM, APP, AdwApplication)
VmApp *vm_app_new(void);
