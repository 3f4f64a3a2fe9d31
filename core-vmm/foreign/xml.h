// SPDX-License-Identifier: GPL-2.0-or-later
/* xml.h - what readers need of libxml2.  Elements and attributes go by their local names. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <libxml/tree.h>

/* No network, no entities of its own, libxml2's limits of depth and length.  xmlFreeDoc; NULL: an error. */
xmlDoc *xml_read(const char *text, gsize n, GError **error);
xmlNode *xml_root(xmlDoc *doc, const char *name, GError **error); /* NULL: it is another */
xmlNode *xml_first(const xmlNode *parent, const char *name);      /* NULL parent: NULL; NULL name: any */
xmlNode *xml_next(const xmlNode *node, const char *name);
unsigned xml_count(const xmlNode *parent, const char *name); /* children */
bool xml_has_namespace(const xmlNode *node, const char *uri);
bool xml_is(const xmlNode *node, const char *name);
char *xml_attribute(const xmlNode *node, const char *name); /* g_free; NULL: none, or no node */
char *xml_text(const xmlNode *node);                        /* stripped; g_free; NULL: no node */
char *xml_text_of(const xmlNode *parent, const char *name); /* of the first child of that name */
bool xml_attribute_is(const xmlNode *node, const char *name, const char *value);
/* A number of an attribute; otherwise: if there is none, or it is no number up to max. */
guint64 xml_number(const xmlNode *node, const char *name, guint64 otherwise, guint64 max);
/* ---- plist.c: binary property lists ---- */
bool plist_is_binary(const char *text, gsize n);
char *plist_to_xml(const char *text, gsize n, GError **error); /* g_free; NULL: it is damaged, or too large */

/* ---- of text, wherever it stood ---- */
bool text_is(const char *text, const char *wanted); /* but for the case of ASCII letters; NULL is nothing */
guint64 text_number(const char *text, guint64 otherwise, guint64 max);
