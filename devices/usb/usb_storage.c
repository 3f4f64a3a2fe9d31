// SPDX-License-Identifier: GPL-2.0-or-later
/* usb_storage.c - a stick or a CD drive: the bulk-only transport over what scsi.c knows.  Spec: USB Mass Storage Class, Bulk-Only
 * Transport 1.0.
 *
 * A command goes: its wrapper out; data, one way; the status in.  Data goes through a buffer of the device's own, so nothing
 * that the drive still does touches what a controller or guest has taken back.  At most one packet is kept, because at any time
 * only one direction is anybody's turn; the other direction is told to wait (NAK).  Where the device has less than the host
 * expects, it ends with a short packet, and swallows what it has no use for: nothing is halted but for a wrapper that makes no sense.
 *
 * A disk is a bay (drive_open_bay()): without a medium the device is not plugged in. */
#include "core-vmm/base/bytes.h"
#include "devices/storage/scsi.h"
#include "devices/usb/usb_bus.h"

enum { COMMAND_BYTES = 31, STATUS_BYTES = 13, CHUNK = 64 << 10, AT_IN = 0x81, AT_OUT = 0x02 };
enum { COMMAND_SIGNATURE = 0x43425355, STATUS_SIGNATURE = 0x53425355, FLAG_IN = 0x80 };
enum { PASSED = 0, FAILED = 1, PHASE_ERROR = 2 };
enum { TO_CLASS = 0x21, FROM_CLASS = 0xa1, BULK_RESET = 0xff, GET_MAX_LUN = 0xfe };
enum { INQUIRY = 0x12, UNMAP = 0x42, WRITE_SAME_10 = 0x41, WRITE_SAME_16 = 0x93, REMOVABLE = 0x80, ILLEGAL = 5 };

enum phase {
    PHASE_COMMAND,
    PHASE_PARAMETERS,
    PHASE_IN,
    PHASE_OUT,
    PHASE_WORK /* nothing moves */,
    PHASE_STATUS,
    PHASES
};
struct storage {
    struct usb_device usb; /* first */
    struct ata_drive drive;
    /* The command.  total: bytes of its data stage as the host says; left: those that it still expects or sends; residue: what is
     * not the medium's, as the status says it. */
    uint32_t phase, tag, total, left, residue;
    uint8_t status, lun, cdb[SCSI_CDB];
    bool in, refused, halted_in, halted_out; /* refused: until a reset */
    struct scsi_action action;
    uint64_t done;           /* bytes of the action that the medium has read or written */
    unsigned range;          /* of UNMAP: the next */
    uint32_t buffered, used; /* in the chunk: bytes there are, and of them what the host has */
    /* What runs. */
    bool busy, stale; /* a request is under way; nobody wants to know of it */
    struct usb_packet *kept;
    struct drive_request request;
    struct iovec iov;
    uint8_t answer[ATA_ANSWER], chunk[CHUNK];
};

/* ---- descriptors ---- */
#define CONFIGURATION(bytes)     9, 2, bytes, 0, 1, 1, 0, 0x80, 50
#define INTERFACE                9, 4, 0, 0, 2, 8, 6, 0x50, 0 /* SCSI commands, bulk only */
#define ENDPOINT(address, bytes) 7, 5, address, 2, (bytes)&0xff, (bytes) >> 8, 0
#define COMPANION                6, 0x30, 15, 0, 0, 0

static void unhalted(struct usb_device *u, uint8_t endpoint);
static bool is_halted(const struct usb_device *u, uint8_t endpoint);
static void configured(struct usb_device *u);
static const struct usb_model model = {
    .vendor = 0x46f4, /* as QEMU's, which systems know */
    .product = 0x0001,
    .text = "Terrarium USB Storage",
    .configuration =
        {
            [USB_FULL] = (const uint8_t[]){CONFIGURATION(32), INTERFACE, ENDPOINT(AT_IN, 64), ENDPOINT(AT_OUT, 64)},
            [USB_HIGH] = (const uint8_t[]){CONFIGURATION(32), INTERFACE, ENDPOINT(AT_IN, 512), ENDPOINT(AT_OUT, 512)},
            [USB_SUPER] = (const uint8_t[]){CONFIGURATION(44), INTERFACE, ENDPOINT(AT_IN, 1024), COMPANION,
                                            ENDPOINT(AT_OUT, 1024), COMPANION},
        },
    .configured = configured,
    .unhalted = unhalted,
    .halted = is_halted,
};

/* ---- phases ---- */
static void go_on(struct storage *m);

