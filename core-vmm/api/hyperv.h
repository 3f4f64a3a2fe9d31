// SPDX-License-Identifier: GPL-2.0-or-later
/* hyperv.h - the plug of Hyper-V's interface to its guests (devices/hyperv), which engines without one of their own ask by
 * machine_hyperv_msr() and machine_hypercall(), and what core does for it. */
#pragma once
#include "core-vmm/api/irqchip.h"

enum { HYPERV_CRASH_WORDS = 5, HYPERV_SINTS = 16, HYPERV_TIMERS = 4 };

/* The registers of one CPU, by the names of the MSRs; the first ones are the VM's, the same for all its CPUs. */
struct cpu_hyperv {
    uint64_t guest_os_id, hypercall, reference_tsc, crash[HYPERV_CRASH_WORDS];
    uint64_t vp_assist, vp_runtime, scontrol, siefp, simp, sint[HYPERV_SINTS];
    struct {
        uint64_t config, count;
    } timer[HYPERV_TIMERS];
};

/* ---- engines ---- */

/* An engine that has the interface itself (KVM) has get, set and sint; one that asks the machine has flush. */
struct hyperv_engine {
    /* While no vCPU runs: its registers, with the reference time (100 ns) and the machine's TSC at that moment; set, with the time
     * from which on the guest is to run. */
    void (*get)(void *vcpu, struct cpu_hyperv *out, uint64_t *reference, uint64_t *tsc);
    void (*set)(void *vcpu, const struct cpu_hyperv *in, uint64_t reference);
    void (*sint)(void *evm, unsigned cpu, unsigned sint); /* an interrupt by it; any thread */
    /* Empties the TLBs of these CPUs (a bit each) before it returns; on this vCPU's thread. */
    void (*flush)(void *vcpu, uint64_t cpus);
};

/* The machine's side, for engines; on that vCPU's thread. */
/* MSRs 40000000h to 400001FFh; false: #GP(0), as where there is no such interface. */
bool machine_hyperv_msr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t *value, bool write);
/* VMCALL or VMMCALL in ring 0 and protected mode; gpr: by x86_state.h, all 16, changed; wide: 64-bit code.  false: #UD. */
bool machine_hypercall(struct machine *m, unsigned cpu, uint64_t gpr[16], bool wide);
/* From an engine that has the registers itself: a call that it does not carry out (returns the result); the guest has moved a
 * CPU's pages; it has crashed. */
uint64_t machine_hyperv_call(struct machine *m, unsigned cpu, uint64_t control, uint64_t input, uint64_t output);
void machine_hyperv_pages(struct machine *m, unsigned cpu, uint64_t control, uint64_t messages, uint64_t events);
void machine_hyperv_crashed(struct machine *m, const uint64_t words[HYPERV_CRASH_WORDS], uint64_t control);

/* ---- the device ---- */

/* A hypercall; addresses are guest-physical. */
struct hyperv_call {
    unsigned cpu;
    uint64_t control;       /* call code, flags, repetitions (TLFS, "Hypercall Inputs") */
    uint64_t input, output; /* addresses; or, of a fast one, the 16 bytes of its input */
    uint64_t result;        /* what the guest gets: status, repetitions done */
    uint64_t flush;         /* a bit per CPU: whose TLB is to be empty before the guest goes on */
};

struct hyperv_ops {
    /* An MSR of 40000000h to 400001FFh, on that CPU's thread; false: #GP(0). */
    bool (*msr)(struct device *d, unsigned cpu, uint32_t msr, uint64_t *value, bool write);
    bool (*listens)(struct device *d); /* the guest has said who it is: hypercalls are allowed */
    void (*call)(struct device *d, struct hyperv_call *c);
    /* From an engine with registers of its own: the guest has moved a CPU's pages for messages and event flags. */
    void (*pages)(struct device *d, unsigned cpu, uint64_t control, uint64_t messages, uint64_t events);
    /* The same: the guest has crashed, and these are its parameters. */
    void (*crashed)(struct device *d, const uint64_t words[HYPERV_CRASH_WORDS], uint64_t control);
};

/* The guest tells that it has crashed: noted, logged, and told to whoever waits for it.  message: what it says, or NULL. */
void hyperv_crashed(struct device *d, const uint64_t words[HYPERV_CRASH_WORDS], const char *message);
/* An edge-triggered interrupt to one CPU; on an engine with registers of its own, by one of its SINTs if sint >= 0. */
void hyperv_interrupt(struct device *d, unsigned cpu, uint8_t vector, int sint);
/* Vectors that end by themselves when the CPU takes them (SINTs with "AutoEOI"). */
void hyperv_auto_eoi(struct device *d, unsigned cpu, const uint64_t vectors[4]);
/* The local APIC's registers by their offset in its page. */
uint64_t hyperv_apic_read(struct device *d, unsigned cpu, unsigned offset);
void hyperv_apic_write(struct device *d, unsigned cpu, unsigned offset, uint32_t value);
/* Does the engine keep these registers itself (KVM)?  Then they are fetched and set here, while no vCPU runs.  reference: the
 * partition's reference time, in 100 ns, at the moment at which the machine's clock stands. */
bool hyperv_in_engine(struct device *d);
void hyperv_fetch(struct device *d, unsigned cpu, struct cpu_hyperv *out, uint64_t *reference);
void hyperv_put(struct device *d, unsigned cpu, const struct cpu_hyperv *in, uint64_t reference);
