// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu.c - one host thread per virtual CPU.
 *
 * machine->hold counts the reasons why vCPUs must stand (pause, a reset or stop that was asked for).  A vCPU looks at it
 * whenever run() returns; kick() makes that happen.  A halted vCPU sleeps on a futex word: 0 awake, 1 signalled,
 * -1 asleep.  The first one to halt also waits for the next timer and runs it (see clock.c), and before it sleeps it looks
 * for a while whether something comes (base/spin.h), also at what halt_hook has: a frame then gets to the guest without another
 * thread being woken for it. */
#include "core-vmm/machine/core.h"
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { AWAKE = 0, SIGNALLED = 1, ASLEEP = -1 };

static void wake(struct vcpu_thread *v)
{
    if (atomic_exchange(&v->wake, SIGNALLED) == ASLEEP)
        syscall(SYS_futex, &v->wake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void sleep_until_signal(struct vcpu_thread *v, int64_t ns)
{
    int expected = AWAKE;
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    if (atomic_compare_exchange_strong(&v->wake, &expected, ASLEEP)) {
        syscall(SYS_futex, &v->wake, FUTEX_WAIT_PRIVATE, ASLEEP, ns == INT64_MAX ? NULL : &t, NULL, 0);
        expected = ASLEEP;
        atomic_compare_exchange_strong(&v->wake, &expected, AWAKE);
    }
}

/* Until a signal, or until it is time to sleep. */
static void look_for_signal(struct vcpu_thread *v)
{
    struct machine *m = v->machine;
    const struct halt_hook *h = &m->on_halt;
    if (!spin_on(&v->spin, spin_now()))
        return;
    if (h->look)
        h->begin(h->ctx);
    while (atomic_load(&v->wake) != SIGNALLED && spin_on(&v->spin, spin_now())) {
        if (clock_until_next(m->clock) <= 0)
            clock_run(m->clock);
        if (h->look)
            h->look(h->ctx);
        if (atomic_load(&v->wake) != SIGNALLED)
            sched_yield();
    }
    if (h->look)
        h->end(h->ctx);
}

/* The one that waits for timers. */
static void halted_as_keeper(struct vcpu_thread *v)
{
    struct machine *m = v->machine;
    clock_halted(m->clock, 1);
    spin_begin(&v->spin, spin_now());
    look_for_signal(v);
    while (atomic_load(&v->wake) != SIGNALLED) {
        sleep_until_signal(v, clock_until_next(m->clock));
        clock_run(m->clock);
    }
    spin_end(&v->spin, spin_now());
    clock_halted(m->clock, -1);
}

static void halted(struct vcpu_thread *v)
{
    struct machine *m = v->machine;
    atomic_fetch_add(&m->halted, 1);
    if (!atomic_exchange(&m->timer_keeper, true)) {
        halted_as_keeper(v);
        atomic_store(&m->timer_keeper, false);
    }
    while (atomic_load(&v->wake) != SIGNALLED)
        sleep_until_signal(v, INT64_MAX);
    atomic_fetch_sub(&m->halted, 1);
}

/* The word may still say that something came which the engine has taken since.  What comes meanwhile shows in the pin, unless
 * the guest leaves it up: it has interrupts off. */
void vcpu_nap(struct vcpu_thread *v, int64_t ns)
{
    atomic_store(&v->wake, AWAKE);
    bool pin = v->machine->irq.pin[v->index];
    if (!pin || v->idle.pin_before)
        sleep_until_signal(v, ns);
    v->idle.pin_before = pin;
}

void vcpu_thread_signal(struct machine *m, unsigned cpu, enum cpu_signal what, unsigned value)
{
    struct vcpu_thread *v = &m->vcpu[cpu];
    if (!v->engine_vcpu)
        return;
    m->engine->signal(v->engine_vcpu, what, value);
    wake(v);
}

void vcpu_thread_kick(struct machine *m, unsigned cpu)
{
    struct vcpu_thread *v = &m->vcpu[cpu];
    if (v->engine_vcpu)
        m->engine->kick(v->engine_vcpu);
    wake(v);
}

/* Waits while there is a reason to stand; false: the thread shall end. */
static bool may_run(struct vcpu_thread *v)
{
    struct machine *m = v->machine;
    pthread_mutex_lock(&m->run_lock);
    while (m->hold && !m->quit) {
        v->standing = true;
        pthread_cond_broadcast(&m->run_changed);
        pthread_cond_wait(&m->run_changed, &m->run_lock);
    }
    v->standing = m->quit;
    bool go = !m->quit;
    pthread_cond_broadcast(&m->run_changed);
    pthread_mutex_unlock(&m->run_lock);
    return go;
}

/* Signals from outside are for the main thread: in translated code this one has no stack that a handler could use. */
static void leave_signals_to_others(void)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t others;
    sigfillset(&others);
    for (unsigned i = 0; i < G_N_ELEMENTS(own); i++)
        sigdelset(&others, own[i]);
    pthread_sigmask(SIG_BLOCK, &others, NULL);
}

static void *vcpu_main(void *arg)
{
    struct vcpu_thread *v = arg;
    struct machine *m = v->machine;
    g_autofree char *name = g_strdup_printf("vcpu%u", v->index);
    pthread_setname_np(pthread_self(), name);
    leave_signals_to_others();
    bool begun = !m->on_thread.begins || m->on_thread.begins(m->on_thread.ctx, MACHINE_THREAD_VCPU);
    pthread_mutex_lock(&m->run_lock);
    m->begun++;
    pthread_cond_broadcast(&m->run_changed);
    pthread_mutex_unlock(&m->run_lock);
    while (may_run(v)) {
        g_autoptr(GError) error = NULL;
        if (!begun) /* and the machine is told to stop: until then, whoever wants the CPUs to stand waits for each */
            continue;
        atomic_store(&v->wake, AWAKE);
        switch (m->engine->run(v->engine_vcpu, &error)) {
        case CPU_STOP_HLT: halted(v); break;
        case CPU_STOP_KICKED: break;
        case CPU_STOP_RESET:
            g_message("vcpu%u: triple fault", v->index);
            machine_ask_reset(m);
            break;
        case CPU_STOP_FAIL: machine_stop(m, MACHINE_END_FAILED, 0, error ? error->message : "unknown"); break;
        }
    }
    return NULL;
}

/* Who is told that the machine runs finds all of its threads, each in its fence. */
static void wait_begun(struct machine *m)
{
    pthread_mutex_lock(&m->run_lock);
    while (m->begun < m->cpus)
        pthread_cond_wait(&m->run_changed, &m->run_lock);
    pthread_mutex_unlock(&m->run_lock);
}

bool vcpus_start(struct machine *m, GError **error)
{
    for (unsigned i = 0; i < m->cpus; i++) {
        struct vcpu_thread *v = &m->vcpu[i];
        if (pthread_create(&v->thread, NULL, vcpu_main, v) != 0) {
            g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "No thread for virtual CPU %u: %s", i,
                        g_strerror(errno));
            return false;
        }
        v->started = true;
    }
    wait_begun(m);
    return true;
}

