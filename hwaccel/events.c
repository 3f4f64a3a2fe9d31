// SPDX-License-Identifier: GPL-2.0-or-later
/* events.c - interrupts and exceptions that are on their way into the CPU (KVM_GET/SET_VCPU_EVENTS).
 *
 * x86_state names an event by its vector alone, KVM also by its kind.  The kinds are told apart by the vector: an
 * exception has an error code or a vector that only exceptions without one use; all else below 32 is an interrupt of a
 * guest that left the 8259A at vector 8, as the BIOS does.  A software interrupt needs no telling: RIP still points at
 * the instruction, which will run again. */
#include "hwaccel/hw.h"
#include <sys/ioctl.h>

#define NMI_VECTOR 2

static bool is_exception(const struct x86_event *e)
{
    static const uint32_t without_error =
        1u << 0 | 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 16 | 1u << 18 | 1u << 19 | 1u << 20;
    return e->vector < 32 && (e->has_error || without_error >> e->vector & 1);
}

void hw_get_events(struct hw_vcpu *v, struct x86_state *out)
{
    struct kvm_vcpu_events k = {0};
    if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &k) != 0)
        return hw_refused(v, "events (KVM_GET_VCPU_EVENTS)");
    if (k.exception.injected)
        out->event = (struct x86_event){.pending = true,
                                        .vector = k.exception.nr,
                                        .has_error = k.exception.has_error_code,
                                        .error = k.exception.has_error_code ? k.exception.error_code : 0};
    else if (k.nmi.injected)
        out->event = (struct x86_event){.pending = true, .vector = NMI_VECTOR};
    else if (k.interrupt.injected && !k.interrupt.soft)
        out->event = (struct x86_event){.pending = true, .vector = k.interrupt.nr};
    out->nmi_pending = k.nmi.pending;
    out->nmi_blocked = k.nmi.masked && !k.nmi.injected; /* kvm-amd blocks NMIs before, kvm-intel after the delivery */
    out->sti_shadow = k.interrupt.shadow & KVM_X86_SHADOW_INT_STI;
    out->mov_ss_shadow = k.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
}

void hw_set_events(struct hw_vcpu *v, const struct x86_state *in)
{
    const struct x86_event *e = &in->event;
    struct kvm_vcpu_events k = {
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
        .nmi = {.pending = in->nmi_pending, .masked = in->nmi_blocked},
        .interrupt.shadow =
            (in->sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) | (in->mov_ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0),
    };
    if (e->pending && !e->soft) {
        if (e->vector == NMI_VECTOR) {
            k.nmi.injected = 1; /* and not blocked: VT-x refuses both at once, and blocks the next one itself */
            k.nmi.masked = 0;
        } else if (is_exception(e)) {
            k.exception.injected = 1;
            k.exception.nr = e->vector;
            k.exception.has_error_code = e->has_error;
            k.exception.error_code = e->error;
        } else {
            k.interrupt.injected = 1;
            k.interrupt.nr = e->vector;
        }
    }
    if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, &k) != 0)
        hw_refused(v, "events (KVM_SET_VCPU_EVENTS)");
}
