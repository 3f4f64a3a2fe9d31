// SPDX-License-Identifier: GPL-2.0-or-later
/* cpuid.c - what CPUID tells the guest: what KVM supports, less what struct x86_state does not carry (a guest that used it
 * could not be saved), with our topology: one package, a core per vCPU, one thread per core, APIC ID = index.
 *
 * The tables name what is let through, so that features of later CPUs and kernels stay hidden until somebody has looked at
 * them.  Left out on purpose: MONITOR/MWAIT, VMX and SVM, performance counters, debug store, PT, SGX, TSX, AMX, CET, MPX,
 * machine-check banks, supervisor XSAVE components, KVM's paravirtual leaves. */
#include "hw.h"
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

static const struct leaf host_model[] = {
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
     /* avx512vbmi umip pku ospke vbmi2 gfni vaes vpclmulqdq vnni bitalg vpopcntdq la57 rdpid cldemote movdiri movdir64b */
     BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | BIT(16) |
         BIT(22) | BIT(25) | BIT(27) | BIT(28),
     /* fsrm vp2intersect md_clear serialize avx512fp16 spec_ctrl stibp flush_l1d arch_capabilities ssbd */
     BIT(4) | BIT(8) | BIT(10) | BIT(14) | BIT(23) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(31)},
    /* avx_vnni avx512bf16 fzrm fsrs fsrc avx_ifma; avx_vnni_int8 avx_ne_convert prefetchi */
    {7, 1, BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12) | BIT(23), 0, 0, BIT(4) | BIT(5) | BIT(14)},
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
    /* clzero xsaveerptr wbnoinvd ibpb ibrs stibp ibrs_always stibp_always ibrs_preferred ssbd ssb_no psfd */
    {0x80000008, 0, ALL,
     BIT(0) | BIT(2) | BIT(9) | BIT(12) | BIT(14) | BIT(15) | BIT(16) | BIT(17) | BIT(18) | BIT(24) | BIT(26) | BIT(28),
     ALL, 0},
    {0x8000001d, ALL, ALL, ALL, ALL, ALL},
    {0x8000001e, 0, ALL, ALL, ALL, ALL},
    /* no_nested_data_bp lfence_serializing null_sel_clears_base automatic_ibrs */
    {0x80000021, 0, BIT(0) | BIT(2) | BIT(6) | BIT(8), 0, 0, 0},
};

/* The psABI's x86-64-v2 level and what an operating system needs beside it.  The same on every host of one vendor. */
static const struct leaf v2_model[] = {
    {0, 0, ALL, ALL, ALL, ALL},
    /* sse3 ssse3 cx16 sse4.1 sse4.2 x2apic popcnt deadline */
    {1, 0, ALL, ALL, BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24),
     L1_EDX & ~(BIT(1) | BIT(27)) /* no vme, ss */},
    {7, 0, 0, BIT(1) /* tsc_adjust */, 0, 0},
    {0x80000000, 0, ALL, ALL, ALL, ALL},
    /* lahf cmp_legacy; syscall nx lm */
    {0x80000001, 0, ALL, 0, BIT(0) | BIT(1), (L1_EDX_AMD & ~BIT(1)) | BIT(11) | BIT(20) | BIT(29)},
    {0x80000002, 0, ALL, ALL, ALL, ALL},
    {0x80000003, 0, ALL, ALL, ALL, ALL},
    {0x80000004, 0, ALL, ALL, ALL, ALL},
    {0x80000007, 0, 0, 0, 0, BIT(8) /* invariant tsc */},
    {0x80000008, 0, ALL, 0, ALL, 0},
};
#define V2_SIGNATURE 0x000206c0 /* a plain 64-bit family 6; the software engine says the same */

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

static const struct leaf *model_find(const struct leaf *model, unsigned n, const struct kvm_cpuid_entry2 *e)
{
    for (unsigned i = 0; i < n; i++)
        if (model[i].function == e->function && (model[i].index == ALL || model[i].index == e->index))
            return &model[i];
    return NULL;
}

