// SPDX-License-Identifier: GPL-2.0-or-later
/* pc_firmware.h - everything that the board tells the BIOS through fw_cfg: memory map, processors, boot order, ACPI and
 * SMBIOS tables, and a kernel to boot directly.  Call once, after fw_cfg's init, before the machine starts. */
#pragma once
#include "core-vmm/api/device.h"
#include "devices/storage/disk_geometry.h"

#define PC_FIRMWARE_DIRECT_BOOT "/rom@genroms/directboot.bin" /* the kernel's place in the boot order */

struct pc_firmware_disk {
    char *path; /* Open Firmware's */
    struct disk_geometry bios;
};
struct pc_firmware {
    unsigned cpus, sockets; /* sockets 0: one */
    uint64_t ram_below_4g, ram_above_4g;
    bool serial1, serial2, floppy;        /* there is such a chip: what the ACPI namespace shows */
    bool uefi;                            /* it is no BIOS */
    unsigned gpa_bits;                    /* how long the CPU's physical addresses are; UEFI: 0: no window above RAM */
    bool hpet;                            /* there is one, and the tables of boards of that age */
    bool acpi_2;                          /* the FADT is that of ACPI 2.0, which Windows 2000 does not take */
    bool tpm;                             /* there is one */
    bool boot_menu;                       /* offer "press ESC for boot menu" */
    const struct pc_firmware_disk *disks; /* whose geometry the BIOS must not choose itself */
    unsigned disk_count;
    bool no_display;                       /* the BIOS talks to serial port 1 instead */
    const char *const *boot;               /* order: Open Firmware paths, NULL-terminated; NULL: the BIOS's own */
    const uint8_t *uuid;                   /* 16 bytes in the order of RFC 4122, or NULL */
    const char *kernel, *initrd, *cmdline; /* file names and text, or NULL */
};
bool pc_firmware_setup(struct device *fw_cfg, const struct pc_firmware *p, GError **error);

/* Its parts; each adds its keys and files. */
void acpi_tables_setup(struct device *fw_cfg, const struct pc_firmware *p);
void smbios_setup(struct device *fw_cfg, const struct pc_firmware *p);
/* Linux (bzImage and older zImage by the Linux/x86 boot protocol) and Multiboot 1 images (ELF32 or with load addresses in
 * the header).  The option ROM that starts them comes first in the boot order.  initrd: for Multiboot "FILE ARGS,FILE
 * ARGS", each a module.  ram_below_4g in bytes.  The error says what is wrong with which file. */
bool direct_boot_setup(struct device *fw_cfg, const char *kernel, const char *initrd, const char *cmdline,
                       uint64_t ram_below_4g, GError **error);
