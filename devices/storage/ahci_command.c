// SPDX-License-Identifier: GPL-2.0-or-later
/* ahci_command.c - the command list of an AHCI port.  Spec: Serial ATA AHCI 1.3.1, chapters 4 (structures in memory), 5 (what
 * the HBA does), 6.2 (errors); FISes: Serial ATA 2.6, 10.3; queued commands: 13.6 there. */
#include "core-vmm/base/bytes.h"
#include "devices/storage/ahci.h"

enum { HEADER_BYTES = 32, HEADER_MOVED = 4, HEADER_TABLE = 8, TABLE_PACKET = 0x40, TABLE_PRDT = 0x80, PRD_BYTES = 16 };
enum { FIS_H2D = 0x27, FIS_D2H = 0x34, FIS_PIO = 0x5f, FIS_BITS = 0xa1, FIS_INTERRUPT = 0x40, FIS_TO_HOST = 0x20 };
enum { FIS_COMMAND = 0x80, AT_PIO = 0x20, AT_D2H = 0x40, AT_BITS = 0x58, CONTROL_SRST = 0x04 };
enum { READ_QUEUED = 0x60, WRITE_QUEUED = 0x61 };

static uint32_t bit(const struct ahci_slot *s)
{
    return 1u << s->number;
}

/* ---- what is received from the drive ---- */
static void post(struct device *d, struct ahci_port *p, unsigned offset, const uint8_t *fis, unsigned bytes)
{
    uint8_t *to = p->command & CMD_FRE ? dev_dma(d, p->fis + offset, bytes, true) : NULL;

    if (!to)
        return;
    memcpy(to, fis, bytes);
    dev_dma_done(d, p->fis + offset, bytes);
}

static void put_registers(const struct ata_drive *v, uint8_t *fis)
{
    const uint8_t registers[] = {v->status,    v->error,  v->sector[0], v->low[0], v->high[0],  v->device,
                                 v->sector[1], v->low[1], v->high[1],   0,         v->count[0], v->count[1]};

    memcpy(fis + 2, registers, sizeof registers);
}

void ahci_post_d2h(struct device *d, struct ahci_port *p, bool interrupt)
{
    uint8_t fis[20] = {FIS_D2H, interrupt ? FIS_INTERRUPT : 0};

    put_registers(&p->drive, fis);
    post(d, p, AT_D2H, fis, sizeof fis);
    if (interrupt)
        p->status |= IS_D2H;
}

/* All of the answer of a PIO command in one: the status before and behind it, and its length. */
static void post_pio(struct device *d, struct ahci_port *p, uint32_t bytes)
{
    uint8_t fis[20] = {FIS_PIO, FIS_INTERRUPT | FIS_TO_HOST};

    put_registers(&p->drive, fis);
    fis[2] = STATUS_READY | STATUS_DRQ;
    fis[15] = p->drive.status;
    put_le16(fis + 16, bytes);
    post(d, p, AT_PIO, fis, sizeof fis);
    p->status |= IS_PIO;
}

static void post_bits(struct device *d, struct ahci_port *p, uint32_t tags)
{
    uint8_t fis[8] = {FIS_BITS, FIS_INTERRUPT, p->drive.status & 0x77, p->drive.error};

    put_le32(fis + 4, tags);
    post(d, p, AT_BITS, fis, sizeof fis);
    p->active &= ~tags;
    p->status |= IS_SDB;
}

void ahci_tell_queued(struct device *d, struct ahci_port *p)
{
    if (p->through && !p->halted)
        post_bits(d, p, p->through);
    p->through = 0;
}

/* ---- ends of a command ---- */
static void put_moved(struct device *d, const struct ahci_slot *s)
{
    uint8_t *to = dev_dma(d, s->header + HEADER_MOVED, 4, true);

    if (!to)
        return;
    put_le32(to, s->moved);
    dev_dma_done(d, s->header + HEADER_MOVED, 4);
}

/* The guest pointed to nowhere: the port stands still until it is restarted. */
static void host_error(struct device *d, struct ahci_port *p, uint64_t gpa)
{
    dev_log(d, "port %u: what is at 0x%" G_GINT64_MODIFIER "x is not RAM", p->number, gpa);
    p->status |= IS_HOST_BUS;
    p->halted = true;
}

