// SPDX-License-Identifier: GPL-2.0-or-later
/* nvme_admin.c - admin commands of the NVMe controller: queues, identify, features, logs, events.  Spec: NVM Express 1.4,
 * chapter 5.  Without namespace management, firmware updates, security and formatting: their opcodes are invalid. */
#include "core-vmm/base/bytes.h"
#include "devices/storage/nvme.h"

enum { DELETE_SQ = 0x00, CREATE_SQ = 0x01, GET_LOG = 0x02, DELETE_CQ = 0x04, CREATE_CQ = 0x05, IDENTIFY = 0x06 };
enum { ABORT = 0x08, SET_FEATURES = 0x09, GET_FEATURES = 0x0a, EVENT_REQUEST = 0x0c };
enum { AT_NAMESPACE = 4, AT_PRP1 = 24, AT_CDW10 = 40, AT_CDW11 = 44, AT_CDW12 = 48, AT_CDW13 = 52 };
enum { QUEUE_CONTIGUOUS = 1, QUEUE_INTERRUPTS = 2 };
enum { LOG_ERRORS = 1, LOG_SMART = 2, LOG_FIRMWARE = 3, LOG_BYTES = 512 };
#define EVERY_NAMESPACE UINT32_C(0xffffffff)

/* ---- queues ---- */

/* What both kinds have in common: which one, how large, where; a status. */
static uint16_t new_queue(const struct nvme_command *c, unsigned *queue, uint32_t *size, uint64_t *base)
{
    *queue = get_le16(c->entry + AT_CDW10);
    *size = get_le16(c->entry + AT_CDW10 + 2) + 1;
    *base = get_le64(c->entry + AT_PRP1);
    if (!*queue || *queue >= NVME_QUEUES)
        return NVME_BAD_QUEUE;
    if (*size < 2 || *size > NVME_ENTRIES)
        return NVME_BAD_QUEUE_SIZE;
    if (*base & (NVME_PAGE - 1))
        return NVME_BAD_PRP;
    return get_le32(c->entry + AT_CDW11) & QUEUE_CONTIGUOUS ? NVME_OK : NVME_BAD_FIELD;
}

static uint16_t create_completion(struct device *d, struct nvme_command *c)
{
    struct nvme *n = d->state;
    unsigned queue, vector = get_le16(c->entry + AT_CDW11 + 2);
    uint32_t size;
    uint64_t base;
    uint16_t status = new_queue(c, &queue, &size, &base);

    if (status)
        return status;
    if (n->completion[queue].there)
        return NVME_BAD_QUEUE;
    if (vector >= NVME_QUEUES)
        return NVME_BAD_VECTOR;
    n->completion[queue] = (struct nvme_completion){.there = true,
                                                    .interrupts = get_le32(c->entry + AT_CDW11) & QUEUE_INTERRUPTS,
                                                    .phase = true,
                                                    .base = base,
                                                    .size = size,
                                                    .vector = vector};
    return NVME_OK;
}

static uint16_t create_submission(struct device *d, struct nvme_command *c)
{
    struct nvme *n = d->state;
    unsigned queue, completion = get_le16(c->entry + AT_CDW11 + 2);
    uint32_t size;
    uint64_t base;
    uint16_t status = new_queue(c, &queue, &size, &base);

    if (status)
        return status;
    if (n->submission[queue].there)
        return NVME_BAD_QUEUE;
    if (!completion || completion >= NVME_QUEUES || !n->completion[completion].there)
        return NVME_BAD_COMPLETION_QUEUE;
    n->submission[queue] =
        (struct nvme_submission){.there = true, .base = base, .size = size, .completion = completion};
    return NVME_OK;
}

static uint16_t delete_submission(struct device *d, struct nvme_command *c)
{
    struct nvme *n = d->state;
    unsigned queue = get_le16(c->entry + AT_CDW10);

    if (!queue || queue >= NVME_QUEUES || !n->submission[queue].there)
        return NVME_BAD_QUEUE;
    nvme_delete_submission(d, queue);
    return NVME_OK;
}

