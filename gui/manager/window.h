// SPDX-License-Identifier: GPL-2.0-or-later
/* window.h - the manager's window. */
#pragma once
#include "gui/manager/library.h"
#include <adwaita.h>

G_DECLARE_FINAL_TYPE(VmWindow, vm_window, VM, WINDOW, AdwApplicationWindow)

VmWindow *vm_window_new(AdwApplication *app, VmLibrary *library);
VmLibrary *vm_window_library(VmWindow *w);
/* The machine that an action's parameter names; "": the chosen one.  NULL: none. */
VmItem *vm_window_item(VmWindow *w, const char *name);
/* And shows it, though a search had hidden it.  Of none of that name nothing changes. */
void vm_window_choose(VmWindow *w, const char *name);
void vm_window_fold(VmWindow *w, VmItem *m);             /* its group in the list, or opens it */
void vm_window_show_page(VmWindow *w, const char *page); /* of the chosen machine */
void vm_window_toast(VmWindow *w, const char *text);
/* With a button for an action, of a text; button NULL: without. */
void vm_window_toast_action(VmWindow *w, const char *text, const char *button, const char *action, const char *target);
void vm_window_go_back(VmWindow *w);
void vm_window_set_view(VmWindow *w, const char *view); /* "list" or "grid" */
void vm_window_set_sort(VmWindow *w, const char *sort); /* "name", "state" or "used" */
void vm_window_search(VmWindow *w);

/* window_actions.c */
void window_actions_add(VmWindow *w, const char *view, const char *sort);
