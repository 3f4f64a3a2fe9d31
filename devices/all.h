// SPDX-License-Identifier: GPL-2.0-or-later
/* all.h - every chip there is.  The board's list (core-vmm/board/board_pc.c) says which ones a machine has. */
#pragma once
#include "core-vmm/api/device.h"

/* Chipset */
extern const struct device_ops i440fx_ops;    /* host bridge */
extern const struct device_ops piix3_ops;     /* ISA bridge and PCI interrupt router */
extern const struct device_ops piix3_ide_ops; /* lines: 0 primary, 1 secondary channel */
extern const struct device_ops ahci_ops;      /* line 0: INTA# */
extern const struct device_ops nvme_ops;      /* line 0: INTA# */
extern const struct device_ops piix4_pm_ops;  /* line 0: SCI */
extern const struct device_ops pci_hotplug_ops;
extern const struct device_ops lapic_ops; /* all local APICs */
extern const struct device_ops ioapic_ops;
extern const struct device_ops fw_cfg_ops;

/* Timers; lines 0 and 8: ISA IRQs, 20-23: pins of the I/O APIC. */
#define HPET_BASE 0xfed00000u
#define HPET_ID   0x8086a201u /* three timers, a counter of 64 bits, legacy replacement */
extern const struct device_ops hpet_ops;

/* The variables of UEFI firmware, in the file vars.fd of the machine's folder. */
#define FLASH_BASE  0xffc00000u
#define FLASH_BYTES 0x84000u
extern const struct device_ops flash_ops;

/* The interface of a TPM, which is a program of the host. */
#define TPM_CRB_BASE 0xfed40000u
extern const struct device_ops tpm_crb_ops;

/* Video */
extern const struct device_ops vga_ops, svga_ops; /* svga: line 0: INTA# */

/* Interrupts, time, DMA, and what is soldered to every PC's mainboard */
extern const struct device_ops i8259_ops;     /* both */
extern const struct device_ops i8254_ops;     /* and port 61h; line 0: IRQ 0 */
extern const struct device_ops mc146818_ops;  /* line 0: IRQ 8 */
extern const struct device_ops i8042_ops;     /* lines: 0 keyboard, 1 mouse */
extern const struct device_ops port92_ops;    /* fast A20 and reset */
extern const struct device_ops fpu_error_ops; /* FERR#, port F0h; line 0: IRQ 13 */
extern const struct device_ops uart16550_ops; /* line 0 */
extern const struct device_ops lpt_ops;       /* parallel port; line 0 */
extern const struct device_ops i8237_ops;     /* both DMA controllers; see i8237.h */
extern const struct device_ops i82077_ops;    /* floppy; line 0 */

/* Virtio; line 0: INTA# */
extern const struct device_ops virtio_blk_ops, virtio_net_ops, virtio_rng_ops, virtio_scsi_ops;
extern const struct device_ops virtio_balloon_ops, virtio_console_ops;

/* USB controllers; line 0: INTA# */
extern const struct device_ops xhci_ops, ehci_ops, uhci_ops;

/* Network cards; line 0: INTA# */
extern const struct device_ops e1000_ops, e1000e_ops;     /* 82540EM, 82574L */
extern const struct device_ops pcnet_ops;                 /* Am79C973, PCnet-FAST III */
extern const struct device_ops rtl8139_ops, rtl8139c_ops; /* RTL8139C+ and RTL8139C */

/* Sound; line 0: INTA#, or IRQ 5 */
extern const struct device_ops sb16_ops; /* Sound Blaster 16 */
extern const struct device_ops speaker_ops;
extern const struct device_ops hda_ops;  /* 82801FB (ICH6) with a codec */
extern const struct device_ops ac97_ops; /* 82801AA (ICH) with a codec */

/* What guests made for VMware's machines look for */
extern const struct device_ops vmware_backdoor_ops;

/* Hyper-V's interface to its guests */
extern const struct device_ops hyperv_ops;

/* For tests and firmware developers */
extern const struct device_ops hyperv_testdev_ops;
extern const struct device_ops debugport_ops;
extern const struct device_ops debugexit_ops;
extern const struct device_ops testdev_ops;           /* lines 0-15: ISA interrupts */
extern const struct device_ops edu_ops, edu_msix_ops; /* PCI functions; line 0: INTA# */
