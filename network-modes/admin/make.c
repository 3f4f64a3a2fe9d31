// SPDX-License-Identifier: GPL-2.0-or-later
/* make.c - see netadm.h.  Linux: Documentation/networking/tuntap.rst; a macvtap is the same by another device. */
#include "network-modes/admin/netadm.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

enum { NETWORKS_MOST = 64 /* bridges of host-only networks, of all users */, HEADER_BYTES = 10 };
#define FLAGS    (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
#define PREFIX   "tvh"

/* ---- TAPs ---- */

static void set_up(int fd, const char *what)
{
    int header = HEADER_BYTES;
    if (ioctl(fd, TUNSETVNETHDRSZ, &header) || ioctl(fd, TUNSETOFFLOAD, OFFLOADS))
        give_up("%s cannot be set up: %s", what, strerror(errno));
}

struct made make_tap(int rtnl, unsigned master)
{
    struct ifreq r = {.ifr_name = "tvt%d", .ifr_flags = FLAGS};
    struct made m = {.fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)};
    struct link l;
    if (m.fd < 0)
        give_up("/dev/net/tun: %s; as root: %s", strerror(errno),
                errno == EACCES ? "chmod 666 /dev/net/tun, as udev does (it alone lets nobody make an interface)"
                                : "modprobe tun");
    if (ioctl(m.fd, TUNSETIFF, &r))
        give_up("a TAP interface cannot be made: %s", strerror(errno));
    set_up(m.fd, r.ifr_name);
    int e = link_find(rtnl, r.ifr_name, &l);
    e = e ? e : link_up(rtnl, l.index, master);
    if (e)
        give_up("%s cannot be plugged in: %s", r.ifr_name, strerror(e));
    snprintf(m.name, sizeof m.name, "%s", r.ifr_name);
    return m;
}

/* By its number, which may be another network namespace's as well: it must say the same name itself. */
static int open_macvtap(const struct link *l)
{
    struct ifreq r = {.ifr_flags = FLAGS}, is = {.ifr_flags = 0};
    char path[32];
    snprintf(path, sizeof path, "/dev/tap%u", l->index);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", l->name);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && !ioctl(fd, TUNSETIFF, &r) && !ioctl(fd, TUNGETIFF, &is) && !strcmp(is.ifr_name, l->name))
        return fd;
    int e = errno;
    if (fd >= 0)
        close(fd);
    errno = e ? e : ENXIO;
    return -1;
}

struct made make_macvtap(int rtnl, unsigned lower, const char *lower_name, const uint8_t *mac)
{
    struct made m = {.fd = -1};
    struct link l;
    uint32_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        give_up("no random number: %s", strerror(errno));
    snprintf(m.name, sizeof m.name, "tvm%08x", number);
    int e = link_new(rtnl, m.name, "macvtap", lower, mac);
    if (e)
        give_up("a macvtap interface on %s cannot be made: %s%s", lower_name, strerror(e),
                e == EADDRINUSE ? "; another guest on it has this address" : "");
    e = link_find(rtnl, m.name, &l);
    m.remove = e ? 0 : l.index;
    e = e ? e : link_up(rtnl, l.index, 0);
    m.fd = e ? -1 : open_macvtap(&l);
    if (m.fd < 0) {
        e = e ? e : errno;
        if (m.remove)
            link_delete(rtnl, m.remove);
        give_up("/dev/tap%u of a macvtap interface on %s: %s%s", l.index, lower_name, strerror(e),
                e == EACCES
                    ? "; that device is root's: bridge to a bridge (docs/network.md says how to make one), or let "
                      "polkit start terrarium-netadm"
                    : "");
    }
    set_up(m.fd, m.name);
    return m;
}

/* ---- host-only networks ---- */

