// SPDX-License-Identifier: GPL-2.0-or-later
/* create.c - making a new image, and the "key=value" options of that. */
#include "disk-formats/ops/ops.h"
#include <errno.h>
#include <string.h>

#define DIGITS "0123456789"

const char *image_option(const struct image_options *o, const char *key)
{
    size_t n = strlen(key);
    for (char **p = o->options; p && *p; p++)
        if (!strncmp(*p, key, n) && (*p)[n] == '=')
            return *p + n + 1;
    return NULL;
}

/* Powers of 1024 by their letter; -1: not one. */
static int unit_shift(const char *text)
{
    static const char letters[] = "KMGTPE";
    const char *l = *text ? strchr(letters, g_ascii_toupper(*text)) : NULL;
    if (!l)
        return *text == '\0' || !g_ascii_strcasecmp(text, "B") ? 0 : -1;
    const char *rest = text + 1;
    bool ok = !*rest || !g_ascii_strcasecmp(rest, "B") || !g_ascii_strcasecmp(rest, "iB");
    return ok ? 10 * (int)(l - letters + 1) : -1;
}

/* The digits behind a point, of 1 << shift, rounded up to bytes. */
static uint64_t fraction_of(const char *digits, size_t n, unsigned shift)
{
    unsigned __int128 numerator = 0, denominator = 1;
    for (size_t i = 0; i < MIN(n, 18u); i++) {
        numerator = numerator * 10 + (digits[i] - '0');
        denominator *= 10;
    }
    return ((numerator << shift) + denominator - 1) / denominator;
}

/* No signs, exponents or hexadecimal numbers: "1e3" is no size that anybody means. */
bool disk_size_parse(const char *text, uint64_t *bytes)
{
    size_t whole = strspn(text, DIGITS), part = text[whole] == '.' ? strspn(text + whole + 1, DIGITS) : 0;
    const char *point = text + whole, *unit = point + (part ? part + 1 : 0);
    int shift = unit_shift(unit + strspn(unit, " "));
    errno = 0;
    uint64_t number = g_ascii_strtoull(text, NULL, 10);
    if (!whole || errno || shift < 0 || (part && !shift) || number > (UINT64_C(1) << 63 >> shift) - 1)
        return false;
    *bytes = (number << shift) + (part ? fraction_of(point + 1, part, shift) : 0);
    return true;
}

bool image_option_size(const struct image_options *o, const char *key, uint64_t otherwise, uint64_t *out,
                       GError **error)
{
    const char *text = image_option(o, key);
    *out = otherwise;
    return !text || disk_size_parse(text, out) ||
           disk_fail(error, DISK_ERROR_USAGE, "%s=%s: this is no size", key, text);
}

bool image_option_choice(const struct image_options *o, const char *key, const char *const *words, unsigned otherwise,
                         unsigned *out, GError **error)
{
    const char *text = image_option(o, key);
    *out = otherwise;
    if (!text)
        return true;
    for (*out = 0; words[*out]; ++*out)
        if (!strcmp(words[*out], text))
            return true;
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    return disk_fail(error, DISK_ERROR_USAGE, "%s=%s: it may be %s", key, text, all);
}

bool image_option_flag(const struct image_options *o, const char *key, bool otherwise, bool *out, GError **error)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes", NULL};
    unsigned at;
    bool ok = image_option_choice(o, key, words, otherwise, &at, error);
    *out = ok && at % 2;
    return ok;
}

static bool check_options(const struct image_format *format, const struct image_options *o, GError **error)
{
    static const char *const none[] = {NULL};
    const char *const *known = format->options ? format->options : none;
    for (char **p = o->options; p && *p; p++) {
        g_auto(GStrv) pair = g_strsplit(*p, "=", 2);
        g_autofree char *all = g_strjoinv(", ", (char **)known);
        if (!pair[0] || !pair[1])
            return disk_fail(error, DISK_ERROR_USAGE, "option \"%s\" is not of the form key=value", *p);
        if (!g_strv_contains(known, pair[0]))
            return disk_fail(error, DISK_ERROR_USAGE, "format %s has no option \"%s\"; it has: %s", format->name,
                             pair[0], *known ? all : "none");
    }
    return true;
}