static uint16_t delete_completion(struct device *d, struct nvme_command *c)
{
    struct nvme *n = d->state;
    unsigned queue = get_le16(c->entry + AT_CDW10);

    if (!queue || queue >= NVME_QUEUES || !n->completion[queue].there)
        return NVME_BAD_QUEUE;
    for (unsigned i = 0; i < NVME_QUEUES; i++)
        if (n->submission[i].there && n->submission[i].completion == queue)
            return NVME_BAD_DELETION;
    nvme_delete_completion(d, queue);
    return NVME_OK;
}

/* ---- identify ---- */
static uint16_t identify(struct device *d, struct nvme_command *c)
{
    enum { NAMESPACE, CONTROLLER, ACTIVE_LIST, DESCRIPTORS };
    const struct nvme *n = d->state;
    uint32_t which = get_le32(c->entry + AT_NAMESPACE);
    uint8_t what = c->entry[AT_CDW10], data[NVME_PAGE] = {0};
    bool exists = which == 1;

    switch (what) {
    case NAMESPACE:
        if (!exists && which != EVERY_NAMESPACE)
            return NVME_BAD_NAMESPACE;
        nvme_identify_namespace(n, data);
        break;
    case CONTROLLER: nvme_identify_controller(n, data); break;
    case ACTIVE_LIST: /* those above a number */
        if (which >= EVERY_NAMESPACE - 1)
            return NVME_BAD_NAMESPACE;
        put_le32(data, which < 1 ? 1 : 0);
        break;
    case DESCRIPTORS:
        if (!exists)
            return NVME_BAD_NAMESPACE;
        nvme_identify_descriptors(n, data);
        break;
    default: return NVME_BAD_FIELD;
    }
    return nvme_answer(d, c, data, sizeof data, sizeof data);
}

/* ---- features ---- */
static uint32_t default_of(unsigned feature)
{
    switch (feature) {
    case FEATURE_ARBITRATION: return 6; /* as many at a time as the identify data recommend */
    case FEATURE_TEMPERATURE: return 343;
    case FEATURE_CACHE: return 1;
    case FEATURE_QUEUES: return (NVME_QUEUES - 2) | (NVME_QUEUES - 2) << 16;
    default: return 0;
    }
}

void nvme_features_reset(struct nvme *n)
{
    for (unsigned i = 0; i < NVME_FEATURES; i++)
        n->feature[i] = default_of(i);
}

static bool known_feature(unsigned feature)
{
    return feature && feature < NVME_FEATURES && feature != 3 /* LBA ranges */;
}

static uint16_t get_features(struct device *d, struct nvme_command *c)
{
    enum { CURRENT, DEFAULT, SAVED, CAPABILITIES, CHANGEABLE = 4 };
    struct nvme *n = d->state;
    unsigned feature = c->entry[AT_CDW10], select = c->entry[AT_CDW10 + 1] & 7;
    uint32_t vector = get_le32(c->entry + AT_CDW11);

    if (!known_feature(feature) || select > CAPABILITIES)
        return NVME_BAD_FIELD;
    if (feature == FEATURE_VECTOR && (vector & 0xffff) >= NVME_QUEUES)
        return NVME_BAD_FIELD;
    if (select == CAPABILITIES)
        c->result = feature == FEATURE_QUEUES ? 0 : CHANGEABLE;
    else
        c->result = select == CURRENT ? n->feature[feature] : default_of(feature);
    if (feature == FEATURE_VECTOR && select != CAPABILITIES)
        c->result = vector & 0xffff;
    return NVME_OK;
}

static uint16_t set_features(struct device *d, struct nvme_command *c)
{
    enum { SAVE = 0x80, NO_STATES_MASK = 0x1f, EVENT_BITS = 0x3ff, TYPE_UNDER = 1 << 20 };
    struct nvme *n = d->state;
    unsigned feature = c->entry[AT_CDW10];
    uint32_t value = get_le32(c->entry + AT_CDW11);

    if (!known_feature(feature))
        return NVME_BAD_FIELD;
    if (c->entry[AT_CDW10 + 3] & SAVE)
        return NVME_NOT_SAVEABLE;
    switch (feature) {
    case FEATURE_QUEUES: /* how many are wanted, less one; how many there are is the answer */
        if ((value & 0xffff) == 0xffff || value >> 16 == 0xffff)
            return NVME_BAD_FIELD;
        c->result = default_of(FEATURE_QUEUES);
        return NVME_OK;
    case FEATURE_POWER:
        if (value & NO_STATES_MASK)
            return NVME_BAD_FIELD;
        break;
    case FEATURE_TEMPERATURE:
        if (value & TYPE_UNDER || value >> 16 & 0xf) /* only the composite one's upper limit */
            return NVME_OK;
        break;
    case FEATURE_CACHE: value &= 1; break;
    case FEATURE_EVENTS: value &= EVENT_BITS; break;
    case FEATURE_VECTOR: return (value & 0xffff) < NVME_QUEUES ? NVME_OK : NVME_BAD_FIELD;
    }
    n->feature[feature] = value;
    return NVME_OK;
}

