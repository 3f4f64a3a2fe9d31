// SPDX-License-Identifier: GPL-2.0-or-later
/* A medium in somebody else's hands: a good one of 23 sectors, which repeat without end so that every sector number leads to one of
 * them, with the input's changes.  An input is a byte that says which of its
 * files are left out (what is found first counts), and records: sector, two bytes of offset, how many bytes, the bytes.  Tags of UDF get
 * their checksums anew, or nearly all changes would end there. */
#include "core-vmm/look/look.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/install/medium.h"
#include "tests/fuzz/bytes.h"
#include <string.h>

enum { SECTORS = 23, ANCHOR = 256 % SECTORS };
struct image {
    uint8_t sector[SECTORS][SECTOR];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the good one ---- */

static uint8_t *record_of(uint8_t *r, const char *name, size_t n, unsigned extent, unsigned bytes, bool folder)
{
    r[0] = (33 + n + 1) & ~1u;
    put_le32(r + 2, extent);
    put_le32(r + 10, bytes);
    r[25] = folder ? 2 : 0;
    r[32] = n;
    memcpy(r + 33, name, n);
    return r + r[0];
}

static uint8_t *record(uint8_t *r, const char *name, unsigned extent, unsigned bytes, bool folder)
{
    return record_of(r, name, *name ? strlen(name) : 1, extent, bytes, folder);
}

static void joliet(struct image *m, unsigned bytes)
{
    static const char disk[] = "\0.\0d\0i\0s\0k", info[] = "\0i\0n\0f\0o";
    record(m->sector[18] + 156, "", 2, SECTOR, true);
    uint8_t *r = record(m->sector[2], "", 2, SECTOR, true);
    record_of(r, disk, sizeof disk - 1, 14, SECTOR, true);
    record_of(m->sector[14], info, sizeof info - 1, 0, bytes, false);
}

static void descriptor(uint8_t *d, uint8_t type)
{
    d[0] = type;
    memcpy(d + 1, "CD001\1", 6);
    memcpy(d + 40, "Debian 12", 9);
    put_le32(d + 80, 1000);
    record(d + 156, "", 20, SECTOR, true);
}

static void iso(struct image *m)
{
    static const char info[] = "Debian GNU/Linux 12.5.0 \"Bookworm\" - Official amd64 NETINST\n";
    static const char tree[] = "[general]\nfamily = Fedora\nversion = 40\narch = x86_64\n[images-x86_64]\nkernel = a\n";
    descriptor(m->sector[16], 1);
    descriptor(m->sector[17], 0);
    memcpy(m->sector[17] + 7, "EL TORITO SPECIFICATION", 23);
    put_le32(m->sector[17] + 0x47, 1);
    descriptor(m->sector[18], 2);
    memcpy(m->sector[18] + 88, "%/E", 3);
    descriptor(m->sector[19], 255);
    uint8_t *r = record(m->sector[20], "", 20, SECTOR, true);
    r = record(r, ".disk", 21, SECTOR, true);
    record(r, ".treeinfo", 22, sizeof tree - 1, false);
    record(m->sector[21], "info;1", 0, sizeof info - 1, false);
    memcpy(m->sector[0], info, sizeof info);
    joliet(m, sizeof info - 1);
    memcpy(m->sector[22], tree, sizeof tree);
    memcpy(m->sector[1], "\1\0", 2);
    memcpy(m->sector[1] + 30, "\x55\xaa\x88", 3);
    memcpy(m->sector[1] + 64, "\x91\xef\1\0", 4);
}

static void tag(uint8_t *b, unsigned id)
{
    put_le16(b, id);
}

static void file_entry(uint8_t *b, bool folder, unsigned block, unsigned bytes)
{
    tag(b, 261);
    b[27] = folder ? 4 : 5;
    put_le64(b + 56, bytes);
    put_le32(b + 172, 8);
    put_le32(b + 176, bytes);
    put_le32(b + 180, block);
}

static void identifier(uint8_t *f, const char *name, unsigned icb)
{
    tag(f, 257);
    f[19] = strlen(name) + 1;
    put_le32(f + 20, SECTOR);
    put_le32(f + 24, icb);
    f[38] = 8;
    memcpy(f + 39, name, strlen(name));
}

static void udf(struct image *m)
{
    tag(m->sector[ANCHOR], 2);
    put_le32(m->sector[ANCHOR] + 16, 8 * SECTOR);
    put_le32(m->sector[ANCHOR] + 20, 4);
    tag(m->sector[4], 5);
    tag(m->sector[5], 6);
    put_le32(m->sector[5] + 212, SECTOR);
    put_le32(m->sector[5] + 252, 7);
    put_le32(m->sector[5] + 264, 6);
    put_le32(m->sector[5] + 268, 1);
    memcpy(m->sector[5] + 440, "\1\6", 2);
    tag(m->sector[6], 8);
    tag(m->sector[7], 256);
    put_le32(m->sector[7] + 404, 8);
    file_entry(m->sector[8], true, 9, 48);
    identifier(m->sector[9], "sources", 10);
    file_entry(m->sector[10], true, 11, 52);
    identifier(m->sector[11], "install.wim", 12);
    file_entry(m->sector[12], false, 13, SECTOR);
}

static void wim(uint8_t *w)
{
    static const char xml[] =
        "<WIM><IMAGE INDEX=\"1\"><NAME>Windows</NAME><WINDOWS><ARCH>9</ARCH><EDITIONID>Pro</EDITIONID><LANGUAGES>"
        "<LANGUAGE>en-US</LANGUAGE></LANGUAGES><VERSION><BUILD>22631</BUILD></VERSION></WINDOWS></IMAGE></WIM>";
    memcpy(w, "MSWIM", 5);
    put_le64(w + 72, 2 * (sizeof xml - 1));
    put_le64(w + 80, 208);
    for (unsigned i = 0; i + 1 < sizeof xml; i++)
        put_le16(w + 208 + 2 * i, xml[i]);
}

/* ---- the input ---- */

static void change(struct image *m, const uint8_t *data, size_t size)
{
    struct bytes b = {data, size};
    unsigned without = take(&b);
    if (without & 1)
        m->sector[20][34 + 33] = 'x'; /* .disk */
    if (without & 2)
        m->sector[20][34 + 38 + 33] = 'x'; /* .treeinfo */
    if (!(without & 8))
        m->sector[18][0] = 255; /* Joliet */
    if (without & 4)
        m->sector[16][0] = 255; /* all of ISO 9660 */
    while (b.left) {
        unsigned sector = take(&b) % SECTORS, at = take_number(&b, 2) % SECTOR, n = take(&b) % 32;
        for (unsigned i = 0; i < n && at + i < SECTOR; i++)
            m->sector[sector][at + i] = take(&b);
    }
}

static void fix_checksums(struct image *m)
{
    for (unsigned s = 0; s < SECTORS; s++) {
        uint8_t *b = m->sector[s], sum = 0;
        unsigned id = get_le16(b);
        for (unsigned i = 0; i < 16; i++)
            sum += i == 4 ? 0 : b[i];
        if ((id && id < 10) || (id >= 256 && id <= 266))
            b[4] = sum;
    }
}

static bool read_round(const struct source *s, uint64_t at, void *to, size_t n)
{
    const uint8_t *all = s->data;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)to)[i] = all[(at + i) % (SECTORS * SECTOR)];
    return true;
}

/* by: what must have told; NULL: anything, or nothing. */
static void look_at(const struct image *m, const char *by)
{
    struct look l = {.source = {.read = read_round, .data = m, .fd = -1, .bytes = UINT64_C(8) << 30}};
    struct partitions p;
    partitions_look(&l.source, &p);
    l.m = medium_new();
    if (look_open(&l)) {
        systems_look(&l);
        if (!l.m->id || !l.m->os || !l.m->name || !g_utf8_validate(l.m->name, -1, NULL))
            g_error("a medium without a name");
        if (by && g_strcmp0(l.m->by, by))
            g_error("told by %s, not %s", l.m->by, by);
    }
    look_close(&l);
    medium_free(l.m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image *m = g_new0(struct image, 1);
    g_setenv("OSINFO_SYSTEM_DIR", "/nowhere", TRUE);
    iso(m);
    udf(m);
    wim(m->sector[13]);
    change(m, data, size);
    fix_checksums(m);
    look_at(m, size > 1                ? NULL
               : !size || !(*data & 7) ? ".disk/info"
               : (*data & 15) == 1     ? ".treeinfo"
               : (*data & 11) == 3     ? "sources/install.wim"
                                       : NULL);
    g_free(m);
    return 0;
}
