// SPDX-License-Identifier: GPL-2.0-or-later
/* cpu.h - the plug of a CPU engine.
 *
 * Threads: run() is only called on that vCPU's thread; kick(), signal(), msi(), touched() and map() from any thread;
 * get_state(), set_state() only while that vCPU is not in run().  Calls that can fail set a GError.
 *
 * Guest memory (RAM, ROM and video memory alike) lies in one memfd, mapped once for the life of the VM at
 * vm->memory; a page of it is named by its byte offset in that file, so that one page seen at two guest-physical
 * addresses (shadow RAM, A20) is one page for the engine too. */
#pragma once
#include "core-vmm/api/x86_state.h"
#include <glib.h>

struct machine;
enum cpu_stop {
    CPU_STOP_HLT,    /* halted with nothing to deliver: call run() again after a signal() */
    CPU_STOP_KICKED, /* kick() was called */
    CPU_STOP_RESET,  /* triple fault (shutdown): the machine resets */
    CPU_STOP_FAIL,   /* the engine cannot go on: the GError says why */
};
enum cpu_signal {
    CPU_SIGNAL_INTR /* value: level of the pin */,
    CPU_SIGNAL_NMI,
    CPU_SIGNAL_INIT,
    CPU_SIGNAL_SIPI /* value: vector */
};
enum { CPU_MAP_RAM, CPU_MAP_READONLY /* stores go to machine_store() */, CPU_MAP_NONE /* unmap */ };
#define CPU_MAP_LOG 0x100 /* or-ed: note which pages get written, for dirty() */

struct cpu_vm {
    struct machine *machine;
    unsigned cpus;
    unsigned sockets; /* packages that they are spread over, equally; 0: one */
    uint8_t *memory;  /* host address of the whole memory file */
    int memory_fd;
    uint64_t memory_bytes;
    const _Atomic int64_t *tsc_offset; /* guest TSC = host TSC + this + what the vCPU's own WRMSR added */
    uint64_t tsc_khz;
    const char *model;   /* CPUID model: "host" or "x86-64-v2" */
    bool vmware;         /* CPUID names VMware as the hypervisor */
    bool hyperv;         /* ... or Microsoft, with the interface of Hyper-V */
    const char *options; /* of this engine, from the config key engine-options; may be "" */
    bool *far_barriers;  /* set by an engine whose LOCK is no barrier: dev_barrier() is one for it; NULL: it cannot */
};

/* A local APIC, the same for those of the machine and of an engine that brings them: the xAPIC register page (SDM Vol. 3,
 * "Local APIC Register Address Map"; in x2APIC mode too, with the ID in bits 24-31, and the upper half of the ICR at
 * 310h).  The timer's input clock is 1 GHz. */
struct cpu_lapic {
    uint8_t registers[0x400];
    uint64_t base;         /* IA32_APIC_BASE; an engine takes that of x86_state */
    uint64_t tsc_deadline; /* of the machine's TSC, as in machine_apic_msr(); 0: none */
    uint32_t errors;       /* which the ESR shows when it has been written; 0 where an engine cannot tell */
    bool ran_out; /* the count did, and its interrupt was given.  KVM does not tell: perhaps it comes once more */
};

/* What an engine needs of the host's memory beside the guest's, in bytes; used: that has been touched so far. */
struct cpu_memory {
    uint64_t used, limit;
};
typedef void (*cpu_count_fn)(void *ctx, const char *group, const char *name, uint64_t value);

