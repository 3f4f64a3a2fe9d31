// SPDX-License-Identifier: GPL-2.0-or-later
/* plist.c - a binary property list ("bplist00") as the same in XML.  Its layout is in CFBinaryPList.c of Apple's CoreFoundation: objects; a table
 * of where each begins; and in the last 32 bytes how wide numbers of either kind are, how many objects there are, which is the
 * topmost, and where the table is.
 *
 * An object may be a part of many others, and of itself: so a few bytes can mean more than any memory has.  Readers in libraries follow that; here
 * depth and text have bounds. */
#include "core-vmm/foreign/xml.h"
#include "disk-formats/image/error.h"
#include <string.h>

enum { MAGIC = 8, TRAILER = 32, DEPTH_MOST = 64, TEXT_MOST = 4 << 20, LONG = 0xf };
enum { NONE = 0, INTEGER = 1, REAL = 2, DATE = 3, DATA = 4, ASCII = 5, UTF16 = 6, ARRAY = 10, DICT = 13 };

struct plist {
    const uint8_t *data;
    gsize n; /* without the trailer */
    unsigned offset_bytes, reference_bytes;
    uint64_t objects, table;
    GString *out;
};

static bool number_at(const struct plist *p, uint64_t at, unsigned bytes, uint64_t *out)
{
    if (at > p->n || bytes > p->n - at || bytes > 8)
        return false;
    *out = 0;
    for (unsigned i = 0; i < bytes; i++)
        *out = *out << 8 | p->data[at + i];
    return true;
}

/* Where the contents begin, and how many there are of what: in the low half of the first byte, or in a number behind it. */
static bool measure(const struct plist *p, uint64_t at, uint64_t *begin, uint64_t *count)
{
    uint64_t kind;
    *count = p->data[at] & LONG;
    *begin = at + 1;
    if (*count != LONG)
        return true;
    if (!number_at(p, at + 1, 1, &kind) || kind >> 4 != INTEGER || (kind & LONG) > 3)
        return false;
    unsigned bytes = 1 << (kind & LONG);
    *begin = at + 2 + bytes;
    return number_at(p, at + 2, bytes, count);
}

static bool has(const struct plist *p, uint64_t begin, uint64_t count, unsigned each)
{
    return begin <= p->n && count <= (p->n - begin) / each;
}

static void put_text(struct plist *p, const char *element, const char *text)
{
    g_autofree char *escaped = g_markup_escape_text(text, -1);
    g_string_append_printf(p->out, "<%s>%s</%s>", element, escaped, element);
}

/* Big-endian UTF-16; g_free; NULL: it is none. */
static char *from_utf16(const uint8_t *from, uint64_t units)
{
    g_autofree gunichar2 *own = g_new(gunichar2, units + 1);
    for (uint64_t i = 0; i < units; i++)
        own[i] = from[2 * i] << 8 | from[2 * i + 1];
    return g_utf16_to_utf8(own, units, NULL, NULL, NULL);
}

static bool put_string(struct plist *p, const char *element, uint64_t begin, uint64_t count, bool wide)
{
    if (!has(p, begin, count, wide ? 2 : 1))
        return false;
    const uint8_t *from = p->data + begin;
    g_autofree char *text = wide ? from_utf16(from, count) : g_utf8_make_valid((const char *)from, count);
    if (text)
        put_text(p, element, text);
    return text;
}

static bool put_integer(struct plist *p, uint64_t at)
{
    uint64_t v;
    unsigned bytes = 1 << (p->data[at] & LONG & 7);
    if ((p->data[at] & LONG) > 3 || !number_at(p, at + 1, bytes, &v))
        return false;
    g_string_append_printf(p->out, "<integer>%" G_GINT64_FORMAT "</integer>", (gint64)v);
    return true;
}

static bool put_object(struct plist *p, uint64_t number, unsigned depth, bool key);

static bool put_part(struct plist *p, uint64_t at, unsigned depth, bool key)
{
    uint64_t number;
    return number_at(p, at, p->reference_bytes, &number) && put_object(p, number, depth + 1, key);
}

static bool put_parts(struct plist *p, uint64_t begin, uint64_t count, bool dict, unsigned depth)
{
    unsigned bytes = p->reference_bytes;
    bool good = has(p, begin, count, dict ? 2 * bytes : bytes);
    g_string_append(p->out, dict ? "<dict>" : "<array>");
    for (uint64_t i = 0; i < count && good; i++)
        good = (!dict || put_part(p, begin + i * bytes, depth, true)) &&
               put_part(p, begin + (i + (dict ? count : 0)) * bytes, depth, false);
    g_string_append(p->out, dict ? "</dict>" : "</array>");
    return good;
}

/* What no setting is made of (dates, data, reals) stays as an empty element. */
static bool put_object(struct plist *p, uint64_t number, unsigned depth, bool key)
{
    static const char *const words[16] = {[8] = "<false/>", [9] = "<true/>"};
    uint64_t at, begin, count;
    if (depth > DEPTH_MOST || p->out->len > TEXT_MOST || number >= p->objects ||
        !number_at(p, p->table + number * p->offset_bytes, p->offset_bytes, &at) || at < MAGIC || at >= p->n)
        return false;
    unsigned kind = p->data[at] >> 4;
    if (key && kind != ASCII && kind != UTF16)
        return false;
    if (kind == NONE) {
        g_string_append(p->out, words[p->data[at]] ? words[p->data[at]] : "<data/>");
        return true;
    }
    if (kind == INTEGER)
        return put_integer(p, at);
    if (kind == REAL || kind == DATE || kind == DATA) {
        g_string_append(p->out, "<data/>");
        return true;
    }
    if (!measure(p, at, &begin, &count))
        return false;
    if (kind == ASCII || kind == UTF16)
        return put_string(p, key ? "key" : "string", begin, count, kind == UTF16);
    return (kind == ARRAY || kind == DICT) && put_parts(p, begin, count, kind == DICT, depth);
}

bool plist_is_binary(const char *text, gsize n)
{
    return n >= MAGIC && !memcmp(text, "bplist00", MAGIC);
}

char *plist_to_xml(const char *text, gsize n, GError **error)
{
    struct plist p = {.data = (const uint8_t *)text, .n = n};
    uint64_t top, end = n - MIN(n, TRAILER);
    bool good = n >= MAGIC + TRAILER && number_at(&p, end + 8, 8, &p.objects) && number_at(&p, end + 16, 8, &top) &&
                number_at(&p, end + 24, 8, &p.table);
    p.offset_bytes = good ? p.data[end + 6] : 0;
    p.reference_bytes = good ? p.data[end + 7] : 0;
    p.n = end;
    good = good && p.offset_bytes && p.offset_bytes <= 8 && p.reference_bytes && p.reference_bytes <= 8 &&
           has(&p, p.table, p.objects, p.offset_bytes);
    p.out = g_string_new("<plist>");
    good = good && put_object(&p, top, 0, false);
    g_string_append(p.out, "</plist>");
    if (!good)
        disk_fail(error, DISK_ERROR_CORRUPT,
                  "it is a binary property list, and damaged, or larger than any description of a machine");
    return g_string_free(p.out, !good);
}
