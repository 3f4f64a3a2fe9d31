// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_scsi.c - SCSI host adapter (Virtual I/O Device Version 1.2, chapter 5.6).
 *
 * The sections scsi0-scsi6 of machine.ini are its targets, a disk or CD drive each with logical unit 0; what commands mean,
 * scsi.c decides.  A request is a header with the command, what is sent with it, a header for how it went, and room for what is
 * read; data goes between medium and guest memory without a copy, and requests end in any order.  A reset waits until none of
 * them touches that memory any more, and they are stale then.  A disk without a file is an empty bay: the driver is told when
 * one is plugged or pulled. */
#include "devices/virtio/virtio_scsi.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/virtio/virtio_pci.h"
#include <errno.h>

enum { HOST_ADAPTER = 8, CONFIG_BYTES = 36, REQUEST_HEADER = 19, RESPONSE_HEADER = 12, RAW_SECTORS = 16 };
enum { H_LUN = 0, H_ID = 8, H_CDB = 19, R_SENSE_BYTES = 0, R_RESIDUAL = 4, R_STATUS = 10, R_RESPONSE = 11 };
/* Configuration space. */
enum { C_QUEUES = 0, C_SEGMENTS = 4, C_SECTORS = 8, C_PER_LUN = 12, C_EVENT_BYTES = 16, C_TARGETS = 30, C_LUNS = 32 };
enum { SENSE_USUAL = 96, CDB_USUAL = 32 };

/* What the driver has room for behind the header of the response, and what it sends behind that of the request. */
static uint64_t room_in(const struct virtio_scsi *s, const struct scsi_request *r)
{
    return r->chain.in_bytes - RESPONSE_HEADER - s->sense_bytes;
}

static uint64_t sent_out(const struct virtio_scsi *s, const struct scsi_request *r)
{
    return r->chain.out_bytes - REQUEST_HEADER - s->cdb_bytes;
}

/* ---- places for requests ---- */

static struct scsi_request *free_request(struct virtio_scsi *s)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(s->request); i++) {
        if (!s->request[i])
            s->request[i] = g_new0(struct scsi_request, 1);
        if (!s->request[i]->busy)
            return s->request[i];
    }
    return NULL;
}

static void take_requests(struct virtio_scsi *s);

/* ---- the end of one ---- */

static void respond(struct virtio_scsi *s, struct scsi_request *r, unsigned response, bool checked)
{
    uint8_t h[RESPONSE_HEADER] = {0}, sense[SCSI_SENSE];
    unsigned n = MIN(s->sense_bytes, SCSI_SENSE);
    uint64_t all = room_in(s, r) + sent_out(s, r);
    if (checked) {
        scsi_take_sense(&s->unit[r->target], sense);
        virtq_write(&r->chain, RESPONSE_HEADER, sense, n);
        put_le32(h + R_SENSE_BYTES, n);
        h[R_STATUS] = SCSI_CHECK_CONDITION;
    }
    put_le32(h + R_RESIDUAL, MIN(all - MIN(r->moved, all), UINT32_MAX));
    h[R_RESPONSE] = response;
    virtq_write(&r->chain, 0, h, sizeof h);
    virtq_give(&s->virtio.queue[SCSI_Q_REQUEST], &r->chain,
               RESPONSE_HEADER + s->sense_bytes + MIN(r->moved, room_in(s, r)));
}

static void finish(struct virtio_scsi *s, struct scsi_request *r, unsigned response, bool checked)
{
    respond(s, r, response, checked);
    r->busy = false;
}

/* ---- requests to the medium ---- */

static void request_done(struct device *d, struct drive_request *dr, int error);

static void submit(struct virtio_scsi *s, struct scsi_request *r, enum drive_op op, uint64_t at, uint64_t bytes,
                   int count)
{
    r->drive = (struct drive_request){
        .op = op, .offset = at, .bytes = bytes, .iov = r->iov, .iov_count = count, .done = request_done, .tag = r};
    drive_submit(s->unit[r->target].medium, &r->drive);
}

static uint8_t *buffer(struct scsi_request *r)
{
    if (!r->buffer)
        r->buffer = g_malloc(SCSI_BUFFER);
    return r->buffer;
}

/* Raw sectors are made in a buffer, some at a time. */
static void next_raw(struct virtio_scsi *s, struct scsi_request *r)
{
    uint64_t bytes = MIN(r->action.bytes - r->done, RAW_SECTORS * CD_SECTOR);
    r->iov[0] = (struct iovec){buffer(r), bytes};
    submit(s, r, DRIVE_READ, r->action.at + r->done, bytes, 1);
}

