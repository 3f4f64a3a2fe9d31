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
/* The next certificate of a variable made of such lists; *at: 0 at first. */
bool certificate_next(const uint8_t *lists, size_t bytes, size_t *at, const uint8_t **der, size_t *n);
