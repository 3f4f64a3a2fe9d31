// SPDX-License-Identifier: GPL-2.0-or-later
/* no_device.c - why there is no /dev/kvm, and what to do about it.
 *
 * CPUID says whether the CPU has VT-x or AMD-V.  Where the firmware has switched it off, the kernel (for Intel since Linux
 * 5.6, for AMD later) takes the flag out of /proc/cpuinfo, and the module refuses to be loaded.  Older kernels leave the
 * flag; their module says in the kernel's log why it was refused. */
#include "hwaccel/hw.h"
#include <string.h>

/* Is the word among those of the first line "flags"? */
static bool has_flag(const char *cpuinfo, const char *word)
{
    const char *line = strstr(cpuinfo, "\nflags"), *end = line ? strchr(line + 1, '\n') : NULL;
    g_autofree char *flags = line ? g_strndup(line, end ? end - line : (gssize)strlen(line)) : g_strdup("");
    g_auto(GStrv) words = g_strsplit_set(flags, " \t", -1);
    return g_strv_contains((const char *const *)words, word);
}

struct hw_virtualization hw_virtualization_read(const char *cpuinfo, bool cpu_has)
{
    bool intel = !cpuinfo || !(strstr(cpuinfo, "AuthenticAMD") || strstr(cpuinfo, "HygonGenuine"));
    return (struct hw_virtualization){
        .intel = intel,
        .cpu_has = cpu_has,
        .kernel_hides = cpuinfo && strstr(cpuinfo, "\nflags") && !has_flag(cpuinfo, intel ? "vmx" : "svm"),
        .in_vm = cpuinfo && has_flag(cpuinfo, "hypervisor"),
    };
}

static struct hw_virtualization of_this_host(void)
{
    g_autofree char *cpuinfo = NULL;
    g_file_get_contents("/proc/cpuinfo", &cpuinfo, NULL, NULL);
    struct hw_virtualization h = hw_virtualization_read(cpuinfo, hw_cpu_can_virtualize());
    h.module = g_file_test(h.intel ? "/sys/module/kvm_intel" : "/sys/module/kvm_amd", G_FILE_TEST_IS_DIR);
    return h;
}

char *hw_no_device_advice(const struct hw_virtualization *h)
{
    const char *module = h->intel ? "kvm_intel" : "kvm_amd";
    const char *setting = h->intel ? "VT-x (\"Intel Virtualization Technology\")" : "AMD-V (\"SVM Mode\")";
    if (h->module)
        return g_strdup_printf("the kernel module %s is loaded, so this container or jail was not given the device",
                               module);
    if (!h->cpu_has && h->in_vm)
        return g_strdup("this machine is a virtual one, and its hypervisor offers it no VT-x or AMD-V (\"nested "
                        "virtualization\")");
    if (!h->cpu_has)
        return g_strdup("this CPU has neither VT-x nor AMD-V");
    if (h->kernel_hides)
        return g_strdup_printf(
            "%s is switched off in the firmware setup; switch it on there, then \"sudo modprobe %s\"", setting, module);
    return g_strdup_printf("the kernel module is not loaded: \"sudo modprobe %s\"; if that fails, %s may be switched "
                           "off in the firmware setup (\"sudo dmesg\" tells)",
                           module, setting);
}

char *hw_no_device(void)
{
    struct hw_virtualization h = of_this_host();
    return hw_no_device_advice(&h);
}
