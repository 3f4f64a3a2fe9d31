// SPDX-License-Identifier: GPL-2.0-or-later
/* xml.c - see xml.h. */
#include "core-vmm/foreign/xml.h"
#include "disk-formats/image/error.h"
#include <libxml/parser.h>
#include <string.h>

static void say_nothing(void *ctx, const char *format, ...)
{
    (void)ctx;
    (void)format;
}

/* Entities are for documents that people write, and the classic way to make a small file a large one. */
static bool has_entities(const xmlDoc *doc)
{
    return doc->intSubset && (doc->intSubset->entities || doc->intSubset->pentities);
}

xmlDoc *xml_read(const char *text, gsize n, GError **error)
{
    xmlSetGenericErrorFunc(NULL, say_nothing);
    xmlDoc *doc = n <= INT_MAX
                      ? xmlReadMemory(text, (int)n, NULL, NULL,
                                      XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA)
                      : NULL;
    if (!doc) {
        const xmlError *why = xmlGetLastError();
        g_autofree char *said = g_strdup(why && why->message ? why->message : "it is none");
        disk_fail(error, DISK_ERROR_CORRUPT, "not well-formed XML: line %d: %s", why ? why->line : 0, g_strstrip(said));
        return NULL;
    }
    if (!has_entities(doc))
        return doc;
    xmlFreeDoc(doc);
    disk_fail(error, DISK_ERROR_CORRUPT, "it declares XML entities, which no description of a machine needs");
    return NULL;
}

bool xml_is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && (!name || !strcmp((const char *)node->name, name));
}

xmlNode *xml_root(xmlDoc *doc, const char *name, GError **error)
{
    xmlNode *root = xmlDocGetRootElement(doc);
    if (root && xml_is(root, name))
        return root;
    disk_fail(error, DISK_ERROR_CORRUPT, "its first element is <%s>, and not <%s>",
              root ? (const char *)root->name : "", name);
    return NULL;
}

static xmlNode *from(xmlNode *node, const char *name)
{
    while (node && !xml_is(node, name))
        node = node->next;
    return node;
}

xmlNode *xml_first(const xmlNode *parent, const char *name)
{
    return parent ? from(parent->children, name) : NULL;
}

xmlNode *xml_next(const xmlNode *node, const char *name)
{
    return from(node->next, name);
}

unsigned xml_count(const xmlNode *parent, const char *name)
{
    unsigned count = 0;
    for (const xmlNode *n = xml_first(parent, name); n; n = xml_next(n, name))
        count++;
    return count;
}

bool xml_has_namespace(const xmlNode *node, const char *uri)
{
    return node && node->ns && node->ns->href && !strcmp((const char *)node->ns->href, uri);
}

static char *taken(xmlChar *text)
{
    char *own = text ? g_strstrip(g_utf8_make_valid((const char *)text, -1)) : NULL;
    xmlFree(text);
    return own;
}

char *xml_attribute(const xmlNode *node, const char *name)
{
    for (xmlAttr *a = node ? node->properties : NULL; a; a = a->next)
        if (!strcmp((const char *)a->name, name))
            return taken(xmlNodeListGetString(node->doc, a->children, 1));
    return NULL;
}

char *xml_text(const xmlNode *node)
{
    return node ? taken(xmlNodeGetContent(node)) : NULL;
}

char *xml_text_of(const xmlNode *parent, const char *name)
{
    return xml_text(xml_first(parent, name));
}

bool text_is(const char *text, const char *wanted)
{
    return text && !g_ascii_strcasecmp(text, wanted);
}

bool xml_attribute_is(const xmlNode *node, const char *name, const char *value)
{
    g_autofree char *there = xml_attribute(node, name);
    return text_is(there, value);
}

guint64 text_number(const char *text, guint64 otherwise, guint64 max)
{
    guint64 number;
    return text && g_ascii_string_to_unsigned(text, 10, 0, max, &number, NULL) ? number : otherwise;
}

guint64 xml_number(const xmlNode *node, const char *name, guint64 otherwise, guint64 max)
{
    g_autofree char *text = xml_attribute(node, name);
    return text_number(text, otherwise, max);
}
