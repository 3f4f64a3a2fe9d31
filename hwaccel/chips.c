// SPDX-License-Identifier: GPL-2.0-or-later
/* chips.c - interrupts with KVM's split chips: the kernel has the local APICs, the machine everything before them.
 *
 * Messages (I/O APIC, MSI) go in by KVM_SIGNAL_MSI.  The kernel tells us of an EOI only for vectors that its routing table
 * names as level-triggered on one of the pins reserved for our I/O APIC.  Instead of mirroring that chip's pins we reserve
 * one per vector (16 and up; the kernel keeps their number in 8 bits), and route a vector, to every CPU, when the first
 * level-triggered message carries it: the table never has to follow the guest's changes, and an EOI too many does no harm
 * (the I/O APIC looks whether it waits for one).
 * The 8259A's interrupts ("ExtINT") go in by KVM_INTERRUPT when the CPU can take one; the kernel looks at LINT0. */
#include "hwaccel/hw.h"
#include <string.h>
#include <sys/ioctl.h>

enum { DELIVER_FIXED, DELIVER_LOWEST, DELIVER_NMI = 4, DELIVER_INIT, DELIVER_SIPI };
#define MSI_BASE      0xfee00000ull
#define MSI_LEVEL     (1u << 15)
#define MSI_ASSERT    (1u << 14)
#define MSI_EVERYBODY (MSI_BASE | 0xff000)
#define FIRST_VECTOR  16
#define PINS          (256 - FIRST_VECTOR)

static bool vm_init(struct hw_vm *vm, GError **error)
{
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {PINS}};
    return ioctl(vm->fd, KVM_ENABLE_CAP, &split) == 0 ||
           hw_failed(error, "local APICs cannot be created (KVM_CAP_SPLIT_IRQCHIP)");
}

/* ---- messages ---- */

static void install_routes(struct hw_vm *vm)
{
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry entry[PINS + 16 * G_N_ELEMENTS(vm->hyperv.routed)];
    } table = {0};
    table.head.nr = hw_hyperv_routes(vm, table.entry);
    for (unsigned vector = FIRST_VECTOR; vector < 256; vector++) {
        if (!(vm->routed[vector / 32] >> vector % 32 & 1))
            continue;
        table.entry[table.head.nr++] = (struct kvm_irq_routing_entry){
            .gsi = vector - FIRST_VECTOR,
            .type = KVM_IRQ_ROUTING_MSI,
            .u.msi = {.address_lo = MSI_EVERYBODY, .data = vector | MSI_LEVEL | MSI_ASSERT},
        };
    }
    if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table) != 0)
        g_warning("KVM refused the interrupt routes (%s): level-triggered interrupts may get stuck", g_strerror(errno));
}

static void report_eoi_of(struct hw_vm *vm, uint8_t vector)
{
    uint32_t bit = 1u << vector % 32;
    if (atomic_load_explicit(&vm->routed[vector / 32], memory_order_acquire) & bit)
        return;
    pthread_mutex_lock(&vm->routes_lock);
    if (!(atomic_fetch_or(&vm->routed[vector / 32], bit) & bit))
        install_routes(vm);
    pthread_mutex_unlock(&vm->routes_lock);
}

void hw_route_sint(struct hw_vm *vm, unsigned cpu, unsigned sint)
{
    uint32_t bit = 1u << sint;
    pthread_mutex_lock(&vm->routes_lock);
    if (!(vm->hyperv.routed[cpu] & bit)) {
        vm->hyperv.routed[cpu] |= bit;
        install_routes(vm);
    }
    pthread_mutex_unlock(&vm->routes_lock);
}

void hw_msi(void *evm, uint64_t address, uint32_t data)
{
    struct hw_vm *vm = evm;
    struct kvm_msi msi = {.address_lo = address, .address_hi = address >> 32, .data = data};
    if ((uint32_t)address >> 20 != MSI_BASE >> 20)
        return; /* a write to somewhere else is no interrupt */
    if (data & MSI_LEVEL && (data >> 8 & 7) <= DELIVER_LOWEST)
        report_eoi_of(vm, data);
    ioctl(vm->fd, KVM_SIGNAL_MSI, &msi); /* what no CPU takes is lost, as on the APIC bus */
}

static void to_cpu(struct hw_vcpu *v, unsigned delivery, uint8_t vector)
{
    hw_msi(v->vm, MSI_BASE | v->index << 12, delivery << 8 | vector | MSI_ASSERT);
}

/* ---- pins ---- */

static void signal_pin(struct hw_vcpu *v, enum cpu_signal what, unsigned value)
{
    switch (what) {
    case CPU_SIGNAL_INTR:
        atomic_store(&v->intr, value);
        if (value)
            hw_poke(v);
        break;
    case CPU_SIGNAL_NMI: to_cpu(v, DELIVER_NMI, 0); break;
    case CPU_SIGNAL_INIT: to_cpu(v, DELIVER_INIT, 0); break;
    case CPU_SIGNAL_SIPI: to_cpu(v, DELIVER_SIPI, value); break;
    }
}

void hw_signal(void *vcpu, enum cpu_signal what, unsigned value)
{
    struct hw_vcpu *v = vcpu;
    v->vm->chips->signal(v, what, value);
}

