// SPDX-License-Identifier: GPL-2.0-or-later
/* netadm.c - see netadm.h.  What the host's interfaces are is read in /sys/class/net. */
#include "core-vmm/host/netadm.h"
#include "core-vmm/host/machines.h"
#include <errno.h>
#include <gio/gio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define INTERFACES "/sys/class/net"
#define POLICY     "/etc/terrarium/network.conf"
enum { PATIENCE_MS = 120000, ANSWER_BYTES = 1024, NOT_ALLOWED = 126, NOT_ASKED = 127 /* pkexec(1) */ };

/* ---- the host's interfaces ---- */

static bool has(const char *interface, const char *what)
{
    g_autofree char *path = g_build_filename(INTERFACES, interface, what, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static bool is_wireless(const char *interface)
{
    return has(interface, "phy80211") || has(interface, "wireless");
}

/* Those that a card could be plugged into: bridges, and what has hardware behind it and a cable. */
static char *candidates(void)
{
    g_autoptr(GDir) dir = g_dir_open(INTERFACES, 0, NULL);
    GString *s = g_string_new(NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (has(name, "bridge") || (has(name, "device") && !is_wireless(name)))
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", name);
    if (!s->len)
        g_string_append(s, "this host has none");
    return g_string_free(s, FALSE);
}

static bool check_interface(const char *interface, GError **error)
{
    bool sound = interface && *interface && !strchr(interface, '/') && *interface != '.';
    g_autofree char *others = candidates();
    if (!sound || !has(interface, "ifindex"))
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    "bridged needs interface = a bridge or an interface with a cable, of this host (%s)%s%s", others,
                    sound ? ", not " : "", sound ? interface : "");
    else if (is_wireless(interface))
        g_set_error(
            error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
            "%s is a Wi-Fi interface: an access point takes frames only from the one address that has logged in, so "
            "no guest can be a station of that network; use the modes nat or natnetwork, or an interface with a "
            "cable (%s)",
            interface, others);
    else
        return true;
    return false;
}

static char *alias_of(const char *interface)
{
    g_autofree char *path = g_build_filename(INTERFACES, interface, "ifalias", NULL);
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? g_strchomp(text) : NULL;
}

/* The bridge of a host-only network; NULL: there is none.  Its alias is what network-modes/admin/make.c gives it. */
static char *hostonly_bridge(const char *network)
{
    g_autofree char *wanted = g_strdup_printf("Terrarium: host-only network %s of user %u", network, getuid());
    g_autoptr(GDir) dir = g_dir_open(INTERFACES, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *alias = alias_of(name);
        if (has(name, "bridge") && !g_strcmp0(alias, wanted))
            return g_strdup(name);
    }
    return NULL;
}

unsigned netadm_hostonly_ports(const char *network)
{
    g_autofree char *bridge = hostonly_bridge(network);
    g_autofree char *path = bridge ? g_build_filename(INTERFACES, bridge, "brif", NULL) : NULL;
    g_autoptr(GDir) dir = path ? g_dir_open(path, 0, NULL) : NULL;
    unsigned n = 0;
    while (dir && g_dir_read_name(dir))
        n++;
    return n;
}

/* ---- the program ---- */

static bool is_privileged(const char *program)
{
    struct stat st;
    return !geteuid() || getxattr(program, "security.capability", NULL, 0) > 0 ||
           (!stat(program, &st) && st.st_mode & S_ISUID && !st.st_uid);
}

/* argv, with what gives it its privilege before it; NULL: nothing does. */
static char **command_line(const char *const *what, GError **error)
{
    g_autofree char *program = program_find("terrarium-netadm"), *pkexec = g_find_program_in_path("pkexec");
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    if (!program) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM,
                    "terrarium-netadm, which plugs cards into the host's network, is missing: it was looked for beside "
                    "vmctl and in PATH");
        return NULL;
    }
    if (!is_privileged(program) && !pkexec) {
        g_set_error(
            error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
            "a card is plugged into the host's network by terrarium-netadm, which has no privilege for that yet; as "
            "root, once: setcap cap_net_admin+ep %s; mkdir -p /etc/terrarium; echo \"%s %s %s\" >> " POLICY,
            program, what[1], what[2], g_get_user_name());
        return NULL;
    }
    if (!is_privileged(program))
        g_ptr_array_add(argv, g_steal_pointer(&pkexec));
    g_ptr_array_add(argv, g_steal_pointer(&program));
    for (; *what; what++)
        g_ptr_array_add(argv, g_strdup(*what));
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_steal(argv, NULL);
}

