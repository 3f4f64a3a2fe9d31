// SPDX-License-Identifier: GPL-2.0-or-later
/* firmware.h - which firmware a machine has, and the file in which its UEFI keeps its variables.
 *
 * UEFI is OVMF in its layout of 4 MiB: the variable store (FFC00000h) and then the code, up to 4 GiB.  The code is the
 * distribution's, the store is a file of the machine's folder that is made from the distribution's empty one. */
#pragma once
#include "core-vmm/api/config.h"

#define FIRMWARE_VARS_FILE  "vars.fd" /* in a machine's folder */
#define FIRMWARE_VARS_BYTES 0x84000u
#define FIRMWARE_CODE_BYTES 0x37c000u

struct firmware_choice {
    char *image;    /* the code */
    bool variables; /* it keeps them in the machine's folder */
    bool secure;    /* what is started must be signed */
};
/* By [machine] firmware; looks at no file's contents.  The error says which package is missing. */
bool firmware_choose(const struct config *machine, struct firmware_choice *out, GError **error);
void firmware_choice_clear(struct firmware_choice *f);
/* Makes the file of variables if the machine needs one and has none; looks at no more of one that is there than its size. */
bool firmware_vars_prepare(const char *folder, const struct firmware_choice *f, GError **error);
/* A new file of variables takes the place of the one that is there: for Secure Boot one with the distribution's keys, those of
 * Microsoft's certificates of 2023 that are found on this host, and those of enrol.  The machine stands still. */
struct firmware_enrol {
    char **kek, **db;   /* files of certificates; NULL: none */
    GPtrArray *missing; /* takes the names of certificates of 2023 that were not found; NULL: nobody asks */
};
bool firmware_vars_reset(const char *folder, const struct firmware_choice *f, const struct firmware_enrol *enrol,
                         GError **error);
/* Is it a UEFI variable store of that size?  path: for the message. */
bool firmware_vars_check(const uint8_t *data, size_t bytes, const char *path, GError **error);
/* Does it hold a platform key, without which Secure Boot is off? */
bool firmware_vars_keyed(const uint8_t *data, size_t bytes);
/* Is it off by OVMF's own switch, which its setup has, whatever keys there are? */
bool firmware_vars_switched_off(const uint8_t *data, size_t bytes);
/* Does the image begin as UEFI firmware does? */
bool firmware_is_uefi(const uint8_t *image, size_t bytes);
