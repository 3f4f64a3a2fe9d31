// SPDX-License-Identifier: GPL-2.0-or-later
/* udf.c - files of a UDF file system, which media of Windows have: their ISO 9660 side holds a README only.
 * Specs: ECMA-167 (descriptors), OSTA UDF 1.02 to 2.60 (names, metadata partition).
 *
 * The anchor (at block 256) names a sequence of descriptors: the partition (where block 0 of it lies) and the logical volume (how
 * blocks of a partition are counted, where the file set is).  The file set leads to the root's ICB, a block with a file entry:
 * length and allocation descriptors, which name the file's extents, or the data itself.  A folder is a file of identifiers, each a
 * name and another ICB.  In UDF 2.50 and later all ICBs and folders lie in a metadata partition, which is a file itself. */
#include "core-vmm/look/source.h"
#include "core-vmm/base/bytes.h"
#include <string.h>

enum {
    TAG_VOLUME = 1,
    TAG_ANCHOR = 2,
    TAG_PARTITION = 5,
    TAG_LOGICAL = 6,
    TAG_END = 8,
    TAG_FILE_SET = 256,
    TAG_IDENTIFIER = 257,
    TAG_ALLOCATION = 258,
    TAG_FILE = 261,
    TAG_EXTENDED_FILE = 266,
    BLOCK_MOST = 4096,
    SEQUENCE_BLOCKS = 64, /* that are looked at */
    MAPS = 4,
    FOLDER_BYTES = 4 << 20,
    FILE_EXTENTS = 1 << 16,
    CONTINUED = 1024, /* blocks of allocation descriptors of one file */
};

struct map { /* of a partition's blocks */
    bool used;
    uint64_t start;       /* block of the medium */
    struct node metadata; /* extents: the map is a file instead */
};
struct udf {
    struct tree tree;
    uint32_t block; /* bytes */
    uint16_t partition;
    uint64_t partition_start;
    struct map maps[MAPS];
};
struct place { /* long_ad */
    uint32_t bytes, block;
    uint16_t map;
};

static struct place place_at(const uint8_t *p)
{
    return (struct place){get_le32(p), get_le32(p + 4), get_le16(p + 8)};
}

/* A block whose tag says what it is. */
static bool is_tagged(const uint8_t *b, unsigned tag)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < 16; i++)
        sum += i == 4 ? 0 : b[i];
    return get_le16(b) == tag && (sum & 0xff) == b[4];
}

/* Where a block of a map lies on the medium; false: nowhere. */
static bool where(const struct udf *u, unsigned map, uint32_t block, uint64_t *at)
{
    if (map >= MAPS || !u->maps[map].used)
        return false;
    const struct map *m = &u->maps[map];
    uint64_t bytes = (uint64_t)block * u->block;
    if (!m->metadata.extents) {
        *at = (m->start + block) * u->block;
        return true;
    }
    for (guint i = 0; i < m->metadata.extents->len; i++) {
        const struct stretch *e = &g_array_index(m->metadata.extents, struct stretch, i);
        if (bytes < e->bytes) {
            *at = e->at + bytes;
            return !e->hole;
        }
        bytes -= e->bytes;
    }
    return false;
}

static bool read_block(const struct udf *u, unsigned map, uint32_t block, uint8_t *to, uint64_t *at)
{
    return where(u, map, block, at) && source_read(u->tree.source, *at, to, u->block);
}

/* ---- a file's extents ---- */

struct walk {
    const struct udf *u;
    struct node *out;
    unsigned map; /* of the ICB, for short descriptors */
    bool is_long;
    bool more; /* goes on at next */
    struct place next;
};

static bool add_extent(struct walk *w, uint32_t length, const struct place *p)
{
    enum { RECORDED, ALLOCATED, NOTHING, CONTINUES };
    uint32_t bytes = length & 0x3fffffff;
    struct stretch e = {0, bytes, length >> 30 != RECORDED};
    if (length >> 30 == CONTINUES) {
        w->more = true;
        w->next = *p;
        return false;
    }
    if (!bytes || w->out->extents->len >= FILE_EXTENTS)
        return false;
    if (!e.hole && !where(w->u, p->map, p->block, &e.at))
        return false;
    g_array_append_val(w->out->extents, e);
    return true;
}

