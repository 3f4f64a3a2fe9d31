// SPDX-License-Identifier: GPL-2.0-or-later
/* tpm.c - the way of api/tpm.h: what the guest wants goes through a mailbox to the loop thread.  A block is a kind, a number and
 * a locality, and the command.  The number counts resets: an answer to what was asked before one is nobody's. */
#include "core-vmm/api/tpm.h"
#include "core-vmm/machine/core.h"
#include "core-vmm/machine/mailbox.h"
#include <gio/gio.h>
#include <string.h>

enum { COMMAND, CANCEL, RESET };
enum { WAIT_MS = 100, PATIENCE_S = 20, SAVE_S = 10 };
enum { LIVE_S = 3 }; /* instead of either, while a guest stands that is to run on */
struct block {
    uint8_t kind, locality;
};
struct tpm_port {
    struct device *device;
    const struct tpm_chip *chip;
    const struct tpm_end *end; /* loop thread */
    struct mailbox *to_end;
    struct tpm_memory remembered; /* loop thread: of a saved state */
    bool remembers;
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
        tpm_forget(p);
        p->outdated = p->asked;
        if (p->end)
            p->end->reset(p->end->ctx);
    } else if (b.kind == CANCEL) {
        if (p->end && p->asked)
            p->end->cancel(p->end->ctx);
    } else if (!p->end && p->remembers) {
        return false; /* it is about to come */
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
    tpm_forget(p);
    mailbox_free(p->to_end);
    g_free(p);
}

static void put(struct tpm_port *p, uint8_t kind, uint8_t locality, const void *data, size_t bytes)
{
    struct block b = {kind, locality};
    const struct iovec iov[] = {{&b, sizeof b}, {(void *)data, bytes}};
    if (!mailbox_put(p->to_end, iov, bytes ? 2 : 1) && kind == COMMAND)
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
    mailbox_wake(p->to_end);
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

/* ---- saving and loading ---- */

static void memory_clear(struct tpm_memory *t)
{
    for (unsigned i = 0; i < TPM_BLOBS; i++)
        g_clear_pointer(&t->blob[i].bytes, g_byte_array_unref);
    *t = (struct tpm_memory){0};
}

const struct tpm_memory *tpm_remembered(const struct tpm_port *p)
{
    return p->remembers ? &p->remembered : NULL;
}

void tpm_forget(struct tpm_port *p)
{
    memory_clear(&p->remembered);
    p->remembers = false;
}

/* Making a key may take a second. */
bool tpm_settle(struct machine *m, GError **error)
{
    struct tpm_port *p = m->tpm;
    unsigned seconds = machine_saves_live(m) ? LIVE_S : PATIENCE_S;
    gint64 end = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
    if (p)
        mailbox_run(p->to_end);
    while (p && p->asked && p->end) {
        if (!p->end->wait(p->end->ctx, WAIT_MS) && g_get_monotonic_time() > end) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                        "The machine's TPM has been at one command for %u s: try again when it has done that", seconds);
            return false;
        }
        mailbox_run(p->to_end);
    }
    return true;
}

static void sync_blob(struct stream *s, struct tpm_blob *b)
{
    uint32_t bytes = b->bytes ? b->bytes->len : 0;
    stream_u32(s, &b->flags);
    stream_check_u32(s, &bytes, TPM_BLOB_MOST);
    if (!stream_ok(s) || !bytes)
        return;
    if (s->loading) {
        b->bytes = g_byte_array_new();
        g_byte_array_set_size(b->bytes, bytes);
    }
    stream_raw(s, b->bytes->data, bytes);
}

static void sync_memory(struct stream *s, struct tpm_memory *t)
{
    for (unsigned i = 0; i < TPM_BLOBS; i++)
        sync_blob(s, &t->blob[i]);
}

/* One that is not there now has forgotten what a reset ends, or has not yet heard what it is to know. */
bool tpm_sync(struct machine *m, struct stream *s, GError **error)
{
    struct tpm_port *p = m->tpm;
    struct tpm_memory t = {0};
    if (s->loading) {
        mailbox_run(p->to_end); /* the reset of a machine that was built */
        tpm_forget(p);
        sync_memory(s, &p->remembered);
        p->remembers = stream_ok(s) && p->remembered.blob[0].bytes;
        return stream_ok(s);
    }
    if (p->remembers) {
        sync_memory(s, &p->remembered);
        return true;
    }
    unsigned ms = (machine_saves_live(m) ? LIVE_S : SAVE_S) * 1000;
    bool good = !p->end || p->end->save(p->end->ctx, &t, ms, error);
    if (good)
        sync_memory(s, &t);
    memory_clear(&t);
    return good;
}