static void enter(struct storage *m, enum phase phase)
{
    m->phase = phase;
    if (phase == PHASE_COMMAND || phase == PHASE_OUT || phase == PHASE_PARAMETERS)
        usb_wake(&m->usb, AT_OUT);
    else if (phase == PHASE_IN || phase == PHASE_STATUS)
        usb_wake(&m->usb, AT_IN);
}

/* The command is through with the medium. */
static void conclude(struct storage *m, uint8_t status)
{
    m->status = status;
    m->action.what = SCSI_DONE;
    if (m->left && !m->in)
        enter(m, PHASE_OUT); /* what is still to come is swallowed */
    else if (m->left)
        enter(m, PHASE_IN); /* what there is, then a short packet */
    else
        enter(m, PHASE_STATUS);
}

/* ---- the medium ---- */
static void request_done(struct device *d, struct drive_request *r, int error);

static void submit(struct storage *m, enum drive_op op, uint64_t offset, uint64_t bytes)
{
    bool moves = op == DRIVE_READ || op == DRIVE_WRITE;
    m->iov = (struct iovec){m->chunk, bytes};
    m->request = (struct drive_request){.op = op,
                                        .offset = offset,
                                        .bytes = bytes,
                                        .iov = moves ? &m->iov : NULL,
                                        .iov_count = moves,
                                        .done = request_done,
                                        .tag = m};
    m->busy = true;
    drive_submit(m->drive.medium, &m->request);
}

static void read_on(struct storage *m)
{
    submit(m, DRIVE_READ, m->action.at + m->done, MIN(m->action.bytes - m->done, CHUNK));
}

/* After the last write, or what needs none. */
static void flush_or_conclude(struct storage *m)
{
    if (m->action.flush) {
        m->action.flush = false;
        submit(m, DRIVE_FLUSH, 0, 0);
    } else {
        conclude(m, PASSED);
    }
}

static void next_range(struct storage *m)
{
    unsigned n = m->range++;
    submit(m, DRIVE_DISCARD, m->action.range[n].at, m->action.range[n].bytes);
}

/* WRITE SAME: copies of its sector, a chunk at a time. */
static void fill_on(struct storage *m)
{
    uint64_t bytes = MIN(m->action.bytes - m->done, CHUNK);
    submit(m, DRIVE_WRITE, m->action.at + m->done, bytes);
}

static void failed(struct storage *m, bool read, int error)
{
    scsi_failed(&m->drive, read, error);
    if (!read)
        m->residue = m->total - MIN(m->done, m->total);
    m->buffered = m->used = 0;
    conclude(m, FAILED);
}

static void through(struct storage *m, const struct drive_request *r)
{
    struct scsi_action *a = &m->action;
    m->done += r->bytes;
    if (r->op == DRIVE_READ) {
        m->buffered = r->bytes;
        m->used = 0;
    } else if (a->what == SCSI_UNMAP && m->range < a->ranges) {
        next_range(m);
    } else if (a->what == SCSI_FILL && m->done < a->bytes) {
        fill_on(m);
    } else if (a->what == SCSI_WRITE) {
        m->buffered = 0;
        if (m->done == a->bytes)
            flush_or_conclude(m);
    } else {
        flush_or_conclude(m);
    }
}

static void request_done(struct device *d, struct drive_request *r, int error)
{
    struct storage *m = r->tag;
    m->busy = false;
    if (m->stale)
        m->stale = false;
    else if (error)
        failed(m, r->op == DRIVE_READ, error);
    else
        through(m, r);
    go_on(m);
}

/* ---- commands ---- */

/* The host and the device disagree about how much moves, and which way. */
static bool disagree(const struct storage *m)
{
    const struct scsi_action *a = &m->action;
    bool in = a->what == SCSI_REPLY || a->what == SCSI_READ, out = a->what == SCSI_WRITE;
    return (in && !m->in) || (out && m->in) || ((in || out) && a->bytes > m->left);
}

static void reply(struct storage *m)
{
    memcpy(m->chunk, m->answer, m->action.bytes);
    if (m->cdb[0] == INQUIRY && !(m->cdb[1] & 1) && !m->drive.cdrom)
        m->chunk[1] = REMOVABLE;
    m->buffered = m->done = m->action.bytes;
    m->used = 0;
    conclude(m, PASSED);
}

