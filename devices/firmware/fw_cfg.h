// SPDX-License-Identifier: GPL-2.0-or-later
/* fw_cfg.h - what the board hands to the firmware.  Call while the machine is being built, before it starts.
 * Keys and files: QEMU's published specification of the firmware configuration device. */
#pragma once
#include "core-vmm/api/device.h"

enum fw_cfg_key { /* the keys that have numbers; everything else is a file */
                  FW_CFG_RAM_SIZE = 0x03,
                  FW_CFG_NOGRAPHIC = 0x04,
                  FW_CFG_CPUS = 0x05,
                  FW_CFG_KERNEL_ADDRESS = 0x07,
                  FW_CFG_KERNEL_SIZE = 0x08,
                  FW_CFG_INITRD_ADDRESS = 0x0a,
                  FW_CFG_INITRD_SIZE = 0x0b,
                  FW_CFG_NUMA = 0x0d,
                  FW_CFG_BOOT_MENU = 0x0e,
                  FW_CFG_MAX_CPUS = 0x0f,
                  FW_CFG_KERNEL_ENTRY = 0x10,
                  FW_CFG_KERNEL_DATA = 0x11,
                  FW_CFG_INITRD_DATA = 0x12,
                  FW_CFG_CMDLINE_ADDRESS = 0x13,
                  FW_CFG_CMDLINE_SIZE = 0x14,
                  FW_CFG_CMDLINE_DATA = 0x15,
                  FW_CFG_SETUP_ADDRESS = 0x16,
                  FW_CFG_SETUP_SIZE = 0x17,
                  FW_CFG_SETUP_DATA = 0x18,
                  FW_CFG_IRQ0_OVERRIDE = 0x8002
};

/* What was there under that key or name is replaced; data is copied, bytes are shared. */
void fw_cfg_add_key(struct device *d, uint16_t key, const void *data, size_t bytes);
void fw_cfg_add_key_bytes(struct device *d, uint16_t key, GBytes *bytes);
void fw_cfg_add_u16(struct device *d, uint16_t key, uint16_t value);
void fw_cfg_add_u32(struct device *d, uint16_t key, uint32_t value);
/* name: at most 55 bytes, "etc/e820".  There is room for 128 files. */
void fw_cfg_add_file(struct device *d, const char *name, const void *data, size_t bytes);
