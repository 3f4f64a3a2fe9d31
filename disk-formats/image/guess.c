// SPDX-License-Identifier: GPL-2.0-or-later
/* guess.c - which format a file is in: by its name, or by its contents.  A guest can write any contents into a raw disk, and
 * so make it look like an image on top of whichever file of the host it wants to read: contents count where a user hands
 * over a file, never when a machine starts. */
#include "disk-formats/image/image.h"
#include <string.h>

const char *image_format_promised(const char *path)
{
    const char *dot = strrchr(path, '.'), *ending = dot ? dot + 1 : "";
    if (!g_ascii_strcasecmp(ending, "avhd") || !g_ascii_strcasecmp(ending, "avhdx")) /* Hyper-V's checkpoints */
        ending++;
    for (const struct image_format *const *f = image_formats(); *f; f++)
        if (!g_ascii_strcasecmp((*f)->name, ending))
            return (*f)->name;
    return NULL;
}

const char *image_format_by_name(const char *path)
{
    const char *promised = image_format_promised(path);
    return promised ? promised : "raw";
}

/* What no disk begins with. */
static const struct foreign {
    uint16_t at, bytes;
    const char *text, *what;
    bool packed;
} foreign[] = {
    {0, 3, "\x1f\x8b\x08", "packed by gzip", true},
    {0, 6, "\xfd\x37zXZ\0", "packed by xz", true},
    {4, 6, "1AY&SY", "packed by bzip2", true},
    {0, 4, "\x28\xb5\x2f\xfd", "packed by zstd", true},
    {0, 4, "PK\3\4", "a ZIP archive", true},
    {0, 6, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive", true},
    {257, 5, "ustar", "a tar archive (as OVA files are)", true},
    {0, 4, "QED\0", "a QED image", false},
    {0, 16, "WithoutFreeSpace", "a Parallels image", false},
    {0, 16, "WithouFreSpacExt", "a Parallels image", false},
    {0, 16, "Bochs Virtual HD", "a Bochs image", false},
};

static const struct foreign *find_foreign(const uint8_t *head)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(foreign); i++)
        if (!memcmp(head + foreign[i].at, foreign[i].text, foreign[i].bytes))
            return &foreign[i];
    return NULL;
}

const struct image_format *image_format_guess(struct blk_file *f, GError **error)
{
    uint8_t head[4096] = {0}, last[8] = {0};
    uint64_t bytes = blk_size(f), n = MIN(bytes, sizeof head);
    if (!blk_get(f, 0, head, n, "beginning", error))
        return NULL;
    for (const struct image_format *const *t = image_formats(); *t; t++)
        if ((*t)->probe && (*t)->probe(head, n, bytes))
            return *t;
    /* A fixed VHD is known by its last sector only, which in old ones is a byte short. */
    for (unsigned footer = 511; footer <= 512; footer++) {
        if (bytes >= footer && !blk_get(f, bytes - footer, last, sizeof last, "end", error))
            return NULL;
        if (!memcmp(last, "conectix", 8))
            return image_format_find("vhd", error);
    }
    const struct foreign *other = find_foreign(head);
    const char *promised = image_format_promised(f->path);
    if (!other && promised && strcmp(promised, "raw")) {
        disk_fail(error, DISK_ERROR_CORRUPT, "%s is no %s image, though it is called one; say that it is raw if it is",
                  f->path, promised);
        return NULL;
    }
    if (!other)
        return image_format_find("raw", error);
    disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s is %s; %s, or say that it is raw if it is a disk like that", f->path,
              other->what, other->packed ? "unpack it" : "convert it to one of our formats with its own program");
    return NULL;
}
