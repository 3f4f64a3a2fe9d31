// SPDX-License-Identifier: GPL-2.0-or-later
/* look.h - what terrarium-look finds on a medium.  All of it runs inside of a fence, on files that may come from anybody. */
#pragma once
#include "core-vmm/install/medium.h"
#include "core-vmm/look/source.h"

struct look {
    struct source source;
    struct tree *udf, *iso; /* NULL: it has no such file system */
    struct medium *m;       /* what has been found so far */
};
bool look_open(struct look *l); /* of source; false: it is no ISO */
void look_close(struct look *l);
bool look_has(struct look *l, const char *path);
bool look_find(struct look *l, const char *path, struct node *out);
/* A small file as valid UTF-8; g_free; NULL: there is none. */
char *look_text(struct look *l, const char *path);

/* ---- wim.c: images in sources/install.wim or .esd; false: it is none ---- */
bool wim_look(const struct source *s, const struct node *file, struct medium *m);

/* ---- systems.c: what the medium says of itself ---- */
void systems_look(struct look *l);

/* ---- osinfo.c: what osinfo-db says of its identifiers.  folder: NULL for where it is installed ---- */
struct osinfo_ids {
    const char *volume, *system, *publisher, *application; /* NULL: none */
};
void osinfo_look(const char *folder, const struct osinfo_ids *ids, struct medium *m);

/* ---- partitions.c: a disk's partition table, and whether a system was installed on it ---- */
struct partitions {
    bool any;  /* there is a table */
    bool bios; /* boot code in the first sector that is a boot loader's */
    bool uefi; /* an EFI system partition with something to boot in it */
    bool esp;  /* an EFI system partition */
    bool gpt;
};
void partitions_look(const struct source *s, struct partitions *p);
