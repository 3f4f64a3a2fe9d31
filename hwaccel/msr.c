// SPDX-License-Identifier: GPL-2.0-or-later
/* msr.c - the model-specific registers of struct x86_state.  IA32_TSC is tsc.c's, IA32_APIC_BASE is KVM's "sregs". */
#include "hwaccel/hw.h"
#include <stddef.h>
#include <sys/ioctl.h>

struct hw_msr {
    uint32_t index;
    uint32_t offset; /* in struct x86_state */
};
#define FIELD(f) offsetof(struct x86_state, f)

static const struct hw_msr all[] = {
    {0x3b, FIELD(tsc_adjust)},           {0x48, FIELD(spec_ctrl)},
    {0x174, FIELD(sysenter_cs)},         {0x175, FIELD(sysenter_esp)},
    {0x176, FIELD(sysenter_eip)},        {0x1a0, FIELD(misc_enable)},
    {0x200, FIELD(mtrr_base[0])},        {0x201, FIELD(mtrr_mask[0])},
    {0x202, FIELD(mtrr_base[1])},        {0x203, FIELD(mtrr_mask[1])},
    {0x204, FIELD(mtrr_base[2])},        {0x205, FIELD(mtrr_mask[2])},
    {0x206, FIELD(mtrr_base[3])},        {0x207, FIELD(mtrr_mask[3])},
    {0x208, FIELD(mtrr_base[4])},        {0x209, FIELD(mtrr_mask[4])},
    {0x20a, FIELD(mtrr_base[5])},        {0x20b, FIELD(mtrr_mask[5])},
    {0x20c, FIELD(mtrr_base[6])},        {0x20d, FIELD(mtrr_mask[6])},
    {0x20e, FIELD(mtrr_base[7])},        {0x20f, FIELD(mtrr_mask[7])},
    {0x250, FIELD(mtrr_fixed[0])},       {0x258, FIELD(mtrr_fixed[1])},
    {0x259, FIELD(mtrr_fixed[2])},       {0x268, FIELD(mtrr_fixed[3])},
    {0x269, FIELD(mtrr_fixed[4])},       {0x26a, FIELD(mtrr_fixed[5])},
    {0x26b, FIELD(mtrr_fixed[6])},       {0x26c, FIELD(mtrr_fixed[7])},
    {0x26d, FIELD(mtrr_fixed[8])},       {0x26e, FIELD(mtrr_fixed[9])},
    {0x26f, FIELD(mtrr_fixed[10])},      {0x277, FIELD(pat)},
    {0x2ff, FIELD(mtrr_def_type)},       {0xda0, FIELD(xss)},
    {0xc0000081, FIELD(star)},           {0xc0000082, FIELD(lstar)},
    {0xc0000083, FIELD(cstar)},          {0xc0000084, FIELD(sfmask)},
    {0xc0000102, FIELD(kernel_gs_base)}, {0xc0000103, FIELD(tsc_aux)},
};

struct one_msr {
    struct kvm_msrs head;
    struct kvm_msr_entry entry;
};

static bool read_from(int fd, uint32_t index, uint64_t *value)
{
    struct one_msr k = {.head.nmsrs = 1, .entry.index = index};
    if (ioctl(fd, KVM_GET_MSRS, &k) != 1)
        return false;
    *value = k.entry.data;
    return true;
}

bool hw_read_msr(struct hw_vcpu *v, uint32_t index, uint64_t *value)
{
    return read_from(v->fd, index, value);
}

bool hw_feature_msr(struct hw_vcpu *v, uint32_t index, uint64_t *value)
{
    return read_from(v->vm->kvm_fd, index, value);
}

bool hw_write_msr(struct hw_vcpu *v, uint32_t index, uint64_t value)
{
    struct one_msr k = {.head.nmsrs = 1, .entry = {.index = index, .data = value}};
    return ioctl(v->fd, KVM_SET_MSRS, &k) == 1;
}

/* Which of them this host and CPU model have: asked one by one, for the kernel's list leaves out the MTRRs. */
void hw_msrs_init(struct hw_vcpu *v)
{
    uint64_t value;
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        const struct hw_msr *m = &all[i];
        if (hw_read_msr(v, m->index, &value))
            g_array_append_val(v->msrs, m);
    }
}

static const struct hw_msr *msr(const struct hw_vcpu *v, unsigned i)
{
    return g_array_index(v->msrs, const struct hw_msr *, i);
}

struct msr_batch {
    struct kvm_msrs head;
    struct kvm_msr_entry entry[G_N_ELEMENTS(all)];
};

void hw_get_msrs(struct hw_vcpu *v, struct x86_state *out)
{
    struct msr_batch k = {.head.nmsrs = v->msrs->len};
    for (unsigned i = 0; i < v->msrs->len; i++)
        k.entry[i].index = msr(v, i)->index;
    if (ioctl(v->fd, KVM_GET_MSRS, &k) != (int)v->msrs->len)
        return hw_refused(v, "model-specific registers (KVM_GET_MSRS)");
    for (unsigned i = 0; i < v->msrs->len; i++)
        *(uint64_t *)((uint8_t *)out + msr(v, i)->offset) = k.entry[i].data;
}

static void warn_refused(struct hw_vcpu *v, const struct kvm_msr_entry *e)
{
    uint64_t now;
    if (!hw_read_msr(v, e->index, &now) || now != e->data)
        g_warning("KVM refused MSR 0x%x = 0x%llx of virtual CPU %u", e->index, (unsigned long long)e->data, v->index);
}

/* KVM stops at the first one that it refuses.  A value that this host cannot take (a mitigation it does not have) is left
 * out with a warning: the guest can live without. */
void hw_set_msrs(struct hw_vcpu *v, const struct x86_state *in)
{
    for (unsigned done = 0; done < v->msrs->len;) {
        struct msr_batch k = {.head.nmsrs = v->msrs->len - done};
        for (unsigned i = done; i < v->msrs->len; i++)
            k.entry[i - done] = (struct kvm_msr_entry){
                .index = msr(v, i)->index, .data = *(const uint64_t *)((const uint8_t *)in + msr(v, i)->offset)};
        int accepted = ioctl(v->fd, KVM_SET_MSRS, &k);
        if (accepted < 0)
            return hw_refused(v, "model-specific registers (KVM_SET_MSRS)");
        done += accepted;
        if (done < v->msrs->len) {
            warn_refused(v, &k.entry[accepted]);
            done++;
        }
    }
}
