// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_ssh.c - vmctl ssh: the system's ssh into a guest, by a port forward that is made if there is none. */
#include "core-vmm/vmctl/verbs.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { SSH_PORT = 22 };

/* "me@demo": ssh's user, the machine's name. */
static const char *machine_part(const char *given, char **user)
{
    const char *at = strrchr(given, '@');
    *user = at ? g_strndup(given, at - given) : NULL;
    return at ? at + 1 : given;
}

/* The key that ssh remembers belongs to the machine, not to the port that happens to lead there. */
static int become_ssh(const char *machine, const char *user, uint16_t port, char **more)
{
    g_autoptr(GPtrArray) a = g_ptr_array_new();
    g_autofree char *number = g_strdup_printf("%u", port),
                    *alias = g_strdup_printf("HostKeyAlias=terrarium-%s", machine);
    for (char *space; (space = strchr(alias, ' '));)
        *space = '_';
    char *fixed[] = {"ssh", "-p", number, "-o", alias, "-o", "CheckHostIP=no"};
    for (unsigned i = 0; i < G_N_ELEMENTS(fixed); i++)
        g_ptr_array_add(a, fixed[i]);
    if (user) {
        g_ptr_array_add(a, "-l");
        g_ptr_array_add(a, (char *)user);
    }
    g_ptr_array_add(a, "127.0.0.1");
    for (; *more; more++)
        g_ptr_array_add(a, *more);
    g_ptr_array_add(a, NULL);
    execvp("ssh", (char **)a->pdata);
    return fail(EXIT_CODE_HOST, "ssh cannot be started: %s", g_strerror(errno));
}

static int ssh(const struct verb *v, int argc, char **argv)
{
    const GOptionEntry entries[] = {{NULL}};
    g_autoptr(GError) error = NULL;
    g_autofree char *user = NULL;
    int code;
    if (argc < 2 || *argv[1] == '-') {
        verb_options(v, entries, &argc, &argv, 1, 1, &code);
        return code;
    }
    g_autofree char *machine = machine_resolve(machine_part(argv[1], &user), &code);
    if (!machine)
        return code;
    uint16_t port = network_forward_to(machine, SSH_PORT, &error);
    return port ? become_ssh(machine, user, port, argv + 2) : fail_error(error);
}

const struct verb verb_ssh = {"ssh", "[USER@]NAME [SSH-ARGUMENT...]", "log in to a guest with the system's ssh",
                              "  vmctl ssh root@demo\n  vmctl ssh demo uname -a", ssh};
