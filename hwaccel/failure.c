// SPDX-License-Identifier: GPL-2.0-or-later
/* failure.c - the sentence that says why KVM cannot go on, with what a report needs: reason, registers, code bytes. */
#include "hwaccel/hw.h"
#include <sys/ioctl.h>

static const char *internal_error(uint32_t suberror)
{
    switch (suberror) {
    case KVM_INTERNAL_ERROR_EMULATION: return "it met an instruction that it cannot emulate";
    case KVM_INTERNAL_ERROR_SIMUL_EX: return "exceptions came at the same time";
    case KVM_INTERNAL_ERROR_DELIVERY_EV: return "an exit came in the middle of delivering an event";
    case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON: return "the CPU exited for a reason that KVM does not know";
    default: return "no known reason";
    }
}

/* Where VT-x has no "unrestricted guest" (Intel before 2010, or kvm_intel told so), real-mode code that does not look like
 * virtual 8086 mode, and what is half way out of it, is KVM's emulator's. */
const char *hw_emulator_advice(void)
{
    g_autofree char *value = NULL;
    bool known = g_file_get_contents("/sys/module/kvm_intel/parameters/unrestricted_guest", &value, NULL, NULL);
    return known && *value == 'N'
               ? "; on this host much of real mode is emulated (kvm_intel has unrestricted_guest=N), "
                 "which the engine soft runs"
               : "";
}

static void add_reason(GString *s, const struct hw_vcpu *v, int run_errno)
{
    const struct kvm_run *run = v->run;
    if (run_errno)
        g_string_append_printf(s, "KVM_RUN failed: %s", g_strerror(run_errno));
    else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        g_string_append_printf(s, "KVM cannot run this code: %s (internal error %u)%s",
                               internal_error(run->internal.suberror), run->internal.suberror,
                               run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ? v->vm->emulator_advice : "");
    else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
        g_string_append_printf(s, "The CPU refused to enter the guest (hardware reason 0x%llx)",
                               (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
    else
        g_string_append_printf(s, "KVM stopped with exit reason %u, which is not known here", run->exit_reason);
}

static void add_code(GString *s, struct hw_vcpu *v, uint64_t linear)
{
    bool any = false;
    for (unsigned i = 0; i < 15; i++) {
        struct kvm_translation t = {.linear_address = linear + i};
        uint8_t byte;
        if (ioctl(v->fd, KVM_TRANSLATE, &t) != 0 || !t.valid || !hw_peek(v->vm, t.physical_address, &byte, 1))
            break;
        g_string_append_printf(s, "%s%02x", any ? " " : "; code ", byte);
        any = true;
    }
    if (!any)
        g_string_append(s, "; no code is mapped there");
}

static void add_registers(GString *s, struct hw_vcpu *v)
{
    static const char *const name[16] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp",
                                         "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    struct kvm_regs r;
    struct kvm_sregs sr;
    if (ioctl(v->fd, KVM_GET_REGS, &r) != 0 || ioctl(v->fd, KVM_GET_SREGS, &sr) != 0)
        return;
    g_string_append_printf(s, "; virtual CPU %u at cs:rip %04x:%llx, %s code", v->index, sr.cs.selector,
                           (unsigned long long)r.rip,
                           sr.cs.l    ? "64-bit"
                           : sr.cs.db ? "32-bit"
                                      : "16-bit");
    add_code(s, v, sr.cs.base + r.rip);
    g_string_append(s, ";");
    for (unsigned i = 0; i < 16; i++)
        g_string_append_printf(s, " %s=%llx", name[i], (&r.rax)[i]);
    g_string_append_printf(s, " rflags=%llx cr0=%llx cr2=%llx cr3=%llx cr4=%llx efer=%llx", r.rflags, sr.cr0, sr.cr2,
                           sr.cr3, sr.cr4, sr.efer);
}

char *hw_describe_failure(struct hw_vcpu *v, int run_errno)
{
    GString *s = g_string_new(NULL);
    add_reason(s, v, run_errno);
    add_registers(s, v);
    return g_string_free(s, FALSE);
}
