// SPDX-License-Identifier: GPL-2.0-or-later
/* load.c - the guest's half of the network benchmark: one TCP connection, on which the host's half (run) keeps the time.
 *
 *   load HOST PORT up BYTES    sends BYTES, waits for a byte that says they have all come
 *   load HOST PORT down BYTES  reads BYTES, answers with a byte
 *   load HOST PORT ping COUNT  one byte there, one back, COUNT times
 *
 * The first line on the connection names the work: "up BYTES\n". */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[256 << 10];

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int up(int s, unsigned long long bytes)
{
    while (bytes) {
        size_t n = bytes < sizeof buffer ? bytes : sizeof buffer;
        ssize_t gone = write(s, buffer, n);
        if (gone <= 0)
            return fail("write");
        bytes -= gone;
    }
    return read(s, buffer, 1) == 1 ? 0 : fail("read");
}

static int down(int s, unsigned long long bytes)
{
    while (bytes) {
        ssize_t n = read(s, buffer, sizeof buffer);
        if (n <= 0)
            return fail("read");
        bytes -= n;
    }
    return write(s, "d", 1) == 1 ? 0 : fail("write");
}

static int ping(int s, unsigned long long count)
{
    while (count--)
        if (write(s, "p", 1) != 1 || read(s, buffer, 1) != 1)
            return fail("ping");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || connect(s, (struct sockaddr *)&to, sizeof to))
        return fail("connect");
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    unsigned long long n = strtoull(argv[4], NULL, 10);
    if (dprintf(s, "%s %llu\n", argv[3], n) < 0)
        return fail("write");
    if (!strcmp(argv[3], "up"))
        return up(s, n);
    return strcmp(argv[3], "down") ? ping(s, n) : down(s, n);
}
