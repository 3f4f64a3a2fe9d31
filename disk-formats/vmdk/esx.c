// SPDX-License-Identifier: GPL-2.0-or-later
/* esx.c - the sparse extents of ESX's snapshots, for reading.
 *
 * Theory.  Both kinds have a directory, which points to tables of 4096 entries, which point to grains.  COWD (VMFSSPARSE in
 * the descriptor; "ESX Server Sparse Extents" in VMware's technical note) counts in sectors, by 32 bits, and has grains of
 * mostly one sector.  SESPARSE has no public specification; that its 64-bit entries begin with four bits of type, and what
 * follows, is as QEMU knows it.  A seSparse grain's number has its low 12 bits at bit 48 of the entry, the others at bit 0.
 * ESX keeps more beside (generations, maps of what is free, a journal), which is why these are not written here.  A table
 * of each would be 16 KiB per 2 MiB of COWD: a few are kept in memory. */
#include "disk-formats/vmdk/vmdk.h"
#include <errno.h>
#include <string.h>

#define ENTRIES      4096u
#define CACHED       16u
#define SE_MAGIC     UINT64_C(0xcafebabe)
#define SE_VERSION   UINT64_C(0x200000001)
#define SE_VOLATILE  UINT64_C(0xcafecafe)
#define SE_ALLOCATED UINT64_C(0x10000000) /* high half of a directory's entry */
#define LOW_48       UINT64_C(0xffffffffffff)
enum { /* offsets in a COWD header, 32 bits each */
       COWD_VERSION = 4,
       COWD_SECTORS = 12,
       COWD_GRAIN = 16,
       COWD_GD = 20,
       COWD_GDES = 24,
};
enum { /* offsets in a seSparse header, 64 bits each; all in sectors */
       SE_HEADER_VERSION = 8,
       SE_CAPACITY = 16,
       SE_GRAIN = 24,
       SE_TABLE = 32,
       SE_VOLATILE_HEADER = 80,
       SE_GD = 128,
       SE_GD_SECTORS = 136,
       SE_TABLES = 144,
       SE_GRAINS = 192,
       SE_REPLAY = 24, /* in the volatile header */
};

struct cached {
    uint64_t at; /* 0: none */
    uint64_t entry[ENTRIES];
};
struct vmdk_esx {
    bool se;
    uint64_t grain_bytes, grains; /* seSparse: where grain 0 is, in bytes */
    uint64_t *table;              /* where each is, in bytes; 0: there is none */
    struct cached *cache[CACHED];
};

/* ---- open ---- */
static bool damaged(struct vmdk_extent *x, const char *what, GError **error)
{
    return disk_fail(error, DISK_ERROR_CORRUPT, "%s: %s", x->file->path, what);
}

static bool set_sizes(struct vmdk_extent *x, uint64_t grain, uint64_t sectors, GError **error)
{
    if (grain < 1 || grain > 65536 || grain & (grain - 1))
        return damaged(x, "impossible grain size", error);
    if (sectors > IMAGE_MAX_BYTES / 512 || sectors * 512 < x->bytes)
        return damaged(x, "it is smaller than its descriptor says", error);
    x->esx->grain_bytes = grain * 512;
    uint64_t per_table = ENTRIES * x->esx->grain_bytes, tables = (x->bytes + per_table - 1) / per_table;
    x->tables = tables;
    x->esx->table = tables <= VMDK_MAX_TABLES ? g_try_new0(uint64_t, tables) : NULL;
    return x->esx->table || damaged(x, "its grain directory is absurd", error);
}

/* In sectors; whatever is multiplied by 512 must stay a place in a file. */
static bool possible(uint64_t sector)
{
    return sector && sector <= IMAGE_MAX_BYTES / 512;
}

static bool open_cowd(struct vmdk_extent *x, const uint8_t *h, GError **error)
{
    struct vmdk_esx *s = x->esx;
    if (get_le32(h + COWD_VERSION) != 1)
        return damaged(x, "unknown version", error);
    if (!set_sizes(x, get_le32(h + COWD_GRAIN), get_le32(h + COWD_SECTORS), error))
        return false;
    if (get_le32(h + COWD_GDES) < x->tables)
        return damaged(x, "its grain directory is too short", error);
    g_autofree uint32_t *gd = g_try_new(uint32_t, x->tables);
    if (!gd)
        return damaged(x, "no memory for the grain directory", error);
    if (!blk_get(x->file, get_le32(h + COWD_GD) * 512ull, gd, x->tables * 4ull, "grain directory", error))
        return false;
    for (uint32_t i = 0; i < x->tables; i++)
        s->table[i] = GUINT32_FROM_LE(gd[i]) * 512ull;
    return true;
}