static bool raw_through(struct virtio_scsi *s, struct scsi_request *r)
{
    uint64_t at = r->action.at + r->done, bytes = r->drive.bytes, count = bytes / CD_SECTOR;
    atapi_expand_raw(r->buffer, at / CD_SECTOR, count);
    virtq_write(&r->chain, RESPONSE_HEADER + s->sense_bytes + r->moved, r->buffer, count * CD_RAW_SECTOR);
    r->moved += count * CD_RAW_SECTOR;
    r->done += bytes;
    return r->done == r->action.bytes;
}

static void next_range(struct virtio_scsi *s, struct scsi_request *r)
{
    unsigned n = r->range++;
    submit(s, r, DRIVE_DISCARD, r->action.range[n].at, r->action.range[n].bytes, 0);
}

/* Every element of the list is the same copies of the sector. */
static void fill(struct virtio_scsi *s, struct scsi_request *r)
{
    uint64_t left = r->action.bytes;
    int count = 0;
    for (uint64_t i = 0; i < MIN(left, SCSI_BUFFER); i += SCSI_SECTOR)
        memcpy(buffer(r) + i, s->parameters, SCSI_SECTOR);
    for (; left; left -= r->iov[count++].iov_len)
        r->iov[count] = (struct iovec){r->buffer, MIN(left, SCSI_BUFFER)};
    submit(s, r, DRIVE_WRITE, r->action.at, r->action.bytes, count);
}

static void flush(struct virtio_scsi *s, struct scsi_request *r)
{
    r->action.flush = false;
    submit(s, r, DRIVE_FLUSH, 0, 0, 0);
}

static void request_done(struct device *d, struct drive_request *dr, int error)
{
    struct scsi_request *r = dr->tag;
    struct virtio_scsi *s = d->state;
    if (r->stale) {
        r->busy = r->stale = false;
    } else if (error) {
        r->moved = 0;
        scsi_failed(&s->unit[r->target], r->action.what == SCSI_READ, error);
        finish(s, r, SCSI_R_OK, true);
    } else if (r->action.raw) {
        if (raw_through(s, r))
            finish(s, r, SCSI_R_OK, false);
        else
            next_raw(s, r);
    } else if (r->action.what == SCSI_UNMAP && r->range < r->action.ranges) {
        next_range(s, r);
    } else if (r->action.flush) {
        flush(s, r);
    } else {
        finish(s, r, SCSI_R_OK, false);
    }
}

static void batch_done(struct device *d, struct drive *medium)
{
    struct virtio_scsi *s = d->state;
    virtq_flush(&s->virtio.queue[SCSI_Q_REQUEST]);
    if (s->starved)
        take_requests(s);
}

/* ---- the beginning of one ---- */

/* Between medium and guest memory; false: the driver has no room for that much, or sent less. */
static bool move(struct virtio_scsi *s, struct scsi_request *r)
{
    struct scsi_action *a = &r->action;
    bool in = a->what == SCSI_READ;
    uint64_t bytes = a->raw ? a->bytes / CD_SECTOR * CD_RAW_SECTOR : a->bytes;
    uint64_t skip = in ? RESPONSE_HEADER + s->sense_bytes : REQUEST_HEADER + s->cdb_bytes;
    if (bytes > (in ? room_in(s, r) : sent_out(s, r)))
        return false;
    if (a->raw) {
        next_raw(s, r);
        return true;
    }
    r->moved = bytes;
    submit(s, r, in ? DRIVE_READ : DRIVE_WRITE, a->at, bytes, virtq_part(&r->chain, in, skip, bytes, r->iov));
    return true;
}

static void carry_out(struct virtio_scsi *s, struct scsi_request *r)
{
    struct scsi_action *a = &r->action;
    switch (a->what) {
    case SCSI_DONE: finish(s, r, SCSI_R_OK, false); break;
    case SCSI_FAIL: finish(s, r, SCSI_R_OK, true); break;
    case SCSI_REPLY:
        r->moved = virtq_write(&r->chain, RESPONSE_HEADER + s->sense_bytes, s->answer, a->bytes);
        finish(s, r, SCSI_R_OK, false);
        break;
    case SCSI_READ:
    case SCSI_WRITE:
        if (!move(s, r))
            finish(s, r, SCSI_R_OVERRUN, false);
        break;
    case SCSI_FLUSH: flush(s, r); break;
    case SCSI_UNMAP: next_range(s, r); break;
    case SCSI_ZERO: submit(s, r, DRIVE_ZERO, a->at, a->bytes, 0); break;
    case SCSI_FILL: fill(s, r); break;
    }
}

bool scsi_address(const struct virtio_scsi *s, const uint8_t address[8], unsigned *target, unsigned *lun)
{
    enum { TO_TARGETS = 1, FLAT = 0x4000 };
    *target = address[1];
    *lun = get_be16(address + 2) & (FLAT - 1);
    return address[0] == TO_TARGETS && *target < SCSI_UNITS && s->present[*target];
}

