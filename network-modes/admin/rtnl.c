// SPDX-License-Identifier: GPL-2.0-or-later
/* rtnl.c - see rtnl.h.  A request is a header, a struct of its kind, and attributes, which may hold others. */
#include "network-modes/admin/rtnl.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_MOST = 1024, ANSWER_MOST = 65536 };

struct request {
    struct nlmsghdr head;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg address;
    };
    uint8_t rest[REQUEST_MOST];
};

int rtnl_open(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static void begin(struct request *r, unsigned type, unsigned flags, size_t body)
{
    memset(r, 0, sizeof *r);
    r->head.nlmsg_len = NLMSG_LENGTH(body);
    r->head.nlmsg_type = (uint16_t)type;
    r->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
}

static struct rtattr *attribute(struct request *r, unsigned type, const void *data, size_t bytes)
{
    struct rtattr *a = (void *)((uint8_t *)r + NLMSG_ALIGN(r->head.nlmsg_len));
    a->rta_type = (unsigned short)type;
    a->rta_len = (unsigned short)RTA_LENGTH(bytes);
    if (bytes)
        memcpy(RTA_DATA(a), data, bytes);
    r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
    return a;
}

static void nest_end(struct request *r, struct rtattr *a)
{
    a->rta_len = (unsigned short)((uint8_t *)r + r->head.nlmsg_len - (uint8_t *)a);
}

static int transmit(int rtnl, const struct request *r)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    return sendto(rtnl, r, r->head.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0 ? errno : 0;
}

/* Sends, and gives each message of the answer to fn until it is true.  0 or an errno. */
static int ask(int rtnl, const struct request *r, bool (*fn)(void *ctx, const struct nlmsghdr *h), void *ctx)
{
    static uint8_t answer[ANSWER_MOST] __attribute__((aligned(NLMSG_ALIGNTO)));
    int e = transmit(rtnl, r);
    bool found = false;
    while (!e) {
        ssize_t n = recv(rtnl, answer, sizeof answer, 0);
        if (n < 0)
            return errno;
        for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_ERROR)
                return -((struct nlmsgerr *)NLMSG_DATA(h))->error;
            if (h->nlmsg_type == NLMSG_DONE)
                return 0;
            found = found || (fn && fn(ctx, h)); /* all of the answer is read, or the next one would begin with it */
            if (!(h->nlmsg_flags & NLM_F_MULTI))
                return 0;
        }
    }
    return e;
}

static int command(int rtnl, struct request *r)
{
    r->head.nlmsg_flags |= NLM_F_ACK;
    return ask(rtnl, r, NULL, NULL);
}

/* ---- reading ---- */

static void copy_text(char *to, size_t room, const struct rtattr *a)
{
    size_t n = RTA_PAYLOAD(a) < room ? RTA_PAYLOAD(a) : room - 1;
    memcpy(to, RTA_DATA(a), n);
    to[n] = 0;
}

static void read_kind(struct link *l, const struct rtattr *info)
{
    int n = (int)RTA_PAYLOAD(info);
    for (struct rtattr *a = RTA_DATA(info); RTA_OK(a, n); a = RTA_NEXT(a, n))
        if (a->rta_type == IFLA_INFO_KIND)
            copy_text(l->kind, sizeof l->kind, a);
}

static void read_link(struct link *l, const struct nlmsghdr *h)
{
    const struct ifinfomsg *i = NLMSG_DATA(h);
    int n = (int)IFLA_PAYLOAD(h);
    *l = (struct link){.index = (unsigned)i->ifi_index};
    for (struct rtattr *a = IFLA_RTA(i); RTA_OK(a, n); a = RTA_NEXT(a, n)) {
        unsigned type = a->rta_type & NLA_TYPE_MASK;
        if (type == IFLA_IFNAME)
            copy_text(l->name, sizeof l->name, a);
        else if (type == IFLA_IFALIAS)
            copy_text(l->alias, sizeof l->alias, a);
        else if (type == IFLA_MASTER && RTA_PAYLOAD(a) == sizeof l->master)
            memcpy(&l->master, RTA_DATA(a), sizeof l->master);
        else if (type == IFLA_LINKINFO)
            read_kind(l, a);
    }
}

static bool take_link(void *ctx, const struct nlmsghdr *h)
{
    if (h->nlmsg_type != RTM_NEWLINK)
        return false;
    read_link(ctx, h);
    return true;
}

int link_find(int rtnl, const char *name, struct link *out)
{
    struct request r;
    *out = (struct link){0};
    begin(&r, RTM_GETLINK, 0, sizeof r.link);
    attribute(&r, IFLA_IFNAME, name, strlen(name) + 1);
    int e = ask(rtnl, &r, take_link, out);
    return e ? e : out->index ? 0 : ENODEV;
}

