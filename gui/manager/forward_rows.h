// SPDX-License-Identifier: GPL-2.0-or-later
/* forward_rows.h - the port forwards of a network card: listed, added and taken away, at once also while the machine runs. */
#pragma once
#include "gui/manager/item.h"
#include <adwaita.h>

struct forward_rows;
struct forward_rows *forward_rows_new(VmItem *m, const char *card);
void forward_rows_free(struct forward_rows *f);
GtkWidget *forward_rows_widget(struct forward_rows *f);
void forward_rows_take(struct forward_rows *f, GKeyFile *file);
