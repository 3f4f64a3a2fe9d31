// SPDX-License-Identifier: GPL-2.0-or-later
/* exit_codes.h - how vmctl and terrarium-vm end.  Stable: scripts rely on them (docs/vmctl.md). */
#pragma once
#include "core-vmm/api/platform.h"
#include <glib.h>

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_FAILED = 1,
    EXIT_CODE_USAGE = 2,       /* unknown verb or option, wrong value */
    EXIT_CODE_NOT_FOUND = 3,   /* no such machine, drive, port ... */
    EXIT_CODE_WRONG_STATE = 4, /* not running, running already, paused ... */
    EXIT_CODE_TIMEOUT = 5,
    EXIT_CODE_HOST = 6,   /* no permission, or the host lacks what is needed (KVM, a program) */
    EXIT_CODE_EXISTS = 7, /* the name is taken */
    EXIT_CODE_NO_SPACE = 8,
    EXIT_CODE_BUSY = 9, /* in use by another process */
    /* how the guest of `vmctl run` ended, beside 0 for a power-off */
    EXIT_CODE_STOPPED = 20, /* by the user */
    EXIT_CODE_RESET = 21,   /* reset or triple fault, with on-reset = stop */
    EXIT_CODE_CRASHED = 22, /* the engine could not go on */
    EXIT_CODE_DEBUG = 64,   /* debug exit with this + what was written, at most 255 */
};

static inline int exit_code_of_end(enum machine_end end, unsigned code)
{
    switch (end) {
    case MACHINE_END_NONE:
    case MACHINE_END_POWER_OFF: break;
    case MACHINE_END_STOPPED: return EXIT_CODE_STOPPED;
    case MACHINE_END_RESET: return EXIT_CODE_RESET;
    case MACHINE_END_FAILED: return EXIT_CODE_CRASHED;
    case MACHINE_END_DEBUG: return code < 255 - EXIT_CODE_DEBUG ? (int)(EXIT_CODE_DEBUG + code) : 255;
    }
    return EXIT_CODE_OK;
}

int exit_code_of_error(const GError *e); /* the code that fits an error of any of our domains */
