// SPDX-License-Identifier: GPL-2.0-or-later
/* chart.h - how something was in the last two minutes, as a small curve with its last value in words. */
#pragma once
#include <gtk/gtk.h>

G_DECLARE_FINAL_TYPE(VmChart, vm_chart, VM, CHART, GtkBox)
/* least: the height of the chart stands for this or more. */
GtkWidget *vm_chart_new(const char *title, double least);
/* second: of a line of its own, below 0: none.  text: what stands beside the title. */
void vm_chart_add(VmChart *c, double first, double second, const char *text);
void vm_chart_clear(VmChart *c);
