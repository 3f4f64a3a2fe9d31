// SPDX-License-Identifier: GPL-2.0-or-later
/* vm.c - one VM under KVM, and the gate that keeps its vCPUs out of the guest. */
#include "hwaccel/hw.h"
#include "core-vmm/base/cpu_model.h"
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* On Intel CPUs KVM needs four pages of guest-physical space of its own.  These lie below the largest firmware image
 * (16 MiB under 4 GiB) and above the local APIC's page, where the PC has nothing. */
#define IDENTITY_MAP_PAGE 0xfeffc000ull
#define TSS_PAGES         0xfeffd000ul

static void woken(int signal_number)
{
    /* Its only work was to end KVM_RUN. */
}

static bool install_signal(GError **error)
{
    struct sigaction a = {.sa_handler = woken, .sa_flags = SA_RESTART};
    sigemptyset(&a.sa_mask);
    return sigaction(HW_SIGNAL, &a, NULL) == 0 || hw_failed(error, "the wake-up signal cannot be installed");
}

static bool no_options(const struct cpu_vm *config, GError **error)
{
    if (!config->options || !*config->options)
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "engine-options: the engine kvm has no options; remove \"%s\"",
                config->options);
    return false;
}

static bool vm_init(struct hw_vm *vm, GError **error)
{
    uint64_t identity = IDENTITY_MAP_PAGE;
    vm->kvm_fd = hw_open(error);
    if (vm->kvm_fd < 0)
        return false;
    vm->fd = hw_create_vm(vm->kvm_fd, error);
    if (vm->fd < 0)
        return false;
    int run_bytes = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_bytes < (int)sizeof(struct kvm_run))
        return hw_failed(error, "the size of a vCPU's shared page (KVM_GET_VCPU_MMAP_SIZE)");
    vm->run_bytes = run_bytes;
    struct kvm_enable_cap msrs = {.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {KVM_MSR_EXIT_REASON_UNKNOWN}};
    ioctl(vm->fd, KVM_ENABLE_CAP, &msrs); /* Linux 5.10; without, all that KVM does not know is #GP */
    vm->has_xcrs = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XCRS) > 0;
    if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) != 0 || ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_PAGES) != 0)
        return hw_failed(error, "its own pages cannot be placed (KVM_SET_TSS_ADDR)");
    return vm->chips->vm_init(vm, error);
}

static void *vm_new(const struct cpu_vm *config, const struct hw_chips *chips, GError **error)
{
    if (!no_options(config, error) || cpu_model_parse(config->model, error) < 0 || !install_signal(error))
        return NULL;
    struct hw_vm *vm = g_new0(struct hw_vm, 1);
    vm->config = config;
    vm->chips = chips;
    vm->kvm_fd = vm->fd = -1;
    vm->emulator_advice = hw_emulator_advice();
    vm->vcpus = g_new0(struct hw_vcpu *, config->cpus);
    pthread_mutex_init(&vm->gate_lock, NULL);
    pthread_cond_init(&vm->gate_changed, NULL);
    pthread_mutex_init(&vm->routes_lock, NULL);
    pthread_mutex_init(&vm->hyperv.lock, NULL);
    vm->hyperv.offset_seen = config->tsc_offset ? atomic_load(config->tsc_offset) : 0;
    bool ok = vm_init(vm, error);
    hw_memory_init(&vm->memory, vm->kvm_fd, config->memory_bytes);
    if (ok)
        return vm;
    hw_vm_free(vm);
    return NULL;
}

void *hw_vm_new_split(const struct cpu_vm *config, GError **error)
{
    return vm_new(config, &hw_chips_split, error);
}

void *hw_vm_new_no_chips(const struct cpu_vm *config, GError **error)
{
    return vm_new(config, &hw_chips_none, error);
}

void hw_vm_free(void *evm)
{
    struct hw_vm *vm = evm;
    for (unsigned i = 0; i < vm->config->cpus; i++)
        if (vm->vcpus[i])
            hw_vcpu_free(vm->vcpus[i]);
    hw_memory_free(&vm->memory);
    if (vm->fd >= 0)
        close(vm->fd);
    if (vm->kvm_fd >= 0)
        close(vm->kvm_fd);
    pthread_mutex_destroy(&vm->hyperv.lock);
    pthread_mutex_destroy(&vm->routes_lock);
    pthread_cond_destroy(&vm->gate_changed);
    pthread_mutex_destroy(&vm->gate_lock);
    g_free(vm->vcpus);
    g_free(vm);
}

/* ---- the gate ---- */

static bool any_in_guest(struct hw_vm *vm)
{
    for (unsigned i = 0; i < vm->config->cpus; i++)
        if (vm->vcpus[i] && atomic_load(&vm->vcpus[i]->in_guest))
            return true;
    return false;
}

void hw_hold(struct hw_vm *vm)
{
    atomic_fetch_add(&vm->held, 1);
    for (unsigned i = 0; i < vm->config->cpus; i++)
        if (vm->vcpus[i])
            hw_poke(vm->vcpus[i]);
    pthread_mutex_lock(&vm->gate_lock);
    while (any_in_guest(vm))
        pthread_cond_wait(&vm->gate_changed, &vm->gate_lock);
    pthread_mutex_unlock(&vm->gate_lock);
}

void hw_release(struct hw_vm *vm)
{
    pthread_mutex_lock(&vm->gate_lock);
    atomic_fetch_sub(&vm->held, 1);
    pthread_cond_broadcast(&vm->gate_changed);
    pthread_mutex_unlock(&vm->gate_lock);
}
