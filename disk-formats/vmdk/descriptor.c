// SPDX-License-Identifier: GPL-2.0-or-later
/* descriptor.c - the text that says what a VMDK disk consists of: reading, writing, changing its content id. */
#include "disk-formats/vmdk/vmdk.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define UUID_CHANGE "ddb.uuid.modification"
#define UUID_CHARS  36
#define HEX         "0123456789abcdefABCDEF"

/* ---- is it one, and in which encoding ---- */
#define BOM "\xef\xbb\xbf"

/* By the mark, which becomes BOM, or by the comment that nearly all begin with. */
static const char *utf16_of(const uint8_t *head, size_t n)
{
    bool little = n >= 2 && (!memcmp(head, "\xff\xfe", 2) || !memcmp(head, "#", 2));
    bool big = n >= 2 && (!memcmp(head, "\xfe\xff", 2) || !memcmp(head, "\0#", 2));
    return little ? "UTF-16LE" : big ? "UTF-16BE" : NULL;
}

/* Reads on past bytes that mean nothing. */
static char *to_utf8(const char *text, size_t n, const char *charset)
{
    return g_convert_with_fallback(text, n & ~(size_t)1, "UTF-8", charset, "?", NULL, NULL, NULL);
}

static const char *past_bom(const char *text)
{
    return g_str_has_prefix(text, BOM) ? text + strlen(BOM) : text;
}

/* "# Disk DescriptorFile", as VMware writes it. */
static bool is_title(const char *p)
{
    p += 1 + strspn(p + 1, " \t");
    return !g_ascii_strncasecmp(p, "Disk Descriptor", strlen("Disk Descriptor"));
}

static bool is_key(const char *p)
{
    static const char *const keys[] = {"version",          "encoding",          "CID", "parentCID", "createType",
                                       "isNativeSnapshot", "parentFileNameHint"};
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        size_t n = strlen(keys[i]);
        if (!g_ascii_strncasecmp(p, keys[i], n) && p[n + strspn(p + n, " \t")] == '=')
            return true;
    }
    return !g_ascii_strncasecmp(p, "ddb.", 4);
}

static bool is_extent(const char *p)
{
    static const char *const access[] = {"RW", "RDONLY", "NOACCESS"};
    for (unsigned i = 0; i < G_N_ELEMENTS(access); i++) {
        size_t n = strlen(access[i]);
        if (!g_ascii_strncasecmp(p, access[i], n) && (p[n] == ' ' || p[n] == '\t'))
            return true;
    }
    return false;
}

/* Programs begin it with a comment, but with different ones, or with none; then a line comes that descriptors have. */
static bool begins_as_descriptor(const char *p)
{
    for (p = past_bom(p);; p += strcspn(p, "\r\n")) {
        p += strspn(p, " \t\r\n");
        if (*p != '#')
            return is_key(p) || is_extent(p);
        if (is_title(p))
            return true;
    }
}

bool vmdk_is_text(const uint8_t *head, size_t n)
{
    const char *charset = utf16_of(head, n);
    g_autofree char *text = charset ? to_utf8((const char *)head, n, charset) : g_strndup((const char *)head, n);
    return text && begins_as_descriptor(text);
}

void vmdk_take_text(struct vmdk_descriptor *d, char *text, size_t n)
{
    const char *charset = utf16_of((const uint8_t *)text, n);
    d->recoded = charset != NULL;
    d->text = charset ? to_utf8(text, n, charset) : text;
    if (d->text != text)
        g_free(text);
    d->text = d->text ? d->text : g_strdup("");
}

/* ---- its lines ---- */
struct line {
    const char *at, *end;
};

static bool next_line(const char **from, struct line *out)
{
    out->at = *from + strspn(*from, " \t\r\n");
    out->end = out->at + strcspn(out->at, "\r\n");
    *from = out->end;
    return *out->at;
}

/* The value of "key = value" or "key=\"value\"". */
static bool value_of(const struct line *l, const char *key, struct line *out)
{
    size_t n = strlen(key);
    if (g_ascii_strncasecmp(l->at, key, n))
        return false;
    const char *p = l->at + n + strspn(l->at + n, " \t");
    if (*p++ != '=')
        return false;
    p += strspn(p, " \t");
    if (*p == '"') {
        *out = (struct line){p + 1, p + 1 + strcspn(p + 1, "\"\r\n")};
        return *out->end == '"';
    }
    *out = (struct line){p, p + strcspn(p, "#\r\n")};
    while (out->end > p && g_ascii_isspace(out->end[-1]))
        out->end--;
    return true;
}

