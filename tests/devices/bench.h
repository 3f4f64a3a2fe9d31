// SPDX-License-Identifier: GPL-2.0-or-later
/* bench.h - a workbench for chips: the stepped machine (tests/core-vmm/stepped.h) with a board that has only the chips that a
 * test puts there, each at its place: its slot, interrupts and ports are those of the board's list.  Bus, address map, PCI,
 * interrupt routing, timers, drives with their images, serial ports and saved state are core's own.
 *
 * HOW TO TEST A CHIP
 *   1. Add a row to chips.c (the generic test, the fuzzer and the scripts all read that table).
 *   2. Write scripts/CHIP-SUBJECT.txt; every script is one test.  The language is at the top of script.c.
 * The generic test (test_generic.c) then does the rest: random accesses of every width everywhere, random time, and
 * save/load at random moments.
 *
 * What save/load demands of a chip's sync(): save(load(save)) is byte-identical; after loading, the same timers are armed
 * for the same times (dev_timer) and its interrupt lines have the same levels (if it calls dev_irq).  It is core's own
 * saving and loading, into a machine made anew: pointers to devices and drives that a test had are void then.
 *
 * Observed are the calls from chips to core, by the linker (--wrap, bench_wires.c): they are noted and go on to core.  Not
 * carried out is only what ends the test: reset and stop of the machine; and no CPU sleeps because it polls.
 *
 * What is particular here: the key `file` of a drive's section says what is on the medium, as KIND:SIZE, e.g.
 * "pattern:1440K" (each byte is a function of its place, see bench_pattern) or "zero:1M"; bench_config() makes such an image. */
#pragma once
#include "core-vmm/api/char.h"
#include "core-vmm/api/device.h"
#include "core-vmm/api/drive.h"
#include "core-vmm/api/irqchip.h"
#include "core-vmm/api/net.h"
#include "core-vmm/api/platform.h"

#define BENCH_RAM   (16u << 20)
#define BENCH_LINES 32
#define BENCH_CPUS  2

struct chip { /* a row of chips.c */
    const struct device_ops *ops;
    const char *name;   /* on the board: "pit" */
    const char *config; /* "section.key=value ..." or NULL; for the generic test and the fuzzer */
    const char *with;   /* names of other chips it needs, separated by spaces, or NULL */
};
extern const struct chip chips[]; /* ends with ops == NULL */
const struct chip *chip_find(const char *name);

struct bench;
struct bench *bench_new(void);
void bench_free(struct bench *b);
void bench_config(struct bench *b, const char *section, const char *key, const char *value);
struct device *bench_add(struct bench *b, const struct device_ops *ops, const char *name, GError **error);
/* The chip of that row with its config and the chips it needs. */
struct device *bench_add_chip(struct bench *b, const struct chip *c, GError **error);
struct device *bench_device(struct bench *b, const char *name); /* NULL: no such */
unsigned bench_devices(struct bench *b, struct device ***list);
void bench_reset(struct bench *b);

/* Accesses as a CPU would do them; nobody home reads all ones.  size 1, 2, 4, 8. */
uint64_t bench_in(struct bench *b, uint64_t port, unsigned size);
void bench_out(struct bench *b, uint64_t port, unsigned size, uint64_t value);
uint64_t bench_load(struct bench *b, uint64_t gpa, unsigned size);
void bench_store(struct bench *b, uint64_t gpa, unsigned size, uint64_t value);
uint64_t bench_pci_read(struct device *d, unsigned offset, unsigned size);
void bench_pci_write(struct device *d, unsigned offset, unsigned size, uint64_t value);
/* Where a region of a device is now; false if it is not mapped. */
bool bench_region(struct device *d, unsigned region, uint64_t *base);

void bench_step(struct bench *b, uint64_t ns); /* runs timers in order, then finishes drive requests, delivers bytes */
uint64_t bench_now(struct bench *b);
bool bench_line(struct device *d, unsigned line);
unsigned bench_edges(struct device *d, unsigned line); /* rising edges since the last call */
uint8_t *bench_ram(struct bench *b);
char *bench_event(struct bench *b); /* the oldest thing asked of the machine, "a20 1"; NULL; g_free */
void bench_note(struct bench *b, const char *f, ...) /* ... record one */ G_GNUC_PRINTF(2, 3);
/* The machine is saved, thrown away, made anew and loaded.  NULL if all is as before, else what is not; g_free. */
char *bench_save_load(struct bench *b);

struct display *bench_display(struct bench *b); /* of the last video chip added; NULL: none */

int bench_kept_file(struct bench *b); /* the descriptor of what a chip keeps without power; -1: none does */

/* The far ends. */
uint8_t bench_pattern(uint64_t place);
struct drive *bench_drive(struct bench *b, const char *section);                 /* NULL: no device opened it */
void bench_drive_insert(struct bench *b, const char *section, const char *file); /* by force; NULL ejects */
void bench_drive_fail(struct bench *b, struct drive *v, int error); /* its next request fails with this errno */
bool bench_drive_locked(struct drive *v);
uint8_t *bench_drive_data(struct bench *b, struct drive *v, uint64_t *bytes); /* its image, mapped */
void bench_char_send(struct device *d, const uint8_t *data, size_t n);        /* to the guest, as fast as it has room */
char *bench_char_sent(struct device *d); /* by the guest since the last call; g_free */

/* A network card's cable: in from the start, and kept with what is on it when the machine is saved and loaded. */
void bench_cable(struct device *d, bool up);
void bench_cable_can(struct device *d, unsigned offloads);            /* what the far end takes; nothing at first */
void bench_cable_full(struct device *d, bool full);                   /* the far end has no room */
bool bench_deliver(struct device *d, const void *frame, size_t n);    /* false: the cable has no room for it */
unsigned bench_frames_waiting(struct device *d);                      /* delivered, and no room in the guest yet */
GBytes *bench_frame_sent(struct device *d, struct net_offload *left); /* the oldest one, NULL: none */
