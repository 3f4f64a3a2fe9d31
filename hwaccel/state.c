// SPDX-License-Identifier: GPL-2.0-or-later
/* state.c - struct x86_state from and to KVM: registers, segments, control and debug registers, FPU, run state. */
#include "hwaccel/hw.h"
#include <string.h>
#include <sys/ioctl.h>

#define RFLAGS_IF (1u << 9)
#define EFER_LMA  (1u << 10)

void hw_refused(struct hw_vcpu *v, const char *what)
{
    if (!v->bad_state)
        v->bad_state =
            g_strdup_printf("KVM refused the %s of virtual CPU %u: %s; the state that was to be restored is damaged "
                            "or belongs to a CPU with other features",
                            what, v->index, g_strerror(errno));
}

static void check(struct hw_vcpu *v, int result, const char *what)
{
    if (result < 0)
        hw_refused(v, what);
}

/* ---- general registers: KVM's order is not that of the instruction encoding ---- */

static void get_regs(struct hw_vcpu *v, struct x86_state *s)
{
    struct kvm_regs r;
    check(v, ioctl(v->fd, KVM_GET_REGS, &r), "general registers (KVM_GET_REGS)");
    const uint64_t gpr[16] = {r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi,
                              r.r8,  r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};
    memcpy(s->gpr, gpr, sizeof gpr);
    s->rip = r.rip;
    s->rflags = r.rflags;
}

static void set_regs(struct hw_vcpu *v, const struct x86_state *s)
{
    const uint64_t *g = s->gpr;
    struct kvm_regs r = {.rax = g[X86_RAX],
                         .rbx = g[X86_RBX],
                         .rcx = g[X86_RCX],
                         .rdx = g[X86_RDX],
                         .rsi = g[X86_RSI],
                         .rdi = g[X86_RDI],
                         .rsp = g[X86_RSP],
                         .rbp = g[X86_RBP],
                         .r8 = g[8],
                         .r9 = g[9],
                         .r10 = g[10],
                         .r11 = g[11],
                         .r12 = g[12],
                         .r13 = g[13],
                         .r14 = g[14],
                         .r15 = g[15],
                         .rip = s->rip,
                         .rflags = s->rflags};
    check(v, ioctl(v->fd, KVM_SET_REGS, &r), "general registers (KVM_SET_REGS)");
}

/* KVM finishes the instruction when it runs again, and takes what is set here as where it goes on from; IN's answer comes
 * on top of it.  Which instruction it is it does not say; only INS and OUTS come with more than one element. */
void hw_registers(void *vcpu, uint64_t gpr[8], bool set)
{
    struct hw_vcpu *v = vcpu;
    struct kvm_regs r = {0};
    bool string = v->run->io.count > 1;
    check(v, ioctl(v->fd, KVM_GET_REGS, &r), "general registers (KVM_GET_REGS)");
    if (!set) {
        const uint64_t now[8] = {r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi};
        memcpy(gpr, now, sizeof now);
        return;
    }
    r.rax = gpr[X86_RAX];
    r.rbx = gpr[X86_RBX];
    r.rbp = gpr[X86_RBP];
    if (!string) {
        r.rcx = gpr[X86_RCX];
        r.rdx = gpr[X86_RDX];
        r.rsi = gpr[X86_RSI];
        r.rdi = gpr[X86_RDI];
    }
    check(v, ioctl(v->fd, KVM_SET_REGS, &r), "general registers (KVM_SET_REGS)");
}

/* ---- segments and control registers ---- */

/* Of an unusable segment only the privilege level has a meaning (of SS: it is CPL).  The rest is what makers and kernels
 * leave there, kvm-intel a type of its own for one; all engines call it 0. */
static struct x86_seg from_segment(const struct kvm_segment *k)
{
    unsigned usable = k->type | k->s << 4 | k->present << 7 | k->avl << 12 | k->l << 13 | k->db << 14 | k->g << 15;
    return (struct x86_seg){.base = k->base,
                            .limit = k->limit,
                            .selector = k->selector,
                            .attr = k->dpl << 5 | (k->unusable ? X86_ATTR_NULL : usable)};
}

