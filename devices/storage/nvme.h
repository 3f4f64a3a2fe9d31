// SPDX-License-Identifier: GPL-2.0-or-later
/* nvme.h - inside of the NVMe controller: nvme.c (registers, queues, interrupts), nvme_admin.c (admin commands, features, logs),
 * nvme_identify.c, nvme_io.c (I/O commands, PRPs).
 *
 * The guest writes 64-byte commands into a submission queue in its memory and rings a doorbell; the controller takes them in
 * order, works at many at once, and puts 16-byte entries into completion queues, whose phase bit tells new ones from old.
 * Every command that was taken has one of COMMANDS places until its completion is in its queue; when none is left, or the
 * guest does not empty a completion queue, submission queues wait.  A transfer is at most 2^MDTS pages, so a dma_list always
 * holds all of it.  Commands that a reset gave up are stale until their request is through. */
#pragma once
#include "core-vmm/api/drive.h"
#include "devices/storage/dma_list.h"

enum { NVME_QUEUES = 9 /* the admin queues and eight for I/O */, NVME_ENTRIES = 1024, NVME_COMMANDS = 256 };
enum { NVME_SECTOR = 512, NVME_PAGE = 4096, NVME_MDTS = 7, NVME_EVENTS = 4, NVME_FEATURES = 0x0c };
enum { NVME_SUBMISSION = 64, NVME_COMPLETION = 16 };

/* Status: its type << 8 | code. */
enum {
    NVME_OK = 0x000,
    NVME_BAD_OPCODE = 0x001,
    NVME_BAD_FIELD = 0x002,
    NVME_BAD_DATA = 0x004, /* a pointer leads nowhere */
    NVME_QUEUE_DELETED = 0x008,
    NVME_BAD_NAMESPACE = 0x00b,
    NVME_BAD_PRP = 0x013,
    NVME_PROTECTED = 0x020,
    NVME_BEYOND = 0x080,
    NVME_BAD_COMPLETION_QUEUE = 0x100,
    NVME_BAD_QUEUE = 0x101,
    NVME_BAD_QUEUE_SIZE = 0x102,
    NVME_TOO_MANY_EVENTS = 0x105,
    NVME_BAD_VECTOR = 0x108,
    NVME_BAD_LOG = 0x109,
    NVME_BAD_DELETION = 0x10c,
    NVME_NOT_SAVEABLE = 0x10d,
    NVME_NOT_CHANGEABLE = 0x10e,
    NVME_WRITE_FAULT = 0x280,
    NVME_READ_ERROR = 0x281,
    NVME_RETRY_NO = 0x4000, /* with any of them: it is of no use to try again */
};

enum nvme_feature { /* those that are kept: their index is the feature's number */
                    FEATURE_ARBITRATION = 0x01,
                    FEATURE_POWER = 0x02,
                    FEATURE_TEMPERATURE = 0x04,
                    FEATURE_RECOVERY = 0x05,
                    FEATURE_CACHE = 0x06,
                    FEATURE_QUEUES = 0x07,
                    FEATURE_COALESCING = 0x08,
                    FEATURE_VECTOR = 0x09,
                    FEATURE_ATOMICITY = 0x0a,
                    FEATURE_EVENTS = 0x0b,
};

struct nvme_submission {
    bool there;
    uint64_t base;
    uint32_t size, head, tail;
    uint16_t completion; /* the queue that its entries go to */
};
struct nvme_completion {
    bool there, interrupts, phase, news; /* news: there are entries that no interrupt was raised for */
    uint64_t base;
    uint32_t size, head, tail;
    uint16_t vector;
};

enum nvme_command_state { COMMAND_FREE, COMMAND_WORKING, COMMAND_WAITING /* for room in its completion queue */ };
struct nvme_command {
    uint8_t state;
    bool pending, stale; /* a request is under way; nobody wants to know of it any more */
    bool flush;          /* when the request is through, the medium's cache */
    uint16_t queue, id, status;
    uint32_t result;
    uint8_t entry[NVME_SUBMISSION];
    unsigned range; /* of a deallocation: the next one */
    struct drive_request request;
    struct dma_list dma;
};

struct nvme {
    struct drive *medium;
    char serial[21];
    uint32_t mask, cc, csts, aqa;
    uint64_t asq, acq;
    uint32_t feature[NVME_FEATURES];
    struct nvme_submission submission[NVME_QUEUES];
    struct nvme_completion completion[NVME_QUEUES];
    uint16_t event_request[NVME_EVENTS]; /* ids of ASYNCHRONOUS EVENT REQUESTs that wait ... */
    uint32_t event[NVME_EVENTS];         /* ... and events that wait for one */
    uint8_t event_requests, events;
    bool event_masked;                                 /* an error was told, and its log not read yet */
    bool starved;                                      /* a queue has commands that found no place */
    bool closing;                                      /* the flush of a shutdown is under way */
    uint64_t reads, writes, bytes_read, bytes_written; /* since power-on, for the SMART log */
    struct drive_request closing_request;
    unsigned next_place; /* where a free one is looked for first */
    struct nvme_command command[NVME_COMMANDS];
};

/* nvme.c */
void nvme_complete(struct device *d, struct nvme_command *c, uint16_t status); /* c->result is set */
void nvme_update(struct device *d);                                            /* interrupts */
void nvme_run(struct device *d);                                               /* takes commands from all queues */
void nvme_delete_submission(struct device *d, unsigned queue);
void nvme_delete_completion(struct device *d, unsigned queue); /* no submission queue uses it any more */

/* nvme_admin.c, nvme_io.c: one command, whose completion may come at once or later. */
void nvme_admin(struct device *d, struct nvme_command *c);
void nvme_io(struct device *d, struct nvme_command *c);
void nvme_features_reset(struct nvme *n);

/* nvme_io.c: fills c->dma with `bytes` of the guest's memory by the command's PRPs; a status. */
uint16_t nvme_map(struct device *d, struct nvme_command *c, uint64_t bytes, bool to_guest);
/* Answers a command with data, as much as both sides have. */
uint16_t nvme_answer(struct device *d, struct nvme_command *c, const void *data, uint64_t bytes, uint64_t wanted);
uint64_t nvme_sectors(const struct nvme *n);

/* nvme_identify.c: 4096 bytes each. */
void nvme_identify_controller(const struct nvme *n, uint8_t *out);
void nvme_identify_namespace(const struct nvme *n, uint8_t *out);
void nvme_identify_descriptors(const struct nvme *n, uint8_t *out);
