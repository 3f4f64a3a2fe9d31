// SPDX-License-Identifier: GPL-2.0-or-later
/* Floppy formats.  Sources: ECMA-66, -70, -78, -99, -100, -125, -147 for the standard ones; the rest are what distribution
 * disks of the time used on the same media.  Disks of other sizes say in their boot sector what they are: the BIOS
 * parameter block of DOS 2.0 and later (Microsoft, "FAT: General Overview of On-Disk Format", 1.03). */
#include "devices/storage/floppy.h"
#include "core-vmm/base/bytes.h"

static const struct floppy_medium media[] = {
    {160, 40, 1, 8, FLOPPY_250K, FLOPPY_300K},   {180, 40, 1, 9, FLOPPY_250K, FLOPPY_300K},
    {320, 40, 2, 8, FLOPPY_250K, FLOPPY_300K},   {360, 40, 2, 9, FLOPPY_250K, FLOPPY_300K},
    {640, 80, 2, 8, FLOPPY_250K, FLOPPY_250K},   {720, 80, 2, 9, FLOPPY_250K, FLOPPY_250K},
    {800, 80, 2, 10, FLOPPY_250K, FLOPPY_250K},  {820, 82, 2, 10, FLOPPY_250K, FLOPPY_250K},
    {1200, 80, 2, 15, FLOPPY_500K, FLOPPY_500K}, {1440, 80, 2, 18, FLOPPY_500K, FLOPPY_500K},
    {1600, 80, 2, 20, FLOPPY_500K, FLOPPY_500K}, {1680, 80, 2, 21, FLOPPY_500K, FLOPPY_500K},
    {1722, 82, 2, 21, FLOPPY_500K, FLOPPY_500K}, {1743, 83, 2, 21, FLOPPY_500K, FLOPPY_500K},
    {1760, 80, 2, 22, FLOPPY_500K, FLOPPY_500K}, {1920, 80, 2, 24, FLOPPY_500K, FLOPPY_500K},
    {2880, 80, 2, 36, FLOPPY_1M, FLOPPY_1M},
};
enum { TRACKS_MOST = 84, TRACKS_40_MOST = 42, SECTORS_250K = 11, SECTORS_500K = 24, SECTORS_MOST = 48 };
enum { TYPE_360K = 1, TYPE_1200K, TYPE_720K, TYPE_1440K, TYPE_2880K };

static const struct floppy_medium *medium_of(uint32_t kib)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(media); i++)
        if (media[i].kib == kib)
            return &media[i];
    return NULL;
}

/* The parameter block must describe tracks that are full, and at least what the image has; an image may end early. */
static bool by_parameter_block(const uint8_t *boot, uint64_t bytes, struct floppy_medium *m)
{
    unsigned sectors = get_le16(boot + 0x18), heads = get_le16(boot + 0x1a), all = get_le16(boot + 0x13);
    unsigned track = sectors * heads;
    if (get_le16(boot + 0x0b) != FLOPPY_SECTOR || heads < 1 || heads > 2 || sectors < 1 || sectors > SECTORS_MOST ||
        !all || all % track || all / track > TRACKS_MOST || (uint64_t)all * FLOPPY_SECTOR < bytes)
        return false;
    enum floppy_rate rate = sectors <= SECTORS_250K ? FLOPPY_250K : sectors <= SECTORS_500K ? FLOPPY_500K : FLOPPY_1M;
    *m = (struct floppy_medium){all / 2, all / track, heads, sectors, rate == FLOPPY_250K ? FLOPPY_300K : rate, rate};
    if (m->tracks <= TRACKS_40_MOST && rate == FLOPPY_250K)
        m->rate_40 = FLOPPY_250K, m->rate_80 = FLOPPY_300K;
    return true;
}

/* An image of no known size that does not say is a disk that was not written to its end: 1.44M, or 2.88M. */
static const struct floppy_medium *recognise(struct floppy *f, uint64_t bytes)
{
    const struct floppy_medium *m = bytes % 1024 ? NULL : medium_of(MIN(bytes / 1024, UINT32_MAX));
    uint8_t boot[FLOPPY_SECTOR];
    if (!bytes || m)
        return m;
    if (drive_peek(f->drive, 0, boot, sizeof boot) && by_parameter_block(boot, bytes, &f->by_boot_sector)) {
        m = medium_of(f->by_boot_sector.kib);
        return m ? m : &f->by_boot_sector;
    }
    return medium_of(bytes <= 1440 * 1024 ? 1440 : 2880);
}

bool floppy_has_boot_code(const struct floppy *f)
{
    enum { WORDS = 10, FIRST_BYTE_LEAST = 6 };
    uint8_t boot[2 * WORDS];
    if (!drive_peek(f->drive, 0, boot, sizeof boot) || boot[0] < FIRST_BYTE_LEAST)
        return false;
    return memcmp(boot, boot + 2, sizeof boot - 2) != 0; /* not all words the same */
}

/* BIOSes and boot sectors take the geometry of a disk from the type of its drive. */
static uint8_t type_for(const struct floppy_medium *m)
{
    if (!m)
        return TYPE_1440K;
    return m->tracks <= TRACKS_40_MOST && m->sectors <= SECTORS_250K ? TYPE_360K
           : m->sectors == 15                                        ? TYPE_1200K
           : m->sectors <= 10                                        ? TYPE_720K
           : m->sectors <= 24                                        ? TYPE_1440K
                                                                     : TYPE_2880K;
}

void floppy_attach(struct floppy *f, struct drive *drive)
{
    f->drive = drive;
    floppy_medium_changed(f);
    f->type = type_for(f->medium);
}

void floppy_medium_changed(struct floppy *f)
{
    f->medium = recognise(f, drive_bytes(f->drive));
    f->changed = true;
}

static unsigned last_track(const struct floppy *f)
{
    return f->type == TYPE_360K ? 41 : 83;
}

bool floppy_step(struct floppy *f, int steps)
{
    f->track = CLAMP(f->track + steps, 0, (int)last_track(f));
    if (steps && f->medium)
        f->changed = false;
    return f->track == 0;
}

static bool double_steps(const struct floppy *f)
{
    return f->medium->tracks <= TRACKS_40_MOST && f->type != TYPE_360K;
}

int floppy_medium_track(const struct floppy *f)
{
    if (!double_steps(f))
        return f->track;
    return f->track & 1 ? -1 : f->track / 2;
}

enum floppy_rate floppy_medium_rate(const struct floppy *f)
{
    return f->type == TYPE_360K ? f->medium->rate_40 : f->medium->rate_80;
}