static void take(char **to, const struct line *l, const char *key)
{
    struct line value;
    if (!value_of(l, key, &value))
        return;
    g_free(*to);
    *to = g_strndup(value.at, value.end - value.at);
}

static void take_ids(struct vmdk_descriptor *d, const struct line *l)
{
    struct line value;
    if (value_of(l, "CID", &value)) {
        value.at += g_ascii_strncasecmp(value.at, "0x", 2) ? 0 : 2;
        d->cid = g_ascii_strtoull(value.at, NULL, 16);
        d->cid_at = value.at - d->text;
        d->cid_digits = strspn(value.at, HEX);
    } else if (value_of(l, "parentCID", &value)) {
        d->parent_cid = g_ascii_strtoull(value.at, NULL, 16);
    } else if (value_of(l, UUID_CHANGE, &value)) {
        bool whole = value.end - value.at == UUID_CHARS && strspn(value.at, HEX "-") == UUID_CHARS;
        d->uuid_change_at = whole ? value.at - d->text : 0;
    }
}

static void take_line(struct vmdk_descriptor *d, const struct line *l)
{
    take_ids(d, l);
    take(&d->encoding, l, "encoding");
    take(&d->type, l, "createType");
    take(&d->adapter, l, "ddb.adapterType");
    take(&d->parent_hint, l, "parentFileNameHint");
    take(&d->parent_format, l, "ddb.terrarium.parentFormat");
    take(&d->parent_id, l, "ddb.terrarium.parentId");
    take(&d->uuid, l, "ddb.uuid.image");
    take(&d->uuid_change, l, UUID_CHANGE);
    take(&d->parent_uuid, l, "ddb.uuid.parent");
    take(&d->parent_uuid_change, l, "ddb.uuid.parentmodification");
    if (is_extent(l->at))
        g_ptr_array_add(d->lines, g_strndup(l->at, l->end - l->at));
}

/* Names in the code page of the computer where it was made: here they are UTF-8. */
static char *recode(const struct vmdk_descriptor *d, char *text)
{
    bool as_is = !text || !d->encoding || g_utf8_validate(text, -1, NULL);
    char *name = as_is ? NULL : g_convert(text, -1, "UTF-8", d->encoding, NULL, NULL, NULL);
    if (name)
        g_free(text);
    return name ? name : text;
}

bool vmdk_parse(struct image *im, struct vmdk_descriptor *d, GError **error)
{
    const char *from = past_bom(d->text);
    struct line l;
    d->lines = g_ptr_array_new_with_free_func(g_free);
    d->parent_cid = VMDK_NO_PARENT;
    while (next_line(&from, &l))
        take_line(d, &l);
    for (guint i = 0; i < d->lines->len; i++)
        d->lines->pdata[i] = recode(d, d->lines->pdata[i]);
    d->parent_hint = recode(d, d->parent_hint);
    return (d->type && d->cid_digits && d->lines->len && d->lines->len <= VMDK_MAX_EXTENTS) ||
           disk_fail(error, DISK_ERROR_CORRUPT, "%s: the VMDK descriptor is incomplete", im->file->path);
}

void vmdk_descriptor_clear(struct vmdk_descriptor *d)
{
    g_free(d->text);
    g_free(d->encoding);
    g_free(d->type);
    g_free(d->adapter);
    g_free(d->parent_hint);
    g_free(d->parent_format);
    g_free(d->parent_id);
    g_free(d->uuid);
    g_free(d->uuid_change);
    g_free(d->parent_uuid);
    g_free(d->parent_uuid_change);
    if (d->lines)
        g_ptr_array_unref(d->lines);
}

static bool kind_of(const char *word, enum vmdk_kind *out)
{
    static const struct {
        const char *word;
        enum vmdk_kind kind;
    } kinds[] = {{"FLAT", VMDK_FLAT},      {"VMFS", VMDK_FLAT},    {"SPARSE", VMDK_SPARSE},
                 {"VMFSSPARSE", VMDK_ESX}, {"SESPARSE", VMDK_ESX}, {"ZERO", VMDK_ZERO}};
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (!g_ascii_strcasecmp(word, kinds[i].word)) {
            *out = kinds[i].kind;
            return true;
        }
    return false;
}

/* The name, in quotes or without blanks; *rest is behind it.  NULL: there is none. */
static char *name_in(const char *text, const char **rest)
{
    const char *quote = *text == '"' ? strchr(text + 1, '"') : NULL;
    size_t n = strcspn(text, " \t");
    *rest = quote ? quote + 1 : text + n;
    return quote ? g_strndup(text + 1, quote - text - 1) : n && *text != '"' ? g_strndup(text, n) : NULL;
}

