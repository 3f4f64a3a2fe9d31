// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_extract.c - one file out of a disk of a snapshot.  The file system is anybody's: terrarium-look reads it, inside of a fence. */
#include "core-vmm/host/look_program.h"
#include "core-vmm/host/snapshot_inside.h"
#include <string.h>

enum { PARTITIONS_MOST = 1000 };

/* "ide0:2": the second partition of that drive; without one, whichever has the file. */
static bool split(const char *given, char **drive, unsigned *partition, GError **error)
{
    const char *colon = strrchr(given, ':');
    guint64 n = 0;
    if (colon && !g_ascii_string_to_unsigned(colon + 1, 10, 1, PARTITIONS_MOST, &n, NULL)) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND, "%s is not DRIVE or DRIVE:PARTITION, like ide0:2",
                    given);
        return false;
    }
    *drive = colon ? g_strndup(given, colon - given) : g_strdup(given);
    *partition = n;
    return true;
}

static const struct snapshot_image *image_of(const struct snapshot_record *r, const struct snapshot *s,
                                             const char *drive, GError **error)
{
    g_autoptr(GString) there = g_string_new(NULL);
    for (guint i = 0; i < s->disks->len; i++) {
        const struct snapshot_disk *d = s->disks->pdata[i];
        if (!strcmp(d->drive, drive))
            return record_image(r, d->file);
        g_string_append_printf(there, "%s%s", i ? ", " : "", d->drive);
    }
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND, "snapshot %u has no disk %s; it has %s", s->id, drive,
                there->len ? there->str : "none");
    return NULL;
}

/* An image is written to only once the record says that nobody has it as it was; so one that was read whole before that is right. */
static bool is_still(const char *machine, const struct snapshot *s, const struct snapshot_image *top, GError **error)
{
    struct snapshot_record *r = snapshots_list(machine, NULL);
    const struct snapshot *now = r ? record_snapshot(r, s->id) : NULL;
    bool same = false;
    for (guint i = 0; now && i < now->disks->len; i++)
        same |= !strcmp(((struct snapshot_disk *)now->disks->pdata[i])->file, top->file);
    record_free(r);
    if (!same)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "snapshot %u of %s was deleted or changed while it was read, so that what was read may be wrong",
                    s->id, machine);
    return same;
}

bool snapshots_extract(const char *machine, const char *which, const char *drive, const char *path, int fd,
                       GError **error)
{
    g_autofree char *folder = machines_folder(machine), *section = NULL, *image_path = NULL, *number = NULL;
    struct snapshot_record *r = snapshots_list(machine, error);
    const struct snapshot *s = r ? snapshots_find(r, machine, which, error) : NULL;
    unsigned partition;
    bool good = s && split(drive, &section, &partition, error);
    const struct snapshot_image *image = good ? image_of(r, s, section, error) : NULL;
    if (image) {
        image_path = g_canonicalize_filename(image->file, folder);
        number = g_strdup_printf("%u", partition);
        const char *const arguments[] = {"file", image_path, image->format, number, path, NULL};
        good = look_program_into(arguments, fd, G_MAXINT64, error) && is_still(machine, s, image, error);
    }
    record_free(r);
    return image && good;
}