static void add_descriptors(struct walk *w, const uint8_t *p, size_t n)
{
    size_t step = w->is_long ? 16 : 8;
    bool goes_on = true;
    for (; n >= step && goes_on; n -= step, p += step) {
        struct place at = {0, get_le32(p + 4), w->is_long ? get_le16(p + 8) : w->map};
        goes_on = add_extent(w, get_le32(p), &at);
    }
}

static void add_continued(struct walk *w)
{
    uint8_t b[BLOCK_MOST];
    uint64_t at;
    for (unsigned hops = 0; w->more && hops < CONTINUED; hops++) {
        w->more = false;
        if (!read_block(w->u, w->next.map, w->next.block, b, &at) || !is_tagged(b, TAG_ALLOCATION))
            return;
        uint32_t n = get_le32(b + 20);
        if (n <= w->u->block - 24)
            add_descriptors(w, b + 24, n);
    }
}

/* An ICB: what is there, and where its contents lie. */
static bool icb_read(const struct udf *u, const struct place *icb, struct node *out)
{
    enum { SHORT, LONG, EXTENDED, INSIDE, TYPE_FOLDER = 4 };
    uint8_t b[BLOCK_MOST];
    uint64_t at;
    if (!read_block(u, icb->map, icb->block, b, &at))
        return false;
    bool extended = is_tagged(b, TAG_EXTENDED_FILE);
    if (!extended && !is_tagged(b, TAG_FILE))
        return false;
    unsigned head = extended ? 216 : 176, kind = get_le16(b + 34) & 7;
    uint32_t attributes = get_le32(b + head - 8), descriptors = get_le32(b + head - 4);
    if (attributes > u->block - head || descriptors > u->block - head - attributes || kind == EXTENDED)
        return false;
    *out = (struct node){.folder = b[27] == TYPE_FOLDER,
                         .bytes = get_le64(b + 56),
                         .extents = g_array_new(FALSE, FALSE, sizeof(struct stretch))};
    if (kind == INSIDE) {
        struct stretch e = {at + head + attributes, descriptors, false};
        out->bytes = MIN(out->bytes, descriptors);
        g_array_append_val(out->extents, e);
        return true;
    }
    struct walk w = {.u = u, .out = out, .map = icb->map, .is_long = kind == LONG};
    add_descriptors(&w, b + head + attributes, descriptors);
    add_continued(&w);
    return true;
}

/* ---- folders ---- */

/* OSTA compressed Unicode: a byte says how many bits a character has; g_free; NULL: it is none. */
static char *text_of(const uint8_t *p, size_t n)
{
    if (n < 1 || (*p != 8 && *p != 16))
        return NULL;
    size_t count = *p == 8 ? n - 1 : (n - 1) / 2;
    g_autofree gunichar2 *u = g_new0(gunichar2, count + 1);
    for (size_t i = 0; i < count; i++)
        u[i] = *p == 8 ? p[1 + i] : get_be16(p + 1 + 2 * i);
    return g_utf16_to_utf8(u, -1, NULL, NULL, NULL);
}

/* A fixed field whose last byte is its length. */
static char *dstring(const uint8_t *p, size_t field)
{
    size_t n = p[field - 1];
    return n && n < field ? text_of(p, n) : NULL;
}

static bool udf_find(struct tree *t, const struct node *folder, const char *name, struct node *out)
{
    enum { HEAD = 38, DELETED = 4, PARENT = 8 };
    struct node as_file = *folder;
    size_t bytes;
    as_file.folder = false;
    g_autofree uint8_t *all = node_load(t->source, &as_file, FOLDER_BYTES, &bytes);
    for (size_t at = 0; all && at + HEAD <= bytes;) {
        const uint8_t *f = all + at;
        size_t use = get_le16(f + 36), length = f[19], whole = (HEAD + use + length + 3) & ~(size_t)3;
        if (!is_tagged(f, TAG_IDENTIFIER) || at + HEAD + use + length > bytes)
            return false;
        g_autofree char *text = f[18] & (DELETED | PARENT) ? NULL : text_of(f + HEAD + use, length);
        struct place icb = place_at(f + 20);
        if (text && tree_same_name(text, name))
            return icb_read((struct udf *)t, &icb, out);
        at += whole;
    }
    return false;
}

