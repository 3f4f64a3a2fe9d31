// SPDX-License-Identifier: GPL-2.0-or-later
/* foreign.h - machines that come from elsewhere, or go there: for vmctl, the manager and tests.
 *
 * What others have written is read in fenced children only, so these fork (disk_look.h).  Progress and cancelling as in
 * machines.h.  docs/import.md says what is understood. */
#pragma once
#include "core-vmm/foreign/found.h"
#include "core-vmm/host/machines.h"

/* ---- import.c ---- */
/* What would come of a file (an OVA, OVF, .vmx, .vbox, .utm, a domain of libvirt, a .conf of quickemu); all checksums are
 * verified.  plan_free; NULL: an error. */
struct plan *import_look(const char *path, struct machine_job *job, GError **error);
struct import_how {
    const char *name; /* NULL: as it is called there */
    char **sets;      /* "section.key=value", beside and instead of what comes of the plan; or NULL */
    bool in_place;    /* disks are used where they are; else copied to the machine */
    bool outside;     /* what it names may lie outside of its folder */
};
/* *name: what it is called, g_free.  What could not be done as planned is added to the plan's lists. */
bool import_make(const char *path, struct plan *plan, const struct import_how *how, struct machine_job *job,
                 char **name, GError **error);

/* ---- export.c: of a machine that stands still ---- */
enum export_format { EXPORT_OVF /* an OVA if the file's name says so */, EXPORT_LIBVIRT };
/* A new file, with its images in it (OVA) or beside it (OVF), complete or not at all.  replace: files that are there go when the
 * new ones are complete, but none that is a disk of a machine.  remarks: of char *, what others will not have of it. */
bool export_machine(const char *name, const char *path, enum export_format format, bool replace,
                    struct machine_job *job, GPtrArray *remarks, GError **error);
