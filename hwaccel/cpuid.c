// SPDX-License-Identifier: GPL-2.0-or-later
/* cpuid.c - what CPUID tells the guest.  Model host: what KVM supports, less what struct x86_state does not carry (a guest
 * that used it could not be saved).  The hypervisor's leaves, the topology and the models x86-64-v1 to -v4 are
 * those of core-vmm/base/cpu_model.c, in which all engines agree.
 *
 * A table names what is let through, so that features of later CPUs and kernels stay hidden until somebody has looked at
 * them.  Left out on purpose: MONITOR/MWAIT, VMX and SVM, performance counters, debug store, PT, SGX, TSX, AMX, CET, MPX,
 * 5-level paging, machine-check banks, supervisor XSAVE components, KVM's paravirtual features. */
#include "hwaccel/hw.h"
#include "core-vmm/base/cpu_model.h"
#include "core-vmm/base/host_cpu.h"
#include <string.h>
#include <sys/ioctl.h>

#define BIT(n) (1u << (n))
#define ALL    0xffffffffu

struct leaf {
    uint32_t function, index, eax, ebx, ecx, edx;
};

enum {
    L1_ECX_X2APIC = BIT(21),
    L1_ECX_DEADLINE = BIT(24),
    L1_ECX_HYPERVISOR = BIT(31),
    L1_EDX_HTT = BIT(28),
    AMD_CMP_LEGACY = BIT(1),
};

/* fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ss htt */
#define L1_EDX                                                                                                         \
    (BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(11) | BIT(12) |     \
     BIT(13) | BIT(14) | BIT(15) | BIT(16) | BIT(17) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(27) |     \
     BIT(28))
/* what AMD repeats of them at 0x80000001 */
#define L1_EDX_AMD (L1_EDX & ~(BIT(11) | BIT(19) | BIT(25) | BIT(26) | BIT(27) | BIT(28)))

static const struct leaf known[] = {
    {0, 0, ALL, ALL, ALL, ALL},
    /* sse3 pclmul ssse3 fma cx16 pcid sse4.1 sse4.2 x2apic movbe popcnt deadline aes xsave osxsave avx f16c rdrand */
    {1, 0, ALL, ALL,
     BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | BIT(21) | BIT(22) | BIT(23) |
         BIT(24) | BIT(25) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(30),
     L1_EDX},
    {2, 0, ALL, ALL, ALL, ALL},
    {4, ALL, ALL, ALL, ALL, ALL},
    {6, 0, BIT(2) /* arat */, 0, 0, 0},
    {7, 0, ALL,
     /* fsgsbase tsc_adjust bmi1 avx2 fdp_excptn_only smep bmi2 erms invpcid no_fpu_cs_ds avx512f dq rdseed adx smap ifma
      * clflushopt clwb avx512cd sha bw vl */
     BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(13) | BIT(16) | BIT(17) |
         BIT(18) | BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | BIT(31),
     /* avx512vbmi umip pku ospke vbmi2 gfni vaes vpclmulqdq vnni bitalg vpopcntdq rdpid cldemote movdiri movdir64b */
     BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | BIT(22) |
         BIT(25) | BIT(27) | BIT(28),
     /* fsrm vp2intersect md_clear serialize avx512fp16 spec_ctrl stibp flush_l1d arch_capabilities ssbd */
     BIT(4) | BIT(8) | BIT(10) | BIT(14) | BIT(23) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(31)},
    /* avx_vnni avx512bf16 fzrm fsrs fsrc avx_ifma; avx_vnni_int8 avx_ne_convert prefetchi */
    {7, 1, BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12) | BIT(23), 0, 0, BIT(4) | BIT(5) | BIT(14)},
    /* psfd ipred_ctrl rrsba_ctrl ddpd_u bhi_ctrl mcdt_no: bits of SPEC_CTRL, and a fact */
    {7, 2, 0, 0, 0, BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5)},
    {0xd, ALL, ALL, ALL, ALL, ALL}, /* see xsave_leaf() */
    {0x80000000, 0, ALL, ALL, ALL, ALL},
    /* lahf cmp_legacy cr8_legacy abm sse4a misalignsse 3dnowprefetch xop fma4 tbm topoext */
    {0x80000001, 0, ALL, ALL,
     BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21) | BIT(22),
     /* syscall nx mmxext fxsr_opt pdpe1gb rdtscp lm 3dnowext 3dnow */
     L1_EDX_AMD | BIT(11) | BIT(20) | BIT(22) | BIT(25) | BIT(26) | BIT(27) | BIT(29) | BIT(30) | BIT(31)},
    {0x80000002, 0, ALL, ALL, ALL, ALL},
    {0x80000003, 0, ALL, ALL, ALL, ALL},
    {0x80000004, 0, ALL, ALL, ALL, ALL},
    {0x80000005, 0, ALL, ALL, ALL, ALL},
    {0x80000006, 0, ALL, ALL, ALL, ALL},
    {0x80000007, 0, 0, 0, 0, BIT(8) /* invariant tsc */},
    /* clzero xsaveerptr wbnoinvd ibpb ibrs stibp ibrs_always stibp_always ibrs_preferred ibrs_same_mode ssbd ssb_no psfd
     * btc_no ibpb_ret */
    {0x80000008, 0, ALL,
     BIT(0) | BIT(2) | BIT(9) | BIT(12) | BIT(14) | BIT(15) | BIT(16) | BIT(17) | BIT(18) | BIT(19) | BIT(24) |
         BIT(26) | BIT(28) | BIT(29) | BIT(30),
     ALL, 0},
    {0x8000001d, ALL, ALL, ALL, ALL, ALL},
    {0x8000001e, 0, ALL, ALL, ALL, ALL},
    /* no_nested_data_bp lfence_serializing verw_clear null_sel_clears_base automatic_ibrs sbpb ibpb_brtype srso_no
     * srso_user_kernel_no; tsa_sq_no tsa_l1_no */
    {0x80000021, 0, BIT(0) | BIT(2) | BIT(5) | BIT(6) | BIT(8) | BIT(27) | BIT(28) | BIT(29) | BIT(30), 0,
     BIT(1) | BIT(2), 0},
};

