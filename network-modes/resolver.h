// SPDX-License-Identifier: GPL-2.0-or-later
/* resolver.h - which name servers the host has, now.
 *
 * /etc/resolv.conf is replaced by another file when a laptop changes networks, may be a link into /run, and may lie behind
 * more links; a fence of files (Landlock) is about files that were there when it closed.  So a small process of its own reads
 * it, which may read where such files are and do nothing else, and this one asks it: at most once a second, and only while
 * the guest asks for names. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>

enum { RESOLVER_SERVERS = 8, RESOLVER_PORT = 53 };
struct resolver_servers {
    unsigned count;
    struct sockaddr_in6 server[RESOLVER_SERVERS]; /* IPv4 ones mapped (::ffff:a.b.c.d), the port put in */
};
struct resolver;
/* Makes that process; while there is one thread, before the fence. */
struct resolver *resolver_new(void);
void resolver_free(struct resolver *r);
/* As they are now, or were a second ago. */
const struct resolver_servers *resolver_servers(struct resolver *r);
/* The lines of a resolv.conf: see resolv.conf(5). */
void resolver_parse(const char *text, struct resolver_servers *out);
