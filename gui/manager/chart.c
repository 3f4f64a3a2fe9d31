// SPDX-License-Identifier: GPL-2.0-or-later
/* chart.c - see chart.h.  The newest value is at the right. */
#include "gui/manager/chart.h"

enum { POINTS = 60, HEIGHT = 48 };

struct _VmChart {
    GtkBox parent_instance;
    double first[POINTS], second[POINTS]; /* rings */
    unsigned next, count;
    double least;
    GtkLabel *title, *value;
    GtkWidget *area;
};
G_DEFINE_FINAL_TYPE(VmChart, vm_chart, GTK_TYPE_BOX)

static double most(const VmChart *c)
{
    double top = c->least;
    for (unsigned i = 0; i < c->count; i++)
        top = MAX(top, MAX(c->first[i], c->second[i]));
    return top;
}

static void trace(const VmChart *c, cairo_t *cr, const double *values, int width, int height, double top)
{
    double step = (double)width / (POINTS - 1);
    for (unsigned i = 0; i < c->count; i++) {
        unsigned at = (c->next + POINTS - c->count + i) % POINTS;
        double x = width - step * (c->count - 1 - i), y = (height - 2) * (1 - MAX(values[at], 0) / top) + 1;
        cairo_line_to(cr, x, y);
    }
}

static void draw(GtkDrawingArea *area, cairo_t *cr, int width, int height, gpointer chart)
{
    const VmChart *c = chart;
    GdkRGBA colour;
    double top = most(c), step = (double)width / (POINTS - 1);
    gtk_style_context_get_color(gtk_widget_get_style_context(GTK_WIDGET(area)), &colour);
    if (c->count < 2)
        return;
    cairo_set_line_width(cr, 1.5);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    trace(c, cr, c->first, width, height, top);
    cairo_set_source_rgba(cr, colour.red, colour.green, colour.blue, colour.alpha);
    cairo_stroke_preserve(cr);
    cairo_line_to(cr, width, height);
    cairo_line_to(cr, width - step * (c->count - 1), height);
    cairo_close_path(cr);
    cairo_set_source_rgba(cr, colour.red, colour.green, colour.blue, colour.alpha * 0.2);
    cairo_fill(cr);
    if (c->second[(c->next + POINTS - 1) % POINTS] < 0)
        return;
    const double dashes[] = {4, 3};
    cairo_set_dash(cr, dashes, 2, 0);
    trace(c, cr, c->second, width, height, top);
    cairo_set_source_rgba(cr, colour.red, colour.green, colour.blue, colour.alpha * 0.8);
    cairo_stroke(cr);
}

void vm_chart_add(VmChart *c, double first, double second, const char *text)
{
    c->first[c->next] = first;
    c->second[c->next] = second;
    c->next = (c->next + 1) % POINTS;
    c->count = MIN(c->count + 1, POINTS);
    gtk_label_set_label(c->value, text);
    gtk_widget_queue_draw(c->area);
}

void vm_chart_clear(VmChart *c)
{
    c->next = c->count = 0;
    gtk_label_set_label(c->value, "");
    gtk_widget_queue_draw(c->area);
}

GtkWidget *vm_chart_new(const char *title, double least)
{
    VmChart *c = g_object_new(vm_chart_get_type(), "orientation", GTK_ORIENTATION_VERTICAL, "spacing", 3, NULL);
    c->least = least;
    gtk_label_set_label(c->title, title);
    return GTK_WIDGET(c);
}

/* ---- as an object ---- */

static void vm_chart_class_init(VmChartClass *c)
{
}

static GtkLabel *add_label(GtkBox *box, const char *style, float xalign)
{
    GtkWidget *label = gtk_label_new(NULL);
    gtk_label_set_xalign(GTK_LABEL(label), xalign);
    gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_END);
    gtk_widget_add_css_class(label, style);
    gtk_box_append(box, label);
    return GTK_LABEL(label);
}

static void vm_chart_init(VmChart *c)
{
    c->title = add_label(GTK_BOX(c), "heading", 0);
    c->value = add_label(GTK_BOX(c), "caption", 0);
    c->area = gtk_drawing_area_new();
    gtk_drawing_area_set_content_height(GTK_DRAWING_AREA(c->area), HEIGHT);
    gtk_drawing_area_set_draw_func(GTK_DRAWING_AREA(c->area), draw, c, NULL);
    gtk_widget_add_css_class(c->area, "curve");
    gtk_widget_add_css_class(GTK_WIDGET(c), "chart");
    gtk_widget_add_css_class(GTK_WIDGET(c), "card");
    gtk_widget_set_overflow(GTK_WIDGET(c), GTK_OVERFLOW_HIDDEN);
    gtk_box_append(GTK_BOX(c), c->area);
}
