// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_tpm.h - the process that is a machine's TPM: swtpm, which keeps its state in the machine's folder. */
#pragma once
#include "core-vmm/outer/outer.h"

#define MACHINE_TPM_FOLDER "tpm"             /* in the machine's folder */
#define MACHINE_TPM_STATE  "tpm2-00.permall" /* swtpm's name for what lasts */
struct machine_tpm {
    struct outer_end end; /* what the keeper is to start */
    char **argv;
};
/* Makes its folder.  False: an error, which names the package if the program is missing. */
bool machine_tpm_prepare(struct machine_tpm *t, const char *folder, GError **error);
void machine_tpm_done(struct machine_tpm *t); /* the keeper has it */
