// SPDX-License-Identifier: GPL-2.0-or-later
/* nvme.c - an NVMe controller with one namespace: registers, queues and interrupts.  Spec: NVM Express 1.4, chapters 3
 * (registers), 4 (memory structures) and 7 (initialization, shutdown).
 *
 * Line 0: INTA#, by vector 0's completion queues; MSI-X has a vector for each queue.  Sections nvme0 and nvme1 of machine.ini
 * are a controller each.  Pages are of 4 KiB, sectors of 512 bytes; there are no SGLs, no controller memory buffer, no
 * subsystem reset. */
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/storage/nvme.h"

/* Registers. */
enum { REGION_REGISTERS, REGION_VECTORS, DOORBELLS_AT = 0x1000, TABLE_PENDING = 0x800 };
enum { CAP_LOW = 0x00, CAP_HIGH = 0x04, VS = 0x08, INTMS = 0x0c, INTMC = 0x10, CC = 0x14, CSTS = 0x1c };
enum { AQA = 0x24, ASQ_LOW = 0x28, ASQ_HIGH = 0x2c, ACQ_LOW = 0x30, ACQ_HIGH = 0x34 };
enum { CAP_CONTIGUOUS = 1 << 16, CAP_TIMEOUT = 0x20 << 24 /* 16 s */, CAP_NVM = 1 << (37 - 32), VERSION = 0x00010400 };
enum { CC_EN = 1, CC_CSS = 7 << 4, CC_MPS = 15 << 7, CC_AMS = 7 << 11, CC_SHN = 3 << 14, CC_BITS = 0x00fffff1 };
enum { CSTS_RDY = 1, CSTS_CFS = 2, CSTS_SHST = 3 << 2, SHST_UNDER_WAY = 1 << 2, SHST_DONE = 2 << 2 };
enum { AQA_SIZE = 0xfff, EVENT_ERROR = 0, BAD_DOORBELL = 0, BAD_DOORBELL_VALUE = 1, LOG_ERRORS = 1 };

static void fatal(struct device *d, const char *why)
{
    struct nvme *n = d->state;

    dev_log(d, "%s: the controller stops", why);
    n->csts |= CSTS_CFS;
}

/* ---- interrupts ---- */
void nvme_update(struct device *d)
{
    struct nvme *n = d->state;
    bool level = false;

    for (unsigned i = 0; i < NVME_QUEUES; i++) {
        struct nvme_completion *q = &n->completion[i];
        if (!q->there || !q->interrupts)
            continue;
        level = level || (q->head != q->tail && !(n->mask >> (q->vector & 31) & 1));
        if (q->news)
            dev_msi(d, q->vector);
        q->news = false;
    }
    dev_irq(d, 0, level);
}

/* ---- completion ---- */
static bool post(struct device *d, const struct nvme_command *c, unsigned queue)
{
    struct nvme *n = d->state;
    struct nvme_completion *q = &n->completion[queue];
    uint32_t next = q->tail + 1 == q->size ? 0 : q->tail + 1;
    uint64_t at = q->base + (uint64_t)q->tail * NVME_COMPLETION;
    uint8_t *p;

    if (next == q->head)
        return false;
    p = q->there ? dev_dma(d, at, NVME_COMPLETION, true) : NULL;
    if (!p) {
        fatal(d, "a completion queue is not in RAM");
        return true;
    }
    put_le32(p, c->result);
    put_le32(p + 4, 0);
    put_le16(p + 8, n->submission[c->queue].head);
    put_le16(p + 10, c->queue);
    put_le16(p + 12, c->id);
    put_le16(p + 14, (uint16_t)(c->status << 1) | q->phase); /* last: it makes the entry valid */
    dev_dma_done(d, at, NVME_COMPLETION);
    q->tail = next;
    q->phase ^= !next;
    q->news = true;
    return true;
}

