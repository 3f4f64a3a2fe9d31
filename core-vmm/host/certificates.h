// SPDX-License-Identifier: GPL-2.0-or-later
/* certificates.h - X.509 certificates in files, and in the signature lists of UEFI variables. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A file of one certificate, DER or PEM; NULL: an error that names path. */
GBytes *certificate_load(const char *path, GError **error);
/* The certificate of that SHA-1 digest (hexadecimal) in whatever a file has: PEM, DER, the signature of a program.  NULL: none. */
GBytes *certificate_search(const char *path, const char *digest);
/* Whom it is for, by its common name; g_free, NULL: it cannot be told. */
char *certificate_name(const uint8_t *der, size_t n);
/* A signature list with it (UEFI specification 2.10, 32.4.1); g_byte_array_unref. */
GByteArray *certificate_list(GBytes *certificate);
/* What a variable made of such lists has: each has as many signatures of one size as there is room for. */
struct signatures {
    const uint8_t *at, *end; /* lists that were not looked at yet */
    const uint8_t *next;     /* in the present one, ... */
    uint32_t each;           /* ... bytes, with the owner ... */
    unsigned certificates;   /* ... and how many are left, if they are X.509 */
    unsigned others;         /* seen in all: digests of programs, bare keys */
};
struct signatures signatures_of(const uint8_t *lists, size_t bytes);
bool certificate_next(struct signatures *s, const uint8_t **der, size_t *n);
