// SPDX-License-Identifier: GPL-2.0-or-later
/* hw.h - inside of hwaccel/: one VM and its vCPUs under KVM, and what the files call of each other.
 *
 * How a vCPU is called back.  KVM_RUN ends early if a signal arrives or run->immediate_exit is set.  Whoever wants
 * something of a vCPU (a kick, a new pin level, a change of the memory slots) first notes the wish, then sets
 * immediate_exit, then sends HW_SIGNAL if the thread is in_guest.  The vCPU first clears immediate_exit, then sets
 * in_guest, then looks at the wishes.  Both orders are sequentially consistent, so a wish is either seen before KVM_RUN or
 * ends it at once.  The signal's handler does nothing. */
#pragma once
#include "core-vmm/api/hyperv.h"
#include "hwaccel/hwaccel.h"
#include <linux/kvm.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define HW_PAGE   4096ull
#define HW_SIGNAL (SIGRTMIN + 1)

/* ---- host.c ---- */
int hw_open(GError **error);                      /* /dev/kvm with all that we need, or -1 and a sentence */
bool hw_failed(GError **error, const char *what); /* sets the error from errno; always false */
int hw_create_vm(int kvm_fd, GError **error);     /* or -1 and a sentence; a signal does not matter */
bool hw_has_split_chips(int kvm_fd);

/* ---- no /dev/kvm: no_device.c ---- */
struct hw_virtualization {
    bool intel;        /* or AMD */
    bool cpu_has;      /* VT-x or AMD-V, as CPUID says */
    bool kernel_hides; /* /proc/cpuinfo has the flag no longer */
    bool in_vm;        /* this host is a guest itself */
    bool module;       /* kvm_intel or kvm_amd is loaded */
};
struct hw_virtualization hw_virtualization_read(const char *cpuinfo, bool cpu_has); /* cpuinfo: NULL if it is hidden */
char *hw_no_device_advice(const struct hw_virtualization *h);                       /* g_free */
char *hw_no_device(void);                                                           /* of this host; g_free */

/* ---- memory slots: memory.c ---- */
struct hw_slot {
    uint64_t gpa, bytes, offset;
    uint32_t flags; /* KVM_MEM_READONLY, KVM_MEM_LOG_DIRTY_PAGES */
    uint32_t id;
};
struct hw_memory {
    pthread_mutex_t lock; /* all of this */
    GArray *slots;        /* struct hw_slot, sorted by gpa, never overlapping */
    GArray *free_ids;     /* uint32_t */
    uint32_t next_id, max_slots;
    uint64_t *dirty; /* a bit per page of the memory file: taken from KVM, not yet asked for */
};
void hw_memory_init(struct hw_memory *mem, int kvm_fd, uint64_t bytes);
void hw_memory_free(struct hw_memory *mem);
bool hw_map(void *evm, uint64_t gpa, uint64_t bytes, uint64_t offset, int how, GError **error);
void hw_dirty(void *evm, uint64_t offset, uint64_t bytes, uint64_t *bitmap);
bool hw_peek(void *evm, uint64_t gpa, void *buffer, size_t bytes); /* false: not all mapped */

/* ---- the VM: vm.c ---- */
struct hw_vcpu;
struct hw_chips;
struct hw_msr;
struct hw_vm {
    const struct cpu_vm *config;
    int kvm_fd, fd;
    size_t run_bytes; /* of each vCPU's shared page */
    const struct hw_chips *chips;
    bool has_xcrs;
    const char *emulator_advice; /* for a failure's message: a vCPU's thread may open no file (core-vmm/fence) */
    struct hw_memory memory;
    pthread_mutex_t gate_lock;
    pthread_cond_t gate_changed;
    _Atomic unsigned held; /* > 0: no vCPU may enter the guest */
    pthread_mutex_t routes_lock;
    _Atomic uint32_t routed[8]; /* level-triggered vectors whose EOI the kernel reports */
    struct {                    /* hyperv.c */
        pthread_mutex_t lock;   /* reference, loaded, offset_seen */
        uint64_t reference;     /* 100 ns: KVM's clock is to be set to it, if loaded */
        bool loaded;
        int64_t offset_seen; /* of the TSC, when the guest ran last */
        uint32_t routed[32]; /* by CPU: SINTs that have a route; under routes_lock */
    } hyperv;
    struct hw_vcpu **vcpus; /* config->cpus of them, NULL until made */
};
void *hw_vm_new_split(const struct cpu_vm *config, GError **error);
void *hw_vm_new_no_chips(const struct cpu_vm *config, GError **error);
void hw_vm_free(void *evm);
const char *hw_emulator_advice(void); /* failure.c; "" if there is none */
void hw_hold(struct hw_vm *vm);       /* returns when no vCPU is in the guest, and keeps them out */
void hw_release(struct hw_vm *vm);

