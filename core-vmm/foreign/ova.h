// SPDX-License-Identifier: GPL-2.0-or-later
/* ova.h - an OVA: a tar archive of an OVF description, its images and a manifest with checksums.  Nothing is unpacked: a member's
 * bytes lie in one piece in the file, and are read there. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct ova_member {
    char *name;
    const uint8_t *data;
    uint64_t offset, bytes; /* in the file */
};
struct ova {
    uint8_t *map;
    uint64_t bytes;
    GArray *members; /* struct ova_member, as they come */
};
/* Members with a folder in their name, links, and other things that are no plain files are an error.  ova_close; NULL. */
struct ova *ova_open(const char *path, GError **error);
void ova_close(struct ova *o);
const struct ova_member *ova_find(const struct ova *o, const char *name);
const struct ova_member *ova_ending(const struct ova *o, const char *ending); /* the first */
bool ova_looks_like(const char *path);                                        /* by its first bytes */

/* ---- manifests ---- */
struct manifest_line {
    GChecksumType type;
    char *name, *sum;
};
/* Lines like SHA256(disk.vmdk)= 0123...; g_array_unref; NULL: an error. */
GArray *manifest_read(const char *text, gsize n, GError **error);
/* tell: how many bytes more were read; may be NULL. */
bool manifest_check(const struct manifest_line *line, const uint8_t *data, uint64_t bytes,
                    void (*tell)(void *ctx, uint64_t bytes), void *ctx, GError **error);
