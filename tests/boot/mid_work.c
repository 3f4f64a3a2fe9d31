// SPDX-License-Identifier: GPL-2.0-or-later
/* mid_work.c - what a Linux guest does while it is saved, put back and killed:  mid-work FILE ADDRESS PORT CPUS
 *
 * Each of these is a process that counts 1, 2, 3 ... and says so on the console, one line for each number:
 *   @A N SUM   on the first CPU, with a sum over memory that it changes all the time; @B the same on the last one
 *   @F N ok    a record was appended to FILE, which stays open, and flushed; an older one was read and compared
 *   @T N ok    the server at ADDRESS has sent back N.  @X N WHY: the connection has ended before it had, and is made anew
 *   @K MS MS S the monotonic clock, the time of day by the kernel, and by the real-time clock
 * A line that begins with @! says what went wrong. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 16384, RECORD = 64, ANSWER_MS = 8000, PAUSE_US = 60000 };

/* One line is one write, so that those of several processes do not mix. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[160];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (int at = 0, gone; at < n; at += gone)
        if ((gone = write(1, line + at, n - at)) <= 0)
            exit(1);
}

/* ---- a counter ---- */
static void count(char name, int cpu)
{
    static unsigned memory[WORDS];
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        say("@! no CPU %d: %s\n", cpu, strerror(errno));
    for (unsigned n = 1;; n++) {
        unsigned sum = 0;
        double part = 0;
        for (unsigned i = 0; i < WORDS; i++) {
            memory[i] += i * 2654435761u + 1;
            part += memory[i] % 1000 / 8.0;
        }
        for (unsigned i = 0; i < WORDS; i++)
            sum += memory[i] == n * (i * 2654435761u + 1);
        say("@%c %u %u\n", name, n, part >= 0 ? sum : 0);
        usleep(PAUSE_US);
    }
}

/* ---- a file ---- */
static void record(char *to, unsigned n)
{
    snprintf(to, RECORD + 1, "%010u%53u\n", n, n * 7);
}

static void append(const char *path)
{
    char now[RECORD + 1], then[RECORD + 1], found[RECORD];
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0644);
    for (unsigned n = 1; fd >= 0; n++) {
        unsigned before = n - n * 7919 % (n < 64 ? n : 64);
        record(now, n);
        record(then, before);
        if (write(fd, now, RECORD) != RECORD || fsync(fd))
            say("@! record %u: %s\n", n, strerror(errno));
        if (pread(fd, found, RECORD, (off_t)(before - 1) * RECORD) != RECORD || memcmp(found, then, RECORD))
            say("@! record %u is another one\n", before);
        say("@F %u ok\n", n);
        usleep(PAUSE_US);
    }
    say("@! %s: %s\n", path, strerror(errno));
}

/* ---- a connection ---- */
static int connected(const char *address, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    inet_pton(AF_INET, address, &to.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)&to, sizeof to) == 0)
        return s;
    close(s);
    return -1;
}

/* NULL: the server has sent the line back. */
static const char *sent_back(int s, const char *line, size_t n)
{
    char got[32];
    size_t at = 0;
    if (send(s, line, n, MSG_NOSIGNAL) != (ssize_t)n)
        return strerror(errno);
    while (at < n) {
        struct pollfd p = {s, POLLIN, 0};
        if (poll(&p, 1, ANSWER_MS) == 0)
            return "no answer";
        ssize_t came = recv(s, got + at, n - at, 0);
        if (came <= 0)
            return came ? strerror(errno) : "end";
        at += came;
    }
    return memcmp(got, line, n) ? "another line" : NULL;
}

static void talk(const char *address, const char *port)
{
    int s = -1;
    for (unsigned n = 1;; n++) {
        char line[32];
        size_t bytes = snprintf(line, sizeof line, "%u\n", n);
        const char *why;
        while ((why = s < 0 ? "" : sent_back(s, line, bytes))) {
            if (s >= 0) {
                say("@X %u %s\n", n, why);
                close(s);
            }
            if ((s = connected(address, port)) < 0) {
                say("@X %u connect: %s\n", n, strerror(errno));
                sleep(1);
            }
        }
        say("@T %u ok\n", n);
        usleep(PAUSE_US);
    }
}

/* ---- the clocks ---- */
static long long ms_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static void clocks(void)
{
    int fd = open("/dev/rtc0", O_RDONLY);
    for (;;) {
        struct rtc_time r;
        if (ioctl(fd, RTC_RD_TIME, &r))
            say("@! /dev/rtc0: %s\n", strerror(errno));
        struct tm t = {.tm_sec = r.tm_sec,
                       .tm_min = r.tm_min,
                       .tm_hour = r.tm_hour,
                       .tm_mday = r.tm_mday,
                       .tm_mon = r.tm_mon,
                       .tm_year = r.tm_year};
        say("@K %lld %lld %lld\n", ms_of(CLOCK_MONOTONIC), ms_of(CLOCK_REALTIME), (long long)timegm(&t));
        usleep(4 * PAUSE_US);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    for (int i = 0; i < 5; i++) {
        if (fork())
            continue;
        switch (i) {
        case 0: count('A', 0); break;
        case 1: count('B', atoi(argv[4]) - 1); break;
        case 2: append(argv[1]); break;
        case 3: talk(argv[2], argv[3]); break;
        case 4: clocks(); break;
        }
        return 1;
    }
    while (wait(NULL) > 0)
        say("@! a process has ended\n");
    return 0;
}
