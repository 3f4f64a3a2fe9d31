// SPDX-License-Identifier: GPL-2.0-or-later
/* host_room.h - what this computer has for machines. */
#pragma once
#include <stdint.h>

struct host_room {
    uint64_t memory, disk; /* bytes: all there is; free where machines lie */
    unsigned cpus;
};
struct host_room host_room(void);
