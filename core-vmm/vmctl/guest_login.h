// SPDX-License-Identifier: GPL-2.0-or-later
/* guest_login.h - who a verb is in the guest: its options, and the connection. */
#pragma once
#include "core-vmm/control/client_guest.h"
#include "core-vmm/vmctl/vmctl.h"

struct guest_options {
    char *user, *file;
};
#define GUEST_OPTIONS(o)                                                                                               \
    {"user", 'u', 0, G_OPTION_ARG_STRING, &(o).user, "As which user of the guest", "USER"},                            \
    {                                                                                                                  \
        "password-file", 0, 0, G_OPTION_ARG_FILENAME, &(o).file,                                                       \
            "Whose password is in the first line (-: standard input; else it is asked for)", "FILE"                    \
    }
/* NULL: *code, all said. */
struct guest *guest_login(const char *machine, const struct guest_options *o, int *code);
void guest_options_clear(struct guest_options *o);