static void begin(struct storage *m, uint32_t parameters)
{
    struct scsi_action *a = &m->action;
    m->done = m->range = 0;
    m->phase = PHASE_WORK;
    m->buffered = m->used = 0;
    scsi_command(&m->drive, m->lun, m->cdb, m->chunk, parameters, m->answer, a);
    m->residue = m->total;
    if (disagree(m)) {
        conclude(m, PHASE_ERROR);
        return;
    }
    if (a->what == SCSI_READ && a->raw) { /* audio sectors: nobody has such a drive on USB */
        m->drive.sense = (struct ata_sense){ILLEGAL, 0x64, 0};
        a->what = SCSI_FAIL;
    }
    switch (a->what) {
    case SCSI_DONE: conclude(m, PASSED); break;
    case SCSI_FAIL: conclude(m, FAILED); break;
    case SCSI_REPLY: reply(m); break;
    case SCSI_READ:
        read_on(m);
        enter(m, PHASE_IN);
        break;
    case SCSI_WRITE: enter(m, PHASE_OUT); break;
    case SCSI_FLUSH: submit(m, DRIVE_FLUSH, 0, 0); break;
    case SCSI_UNMAP: next_range(m); break;
    case SCSI_ZERO: submit(m, DRIVE_ZERO, a->at, a->bytes); break;
    case SCSI_FILL:
        for (uint32_t n = SCSI_SECTOR; n < CHUNK; n += SCSI_SECTOR)
            memcpy(m->chunk + n, m->chunk, SCSI_SECTOR);
        fill_on(m);
        break;
    }
}

static bool has_parameters(uint8_t command)
{
    return command == UNMAP || command == WRITE_SAME_10 || command == WRITE_SAME_16;
}

static enum usb_status take_command(struct storage *m, struct usb_packet *p)
{
    const uint8_t *c = p->data;
    if (p->bytes != COMMAND_BYTES || get_le32(c) != COMMAND_SIGNATURE || c[13] & 0xf0 || !c[14] || c[14] > SCSI_CDB) {
        m->refused = m->halted_in = m->halted_out = true;
        return USB_STALL;
    }
    p->moved = p->bytes;
    m->tag = get_le32(c + 4);
    m->total = m->left = get_le32(c + 8);
    m->in = c[12] & FLAG_IN;
    m->lun = c[13];
    m->status = PASSED;
    m->buffered = m->used = 0;
    memset(m->cdb, 0, sizeof m->cdb);
    memcpy(m->cdb, c + 15, c[14]);
    if (m->left && !m->in && has_parameters(m->cdb[0]))
        enter(m, PHASE_PARAMETERS);
    else
        begin(m, 0);
    return USB_OK;
}

/* ---- data ---- */

/* What comes with a command that is to be understood first; more than it can be is swallowed. */
static enum usb_status take_parameters(struct storage *m, struct usb_packet *p)
{
    uint32_t n = MIN(p->bytes, m->left), fits = MIN(n, SCSI_PARAMETERS - m->buffered);
    memcpy(m->chunk + m->buffered, p->data, fits);
    m->buffered += fits;
    m->left -= n;
    p->moved = n;
    if (!m->left)
        begin(m, m->buffered);
    return USB_OK;
}

static enum usb_status take_data(struct storage *m, struct usb_packet *p)
{
    while (p->moved < p->bytes && m->left) {
        uint32_t n = MIN(p->bytes - p->moved, m->left);
        if (m->action.what == SCSI_WRITE) {
            uint64_t whole = MIN(m->action.bytes - m->done, CHUNK);
            if (m->busy)
                return USB_LATER;
            n = MIN(n, whole - m->buffered);
            memcpy(m->chunk + m->buffered, p->data + p->moved, n);
            m->buffered += n;
            m->residue -= n;
            if (m->buffered == whole)
                submit(m, DRIVE_WRITE, m->action.at + m->done, whole);
        }
        p->moved += n;
        m->left -= n;
    }
    if (!m->left && m->action.what == SCSI_DONE && !m->busy)
        enter(m, PHASE_STATUS);
    else if (!m->left)
        m->phase = PHASE_WORK;
    return p->moved < p->bytes ? USB_STALL : USB_OK;
}

static void data_is_through(struct storage *m)
{
    m->left = 0;
    m->buffered = m->used = 0;
    m->action.what = SCSI_DONE;
    enter(m, PHASE_STATUS);
}

static enum usb_status give_data(struct storage *m, struct usb_packet *p)
{
    while (p->moved < p->bytes) {
        uint32_t n = MIN(p->bytes - p->moved, m->buffered - m->used);
        if (m->busy)
            return USB_LATER;
        memcpy(p->data + p->moved, m->chunk + m->used, n);
        m->used += n;
        p->moved += n;
        m->left -= n;
        m->residue -= n;
        if (n)
            continue;
        if (m->action.what != SCSI_READ || m->done == m->action.bytes)
            break;
        read_on(m);
    }
    if (p->moved < p->bytes || !m->left)
        data_is_through(m);
    return USB_OK;
}