/* The answer's text, "" if none came; *fd: the descriptor with it, or -1. */
static char *receive(int socket, int *fd)
{
    char text[ANSWER_BYTES + 1] = {0};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof *fd)];
    } control = {0};
    struct iovec iov = {text, ANSWER_BYTES};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct pollfd p = {socket, POLLIN, 0};
    *fd = -1;
    if (poll(&p, 1, PATIENCE_MS) > 0 && recvmsg(socket, &m, MSG_CMSG_CLOEXEC) > 0) {
        const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof *fd))
            memcpy(fd, CMSG_DATA(c), sizeof *fd);
    }
    return g_strdup(text);
}

static void no_answer(int status, GError **error)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    g_set_error(
        error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
        code == NOT_ALLOWED || code == NOT_ASKED
            ? "polkit did not let terrarium-netadm plug the card into the host's network; to do without it, as root: "
              "setcap cap_net_admin+ep on that program, and a line in " POLICY
            : "terrarium-netadm gave no answer");
}

static bool judge(char *text, int status, struct netadm_tap *out, GError **error)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    if (g_str_has_prefix(text, "ok ") && (!out || out->fd >= 0))
        return true;
    if (g_str_has_prefix(valid, "error "))
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, valid + strlen("error "));
    else
        no_answer(status, error);
    return false;
}

/* out: NULL if no descriptor is expected. */
static bool run(const char *const *what, struct netadm_tap *out, GError **error)
{
    g_auto(GStrv) argv = command_line(what, error);
    int pair[2], status = 0, fd = -1;
    GPid pid;
    if (!argv)
        return false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "a socket pair: %s", g_strerror(errno));
        return false;
    }
    bool good = g_spawn_async_with_pipes_and_fds(
        NULL, (const char *const *)argv, NULL,
        G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, pair[1], -1,
        -1, NULL, NULL, 0, &pid, NULL, NULL, NULL, error);
    close(pair[1]);
    if (good) {
        g_autofree char *text = receive(pair[0], &fd);
        if (!*text) /* it has gone, or is not to go on */
            kill(pid, SIGTERM);
        waitpid(pid, &status, 0);
        struct netadm_tap got = {fd, pair[0]};
        good = judge(text, status, out ? &got : NULL, error);
        if (good && out)
            *out = got;
    }
    if (!good || !out) {
        if (fd >= 0)
            close(fd);
        close(pair[0]);
    }
    return good;
}

bool netadm_bridged(const char *interface, const uint8_t mac[6], struct netadm_tap *out, GError **error)
{
    g_autofree char *address =
        g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    if (!check_interface(interface, error))
        return false;
    if (has(interface, "bridge"))
        return run((const char *const[]){"tap", "bridge", interface, NULL}, out, error);
    return run((const char *const[]){"tap", "interface", interface, address, NULL}, out, error);
}

bool netadm_hostonly(const char *network, const struct net_range *range, struct netadm_tap *out, GError **error)
{
    struct in_addr first = {htonl(range->network + 1)};
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &first, address, sizeof address);
    g_autofree char *where = g_strdup_printf("%s/%d", address, __builtin_popcount(range->mask));
    return run((const char *const[]){"tap", "hostonly", network, where, NULL}, out, error);
}

bool netadm_hostonly_remove(const char *network, GError **error)
{
    g_autofree char *bridge = hostonly_bridge(network);
    return !bridge || run((const char *const[]){"remove", "hostonly", network, NULL}, NULL, error);
}