void nvme_complete(struct device *d, struct nvme_command *c, uint16_t status)
{
    struct nvme *n = d->state;

    c->status = status;
    c->state = post(d, c, n->submission[c->queue].completion) ? COMMAND_FREE : COMMAND_WAITING;
    n->next_place = c - n->command;
}

/* There is room again. */
static void post_waiting(struct device *d, unsigned completion)
{
    struct nvme *n = d->state;

    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        struct nvme_command *c = &n->command[i];
        if (c->state != COMMAND_WAITING || n->submission[c->queue].completion != completion)
            continue;
        if (!post(d, c, completion))
            return;
        c->state = COMMAND_FREE;
    }
}

/* ---- submission ---- */
static struct nvme_command *find_place(struct nvme *n)
{
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        struct nvme_command *c = &n->command[(n->next_place + i) % NVME_COMMANDS];
        if (c->state == COMMAND_FREE) {
            n->next_place = c - n->command + 1;
            return c;
        }
    }
    return NULL;
}

static void take(struct device *d, unsigned queue, struct nvme_command *c)
{
    struct nvme *n = d->state;
    struct nvme_submission *q = &n->submission[queue];
    const uint8_t *p = dev_dma(d, q->base + (uint64_t)q->head * NVME_SUBMISSION, NVME_SUBMISSION, false);

    if (!p) {
        fatal(d, "a submission queue is not in RAM");
        return;
    }
    memcpy(c->entry, p, NVME_SUBMISSION); /* the guest may change it meanwhile */
    q->head = q->head + 1 == q->size ? 0 : q->head + 1;
    c->state = COMMAND_WORKING;
    c->queue = queue;
    c->id = get_le16(c->entry + 2);
    c->result = 0;
    c->flush = false;
    if (queue)
        nvme_io(d, c);
    else
        nvme_admin(d, c);
}

static bool works(const struct nvme *n)
{
    return n->csts & CSTS_RDY && !(n->csts & CSTS_CFS);
}

static void run_queue(struct device *d, unsigned queue)
{
    struct nvme *n = d->state;
    struct nvme_submission *q = &n->submission[queue];

    while (works(n) && q->there && q->head != q->tail) {
        struct nvme_command *c = find_place(n);
        if (!c) {
            n->starved = true;
            return;
        }
        take(d, queue, c);
    }
}

void nvme_run(struct device *d)
{
    struct nvme *n = d->state;

    n->starved = false;
    for (unsigned i = 0; i < NVME_QUEUES; i++)
        run_queue(d, i);
}

/* Its commands end now, whatever their requests still do: those no longer touch the guest's memory. */
void nvme_delete_submission(struct device *d, unsigned queue)
{
    struct nvme *n = d->state;

    drive_quiesce(n->medium);
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        struct nvme_command *c = &n->command[i];
        if (c->state != COMMAND_WORKING || c->queue != queue || c->stale)
            continue;
        nvme_complete(d, c, NVME_QUEUE_DELETED);
        c->stale = c->pending;
        c->state = c->pending ? COMMAND_WORKING : c->state;
    }
    n->submission[queue].there = false;
}

/* What waits for room in it is lost with it. */
void nvme_delete_completion(struct device *d, unsigned queue)
{
    struct nvme *n = d->state;

    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        struct nvme_command *c = &n->command[i];
        if (c->state == COMMAND_WAITING && n->submission[c->queue].completion == queue)
            c->state = COMMAND_FREE;
    }
    n->completion[queue] = (struct nvme_completion){0};
}

/* ---- events ---- */
static void answer_event_request(struct device *d, uint32_t event)
{
    struct nvme *n = d->state;
    struct nvme_command c = {.id = n->event_request[0], .result = event};

    if (!post(d, &c, 0))
        return; /* the guest does not look at its queue: then not at this either */
    n->event_requests--;
    memmove(n->event_request, n->event_request + 1, n->event_requests * sizeof n->event_request[0]);
}

