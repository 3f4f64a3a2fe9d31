// SPDX-License-Identifier: GPL-2.0-or-later
/* package.h - a description together with what it names: an OVA, or a file and others around it.  For the fenced child that reads
 * them. */
#pragma once
#include "core-vmm/foreign/ova.h"
#include "core-vmm/foreign/readers.h"
#include "disk-formats/image/image.h"

struct package {
    char *path, *folder; /* of the description; names in it start at the folder */
    enum foreign_kind kind;
    struct ova *ova;   /* NULL: no archive */
    const char *about; /* the name of the description, for messages */
    char *text;
    gsize n;
};
/* Nothing is given back: the child that reads a package ends with it. */
bool package_open(struct package *p, const char *path, GError **error);
/* All checksums that the package brings; tell: how many bytes more were read. */
bool package_verify(const struct package *p, void (*tell)(void *ctx, uint64_t bytes), void *ctx, struct plan *plan,
                    GError **error);
/* ---- for whoever: these look at names only ---- */
char *package_description(const char *path); /* of a .utm folder, what is in it; absolute; g_free */
/* Where a file that a description names is, or would be; g_free. */
char *package_locate(const char *description, const char *file);
/* The same of one that is there; outside: may it be anywhere, or only in the description's folder?  g_free; NULL: an error. */
char *package_path(const char *description, const char *file, bool outside, GError **error);

/* ---- in the child ---- */
/* A disk of the plan, read-only, with all that it builds upon. */
struct image *package_image(const struct package *p, const struct plan_disk *d, bool outside, GError **error);
