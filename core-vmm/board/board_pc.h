// SPDX-License-Identifier: GPL-2.0-or-later
/* board_pc.h - the PC's parts list, for whoever builds it: build_pc.c, and tests that want one chip at its place. */
#pragma once
#include "core-vmm/machine/core.h"

enum board_when {
    ALWAYS,
    LISTED /* its section is in machine.ini */,
    OWN_APIC /* the engine brings no local APICs */,
    VIDEO_VGA,
    VIDEO_SVGA,
    BOARD_2 /* its second version */,
    HYPERV /* it is shown as a machine of Hyper-V */,
    HYPERV_TEST /* and is for tests */,
    VARIABLES /* its firmware keeps some */,
    FLOPPY,
    SOUND /* [audio] is there */,
    SOUND_HDA /* [audio] has that model */,
    SOUND_AC97,
    SOUND_SB16,
    UHCI /* that is the USB controller */
};
struct board_row {
    enum board_when when;
    struct wiring wiring;
};
extern const struct board_row board_pc[];               /* ends with wiring.ops == NULL */
extern const struct device_ops *const board_pc_chips[]; /* what machine.ini may choose; NULL at the end */
