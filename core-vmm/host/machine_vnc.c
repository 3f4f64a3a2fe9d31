// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_vnc.c - see machine_vnc.h. */
#include "core-vmm/host/machine_vnc.h"
#include "core-vmm/api/config.h"
#include "core-vmm/base/vnc_listen.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/outer/end_settings.h"
#include "core-vmm/outer/outer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { AGAIN_MS = 1000, PASSWORD_MOST = 8, QUEUE = 32, GONE_US = 3000000, LOOK_US = 20000 };

/* ---- the password ---- */

bool machine_vnc_password(const char *folder, char **password, GError **error)
{
    g_autofree char *path = g_build_filename(folder, VNC_PASSWORD_FILE, NULL), *text = NULL;
    GError *why = NULL;
    *password = NULL;
    if (!g_file_get_contents(path, &text, NULL, &why)) {
        bool absent = g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT);
        if (!absent)
            g_propagate_error(error, g_steal_pointer(&why));
        g_clear_error(&why);
        return absent;
    }
    if (*g_strchomp(text) && strlen(text) <= PASSWORD_MOST) {
        *password = g_steal_pointer(&text);
        return true;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                "%s: this is no password of VNC (1 to %d characters); vmctl vnc NAME password writes another", path,
                PASSWORD_MOST);
    return false;
}

bool machine_vnc_set_password(const char *folder, const char *password, GError **error)
{
    g_autofree char *path = g_build_filename(folder, VNC_PASSWORD_FILE, NULL);
    if (!password || !*password)
        return !unlink(path) || errno == ENOENT || path_failed(path, error);
    if (strlen(password) > PASSWORD_MOST) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "a password of VNC has at most %d characters: clients send no more of it, and it would seem safer "
                    "than it is",
                    PASSWORD_MOST);
        return false;
    }
    for (const char *p = password; *p; p++)
        if (*p < ' ' || *p > '~') {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                        "a password of VNC has letters, digits and signs of ASCII only: others differ between clients");
            return false;
        }
    return file_replace(path, password, strlen(password), error) && (!chmod(path, 0600) || path_failed(path, error));
}

/* ---- what it listens on ---- */

static bool add(struct machine_vnc *v, int fd)
{
    if (fd >= 0)
        v->fd[v->count++] = fd;
    return fd >= 0;
}

/* -1, errno says why. */
static int listen_on(const struct sockaddr *a, socklen_t n)
{
    int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), yes = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (a->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    if (!bind(fd, a, n) && !listen(fd, QUEUE))
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

/* A host without IPv6 has no ::1; whoever named it hears of that.  0, or errno. */
static int listen_tcp(struct machine_vnc *v, const struct vnc_listen *l)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(l->port)};
    struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_port = htons(l->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    unsigned before = v->count;
    memcpy(&four.sin_addr, l->host, sizeof l->host);
    if (l->v4 && !add(v, listen_on((struct sockaddr *)&four, sizeof four)))
        return errno;
    if (!l->v6 || add(v, listen_on((struct sockaddr *)&six, sizeof six)))
        return 0;
    int e = errno;
    if (l->v4 && e != EADDRINUSE)
        return 0;
    while (v->count > before)
        close(v->fd[--v->count]);
    return e;
}

static bool tcp_failed(uint16_t port, int e, GError **error)
{
    g_autofree char *what = vnc_listen_port(port);
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "VNC cannot listen at %s: %s%s", what, g_strerror(e),
                e == EADDRINUSE ? "; \"auto\" takes the first that is free" : "");
    return false;
}

static bool listen_auto(struct machine_vnc *v, GError **error)
{
    struct vnc_listen l = {.kind = VNC_LISTEN_TCP, .v4 = true, .v6 = true, .host = {127, 0, 0, 1}};
    int e = EADDRINUSE;
    for (l.port = VNC_PORT; l.port < VNC_PORT + VNC_DISPLAYS && e == EADDRINUSE; l.port++)
        e = listen_tcp(v, &l);
    l.port--;
    v->where = vnc_listen_port(l.port);
    return !e || tcp_failed(l.port, e, error);
}

static bool listen_all(struct machine_vnc *v, const char *text, const char *runtime, GError **error)
{
    struct vnc_listen l;
    if (!vnc_listen_parse(text, &l, error))
        return false;
    if (l.kind == VNC_LISTEN_AUTO)
        return listen_auto(v, error);
    if (l.kind == VNC_LISTEN_UNIX) {
        v->where = g_build_filename(runtime, PATHS_VNC_SCREEN, NULL);
        return add(v, socket_listen(v->where, error));
    }
    v->where = vnc_listen_port(l.port);
    int e = listen_tcp(v, &l);
    return !e || tcp_failed(l.port, e, error);
}

/* ---- what it gets ---- */

static bool copy_text(GKeyFile *to, const struct config *c, const char *key)
{
    g_autofree char *value = config_string(c, key);
    if (value)
        g_key_file_set_string(to, "vnc", key, value);
    return value != NULL;
}