/* ACCESS SECTORS TYPE "NAME" [OFFSET [PARTITION [DEVICE]]] */
bool vmdk_parse_line(struct image *im, const char *text, struct vmdk_line *out, GError **error)
{
    char access[16], kind[16];
    unsigned long long sectors = 0;
    const char *rest;
    int at = 0;
    *out = (struct vmdk_line){0};
    if (sscanf(text, "%15s %llu %15s %n", access, &sectors, kind, &at) < 3 || !at)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: not an extent: %s", im->file->path, text);
    if (!g_ascii_strcasecmp(access, "NOACCESS") || !kind_of(kind, &out->kind))
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: extents of this kind are not supported: %s",
                         im->file->path, text);
    out->name = name_in(text + at, &rest);
    if (out->kind != VMDK_ZERO && !out->name)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: an extent without a name: %s", im->file->path, text);
    out->sectors = sectors;
    out->offset_sectors = out->kind == VMDK_ZERO ? 0 : g_ascii_strtoull(rest, NULL, 10);
    if (sectors && sectors <= IMAGE_MAX_BYTES / 512 && out->offset_sectors <= IMAGE_MAX_BYTES / 512)
        return true;
    g_clear_pointer(&out->name, g_free);
    return disk_fail(error, DISK_ERROR_CORRUPT, "%s: an extent of absurd size: %s", im->file->path, text);
}

char *vmdk_uuid(const char *image, const char *change)
{
    g_autofree char *text = image ? g_strdup_printf(IMAGE_UUID "%s/%s", image, change ? change : "") : NULL;
    bool null = !image || strspn(image, "0-") == strlen(image);
    return null ? NULL : g_ascii_strdown(text, -1);
}

static int new_uuid_change(struct image *im, struct vmdk_descriptor *d)
{
    g_autofree char *text = g_uuid_string_random();
    if (!d->uuid_change_at)
        return 0;
    memcpy(d->text + d->uuid_change_at, text, UUID_CHARS);
    g_free(im->uuid);
    im->uuid = vmdk_uuid(d->uuid, text);
    return blk_pwrite(im->file, d->offset + d->uuid_change_at, text, UUID_CHARS);
}

/* Says that the content changed, in place: as many digits as there were. */
int vmdk_new_cid(struct image *im, struct vmdk_descriptor *d)
{
    char text[9];
    unsigned n = MIN(d->cid_digits, 8u);
    uint32_t was = d->cid, mask = UINT32_MAX >> (32 - 4 * n);
    do
        d->cid = g_random_int() & mask;
    while (d->cid >= 0xfffffffe || d->cid == was);
    g_snprintf(text, sizeof text, "%0*x", (int)n, d->cid);
    size_t at = d->cid_at + d->cid_digits - n; /* zeroes before the last eight digits stay */
    memcpy(d->text + at, text, n);
    g_free(im->id);
    im->id = g_strdup_printf("%08x", d->cid);
    int err = blk_pwrite(im->file, d->offset + at, text, n);
    return err ? err : new_uuid_change(im, d);
}

/* Cylinders as a BIOS would count them; 16 heads and 63 sectors, limited as IDE is. */
static uint64_t cylinders(uint64_t bytes)
{
    return CLAMP(bytes / 512 / (16 * 63), 1, 16383);
}

static char *describe_parent(const struct image_options *o)
{
    const struct image *p = o->parent_image;
    const char *id = p ? image_id_for_child(p) : NULL;
    bool own = p && !strcmp(p->format->name, "vmdk");
    GString *s = g_string_new(NULL);
    if (!o->parent)
        return g_string_free(g_string_append(s, "parentCID=ffffffff\n"), FALSE);
    g_string_append_printf(s, "parentCID=%s\nparentFileNameHint=\"%s\"\n", own ? p->id : "00000001", o->parent);
    if (!own)
        g_string_append_printf(s, "ddb.terrarium.parentFormat = \"%s\"\nddb.terrarium.parentId = \"%s\"\n",
                               o->parent_format, id ? id : "");
    return g_string_free(s, FALSE);
}

char *vmdk_describe(const struct image_options *o, const char *type, const char *extents, const char *adapter)
{
    g_autofree char *parent = describe_parent(o);
    return g_strdup_printf("# Disk DescriptorFile\nversion=1\nCID=%08x\n%screateType=\"%s\"\n\n"
                           "# Extent description\n%s\n# The Disk Data Base\n#DDB\n\n"
                           "ddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"%" G_GUINT64_FORMAT "\"\n"
                           "ddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\nddb.adapterType = \"%s\"\n",
                           g_random_int_range(1, G_MAXINT32), parent, type, extents, cylinders(o->bytes), adapter);
}
