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
/* All that a TPM knows, as its program puts it: what lasts, what a reset ends, what was put by for a sleep. */
enum { TPM_BLOB_MOST = 512 << 10, TPM_BLOBS = 3 };
struct tpm_memory {
    struct tpm_blob {
        uint32_t flags;
        GByteArray *bytes; /* NULL: nothing */
    } blob[TPM_BLOBS];
};
struct tpm_end {
    void (*command)(void *ctx, uint8_t locality, const uint8_t *data, size_t bytes);
    void (*cancel)(void *ctx);
    void (*reset)(void *ctx);
    bool (*wait)(void *ctx, int ms); /* until it has said something, which is done then; false: it has not */
    /* It works and has nothing to do.  All of it takes no longer than that. */
    bool (*save)(void *ctx, struct tpm_memory *out, unsigned ms, GError **error);
    void *ctx;
};
struct tpm_port *machine_tpm(struct machine *m);                /* NULL: the machine has none */
void tpm_attach(struct tpm_port *p, const struct tpm_end *end); /* NULL: nobody is there.  *end stays valid */
bool tpm_attached(const struct tpm_port *p);
void tpm_answer(struct tpm_port *p, const uint8_t *data, size_t bytes);
/* What the TPM is to know when it comes up, of a saved state; NULL: nothing but what lasts.  Until it is there, commands wait. */
const struct tpm_memory *tpm_remembered(const struct tpm_port *p);
void tpm_forget(struct tpm_port *p); /* it knows */

/* ---- saving and loading; loop thread, the vCPUs stand ---- */
bool tpm_settle(struct machine *m, GError **error); /* what the guest asked is answered */
bool tpm_sync(struct machine *m, struct stream *s, GError **error);