static void begin(struct virtio_scsi *s, struct scsi_request *r)
{
    uint8_t h[REQUEST_HEADER + SCSI_CDB] = {0};
    unsigned target, lun;
    virtq_read(&r->chain, 0, h, REQUEST_HEADER + MIN(s->cdb_bytes, SCSI_CDB));
    memcpy(r->lun, h + H_LUN, sizeof r->lun);
    r->id = get_le64(h + H_ID);
    r->done = r->moved = 0;
    r->range = 0;
    r->busy = true;
    if (!scsi_address(s, r->lun, &target, &lun)) {
        finish(s, r, SCSI_R_BAD_TARGET, false);
        return;
    }
    r->target = target;
    size_t sent = virtq_read(&r->chain, REQUEST_HEADER + s->cdb_bytes, s->parameters, SCSI_PARAMETERS);
    scsi_command(&s->unit[target], lun, h + H_CDB, s->parameters, sent, s->answer, &r->action);
    carry_out(s, r);
}

static void take_requests(struct virtio_scsi *s)
{
    struct virtqueue *q = &s->virtio.queue[SCSI_Q_REQUEST];
    struct scsi_request *r = NULL;
    s->starved = false;
    for (unsigned left = VIRTQ_SIZE_MOST; left && (r = free_request(s)) && virtq_take(q, &r->chain); left--) {
        if (r->chain.out_bytes < REQUEST_HEADER + s->cdb_bytes ||
            r->chain.in_bytes < RESPONSE_HEADER + s->sense_bytes) {
            virtio_broken(&s->virtio, "a request without its header, or without room for that of the response");
            return;
        }
        begin(s, r);
    }
    virtq_flush(q);
    s->starved = !r && virtq_waiting(q);
    if (r)
        virtio_wait_for_kick(&s->virtio, SCSI_Q_REQUEST);
}

void scsi_abort(struct virtio_scsi *s, unsigned target, unsigned response,
                bool (*wanted)(const struct scsi_request *r, uint64_t id), uint64_t id)
{
    bool quiet = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(s->request); i++) {
        struct scsi_request *r = s->request[i];
        if (!r || !r->busy || r->stale || r->target != target || !wanted(r, id))
            continue;
        if (!quiet)
            drive_quiesce(s->unit[target].medium);
        quiet = true;
        r->moved = 0;
        respond(s, r, response, false);
        r->stale = true;
    }
    virtq_flush(&s->virtio.queue[SCSI_Q_REQUEST]);
}

static void kicked(struct virtio *v, unsigned queue)
{
    struct virtio_scsi *s = v->device->state;
    if (queue == SCSI_Q_CONTROL)
        scsi_control_kicked(s);
    else if (queue == SCSI_Q_EVENT)
        scsi_event_kicked(s);
    else
        take_requests(s);
}

/* ---- media ---- */

static bool is_present(const struct ata_drive *v)
{
    return v->medium && (v->cdrom || drive_bytes(v->medium));
}

/* A disk is its drive: another one, or none. */
static void bay_changed(struct virtio_scsi *s, unsigned n)
{
    if (s->present[n])
        scsi_event(s, SCSI_E_TRANSPORT, n, SCSI_WHY_REMOVED);
    s->present[n] = is_present(&s->unit[n]);
    scsi_power_on(&s->unit[n]);
    if (s->present[n])
        scsi_event(s, SCSI_E_TRANSPORT, n, SCSI_WHY_RESCAN);
}

static void medium_changed(struct device *d, struct drive *medium)
{
    enum { MAY_HAVE_CHANGED = 0x28 };
    struct virtio_scsi *s = d->state;
    for (unsigned n = 0; n < SCSI_UNITS; n++) {
        if (s->unit[n].medium != medium)
            continue;
        if (!s->unit[n].cdrom) {
            bay_changed(s, n);
        } else {
            atapi_medium_changed(&s->unit[n]);
            scsi_event(s, SCSI_E_PARAMETERS, n, MAY_HAVE_CHANGED);
        }
    }
}

/* ---- life ---- */

static void show_config(struct virtio_scsi *s)
{
    uint8_t *c = s->virtio.config;
    put_le32(c + C_QUEUES, 1);
    put_le32(c + C_SEGMENTS, VIRTQ_SIZE_MOST - 2);
    put_le32(c + C_SECTORS, 0xffff);
    put_le32(c + C_PER_LUN, VIRTQ_SIZE_MOST / 2);
    put_le32(c + C_EVENT_BYTES, SCSI_EVENT_BYTES);
    put_le32(c + SCSI_C_SENSE, s->sense_bytes);
    put_le32(c + SCSI_C_CDB, s->cdb_bytes);
    put_le32(c + C_TARGETS - 2, (SCSI_UNITS - 1) << 16); /* channel 0 */
    put_le32(c + C_LUNS, 0);
}

