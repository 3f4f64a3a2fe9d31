// SPDX-License-Identifier: GPL-2.0-or-later
/* cpu_risks.h - which hazards of speculation this host's CPU has and what its kernel can do against them, as the kernel
 * tells in a folder of small files, CPU_RISKS_FOLDER (Linux, Documentation/admin-guide/hw-vuln).  What a file does not
 * say, because it is missing, hidden or older than the hazard, counts as the worst. */
#pragma once
#include <stdbool.h>

#define CPU_RISKS_FOLDER "/sys/devices/system/cpu/vulnerabilities"

struct cpu_risks {
    /* the CPU, or what the kernel has made of it, does not have: */
    bool no_mds;  /* sampling of microarchitectural buffers */
    bool no_rfds; /* sampling of the register file (Atoms) */
    bool no_tsa;  /* AMD's transient scheduler attacks */
    bool no_ssb;  /* loads that run ahead of older stores */
    bool no_bhi;  /* injection by branch history */
    /* controls: */
    bool ibrs;       /* indirect branches can be restricted at all: the register for it is there */
    bool ibrs_all;   /* they are restricted by privilege for good: Enhanced IBRS, Automatic IBRS, or no need */
    bool rfds_clear; /* VERW clears the register file */
    bool ssb_prctl;  /* a process may ask for its loads to wait (PR_SET_SPECULATION_CTRL) */
};

void cpu_risks_read(struct cpu_risks *r, const char *folder);
