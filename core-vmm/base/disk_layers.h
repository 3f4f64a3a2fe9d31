// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_layers.h - which images a drive's disk consists of, as the part "drives" of a saved state has it: of each drive its section,
 * its disk, whether it has told the guest of another medium, whether the guest has locked it. */
#pragma once
#include "core-vmm/base/stream.h"

#define DISK_LAYERS_MAX  128 /* as IMAGE_MAX_CHAIN */
#define DISK_LAYERS_PART "drives"
enum { DISK_LAYERS_VERSION = 2 };

struct disk_layer {
    char *path, *format;
    uint64_t bytes, file_bytes, changed_ns; /* what it shows; of the file: its size, the time of its last change */
};
struct disk_layers { /* none: there is no medium */
    GArray *list;    /* struct disk_layer, the image first, then what it builds upon */
    bool writable;
};
struct disk_layers disk_layers_new(bool writable);
/* The file's size and time are looked up now. */
void disk_layers_add(struct disk_layers *l, const char *path, const char *format, uint64_t bytes);
void disk_layers_clear(struct disk_layers *l);
void disk_layers_sync(struct disk_layers *l, struct stream *s);
