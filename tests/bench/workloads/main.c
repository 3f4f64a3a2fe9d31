// SPDX-License-Identifier: GPL-2.0-or-later
// Runs the workloads, as an ordinary program or as the first process of a guest, and says on standard output or the first
// serial port, one line each:
//
//   BENCH-START                    userspace has begun
//   BENCH-INFO text                the machine, the program
//   BENCH-SUM name hex same|width  checksum of the first passes, and where it must be the same
//   BENCH-RUN name                 the timed part begins
//   BENCH-END name work seconds unit  it ended; work in units, seconds by this machine's own clock
//   BENCH-SKIP name what           the machine lacks this
//   BENCH-FAIL name what           the workload did not come to its end
//   BENCH-DONE                     all are through; a guest powers off
//
// Whoever listens takes the time between the lines BENCH-RUN and BENCH-END: a guest's clock may run wrong.  With bench.ask=1
// the program waits after either for a byte, so that the listener has all the time it needs to see how much CPU time was used
// until then.  Each workload has a process of its own, so that one that dies or hangs costs a line and not the run.
//
// Options are words of the command line, of a guest also of its kernel's:
//   bench.seconds=S  how long a workload's timed part takes (1); 0: only the checksums
//   bench.rows=REGEX only the workloads whose names this extended regular expression matches
//   bench.limit=S    a workload that takes longer is ended (600)
//   bench.ask=1      waits for the listener
#include "bench.h"
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CALIBRATED 0.01 // seconds between two looks at the clock, at least

struct options {
    double seconds;
    unsigned limit;
    bool ask;
    regex_t rows;
    char words[8192];
};

static const char *running = "-";
static bool guest;

bool in_guest(void)
{
    return guest;
}

// One write for a line, so that no other's comes between.
static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (write(STDOUT_FILENO, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1) < 0)
        _exit(1);
}

void give_up(const char *what)
{
    say("BENCH-FAIL %s %s: %s\n", running, what, strerror(errno));
    _exit(1);
}

void *pages(size_t size, int protection)
{
    void *p = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        give_up("mmap");
    madvise(p, size, MADV_NOHUGEPAGE); // a kernel without huge pages refuses, which is as well
    return p;
}

struct buffers two_buffers(size_t size)
{
    struct buffers b = {pages(size, PROT_READ | PROT_WRITE), pages(size, PROT_READ | PROT_WRITE)};
    for (size_t i = 0; i < size; i++) {
        b.from[i] = (uint8_t)(i * 11 ^ i >> 7);
        b.to[i] = (uint8_t)(i * 3);
    }
    return b;
}

uint64_t hash(const void *data, size_t size)
{
    uint64_t h = 0xcbf29ce484222325;
    for (const uint8_t *p = data; size--; p++)
        h = (h ^ *p) * 0x100000001b3;
    return h;
}

