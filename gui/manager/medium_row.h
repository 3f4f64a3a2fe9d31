// SPDX-License-Identifier: GPL-2.0-or-later
/* medium_row.h - what is in a CD or floppy drive: put in and taken out, also while the machine runs. */
#pragma once
#include "gui/manager/item.h"
#include <adwaita.h>

struct medium_row;
bool medium_row_is_for(GKeyFile *file, const char *section); /* it is a drive whose medium can be changed */
struct medium_row *medium_row_new(VmItem *m, const char *section);
void medium_row_free(struct medium_row *r);
GtkWidget *medium_row_widget(struct medium_row *r);
void medium_row_take(struct medium_row *r, GKeyFile *file);
