// SPDX-License-Identifier: GPL-2.0-or-later
/* host.c - opening /dev/kvm, and what must be there. */
#include "hwaccel/hw.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct {
    int capability;
    const char *name;
} needed[] = {
    {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
    {KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "KVM_CAP_DESTROY_MEMORY_REGION_WORKS"},
    {KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, "KVM_CAP_JOIN_MEMORY_REGIONS_WORKS"},
    {KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM"},
    {KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
    {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
    {KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
    {KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
    {KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
    {KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

bool hw_failed(GError **error, const char *what)
{
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "KVM: %s: %s", what, g_strerror(errno));
    return false;
}

static int cannot_open(GError **error)
{
    int e = errno;
    g_autofree char *advice = NULL;
    if (e == ENOENT || e == ENXIO || e == ENODEV)
        advice = hw_no_device();
    else if (e == EACCES || e == EPERM)
        advice = g_strdup("add yourself to the group kvm (sudo usermod -aG kvm $USER) and log in again");
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(e), "/dev/kvm cannot be opened (%s)%s%s", g_strerror(e),
                advice ? ": " : "", advice ? advice : "");
    return -1;
}

static bool all_there(int fd, GError **error)
{
    int version = ioctl(fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS, "/dev/kvm speaks version %d of its interface, not %d",
                    version, KVM_API_VERSION);
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (ioctl(fd, KVM_CHECK_EXTENSION, needed[i].capability) > 0)
            continue;
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS, "/dev/kvm has no %s: the host's kernel is too old",
                    needed[i].name);
        return false;
    }
    return true;
}

int hw_open(GError **error)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return cannot_open(error);
    if (all_there(fd, error))
        return fd;
    close(fd);
    return -1;
}

int hw_create_vm(int kvm_fd, GError **error)
{
    int fd;
    do
        fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
    while (fd < 0 && errno == EINTR);
    if (fd < 0 && errno == EBUSY)
        g_set_error(
            error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
            "KVM cannot have the CPU's virtualization (KVM_CREATE_VM: %s): another hypervisor, such as VirtualBox "
            "or VMware, is using it; end its machines",
            g_strerror(errno));
    else if (fd < 0)
        hw_failed(error, "a VM cannot be created (KVM_CREATE_VM)");
    return fd;
}

bool hw_has_split_chips(int kvm_fd)
{
    return ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SPLIT_IRQCHIP) > 0 &&
           ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SIGNAL_MSI) > 0;
}

const struct cpu_engine *kvm_engine_for_host(void)
{
    int fd = hw_open(NULL);
    bool split = fd < 0 || hw_has_split_chips(fd);
    if (fd >= 0)
        close(fd);
    return split ? &kvm_engine : &kvm_engine_no_chips;
}