#define MAX_LEAVES 256
struct leaves {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entry[MAX_LEAVES];
};

static struct kvm_cpuid_entry2 *leaf_find(struct leaves *l, uint32_t function, uint32_t index)
{
    for (unsigned i = 0; i < l->head.nent; i++)
        if (l->entry[i].function == function && l->entry[i].index == index)
            return &l->entry[i];
    return NULL;
}

static const struct leaf *known_find(const struct kvm_cpuid_entry2 *e)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
        if (known[i].function == e->function && (known[i].index == ALL || known[i].index == e->index))
            return &known[i];
    return NULL;
}

static void keep_known(struct leaves *l)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < l->head.nent; i++) {
        struct kvm_cpuid_entry2 e = l->entry[i];
        const struct leaf *m = known_find(&e);
        if (!m)
            continue;
        e.eax &= m->eax;
        e.ebx &= m->ebx;
        e.ecx &= m->ecx;
        e.edx &= m->edx;
        l->entry[kept++] = e;
    }
    l->head.nent = kept;
}

static void leaf_add(struct leaves *l, struct kvm_cpuid_entry2 e)
{
    if (l->head.nent < MAX_LEAVES)
        l->entry[l->head.nent++] = e;
}

static void leaf_remove(struct leaves *l, struct kvm_cpuid_entry2 *e)
{
    memmove(e, e + 1, (l->entry + --l->head.nent - e) * sizeof *e);
}

/* The highest leaves there are, for 0 and 0x80000000. */
static void set_limits(struct leaves *l)
{
    uint32_t basic = 0, extended = 0x80000000;
    for (unsigned i = 0; i < l->head.nent; i++) {
        uint32_t f = l->entry[i].function;
        if (f < 0x40000000)
            basic = MAX(basic, f);
        else if (f > extended)
            extended = f;
    }
    leaf_find(l, 0, 0)->eax = basic;
    struct kvm_cpuid_entry2 *e = leaf_find(l, 0x80000000, 0);
    if (e)
        e->eax = extended;
}

/* ---- XSAVE: only components that fit x86_state.xsave in the standard layout, none of the supervisor's ---- */

static void xsave_leaves(struct leaves *l)
{
    struct kvm_cpuid_entry2 *main = leaf_find(l, 0xd, 0), *e;
    uint64_t fits = 3;
    if (!main)
        return;
    for (unsigned i = 2; i < 63; i++)
        if ((e = leaf_find(l, 0xd, i)) && !(e->ecx & 1) && e->ebx + e->eax <= X86_XSAVE_BYTES)
            fits |= 1ull << i;
    fits &= 0x2e7; /* x87 sse avx avx512 pkru: not MPX, AMX and what is to come */
    main->eax &= fits;
    main->edx = 0;
    for (unsigned i = 2; i < 63; i++)
        if ((e = leaf_find(l, 0xd, i)) && !(main->eax >> MIN(i, 31) & 1))
            leaf_remove(l, e);
    if ((e = leaf_find(l, 0xd, 1))) {
        e->eax &= BIT(0) | BIT(1) | BIT(2) | BIT(3); /* xsaveopt xsavec xgetbv1 xsaves */
        e->ecx = e->edx = 0;
    }
}