/* ---- logs ---- */
static void put_smart(const struct nvme *n, uint8_t *out)
{
    enum { ROOM = 300 /* kelvin */, UNIT = 512 * 1000 };

    put_le16(out + 1, ROOM);
    out[3] = 100; /* per cent of spare blocks ... */
    out[4] = 10;  /* ... and the least there should be */
    put_le64(out + 32, (n->bytes_read + UNIT - 1) / UNIT);
    put_le64(out + 48, (n->bytes_written + UNIT - 1) / UNIT);
    put_le64(out + 64, n->reads);
    put_le64(out + 80, n->writes);
    put_le64(out + 112, 1); /* power cycles */
}

static uint16_t get_log(struct device *d, struct nvme_command *c)
{
    enum { RETAIN = 0x80 };
    struct nvme *n = d->state;
    uint64_t wanted = (get_le16(c->entry + AT_CDW10 + 2) | (uint64_t)get_le16(c->entry + AT_CDW11) << 16) * 4 + 4;
    uint64_t offset = get_le64(c->entry + AT_CDW12);
    uint8_t log = c->entry[AT_CDW10], data[LOG_BYTES] = {0};
    uint64_t bytes = log == LOG_ERRORS ? 64 : LOG_BYTES;

    if (log < LOG_ERRORS || log > LOG_FIRMWARE)
        return NVME_BAD_LOG;
    if (offset & 3 || offset > bytes)
        return NVME_BAD_FIELD;
    if (log == LOG_SMART)
        put_smart(n, data);
    if (log == LOG_FIRMWARE) {
        data[0] = 1;
        memcpy(data + 8, "1.0     ", 8);
    }
    if (log == LOG_ERRORS && !(c->entry[AT_CDW10 + 1] & RETAIN))
        n->event_masked = false;
    return nvme_answer(d, c, data + offset, bytes - offset, wanted);
}

/* ---- events ---- */

/* It is answered when there is something to tell; true: it waits. */
static bool event_request(struct device *d, struct nvme_command *c, uint16_t *status)
{
    struct nvme *n = d->state;

    *status = n->event_requests == NVME_EVENTS ? NVME_TOO_MANY_EVENTS : NVME_OK;
    if (*status)
        return false;
    if (n->events) {
        c->result = n->event[0];
        n->events--;
        memmove(n->event, n->event + 1, n->events * sizeof n->event[0]);
        return false;
    }
    n->event_request[n->event_requests++] = c->id;
    c->state = COMMAND_FREE; /* only its id is needed */
    return true;
}

void nvme_admin(struct device *d, struct nvme_command *c)
{
    uint16_t status = NVME_OK;

    switch (c->entry[0]) {
    case DELETE_SQ: status = delete_submission(d, c); break;
    case CREATE_SQ: status = create_submission(d, c); break;
    case GET_LOG: status = get_log(d, c); break;
    case DELETE_CQ: status = delete_completion(d, c); break;
    case CREATE_CQ: status = create_completion(d, c); break;
    case IDENTIFY: status = identify(d, c); break;
    case ABORT: c->result = 1; break; /* it was not: what was taken runs to its end */
    case SET_FEATURES: status = set_features(d, c); break;
    case GET_FEATURES: status = get_features(d, c); break;
    case EVENT_REQUEST:
        if (event_request(d, c, &status))
            return;
        break;
    default: status = NVME_BAD_OPCODE; break;
    }
    nvme_complete(d, c, status ? status | NVME_RETRY_NO : NVME_OK);
}