struct each {
    bool (*link)(void *ctx, const struct link *l);
    bool (*address)(void *ctx, unsigned index, uint32_t address, unsigned bits);
    void *ctx;
    bool found;
};

static bool each_link(void *ctx, const struct nlmsghdr *h)
{
    struct each *e = ctx;
    struct link l;
    if (!take_link(&l, h))
        return false;
    return e->found = e->link(e->ctx, &l);
}

int links_each(int rtnl, bool (*fn)(void *ctx, const struct link *l), void *ctx, bool *found)
{
    struct each e = {.link = fn, .ctx = ctx};
    struct request r;
    begin(&r, RTM_GETLINK, NLM_F_DUMP, sizeof r.link);
    int error = ask(rtnl, &r, each_link, &e);
    *found = e.found;
    return error;
}

static bool each_address(void *ctx, const struct nlmsghdr *h)
{
    struct each *e = ctx;
    const struct ifaddrmsg *m = NLMSG_DATA(h);
    uint32_t local = 0;
    if (h->nlmsg_type != RTM_NEWADDR || m->ifa_family != AF_INET)
        return false;
    int n = (int)IFA_PAYLOAD(h);
    for (struct rtattr *a = IFA_RTA(m); RTA_OK(a, n); a = RTA_NEXT(a, n))
        if (a->rta_type == IFA_LOCAL && RTA_PAYLOAD(a) == sizeof local)
            memcpy(&local, RTA_DATA(a), sizeof local);
    return e->found = e->address(e->ctx, m->ifa_index, ntohl(local), m->ifa_prefixlen);
}

int addresses_each(int rtnl, bool (*fn)(void *ctx, unsigned index, uint32_t address, unsigned bits), void *ctx,
                   bool *found)
{
    struct each e = {.address = fn, .ctx = ctx};
    struct request r;
    begin(&r, RTM_GETADDR, NLM_F_DUMP, sizeof r.address);
    r.address.ifa_family = AF_INET;
    int error = ask(rtnl, &r, each_address, &e);
    *found = e.found;
    return error;
}

/* ---- changing ---- */

int link_new(int rtnl, const char *name, const char *kind, unsigned lower, const uint8_t *mac)
{
    const uint32_t mode = MACVLAN_MODE_BRIDGE;
    struct request r;
    begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof r.link);
    attribute(&r, IFLA_IFNAME, name, strlen(name) + 1);
    if (mac)
        attribute(&r, IFLA_ADDRESS, mac, 6);
    if (lower)
        attribute(&r, IFLA_LINK, &lower, sizeof lower);
    struct rtattr *info = attribute(&r, IFLA_LINKINFO, NULL, 0);
    attribute(&r, IFLA_INFO_KIND, kind, strlen(kind));
    if (lower) {
        struct rtattr *data = attribute(&r, IFLA_INFO_DATA, NULL, 0);
        attribute(&r, IFLA_MACVLAN_MODE, &mode, sizeof mode);
        nest_end(&r, data);
    }
    nest_end(&r, info);
    return command(rtnl, &r);
}

int link_up(int rtnl, unsigned index, unsigned master)
{
    struct request r;
    begin(&r, RTM_NEWLINK, 0, sizeof r.link);
    r.link.ifi_index = (int)index;
    r.link.ifi_flags = r.link.ifi_change = IFF_UP;
    if (master)
        attribute(&r, IFLA_MASTER, &master, sizeof master);
    return command(rtnl, &r);
}

int link_alias(int rtnl, unsigned index, const char *alias)
{
    struct request r;
    begin(&r, RTM_NEWLINK, 0, sizeof r.link);
    r.link.ifi_index = (int)index;
    attribute(&r, IFLA_IFALIAS, alias, strlen(alias));
    return command(rtnl, &r);
}

int link_delete(int rtnl, unsigned index)
{
    struct request r;
    begin(&r, RTM_DELLINK, 0, sizeof r.link);
    r.link.ifi_index = (int)index;
    return command(rtnl, &r);
}

int address_add(int rtnl, unsigned index, uint32_t address, unsigned bits)
{
    uint32_t raw = htonl(address);
    struct request r;
    begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof r.address);
    r.address.ifa_family = AF_INET;
    r.address.ifa_prefixlen = (uint8_t)bits;
    r.address.ifa_index = index;
    attribute(&r, IFA_LOCAL, &raw, sizeof raw);
    attribute(&r, IFA_ADDRESS, &raw, sizeof raw);
    return command(rtnl, &r);
}
