// SPDX-License-Identifier: GPL-2.0-or-later
/* ata_open.c - a drive as machine.ini describes it: its medium, names and geometry. */
#include "devices/storage/ata.h"

static bool choose_geometry(struct ata_drive *v, const struct config *c, GError **error)
{
    g_autofree char *text = config_string(c, "geometry");
    uint64_t sectors = v->cdrom ? 0 : ata_sectors(v);
    struct disk_geometry said;
    uint8_t table[ATA_SECTOR];
    bool known = text ? disk_geometry_parse(text, &said)
                      : sectors && drive_peek(v->medium, 0, table, sizeof table) &&
                            disk_geometry_from_table(table, sectors, &said);

    if (text && !known) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "%s: [%s] geometry = %s: must be CYLINDERS/HEADS/SECTORS, like 615/4/17 (at most 65535/255/63)",
                    c->path, c->section, text);
        return false;
    }
    disk_geometry_choose(sectors, known ? &said : NULL, &v->geometry, &v->bios_geometry);
    return true;
}

bool ata_open(struct device *d, struct ata_drive *v, const struct config *c, unsigned number, bool bay, GError **error)
{
    static const char *const media[] = {"disk", "cdrom", NULL};
    unsigned kind;

    if (!config_choice(c, "media", media, &kind, error))
        return false;
    v->medium = bay ? drive_open_bay(d, c, error) : drive_open(d, c, error);
    if (!v->medium)
        return false;
    v->cdrom = kind == 1;
    g_strlcpy(v->model, v->cdrom ? "Terrarium DVD-ROM" : "Terrarium Hard Disk", sizeof v->model);
    if (drive_serial(v->medium) && *drive_serial(v->medium))
        g_strlcpy(v->serial, drive_serial(v->medium), sizeof v->serial);
    else
        g_snprintf(v->serial, sizeof v->serial, "TERR%04u", number + 1);
    return choose_geometry(v, c, error);
}

void ata_plugged(struct ata_drive *v)
{
    disk_geometry_choose(ata_sectors(v), NULL, &v->geometry, &v->bios_geometry);
}