static void end_queued(struct device *d, struct ahci_slot *s, uint8_t error)
{
    struct ahci_port *p = s->port;
    struct ata_drive *v = &p->drive;

    p->queued &= ~bit(s);
    if (!error) {
        v->status = STATUS_READY;
        p->through |= bit(s);
        return;
    }
    v->status = STATUS_READY | STATUS_ERR;
    v->error = error;
    v->failed_tag = s->number;
    v->failed_status = v->status;
    v->failed_error = error;
    v->failed_lba = s->action.lba;
    ahci_tell_queued(d, p);
    post_bits(d, p, 0);
    p->status |= IS_TASK_FILE;
    p->halted = true;
}

static void end_ordinary(struct device *d, struct ahci_slot *s, uint8_t error)
{
    struct ahci_port *p = s->port;
    struct ata_drive *v = &p->drive;
    bool pio = !s->action.dma && !s->packet && (s->action.what == ATA_ANSWER_OUT || s->action.what == ATA_READ);

    v->status = STATUS_READY | (error ? STATUS_ERR : 0);
    v->error = error;
    if (s->packet)
        v->count[0] = REASON_COMMAND | REASON_TO_HOST;
    p->taken &= ~bit(s);
    if (pio && !error)
        post_pio(d, p, s->moved);
    else
        ahci_post_d2h(d, p, true);
    if (error) {
        p->status |= IS_TASK_FILE;
        p->halted = true;
    } else {
        p->issue &= ~bit(s);
    }
}

static void end(struct device *d, struct ahci_slot *s, uint8_t error)
{
    put_moved(d, s);
    if (s->notify)
        s->port->status |= IS_PRD;
    if (s->action.queued)
        end_queued(d, s, error);
    else
        end_ordinary(d, s, error);
}

/* ---- the guest's memory ---- */

/* Takes descriptors for at most `want` bytes, as far as the list has room; false: one of them leads nowhere. */
static bool gather(struct device *d, struct ahci_slot *s, uint64_t want, bool to_guest)
{
    enum { COUNT = 0x3fffff, NOTIFY = 1u << 31 };
    bool good = true;

    dma_list_clear(&s->dma);
    while (good && s->dma.bytes < want && s->next < s->count) {
        const uint8_t *p = dev_dma(d, s->descriptors + (uint64_t)s->next * PRD_BYTES, PRD_BYTES, false);
        uint64_t bytes = p ? ((get_le32(p + 12) & COUNT) | 1) + 1 : 0;
        uint64_t n = s->skip < bytes ? MIN(bytes - s->skip, want - s->dma.bytes) : 0;
        uint64_t got = n ? dma_list_add(d, &s->dma, get_le64(p) + s->skip, n, to_guest, &good) : 0;
        good = good && p;
        s->skip += got;
        if (good && s->skip >= bytes) {
            s->notify |= (get_le32(p + 12) & NOTIFY) != 0;
            s->next++;
            s->skip = 0;
        }
        if (got < n)
            break;
    }
    return good;
}

static void answer(struct device *d, struct ahci_slot *s)
{
    for (uint64_t done = 0; done < s->action.bytes; done += s->dma.bytes) {
        if (!gather(d, s, s->action.bytes - done, true)) {
            host_error(d, s->port, s->descriptors);
            return;
        }
        if (!s->dma.bytes)
            break;
        dma_list_put(&s->dma, 0, s->port->answer + done, s->dma.bytes);
        dma_list_done(d, &s->dma);
        s->moved += s->dma.bytes;
    }
    end(d, s, 0);
}

/* ---- requests to the medium ---- */
static void request_done(struct device *d, struct drive_request *r, int error);

static void submit(struct device *d, struct ahci_slot *s, enum drive_op op, uint64_t offset, uint64_t bytes,
                   struct iovec *iov, int count)
{
    s->request = (struct drive_request){
        .op = op, .offset = offset, .bytes = bytes, .iov = iov, .iov_count = count, .done = request_done, .tag = s};
    s->pending = true;
    drive_submit(s->port->drive.medium, &s->request);
}

static void flush(struct device *d, struct ahci_slot *s)
{
    s->action.what = ATA_FLUSH;
    submit(d, s, DRIVE_FLUSH, 0, 0, NULL, 0);
}

/* Raw sectors are made in a buffer of the port's. */
static void next_raw(struct device *d, struct ahci_slot *s)
{
    uint64_t bytes = MIN(s->left, AHCI_RAW_SECTORS * CD_SECTOR);

    s->raw = (struct iovec){s->port->raw, bytes};
    submit(d, s, DRIVE_READ, s->at, bytes, &s->raw, 1);
}