/* ---- a vCPU: vcpu.c, exit.c, failure.c ---- */
enum { HW_KICK = 1, HW_NMI = 2, HW_INIT = 4, HW_SIPI = 8 }; /* wishes */
struct hw_vcpu {
    struct hw_vm *vm;
    unsigned index;
    int fd;
    struct kvm_run *run;
    _Atomic pid_t thread; /* valid while in_guest */
    _Atomic bool in_guest;
    _Atomic unsigned wishes;
    _Atomic bool intr; /* level of the INTR pin */
    _Atomic uint8_t sipi_vector;
    bool extint_queued;           /* split chips: KVM may hold a vector that get_state() cannot see */
    enum x86_run_state run_state; /* without chips: the kernel does not keep it */
    uint64_t apic_base_seen;      /* without chips: what the machine was told */
    uint8_t cr8_seen;
    int64_t tsc_offset_seen;
    char *bad_state; /* set_state() was given something that the CPU refuses: run() fails with this sentence */
    GArray *msrs;    /* const struct hw_msr *, those that this host has */
};
void *hw_vcpu_new(void *evm, unsigned index, GError **error);
void hw_vcpu_free(struct hw_vcpu *v);
enum cpu_stop hw_run(void *vcpu, GError **error);
void hw_kick(void *vcpu);
void hw_wish(struct hw_vcpu *v, unsigned wish); /* any thread */
void hw_poke(struct hw_vcpu *v);                /* any thread: out of KVM_RUN, to look at its wishes and pins */
void hw_flush_extint(struct hw_vcpu *v);

enum hw_next { HW_GO_ON, HW_SHUTDOWN, HW_CANNOT };
enum hw_next hw_handle_exit(struct hw_vcpu *v);
char *hw_describe_failure(struct hw_vcpu *v, int run_errno); /* g_free */

/* ---- interrupts: chips.c (the kernel's local APICs), no_chips.c ---- */
struct hw_chips {
    bool in_kernel; /* the local APICs */
    bool (*vm_init)(struct hw_vm *vm, GError **error);
    bool (*vcpu_init)(struct hw_vcpu *v, GError **error);
    bool (*before_run)(struct hw_vcpu *v); /* false: the vCPU stands in HLT or waits for SIPI */
    void (*after_run)(struct hw_vcpu *v);
    void (*signal)(struct hw_vcpu *v, enum cpu_signal what, unsigned value);
    void (*settle)(struct hw_vcpu *v); /* takes pending NMI, INIT and SIPI into the state; may be NULL */
};
extern const struct hw_chips hw_chips_split, hw_chips_none;
void hw_signal(void *vcpu, enum cpu_signal what, unsigned value);
void hw_msi(void *evm, uint64_t address, uint32_t data);
bool hw_inject_extint(struct hw_vcpu *v); /* common: the machine's vector into the CPU, or a window for it */
void hw_get_lapic(void *vcpu, struct cpu_lapic *out);
void hw_set_lapic(void *vcpu, const struct cpu_lapic *in);

/* ---- architectural state: state.c, features.c, msr.c, events.c, tsc.c ---- */
void hw_get_state(void *vcpu, struct x86_state *out);
void hw_set_state(void *vcpu, const struct x86_state *in);
void hw_registers(void *vcpu, uint64_t gpr[8], bool set);
void hw_load_state(struct hw_vcpu *v, const struct x86_state *in);       /* the same, with pending wishes kept */
void hw_refused(struct hw_vcpu *v, const char *what);                    /* notes bad_state, from errno */
char *hw_missing_features(struct hw_vcpu *v, const struct x86_state *s); /* features.c: names to g_free; NULL: none */
void hw_get_events(struct hw_vcpu *v, struct x86_state *out);
void hw_set_events(struct hw_vcpu *v, const struct x86_state *in);
void hw_msrs_init(struct hw_vcpu *v);
void hw_get_msrs(struct hw_vcpu *v, struct x86_state *out);
void hw_set_msrs(struct hw_vcpu *v, const struct x86_state *in);
bool hw_read_msr(struct hw_vcpu *v, uint32_t index, uint64_t *value);
bool hw_feature_msr(struct hw_vcpu *v, uint32_t index, uint64_t *value); /* the most that KVM has to offer */
bool hw_write_msr(struct hw_vcpu *v, uint32_t index, uint64_t value);
bool hw_tsc_init(struct hw_vcpu *v, GError **error);
void hw_tsc_follow(struct hw_vcpu *v); /* before run(): the machine may have stood */
uint64_t hw_tsc_now(struct hw_vcpu *v);
void hw_tsc_set(struct hw_vcpu *v, uint64_t own); /* the vCPU's own part: what its WRMSR added */

/* ---- Hyper-V's interface: hyperv.c; hw_route_sint() is chips.c's ---- */
bool hw_hyperv_init(struct hw_vcpu *v, GError **error); /* after CPUID */
void hw_hyperv_follow(struct hw_vcpu *v);               /* before run(): the machine may have stood */
void hw_get_hyperv(void *vcpu, struct cpu_hyperv *out, uint64_t *reference, uint64_t *tsc);
void hw_set_hyperv(void *vcpu, const struct cpu_hyperv *in, uint64_t reference);
void hw_hyperv_sint(void *evm, unsigned cpu, unsigned sint);
unsigned hw_hyperv_routes(struct hw_vm *vm, struct kvm_irq_routing_entry *out); /* routes_lock held; how many */
void hw_route_sint(struct hw_vm *vm, unsigned cpu, unsigned sint);
void hw_hyperv_exit(struct hw_vcpu *v);
void hw_hyperv_crash(struct hw_vcpu *v);

/* ---- cpuid.c ---- */
bool hw_cpuid_init(struct hw_vcpu *v, GError **error);
void hw_cpuid(void *vcpu, uint32_t function, uint32_t index, uint32_t out[4]); /* zeros for a leaf that there is not */
bool hw_cpu_can_virtualize(void); /* VT-x or AMD-V, whether or not it is switched on */

bool hw_probe(GError **error); /* probe.c */