static GKeyFile *settings_of(const struct config *c, const char *folder, const char *runtime, const char *where,
                             GError **error)
{
    g_autofree char *password = NULL;
    if (!machine_vnc_password(folder, &password, error))
        return NULL;
    GKeyFile *s = g_key_file_new();
    g_autofree char *machine = g_path_get_basename(folder), *control = g_build_filename(runtime, "control", NULL);
    g_autofree char *sharing = config_string(c, "sharing");
    bool view_only = false;
    config_flag(c, "view-only", &view_only, NULL);
    g_key_file_set_string(s, "vnc", "machine", machine);
    g_key_file_set_string(s, "vnc", "control", control);
    g_key_file_set_string(s, "vnc", "where", where);
    g_key_file_set_boolean(s, "vnc", "view-only", view_only);
    g_key_file_set_boolean(s, "vnc", "exclusive", !g_strcmp0(sharing, "exclusive"));
    copy_text(s, c, "clients");
    copy_text(s, c, "keyboard");
    if (password)
        g_key_file_set_string(s, "vnc", "password", password);
    return s;
}

static int open_log(const char *folder, GError **error)
{
    g_autofree char *path = paths_vnc_log(folder);
    return log_begin(path, error);
}

/* The server of a VM process that has just gone goes a moment after it, which may be the next start's; with it its keeper,
 * which has the port. */
static void wait_for_old(const char *socket)
{
    for (unsigned us = 0; us < GONE_US; us += LOOK_US) {
        int fd = socket_connect(socket, NULL);
        if (fd < 0)
            return;
        close(fd);
        g_usleep(LOOK_US);
    }
}

/* The process' descriptors in the order of gui/vnc/main.c: settings, control, log, and what it listens on. */
static bool open_all(const struct config *c, const char *folder, const char *listen, struct machine_vnc *v,
                     GError **error)
{
    g_autofree char *machine = g_path_get_basename(folder), *runtime = paths_runtime_of(machine, error);
    g_autofree char *socket = runtime ? g_build_filename(runtime, PATHS_VNC, NULL) : NULL;
    g_autofree char *said = listen ? g_strdup(listen) : config_string(c, "listen");
    struct machine_vnc listening = {.count = 0};
    if (socket)
        wait_for_old(socket);
    bool good = runtime && listen_all(&listening, said, runtime, error);
    g_autoptr(GKeyFile) settings = good ? settings_of(c, folder, runtime, listening.where, error) : NULL;
    v->where = listening.where;
    good = settings && add(v, end_settings_new(settings, error)) && add(v, socket_listen(socket, error)) &&
           add(v, open_log(folder, error));
    for (unsigned i = 0; i < listening.count; i++)
        add(v, listening.fd[i]); /* also on failure: it is closed with the others */
    return good;
}

static bool wanted(const struct config *c)
{
    bool enabled = true;
    return g_key_file_has_group(c->file, c->section) && config_flag(c, "enabled", &enabled, NULL) && enabled;
}

bool machine_vnc_open(const char *folder, const char *listen, bool always, struct machine_vnc *v, GError **error)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    g_autoptr(GKeyFile) file = schema_load(ini, NULL);
    const struct config c = {file, ini, "vnc"};
    *v = (struct machine_vnc){.count = 0};
    if (!file || (!always && !wanted(&c)))
        return true; /* the VM process says what is wrong with the file */
    if (open_all(&c, folder, listen, v, error))
        return true;
    machine_vnc_close(v);
    return false;
}

void machine_vnc_close(struct machine_vnc *v)
{
    while (v->count)
        close(v->fd[--v->count]);
    g_clear_pointer(&v->where, g_free);
}

/* ---- starting ---- */

bool machine_vnc_start(const struct machine_vnc *v, pid_t vm, GError **error)
{
    g_autofree char *program = program_find("terrarium-vnc");
    if (!program) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM,
                    "terrarium-vnc is missing: it was looked for beside vmctl and in PATH");
        return false;
    }
    const char *const argv[] = {program, NULL};
    const struct outer_end end = {"vnc", argv, 0, v->fd, v->count, AGAIN_MS};
    int pidfd = syscall(SYS_pidfd_open, vm, 0);
    if (pidfd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "the VM process has gone");
        return false;
    }
    bool good = outer_start_beside(&end, pidfd, error);
    close(pidfd);
    return good;
}

bool machine_vnc_begin(const char *name, const char *listen, GError **error)
{
    g_autofree char *folder = machines_folder(name);
    pid_t vm = machine_lock_holder(folder);
    struct machine_vnc v;
    if (vm <= 0)
        return machines_not_running(name, error);
    bool good = machine_vnc_open(folder, listen, true, &v, error) && machine_vnc_start(&v, vm, error);
    machine_vnc_close(&v);
    return good;
}