void vcpus_stop(struct machine *m)
{
    pthread_mutex_lock(&m->run_lock);
    m->quit = true;
    pthread_cond_broadcast(&m->run_changed);
    pthread_mutex_unlock(&m->run_lock);
    for (unsigned i = 0; i < m->cpus; i++) {
        vcpu_thread_kick(m, i);
        if (m->vcpu[i].started)
            pthread_join(m->vcpu[i].thread, NULL);
        m->vcpu[i].started = false;
    }
}

static bool all_stand(struct machine *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        if (m->vcpu[i].started && !m->vcpu[i].standing)
            return false;
    return true;
}

void vcpus_ask_hold(struct machine *m)
{
    pthread_mutex_lock(&m->run_lock);
    m->hold++;
    pthread_mutex_unlock(&m->run_lock);
    for (unsigned i = 0; i < m->cpus; i++)
        vcpu_thread_kick(m, i);
}

void vcpus_wait_held(struct machine *m)
{
    pthread_mutex_lock(&m->run_lock);
    while (!all_stand(m))
        pthread_cond_wait(&m->run_changed, &m->run_lock);
    pthread_mutex_unlock(&m->run_lock);
}

void vcpus_release(struct machine *m)
{
    pthread_mutex_lock(&m->run_lock);
    g_assert(m->hold > 0);
    m->hold--;
    pthread_cond_broadcast(&m->run_changed);
    pthread_mutex_unlock(&m->run_lock);
}
