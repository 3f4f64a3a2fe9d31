// SPDX-License-Identifier: GPL-2.0-or-later
/* main.c - terrarium-netadm: what virtual networks need of the host that only CAP_NET_ADMIN may do, for users whom
 * /etc/terrarium/network.conf (policy.h) allows it.
 *
 *   terrarium-netadm tap bridge BRIDGE                       a TAP in a bridge that is there
 *   terrarium-netadm tap interface INTERFACE MAC             a macvtap on an interface, for a guest of that address
 *   terrarium-netadm tap hostonly NETWORK ADDRESS/BITS       a TAP in the user's host-only network, in which the host has that
 *   terrarium-netadm remove hostonly NETWORK
 *
 * It has that capability as the file's (setcap), or is root started by polkit (pkexec), and keeps nothing else.  Who is asked
 * whether the user may: the policy file in the first case; polkit, which has answered already, in the second.
 * Standard input is a Unix socket: there it says "ok NAME" with the TAP's descriptor, or "error SENTENCE", and ends.  Only for a
 * macvtap, which the kernel would leave behind, a child waits until nobody has the other end of that socket any more, and
 * removes it. */
#include "network-modes/admin/netadm.h"
#include "network-modes/admin/policy.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef POLICY_FILE
#define POLICY_FILE "/etc/terrarium/network.conf"
#endif
enum {
    GROUPS_MOST = 1024,
    POLICY_MOST = 65536,
    SENTENCE_MOST = 512,
    NETWORK_MOST = 32,
    BITS_LEAST = 8,
    BITS_MOST = 29
};

struct user {
    uid_t uid;
    struct policy_user policy;
    gid_t groups[GROUPS_MOST];
};

/* ---- answers ---- */

static bool answer(const char *text, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof fd)];
    } control = {0};
    struct iovec iov = {(void *)text, strlen(text)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = control.space;
        m.msg_controllen = sizeof control.space;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(STDIN_FILENO, &m, MSG_NOSIGNAL) == (ssize_t)iov.iov_len;
}

void give_up(const char *format, ...)
{
    char text[SENTENCE_MOST] = "error ";
    va_list ap;
    va_start(ap, format);
    vsnprintf(text + 6, sizeof text - 6, format, ap);
    va_end(ap);
    answer(text, -1);
    fprintf(stderr, "terrarium-netadm: %s\n", text + 6);
    exit(EXIT_FAILURE);
}

/* ---- privilege ---- */

/* All but CAP_NET_ADMIN, of which not even that is passed on to a program. */
static void keep_one_capability(void)
{
    const uint32_t one = 1u << CAP_NET_ADMIN;
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3], kept[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &head, now) || !(now[0].permitted & one))
        give_up("terrarium-netadm has no CAP_NET_ADMIN: as root, setcap cap_net_admin+ep on it, or install polkit's "
                "pkexec");
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    kept[0].effective = kept[0].permitted = one;
    if (syscall(SYS_capset, &head, kept) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        give_up("privileges cannot be given up: %s", strerror(errno));
}

static bool in_group(const struct policy_user *u, const char *group)
{
    const struct group *g = getgrnam(group);
    for (size_t i = 0; g && i < u->count; i++)
        if (u->groups[i] == g->gr_gid)
            return true;
    return false;
}

/* Whoever started us; for polkit, whom it started us for. */
static uid_t asking_user(void)
{
    const char *by_polkit = getuid() ? NULL : getenv("PKEXEC_UID");
    char *end;
    if (!by_polkit)
        return getuid();
    errno = 0;
    unsigned long uid = strtoul(by_polkit, &end, 10);
    if (errno || *end || end == by_polkit || uid > UINT32_MAX - 1)
        give_up("PKEXEC_UID is no user's number");
    return (uid_t)uid;
}

static void find_user(struct user *u)
{
    u->uid = asking_user();
    const struct passwd *p = getpwuid(u->uid);
    int count = GROUPS_MOST;
    u->policy = (struct policy_user){.groups = u->groups, .in_group = in_group};
    if (!p)
        return;
    u->policy.name = strdup(p->pw_name);
    if (getgrouplist(p->pw_name, p->pw_gid, u->groups, &count) >= 0)
        u->policy.count = (size_t)count;
}

/* ---- policy ---- */

/* Only root may have written it.  A file that is not there allows nothing. */
static const char *policy_text(void)
{
    static char text[POLICY_MOST];
    struct stat st;
    int fd = open(POLICY_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return "";
    if (fd < 0 || fstat(fd, &st))
        give_up(POLICY_FILE ": %s", strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_uid || st.st_mode & (S_IWGRP | S_IWOTH))
        give_up(POLICY_FILE " is not a file that only root may write: chown root: " POLICY_FILE
                            "; chmod 644 " POLICY_FILE);
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    if (n < 0 || n == sizeof text || memchr(text, 0, (size_t)n))
        give_up(POLICY_FILE " cannot be read, has 64 KiB or more, or is no text");
    text[n] = 0;
    return text;
}

static void need(const struct user *u, const char *what, const char *which)
{
    unsigned line;
    if (!getuid()) /* root itself, or whom polkit has asked about */
        return;
    enum policy_answer may = policy_may(policy_text(), what, which, &u->policy, &line);
    const char *name = u->policy.name ? u->policy.name : "this user";
    if (may == POLICY_BROKEN)
        give_up(POLICY_FILE ", line %u makes no sense, so nothing is allowed: see docs/network.md", line);
    if (may == POLICY_DENIED)
        give_up("%s may not use the %s %s; to allow it, as root: mkdir -p /etc/terrarium && echo \"%s %s %s\" "
                ">> " POLICY_FILE,
                name, !strcmp(what, "hostonly") ? "host-only network" : what, which, what, which, name);
}

/* ---- arguments ---- */

static const char *need_interface(const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n >= LINK_NAME || strpbrk(text, "/: \t\n") || !strcmp(text, ".") || !strcmp(text, ".."))
        give_up("that is no name of a network interface");
    for (const char *at = text; *at; at++)
        if (*at < 0x21 || *at > 0x7e)
            give_up("that is no name of a network interface");
    return text;
}

