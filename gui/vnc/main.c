// SPDX-License-Identifier: GPL-2.0-or-later
/* main.c - terrarium-vnc: see vnc.h.  It is started by a keeper (core-vmm/outer) with
 *
 *   3 its settings    4 its control socket, listening    5 its log    6... the sockets where VNC clients are met, listening
 *
 * and closes its fence before it hears a byte from any of them: then it can open nothing and connect to nothing, only accept.
 * Settings, a key file:
 *
 *   [vnc]
 *   machine=NAME  control=PATH of the VM's control socket  where=:1 (port 5901)
 *   password=...  view-only=true|false  exclusive=true|false  clients=8  keyboard=us */
#include "core-vmm/fence/fence.h"
#include "core-vmm/outer/end_log.h"
#include "core-vmm/outer/end_settings.h"
#include "core-vmm/outer/outer.h"
#include "gui/vnc/vnc.h"
#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FD_SETTINGS = OUTER_SOCKET, FD_CONTROL, FD_LOG, FD_LISTENING };

void vnc_keep(struct vnc *v)
{
    g_key_file_set_boolean(v->settings, "vnc", "view-only", v->view_only);
    g_key_file_set_boolean(v->settings, "vnc", "exclusive", v->exclusive);
    if (v->password)
        g_key_file_set_string(v->settings, "vnc", "password", v->password);
    else
        g_key_file_remove_key(v->settings, "vnc", "password", NULL);
    end_settings_write(FD_SETTINGS, v->settings);
}

void vnc_end(struct vnc *v, int exit_code)
{
    v->exit_code = exit_code;
    g_main_loop_quit(v->loop);
}

static struct keymap *keyboard(GKeyFile *settings)
{
    g_autofree char *layout = g_key_file_get_string(settings, "vnc", "keyboard", NULL);
    struct keymap *k = layout ? keymap_new(layout) : NULL;
    if (layout && !k)
        g_warning("there is no keyboard layout \"%s\" here; keys count as on a US keyboard", layout);
    return k ? k : keymap_new("us");
}

static bool read_settings(struct vnc *v, GError **error)
{
    v->settings = end_settings_read(FD_SETTINGS, error);
    if (!v->settings)
        return false;
    v->name = g_key_file_get_string(v->settings, "vnc", "machine", NULL);
    v->where = g_key_file_get_string(v->settings, "vnc", "where", NULL);
    v->password = g_key_file_get_string(v->settings, "vnc", "password", NULL);
    v->view_only = g_key_file_get_boolean(v->settings, "vnc", "view-only", NULL);
    v->exclusive = g_key_file_get_boolean(v->settings, "vnc", "exclusive", NULL);
    v->most = CLAMP(g_key_file_get_integer(v->settings, "vnc", "clients", NULL), 1, VNC_CLIENTS_MOST);
    v->keymap = keyboard(v->settings);
    if (v->name && v->where && v->keymap)
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                "the settings lack something, or no keyboard layouts are installed "
                "(xkb-data)");
    return false;
}

static bool fence(GError **error)
{
    rfbEncryptBytes((unsigned char[16]){0},
                    (char[9]){0}); /* the library of ciphers reads files when it is first used */
    return fence_alone(error) && fence_files_close(fence_files_new(), error) && fence_calls_close(FENCE_VNC, error);
}

/* NULL: the VM process has gone, or nearly. */
static struct client *connect_machine(struct vnc *v, GError **error)
{
    g_autofree char *path = g_key_file_get_string(v->settings, "vnc", "control", NULL);
    return client_connect_socket(path ? path : "", error);
}

static gboolean on_connection(int listening, GIOCondition condition, gpointer data)
{
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        gate_new(data, fd);
    else if (errno == EMFILE)
        g_usleep(G_USEC_PER_SEC / 100); /* some will go */
    return G_SOURCE_CONTINUE;
}

static void listen_to_world(struct vnc *v)
{
    int listens = 0;
    socklen_t n = sizeof listens;
    for (int fd = FD_LISTENING; fd < FD_LISTENING + VNC_LISTENING_MOST; fd++)
        if (!getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) && listens &&
            g_unix_set_fd_nonblocking(fd, TRUE, NULL))
            g_unix_fd_add(fd, G_IO_IN, on_connection, v);
}

static gboolean on_signal(gpointer data)
{
    vnc_end(data, 0);
    return G_SOURCE_CONTINUE;
}

static void run(struct vnc *v, struct client *c)
{
    v->loop = g_main_loop_new(NULL, FALSE);
    v->gates = g_ptr_array_new_with_free_func(gate_free);
    viewers_init(v);
    g_unix_signal_add(SIGTERM, on_signal, v);
    v->machine = machine_link_new(v, c);
    v->served = (struct server_options){.name = v->name, .started_us = g_get_monotonic_time(), .ctx = v};
    v->server = server_new(&v->served, FD_CONTROL, NULL);
    listen_to_world(v);
    g_main_loop_run(v->loop);
    server_drain(v->server);
    server_free(v->server);
    g_ptr_array_unref(v->gates);
    machine_link_free(v->machine);
    picture_unref(v->picture);
    viewers_clear(v);
    g_main_loop_unref(v->loop);
}

static void clear(struct vnc *v)
{
    keymap_free(v->keymap);
    g_free(v->name);
    g_free(v->where);
    g_free(v->password);
    g_clear_pointer(&v->settings, g_key_file_unref);
}

int main(void)
{
    struct vnc v = {0};
    g_autoptr(GError) error = NULL;
    prctl(PR_SET_NAME, "terrarium-vnc");
    signal(SIGPIPE, SIG_IGN);
    end_log_start(FD_LOG);
    struct client *c = read_settings(&v, &error) ? connect_machine(&v, &error) : NULL;
    if (!c || !fence(&error)) {
        g_critical("%s", error->message);
        clear(&v);
        return EXIT_FAILURE;
    }
    g_message("VNC of %s at %s, process %d", v.name, v.where, (int)getpid());
    run(&v, c);
    g_message("VNC ends%s", v.exit_code ? ", to begin again" : "");
    clear(&v);
    return v.exit_code;
}