struct cpu_engine {
    const char *name;                                         /* "kvm", "soft", "interp" */
    bool stepped;                                             /* a test's: guest time moves by clock_step() only */
    bool (*probe)(GError **error);                            /* usable here? measured, not assumed */
    void *(*vm_new)(const struct cpu_vm *vm, GError **error); /* *vm outlives the engine's VM */
    void (*vm_free)(void *evm);                               /* frees its vCPUs too */
    bool (*map)(void *evm, uint64_t gpa, uint64_t bytes, uint64_t offset, int how,
                GError **error); /* page-aligned; replaces what was there */
    void (*touched)(void *evm, uint64_t offset,
                    uint64_t bytes); /* somebody else wrote memory (DMA): forget code made from it */
    void (*dirty)(void *evm, uint64_t offset, uint64_t bytes,
                  uint64_t *bitmap); /* ORs a bit per page written since the last call, and clears */
    void *(*vcpu_new)(void *evm, unsigned index, GError **error); /* in the reset state */
    enum cpu_stop (*run)(void *vcpu, GError **error);
    void (*kick)(void *vcpu); /* run() returns within 1 ms; sticky if not in run() */
    void (*signal)(void *vcpu, enum cpu_signal what, unsigned value); /* the CPU's pins; the caller wakes the thread */
    void (*get_state)(void *vcpu, struct x86_state *out);
    void (*set_state)(void *vcpu, const struct x86_state *in);
    /* EAX, EBX, ECX, EDX as the guest would get them; NULL: a test's engine that has no CPUID.  While not in run(). */
    void (*cpuid)(void *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
    /* Only if the engine brings the local APICs, else NULL.  A level-triggered message (data bit 15) makes the engine
     * report the EOI of that vector by machine_eoi(). */
    void (*msi)(void *evm, uint64_t address, uint32_t data);
    void (*get_lapic)(void *vcpu, struct cpu_lapic *out);
    void (*set_lapic)(void *vcpu, const struct cpu_lapic *in); /* after set_state(); NULL: as after RESET# */
    const struct hyperv_engine *hyperv; /* what it has of Hyper-V's interface (api/hyperv.h); NULL: nothing */
    /* RAX to RDI of the instruction whose port access is under way: only from machine_in(), _out() and _string(), on their thread.
     * Setting leaves RSP alone, and of INS and OUTS RCX, RDX, RSI and RDI.  (hwaccel takes one that comes alone for IN or OUT.) */
    void (*registers)(void *vcpu, uint64_t gpr[8], bool set);
    /* For people; NULL: there is nothing to tell. */
    void (*memory)(void *evm, struct cpu_memory *out);        /* any thread */
    void (*counters)(void *evm, cpu_count_fn fn, void *ctx);  /* any thread */
    char *(*dump)(void *vcpu, unsigned most, GError **error); /* the hottest code, as text (g_free); no vCPU in run() */
};

/* The machine's side, for engines.  Any vCPU thread; size 1, 2, 4 or 8 bytes (ports: 1, 2, 4); cpu: the index of the
 * vCPU that does the access.  Nobody home: reads all ones, writes vanish. */
uint64_t machine_in(struct machine *m, unsigned cpu, uint16_t port, unsigned size);
void machine_out(struct machine *m, unsigned cpu, uint16_t port, unsigned size, uint64_t value);
/* Bytes of REP INSB or REP OUTSB, many at once; data may be the guest's memory.  False: not at that port, nothing was done. */
bool machine_string(struct machine *m, unsigned cpu, uint16_t port, bool in, uint8_t *data, uint32_t count);
/* May code in any ring use these ports, whatever IOPL and the I/O permission bitmap say? */
bool machine_port_any_ring(struct machine *m, uint16_t port, unsigned size);
uint64_t machine_load(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size); /* MMIO, ROM, RAM: any address */
void machine_store(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size, uint64_t value);
int machine_ack(struct machine *m, unsigned cpu); /* INTA cycle: the vector, or -1 if the request has gone */
/* The guest looked for input and there was none: perhaps that is all it does.  May sleep for a moment. */
void machine_looked(struct machine *m, unsigned cpu);
/* FERR#: an x87 error waits to be reported, with CR0.NE clear.  Returns IGNNE#: its instruction goes on; else it waits for an interrupt. */
bool machine_fpu_error(struct machine *m, unsigned cpu, bool pending);
uint8_t machine_tpr(struct machine *m, unsigned cpu); /* CR8, 0-15 */
void machine_set_tpr(struct machine *m, unsigned cpu, uint8_t cr8);
/* MSRs that live in the local APIC: IA32_APIC_BASE, IA32_TSC_DEADLINE, x2APIC 0x800-0x8ff.  false: #GP(0).  The deadline
 * is one of the machine's TSC: without what the vCPU's own WRMSR added. */
bool machine_apic_msr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t *value, bool write);
void machine_eoi(struct machine *m, uint8_t vector); /* from an engine with its own local APICs */
/* An access to an MSR that there is not was answered by #GP(0): logged, once for each MSR. */
void machine_msr_unknown(struct machine *m, uint32_t msr, bool write);
