// SPDX-License-Identifier: GPL-2.0-or-later
/* tpm.c - the way of api/tpm.h: what the guest wants goes through a mailbox to the loop thread.  A block is a kind, a number and
 * a locality, and the command.  The number counts resets: an answer to what was asked before one is nobody's. */
#include "core-vmm/api/tpm.h"
#include "core-vmm/machine/core.h"
#include "core-vmm/machine/mailbox.h"
#include <string.h>

enum { COMMAND, CANCEL, RESET };
struct block {
    uint8_t kind, locality;
};
struct tpm_port {
    struct device *device;
    const struct tpm_chip *chip;
    const struct tpm_end *end; /* loop thread */
    struct mailbox *to_end;
    bool asked;    /* loop thread: an answer is to come ... */
    bool outdated; /* ... to what was asked before a reset */
};

static void give(struct tpm_port *p, const uint8_t *data, size_t bytes)
{
    dev_lock(p->device);
    p->chip->answer(p->device, data, bytes);
    dev_unlock(p->device);
}

static bool deliver(void *ctx, const void *data, size_t bytes)
{
    struct tpm_port *p = ctx;
    struct block b;
    memcpy(&b, data, sizeof b);
    if (b.kind == RESET) {
        p->outdated = p->asked;
        if (p->end)
            p->end->reset(p->end->ctx);
    } else if (b.kind == CANCEL) {
        if (p->end && p->asked)
            p->end->cancel(p->end->ctx);
    } else if (!p->end) {
        give(p, NULL, 0);
    } else if (p->asked) {
        return false; /* the answer to an outdated one is still to come */
    } else {
        p->asked = true;
        p->end->command(p->end->ctx, b.locality, (const uint8_t *)data + sizeof b, bytes - sizeof b);
    }
    return true;
}

struct tpm_port *tpm_open(struct device *d, const struct tpm_chip *chip)
{
    struct tpm_port *p = g_new0(struct tpm_port, 1);
    p->device = d;
    p->chip = chip;
    p->to_end = mailbox_new(deliver, p, 64 << 10);
    d->machine->tpm = p;
    return p;
}

void tpm_close(struct tpm_port *p)
{
    p->device->machine->tpm = NULL;
    mailbox_free(p->to_end);
    g_free(p);
}

static void put(struct tpm_port *p, uint8_t kind, uint8_t locality, const void *data, size_t bytes)
{
    struct block b = {kind, locality};
    const struct iovec iov[] = {{&b, sizeof b}, {(void *)data, bytes}};
    if (!mailbox_put(p->to_end, iov, G_N_ELEMENTS(iov)) && kind == COMMAND)
        p->chip->answer(p->device, NULL, 0); /* a guest that only resets and asks */
}

void tpm_command(struct tpm_port *p, uint8_t locality, const uint8_t *data, size_t bytes)
{
    put(p, COMMAND, locality, data, bytes);
}

void tpm_cancel(struct tpm_port *p)
{
    put(p, CANCEL, 0, NULL, 0);
}

void tpm_reset(struct tpm_port *p)
{
    put(p, RESET, 0, NULL, 0);
}

struct tpm_port *machine_tpm(struct machine *m)
{
    return m->tpm;
}

void tpm_attach(struct tpm_port *p, const struct tpm_end *end)
{
    p->end = end;
    if (!end && p->asked)
        tpm_answer(p, NULL, 0);
}

bool tpm_attached(const struct tpm_port *p)
{
    return p->end != NULL;
}

void tpm_answer(struct tpm_port *p, const uint8_t *data, size_t bytes)
{
    bool wanted = p->asked && !p->outdated;
    p->asked = p->outdated = false;
    if (wanted)
        give(p, data, MIN(bytes, TPM_MOST));
    mailbox_wake(p->to_end);
}