uint32_t next_random(void)
{
    static uint32_t x = 0x2f6b1d37;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

uint32_t *random_order(uint32_t count)
{
    uint32_t *order = pages(count * sizeof *order, PROT_READ | PROT_WRITE);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = next_random() % (i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    return order;
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// How many passes take long enough that a look at the clock between them does not count.
static uint64_t calibrate(const struct workload *w)
{
    for (uint64_t passes = 1;; passes *= 2) {
        double begin = seconds_now();
        w->run(passes);
        if (seconds_now() - begin >= CALIBRATED)
            return passes;
    }
}

// Until the listener has taken its times and nobody else works; that may take long.  The end of the input is an answer, too.
static void wait_for_listener(bool ask)
{
    char byte;
    unsigned left = alarm(0);
    if (ask && read(STDIN_FILENO, &byte, 1) < 0)
        give_up("reading the listener's answer");
    alarm(left);
}

static void measure(const struct workload *w, const struct options *o)
{
    uint64_t at_once = calibrate(w), passes = 0;
    say("BENCH-RUN %s\n", w->name);
    if (guest)
        tcdrain(STDOUT_FILENO);
    wait_for_listener(o->ask);
    double begin = seconds_now(), taken = 0;
    for (; taken < o->seconds; taken = seconds_now() - begin) {
        w->run(at_once);
        passes += at_once;
    }
    say("BENCH-END %s %.9g %.6f %s\n", w->name, (double)passes * w->units, taken, w->unit);
    wait_for_listener(o->ask);
}

// A workload's process.
static void workload_process(const struct workload *w, const struct options *o)
{
    running = w->name;
    alarm(o->limit);
    const char *what = w->lack ? w->lack() : NULL;
    if (what) {
        say("BENCH-SKIP %s %s\n", w->name, what);
        _exit(0);
    }
    if (w->prepare)
        w->prepare();
    uint64_t sum = w->run(w->first);
    if (w->sums != SUM_NONE)
        say("BENCH-SUM %s %016llx %s\n", w->name, (unsigned long long)sum, w->sums == SUM_SAME ? "same" : "width");
    if (o->seconds > 0)
        measure(w, o);
    _exit(0);
}

static void run_list(const struct workload *list, const struct options *o)
{
    for (const struct workload *w = list; w->name; w++) {
        int status = 0;
        if (regexec(&o->rows, w->name, 0, NULL, 0))
            continue;
        pid_t child = fork();
        if (child == 0)
            workload_process(w, o);
        if (child < 0 || waitpid(child, &status, 0) != child)
            say("BENCH-FAIL %s no process: %s\n", w->name, strerror(errno));
        else if (WIFSIGNALED(status))
            say("BENCH-FAIL %s signal %d\n", w->name, WTERMSIG(status));
    }
}

// The file's first line, empty if it cannot be read.
static void read_line(const char *name, char *line, size_t size)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, line, size - 1);
    line[n > 0 ? n : 0] = 0;
    line[strcspn(line, "\n")] = 0;
    if (fd >= 0)
        close(fd);
}

// The option's value, into a buffer that the caller has.
static const char *option(const char *words, const char *name, char *value, size_t size, const char *otherwise)
{
    snprintf(value, size, "%s", otherwise);
    size_t length = strlen(name);
    for (const char *w = words; *w; w += strcspn(w, " "), w += strspn(w, " "))
        if (!strncmp(w, name, length) && w[length] == '=')
            snprintf(value, size, "%.*s", (int)strcspn(w + length + 1, " "), w + length + 1);
    return value;
}

static void read_options(struct options *o, int count, char **arguments)
{
    char value[512], why[256];
    size_t end = guest ? strlen(o->words) : 0;
    for (int i = 1; i < count && end < sizeof o->words - 2; i++)
        end += (size_t)snprintf(o->words + end, sizeof o->words - end, " %s", arguments[i]);
    const char *words = o->words + strspn(o->words, " ");
    o->seconds = atof(option(words, "bench.seconds", value, sizeof value, "1"));
    o->limit = (unsigned)atoi(option(words, "bench.limit", value, sizeof value, "600"));
    o->ask = atoi(option(words, "bench.ask", value, sizeof value, "0"));
    int error = regcomp(&o->rows, option(words, "bench.rows", value, sizeof value, "."), REG_EXTENDED | REG_NOSUB);
    if (error) {
        regerror(error, &o->rows, why, sizeof why);
        say("BENCH-FAIL - bench.rows=%s: %s\n", value, why);
        regcomp(&o->rows, "^$", REG_NOSUB); // none
    }
}

static void begin_guest(struct options *o)
{
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
    read_line("/proc/cmdline", o->words, sizeof o->words);
    int fd = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
    for (int i = 0; i < 3 && fd >= 0; i++)
        dup2(fd, i);
    struct termios serial;
    if (!tcgetattr(STDIN_FILENO, &serial)) {
        serial.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
        tcsetattr(STDIN_FILENO, TCSANOW, &serial);
    }
}

static void end_guest(void)
{
    tcdrain(STDOUT_FILENO);
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

// One CPU, the last of those that there are, as a guest has one.
static void take_one_cpu(void)
{
    cpu_set_t all, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof all, &all))
        return;
    for (int i = CPU_SETSIZE; i-- > 0;) {
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
    }
}

static void say_info(void)
{
    struct utsname system;
    char clock[64];
    uname(&system);
    read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", clock, sizeof clock);
    say("BENCH-INFO width=%d kernel=%s clocksource=%s compiler=gcc-%d.%d\n", (int)sizeof(long) * 8, system.release,
        clock, __GNUC__, __GNUC_MINOR__);
}

int main(int count, char **arguments)
{
    static struct options options;
    guest = getpid() == 1;
    if (guest)
        begin_guest(&options);
    else
        take_one_cpu();
    say("BENCH-START\n");
    __builtin_cpu_init();
    signal(SIGPIPE, SIG_IGN);
    read_options(&options, count, arguments);
    say_info();
    run_list(integer_workloads, &options);
    run_list(float_workloads, &options);
    run_list(memory_workloads, &options);
    run_list(code_workloads, &options);
    run_list(system_workloads, &options);
    say("BENCH-DONE\n");
    if (guest)
        end_guest();
    return 0;
}