/* Takes all the room: each block gets its place, and the file its space. */
static int place_all(struct image *im)
{
    int err = 0;
    for (uint64_t at = 0; at < im->bytes && !err;) {
        struct extent e = {.offset = at, .bytes = im->bytes - at, .kind = EXTENT_DATA, .file = im->file};
        e.bytes = MIN((e.bytes + im->block_bytes - 1) / im->block_bytes * im->block_bytes, UINT64_C(1) << 30);
        err = im->format->place(im, &e);
        if (!err)
            err = blk_zero(e.file, e.file_offset, e.bytes, false);
        if (!err)
            err = im->format->link(im, &e);
        at += e.bytes;
    }
    return err;
}

static bool preallocate(struct blk_file *f, const struct image_format *format, GError **error)
{
    struct image *im = image_open_file(blk_ref(f), format, error);
    if (!im)
        return false;
    im->tables_changed = true;
    int err = place_all(im), close_err = image_close(im);
    err = err ? err : close_err;
    return !err || disk_fail_errno(error, -err, "%s", f->path);
}

bool image_create_file(struct blk_file *f, const struct image_format *format, const struct image_options *o,
                       GError **error)
{
    if (!format->create)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s images can be read, but not created", format->name);
    if (!check_options(format, o, error))
        return false;
    if (o->bytes > IMAGE_MAX_BYTES || o->bytes % 512)
        return disk_fail(error, DISK_ERROR_USAGE, "the size must be a multiple of 512 bytes, and sane");
    if (o->parent && !format->parents)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "a %s image cannot have a parent", format->name);
    if (o->parent && o->fixed)
        return disk_fail(error, DISK_ERROR_USAGE, "an image with a parent cannot be fixed");
    return format->create(f, o, error) && (!o->fixed || !format->preallocate || preallocate(f, format, error));
}

/* QEMU takes what is before a colon for a protocol; "file" is one. */
static char *plain_name(const char *parent)
{
    bool colon = parent && !g_str_has_prefix(parent, "file:") && parent[strcspn(parent, ":/")] == ':';
    return colon ? g_strconcat("./", parent, NULL) : g_strdup(parent);
}

bool image_create(const char *path, const char *format_name, const struct image_options *given, bool replace,
                  GError **error)
{
    const struct image_format *format = image_format_find(format_name, error);
    struct image_options o = *given;
    g_autofree char *named = plain_name(o.parent);
    o.parent = named;
    if (!format)
        return false;
    if (o.parent && !o.parent_image) {
        g_autofree char *folder = g_path_get_dirname(path);
        g_autofree char *parent =
            g_path_is_absolute(o.parent) ? g_strdup(o.parent) : g_build_filename(folder, o.parent, NULL);
        struct image_how how = {.format = o.parent_format, .unlocked = o.parent_changes, .no_parent = o.parent_changes};
        if (!o.parent_format)
            return disk_fail(error, DISK_ERROR_USAGE, "the parent's format must be given (--backing-format)");
        o.parent_image = image_open(parent, &how, error);
        if (!o.parent_image)
            return false;
    }
    if (!o.bytes && o.parent_image)
        o.bytes = o.parent_image->bytes;
    struct image *parent = o.parent_image;
    if (parent && !o.parent_changes)
        blk_lasting_mtime(parent->file); /* by which the new one is going to know it */
    bool own = o.parent_image && image_uses(o.parent_image, path) && o.parent_image != given->parent_image;
    struct blk_file *f = own ? NULL : blk_create(path, replace, error);
    if (own)
        disk_fail(error, DISK_ERROR_USAGE, "%s is itself what it would be based on", path);
    if (o.parent_changes)
        o.parent_image = NULL;
    bool ok = f && image_create_file(f, format, &o, error) && blk_publish(f, error);
    blk_close(f);
    if (ok && parent && !o.parent_changes)
        disk_note_child(parent->file->path, path);
    if (parent != given->parent_image)
        image_close(parent);
    return ok;
}
