// SPDX-License-Identifier: GPL-2.0-or-later
/* wim.c - which editions a Windows medium has: the header of a Windows Imaging file and its description in XML.
 * Specs: "Windows Imaging File Format (WIM)", Microsoft 2007; the fields of the description as DISM shows them.
 *
 * The header (208 bytes) has places as resource headers: 7 bytes of length, a byte of flags, 8 bytes of offset, 8 bytes of
 * original length.  The description is never compressed; it is UTF-16 with a byte order mark. */
#include "core-vmm/look/look.h"
#include "core-vmm/base/bytes.h"
#include <string.h>

enum {
    HEADER = 208,
    AT_XML = 72,
    XML_MOST = 8 << 20,
    FLAG_COMPRESSED = 4,
    ARCH_X86 = 0,
    ARCH_ARM = 5,
    ARCH_AMD64 = 9,
    ARCH_ARM64 = 12,
};

struct parse {
    struct medium *m;
    GString *path; /* "/WIM/IMAGE/NAME" */
    struct medium_edition *now;
    GPtrArray *languages;
};

static void start(GMarkupParseContext *c, const char *element, const char **names, const char **values, void *data,
                  GError **error)
{
    struct parse *p = data;
    g_string_append_printf(p->path, "/%s", element);
    if (strcmp(p->path->str, "/WIM/IMAGE") || p->m->editions->len >= MEDIUM_EDITIONS)
        return;
    p->now = g_new0(struct medium_edition, 1);
    for (; *names; names++, values++)
        if (!strcmp(*names, "INDEX"))
            p->now->index = g_ascii_strtoull(*values, NULL, 10);
    g_ptr_array_add(p->m->editions, p->now);
}

static void end(GMarkupParseContext *c, const char *element, void *data, GError **error)
{
    struct parse *p = data;
    if (!strcmp(p->path->str, "/WIM/IMAGE"))
        p->now = NULL;
    g_string_truncate(p->path, p->path->len - strlen(element) - 1);
}

static const char *architecture(unsigned code)
{
    switch (code) {
    case ARCH_X86: return "i686";
    case ARCH_ARM: return "armv7l";
    case ARCH_AMD64: return "x86_64";
    case ARCH_ARM64: return "aarch64";
    default: return NULL;
    }
}

static void add_language(struct parse *p, const char *text)
{
    for (guint i = 0; i < p->languages->len; i++)
        if (!strcmp(p->languages->pdata[i], text))
            return;
    if (p->languages->len < MEDIUM_LANGUAGES)
        g_ptr_array_add(p->languages, g_strdup(text));
}

/* The display name is what Windows shows; the image's own name serves where there is none. */
static void name_it(struct medium_edition *e, const char *text, bool shown)
{
    if (!shown && e->name)
        return;
    g_free(e->name);
    e->name = g_strdup(text);
}

static void text(GMarkupParseContext *c, const char *raw, gsize n, void *data, GError **error)
{
    struct parse *p = data;
    const char *at = p->path->str;
    g_autofree char *copy = g_strndup(raw, n);
    const char *value = g_strstrip(copy);
    if (!p->now || !*value || !g_str_has_prefix(at, "/WIM/IMAGE/"))
        return;
    at += strlen("/WIM/IMAGE/");
    if (!strcmp(at, "NAME"))
        name_it(p->now, value, false);
    else if (!strcmp(at, "DISPLAYNAME"))
        name_it(p->now, value, true);
    else if (!strcmp(at, "WINDOWS/EDITIONID") && !p->now->id)
        p->now->id = g_strdup(value);
    else if (!strcmp(at, "WINDOWS/ARCH") && !p->now->architecture)
        p->now->architecture = g_strdup(architecture(g_ascii_strtoull(value, NULL, 10)));
    else if (!strcmp(at, "WINDOWS/VERSION/BUILD"))
        p->now->build = g_ascii_strtoull(value, NULL, 10);
    else if (!strcmp(at, "WINDOWS/LANGUAGES/LANGUAGE"))
        add_language(p, value);
}

static bool parse(const char *xml, struct medium *m)
{
    static const GMarkupParser parser = {start, end, text, NULL, NULL};
    struct parse p = {.m = m, .path = g_string_new(NULL), .languages = g_ptr_array_new()};
    GMarkupParseContext *c = g_markup_parse_context_new(&parser, 0, &p, NULL);
    bool good = g_markup_parse_context_parse(c, xml, -1, NULL) && g_markup_parse_context_end_parse(c, NULL);
    g_markup_parse_context_free(c);
    g_string_free(p.path, TRUE);
    g_ptr_array_add(p.languages, NULL);
    g_strfreev(m->languages);
    m->languages = (char **)g_ptr_array_free(p.languages, FALSE);
    return good;
}

bool wim_look(const struct source *s, const struct node *file, struct medium *m)
{
    uint8_t head[HEADER];
    if (!node_read(s, file, 0, head, sizeof head) || memcmp(head, "MSWIM\0\0\0", 8))
        return false;
    uint64_t bytes = get_le64(head + AT_XML) & ((UINT64_C(1) << 56) - 1), at = get_le64(head + AT_XML + 8);
    if (bytes < 4 || bytes > XML_MOST || head[AT_XML + 7] & FLAG_COMPRESSED)
        return false;
    g_autofree gunichar2 *raw = g_malloc0(bytes + 2);
    if (!node_read(s, file, at, raw, bytes & ~1ull))
        return false;
    for (uint64_t i = 0; i < bytes / 2; i++)
        raw[i] = get_le16(raw + i);
    g_autofree char *xml = g_utf16_to_utf8(raw + (raw[0] == 0xfeff), -1, NULL, NULL, NULL);
    return xml && parse(xml, m);
}