static struct kvm_segment to_segment(const struct x86_seg *s)
{
    return (struct kvm_segment){.base = s->base,
                                .limit = s->limit,
                                .selector = s->selector,
                                .type = s->attr & X86_ATTR_TYPE,
                                .s = !!(s->attr & X86_ATTR_S),
                                .dpl = s->attr >> 5 & 3,
                                .present = !!(s->attr & X86_ATTR_P),
                                .avl = !!(s->attr & X86_ATTR_AVL),
                                .l = !!(s->attr & X86_ATTR_L),
                                .db = !!(s->attr & X86_ATTR_DB),
                                .g = !!(s->attr & X86_ATTR_G),
                                .unusable = !!(s->attr & X86_ATTR_NULL)};
}

static void get_sregs(struct hw_vcpu *v, struct x86_state *s)
{
    struct kvm_sregs k;
    check(v, ioctl(v->fd, KVM_GET_SREGS, &k), "system registers (KVM_GET_SREGS)");
    const struct kvm_segment *seg[X86_SEGS] = {&k.es, &k.cs, &k.ss, &k.ds, &k.fs, &k.gs};
    for (unsigned i = 0; i < X86_SEGS; i++)
        s->seg[i] = from_segment(seg[i]);
    s->ldtr = from_segment(&k.ldt);
    s->tr = from_segment(&k.tr);
    s->gdtr = (struct x86_table){.base = k.gdt.base, .limit = k.gdt.limit};
    s->idtr = (struct x86_table){.base = k.idt.base, .limit = k.idt.limit};
    s->cr0 = k.cr0;
    s->cr2 = k.cr2;
    s->cr3 = k.cr3;
    s->cr4 = k.cr4;
    s->cr8 = k.cr8;
    s->efer = k.efer;
    s->apic_base = k.apic_base;
}

static void set_sregs(struct hw_vcpu *v, const struct x86_state *s)
{
    struct kvm_sregs k = {.ldt = to_segment(&s->ldtr),
                          .tr = to_segment(&s->tr),
                          .gdt = {.base = s->gdtr.base, .limit = s->gdtr.limit},
                          .idt = {.base = s->idtr.base, .limit = s->idtr.limit},
                          .cr0 = s->cr0,
                          .cr2 = s->cr2,
                          .cr3 = s->cr3,
                          .cr4 = s->cr4,
                          .cr8 = s->cr8,
                          .efer = s->efer,
                          .apic_base = s->apic_base};
    struct kvm_segment *seg[X86_SEGS] = {&k.es, &k.cs, &k.ss, &k.ds, &k.fs, &k.gs};
    for (unsigned i = 0; i < X86_SEGS; i++)
        *seg[i] = to_segment(&s->seg[i]);
    k.cs.l &= !!(s->efer & EFER_LMA); /* elsewhere the descriptor's bit has no meaning, and KVM refuses it */
    check(v, ioctl(v->fd, KVM_SET_SREGS, &k), "system registers (KVM_SET_SREGS)");
    v->apic_base_seen = s->apic_base;
}

/* ---- debug registers ---- */

static void get_debug(struct hw_vcpu *v, struct x86_state *s)
{
    struct kvm_debugregs k;
    check(v, ioctl(v->fd, KVM_GET_DEBUGREGS, &k), "debug registers (KVM_GET_DEBUGREGS)");
    memcpy(s->dr, k.db, sizeof k.db);
    s->dr[6] = k.dr6;
    s->dr[7] = k.dr7;
}

static void set_debug(struct hw_vcpu *v, const struct x86_state *s)
{
    struct kvm_debugregs k = {.dr6 = s->dr[6], .dr7 = s->dr[7]};
    memcpy(k.db, s->dr, sizeof k.db);
    check(v, ioctl(v->fd, KVM_SET_DEBUGREGS, &k), "debug registers (KVM_SET_DEBUGREGS)");
}

/* ---- FPU and vector registers: KVM's block has the standard XSAVE layout, like ours ---- */

static void get_fpu(struct hw_vcpu *v, struct x86_state *s)
{
    struct kvm_xcrs x = {0};
    G_STATIC_ASSERT(sizeof s->xsave == sizeof(struct kvm_xsave));
    check(v, ioctl(v->fd, KVM_GET_XSAVE, s->xsave), "vector registers (KVM_GET_XSAVE)");
    s->xcr0 = 1;
    if (!v->vm->has_xcrs)
        return;
    check(v, ioctl(v->fd, KVM_GET_XCRS, &x), "XCR0 (KVM_GET_XCRS)");
    for (unsigned i = 0; i < x.nr_xcrs; i++)
        if (x.xcrs[i].xcr == 0)
            s->xcr0 = x.xcrs[i].value;
}

