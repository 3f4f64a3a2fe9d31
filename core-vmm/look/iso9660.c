// SPDX-License-Identifier: GPL-2.0-or-later
/* iso9660.c - files of an ISO 9660 file system, by its Rock Ridge names or its Joliet tree.
 * Specs: ECMA-119; Joliet Specification 1995; SUSP 1.12 and RRIP 1.12; "El Torito" Bootable CD-ROM Format Specification 1.0.
 *
 * A volume has descriptors from sector 16 on: one primary, for Joliet a supplementary one with a second tree (names in
 * UCS-2), for booting a boot record that leads to a catalog.  A folder is a file of records, none of which crosses a sector; a
 * file that is longer than 4 GiB has several records of the same name.  Behind a record's name may stand entries of the System
 * Use Sharing Protocol, where Rock Ridge has the name as Unix spells it (NM). */
#include "core-vmm/look/source.h"
#include "core-vmm/base/bytes.h"
#include <string.h>

enum {
    FIRST_DESCRIPTOR = 16,
    DESCRIPTORS = 32,       /* that are looked at */
    FOLDER_BYTES = 4 << 20, /* a folder that is larger is not looked through */
    FILE_EXTENTS = 1 << 16,
    D_BOOT = 0,
    D_PRIMARY = 1,
    D_SUPPLEMENTARY = 2,
    D_END = 255,
    D_SYSTEM = 8,
    D_VOLUME = 40,
    D_ESCAPES = 88,
    D_ROOT = 156,
    D_PUBLISHER = 318,
    D_APPLICATION = 574,
    R_EXTENT = 2,
    R_BYTES = 10,
    R_FLAGS = 25,
    R_NAME_LENGTH = 32,
    R_NAME = 33,
    FLAG_FOLDER = 2,
    FLAG_MORE = 0x80,
};

struct iso {
    struct tree tree;
    bool joliet;
};

/* ---- descriptors ---- */

static bool descriptor(const struct source *s, unsigned n, uint8_t *d)
{
    return source_read(s, (uint64_t)(FIRST_DESCRIPTOR + n) * SECTOR, d, SECTOR) && !memcmp(d + 1, "CD001", 5) &&
           *d != D_END;
}

static bool is_joliet(const uint8_t *d)
{
    const uint8_t *e = d + D_ESCAPES;
    return *d == D_SUPPLEMENTARY && e[0] == '%' && e[1] == '/' && (e[2] == '@' || e[2] == 'C' || e[2] == 'E');
}

/* Of spaces and what is no text; NULL: nothing is left. */
static char *clean(char *text)
{
    char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    g_free(text);
    if (!valid || *g_strstrip(valid))
        return valid;
    g_free(valid);
    return NULL;
}

static char *ucs2_text(const uint8_t *p, size_t bytes)
{
    g_autofree gunichar2 *u = g_new0(gunichar2, bytes / 2 + 1);
    for (size_t i = 0; i < bytes / 2; i++)
        u[i] = get_be16(p + 2 * i);
    return g_utf16_to_utf8(u, -1, NULL, NULL, NULL);
}

static bool primary(const struct source *s, uint8_t *d)
{
    for (unsigned n = 0; n < DESCRIPTORS && descriptor(s, n, d); n++)
        if (*d == D_PRIMARY)
            return true;
    return false;
}

char *iso9660_identifier(const struct source *s, const char *which)
{
    uint8_t d[SECTOR];
    if (!primary(s, d))
        return NULL;
    bool system = !strcmp(which, "system");
    unsigned at = system ? D_SYSTEM : !strcmp(which, "publisher") ? D_PUBLISHER : D_APPLICATION;
    return clean(g_strndup((char *)d + at, system ? 32 : 128));
}

/* ---- records ---- */

static void add_extent(struct node *n, const uint8_t *r)
{
    struct stretch e = {(uint64_t)get_le32(r + R_EXTENT) * SECTOR, get_le32(r + R_BYTES), false};
    if (n->extents->len < FILE_EXTENTS) {
        g_array_append_val(n->extents, e);
        n->bytes += e.bytes;
    }
}

static void node_of(const uint8_t *r, struct node *n)
{
    *n =
        (struct node){.folder = r[R_FLAGS] & FLAG_FOLDER, .extents = g_array_new(FALSE, FALSE, sizeof(struct stretch))};
    add_extent(n, r);
}

/* The parts of a Rock Ridge name in an area of system use; *more: where it goes on, 0: nowhere. */
static void rock_ridge_part(const uint8_t *p, size_t n, GString *name, uint64_t *more, uint32_t *more_bytes)
{
    while (n >= 4 && p[2] >= 4 && p[2] <= n) {
        if (!memcmp(p, "NM", 2) && p[2] > 5)
            g_string_append_len(name, (const char *)p + 5, p[2] - 5);
        if (!memcmp(p, "CE", 2) && p[2] >= 28) {
            *more = (uint64_t)get_le32(p + 4) * SECTOR + get_le32(p + 12);
            *more_bytes = get_le32(p + 20);
        }
        n -= p[2];
        p += p[2];
    }
}

