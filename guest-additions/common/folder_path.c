// SPDX-License-Identifier: GPL-2.0-or-later
/* folder_path.c - see folder_line.h. */
#include "guest-additions/common/folder_line.h"
#include <string.h>

bool folder_name_good(const char *name, size_t bytes)
{
    bool dots = (bytes == 1 && name[0] == '.') || (bytes == 2 && name[0] == '.' && name[1] == '.');
    return bytes && bytes <= FOLDER_NAME_MOST && !dots && !memchr(name, 0, bytes) && !memchr(name, '/', bytes);
}

bool folder_path_good(const char *path, size_t bytes)
{
    if (!bytes)
        return true;
    if (bytes > FOLDER_PATH_MOST - 1)
        return false;
    for (const char *end = path + bytes; path <= end;) {
        const char *slash = memchr(path, '/', end - path);
        size_t n = (slash ? slash : end) - path;
        if (!folder_name_good(path, n))
            return false;
        path += n + 1;
    }
    return true;
}
