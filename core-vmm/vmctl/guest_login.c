// SPDX-License-Identifier: GPL-2.0-or-later
/* guest_login.c - see guest_login.h. */
#include "core-vmm/vmctl/guest_login.h"
#include <string.h>

struct guest *guest_login(const char *machine, const struct guest_options *o, int *code)
{
    g_autoptr(GError) error = NULL;
    if (!o->user) {
        *code = fail(EXIT_CODE_USAGE, "which user of the guest?  --user says it");
        return NULL;
    }
    g_autofree char *prompt = g_strdup_printf("Password of %s in %s (it is not shown)", o->user, machine);
    char *password = password_read(o->file, prompt, code);
    if (!password)
        return NULL;
    const struct guest_login login = {o->user, password};
    struct guest *g = guest_connect(machine, &login, &error);
    explicit_bzero(password, strlen(password));
    g_free(password);
    if (!g)
        *code = fail_error(error);
    return g;
}

void guest_options_clear(struct guest_options *o)
{
    g_free(o->user);
    g_free(o->file);
}
