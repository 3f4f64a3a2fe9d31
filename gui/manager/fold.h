// SPDX-License-Identifier: GPL-2.0-or-later
/* fold.h - groups of the library that are folded: of their machines none is listed, but the heading stays, which the first one has.
 * Which they are is remembered. */
#pragma once
#include "gui/manager/item.h"
#include <gtk/gtk.h>
#include <stdbool.h>

struct fold;
struct fold *fold_new(void);
void fold_free(struct fold *f);             /* its filter may live on, and lets all through */
GtkFilter *fold_filter(struct fold *f);     /* lets through what is to be listed; borrowed */
void fold_suspend(struct fold *f, bool on); /* while one searches, or in a grid, nothing is folded */
/* Folds a group, or opens it again. */
void fold_set(struct fold *f, const char *group, bool folded);
bool fold_has(const struct fold *f, const char *group); /* group NULL: no */
/* Gives the first machine of each group its heading, and takes those of the others; then filters.  sorted: by groups, what the filter
 * is for. */
void fold_mark(struct fold *f, GListModel *sorted);
