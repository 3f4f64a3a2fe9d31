// SPDX-License-Identifier: GPL-2.0-or-later
/* settings.c - what the starter wrote for the network process: the cards' sections of machine.ini, and
 *
 *   [network]
 *   machine=NAME
 *   [descriptors]
 *   nic1.tftp=6         which descriptor is what
 *
 * They lie in memory (a memfd) that whoever starts this process again after its end passes on: so what is changed while it
 * runs is written back there. */
#include "network-modes/process.h"
#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTINGS_MOST = 1 << 20 };

bool settings_read(struct net_process *p, GError **error)
{
    struct stat st;
    if (fstat(p->settings_fd, &st) || st.st_size > SETTINGS_MOST) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the settings of the network process cannot be read");
        return false;
    }
    g_autofree char *text = g_malloc(st.st_size + 1);
    ssize_t n = pread(p->settings_fd, text, st.st_size, 0);
    p->settings = g_key_file_new();
    if (!g_key_file_load_from_data(p->settings, text, n < 0 ? 0 : n, G_KEY_FILE_NONE, error))
        return false;
    p->machine = g_key_file_get_string(p->settings, "network", "machine", error);
    return p->machine != NULL;
}

void settings_keep(struct net_process *p)
{
    gsize n;
    g_autofree char *text = g_key_file_to_data(p->settings, &n, NULL);
    if (pwrite(p->settings_fd, text, n, 0) != (ssize_t)n || ftruncate(p->settings_fd, n))
        g_warning("what has changed will not outlast this process: %s", g_strerror(errno));
}