/* event: type | information << 8 | log << 16 */
static void tell_event(struct device *d, uint32_t event)
{
    struct nvme *n = d->state;

    if (n->event_masked)
        return;
    n->event_masked = true; /* until the log is read */
    if (n->event_requests)
        answer_event_request(d, event);
    else if (n->events < NVME_EVENTS)
        n->event[n->events++] = event;
}

/* ---- doorbells ---- */
static void doorbell(struct device *d, unsigned number, uint32_t value)
{
    struct nvme *n = d->state;
    unsigned queue = number / 2;
    bool completion = number & 1;
    uint32_t size = 0;

    if (!works(n))
        return;
    if (queue < NVME_QUEUES && completion && n->completion[queue].there)
        size = n->completion[queue].size;
    else if (queue < NVME_QUEUES && !completion && n->submission[queue].there)
        size = n->submission[queue].size;
    if (value >= size) {
        dev_log(d, "doorbell %u: %u, with a queue of %u", number, value, size);
        tell_event(d, EVENT_ERROR | (size ? BAD_DOORBELL_VALUE : BAD_DOORBELL) << 8 | LOG_ERRORS << 16);
    } else if (completion) {
        n->completion[queue].head = value;
        post_waiting(d, queue);
        if (n->starved)
            nvme_run(d);
    } else {
        n->submission[queue].tail = value;
        run_queue(d, queue);
    }
}

/* ---- enabling, reset, shutdown ---- */

/* What runs loses its meaning; the guest's memory is left alone from now on. */
static void give_up(struct nvme *n)
{
    drive_quiesce(n->medium);
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        struct nvme_command *c = &n->command[i];
        c->stale = c->pending;
        c->state = c->pending ? COMMAND_WORKING : COMMAND_FREE;
    }
}

static void controller_reset(struct nvme *n)
{
    give_up(n);
    memset(n->submission, 0, sizeof n->submission);
    memset(n->completion, 0, sizeof n->completion);
    n->event_requests = n->events = 0;
    n->event_masked = n->starved = false;
    n->mask = n->csts = 0;
    nvme_features_reset(n);
}

static void enable(struct device *d)
{
    struct nvme *n = d->state;
    uint32_t submissions = (n->aqa & AQA_SIZE) + 1, completions = (n->aqa >> 16 & AQA_SIZE) + 1;

    if (n->cc & (CC_CSS | CC_MPS | CC_AMS) || submissions < 2 || completions < 2) {
        fatal(d, "it was set up for what it cannot do");
        return;
    }
    n->submission[0] = (struct nvme_submission){.there = true, .base = n->asq, .size = submissions};
    n->completion[0] =
        (struct nvme_completion){.there = true, .interrupts = true, .phase = true, .base = n->acq, .size = completions};
    n->csts |= CSTS_RDY;
}

static void closing_done(struct device *d, struct drive_request *r, int error)
{
    struct nvme *n = d->state;

    n->closing = false;
    if ((n->csts & CSTS_SHST) == SHST_UNDER_WAY)
        n->csts = (n->csts & ~CSTS_SHST) | SHST_DONE;
}

static void shut_down(struct device *d)
{
    struct nvme *n = d->state;

    n->csts = (n->csts & ~CSTS_SHST) | SHST_UNDER_WAY;
    if (n->closing)
        return;
    n->closing = true;
    n->closing_request = (struct drive_request){.op = DRIVE_FLUSH, .done = closing_done};
    drive_submit(n->medium, &n->closing_request);
}

static void cc_write(struct device *d, uint32_t value)
{
    struct nvme *n = d->state;
    uint32_t was = n->cc;

    n->cc = value & CC_BITS;
    if (was & CC_EN && !(n->cc & CC_EN))
        controller_reset(n);
    else if (!(was & CC_EN) && n->cc & CC_EN)
        enable(d);
    if (n->cc & CC_SHN && !(was & CC_SHN))
        shut_down(d);
    else if (!(n->cc & CC_SHN))
        n->csts &= ~CSTS_SHST;
}

