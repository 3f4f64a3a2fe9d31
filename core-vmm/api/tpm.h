// SPDX-License-Identifier: GPL-2.0-or-later
/* tpm.h - between a TPM's interface in the machine and the program that is the TPM.  One command at a time: bytes as the TCG
 * says, at most TPM_MOST of them, and an answer.  The guest's bytes are hostile, and so are the program's. */
#pragma once
#include "core-vmm/api/device.h"

enum { TPM_MOST = 0xf80 };

/* ---- the interface; its lock is held ---- */
struct tpm_port;
struct tpm_chip { /* on the loop thread, with the device's lock held */
    /* To the last command; bytes 0: there is no TPM, or it has gone. */
    void (*answer)(struct device *d, const uint8_t *data, size_t bytes);
};
struct tpm_port *tpm_open(struct device *d, const struct tpm_chip *chip); /* in init; one per machine */
void tpm_close(struct tpm_port *p);                                       /* in fini */
void tpm_command(struct tpm_port *p, uint8_t locality, const uint8_t *data, size_t bytes);
void tpm_cancel(struct tpm_port *p); /* the command shall end soon; its answer comes all the same */
void tpm_reset(struct tpm_port *p);  /* the machine starts anew, and so does the TPM; no answer comes any more */

/* ---- the far end; loop thread, no device lock held ---- */
struct tpm_end {
    void (*command)(void *ctx, uint8_t locality, const uint8_t *data, size_t bytes);
    void (*cancel)(void *ctx);
    void (*reset)(void *ctx);
    void *ctx;
};
struct tpm_port *machine_tpm(struct machine *m);                /* NULL: the machine has none */
void tpm_attach(struct tpm_port *p, const struct tpm_end *end); /* NULL: nobody is there.  *end stays valid */
bool tpm_attached(const struct tpm_port *p);
void tpm_answer(struct tpm_port *p, const uint8_t *data, size_t bytes);