static enum usb_status give_status(struct storage *m, struct usb_packet *p)
{
    uint8_t status[STATUS_BYTES];
    put_le32(status, STATUS_SIGNATURE);
    put_le32(status + 4, m->tag);
    put_le32(status + 8, m->residue);
    status[12] = m->status;
    usb_answer(p, status, sizeof status);
    enter(m, PHASE_COMMAND);
    return USB_OK;
}

/* ---- packets ---- */
static enum usb_status of_out(struct storage *m, struct usb_packet *p)
{
    if (m->halted_out)
        return USB_STALL;
    switch (m->phase) {
    case PHASE_COMMAND: return m->busy ? USB_LATER : take_command(m, p);
    case PHASE_PARAMETERS: return take_parameters(m, p);
    case PHASE_OUT: return take_data(m, p);
    default: return USB_NAK;
    }
}

static enum usb_status of_in(struct storage *m, struct usb_packet *p)
{
    if (m->halted_in)
        return USB_STALL;
    switch (m->phase) {
    case PHASE_IN: return give_data(m, p);
    case PHASE_STATUS: return give_status(m, p);
    default: return USB_NAK;
    }
}

static enum usb_status bulk(struct storage *m, struct usb_packet *p)
{
    if (!m->usb.configuration)
        return USB_STALL;
    if (p->in && p->endpoint == (AT_IN & 15))
        return of_in(m, p);
    return !p->in && p->endpoint == AT_OUT ? of_out(m, p) : USB_STALL;
}

/* Something has happened that the packet may have waited for. */
static void go_on(struct storage *m)
{
    struct usb_packet *p = m->kept;
    enum usb_status status = p ? bulk(m, p) : USB_LATER;
    if (status == USB_LATER || m->kept != p) /* it may have been taken back meanwhile */
        return;
    m->kept = NULL;
    usb_done(p, status == USB_NAK ? USB_LOST : status);
}

/* A reset, of whatever kind.  The packet that is kept was of the command that is forgotten. */
static void forget(struct storage *m)
{
    struct usb_packet *p = m->kept;
    m->phase = PHASE_COMMAND;
    m->left = m->buffered = m->used = 0;
    m->action.what = SCSI_DONE;
    m->stale = m->busy;
    m->refused = m->halted_in = m->halted_out = false;
    m->kept = NULL;
    if (p)
        usb_done(p, USB_LOST);
}

static enum usb_status control(struct storage *m, struct usb_packet *p)
{
    static const uint8_t no_other = 0;
    if (p->setup[0] == TO_CLASS && p->setup[1] == BULK_RESET) {
        forget(m);
        return USB_OK;
    }
    if (p->setup[0] == FROM_CLASS && p->setup[1] == GET_MAX_LUN) {
        usb_answer(p, &no_other, 1);
        return USB_OK;
    }
    return usb_standard(&m->usb, &model, p) ? USB_OK : USB_STALL;
}

static enum usb_status handle(struct usb_device *u, struct usb_packet *p)
{
    struct storage *m = u->state;
    if (p->kind == USB_CONTROL)
        return control(m, p);
    if (m->kept)
        return USB_NAK; /* of a schedule that sends two at once */
    enum usb_status status = bulk(m, p);
    if (status == USB_LATER)
        m->kept = p;
    return status;
}

static void cancel(struct usb_device *u, struct usb_packet *p)
{
    struct storage *m = u->state;
    if (m->kept == p)
        m->kept = NULL;
}

static void unhalted(struct usb_device *u, uint8_t endpoint)
{
    struct storage *m = u->state;
    if (!m->refused && endpoint == AT_IN)
        m->halted_in = false;
    else if (!m->refused && endpoint == AT_OUT)
        m->halted_out = false;
}

static bool is_halted(const struct usb_device *u, uint8_t endpoint)
{
    const struct storage *m = u->state;
    return endpoint & 0x80 ? m->halted_in : m->halted_out;
}

static void configured(struct usb_device *u)
{
    forget(u->state);
}

/* ---- life ---- */
static void reset(struct usb_device *u)
{
    struct storage *m = u->state;
    scsi_power_on(&m->drive);
    forget(m); /* last: whose packet it keeps may go on */
}

