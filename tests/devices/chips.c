// SPDX-License-Identifier: GPL-2.0-or-later
/* Every chip of the house, for the scripts, the generic test and the fuzzer.  Large media here are zero:, because filling in
 * a pattern would take most of the fuzzer's time. */
#include "tests/devices/bench.h"
#include "devices/all.h"
#include <string.h>

const struct chip chips[] = {
    {&i8259_ops, "pic"},
    {&i8254_ops, "pit"},
    {&vga_ops, "video", "video.memory=1M"},
    {&svga_ops, "svga", "video.memory=1M"},
    {&mc146818_ops, "rtc"},
    {&i8042_ops, "keyboard"},
    {&port92_ops, "port92"},
    {&fpu_error_ops, "fpu-error"},
    {&uart16550_ops, "serial1"},
    {&lpt_ops, "parallel1"},
    {&debugport_ops, "debug-port", "debug-port.target=none"},
    {&debugexit_ops, "debug-exit"},
    {&testdev_ops, "testdev"},
    {&vmware_backdoor_ops, "additions", NULL, "keyboard"},
    {&virtio_net_ops, "nic8", "nic8.queues=2 nic8.mtu=1400 nic8.packed=on nic8.rom=off"},
    {&virtio_blk_ops, "virtio-disk0", "virtio-disk0.file=zero:4M"},
    {&virtio_rng_ops, "rng"},
    {&virtio_balloon_ops, "balloon"},
    {&virtio_console_ops, "console1"},
    {&virtio_scsi_ops, "scsi", "scsi0.file=zero:4M scsi2.file=zero:8M scsi2.media=cdrom scsi5.media=disk"},
    {&e1000_ops, "nic1", "nic1.rom=off"},
    {&e1000e_ops, "nic5", "nic5.rom=off"},
    {&pcnet_ops, "nic2", "nic2.rom=off"},
    {&rtl8139_ops, "nic3", "nic3.rom=off"},
    {&rtl8139c_ops, "nic4", "nic4.rom=off"},
    {&edu_ops, "testpci1"},
    {&edu_msix_ops, "testpci2"},
    {&hda_ops, "hda"},
    {&ac97_ops, "ac97"},
    {&speaker_ops, "speaker", NULL, "pit"},
    {&sb16_ops, "sb16", NULL, "dma"},
    {&i8237_ops, "dma"},
    {&i82077_ops, "floppy", "floppy0.file=zero:1440K floppy1.file=pattern:360K", "dma"},
    {&i440fx_ops, "northbridge"},
    {&piix3_ops, "southbridge"},
    {&piix4_pm_ops, "pm"},
    {&pci_hotplug_ops, "pci-hotplug", NULL, "pm"},
    {&piix3_ide_ops, "ide", "ide0.file=zero:4M ide1.file=pattern:128K ide2.file=zero:8M ide2.media=cdrom"},
    {&ahci_ops, "sata", "sata0.file=zero:4M sata1.file=pattern:128K sata2.file=zero:8M sata2.media=cdrom"},
    {&nvme_ops, "nvme0", "nvme0.file=pattern:1M"},
    {&xhci_ops, "usb",
     "usb1.device=tablet usb2.device=keyboard usb3.device=mouse usb4.device=storage usb4.file=zero:4M usb5.device=hub "
     "usb6.device=storage usb6.file=zero:1M usb6.hub=usb5 usb7.device=storage usb7.media=cdrom usb7.file=zero:8M "
     "usb8.device=storage"},
    {&ehci_ops, "usb-ehci", "usb1.device=hub usb2.file=zero:1M usb3.device=tablet usb3.hub=usb1 usb4.device=keyboard"},
    {&uhci_ops, "usb-uhci",
     "usb1.device=hub usb2.file=zero:1M usb3.device=tablet usb3.hub=usb1 usb4.device=keyboard usb4.hub=usb1"},
    {&ioapic_ops, "ioapic"},
    {&lapic_ops, "lapic"},
    {&fw_cfg_ops, "fw-cfg"},
    {&flash_ops, "flash"},
    {&hpet_ops, "hpet"},
    {&hyperv_ops, "hyperv", NULL, "lapic"},
    {&tpm_crb_ops, "tpm"},
    {NULL},
};

const struct chip *chip_find(const char *name)
{
    for (const struct chip *c = chips; c->ops; c++)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}
