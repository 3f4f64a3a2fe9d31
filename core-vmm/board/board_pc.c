// SPDX-License-Identifier: GPL-2.0-or-later
/* board_pc.c - the mainboard: an i440FX/PIIX3 PC.  The list below is the hardware; its order is the order of set-up, of
 * reset, and of who wins where two regions overlap (the later one).  build_pc.c builds it. */
#include "core-vmm/board/board_pc.h"
#include "core-vmm/board/firmware_rom.h"
#include "devices/all.h"

#define ISA .slot = -1
const struct board_row board_pc[] = {
    /* chipset */
    {ALWAYS, {&pci_host_ops, "pci-host", ISA}},
    {ALWAYS, {&i440fx_ops, "northbridge", .slot = 0}},
    {ALWAYS, {&piix3_ops, "southbridge", .slot = 1, .function = 0, .irqchip = true}},
    {ALWAYS, {&piix3_ide_ops, "ide", .slot = 1, .function = 1, .irq = {14, 15}, .irqs = 2}},
    {UHCI, {&uhci_ops, "usb", .slot = 1, .function = 2}},
    {ALWAYS, {&piix4_pm_ops, "pm", .slot = 1, .function = 3, .irq = {9}, .irqs = 1}},
    {ALWAYS, {&pci_hotplug_ops, "pci-hotplug", ISA}},
    {ALWAYS, {&firmware_rom_ops, "firmware", "machine", ISA}},
    {VARIABLES, {&flash_ops, "flash", "machine", ISA}},
    /* interrupts, time, DMA */
    {ALWAYS, {&i8259_ops, "pic", ISA, .irqchip = true}},
    {ALWAYS, {&ioapic_ops, "ioapic", ISA, .irqchip = true}},
    {OWN_APIC, {&lapic_ops, "lapic", ISA, .irqchip = true}},
    {HYPERV, {&hyperv_ops, "hyperv", ISA}},
    {ALWAYS, {&i8254_ops, "pit", ISA, .irq = {0}, .irqs = 1}},
    {ALWAYS, {&mc146818_ops, "rtc", "machine", ISA, .irq = {8}, .irqs = 1}},
    {BOARD_2, {&hpet_ops, "hpet", ISA, .irqchip = true}},
    {ALWAYS, {&i8237_ops, "dma", ISA}},
    /* the user's end */
    {ALWAYS, {&i8042_ops, "keyboard", ISA, .irq = {1, 12}, .irqs = 2}},
    {ALWAYS, {&port92_ops, "port92", ISA}},
    {ALWAYS, {&fpu_error_ops, "fpu-error", ISA, .irq = {13}, .irqs = 1}},
    {FLOPPY, {&i82077_ops, "floppy", ISA, .irq = {6}, .irqs = 1}},
    {LISTED, {&uart16550_ops, "serial1", ISA, .irq = {4}, .irqs = 1, .ports = {0x3f8}}},
    {LISTED, {&uart16550_ops, "serial2", ISA, .irq = {3}, .irqs = 1, .ports = {0x2f8}}},
    {LISTED, {&uart16550_ops, "serial3", ISA, .irq = {4}, .irqs = 1, .ports = {0x3e8}}},
    {LISTED, {&uart16550_ops, "serial4", ISA, .irq = {3}, .irqs = 1, .ports = {0x2e8}}},
    {LISTED, {&lpt_ops, "parallel1", ISA, .irq = {7}, .irqs = 1}},
    {VIDEO_VGA, {&vga_ops, "video", .slot = 2}},
    {VIDEO_SVGA, {&svga_ops, "video", .slot = 2}},
    {SOUND_HDA, {&hda_ops, "hda", "audio", .slot = 27}},
    {SOUND_AC97, {&ac97_ops, "ac97", "audio", .slot = 27}},
    {SOUND, {&speaker_ops, "speaker", "audio", ISA}},
    {SOUND_SB16, {&sb16_ops, "sb16", "audio", ISA, .irq = {5}, .irqs = 1}},
    {ALWAYS, {&fw_cfg_ops, "fw-cfg", ISA}},
    {LISTED, {&vmware_backdoor_ops, "additions", ISA}},
    {LISTED, {&tpm_crb_ops, "tpm", ISA}},
    /* for tests and firmware developers */
    {LISTED, {&debugport_ops, "debug-port", ISA}},
    {LISTED, {&debugexit_ops, "debug-exit", ISA}},
    {LISTED, {&testdev_ops, "testdev", ISA, .irqchip = true}}, /* its lines are the ISA interrupts */
    {HYPERV_TEST, {&hyperv_testdev_ops, "hyperv-testdev", ISA}},
    {0},
};

/* What may be chosen by name: see base/device_models.h. */
const struct device_ops *const board_pc_chips[] = {
    &ahci_ops,
    &nvme_ops, // disk controllers
    &e1000_ops,
    &e1000e_ops,
    &pcnet_ops,
    &rtl8139_ops,
    &rtl8139c_ops, // network cards
    &virtio_blk_ops,
    &virtio_net_ops,
    &virtio_balloon_ops,
    &virtio_console_ops,
    &virtio_rng_ops,
    &virtio_scsi_ops, // virtio
    &xhci_ops,
    &ehci_ops, // USB
    &edu_ops,
    &edu_msix_ops, // for tests
    NULL,
};