static void sync_drive(struct stream *s, struct ata_drive *v)
{
    uint8_t *bytes[] = {&v->sense.key,     &v->sense.code,     &v->sense.qualifier,
                        &v->attention.key, &v->attention.code, &v->attention.qualifier,
                        &v->event};
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
        stream_u8(s, bytes[i]);
    stream_bool(s, &v->locked);
    if (s->loading)
        drive_guest_lock(v->medium, v->locked);
}

/* Of a command in its middle: no request is under way, so what it does to the medium is reading or writing, chunk by chunk. */
static void sync_command(struct storage *m, struct stream *s)
{
    struct scsi_action *a = &m->action;
    uint32_t what = a->what;
    stream_check_u32(s, &what, SCSI_FILL);
    a->what = what;
    stream_bool(s, &a->flush);
    stream_u64(s, &a->at);
    stream_u64(s, &a->bytes);
    stream_u64(s, &m->done);
    stream_check_u32(s, &m->buffered, CHUNK);
    stream_check_u32(s, &m->used, m->buffered);
    stream_raw(s, m->chunk, m->buffered);
}

/* What a command that was loaded goes on with; the drive checks places on the medium itself. */
static bool sane(const struct storage *m)
{
    const struct scsi_action *a = &m->action;
    uint64_t ready = m->buffered - m->used, rest = a->bytes - m->done;
    if (m->phase == PHASE_WORK || m->done > a->bytes || m->left > m->total)
        return false;
    switch (a->what) {
    case SCSI_READ: return m->phase == PHASE_IN && rest <= m->left && rest + ready <= m->left;
    case SCSI_WRITE:
        return m->phase == PHASE_OUT && m->buffered < MIN(rest, CHUNK) && rest - m->buffered <= m->left && !m->used;
    case SCSI_DONE:
        return (m->phase != PHASE_IN || ready <= m->left) &&
               (m->phase != PHASE_PARAMETERS || (m->left && m->buffered <= SCSI_PARAMETERS));
    default: return false;
    }
}

static bool sync_state(struct usb_device *u, struct stream *s)
{
    struct storage *m = u->state;
    bool *flags[] = {&m->in, &m->refused, &m->halted_in, &m->halted_out};
    sync_drive(s, &m->drive);
    stream_check_u32(s, &m->phase, PHASES - 1);
    stream_u32(s, &m->tag);
    stream_u32(s, &m->total);
    stream_u32(s, &m->left);
    stream_u32(s, &m->residue);
    stream_u8(s, &m->status);
    stream_u8(s, &m->lun);
    stream_raw(s, m->cdb, sizeof m->cdb);
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++)
        stream_bool(s, flags[i]);
    sync_command(m, s);
    m->lun &= 15;
    return stream_ok(s) && (!s->loading || sane(m));
}

static void close_storage(struct usb_device *u)
{
    struct storage *m = u->state;
    drive_close(m->drive.medium);
    g_free(m);
}

static const struct usb_device_ops ops = {
    .name = "storage", .handle = handle, .cancel = cancel, .reset = reset, .sync = sync_state, .close = close_storage};

/* ---- the user's side ---- */
struct drive *usb_storage_medium(const struct usb_device *u)
{
    return u->ops == &ops ? ((struct storage *)u->state)->drive.medium : NULL;
}

bool usb_storage_present(const struct usb_device *u)
{
    const struct storage *m = u->ops == &ops ? u->state : NULL;
    return !m || m->drive.cdrom || drive_bytes(m->drive.medium);
}

static void medium_changed(struct device *d, struct drive *medium)
{
    struct usb_bus *b = d->state;
    struct usb_device *u = usb_bus_of_drive(b, medium);
    struct storage *m = u ? u->state : NULL;
    if (!m)
        return;
    if (m->drive.cdrom) {
        atapi_medium_changed(&m->drive);
        return;
    }
    usb_bus_plug(b, u, false);
    if (usb_storage_present(u))
        usb_bus_plug(b, u, true);
}

struct usb_device *usb_storage_open(struct device *d, const struct config *c, unsigned number, GError **error)
{
    struct storage *m = g_new0(struct storage, 1);
    m->usb = (struct usb_device){
        .ops = &ops, .speeds = 1 << USB_FULL | 1 << USB_HIGH | 1 << USB_SUPER, .machine = d, .state = m};
    if (!ata_open(d, &m->drive, c, number, true, error)) {
        g_free(m);
        return NULL;
    }
    scsi_power_on(&m->drive);
    drive_on_change(m->drive.medium, medium_changed);
    return &m->usb;
}
