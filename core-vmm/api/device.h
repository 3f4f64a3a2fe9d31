// SPDX-License-Identifier: GPL-2.0-or-later
/* device.h - the plug of a chip.
 *
 * Core holds the device's lock around every callback, so a device needs none of its own.  It sees offsets, never
 * addresses; reaches RAM only by dev_dma(); gets its interrupt lines as numbers that board_pc.c wires.  Every byte from
 * the guest is hostile: anything may be written anywhere in any width, with defined behaviour.
 * A chip's file is in this order: registers, state, read, write, reset, sync, table. */
#pragma once
#include "core-vmm/base/stream.h"
#include "core-vmm/api/config.h"
#include <glib.h>

enum bus { BUS_NONE, BUS_PORT, BUS_MEM };
enum pci_bar { BAR_FIXED, BAR0, BAR1, BAR2, BAR3, BAR4, BAR5, BAR_ROM /* the expansion ROM's */ };
struct region {
    enum bus bus;
    uint64_t base, bytes;       /* where it is after reset; a BAR or dev_map() moves it */
    uint8_t min_size, max_size; /* wider accesses are split (low part first), narrower ones see part of min_size */
    uint8_t bar;                /* enum pci_bar: mapped by core if it is one */
    bool off;                   /* not mapped until dev_map() */
    bool wide, prefetchable;    /* of a memory BAR: 64 bits, with the next BAR's register; reading changes nothing */
    bool registers;             /* of ports: whole accesses come to port_call(), with the CPU's registers */
    bool strings;               /* of those: bytes of REP INSB and REP OUTSB may come many at once */
    bool commands;              /* of read-only memory: what the guest writes there comes to write() */
    bool any_ring; /* of ports: the guest's user programs may use them, too (KVM: only with enable_vmware_backdoor) */
};
#define DEV_REGIONS 12
#define DEV_TIMERS  4
#define DEV_NEVER   UINT64_MAX

/* Core builds the list from these rows, does MSI and MSI-X itself, and puts the rest back at reset. */
enum { PCI_CAP_MSI = 0x05, PCI_CAP_VENDOR = 0x09, PCI_CAP_MSIX = 0x11 };
struct pci_capability {
    uint8_t id;    /* 0 ends the list */
    uint8_t at;    /* offset in configuration space; 0: the next multiple of 4 after the one before (the first: 40h) */
    uint8_t bytes; /* with the two of the header; MSI, MSI-X: core knows */
    const uint8_t *content, *writable; /* bytes - 2 of each, or NULL: zeroes, read-only */
    uint16_t vectors;                  /* MSI: 1, 2, 4 ... 32; MSI-X: 1 to 2048 */
    bool maskable;                     /* MSI: a mask bit per vector */
    uint8_t region;                    /* MSI-X: table and pending bits lie in this region, a memory BAR without ... */
    uint32_t table, pending;           /* ... dev_memory(), from these offsets (multiples of 8) on */
};

struct pci_ids { /* header type 0; interrupt_pin 0: none, 1: INTA# */
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; /* 24 bits: class, subclass, interface */
    uint8_t revision, interrupt_pin;
    bool multifunction;
    const struct pci_capability *capabilities; /* NULL: none */
};

struct device { /* fields are read-only for the device */
    const struct device_ops *ops;
    void *state;      /* ops->state_bytes, zeroed */
    const char *name; /* from the board's list: "serial1" */
    struct machine *machine;
    struct device_core *core;
};

/* An access to a port of a region with `registers`.  The device may change the registers but RSP; of INS and OUTS, which come
 * element by element, it must leave RCX, RDX, RSI and RDI alone, and RCX may be that of an earlier element. */
struct port_call {
    unsigned region, size, count;
    uint64_t offset;
    bool in;
    uint64_t value;  /* what is written; or the answer, which goes to AL, AX or EAX (or memory) after all else */
    uint64_t gpr[8]; /* by their numbers in x86_state.h */
    uint8_t *bytes;  /* NULL: one element; else, where `strings` is, `count` of them, as if one came after the other */
};

struct device_ops {
    const char *name; /* the chip: "uart16550" */
    size_t state_bytes;
    uint32_t version; /* of what sync() writes */
    struct region regions[DEV_REGIONS];
    const struct pci_ids *pci;                                              /* NULL: not a PCI function */
    bool (*init)(struct device *d, const struct config *c, GError **error); /* once; may be NULL, like all below */
    void (*reset)(struct device *d);
    uint64_t (*read)(struct device *d, unsigned region, uint64_t offset, unsigned size);
    void (*write)(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value);
    void (*port_call)(struct device *d, struct port_call *p); /* accesses in pieces go to read and write all the same */
    void (*pci_reading)(struct device *d, unsigned offset, unsigned size); /* config space is about to be read */
    void (*pci_written)(struct device *d, unsigned offset, unsigned size); /* config space changed, after the masks */
    bool (*sync)(struct device *d, struct stream *s, uint32_t version);    /* saves or loads, by s; false: bad data */
    void (*fini)(struct device *d);
    /* Second roles; NULL: not this one's.  Core finds whoever has them when the board is built. */
    const struct irqchip_ops *irqchip; /* api/irqchip.h */
    const struct lapic_ops *lapic;
    const struct input_ops *input;       /* api/input.h */
    const struct platform_ops *platform; /* api/platform.h */
    const struct hotplug_ops *hotplug;   /* api/hotplug.h */
    const struct balloon_ops *balloon;   /* api/balloon.h */
    const struct hyperv_ops *hyperv;     /* api/hyperv.h */
    const struct usb_ops *usb;           /* api/usb.h */
};

/* What core offers; only inside a callback unless said otherwise. */
uint64_t dev_now(struct device *d); /* guest time in ns since power-on */
void dev_irq(struct device *d, unsigned line, bool level);
/* Message n, if the guest has enabled MSI or MSI-X (then the INTx line is held down whatever dev_irq() says, so a device
 * may always call both).  A masked one waits in its pending bit. */
void dev_msi(struct device *d, unsigned n);
void dev_timer(struct device *d, unsigned id, uint64_t at_ns,
               void (*fn)(struct device *d));                            /* once; DEV_NEVER stops it */
void dev_map(struct device *d, unsigned region, uint64_t base, bool on); /* move a region; not for BARs */
/* RAM at gpa, or NULL if [gpa, gpa + bytes) is not all RAM.  After writing call dev_dma_done(). */
void *dev_dma(struct device *d, uint64_t gpa, uint64_t bytes, bool write);
void dev_dma_done(struct device *d, uint64_t gpa, uint64_t bytes);
/* What dev_dma() said holds as long as this is the same: it changes with the address map. */
unsigned dev_map_count(struct device *d);
/* Memory of the device itself (video RAM, a ROM), in the memory file: the guest reads (and writes) it without a call. */
uint8_t *dev_memory(struct device *d, unsigned region, uint64_t bytes, bool readonly); /* in init only */
void dev_memory_dirty(struct device *d, unsigned region, uint64_t *bitmap); /* ORs pages written since last call */
uint8_t *dev_pci_config(struct device *d);                                  /* 256 bytes */
uint8_t *dev_pci_writable(struct device *d); /* 256 bytes: a mask of the bits that the guest may write */
/* Log a guest's mistake, at most a few a second per device. */
void dev_log(struct device *d, const char *format, ...) G_GNUC_PRINTF(2, 3);
void dev_lock(struct device *d); /* for back ends that call in from elsewhere (loop thread, workers) */
void dev_unlock(struct device *d);