/* Interfaces have short names: a hash (FNV-1a) stands for user and network, and the alias tells people. */
static void names_of(uid_t user, const char *network, char *name, char *alias)
{
    uint32_t hash = 2166136261;
    snprintf(alias, LINK_ALIAS, "Terrarium: host-only network %s of user %u", network, user);
    for (const char *at = alias; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619;
    snprintf(name, LINK_NAME, PREFIX "%08x", hash);
}

unsigned hostonly_find(int rtnl, uid_t user, const char *network, struct link *l)
{
    char name[LINK_NAME], alias[LINK_ALIAS];
    names_of(user, network, name, alias);
    if (link_find(rtnl, name, l))
        return 0;
    if (strcmp(l->kind, "bridge") || (l->alias[0] && strcmp(l->alias, alias)))
        give_up("the interface %s is there and is not this network's: choose another name for it", name);
    return l->index;
}

struct wanted {
    unsigned index, ports, networks;
    uint32_t address;
    unsigned bits;
    bool has;
};

static bool clashes(void *ctx, unsigned index, uint32_t address, unsigned bits)
{
    struct wanted *w = ctx;
    unsigned shorter = bits < w->bits ? bits : w->bits;
    uint32_t mask = shorter ? UINT32_MAX << (32 - shorter) : 0;
    if (index == w->index) {
        w->has = w->has || (address == w->address && bits == w->bits);
        return address != w->address || bits != w->bits;
    }
    return (address & mask) == (w->address & mask);
}

static bool count_link(void *ctx, const struct link *l)
{
    struct wanted *w = ctx;
    w->ports += w->index && l->master == w->index;
    w->networks += !strncmp(l->name, PREFIX, sizeof PREFIX - 1);
    return false;
}

static void count_links(int rtnl, struct wanted *w)
{
    bool found;
    int e = links_each(rtnl, count_link, w, &found);
    if (e)
        give_up("the host's interfaces cannot be listed: %s", strerror(e));
}

static unsigned new_bridge(int rtnl, uid_t user, const char *network)
{
    char name[LINK_NAME], alias[LINK_ALIAS];
    struct wanted w = {0};
    struct link l;
    names_of(user, network, name, alias);
    count_links(rtnl, &w);
    if (w.networks >= NETWORKS_MOST)
        give_up("there are %u host-only networks already: remove some (vmctl net delete)", w.networks);
    int e = link_new(rtnl, name, "bridge", 0, NULL);
    if (e && e != EEXIST) /* another start of the same moment */
        give_up("the bridge %s of the host-only network %s cannot be made: %s", name, network, strerror(e));
    e = link_find(rtnl, name, &l);
    e = e ? e : link_alias(rtnl, l.index, alias);
    if (e)
        give_up("the bridge %s: %s", name, strerror(e));
    return l.index;
}

unsigned hostonly_make(int rtnl, uid_t user, const char *network, uint32_t address, unsigned bits)
{
    struct link l;
    struct wanted w = {.address = address, .bits = bits};
    bool clash;
    w.index = hostonly_find(rtnl, user, network, &l);
    int e = addresses_each(rtnl, clashes, &w, &clash);
    if (e)
        give_up("the host's addresses cannot be listed: %s", strerror(e));
    if (clash)
        give_up("the range of the host-only network %s is in use on this host: give it another "
                "(vmctl net delete %s; vmctl net create %s --kind hostonly --range 192.168.60.0/24)",
                network, network, network);
    if (!w.index)
        w.index = new_bridge(rtnl, user, network);
    e = w.has ? 0 : address_add(rtnl, w.index, address, bits);
    e = e && e != EEXIST ? e : link_up(rtnl, w.index, 0);
    if (e)
        give_up("the host's address in the host-only network %s cannot be set: %s", network, strerror(e));
    return w.index;
}

void hostonly_remove(int rtnl, uid_t user, const char *network)
{
    struct link l;
    struct wanted w = {.index = hostonly_find(rtnl, user, network, &l)};
    if (!w.index)
        return;
    count_links(rtnl, &w);
    if (w.ports)
        give_up("%u running machines are in the host-only network %s: stop them first", w.ports, network);
    int e = link_delete(rtnl, w.index);
    if (e)
        give_up("the bridge %s cannot be removed: %s", l.name, strerror(e));
}