bool hw_inject_extint(struct hw_vcpu *v)
{
    struct kvm_run *run = v->run;
    run->request_interrupt_window = 0;
    if (!atomic_load(&v->intr) || atomic_load(&v->wishes) & HW_KICK)
        return false;
    if (!run->ready_for_interrupt_injection) {
        run->request_interrupt_window = 1;
        return false;
    }
    int vector = machine_ack(v->vm->config->machine, v->index);
    if (vector < 0)
        return false;
    struct kvm_interrupt irq = {.irq = vector};
    if (ioctl(v->fd, KVM_INTERRUPT, &irq) != 0)
        g_warning("KVM refused interrupt vector %d: %s", vector, g_strerror(errno));
    run->ready_for_interrupt_injection = 0;
    run->request_interrupt_window = atomic_load(&v->intr);
    return true;
}

static bool before_run(struct hw_vcpu *v)
{
    if (hw_inject_extint(v))
        v->extint_queued = true;
    return true; /* the kernel keeps HLT and waiting for SIPI to itself */
}

static void after_run(struct hw_vcpu *v)
{
}

/* ---- the register page ---- */

enum {
    LAPIC_ID = 0x20,
    LAPIC_DFR = 0xe0,
    LAPIC_SVR = 0xf0,
    LAPIC_ISR = 0x100,
    LAPIC_TMR = 0x180,
    LAPIC_IRR = 0x200,
    LAPIC_LVT_TIMER = 0x320,
    LAPIC_LINT0 = 0x350,
    LAPIC_LVT_END = 0x370,
    LAPIC_INITIAL_COUNT = 0x380,
};
#define LVT_MASKED         (1u << 16)
#define LVT_EXTINT         0x700u
#define LVT_TIMER_MODE     (3u << 17)
#define LVT_TIMER_DEADLINE (2u << 17)
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_TSC_ADJUST     0x3b
#define MSR_APIC_BASE      0x1b

static void put(struct cpu_lapic *l, unsigned at, uint32_t value)
{
    memcpy(l->registers + at, &value, sizeof value);
}

static uint32_t get(const struct cpu_lapic *l, unsigned at)
{
    uint32_t value;
    memcpy(&value, l->registers + at, sizeof value);
    return value;
}

/* SDM Vol. 3, "Local APIC State After Power-Up or Reset".  The boot processor's LINT0 is open for the 8259A, as the BIOS
 * would set it: firmware that knows no APIC relies on it. */
static void lapic_reset(struct hw_vcpu *v, struct cpu_lapic *l)
{
    memset(l, 0, sizeof *l);
    put(l, LAPIC_ID, v->index << 24);
    put(l, LAPIC_DFR, 0xffffffff);
    put(l, LAPIC_SVR, 0xff);
    for (unsigned at = LAPIC_LVT_TIMER; at <= LAPIC_LVT_END; at += 0x10)
        put(l, at, LVT_MASKED);
    if (v->index == 0)
        put(l, LAPIC_LINT0, LVT_EXTINT);
}

/* How far the vCPU's counter is ahead of the machine's. */
static uint64_t own_tsc(struct hw_vcpu *v)
{
    uint64_t adjust = 0;
    hw_read_msr(v, MSR_TSC_ADJUST, &adjust);
    return adjust;
}

void hw_get_lapic(void *vcpu, struct cpu_lapic *out)
{
    struct hw_vcpu *v = vcpu;
    struct kvm_lapic_state page;
    G_STATIC_ASSERT(sizeof page.regs == sizeof out->registers);
    memset(out, 0, sizeof *out);
    if (ioctl(v->fd, KVM_GET_LAPIC, &page) == 0)
        memcpy(out->registers, page.regs, sizeof out->registers);
    hw_read_msr(v, MSR_APIC_BASE, &out->base);
    hw_read_msr(v, MSR_TSC_DEADLINE, &out->tsc_deadline);
    if (out->tsc_deadline)
        out->tsc_deadline -= own_tsc(v);
}

/* A level-triggered interrupt that is under way when the state comes in: its EOI has to be told, too. */
static void report_eois(struct hw_vcpu *v, const struct cpu_lapic *l)
{
    for (unsigned vector = FIRST_VECTOR; vector < 256; vector++) {
        unsigned at = vector / 32 * 0x10;
        if ((get(l, LAPIC_TMR + at) & (get(l, LAPIC_IRR + at) | get(l, LAPIC_ISR + at))) >> vector % 32 & 1)
            report_eoi_of(v->vm, vector);
    }
}

void hw_set_lapic(void *vcpu, const struct cpu_lapic *in)
{
    struct hw_vcpu *v = vcpu;
    struct kvm_lapic_state page;
    struct cpu_lapic reset;
    if (!in) {
        lapic_reset(v, &reset);
        in = &reset;
    }
    memcpy(page.regs, in->registers, sizeof page.regs);
    if (in->ran_out) /* KVM would let the same count run out again */
        memset(page.regs + LAPIC_INITIAL_COUNT, 0, sizeof(uint32_t));
    report_eois(v, in);
    if (ioctl(v->fd, KVM_SET_LAPIC, &page) != 0)
        hw_refused(v, "local APIC (KVM_SET_LAPIC)");
    else if ((get(in, LAPIC_LVT_TIMER) & LVT_TIMER_MODE) == LVT_TIMER_DEADLINE)
        hw_write_msr(v, MSR_TSC_DEADLINE, in->tsc_deadline ? in->tsc_deadline + own_tsc(v) : 0);
}

/* The kernel enters a CPU into its map of APIC IDs only when its APIC is written. */
static bool vcpu_init(struct hw_vcpu *v, GError **error)
{
    hw_set_lapic(v, NULL);
    return !v->bad_state || hw_failed(error, "a local APIC cannot be set (KVM_SET_LAPIC)");
}

const struct hw_chips hw_chips_split = {
    .in_kernel = true,
    .vm_init = vm_init,
    .vcpu_init = vcpu_init,
    .before_run = before_run,
    .after_run = after_run,
    .signal = signal_pin,
};
