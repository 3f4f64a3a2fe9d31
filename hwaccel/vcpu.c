// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu.c - one virtual CPU: made, run, called back (hw.h tells how). */
#include "hwaccel/hw.h"
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static bool vcpu_init(struct hw_vcpu *v, GError **error)
{
    v->fd = ioctl(v->vm->fd, KVM_CREATE_VCPU, v->index);
    if (v->fd < 0)
        return hw_failed(error, "a virtual CPU cannot be created (KVM_CREATE_VCPU)");
    void *page = mmap(NULL, v->vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (page == MAP_FAILED)
        return hw_failed(error, "a virtual CPU's shared page cannot be mapped");
    v->run = page;
    if (!hw_cpuid_init(v, error) || !v->vm->chips->vcpu_init(v, error))
        return false;
    hw_msrs_init(v);
    return hw_tsc_init(v, error) && hw_hyperv_init(v, error);
}

void *hw_vcpu_new(void *evm, unsigned index, GError **error)
{
    struct hw_vm *vm = evm;
    struct hw_vcpu *v = g_new0(struct hw_vcpu, 1);
    g_assert(index < vm->config->cpus && !vm->vcpus[index]);
    v->vm = vm;
    v->index = index;
    v->msrs = g_array_new(FALSE, FALSE, sizeof(const struct hw_msr *));
    if (vcpu_init(v, error)) {
        vm->vcpus[index] = v;
        return v;
    }
    hw_vcpu_free(v);
    return NULL;
}

void hw_vcpu_free(struct hw_vcpu *v)
{
    if (v->run)
        munmap(v->run, v->vm->run_bytes);
    if (v->fd >= 0)
        close(v->fd);
    g_array_unref(v->msrs);
    g_free(v->bad_state);
    g_free(v);
}

/* ---- calling back ---- */

static void set_immediate_exit(struct hw_vcpu *v, uint8_t on)
{
    __atomic_store_n(&v->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}

void hw_poke(struct hw_vcpu *v)
{
    set_immediate_exit(v, 1);
    if (atomic_load(&v->in_guest))
        tgkill(getpid(), atomic_load(&v->thread), HW_SIGNAL); /* a thread that has ended meanwhile does no harm */
}

void hw_wish(struct hw_vcpu *v, unsigned wish)
{
    atomic_fetch_or(&v->wishes, wish);
    hw_poke(v);
}

void hw_kick(void *vcpu)
{
    hw_wish(vcpu, HW_KICK);
}

static bool take_kick(struct hw_vcpu *v)
{
    return atomic_fetch_and(&v->wishes, ~HW_KICK) & HW_KICK;
}

/* ---- running ---- */

static void leave_guest(struct hw_vcpu *v)
{
    struct hw_vm *vm = v->vm;
    atomic_store(&v->in_guest, false);
    if (atomic_load(&vm->held)) {
        pthread_mutex_lock(&vm->gate_lock);
        pthread_cond_broadcast(&vm->gate_changed);
        pthread_mutex_unlock(&vm->gate_lock);
    }
}

static void wait_at_gate(struct hw_vm *vm)
{
    pthread_mutex_lock(&vm->gate_lock);
    while (atomic_load(&vm->held))
        pthread_cond_wait(&vm->gate_changed, &vm->gate_lock);
    pthread_mutex_unlock(&vm->gate_lock);
}

/* 0 or an errno.  With a wish pending KVM only finishes the I/O of the last exit, so that the state is whole. */
static int enter_guest(struct hw_vcpu *v)
{
    atomic_store(&v->in_guest, true);
    if (atomic_load(&v->vm->held)) {
        leave_guest(v);
        wait_at_gate(v->vm);
        return EAGAIN;
    }
    if (atomic_load(&v->wishes))
        set_immediate_exit(v, 1);
    int e = ioctl(v->fd, KVM_RUN, 0) < 0 ? errno : 0;
    leave_guest(v);
    return e;
}

static void thread_is_ours(struct hw_vcpu *v)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, HW_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &s, NULL);
    atomic_store(&v->thread, gettid());
}

static enum cpu_stop fail(struct hw_vcpu *v, int run_errno, GError **error)
{
    g_autofree char *why = v->bad_state ? g_strdup(v->bad_state) : hw_describe_failure(v, run_errno);
    g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, why);
    return CPU_STOP_FAIL;
}

static enum cpu_stop kicked(struct hw_vcpu *v)
{
    if (v->extint_queued)
        hw_flush_extint(v);
    return CPU_STOP_KICKED;
}

enum cpu_stop hw_run(void *vcpu, GError **error)
{
    struct hw_vcpu *v = vcpu;
    if (v->bad_state)
        return fail(v, 0, error);
    thread_is_ours(v);
    hw_tsc_follow(v);
    hw_hyperv_follow(v);
    for (;;) {
        set_immediate_exit(v, 0);
        if (!v->vm->chips->before_run(v))
            return take_kick(v) ? kicked(v) : CPU_STOP_HLT;
        int e = enter_guest(v);
        if (e == EAGAIN)
            continue;
        v->vm->chips->after_run(v);
        if (e == EINTR) {
            if (take_kick(v))
                return kicked(v);
            continue;
        }
        if (e)
            return fail(v, e, error);
        switch (hw_handle_exit(v)) {
        case HW_GO_ON: break;
        case HW_SHUTDOWN: return CPU_STOP_RESET;
        case HW_CANNOT: return fail(v, 0, error);
        }
    }
}

/* A vector given by KVM_INTERRUPT waits in the kernel until the next entry and cannot be read back, so get_state() would
 * lose it.  Entering with a signal pending lets KVM begin the delivery without running guest code; from then on the vector
 * is among the vCPU's events.  Three entries: one may only end HLT, one may meet a late immediate_exit. */
void hw_flush_extint(struct hw_vcpu *v)
{
    struct {
        struct kvm_signal_mask head;
        uint64_t bits;
    } in_kvm = {.head.len = sizeof in_kvm.bits};
    struct timespec at_once = {0};
    sigset_t ours, before;
    sigemptyset(&ours);
    sigaddset(&ours, HW_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &ours, &before); /* it was not blocked before: thread_is_ours() */
    memcpy(&in_kvm.bits, &before, sizeof in_kvm.bits);
    tgkill(getpid(), gettid(), HW_SIGNAL);
    ioctl(v->fd, KVM_SET_SIGNAL_MASK, &in_kvm);
    for (int i = 0; i < 3; i++) {
        set_immediate_exit(v, 0);
        ioctl(v->fd, KVM_RUN, 0);
    }
    ioctl(v->fd, KVM_SET_SIGNAL_MASK, NULL);
    sigtimedwait(&ours, NULL, &at_once);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    v->extint_queued = false;
}
