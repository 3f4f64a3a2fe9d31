// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_firmware.h - what firmware a machine has and what its UEFI remembers; new variables for it. */
#pragma once
#include "core-vmm/host/firmware.h"

struct firmware_list {
    char **names;    /* whose certificates it has; NULL: nothing is known */
    unsigned others; /* what is in it besides: digests of programs, bare keys */
};
struct machine_firmware {
    char *kind, *image; /* [machine] firmware; the file */
    bool variables;     /* UEFI keeps them in the machine's folder ... */
    bool there;         /* ... and has done so: it was started once */
    bool keyed;         /* there is a platform key ... */
    bool secure_boot;   /* ... and Secure Boot was not switched off in OVMF's setup */
    struct firmware_list pk, kek, db;
    unsigned count; /* of all variables */
};
/* Looks into the file of variables: forks.  NULL: an error. */
struct machine_firmware *machines_firmware(const char *name, GError **error);
void machine_firmware_free(struct machine_firmware *f);
/* All variables anew, by the whole name and not while it runs or is suspended.  enrol NULL: as at its first start; else the
 * machine must have firmware = uefi-secure. */
bool machines_firmware_reset(const char *name, const struct firmware_enrol *enrol, GError **error);
