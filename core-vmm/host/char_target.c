// SPDX-License-Identifier: GPL-2.0-or-later
/* char_target.c - what may stand for a serial or parallel port's far end in machine.ini. */
#include "core-vmm/host/char_target.h"
#include <stddef.h>
#include <string.h>

static const struct {
    const char *word; /* with a colon: a path follows */
    enum char_kind kind;
} kinds[] = {
    {"none", CHAR_NONE}, {"stdio", CHAR_STDIO}, {"pty", CHAR_PTY}, {"file:", CHAR_FILE}, {"socket:", CHAR_SOCKET},
};

bool char_target_parse(const char *target, enum char_kind *kind, const char **path)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i].word);
        bool takes_path = kinds[i].word[n - 1] == ':';
        if (strncmp(target, kinds[i].word, n) || !target[n] == takes_path)
            continue;
        *kind = kinds[i].kind;
        *path = takes_path ? target + n : NULL;
        return true;
    }
    return false;
}

bool char_target_valid(const char *target)
{
    enum char_kind kind;
    const char *path;
    return char_target_parse(target, &kind, &path);
}