/* g_free; NULL: it has none. */
static char *rock_ridge_name(const struct source *s, const uint8_t *r)
{
    size_t start = R_NAME + r[R_NAME_LENGTH] + !(r[R_NAME_LENGTH] & 1);
    g_autoptr(GString) name = g_string_new(NULL);
    uint8_t area[SECTOR];
    uint64_t more = 0;
    uint32_t bytes = 0;
    if (start >= r[0])
        return NULL;
    rock_ridge_part(r + start, r[0] - start, name, &more, &bytes);
    for (unsigned hops = 0; more && hops < 4; hops++) {
        uint64_t at = more;
        more = 0;
        if (bytes <= sizeof area && source_read(s, at, area, bytes))
            rock_ridge_part(area, bytes, name, &more, &bytes);
    }
    return name->len ? g_strdup(name->str) : NULL;
}

static bool is_called(const struct iso *i, const uint8_t *r, const char *name)
{
    size_t n = r[R_NAME_LENGTH];
    if (i->joliet) {
        g_autofree char *text = ucs2_text(r + R_NAME, n);
        return text && tree_same_name(text, name);
    }
    g_autofree char *unix_name = rock_ridge_name(i->tree.source, r);
    g_autofree char *plain = g_strndup((const char *)r + R_NAME, n);
    return tree_same_name(unix_name ? unix_name : plain, name);
}

static bool is_record(const uint8_t *r, size_t room)
{
    return r[0] > R_NAME && r[0] <= room && R_NAME + r[R_NAME_LENGTH] <= r[0];
}

static bool iso_find(struct tree *t, const struct node *folder, const char *name, struct node *out)
{
    struct node as_file = *folder;
    size_t bytes;
    as_file.folder = false;
    g_autofree uint8_t *all = node_load(t->source, &as_file, FOLDER_BYTES, &bytes);
    bool found = false;
    for (size_t at = 0; all && at < bytes;) {
        const uint8_t *r = all + at;
        size_t room = MIN(bytes - at, SECTOR - at % SECTOR);
        if (!is_record(r, room)) {
            at += SECTOR - at % SECTOR;
            continue;
        }
        if (is_called((struct iso *)t, r, name)) {
            if (found)
                add_extent(out, r);
            else
                node_of(r, out);
            found = true;
        }
        if (found && !(r[R_FLAGS] & FLAG_MORE))
            break;
        at += r[0];
    }
    return found;
}

static void iso_free(struct tree *t)
{
    g_free(t);
}

static const struct tree_ops iso_ops = {iso_find, iso_free};

/* The root's first record is "." itself, and there the protocol is announced. */
static bool has_rock_ridge(const struct source *s, const struct node *root)
{
    uint8_t r[256];
    const struct stretch *e = &g_array_index(root->extents, struct stretch, 0);
    return source_read(s, e->at, r, sizeof r - 1) && r[0] >= 34 + 7 && !memcmp(r + 34, "SP", 2);
}

struct tree *iso9660_open(const struct source *s)
{
    struct iso *i = g_new0(struct iso, 1);
    uint8_t d[SECTOR], joliet[SECTOR] = {0};
    bool found = false;
    i->tree.ops = &iso_ops;
    i->tree.source = s;
    for (unsigned n = 0; n < DESCRIPTORS && descriptor(s, n, d); n++) {
        if (*d == D_PRIMARY && !found) {
            found = true;
            node_of(d + D_ROOT, &i->tree.root);
            i->tree.volume = clean(g_strndup((char *)d + D_VOLUME, 32));
        }
        if (is_joliet(d))
            memcpy(joliet, d, sizeof joliet);
    }
    if (!found) {
        g_free(i);
        return NULL;
    }
    if (*joliet && !has_rock_ridge(s, &i->tree.root)) {
        i->joliet = true;
        node_clear(&i->tree.root);
        node_of(joliet + D_ROOT, &i->tree.root);
    }
    return &i->tree;
}

/* ---- booting ---- */

static void look_at_catalog(const uint8_t *c, struct el_torito *out)
{
    enum { VALIDATION = 1, DEFAULT = 32, SECTION = 64, ENTRY = 32, BOOTABLE = 0x88, EFI = 0xef };
    if (c[0] != VALIDATION || c[30] != 0x55 || c[31] != 0xaa)
        return;
    if (c[DEFAULT] == BOOTABLE) {
        out->bios = c[1] != EFI;
        out->uefi = c[1] == EFI;
    }
    for (unsigned at = SECTION; at + ENTRY <= SECTOR && (c[at] == 0x90 || c[at] == 0x91);) {
        unsigned entries = get_le16(c + at + 2);
        out->uefi = out->uefi || c[at + 1] == EFI;
        out->bios = out->bios || c[at + 1] == 0;
        if (c[at] == 0x91)
            break;
        at += ENTRY * (1 + entries);
    }
}

void el_torito_look(const struct source *s, struct el_torito *out)
{
    uint8_t d[SECTOR], catalog[SECTOR];
    *out = (struct el_torito){0};
    for (unsigned n = 0; n < DESCRIPTORS && descriptor(s, n, d); n++)
        if (*d == D_BOOT && !memcmp(d + 7, "EL TORITO SPECIFICATION", 23) &&
            source_read(s, (uint64_t)get_le32(d + 0x47) * SECTOR, catalog, SECTOR))
            look_at_catalog(catalog, out);
}