/* ---- what comes from cpu_model.c ---- */

static struct cpu_model describe(struct hw_vcpu *v, struct leaves *host)
{
    struct hw_vm *vm = v->vm;
    const struct kvm_cpuid_entry2 *vendor = leaf_find(host, 0, 0), *sizes = leaf_find(host, 0x80000008, 0);
    struct cpu_model c = {
        .gpa_bits = sizes ? sizes->eax & 0xff : 36,
        .cpus = vm->config->cpus / MAX(vm->config->sockets, 1),
        .index = v->index,
        .tsc_khz = vm->config->tsc_khz,
        .vmware = vm->config->vmware,
        .hyperv = vm->config->hyperv,
        .x2apic = vm->chips->in_kernel,
        .deadline = vm->chips->in_kernel && ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
    };
    memcpy(c.vendor, &vendor->ebx, 4);
    memcpy(c.vendor + 4, &vendor->edx, 4);
    memcpy(c.vendor + 8, &vendor->ecx, 4);
    for (unsigned i = 2; i < G_N_ELEMENTS(c.xsave); i++) {
        const struct kvm_cpuid_entry2 *e = leaf_find(host, 0xd, i);
        c.xsave[i].size = e ? e->eax : 0;
        c.xsave[i].offset = e ? e->ebx : 0;
    }
    return c;
}

static void add_answer(struct leaves *l, uint32_t leaf, uint32_t subleaf, bool by_index, const uint32_t answer[4])
{
    leaf_add(l, (struct kvm_cpuid_entry2){.function = leaf,
                                          .index = subleaf,
                                          .flags = by_index ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
                                          .eax = answer[0],
                                          .ebx = answer[1],
                                          .ecx = answer[2],
                                          .edx = answer[3]});
}

/* ---- models x86-64-v1 to x86-64-v4 ---- */

static uint32_t word(struct leaves *host, uint32_t leaf, uint32_t index, size_t reg)
{
    const struct kvm_cpuid_entry2 *e = leaf_find(host, leaf, index);
    return e ? *(const uint32_t *)((const uint8_t *)e + reg) : 0;
}
#define WORD(leaf, index, reg) word(host, leaf, index, offsetof(struct kvm_cpuid_entry2, reg))

static bool host_fits(struct leaves *host, int level, GError **error)
{
    const uint32_t words[CPU_WORDS] = {
        [CPU_1_ECX] = WORD(1, 0, ecx),
        [CPU_1_EDX] = WORD(1, 0, edx),
        [CPU_7_EBX] = WORD(7, 0, ebx),
        [CPU_EXT_ECX] = WORD(0x80000001, 0, ecx),
        [CPU_EXT_EDX] = WORD(0x80000001, 0, edx),
        [CPU_D1_EAX] = WORD(0xd, 1, eax),
        [CPU_XCR0] = WORD(0xd, 0, eax),
    };
    return cpu_model_fits(level, words, error);
}

static void level_model(struct leaves *l, const struct cpu_model *c, int level)
{
    unsigned n;
    const struct cpu_model_leaf *leaves = cpu_model_leaves(level, &n);
    l->head.nent = 0;
    for (unsigned i = 0; i < n; i++) {
        uint32_t answer[4];
        cpu_model_level(c, level, leaves[i].leaf, leaves[i].subleaf, answer);
        add_answer(l, leaves[i].leaf, leaves[i].subleaf, leaves[i].by_index, answer);
    }
}

/* ---- model host ---- */

/* KVM keeps these to itself; they are words and sizes, which the guest may know. */
static void identity_leaf(struct kvm_cpuid_entry2 *e)
{
    if (e->function < 0x80000002 || e->function > 0x80000005)
        return;
    uint32_t r[4];
    host_cpuid(e->function, 0, r);
    e->eax = r[0];
    e->ebx = r[1];
    e->ecx = r[2];
    e->edx = r[3];
}

static void topology_leaf(struct kvm_cpuid_entry2 *e, const struct cpu_model *c)
{
    switch (e->function) {
    case 1:
        e->ebx = cpu_model_1_ebx(c);
        e->edx = (e->edx & ~L1_EDX_HTT) | (c->cpus > 1 ? L1_EDX_HTT : 0);
        e->ecx &= ~(L1_ECX_DEADLINE | L1_ECX_X2APIC);
        e->ecx |= L1_ECX_HYPERVISOR | (c->x2apic ? L1_ECX_X2APIC : 0) | (c->deadline ? L1_ECX_DEADLINE : 0);
        break;
    case 4:
    case 0x8000001d: e->eax = cpu_model_cache_eax(c, e->eax); break;
    case 0x80000001: e->ecx = (e->ecx & ~AMD_CMP_LEGACY) | (c->cpus > 1 ? e->ecx & AMD_CMP_LEGACY : 0); break;
    case 0x80000008: /* 48 bits of linear address: no 5-level paging */
        e->eax = (e->eax & 0xff) | 48 << 8;
        e->ecx = cpu_model_cores_ecx(c);
        break;
    case 0x8000001e: /* APIC ID; core ID, one thread per core; one node */
        e->eax = c->index;
        e->ebx = c->index & 0xff;
        e->ecx = e->edx = 0;
        break;
    }
}

