// SPDX-License-Identifier: GPL-2.0-or-later
/* line.h - what the keeper tells the VM process: a packet for each change, with the new socket if there is one. */
#pragma once
#include <stdint.h>

struct line_news {
    uint32_t end;    /* its number */
    uint32_t up;     /* 1: a socket comes along; 0: it has ended */
    uint32_t status; /* of wait(2), if it has ended */
};
