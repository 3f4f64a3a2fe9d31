// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_add.h - one more disk for a machine, which it has from its next start. */
#pragma once
#include "gui/manager/window.h"

/* Asks how large, makes an image in the machine's folder, and puts it into that section of its settings ("sata1"). */
void disk_add_new(VmWindow *w, VmItem *m, const char *section);
/* The same with an image that is there: asks for the file. */
void disk_add_image(VmWindow *w, VmItem *m, const char *section);