static void add_common(struct leaves *l, const struct cpu_model *c)
{
    unsigned n;
    const struct cpu_model_leaf *leaves = cpu_model_leaves(CPU_MODEL_V1, &n);
    for (unsigned i = 0; i < n; i++) {
        uint32_t answer[4];
        if (cpu_model_common(c, leaves[i].leaf, leaves[i].subleaf, answer))
            add_answer(l, leaves[i].leaf, leaves[i].subleaf, leaves[i].by_index, answer);
    }
}

static void host_model(struct leaves *l, const struct cpu_model *c)
{
    keep_known(l);
    xsave_leaves(l);
    for (unsigned i = 0; i < l->head.nent; i++) {
        identity_leaf(&l->entry[i]);
        topology_leaf(&l->entry[i], c);
    }
    add_common(l, c);
    set_limits(l);
}

/* ---- both ---- */

/* Else a guest could use KVM's paravirtual features although CPUID says that there are none, and no saved state has them.
 * Linux before 5.10 cannot forbid it. */
static void forbid_paravirtual(struct hw_vcpu *v)
{
    struct kvm_enable_cap enforce = {.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = {1}};
    ioctl(v->fd, KVM_ENABLE_CAP, &enforce);
}

/* IA32_ARCH_CAPABILITIES is what KVM says that this host can have, less what has a register of its own that no saved state
 * carries.  Where KVM cannot be asked (before Linux 4.18), its own choice stays. */
static void set_capabilities(struct hw_vcpu *v, struct leaves *l)
{
    enum { INDEX = 0x10a, OFFERED = BIT(29) };
    const uint64_t controls = BIT(7) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(18) | BIT(21) | BIT(23) | BIT(25);
    const struct kvm_cpuid_entry2 *seven = leaf_find(l, 7, 0);
    uint64_t value;
    if (seven && seven->edx & OFFERED && hw_feature_msr(v, INDEX, &value) && !hw_write_msr(v, INDEX, value & ~controls))
        g_warning("KVM refused its own IA32_ARCH_CAPABILITIES, 0x%llx", (unsigned long long)value);
}

bool hw_cpuid_init(struct hw_vcpu *v, GError **error)
{
    g_autofree struct leaves *l = g_new0(struct leaves, 1);
    int level = cpu_model_parse(v->vm->config->model, error);
    if (level < 0)
        return false;
    l->head.nent = MAX_LEAVES;
    if (ioctl(v->vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, l) != 0)
        return hw_failed(error, "the CPU's features cannot be asked for (KVM_GET_SUPPORTED_CPUID)");
    if (!leaf_find(l, 0, 0) || !leaf_find(l, 1, 0)) {
        errno = EIO;
        return hw_failed(error, "KVM_GET_SUPPORTED_CPUID names no CPU");
    }
    struct cpu_model c = describe(v, l);
    if (level && !host_fits(l, level, error))
        return false;
    if (level)
        level_model(l, &c, level);
    else
        host_model(l, &c);
    if (ioctl(v->fd, KVM_SET_CPUID2, l) != 0)
        return hw_failed(error, "CPUID cannot be set (KVM_SET_CPUID2)");
    set_capabilities(v, l);
    forbid_paravirtual(v);
    return true;
}

void hw_cpuid(void *vcpu, uint32_t function, uint32_t index, uint32_t out[4])
{
    struct hw_vcpu *v = vcpu;
    g_autofree struct leaves *l = g_new0(struct leaves, 1);
    l->head.nent = MAX_LEAVES;
    const struct kvm_cpuid_entry2 *e = ioctl(v->fd, KVM_GET_CPUID2, l) == 0 ? leaf_find(l, function, index) : NULL;
    memset(out, 0, sizeof(uint32_t[4]));
    if (e)
        memcpy(out, (const uint32_t[4]){e->eax, e->ebx, e->ecx, e->edx}, sizeof(uint32_t[4]));
}

bool hw_cpu_can_virtualize(void)
{
    uint32_t one[4], extended[4];
    host_cpuid(1, 0, one);
    host_cpuid(0x80000001, 0, extended);
    return one[2] & BIT(5) /* VMX */ || extended[2] & BIT(2) /* SVM */;
}
