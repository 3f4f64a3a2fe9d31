// SPDX-License-Identifier: GPL-2.0-or-later
/* efi_store.h - the variables in OVMF's variable store, as its file has them while the machine stands still.  What is in the
 * file may be a guest's: whoever reads one does so in a fence. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define EFI_GUID_BYTES 16
extern const uint8_t efi_global_guid[EFI_GUID_BYTES];   /* of PK and KEK */
extern const uint8_t efi_security_guid[EFI_GUID_BYTES]; /* of db and dbx */

struct efi_variable {    /* data lies in the store */
    const uint8_t *name; /* UTF-16, little-endian */
    const uint8_t *guid, *data;
    uint32_t name_bytes, bytes, attributes, header; /* header: where it begins */
};
/* The next one that counts; *at: 0 at first.  False: there is no other. */
bool efi_store_next(const uint8_t *flash, size_t bytes, uint32_t *at, struct efi_variable *out);
/* name: ASCII. */
bool efi_store_find(const uint8_t *flash, size_t bytes, const char *name, const uint8_t *guid,
                    struct efi_variable *out);
/* Appends data to a variable that is there: with its attributes and time, in place of the old one. */
bool efi_store_append(uint8_t *flash, size_t bytes, const char *name, const uint8_t *guid, const uint8_t *data,
                      uint32_t n, GError **error);
