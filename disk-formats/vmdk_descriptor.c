// SPDX-License-Identifier: GPL-2.0-or-later
/* vmdk_descriptor.c - the text that says what a VMDK disk consists of: reading, writing, changing its content id. */
#include "vmdk.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define UUID_CHANGE "ddb.uuid.modification"
#define UUID_CHARS  36u

/* The value of "key = value" or "key=\"value\"" in a line, or NULL. */
static char *value_of(const char *line, const char *key)
{
    size_t n = strlen(key);
    if (g_ascii_strncasecmp(line, key, n))
        return NULL;
    const char *p = line + n + strspn(line + n, " \t");
    if (*p++ != '=')
        return NULL;
    p += strspn(p, " \t");
    if (*p != '"')
        return g_strchomp(g_strdup(p));
    const char *end = strchr(p + 1, '"');
    return end ? g_strndup(p + 1, end - p - 1) : NULL;
}

static void take(char **to, const char *line, const char *key)
{
    char *value = value_of(line, key);
    if (value) {
        g_free(*to);
        *to = value;
    }
}

static bool is_extent_line(const char *line)
{
    return g_str_has_prefix(line, "RW ") || g_str_has_prefix(line, "RDONLY ") || g_str_has_prefix(line, "NOACCESS ");
}

bool vmdk_parse(struct image *im, struct vmdk_descriptor *d, GError **error)
{
    g_auto(GStrv) lines = g_strsplit_set(d->text, "\r\n", -1);
    g_autofree char *cid = NULL, *parent = NULL;
    d->lines = g_ptr_array_new_with_free_func(g_free);
    for (char **l = lines; *l; l++) {
        const char *line = g_strchug(*l);
        take(&cid, line, "CID");
        take(&parent, line, "parentCID");
        take(&d->type, line, "createType");
        take(&d->adapter, line, "ddb.adapterType");
        take(&d->parent_hint, line, "parentFileNameHint");
        take(&d->parent_format, line, "ddb.terrarium.parentFormat");
        take(&d->parent_id, line, "ddb.terrarium.parentId");
        take(&d->uuid, line, "ddb.uuid.image");
        take(&d->uuid_change, line, UUID_CHANGE);
        take(&d->parent_uuid, line, "ddb.uuid.parent");
        take(&d->parent_uuid_change, line, "ddb.uuid.parentmodification");
        if (is_extent_line(line))
            g_ptr_array_add(d->lines, g_strdup(line));
    }
    if (!d->type || !cid || !d->lines->len || d->lines->len > VMDK_MAX_EXTENTS)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the VMDK descriptor is incomplete", im->file->path);
    d->cid = g_ascii_strtoull(cid, NULL, 16);
    d->parent_cid = parent ? g_ascii_strtoull(parent, NULL, 16) : VMDK_NO_PARENT;
    return true;
}

void vmdk_descriptor_clear(struct vmdk_descriptor *d)
{
    g_free(d->text);
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
        if (!strcmp(word, kinds[i].word)) {
            *out = kinds[i].kind;
            return true;
        }
    return false;
}

/* ACCESS SECTORS TYPE "NAME" [OFFSET] */
bool vmdk_parse_line(struct image *im, const char *text, struct vmdk_line *out, GError **error)
{
    char access[16], kind[16];
    unsigned long long sectors = 0, offset = 0;
    int at = 0;
    *out = (struct vmdk_line){0};
    if (sscanf(text, "%15s %llu %15s %n", access, &sectors, kind, &at) < 3 || !at)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: not an extent: %s", im->file->path, text);
    if (!strcmp(access, "NOACCESS") || !kind_of(kind, &out->kind))
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: extents of this kind are not supported: %s",
                         im->file->path, text);
    const char *name = strchr(text + at, '"'), *end = name ? strchr(name + 1, '"') : NULL;
    if (out->kind != VMDK_ZERO && !end)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: an extent without a name: %s", im->file->path, text);
    out->name = end ? g_strndup(name + 1, end - name - 1) : NULL;
    if (end)
        offset = g_ascii_strtoull(end + 1, NULL, 10);
    out->sectors = sectors;
    out->offset_sectors = offset;
    if (!sectors || sectors > IMAGE_MAX_BYTES / 512 || offset > IMAGE_MAX_BYTES / 512) {
        g_clear_pointer(&out->name, g_free);
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: an extent of absurd size: %s", im->file->path, text);
    }
    return true;
}

/* Where the eight digits after CID= are in the text, or NULL. */
static char *cid_digits(char *text)
{
    for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char *digits = line + 4;
        if (!strncmp(line, "CID=", 4) && strspn(digits, "0123456789abcdefABCDEF") == 8)
            return digits;
    }
    return NULL;
}

char *vmdk_uuid(const char *image, const char *change)
{
    g_autofree char *text = image ? g_strdup_printf(IMAGE_UUID "%s/%s", image, change ? change : "") : NULL;
    bool null = !image || strspn(image, "0-") == strlen(image);
    return null ? NULL : g_ascii_strdown(text, -1);
}

/* Where the value of VirtualBox's line is in the text, or NULL. */
static char *uuid_change_digits(char *text)
{
    for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char *digits = g_str_has_prefix(line, UUID_CHANGE) ? strpbrk(line, "\"\n") : NULL;
        if (digits && *digits == '"' && strspn(digits + 1, "0123456789abcdefABCDEF-") == UUID_CHARS)
            return digits + 1;
    }
    return NULL;
}

static int new_uuid_change(struct image *im, struct vmdk_descriptor *d)
{
    char *digits = uuid_change_digits(d->text);
    g_autofree char *text = g_uuid_string_random();
    if (!digits)
        return 0;
    memcpy(digits, text, UUID_CHARS);
    g_free(im->uuid);
    im->uuid = vmdk_uuid(d->uuid, text);
    return blk_pwrite(im->file, d->offset + (digits - d->text), text, UUID_CHARS);
}

/* Says that the content changed, in place: as many digits as there were. */
int vmdk_new_cid(struct image *im, struct vmdk_descriptor *d)
{
    char *digits = cid_digits(d->text), text[9];
    if (!digits)
        return 0;
    do
        d->cid = g_random_int();
    while (d->cid >= 0xfffffffe);
    g_snprintf(text, sizeof text, "%08x", d->cid);
    memcpy(digits, text, 8);
    g_free(im->id);
    im->id = g_strdup(text);
    int err = blk_pwrite(im->file, d->offset + (digits - d->text), text, 8);
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
