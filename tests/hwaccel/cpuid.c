// SPDX-License-Identifier: GPL-2.0-or-later
/* cpuid.c - what CPUID says under KVM, and that the software engine says the same where a saved state needs it. */
#include "core-vmm/base/cpu_model.h"
#include "patcher/patcher.h"
#include "tests/hwaccel/hwaccel_tests.h"
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { EAX, EBX, ECX, EDX };
#define HYPERVISOR (1u << 31)
#define X2APIC     (1u << 21)
#define DEADLINE   (1u << 24)

struct cpuid {
    uint32_t r[4];
};

static struct bare_machine *start(const struct cpu_engine *engine, unsigned cpus, const char *model)
{
    struct bare_machine *m = bare_new_model(engine, cpus, model, "");
    bare_load(m, CODE, g_tsc, g_tsc_end);
    for (unsigned i = 0; i < cpus; i++)
        bare_start64(m, i, CODE);
    return m;
}

static struct cpuid cpuid(struct bare_machine *m, unsigned cpu, uint32_t leaf, uint32_t index)
{
    struct cpuid c;
    bare_put(m, RESULT + 32, leaf, 4);
    bare_put(m, RESULT + 36, index, 4);
    bare_finish(m, cpu);
    memcpy(&c, m->memory + RESULT + 16, sizeof c);
    return c;
}

static void test_topology(const struct cpu_engine *engine)
{
    struct bare_machine *m = start(engine, 3, "host");
    for (unsigned i = 0; i < 3; i++) {
        struct cpuid one = cpuid(m, i, 1, 0);
        g_assert_cmpuint(one.r[EBX] >> 24, ==, i);
        g_assert_cmpuint(one.r[EBX] >> 16 & 0xff, >=, 3);
        g_assert_cmpuint(one.r[EDX] >> 28 & 1, ==, 1);
        g_assert_true(one.r[ECX] & HYPERVISOR);
        g_assert_cmpuint(one.r[ECX] >> 5 & 1, ==, 0); /* no VMX */
        g_assert_cmpuint(!!(one.r[ECX] & X2APIC), ==, !!engine->msi);
        struct cpuid core = cpuid(m, i, 0xb, 1);
        g_assert_cmpuint(core.r[EAX], ==, 2);
        g_assert_cmpuint(core.r[EBX], ==, 3);
        g_assert_cmpuint(core.r[EDX], ==, i);
        g_assert_cmpuint(cpuid(m, i, 0xb, 0).r[EBX], ==, 1);
        g_assert_cmpuint(cpuid(m, i, 0x80000001, 0).r[ECX] >> 2 & 1, ==, 0); /* no SVM */
    }
    bare_free(m);
}

static void test_v2_model(const struct cpu_engine *engine)
{
    struct bare_machine *m = start(engine, 1, "x86-64-v2");
    static const uint32_t v2 = 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23;
    struct cpuid vendor = cpuid(m, 0, 0, 0), one = cpuid(m, 0, 1, 0), extended = cpuid(m, 0, 0x80000001, 0);
    bool amd = !memcmp(&vendor.r[EBX], "Auth", 4);
    g_assert_cmphex(one.r[ECX] & v2, ==, v2);
    g_assert_cmphex(one.r[ECX] & (1u << 26 | 1u << 28 | 1u << 12), ==, 0); /* xsave avx fma */
    g_assert_cmphex(one.r[EAX] >> 8 & 15, ==, amd ? 15 : 6);               /* family, */
    g_assert_cmphex(one.r[EAX] >> 20 & 0xff, ==, amd ? 7 : 0);             /* and what is added to it */
    g_assert_cmphex(extended.r[ECX] & 1, ==, 1);
    g_assert_cmphex(extended.r[EDX] >> 29 & 1, ==, 1);
    g_assert_cmphex(cpuid(m, 0, 7, 0).r[EBX], ==, 2);
    g_assert_cmpuint(cpuid(m, 0, 0x80000002, 0).r[EAX], ==, 0x72726554); /* "Terr" */
    bare_free(m);
}

static void same(struct bare_machine *kvm, struct bare_machine *interp, unsigned cpu, const struct cpu_model_leaf *l,
                 uint32_t ecx)
{
    struct cpuid a = cpuid(kvm, cpu, l->leaf, l->subleaf), b = cpuid(interp, cpu, l->leaf, l->subleaf);
    if (l->leaf == 1) {
        a.r[ECX] |= ecx;
        b.r[ECX] |= ecx;
    }
    if (memcmp(&a, &b, sizeof a))
        g_test_message("leaf %x.%x of CPU %u", l->leaf, l->subleaf, cpu);
    for (unsigned i = 0; i < 4; i++)
        g_assert_cmphex(a.r[i], ==, b.r[i]);
}

static bool host_lacks(const char *model)
{
    struct cpu_vm vm = {.cpus = 1, .model = model, .options = ""};
    void *evm = interp_engine.vm_new(&vm, NULL);
    if (evm)
        interp_engine.vm_free(evm);
    return !evm;
}