static const char *need_network(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t n = strlen(text);
    if (n == 0 || n > NETWORK_MOST || strspn(text, letters) != n || strchr("-_.", text[0]))
        give_up("that is no name of a network");
    return text;
}

static void need_mac(const char *text, uint8_t *mac)
{
    int used = 0;
    bool good = strlen(text) == 17 && strspn(text, "0123456789abcdefABCDEF:") == 17 &&
                sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
                       &mac[5], &used) == 6 &&
                used == 17;
    if (!good || mac[0] & 1 || !memcmp(mac, (uint8_t[6]){0}, 6))
        give_up("that is no address of a network card");
}

static void find_link(int rtnl, const char *name, struct link *l)
{
    int e = link_find(rtnl, name, l);
    if (e == ENODEV)
        give_up("there is no network interface %s on this host", name);
    if (e)
        give_up("%s: %s", name, strerror(e));
}

/* ---- what is asked for ---- */

static struct made tap_bridge(int rtnl, const struct user *u, char **args)
{
    struct link l;
    const char *name = need_interface(args[0]);
    need(u, "bridge", name);
    find_link(rtnl, name, &l);
    if (strcmp(l.kind, "bridge"))
        give_up("%s is no bridge", name);
    return make_tap(rtnl, l.index);
}

static struct made tap_interface(int rtnl, const struct user *u, char **args)
{
    uint8_t mac[6];
    struct link l;
    const char *name = need_interface(args[0]);
    need_mac(args[1], mac);
    need(u, "interface", name);
    find_link(rtnl, name, &l);
    return make_macvtap(rtnl, l.index, name, mac);
}

static struct made tap_hostonly(int rtnl, const struct user *u, char **args)
{
    uint32_t address;
    unsigned bits;
    const char *network = need_network(args[0]);
    if (!network_parse(args[1], &address, &bits) || bits < BITS_LEAST || bits > BITS_MOST)
        give_up("that is no range for a network: an address of the host with 8 to 29 bits, like 192.168.56.1/24");
    need(u, "hostonly", network);
    uint32_t host = address & ~(UINT32_MAX << (32 - bits));
    if (!host || host == ~(UINT32_MAX << (32 - bits)))
        give_up("that is the address of the network or of everybody in it, not of one host");
    if (getuid() && !policy_range(policy_text(), address, bits))
        give_up("host-only networks may lie in 192.168.56.0/21 and in the ranges of " POLICY_FILE
                " only; to allow it, as root: echo \"range %s\" >> " POLICY_FILE,
                args[1]);
    return make_tap(rtnl, hostonly_make(rtnl, u->uid, network, address, bits));
}

/* Removes what outlives its descriptor when nobody has the socket's other end any more. */
static void look_after(int rtnl, unsigned index)
{
    char byte;
    if (fork())
        return;
    prctl(PR_SET_NAME, "netadm-sweeper");
    setsid();
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_IGN);
    while (recv(STDIN_FILENO, &byte, 1, 0) > 0)
        ;
    link_delete(rtnl, index);
    exit(EXIT_SUCCESS);
}

static void hand_over(int rtnl, const struct made *m)
{
    char text[SENTENCE_MOST];
    snprintf(text, sizeof text, "ok %s", m->name);
    bool taken = answer(text, m->fd);
    close(m->fd); /* before there is a child: it must not keep the interface alive */
    if (m->remove && taken)
        look_after(rtnl, m->remove);
    else if (m->remove)
        link_delete(rtnl, m->remove);
    if (!taken)
        exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *kind;
        int args;
        struct made (*make)(int rtnl, const struct user *u, char **args);
    } kinds[] = {{"bridge", 1, tap_bridge}, {"interface", 2, tap_interface}, {"hostonly", 2, tap_hostonly}};
    static struct user u;
    struct stat st;
    if (fstat(STDIN_FILENO, &st) || !S_ISSOCK(st.st_mode)) {
        fputs("terrarium-netadm: vmctl starts this program, with a socket as its standard input\n", stderr);
        return EXIT_FAILURE;
    }
    keep_one_capability();
    find_user(&u);
    int rtnl = rtnl_open();
    if (rtnl < 0)
        give_up("netlink: %s", strerror(errno));
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (argc == kinds[i].args + 3 && !strcmp(argv[1], "tap") && !strcmp(argv[2], kinds[i].kind)) {
            struct made m = kinds[i].make(rtnl, &u, argv + 3);
            hand_over(rtnl, &m);
            return EXIT_SUCCESS;
        }
    if (argc != 4 || strcmp(argv[1], "remove") || strcmp(argv[2], "hostonly"))
        give_up("that is nothing that terrarium-netadm does");
    need(&u, "hostonly", need_network(argv[3]));
    hostonly_remove(rtnl, u.uid, argv[3]);
    return answer("ok -", -1) ? EXIT_SUCCESS : EXIT_FAILURE;
}
