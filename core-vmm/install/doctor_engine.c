// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor_engine.c - which engine runs guests here, and if it is not KVM, why: from the CPU over the firmware and the kernel's
 * module to the permission on /dev/kvm. */
#include "core-vmm/control/answer.h"
#include "core-vmm/install/doctor_inside.h"
#include "core-vmm/install/host_probe.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KVM "/dev/kvm"

struct cpu {
    bool vmx, svm, in_vm;
};

static bool has_word(const char *line, const char *word)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
    return g_strv_contains((const char *const *)words, word);
}

static void cpu_look(struct cpu *c)
{
    g_autofree char *text = NULL;
    *c = (struct cpu){0};
    if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL))
        return;
    const char *flags = strstr(text, "\nflags");
    g_autofree char *line = flags ? g_strndup(flags + 1, strcspn(flags + 1, "\n")) : g_strdup("");
    c->vmx = has_word(line, "vmx");
    c->svm = has_word(line, "svm");
    c->in_vm = has_word(line, "hypervisor");
}

static char *loaded_modules(void)
{
    static const char *const names[] = {"kvm", "kvm_intel", "kvm_amd"};
    g_autoptr(GString) s = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename("/sys/module", names[i], NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", names[i]);
    }
    return g_strdup(s->len ? s->str : "none");
}

static void no_flags(GPtrArray *findings, const struct cpu *c)
{
    doctor_add(findings, "kvm-cpu", FINDING_WARNING,
               g_strdup("The CPU offers no virtualization, so guests run on the software engine"),
               g_strdup(c->in_vm ? "this host is a virtual machine itself, and its hypervisor does not offer nested "
                                   "virtualization"
                                 : "the CPU has none, or it is switched off in the firmware's setup"),
               g_strdup("/proc/cpuinfo: no flag vmx (Intel VT-x) or svm (AMD-V)"),
               g_strdup(c->in_vm
                            ? "switch nested virtualization on for this virtual machine in its hypervisor"
                            : "switch on \"Intel Virtualization Technology\" or \"SVM Mode\" in the firmware's setup"));
}

static void no_device(GPtrArray *findings, const struct cpu *c)
{
    const char *module = c->vmx ? "kvm_intel" : "kvm_amd";
    g_autofree char *modules = loaded_modules();
    bool there = strstr(modules, module);
    doctor_add(findings, "kvm-device", FINDING_WARNING,
               g_strdup("KVM is not there, so guests run on the software engine"),
               there ? g_strdup("the module is loaded, but the firmware has locked virtualization off")
                     : g_strdup_printf("the kernel's module %s is not loaded", module),
               g_strdup_printf("%s does not exist; loaded modules: %s", KVM, modules),
               there ? g_strdup("switch virtualization on in the firmware's setup, then switch the host off and on")
                     : g_strdup_printf("sudo modprobe %s", module));
}

static void no_permission(GPtrArray *findings, int e)
{
    struct stat st;
    if (stat(KVM, &st))
        return;
    struct group entry, *g = NULL;
    char room[4096];
    getgrgid_r(st.st_gid, &entry, room, sizeof room, &g);
    const char *group = g ? g->gr_name : "?";
    doctor_add(findings, "kvm-permission", FINDING_WARNING,
               g_strdup("You may not use KVM, so guests run on the software engine"),
               g_strdup_printf("%s belongs to the group %s, and you are not in it", KVM, group),
               g_strdup_printf("%s: %s; mode %04o, group %s", KVM, g_strerror(e), st.st_mode & 07777, group),
               g_strdup_printf("sudo usermod -aG %s %s, then log in anew", group, g_get_user_name()));
}

static void kvm(GPtrArray *findings)
{
    struct cpu c;
    int fd = open(KVM, O_RDWR | O_CLOEXEC), e = errno;
    cpu_look(&c);
    if (fd >= 0)
        close(fd);
    else if (e == ENOENT || e == ENODEV || e == ENXIO)
        (c.vmx || c.svm ? no_device : no_flags)(findings, &c);
    else
        no_permission(findings, e);
}

static void chosen(GPtrArray *findings, JsonObject *o)
{
    const char *name = answer_text(o, "auto", "none");
    bool hardware = !strcmp(name, "kvm");
    const char *reason = answer_text(o, "auto-reason", "");
    doctor_add(findings, "engine",
               hardware               ? FINDING_GOOD
               : strcmp(name, "none") ? FINDING_WARNING
                                      : FINDING_PROBLEM,
               hardware
                   ? g_strdup("Guests run on hardware virtualization (kvm)")
                   : g_strdup_printf("Guests run on the software engine (%s), which is several times slower", name),
               hardware ? NULL : g_strdup(reason), g_strdup_printf("terrarium-vm --probe: %s: %s", name, reason), NULL);
}

void doctor_engine(GPtrArray *findings)
{
    g_autoptr(GError) error = NULL;
    JsonObject *o = host_probe(&error);
    if (o)
        chosen(findings, o);
    else
        doctor_add(findings, "engine", FINDING_PROBLEM, g_strdup("No guest can run"), g_strdup(error->message),
                   g_strdup("terrarium-vm --probe gave no answer"), g_strdup("install Terrarium anew"));
    kvm(findings);
    if (o)
        json_object_unref(o);
}