static bool journal_is_empty(struct vmdk_extent *x, const uint8_t *h, GError **error)
{
    uint8_t v[512];
    uint64_t sector = get_le64(h + SE_VOLATILE_HEADER);
    if (!possible(sector))
        return damaged(x, "its volatile header lies at an impossible place", error);
    if (!blk_get(x->file, sector * 512, v, sizeof v, "volatile header", error))
        return false;
    if (get_le64(v) != SE_VOLATILE)
        return damaged(x, "its volatile header is damaged", error);
    return !get_le64(v + SE_REPLAY) ||
           disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s was not closed properly; let ESX open it once", x->file->path);
}

static bool load_se_directory(struct vmdk_extent *x, const uint8_t *h, GError **error)
{
    struct vmdk_esx *s = x->esx;
    uint64_t tables_at = get_le64(h + SE_TABLES), table_sectors = ENTRIES * 8 / 512;
    g_autofree uint64_t *gd = g_try_new(uint64_t, x->tables);
    if (!gd)
        return damaged(x, "no memory for the grain directory", error);
    if (!blk_get(x->file, get_le64(h + SE_GD) * 512, gd, x->tables * 8ull, "grain directory", error))
        return false;
    for (uint32_t i = 0; i < x->tables; i++) {
        uint64_t e = GUINT64_FROM_LE(gd[i]);
        if (e && e >> 32 != SE_ALLOCATED)
            return damaged(x, "its grain directory is damaged", error);
        s->table[i] = e ? (tables_at + (uint32_t)e * table_sectors) * 512 : 0;
    }
    return true;
}

static bool open_se(struct vmdk_extent *x, const uint8_t *h, GError **error)
{
    struct vmdk_esx *s = x->esx;
    s->se = true;
    if (get_le64(h + SE_HEADER_VERSION) != SE_VERSION || get_le64(h + SE_TABLE) * 512 != ENTRIES * 8)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: unknown version of seSparse", x->file->path);
    if (!set_sizes(x, get_le64(h + SE_GRAIN), get_le64(h + SE_CAPACITY), error))
        return false;
    if (!possible(get_le64(h + SE_GD)) || !possible(get_le64(h + SE_TABLES)) || !possible(get_le64(h + SE_GRAINS)) ||
        get_le64(h + SE_GD_SECTORS) < (x->tables + 63) / 64)
        return damaged(x, "its tables lie at impossible places", error);
    s->grains = get_le64(h + SE_GRAINS) * 512;
    return journal_is_empty(x, h, error) && load_se_directory(x, h, error);
}

bool vmdk_esx_open(struct image *im, struct vmdk_extent *x, GError **error)
{
    uint8_t h[512];
    x->esx = g_new0(struct vmdk_esx, 1);
    if (im->writable)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED,
                         "%s: ESX's snapshots can be read, not written; put an image on top of it (vmctl disk clone "
                         "--linked), or convert it",
                         im->file->path);
    if (!blk_get(x->file, 0, h, sizeof h, "header", error))
        return false;
    if (get_le32(h) == VMDK_COWD)
        return open_cowd(x, h, error);
    return get_le64(h) == SE_MAGIC ? open_se(x, h, error) : damaged(x, "this is no sparse file of ESX", error);
}

void vmdk_esx_close(struct vmdk_extent *x)
{
    struct vmdk_esx *s = x->esx;
    if (!s)
        return;
    for (unsigned i = 0; i < CACHED; i++)
        g_free(s->cache[i]);
    g_free(s->table);
    g_free(s);
    x->esx = NULL;
}

/* ---- reading ---- */

