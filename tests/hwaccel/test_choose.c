// SPDX-License-Identifier: GPL-2.0-or-later
/* test_choose.c - which engine is taken, and what is said about it.  Runs anywhere, with or without /dev/kvm. */
#include "core-vmm/machine/machine.h"
#include "hwaccel/hw.h"
#include <string.h>

static void test_auto(void)
{
    g_autofree char *reason = NULL;
    g_autoptr(GError) error = NULL, why_not = NULL;
    const struct cpu_engine *e = engine_choose("auto", &reason, &error);
    bool kvm = kvm_engine.probe(&why_not);
    g_assert_no_error(error);
    g_assert_nonnull(e);
    g_test_message("%s: %s", e->name, reason);
    if (kvm) {
        g_assert_cmpstr(e->name, ==, "kvm");
    } else {
        g_assert_cmpstr(e->name, !=, "kvm");
        g_assert_nonnull(strstr(reason, "; not kvm: "));
        g_assert_cmpuint(strlen(why_not->message), >, 20);
    }
}

static void test_by_name(void)
{
    static const char *const names[] = {"kvm", "soft", "interp"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *reason = NULL;
        const struct cpu_engine *e = engine_choose(names[i], &reason, NULL);
        g_assert_nonnull(e);
        g_assert_cmpstr(e->name, ==, names[i]);
        g_assert_true(g_str_has_prefix(reason, "asked for by name"));
    }
}

static void test_unknown(void)
{
    g_autofree char *reason = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_null(engine_choose("KVM ", &reason, &error));
    g_assert_nonnull(strstr(error->message, "\"KVM \""));
    g_assert_nonnull(strstr(error->message, "auto, kvm, "));
}

/* With local APICs from the kernel or without, the two tables must not be mixed up. */
static void test_tables(void)
{
    const struct cpu_engine *e = kvm_engine_for_host();
    g_assert_true(e == &kvm_engine || e == &kvm_engine_no_chips);
    g_assert_true(kvm_engine.msi && kvm_engine.get_lapic && kvm_engine.set_lapic);
    g_assert_false(kvm_engine_no_chips.msi || kvm_engine_no_chips.get_lapic || kvm_engine_no_chips.set_lapic);
}

#define CPUINFO(flags)     "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme " flags "\nvmx flags\t: vnmi\n\n"
#define CPUINFO_AMD(flags) "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu vme " flags "\n\n"

/* What somebody is told whose host has no /dev/kvm. */
static void test_no_device(void)
{
    static const struct {
        const char *cpuinfo;
        bool cpu_has, module;
        const char *said;
    } cases[] = {
        {CPUINFO("vmx ssse3"), true, false, "not loaded: \"sudo modprobe kvm_intel\""},
        {CPUINFO("ssse3"), true, false, "VT-x (\"Intel Virtualization Technology\") is switched off in the firmware"},
        {CPUINFO("ssse3"), false, false, "this CPU has neither"},
        {CPUINFO("ssse3 hypervisor"), false, false, "is a virtual one"},
        {CPUINFO("vmx ssse3"), true, true, "kvm_intel is loaded, so this container"},
        {CPUINFO_AMD("svm"), true, false, "not loaded: \"sudo modprobe kvm_amd\""},
        {CPUINFO_AMD("svm_lock"), true, false, "AMD-V (\"SVM Mode\") is switched off in the firmware"},
        {NULL, true, false, "not loaded: \"sudo modprobe kvm_intel\""}, /* hidden: nothing is concluded from that */
        {"", true, false, "not loaded"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct hw_virtualization h = hw_virtualization_read(cases[i].cpuinfo, cases[i].cpu_has);
        h.module = cases[i].module;
        g_autofree char *said = hw_no_device_advice(&h);
        g_test_message("%s", said);
        g_assert_nonnull(strstr(said, cases[i].said));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine/auto", test_auto);
    g_test_add_func("/engine/by-name", test_by_name);
    g_test_add_func("/engine/unknown", test_unknown);
    g_test_add_func("/engine/tables", test_tables);
    g_test_add_func("/engine/no-device", test_no_device);
    return g_test_run();
}
