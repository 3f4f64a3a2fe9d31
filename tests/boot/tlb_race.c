// SPDX-License-Identifier: GPL-2.0-or-later
/* Does a page that has been made read-only take no write any more, on whichever CPU?  A program for Linux guests with several CPUs: a
 * thread writes to a page all the time, and gets SIGSEGV whenever it may not; the other takes and gives the right to, and looks whether
 * anything changes while there is none.  So the TLBs of other CPUs are empty when mprotect() returns.  Prints how often. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096 };
static struct {
    _Atomic unsigned *page;
    _Atomic int may, done, faults;
} shared;

static void on_fault(int number)
{
    atomic_fetch_add(&shared.faults, 1);
    while (!atomic_load(&shared.may) && !atomic_load(&shared.done))
        ;
}

static void stay_on(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void *writer(void *none)
{
    stay_on(1);
    while (!atomic_load(&shared.done))
        atomic_fetch_add_explicit(shared.page, 1, memory_order_relaxed);
    return none;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1000, stale = 0;
    pthread_t thread;
    signal(SIGSEGV, on_fault);
    shared.page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shared.may = 1;
    stay_on(0);
    pthread_create(&thread, NULL, writer, NULL);
    for (int i = 0; i < rounds; i++) {
        unsigned before = atomic_load(shared.page);
        for (int n = 0; n < 1000000 && atomic_load(shared.page) == before; n++)
            ;
        atomic_store(&shared.may, 0);
        mprotect((void *)shared.page, PAGE, PROT_READ);
        unsigned now = atomic_load(shared.page);
        for (int n = 0; n < 100000; n++)
            if (atomic_load(shared.page) != now) {
                stale++;
                break;
            }
        mprotect((void *)shared.page, PAGE, PROT_READ | PROT_WRITE);
        atomic_store(&shared.may, 1);
    }
    mprotect((void *)shared.page, PAGE, PROT_READ | PROT_WRITE);
    atomic_store(&shared.done, 1);
    pthread_join(thread, NULL);
    printf("rounds %d stale %d faults %d\n", rounds, stale, atomic_load(&shared.faults));
    return stale || !shared.faults;
}
