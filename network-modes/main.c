// SPDX-License-Identifier: GPL-2.0-or-later
/* main.c - terrarium-net, the network process of one VM: an end of core-vmm/outer, started by the keeper with
 *
 *   3 the pair with the VM process    4 its settings (settings.c)    5 its control socket, listening    6... by the settings
 *
 * It closes its fence before it hears a byte from the VM process or from a network: sockets of the Internet protocols stay, and
 * of files what was opened for it. */
#include "core-vmm/fence/fence.h"
#include "core-vmm/outer/end_log.h"
#include "core-vmm/outer/outer.h"
#include "network-modes/passt_host.h"
#include "network-modes/process.h"
#include "network-modes/resolver.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FD_SETTINGS = OUTER_SOCKET + 1, FD_CONTROL };

/* Folders that were opened for a card may be read; in that of the networks members meet. */
static void allow_descriptors(struct fence_files *f, GKeyFile *settings)
{
    g_auto(GStrv) keys = g_key_file_get_keys(settings, "descriptors", NULL, NULL);
    const unsigned meet = FENCE_READ | FENCE_WRITE | FENCE_MAKE | FENCE_MEET;
    struct stat st;
    for (char **k = keys; k && *k; k++) {
        int fd = g_key_file_get_integer(settings, "descriptors", *k, NULL);
        if (!fstat(fd, &st) && S_ISDIR(st.st_mode))
            fence_allow_fd(f, fd, strcmp(*k, "networks") ? FENCE_READ : meet);
    }
}

static bool fence(struct net_process *p, GError **error)
{
    struct fence_files *f = fence_files_new_online();
    fence_allow_file(f, "/dev/urandom", FENCE_READ);
    allow_descriptors(f, p->settings);
    return fence_files_close(f, error) && fence_calls_close(FENCE_NET, error) && fence_holds(error);
}

/* It can be started from here only, and not every machine is to have one more process. */
static bool wants_passt(GKeyFile *settings)
{
    g_auto(GStrv) sections = g_key_file_get_groups(settings, NULL);
    bool any = false;
    for (char **s = sections; *s && !any; s++) {
        g_autofree char *which = g_key_file_get_string(settings, *s, "nat-backend", NULL);
        any = !g_strcmp0(which, "passt");
    }
    return any;
}

static void start_ports(struct net_process *p)
{
    for (unsigned i = 0; i < NET_WIRE_CARDS; i++) {
        struct net_port *port = &p->port[i];
        g_autofree char *name = g_strdup_printf("nic%u", i + 1);
        if (!g_key_file_has_group(p->settings, name))
            continue;
        *port = (struct net_port){.process = p, .name = g_steal_pointer(&name), .number = i + 1};
        port_start(port);
    }
}

static void run(struct net_process *p)
{
    p->vm = vm_side_new(p);
    start_ports(p);
    p->served = (struct server_options){.name = p->machine, .started_us = g_get_monotonic_time(), .ctx = p};
    p->server = server_new(&p->served, p->listening, NULL);
    process_loop(p);
    for (unsigned i = 0; i < NET_WIRE_CARDS; i++)
        if (p->port[i].name)
            port_stop(&p->port[i]);
    server_drain(p->server);
    server_free(p->server);
    vm_side_free(p->vm);
}

int main(void)
{
    struct net_process p = {.settings_fd = FD_SETTINGS, .wire = OUTER_SOCKET, .listening = FD_CONTROL};
    g_autoptr(GError) error = NULL;
    prctl(PR_SET_NAME, "terrarium-net");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a capture that grows too long fails like one on a full disk */
    p.resolver = resolver_new();
    bool good = settings_read(&p, &error);
    end_log_start(good ? process_fd(&p, "log") : -1);
    g_message("the network process of %s begins, number %d", good ? p.machine : "?", (int)getpid());
    p.passt = good && wants_passt(p.settings) ? passt_host_new() : NULL;
    if (!good || !fence(&p, &error)) {
        g_critical("%s", error->message);
        return EXIT_FAILURE;
    }
    run(&p);
    g_message("it ends with the machine");
    passt_host_free(p.passt);
    resolver_free(p.resolver);
    return EXIT_SUCCESS;
}
