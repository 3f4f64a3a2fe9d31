// SPDX-License-Identifier: GPL-2.0-or-later
/* i440fx.c - Intel 82441FX host bridge (PMC), PCI 00:00.0: shadow RAM (PAM) and the stored configuration registers.
 * Spec: Intel 440FX PCIset, 82441FX PCI and Memory Controller, order number 290549.
 *
 * There is no system management mode in this machine: SMRAM (72h) keeps what is written, but its D_OPEN and G_SMRAME bits
 * open nothing; 0xA0000-0xBFFFF always belongs to the video card.  DRB and DRAM timing registers are stored only: RAM
 * is where core put it.  The subsystem ID is the one by which firmware for virtual machines knows the board. */
#include "devices/all.h"
#include "core-vmm/api/platform.h"

/* Registers. */
enum { PMCCFG = 0x50, DRT = 0x55, PAM0 = 0x59, DRB = 0x60, SMRAM = 0x72, PAMS = 7 };
enum { PAM_READ = 1, PAM_WRITE = 2 };
enum { SMRAM_LOCK = 0x10, SMRAM_AFTER_RESET = 0x02 };

/* State: what is mapped now, so that a write changes only what it must. */
struct i440fx {
    uint8_t pam[PAMS];
};

static void shadow_nibble(struct device *d, uint64_t gpa, uint64_t bytes, uint8_t bits)
{
    dev_shadow(d, gpa, bytes, bits & PAM_READ, bits & PAM_WRITE);
}

/* PAM0's high half is the 64 KiB below 1 MiB; PAM1-PAM6 have two 16 KiB pieces each from 0xC0000 on, low half first. */
static void shadow_register(struct device *d, unsigned n, uint8_t value)
{
    uint64_t gpa = 0xc0000 + (n - 1) * 0x8000ull;

    if (n == 0) {
        shadow_nibble(d, 0xf0000, 0x10000, value >> 4);
        return;
    }
    shadow_nibble(d, gpa, 0x4000, value);
    shadow_nibble(d, gpa + 0x4000, 0x4000, value >> 4);
}

static void update_shadow(struct device *d, bool all)
{
    struct i440fx *s = d->state;

    for (unsigned n = 0; n < PAMS; n++) {
        uint8_t now = dev_pci_config(d)[PAM0 + n];
        if (now != s->pam[n] || all)
            shadow_register(d, n, now);
        s->pam[n] = now;
    }
}

static void i440fx_pci_written(struct device *d, unsigned offset, unsigned size)
{
    uint8_t *config = dev_pci_config(d);

    if (config[SMRAM] & SMRAM_LOCK)
        dev_pci_writable(d)[SMRAM] = 0;
    update_shadow(d, false);
}

static bool i440fx_init(struct device *d, const struct config *c, GError **error)
{
    uint8_t *writable = dev_pci_writable(d);

    memset(writable + PMCCFG, 0xff, SMRAM + 1 - PMCCFG);
    memset(writable + PAM0, 0x33, PAMS);
    writable[PAM0] = 0x30;
    return true;
}

static void i440fx_reset(struct device *d)
{
    uint8_t *config = dev_pci_config(d);

    memset(config + PMCCFG, 0, SMRAM - PMCCFG);
    memset(config + DRB, 1, 8);
    config[SMRAM] = SMRAM_AFTER_RESET;
    dev_pci_writable(d)[SMRAM] = 0x78;
    update_shadow(d, true);
}

/* The registers themselves travel with core's configuration space. */
static bool i440fx_sync(struct device *d, struct stream *s, uint32_t version)
{
    if (s->loading) {
        dev_pci_writable(d)[SMRAM] = dev_pci_config(d)[SMRAM] & SMRAM_LOCK ? 0 : 0x78;
        update_shadow(d, true);
    }
    return true;
}

static const struct pci_ids ids = {
    .vendor = 0x8086,
    .device = 0x1237,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x060000,
    .revision = 2,
};

const struct device_ops i440fx_ops = {
    .name = "i440fx",
    .state_bytes = sizeof(struct i440fx),
    .version = 1,
    .pci = &ids,
    .init = i440fx_init,
    .reset = i440fx_reset,
    .pci_written = i440fx_pci_written,
    .sync = i440fx_sync,
};