/* *out NULL: there is none.  v->lock held, as long as *out is used. */
static int table_for(struct vmdk_extent *x, uint32_t i, const uint64_t **out)
{
    struct vmdk_esx *s = x->esx;
    struct cached **c = &s->cache[i % CACHED];
    uint32_t bytes = s->se ? 8 : 4;
    *out = NULL;
    if (!s->table[i])
        return 0;
    if (!*c)
        *c = g_new0(struct cached, 1);
    *out = (*c)->entry;
    if ((*c)->at == s->table[i])
        return 0;
    g_autofree uint8_t *raw = g_malloc(ENTRIES * bytes);
    int err = blk_pread(x->file, s->table[i], raw, ENTRIES * bytes);
    (*c)->at = err ? 0 : s->table[i];
    for (unsigned k = 0; k < ENTRIES; k++)
        (*c)->entry[k] = s->se ? get_le64(raw + k * 8) : get_le32(raw + k * 4);
    return err;
}

/* Where a grain is, by its entry.  False: no such entry can be. */
static bool decode(const struct vmdk_esx *s, uint64_t entry, enum extent_kind *kind, uint64_t *at)
{
    *kind = entry ? EXTENT_DATA : EXTENT_HOLE;
    *at = s->se ? 0 : entry * 512;
    if (!s->se || !entry)
        return true;
    if (entry >> 60 == 1 || entry >> 60 == 2) { /* unmapped by the guest; zero */
        *kind = EXTENT_ZERO;
        return true;
    }
    uint64_t number = (entry >> 48 & 0xfff) | (entry & LOW_48) << 12;
    *at = s->grains + number * s->grain_bytes;
    return entry >> 60 == 3 && number <= IMAGE_MAX_BYTES / s->grain_bytes;
}

static int lookup(struct vmdk_extent *x, uint64_t in, struct extent *out)
{
    struct vmdk_esx *s = x->esx;
    const uint64_t *entry;
    uint64_t grain = in / s->grain_bytes, bytes = s->grain_bytes - in % s->grain_bytes, at, next;
    uint32_t k = grain % ENTRIES;
    enum extent_kind kind;
    int err = table_for(x, grain / ENTRIES, &entry);
    if (err || !decode(s, entry ? entry[k] : 0, &out->kind, &at))
        return err ? err : -EBADMSG;
    for (next = at; bytes < out->bytes && ++k < ENTRIES; bytes += s->grain_bytes) {
        uint64_t follows = next + (out->kind == EXTENT_DATA ? s->grain_bytes : 0);
        if (!decode(s, entry ? entry[k] : 0, &kind, &next) || kind != out->kind || next != follows)
            break;
    }
    out->bytes = MIN(bytes, out->bytes);
    out->file_offset = out->kind == EXTENT_DATA ? at + in % s->grain_bytes : UINT64_MAX;
    return 0;
}

int vmdk_esx_lookup(struct vmdk *v, struct vmdk_extent *x, uint64_t in, struct extent *out)
{
    out->bytes = MIN(out->bytes, x->bytes - in);
    out->file = x->file;
    g_mutex_lock(&v->lock);
    int err = lookup(x, in, out);
    g_mutex_unlock(&v->lock);
    return err;
}

/* ---- check ---- */
static void check_table(struct vmdk_extent *x, const uint64_t *entry, struct image_check *out)
{
    for (unsigned k = 0; k < ENTRIES; k++) {
        enum extent_kind kind;
        uint64_t at;
        bool possible = decode(x->esx, entry[k], &kind, &at);
        out->blocks_used += possible && kind == EXTENT_DATA;
        if (possible && (kind != EXTENT_DATA || at < blk_size(x->file)))
            continue;
        out->corruptions++;
        image_check_say(out, "%s: an entry points nowhere: %" G_GINT64_MODIFIER "x", x->file->path, entry[k]);
    }
}

bool vmdk_esx_check(struct vmdk *v, struct vmdk_extent *x, struct image_check *out, GError **error)
{
    struct vmdk_esx *s = x->esx;
    out->blocks += (x->bytes + s->grain_bytes - 1) / s->grain_bytes;
    for (uint32_t i = 0; i < x->tables; i++) {
        const uint64_t *entry;
        g_mutex_lock(&v->lock);
        int err = table_for(x, i, &entry);
        if (!err && entry)
            check_table(x, entry, out);
        g_mutex_unlock(&v->lock);
        if (err)
            return disk_fail_errno(error, -err, "%s: reading a grain table", x->file->path);
    }
    return true;
}