/* Every leaf of a level, on every CPU, as software sees it that has enabled nothing yet. */
static void same_level(const struct cpu_engine *engine, int level)
{
    uint32_t without_chips = engine->msi ? 0 : X2APIC | DEADLINE; /* which the interpreter's machine always has */
    unsigned n;
    const struct cpu_model_leaf *leaves = cpu_model_leaves(level, &n);
    if (host_lacks(cpu_model_names[level]))
        return g_test_skip("this host's CPU is not of that level");
    struct bare_machine *kvm = start(engine, 3, cpu_model_names[level]),
                        *interp = start(&interp_engine, 3, cpu_model_names[level]);
    for (unsigned cpu = 0; cpu < 3; cpu++)
        for (unsigned i = 0; i < n; i++)
            same(kvm, interp, cpu, &leaves[i], without_chips);
    bare_free(kvm);
    bare_free(interp);
}

static void test_v1_same(const struct cpu_engine *engine)
{
    same_level(engine, CPU_MODEL_V1);
}

static void test_v2_same(const struct cpu_engine *engine)
{
    same_level(engine, CPU_MODEL_V2);
}

static void test_v3_same(const struct cpu_engine *engine)
{
    same_level(engine, CPU_MODEL_V3);
}

static void test_v4_same(const struct cpu_engine *engine)
{
    same_level(engine, CPU_MODEL_V4);
}

/* The host's own model has the features that each engine carries, but else the same CPUs in the same places. */
static void test_host_same(const struct cpu_engine *engine)
{
    static const struct cpu_model_leaf leaves[] = {{0xb, 0},     {0xb, 1},     {0xb, 2},     {0x40000000}, {0x40000001},
                                                   {0x40000010}, {0x80000002}, {0x80000003}, {0x80000004}};
    struct bare_machine *kvm = start(engine, 3, "host"), *interp = start(&interp_engine, 3, "host");
    for (unsigned cpu = 0; cpu < 3; cpu++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(leaves); i++)
            same(kvm, interp, cpu, &leaves[i], 0);
        struct cpuid a = cpuid(kvm, cpu, 1, 0), b = cpuid(interp, cpu, 1, 0);
        g_assert_cmphex(a.r[EAX], ==, b.r[EAX]);
        g_assert_cmphex(a.r[EBX], ==, b.r[EBX]);
        g_assert_cmphex(cpuid(kvm, cpu, 0x80000008, 0).r[ECX], ==, cpuid(interp, cpu, 0x80000008, 0).r[ECX]);
    }
    bare_free(kvm);
    bare_free(interp);
}

/* It has KVM's signature, but no clock behind the kernel's back: #GP, which ends in a triple fault for want of a handler. */
static void test_no_paravirtual(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    bool can_forbid = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ENFORCE_PV_FEATURE_CPUID) > 0;
    close(kvm);
    bare_load(m, CODE, g_pvclock, g_pvclock_end);
    bare_start64(m, 0, CODE);
    if (can_forbid)
        g_assert_cmpint(bare_run(m, 0), ==, CPU_STOP_RESET);
    else
        g_test_skip("this kernel cannot forbid them (KVM_CAP_ENFORCE_PV_FEATURE_CPUID)");
    bare_free(m);
}

/* Of the hazards of speculation the guest hears what KVM says, but for registers that a saved state does not have. */
static void test_capabilities(const struct cpu_engine *engine)
{
    enum { INDEX = 0x10a, TSX_CTRL = 1 << 7 };
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } said = {.head.nmsrs = 1, .entry.index = INDEX};
    struct bare_machine *m = start(engine, 1, "host");
    bool offered = cpuid(m, 0, 7, 0).r[EDX] >> 29 & 1;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    bool asked = ioctl(kvm, KVM_GET_MSRS, &said) == 1;
    close(kvm);
    if (offered && asked) {
        uint64_t seen;
        bare_load(m, CODE, g_read_msr, g_read_msr_end);
        bare_start64(m, 0, CODE);
        bare_put(m, RESULT + 32, INDEX, 4);
        bare_finish(m, 0);
        memcpy(&seen, m->memory + RESULT + 16, sizeof seen);
        g_assert_cmphex(seen, ==, said.entry.data & ~(uint64_t)TSX_CTRL);
    } else
        g_test_skip("KVM has no IA32_ARCH_CAPABILITIES here");
    bare_free(m);
}

void add_cpuid_tests(void)
{
    add_test("cpuid/topology", test_topology);
    add_software_test("cpuid/x86-64-v2", test_v2_model);
    add_software_test("cpuid/x86-64-v1-same-as-interp", test_v1_same);
    add_software_test("cpuid/x86-64-v2-same-as-interp", test_v2_same);
    add_software_test("cpuid/x86-64-v3-same-as-interp", test_v3_same);
    add_software_test("cpuid/x86-64-v4-same-as-interp", test_v4_same);
    add_software_test("cpuid/host-same-as-interp", test_host_same);
    add_test("cpuid/no-paravirtual", test_no_paravirtual);
    add_test("cpuid/arch-capabilities", test_capabilities);
}
