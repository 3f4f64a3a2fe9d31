// SPDX-License-Identifier: GPL-2.0-or-later
/* ask.h - questions before what cannot be undone. */
#pragma once
#include "gui/manager/window.h"

typedef void (*ask_answer)(VmWindow *w, VmItem *m);
/* Calls sure if the user chose verb ("_Reset"), and the machine is still there. */
void ask_sure(VmWindow *w, VmItem *m, const char *title, const char *text, const char *verb, ask_answer sure);
/* Takes a section out of its settings; called: its title. */
void ask_remove(VmWindow *w, VmItem *m, const char *section, const char *called);
void ask_delete(VmWindow *w, VmItem *m);
void ask_title(VmWindow *w, VmItem *m); /* what people call it */
void ask_group(VmWindow *w, VmItem *m); /* with which others it is listed */