static void keep_model(struct leaves *l, const struct leaf *model, unsigned n)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < l->head.nent; i++) {
        struct kvm_cpuid_entry2 e = l->entry[i];
        const struct leaf *m = model_find(model, n, &e);
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

/* ---- topology ---- */

static unsigned id_bits(unsigned cpus)
{
    return cpus > 1 ? 32 - __builtin_clz(cpus - 1) : 0;
}

/* Caches (Intel leaf 4, AMD leaf 0x8000001d): the last level belongs to the package, the others to a core. */
static void cache_leaf(struct kvm_cpuid_entry2 *e, unsigned cpus, bool intel)
{
    unsigned level = e->eax >> 5 & 7, sharing = level >= 3 ? cpus - 1 : 0;
    if (!(e->eax & 31))
        return;
    e->eax = (e->eax & 0x3fff) | sharing << 14;
    if (intel)
        e->eax |= ((1u << id_bits(cpus)) - 1) << 26;
}

static void extended_topology(struct leaves *l, unsigned index, unsigned cpus)
{
    enum { THREAD = 1, CORE = 2 };
    leaf_add(l, (struct kvm_cpuid_entry2){.function = 0xb,
                                          .index = 0,
                                          .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                                          .eax = 0,
                                          .ebx = 1,
                                          .ecx = THREAD << 8,
                                          .edx = index});
    leaf_add(l, (struct kvm_cpuid_entry2){.function = 0xb,
                                          .index = 1,
                                          .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                                          .eax = id_bits(cpus),
                                          .ebx = cpus,
                                          .ecx = CORE << 8 | 1,
                                          .edx = index});
}

static bool is_amd(struct leaves *l)
{
    uint32_t vendor = leaf_find(l, 0, 0)->ebx;
    return !memcmp(&vendor, "Auth", 4) || !memcmp(&vendor, "Hygo", 4);
}

static void topology_leaf(struct kvm_cpuid_entry2 *e, unsigned index, unsigned cpus, bool amd)
{
    switch (e->function) {
    case 1:
        e->ebx = (e->ebx & 0xff00) | cpus << 16 | index << 24;
        e->edx = (e->edx & ~L1_EDX_HTT) | (cpus > 1 ? L1_EDX_HTT : 0);
        break;
    case 4: cache_leaf(e, cpus, true); break;
    case 0x80000001: e->ecx = (e->ecx & ~AMD_CMP_LEGACY) | (cpus > 1 && e->ecx & AMD_CMP_LEGACY); break;
    case 0x80000008: e->ecx = amd ? (cpus - 1) | id_bits(cpus) << 12 : 0; break;
    case 0x8000001d: cache_leaf(e, cpus, false); break;
    case 0x8000001e: /* APIC ID; core ID, one thread per core; one node */
        e->eax = index;
        e->ebx = index & 0xff;
        e->ecx = e->edx = 0;
        break;
    }
}

/* ---- the rest ---- */

static void common_features(struct leaves *l, struct hw_vm *vm)
{
    struct kvm_cpuid_entry2 *e = leaf_find(l, 1, 0);
    bool deadline = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    e->ecx &= ~(L1_ECX_DEADLINE | L1_ECX_X2APIC);
    e->ecx |= L1_ECX_HYPERVISOR;
    if (vm->chips->in_kernel)
        e->ecx |= L1_ECX_X2APIC | (deadline ? L1_ECX_DEADLINE : 0);
}

static void v2_identity(struct leaves *l)
{
    static const char brand[48] = "Terrarium x86-64-v2 virtual CPU";
    struct kvm_cpuid_entry2 *e;
    leaf_find(l, 1, 0)->eax = V2_SIGNATURE;
    if ((e = leaf_find(l, 0x80000001, 0)))
        e->eax = V2_SIGNATURE;
    for (unsigned i = 0; i < 3; i++)
        if ((e = leaf_find(l, 0x80000002 + i, 0)))
            memcpy(&e->eax, brand + 16 * i, 16);
}

/* A name, and the TSC's rate where other hypervisors tell it (VMware's leaf 0x40000010). */
static void hypervisor_leaves(struct leaves *l, struct hw_vcpu *v)
{
    struct kvm_cpuid_entry2 name = {.function = 0x40000000, .eax = 0x40000010}, rate = {.function = 0x40000010};
    int khz = ioctl(v->fd, KVM_GET_TSC_KHZ);
    memcpy(&name.ebx, "TerrariumVMM", 12);
    rate.eax = khz > 0 ? khz : 0;
    rate.ebx = 1000000; /* the local APIC timer's, kHz: KVM's runs at 1 GHz */
    leaf_add(l, name);
    leaf_add(l, rate);
}

bool hw_cpuid_init(struct hw_vcpu *v, GError **error)
{
    struct hw_vm *vm = v->vm;
    unsigned cpus = vm->config->cpus;
    g_autofree struct leaves *l = g_new0(struct leaves, 1);
    l->head.nent = MAX_LEAVES;
    if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, l) != 0)
        return hw_failed(error, "the CPU's features cannot be asked for (KVM_GET_SUPPORTED_CPUID)");
    if (!leaf_find(l, 0, 0) || !leaf_find(l, 1, 0)) {
        errno = EIO;
        return hw_failed(error, "KVM_GET_SUPPORTED_CPUID names no CPU");
    }
    if (!strcmp(vm->config->model, "host")) {
        keep_model(l, host_model, G_N_ELEMENTS(host_model));
        xsave_leaves(l);
    } else {
        keep_model(l, v2_model, G_N_ELEMENTS(v2_model));
        v2_identity(l);
    }
    common_features(l, vm);
    extended_topology(l, v->index, cpus);
    hypervisor_leaves(l, v);
    for (unsigned i = 0; i < l->head.nent; i++)
        topology_leaf(&l->entry[i], v->index, cpus, is_amd(l));
    set_limits(l);
    return ioctl(v->fd, KVM_SET_CPUID2, l) == 0 || hw_failed(error, "CPUID cannot be set (KVM_SET_CPUID2)");
}