static bool idle(const struct virtio_scsi *s)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(s->request) && s->request[i]; i++)
        if (s->request[i]->busy && !s->request[i]->stale)
            return false;
    return true;
}

/* Only those two sizes are the driver's.  Requests that are under way have the sizes that they began with. */
static void configured(struct virtio *v, unsigned offset, unsigned size)
{
    struct virtio_scsi *s = v->device->state;
    if (idle(s)) {
        s->sense_bytes = MIN(get_le32(v->config + SCSI_C_SENSE), SCSI_SIZE_MOST);
        s->cdb_bytes = MIN(get_le32(v->config + SCSI_C_CDB), SCSI_SIZE_MOST);
    }
    show_config(s);
}

static void scsi_reset(struct virtio *v)
{
    struct virtio_scsi *s = v->device->state;
    for (unsigned n = 0; n < SCSI_UNITS; n++) {
        if (s->unit[n].medium) {
            drive_quiesce(s->unit[n].medium);
            scsi_power_on(&s->unit[n]);
        }
        s->present[n] = is_present(&s->unit[n]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(s->request) && s->request[i]; i++)
        s->request[i]->stale = s->request[i]->busy;
    s->starved = s->missed = false;
    s->sense_bytes = SENSE_USUAL;
    s->cdb_bytes = CDB_USUAL;
    show_config(s);
}

static void sync_unit(struct stream *st, struct ata_drive *v)
{
    uint8_t *bytes[] = {&v->sense.key,     &v->sense.code,     &v->sense.qualifier,
                        &v->attention.key, &v->attention.code, &v->attention.qualifier,
                        &v->event};
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
        stream_u8(st, bytes[i]);
    stream_bool(st, &v->locked);
    if (st->loading && v->medium)
        drive_guest_lock(v->medium, v->locked);
}

static bool scsi_sync(struct virtio *v, struct stream *st)
{
    struct virtio_scsi *s = v->device->state;
    for (unsigned n = 0; n < SCSI_UNITS; n++)
        sync_unit(st, &s->unit[n]);
    stream_check_u32(st, &s->sense_bytes, SCSI_SIZE_MOST);
    stream_check_u32(st, &s->cdb_bytes, SCSI_SIZE_MOST);
    stream_bool(st, &s->missed);
    show_config(s);
    return stream_ok(st);
}

#define BIT(n) (1ull << (n))
static const struct virtio_class scsi_class = {
    .type = HOST_ADAPTER,
    .queues = 3,
    .config = CONFIG_BYTES,
    .features = BIT(SCSI_F_HOTPLUG) | BIT(SCSI_F_CHANGE),
    .kicked = kicked,
    .configured = configured,
    .reset = scsi_reset,
    .sync = scsi_sync,
};

static void fini(struct device *d)
{
    struct virtio_scsi *s = d->state;
    for (unsigned n = 0; n < SCSI_UNITS; n++)
        drive_close(s->unit[n].medium);
    for (unsigned i = 0; i < G_N_ELEMENTS(s->request) && s->request[i]; i++) {
        g_free(s->request[i]->buffer);
        g_free(s->request[i]);
    }
}

static bool open_units(struct device *d, const struct config *c, GError **error)
{
    static const char *const sections[SCSI_UNITS] = {"scsi0", "scsi1", "scsi2", "scsi3", "scsi4", "scsi5", "scsi6"};
    struct virtio_scsi *s = d->state;
    for (unsigned n = 0; n < SCSI_UNITS; n++) {
        struct config section = {c->file, c->path, sections[n]};
        if (!c->file || !g_key_file_has_group(c->file, section.section))
            continue;
        if (!ata_open(d, &s->unit[n], &section, n, true, error))
            return false;
        drive_on_change(s->unit[n].medium, medium_changed);
        drive_on_batch(s->unit[n].medium, batch_done);
    }
    return true;
}

static bool init(struct device *d, const struct config *c, GError **error)
{
    if (virtio_init(d, &scsi_class, scsi_class.features, c, error) && open_units(d, c, error))
        return true;
    fini(d); /* core does not call it for a device that failed */
    return false;
}

static const struct pci_capability capabilities[] = {VIRTIO_CAPABILITIES(4)};
static const struct pci_ids ids = {VIRTIO_IDS(0x1004, HOST_ADAPTER, 0x010000, capabilities)};

const struct device_ops virtio_scsi_ops = {
    .name = "virtio-scsi",
    .state_bytes = sizeof(struct virtio_scsi),
    .version = 1,
    .regions = {VIRTIO_REGIONS},
    .pci = &ids,
    .init = init,
    .fini = fini,
    VIRTIO_CALLS,
};