static void set_fpu(struct hw_vcpu *v, const struct x86_state *s)
{
    struct kvm_xcrs x = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = s->xcr0}}};
    if (v->vm->has_xcrs)
        check(v, ioctl(v->fd, KVM_SET_XCRS, &x), "XCR0 (KVM_SET_XCRS)");
    check(v, ioctl(v->fd, KVM_SET_XSAVE, s->xsave), "vector registers (KVM_SET_XSAVE)");
}

/* ---- running, halted, waiting for SIPI ---- */

static enum x86_run_state get_run_state(struct hw_vcpu *v)
{
    struct kvm_mp_state k;
    if (!v->vm->chips->in_kernel)
        return v->run_state;
    check(v, ioctl(v->fd, KVM_GET_MP_STATE, &k), "run state (KVM_GET_MP_STATE)");
    switch (k.mp_state) {
    case KVM_MP_STATE_HALTED: return X86_HALTED;
    case KVM_MP_STATE_UNINITIALIZED:
    case KVM_MP_STATE_INIT_RECEIVED:
    case KVM_MP_STATE_SIPI_RECEIVED: return X86_WAIT_SIPI;
    default: return X86_RUNNING;
    }
}

static void set_run_state(struct hw_vcpu *v, const struct x86_state *s)
{
    static const uint32_t mp_state[] = {[X86_RUNNING] = KVM_MP_STATE_RUNNABLE,
                                        [X86_HALTED] = KVM_MP_STATE_HALTED,
                                        [X86_WAIT_SIPI] = KVM_MP_STATE_INIT_RECEIVED};
    struct kvm_mp_state k = {.mp_state = mp_state[s->run_state]};
    v->run_state = s->run_state;
    if (v->vm->chips->in_kernel)
        check(v, ioctl(v->fd, KVM_SET_MP_STATE, &k), "run state (KVM_SET_MP_STATE)");
    /* what KVM wrote at the last exit is about another state; in HLT nothing but IF can be in an interrupt's way */
    v->run->ready_for_interrupt_injection = s->run_state == X86_HALTED && s->rflags & RFLAGS_IF;
}

/* ---- all of it ---- */

void hw_get_state(void *vcpu, struct x86_state *out)
{
    struct hw_vcpu *v = vcpu;
    memset(out, 0, sizeof *out);
    hw_tsc_follow(v);
    if (v->vm->chips->settle)
        v->vm->chips->settle(v);
    out->run_state = get_run_state(v); /* first: it makes the kernel take a pending INIT or SIPI */
    get_regs(v, out);
    get_sregs(v, out);
    get_debug(v, out);
    get_fpu(v, out);
    hw_get_msrs(v, out);
    hw_get_events(v, out);
    out->tsc = hw_tsc_now(v);
    unsigned wishes = atomic_load(&v->wishes);
    out->nmi_pending |= wishes & HW_NMI ? true : false;
    out->init_pending = wishes & HW_INIT;
    out->sipi_pending = wishes & HW_SIPI;
    out->sipi_vector = out->sipi_pending ? atomic_load(&v->sipi_vector) : 0;
}

void hw_set_state(void *vcpu, const struct x86_state *in)
{
    struct hw_vcpu *v = vcpu;
    g_clear_pointer(&v->bad_state, g_free);
    atomic_fetch_and(&v->wishes, HW_KICK); /* NMI, INIT and SIPI of the time before */
    hw_load_state(v, in);
    if (in->init_pending)
        hw_wish(v, HW_INIT);
    if (in->sipi_pending) {
        atomic_store(&v->sipi_vector, in->sipi_vector);
        hw_wish(v, HW_SIPI);
    }
}

static void refuse_foreign(struct hw_vcpu *v, const struct x86_state *in)
{
    g_autofree char *missing = hw_missing_features(v, in);
    if (missing && !v->bad_state)
        v->bad_state =
            g_strdup_printf("The state that was to be restored uses what virtual CPU %u does not have here: %s; "
                            "it needs a host CPU that has it, and the cpu-model that it was made with",
                            v->index, missing);
}

/* System registers come first: what others may hold depends on CR4, EFER and the APIC's mode. */
void hw_load_state(struct hw_vcpu *v, const struct x86_state *in)
{
    refuse_foreign(v, in);
    hw_tsc_follow(v);
    set_sregs(v, in);
    set_regs(v, in);
    set_debug(v, in);
    set_fpu(v, in);
    hw_set_msrs(v, in);
    hw_tsc_set(v, in->tsc_adjust);
    hw_set_events(v, in);
    set_run_state(v, in);
}