static void next_chunk(struct device *d, struct ahci_slot *s)
{
    bool read = s->action.what == ATA_READ;

    if (s->action.raw) {
        next_raw(d, s);
    } else if (!gather(d, s, s->left, read)) {
        host_error(d, s->port, s->descriptors);
    } else if (s->dma.bytes) {
        submit(d, s, read ? DRIVE_READ : DRIVE_WRITE, s->at, s->dma.bytes, s->dma.iov, s->dma.count);
    } else { /* the guest wants more than it has room for, or gives less than it says */
        s->port->status |= IS_OVERFLOW;
        end(d, s, read ? 0 : ERROR_ABRT);
    }
}

static void raw_through(struct device *d, struct ahci_slot *s)
{
    uint32_t sectors = s->raw.iov_len / CD_SECTOR;
    uint64_t bytes = (uint64_t)sectors * CD_RAW_SECTOR;

    atapi_expand_raw(s->port->raw, s->at / CD_SECTOR, sectors);
    for (uint64_t done = 0; done < bytes; done += s->dma.bytes) {
        if (!gather(d, s, bytes - done, true) || !s->dma.bytes) {
            s->left = s->raw.iov_len; /* no room for the rest: it ends here */
            s->port->status |= IS_OVERFLOW;
            break;
        }
        dma_list_put(&s->dma, 0, s->port->raw + done, s->dma.bytes);
        dma_list_done(d, &s->dma);
        s->moved += s->dma.bytes;
    }
}

static void chunk_through(struct device *d, struct ahci_slot *s)
{
    uint64_t bytes = s->request.bytes;

    if (s->action.raw) {
        raw_through(d, s);
    } else {
        if (s->action.what == ATA_READ)
            dma_list_done(d, &s->dma);
        s->moved += bytes;
    }
    s->at += bytes;
    s->left -= bytes;
    if (s->left)
        next_chunk(d, s);
    else if (s->action.flush)
        flush(d, s);
    else
        end(d, s, 0);
}

/* One range after the other. */
static void next_range(struct device *d, struct ahci_slot *s)
{
    uint64_t offset = 0, bytes = 0;

    while (s->range < s->action.bytes / 8 && !bytes)
        if (!ata_trim_range(&s->port->drive, s->port->answer, s->range++, &offset, &bytes)) {
            end(d, s, ERROR_IDNF);
            return;
        }
    if (bytes)
        submit(d, s, DRIVE_DISCARD, offset, bytes, NULL, 0);
    else
        end(d, s, 0);
}

static void trim(struct device *d, struct ahci_slot *s)
{
    while (s->moved < s->action.bytes) {
        if (!gather(d, s, s->action.bytes - s->moved, false)) {
            host_error(d, s->port, s->descriptors);
            return;
        }
        if (!s->dma.bytes) {
            end(d, s, ERROR_ABRT);
            return;
        }
        s->moved += dma_list_get(&s->dma, 0, s->port->answer + s->moved, s->dma.bytes);
    }
    s->range = 0;
    next_range(d, s);
}

static uint8_t medium_error(struct ahci_slot *s)
{
    struct ata_drive *v = &s->port->drive;

    if (s->packet)
        return atapi_read_failed(v);
    s->action.lba += s->moved / ATA_SECTOR;
    ata_set_position(v, s->action.lba);
    return s->action.what == ATA_READ ? ERROR_UNC : ERROR_ABRT;
}

static void request_done(struct device *d, struct drive_request *r, int error)
{
    struct ahci_slot *s = r->tag;

    s->pending = false;
    if (s->stale) {
        s->stale = false;
    } else if (error) {
        end(d, s, medium_error(s));
    } else if (s->action.what == ATA_TRIM) {
        next_range(d, s);
    } else if (s->action.what == ATA_FLUSH) {
        end(d, s, 0);
    } else {
        chunk_through(d, s);
    }
    ahci_run(d, s->port);
}

/* ---- taking commands ---- */
static void carry_out(struct device *d, struct ahci_slot *s, const uint8_t *packet)
{
    struct ata_action *a = &s->action;
    struct ahci_port *p = s->port;

    switch (a->what) {
    case ATA_FAIL: end(d, s, a->error); break;
    case ATA_READ:
    case ATA_WRITE:
        s->at = a->lba * a->sector_bytes;
        s->left = (uint64_t)a->sectors * a->sector_bytes;
        next_chunk(d, s);
        break;
    case ATA_FLUSH: flush(d, s); break;
    case ATA_TRIM: trim(d, s); break;
    case ATA_ANSWER_OUT: answer(d, s); break;
    case ATA_PACKET:
        s->packet = true;
        atapi_packet(&p->drive, packet, p->answer, a);
        carry_out(d, s, packet);
        break;
    case ATA_DONE:
    case ATA_SWALLOW: end(d, s, 0); break;
    }
}