/* ---- read ---- */
static uint64_t nvme_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct nvme *n = d->state;

    if (region != REGION_REGISTERS)
        return 0;
    switch (offset & ~UINT64_C(3)) {
    case CAP_LOW: return (NVME_ENTRIES - 1) | CAP_CONTIGUOUS | CAP_TIMEOUT;
    case CAP_HIGH: return CAP_NVM;
    case VS: return VERSION;
    case INTMS:
    case INTMC: return n->mask;
    case CC: return n->cc;
    case CSTS: return n->csts;
    case AQA: return n->aqa;
    case ASQ_LOW: return (uint32_t)n->asq;
    case ASQ_HIGH: return n->asq >> 32;
    case ACQ_LOW: return (uint32_t)n->acq;
    case ACQ_HIGH: return n->acq >> 32;
    default: return 0;
    }
}

/* ---- write ---- */
static void set_low(uint64_t *address, uint32_t value)
{
    *address = (*address & ~UINT64_C(0xffffffff)) | (value & ~(uint32_t)(NVME_PAGE - 1));
}

static void set_high(uint64_t *address, uint32_t value)
{
    *address = (uint32_t)*address | (uint64_t)value << 32;
}

static void nvme_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct nvme *n = d->state;

    if (region != REGION_REGISTERS)
        return;
    switch (offset & ~UINT64_C(3)) {
    case INTMS: n->mask |= value; break;
    case INTMC: n->mask &= ~value; break;
    case CC: cc_write(d, value); break;
    case AQA: n->aqa = value & (AQA_SIZE << 16 | AQA_SIZE); break;
    case ASQ_LOW: set_low(&n->asq, value); break;
    case ASQ_HIGH: set_high(&n->asq, value); break;
    case ACQ_LOW: set_low(&n->acq, value); break;
    case ACQ_HIGH: set_high(&n->acq, value); break;
    default:
        if (offset >= DOORBELLS_AT)
            doorbell(d, (offset - DOORBELLS_AT) / 4, value & 0xffff);
        break;
    }
    nvme_update(d);
}

/* ---- set-up, reset ---- */
static void batch_done(struct device *d, struct drive *medium)
{
    nvme_update(d);
}

static bool nvme_init(struct device *d, const struct config *c, GError **error)
{
    static const char *const media[] = {"disk", "cdrom", NULL};
    struct nvme *n = d->state;
    unsigned kind;

    if (!config_choice(c, "media", media, &kind, error))
        return false;
    if (kind) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "%s: [%s] media = cdrom: there are no CD drives for NVMe; put it on ide or sata", c->path,
                    c->section);
        return false;
    }
    n->medium = drive_open(d, c, error);
    if (!n->medium)
        return false;
    g_strlcpy(n->serial, drive_serial(n->medium), sizeof n->serial);
    drive_on_batch(n->medium, batch_done);
    return true;
}

static void nvme_fini(struct device *d)
{
    drive_close(((struct nvme *)d->state)->medium);
}

static void nvme_reset(struct device *d)
{
    struct nvme *n = d->state;

    controller_reset(n);
    n->cc = n->aqa = 0;
    n->asq = n->acq = 0;
}

/* ---- saved state: no request is under way ---- */
static void sync_queue(struct stream *s, struct nvme_submission *q, struct nvme_completion *c)
{
    stream_bool(s, &q->there);
    stream_u64(s, &q->base);
    stream_check_u32(s, &q->size, AQA_SIZE + 1);
    stream_check_u32(s, &q->head, q->size);
    stream_check_u32(s, &q->tail, q->size);
    stream_u16(s, &q->completion);
    stream_bool(s, &c->there);
    stream_bool(s, &c->interrupts);
    stream_bool(s, &c->phase);
    stream_u64(s, &c->base);
    stream_check_u32(s, &c->size, AQA_SIZE + 1);
    stream_check_u32(s, &c->head, c->size);
    stream_check_u32(s, &c->tail, c->size);
    stream_u16(s, &c->vector);
}

