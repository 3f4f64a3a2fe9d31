// SPDX-License-Identifier: GPL-2.0-or-later
/* setting_row.h - a row for one key of machine.ini, made from the schema: what it may be, its help, what it is without a value. */
#pragma once
#include "core-vmm/host/config_schema.h"
#include "gui/manager/item.h"
#include <adwaita.h>

struct setting_row;
/* The widget belongs to its parent; the row to whoever made it, and goes before the widget or after it. */
struct setting_row *setting_row_new(VmItem *m, const char *section, const struct schema_key *k);
void setting_row_free(gpointer row);
GtkWidget *setting_row_widget(struct setting_row *r);
void setting_row_take(struct setting_row *r, GKeyFile *file);     /* shows what it says */
bool setting_row_fits(struct setting_row *r, const char *folded); /* a search for that finds it; "": all */
