// SPDX-License-Identifier: GPL-2.0-or-later
/* peer.c - a station for the network tests, in guests and on the host, where busybox has too little of UDP:
 *
 *   peer serve PORT                     sends back what comes, by TCP and UDP, IPv4 and IPv6, till it is ended
 *   peer tcp|udp ADDRESS PORT BYTES     sends so many bytes and compares what comes back; exit code 0: all of it, the same
 *
 * ADDRESS may be a link-local one with its card, fe80::1%eth0.  What is sent is a function of its place. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNK = 64 << 10,
    DATAGRAM_MOST = 1400,
    TRIES = 5,
    TRY_MS = 700,
    GIVE_UP_MS = 20000,
    CONNECT_MS = 4000,
    ALL_S = 60
};

static char buffer[CHUNK], wanted[CHUNK];

static int fail(const char *what)
{
    fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
    return 1;
}

static void fill(char *to, size_t n, unsigned long at)
{
    for (size_t i = 0; i < n; i++, at++)
        to[i] = (char)(at * 7 + (at >> 8) * 13 + (at >> 16));
}

static int in_time(int fd, short what, int ms)
{
    struct pollfd p = {fd, what, 0};
    return poll(&p, 1, ms) > 0;
}

/* ---- serve ---- */

static void echo_stream(int s)
{
    ssize_t n;
    while ((n = read(s, buffer, sizeof buffer)) > 0)
        for (ssize_t at = 0, gone; at < n; at += gone)
            if ((gone = write(s, buffer + at, n - at)) <= 0)
                exit(1);
    exit(0);
}

static void echo_datagram(int s)
{
    struct sockaddr_in6 from;
    socklen_t length = sizeof from;
    ssize_t n = recvfrom(s, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
    if (n >= 0)
        sendto(s, buffer, n, 0, (struct sockaddr *)&from, length);
}

static int bound(int kind, unsigned port)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int s = socket(AF_INET6, kind, 0), one = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return s < 0 || bind(s, (struct sockaddr *)&any, sizeof any) ? -1 : s;
}

static int serve(unsigned port)
{
    int tcp = bound(SOCK_STREAM, port), udp = bound(SOCK_DGRAM, port);
    if (tcp < 0 || udp < 0 || listen(tcp, 16))
        return fail("serve");
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        struct pollfd p[] = {{tcp, POLLIN, 0}, {udp, POLLIN, 0}};
        if (poll(p, 2, -1) < 0)
            return fail("poll");
        if (p[1].revents)
            echo_datagram(udp);
        int s = p[0].revents ? accept(tcp, NULL, NULL) : -1;
        if (s >= 0 && !fork())
            echo_stream(s);
        if (s >= 0)
            close(s);
    }
}

/* ---- ask ---- */

static socklen_t parse(const char *text, unsigned port, struct sockaddr_storage *a)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
    char *copy = strdup(text), *card = strchr(copy, '%');
    memset(a, 0, sizeof *a);
    if (card)
        *card++ = 0;
    if (inet_pton(AF_INET, copy, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    v6->sin6_scope_id = card ? if_nametoindex(card) : 0;
    return inet_pton(AF_INET6, copy, &v6->sin6_addr) == 1 ? sizeof *v6 : 0;
}

static int reached(int s, const struct sockaddr_storage *a, socklen_t n)
{
    int e = 0;
    socklen_t length = sizeof e;
    if (!connect(s, (const struct sockaddr *)a, n))
        return 1;
    if (errno != EINPROGRESS || !in_time(s, POLLOUT, CONNECT_MS))
        return 0;
    getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &length);
    errno = e;
    return !e;
}

/* Both ways at once, as fast as it goes. */
static int ask_stream(int s, unsigned long bytes)
{
    unsigned long sent = 0, got = 0;
    time_t end = time(NULL) + ALL_S;
    while (got < bytes) {
        if (time(NULL) > end)
            return fprintf(stderr, "peer: too slow, %lu sent, %lu back in %d s\n", sent, got, ALL_S), 1;
        struct pollfd p = {s, POLLIN | (sent < bytes ? POLLOUT : 0), 0};
        if (poll(&p, 1, GIVE_UP_MS) <= 0)
            return fprintf(stderr, "peer: stuck, %lu sent, %lu back\n", sent, got), 1;
        if (p.revents & POLLOUT) {
            size_t n = bytes - sent < sizeof buffer ? bytes - sent : sizeof buffer;
            fill(buffer, n, sent);
            ssize_t gone = write(s, buffer, n);
            sent += gone > 0 ? gone : 0;
        }
        if (!(p.revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        ssize_t n = read(s, buffer, sizeof buffer);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n <= 0)
            return fprintf(stderr, "peer: ended, %lu sent, %lu back\n", sent, got), 1;
        fill(wanted, n, got);
        if (memcmp(buffer, wanted, n))
            return fprintf(stderr, "peer: other bytes came back, behind %lu\n", got), 1;
        got += n;
    }
    return 0;
}

/* Has the datagram in `wanted` come back?  Others, which were late, are passed over. */
static int came_back(int s, size_t n)
{
    while (in_time(s, POLLIN, TRY_MS)) {
        ssize_t back = recv(s, buffer, sizeof buffer, 0);
        if (back == (ssize_t)n && !memcmp(buffer, wanted, n))
            return 1;
        if (back < 0 && errno != EAGAIN) /* somebody says that nobody listens: perhaps not yet */
            usleep(TRY_MS * 1000);
    }
    return 0;
}

/* One after the other; one may be lost. */
static int ask_datagrams(int s, unsigned long bytes)
{
    time_t end = time(NULL) + ALL_S;
    for (unsigned long at = 0, n; at < bytes; at += n) {
        int good = 0;
        n = 1 + at * 31 % DATAGRAM_MOST;
        fill(wanted, n, at);
        for (int i = 0; i < TRIES && !good && time(NULL) <= end; i++) {
            send(s, wanted, n, 0);
            good = came_back(s, n);
        }
        if (!good)
            return fprintf(stderr, "peer: no answer behind %lu bytes\n", at), 1;
    }
    return 0;
}

static int ask(int kind, const char *to, unsigned port, unsigned long bytes)
{
    struct sockaddr_storage a;
    socklen_t n = parse(to, port, &a);
    int s = n ? socket(a.ss_family, kind | SOCK_NONBLOCK, 0) : -1;
    if (s < 0 || !reached(s, &a, n))
        return fail(to);
    return kind == SOCK_STREAM ? ask_stream(s, bytes) : ask_datagrams(s, bytes);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && !strcmp(argv[1], "serve"))
        return serve(atoi(argv[2]));
    if (argc != 5)
        return 2;
    return ask(strcmp(argv[1], "udp") ? SOCK_STREAM : SOCK_DGRAM, argv[2], atoi(argv[3]), strtoul(argv[4], NULL, 10));
}