static bool sane_queue(const struct nvme *n, unsigned i)
{
    const struct nvme_submission *q = &n->submission[i];
    const struct nvme_completion *c = &n->completion[i];

    if (q->there && (q->size < 2 || q->head >= q->size || q->tail >= q->size))
        return false;
    if (c->there && (c->size < 2 || c->head >= c->size || c->tail >= c->size || c->vector >= NVME_QUEUES))
        return false;
    return q->completion < NVME_QUEUES && (!q->there || n->completion[q->completion].there);
}

/* Those that wait for room in their completion queue. */
static bool sync_waiting(struct stream *s, struct nvme *n)
{
    uint32_t count = 0;

    for (unsigned i = 0; !s->loading && i < NVME_COMMANDS; i++)
        count += n->command[i].state == COMMAND_WAITING;
    stream_check_u32(s, &count, NVME_COMMANDS);
    for (unsigned i = 0; i < NVME_COMMANDS && count && stream_ok(s); i++) {
        struct nvme_command *c = &n->command[i];
        if (!s->loading && c->state != COMMAND_WAITING)
            continue;
        c->state = COMMAND_WAITING;
        stream_u16(s, &c->queue);
        stream_u16(s, &c->id);
        stream_u16(s, &c->status);
        stream_u32(s, &c->result);
        count--;
        if (c->queue >= NVME_QUEUES)
            return false;
    }
    return stream_ok(s);
}

static void sync_registers(struct stream *s, struct nvme *n)
{
    uint64_t *counts[] = {&n->asq, &n->acq, &n->reads, &n->writes, &n->bytes_read, &n->bytes_written};

    stream_u32(s, &n->mask);
    stream_u32(s, &n->cc);
    stream_u32(s, &n->csts);
    stream_u32(s, &n->aqa);
    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++)
        stream_u64(s, counts[i]);
    for (unsigned i = 0; i < NVME_FEATURES; i++)
        stream_u32(s, &n->feature[i]);
    for (unsigned i = 0; i < NVME_EVENTS; i++) {
        stream_u16(s, &n->event_request[i]);
        stream_u32(s, &n->event[i]);
    }
    stream_u8(s, &n->event_requests);
    stream_u8(s, &n->events);
    stream_bool(s, &n->event_masked);
    stream_bool(s, &n->starved);
}

static bool nvme_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct nvme *n = d->state;
    bool sane = true;

    sync_registers(s, n);
    for (unsigned i = 0; i < NVME_QUEUES; i++)
        sync_queue(s, &n->submission[i], &n->completion[i]);
    if (!sync_waiting(s, n) || n->event_requests > NVME_EVENTS || n->events > NVME_EVENTS)
        return false;
    for (unsigned i = 0; s->loading && i < NVME_QUEUES; i++)
        sane = sane && sane_queue(n, i);
    if (s->loading && sane)
        nvme_update(d);
    return sane && stream_ok(s);
}

static const struct pci_capability capabilities[] = {
    {.id = PCI_CAP_MSIX, .vectors = NVME_QUEUES, .region = REGION_VECTORS, .table = 0, .pending = TABLE_PENDING}, {0}};
static const struct pci_ids ids = {
    .vendor = 0x1b36,
    .device = 0x0010,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x010802,
    .revision = 2,
    .interrupt_pin = 1,
    .capabilities = capabilities,
};

const struct device_ops nvme_ops = {
    .name = "nvme",
    .state_bytes = sizeof(struct nvme),
    .version = 1,
    .regions =
        {[REGION_REGISTERS] = {.bus = BUS_MEM, .bytes = 16384, .min_size = 4, .max_size = 4, .bar = BAR0, .wide = true},
         [REGION_VECTORS] = {.bus = BUS_MEM, .bytes = 4096, .min_size = 1, .max_size = 8, .bar = BAR4}},
    .pci = &ids,
    .init = nvme_init,
    .reset = nvme_reset,
    .read = nvme_read,
    .write = nvme_write,
    .sync = nvme_sync,
    .fini = nvme_fini,
};