/* A FIS that sets the control register: the second of two ends a software reset, with the drive's signature. */
static void control(struct device *d, struct ahci_slot *s, uint8_t value)
{
    struct ahci_port *p = s->port;
    bool was = p->resetting;

    p->issue &= ~bit(s);
    p->taken &= ~bit(s);
    p->resetting = value & CONTROL_SRST;
    if (!was || p->resetting)
        return;
    ata_reset(&p->drive);
    ahci_post_d2h(d, p, false);
}

static void load_registers(struct ata_drive *v, const uint8_t *fis)
{
    v->feature[0] = fis[3];
    v->sector[0] = fis[4];
    v->low[0] = fis[5];
    v->high[0] = fis[6];
    v->device = fis[7];
    v->sector[1] = fis[8];
    v->low[1] = fis[9];
    v->high[1] = fis[10];
    v->feature[1] = fis[11];
    v->count[0] = fis[12];
    v->count[1] = fis[13];
}

static void command(struct device *d, struct ahci_slot *s, const uint8_t *table)
{
    struct ahci_port *p = s->port;

    load_registers(&p->drive, table);
    ata_command(&p->drive, table[2], p->answer, &s->action);
    if (s->action.queued) { /* the drive is free for the next one at once; its slot is its tag */
        p->issue &= ~bit(s);
        p->taken &= ~bit(s);
        p->queued |= bit(s);
        p->drive.status = STATUS_READY;
    } else {
        p->drive.status = STATUS_BSY;
    }
    carry_out(d, s, table + TABLE_PACKET);
}

/* false: it has to wait. */
static bool take(struct device *d, struct ahci_slot *s)
{
    struct ahci_port *p = s->port;
    uint64_t header = p->list + s->number * HEADER_BYTES;
    const uint8_t *h = dev_dma(d, header, HEADER_BYTES, false);
    uint64_t at = h ? get_le64(h + HEADER_TABLE) & ~UINT64_C(0x7f) : 0;
    const uint8_t *there = h ? dev_dma(d, at, TABLE_PRDT, false) : NULL;
    uint8_t table[TABLE_PRDT];

    if (!there) {
        host_error(d, p, h ? at : header);
        return true;
    }
    memcpy(table, there, sizeof table); /* the guest may change it meanwhile */
    bool queues = table[1] & FIS_COMMAND && !p->drive.cdrom && (table[2] == READ_QUEUED || table[2] == WRITE_QUEUED);
    if (!queues && p->queued)
        return false;
    s->header = header;
    s->descriptors = at + TABLE_PRDT;
    s->count = get_le32(h) >> 16;
    s->next = s->skip = 0;
    s->moved = 0;
    s->packet = s->notify = false;
    p->last = s->number;
    p->taken |= bit(s);
    if (table[0] != FIS_H2D) {
        dev_log(d, "port %u: a FIS of type 0x%02x cannot be sent", p->number, table[0]);
        p->status |= IS_INTERFACE;
        p->halted = true;
    } else if (table[1] & FIS_COMMAND) {
        command(d, s, table);
    } else {
        control(d, s, table[15]);
    }
    return true;
}

static struct ahci_slot *next_slot(struct ahci_port *p)
{
    uint32_t waiting = p->issue & ~p->taken;

    for (unsigned n = 1; n <= AHCI_SLOTS; n++) {
        struct ahci_slot *s = &p->slot[(p->last + n) % AHCI_SLOTS];
        if (waiting & bit(s) && !s->pending)
            return s;
    }
    return NULL;
}

void ahci_run(struct device *d, struct ahci_port *p)
{
    struct ahci_slot *s;

    while (p->command & CMD_ST && p->link && !p->halted && !p->taken && (s = next_slot(p)))
        if (!take(d, s))
            break;
}

void ahci_give_up(struct ahci_port *p)
{
    for (unsigned n = 0; n < AHCI_SLOTS; n++)
        p->slot[n].stale = p->slot[n].pending;
    p->taken = p->queued = p->through = 0;
}

bool ahci_port_idle(const struct ahci_port *p)
{
    for (unsigned n = 0; n < AHCI_SLOTS; n++)
        if (p->slot[n].pending)
            return false;
    return true;
}
