// SPDX-License-Identifier: GPL-2.0-or-later
/* named.c - see named.h.  The folder of all networks is opened by whoever starts this process; in it is one for each kind, so
 * that a name that is used for two kinds does not join what should be apart. */
#include "network-modes/named.h"
#include "network-modes/process.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sys/stat.h>
#include <unistd.h>

bool named_read(struct net_port *p, const struct config *c, int kind, struct named *out, GError **error)
{
    g_autofree char *name = config_string(c, "network"), *group = g_strconcat("network:", name, NULL);
    bool good = network_name_check(name, error) && network_def_read(c->file, group, name, kind, &out->def, error);
    out->name = good ? g_steal_pointer(&name) : NULL;
    return good;
}

void named_clear(struct named *n)
{
    g_clear_pointer(&n->name, g_free);
}

int named_folder(struct net_port *p, const struct named *n, GError **error)
{
    g_autofree char *path = g_build_filename(network_kinds[n->def.kind], n->name, NULL);
    int all = process_fd(p->process, "networks"), fd = -1, e = ENOENT;
    if (all >= 0) {
        mkdirat(all, network_kinds[n->def.kind], 0700);
        mkdirat(all, path, 0700);
        fd = openat(all, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        e = errno;
    }
    if (fd < 0)
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "the folder of the network %s: %s", n->name,
                    g_strerror(e));
    return fd;
}
