// SPDX-License-Identifier: GPL-2.0-or-later
/* error.c - the domain of errors about images, with the file's name in front. */
#include "disk-formats/image/error.h"
#include <errno.h>

G_DEFINE_QUARK(terrarium - disk - error, disk_error)

bool disk_fail(GError **error, enum disk_error code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error_literal(error, DISK_ERROR, code, text);
    return false;
}

static enum disk_error code_of_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR: return DISK_ERROR_NOT_FOUND;
    case EEXIST: return DISK_ERROR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS: return DISK_ERROR_PERMISSION;
    case ENOSPC:
    case EDQUOT: return DISK_ERROR_NO_SPACE;
    case EAGAIN:
    case EBUSY: return DISK_ERROR_LOCKED;
    case ENOTSUP: return DISK_ERROR_UNSUPPORTED;
    case EBADMSG: return DISK_ERROR_CORRUPT;
    case ECANCELED: return DISK_ERROR_CANCELLED;
    default: return DISK_ERROR_IO;
    }
}

bool disk_fail_errno(GError **error, int number, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    /* EBADMSG is how a format's read and write callbacks report damage. */
    const char *why = number == EBADMSG ? "the image is damaged" : g_strerror(number);
    g_set_error(error, DISK_ERROR, code_of_errno(number), "%s: %s", text, why);
    return false;
}
