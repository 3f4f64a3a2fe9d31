// SPDX-License-Identifier: GPL-2.0-or-later
/* bench_inside.h - what the parts of the bench share; tests include bench.h only. */
#pragma once
#include "tests/devices/bench.h"

struct bench {
    struct device *device[16];
    unsigned devices;
    uint64_t now; /* ns */
    uint8_t *ram;
    GKeyFile *file;
    GPtrArray *drives, *chars, *cables;
    GQueue events; /* char * */
    struct display *display;
    bool a20;
};

struct device_core {
    struct bench *bench;
    struct config config;
    struct {
        uint64_t base, memory_bytes, asked_bytes;
        bool on, readonly;
        uint8_t *memory;
        uint64_t *dirty; /* bit per 4 KiB page */
    } region[DEV_REGIONS];
    struct {
        uint64_t at;
        void (*fn)(struct device *d);
    } timer[DEV_TIMERS];
    uint8_t pci_config[256], pci_writable[256];
    bool line[BENCH_LINES];
    unsigned edges[BENCH_LINES];
};

void bench_drive_free(void *drive);
void bench_char_free(void *port);
void bench_cable_free(void *cable);
void bench_cable_plug(struct device *d); /* if it is a network card's first time on the bench: the cable is in */
bool bench_cables_settle(struct bench *b);
bool bench_ends_settle(struct bench *b); /* finishes drive requests, delivers bytes; false if there was none */
