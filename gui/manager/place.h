// SPDX-License-Identifier: GPL-2.0-or-later
/* place.h - work on a machine for which a place among the files is asked. */
#pragma once
#include "gui/manager/window.h"

void place_export(VmWindow *w, VmItem *m); /* an OVA, for other programs */
void place_move(VmWindow *w, VmItem *m);   /* its disks, to another folder */
void place_share(VmWindow *w, VmItem *m);  /* a folder, with the guest */