static void udf_free(struct tree *t)
{
    struct udf *u = (struct udf *)t;
    for (unsigned i = 0; i < MAPS; i++)
        node_clear(&u->maps[i].metadata);
    g_free(u);
}

static const struct tree_ops udf_ops = {udf_find, udf_free};

/* ---- the volume ---- */

static bool add_map(struct udf *u, unsigned n, const uint8_t *p)
{
    enum { PHYSICAL = 1, BY_NAME = 2 };
    struct map *m = &u->maps[n];
    if (p[0] == PHYSICAL && get_le16(p + 4) == u->partition) {
        *m = (struct map){.used = true, .start = u->partition_start};
        return true;
    }
    if (p[0] != BY_NAME || memcmp(p + 5, "*UDF Metadata Partition", 23) || get_le16(p + 38) != u->partition)
        return p[0] == PHYSICAL || p[0] == BY_NAME; /* one that we do not know: perhaps nothing lies in it */
    *m = (struct map){.used = true, .start = u->partition_start}; /* its own ICB is counted physically */
    struct place icb = {0, get_le32(p + 40), n};
    struct node file = {0};
    bool good = icb_read(u, &icb, &file) && !file.folder && file.extents->len;
    m->used = good;
    m->metadata = file;
    return true;
}

static bool add_maps(struct udf *u, const uint8_t *logical)
{
    size_t bytes = get_le32(logical + 264), count = get_le32(logical + 268);
    const uint8_t *p = logical + 440;
    if (bytes > u->block - 440 || count > MAPS)
        return false;
    for (unsigned i = 0; i < count; i++) {
        size_t least = p < logical + 440 + bytes ? (*p == 1 ? 6 : 64) : SIZE_MAX, left = logical + 440 + bytes - p;
        if (left < 2 || p[1] < least || p[1] > left || !add_map(u, i, p))
            return false;
        p += p[1];
    }
    return true;
}

/* The last partition and the last logical volume of the sequence count. */
static bool read_sequence(struct udf *u, uint32_t first, uint32_t bytes, uint8_t *logical)
{
    uint8_t b[BLOCK_MOST];
    bool partition = false, volume = false;
    for (uint32_t i = 0; i < MIN(bytes / u->block, (uint32_t)SEQUENCE_BLOCKS); i++) {
        if (!source_read(u->tree.source, ((uint64_t)first + i) * u->block, b, u->block) || is_tagged(b, TAG_END))
            break;
        if (is_tagged(b, TAG_PARTITION)) {
            partition = true;
            u->partition = get_le16(b + 22);
            u->partition_start = get_le32(b + 188);
        } else if (is_tagged(b, TAG_LOGICAL) && get_le32(b + 212) == u->block) {
            volume = true;
            memcpy(logical, b, u->block);
        } else if (is_tagged(b, TAG_VOLUME) && !u->tree.volume) {
            u->tree.volume = dstring(b + 24, 32);
        }
    }
    return partition && volume;
}

static bool open_at(struct udf *u, const uint8_t *anchor)
{
    uint8_t logical[BLOCK_MOST] = {0}, b[BLOCK_MOST];
    uint64_t at;
    if (!read_sequence(u, get_le32(anchor + 20), get_le32(anchor + 16), logical) || !add_maps(u, logical))
        return false;
    struct place set = place_at(logical + 248);
    if (!read_block(u, set.map, set.block, b, &at) || !is_tagged(b, TAG_FILE_SET))
        return false;
    struct place root = place_at(b + 400);
    return icb_read(u, &root, &u->tree.root) && u->tree.root.folder;
}

static struct udf *udf_new(const struct source *s, uint32_t block)
{
    struct udf *u = g_new0(struct udf, 1);
    u->tree.ops = &udf_ops;
    u->tree.source = s;
    u->block = block;
    return u;
}

struct tree *udf_open(const struct source *s)
{
    static const uint32_t blocks[] = {2048, 512, 4096};
    for (unsigned i = 0; i < G_N_ELEMENTS(blocks); i++) {
        uint8_t anchor[512];
        if (!source_read(s, (uint64_t)256 * blocks[i], anchor, sizeof anchor) || !is_tagged(anchor, TAG_ANCHOR))
            continue;
        struct udf *u = udf_new(s, blocks[i]);
        if (open_at(u, anchor))
            return &u->tree;
        tree_close(&u->tree);
    }
    return NULL;
}
