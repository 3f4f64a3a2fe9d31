// SPDX-License-Identifier: GPL-2.0-or-later
/* error.h - what can go wrong with a disk image, as GError.  vmctl turns the codes into its exit codes. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define DISK_ERROR disk_error_quark()
enum disk_error {
    DISK_ERROR_IO,          /* the host's file system said no; the message holds strerror */
    DISK_ERROR_USAGE,       /* a wrong option or size */
    DISK_ERROR_NOT_FOUND,   /* file, parent or snapshot */
    DISK_ERROR_EXISTS,      /* will not overwrite */
    DISK_ERROR_PERMISSION,  /* host permissions, or opened read-only */
    DISK_ERROR_NO_SPACE,    /* host disk full, or a quota */
    DISK_ERROR_LOCKED,      /* somebody else has the image open */
    DISK_ERROR_UNSUPPORTED, /* the format can do that, we cannot (yet) */
    DISK_ERROR_CORRUPT,     /* not this format, or damaged */
    DISK_ERROR_CANCELLED,
};
GQuark disk_error_quark(void);
/* Sets *error and returns false, so that a caller can return it. */
bool disk_fail(GError **error, enum disk_error code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The same for a host error number: "FORMAT...: No such file or directory", with the code that fits. */
bool disk_fail_errno(GError **error, int number, const char *format, ...) G_GNUC_PRINTF(3, 4);
