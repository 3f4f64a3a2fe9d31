// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_scsi.h - inside of the SCSI host adapter: virtio_scsi.c (commands), virtio_scsi_control.c (task management, and what
 * the driver is told unasked). */
#pragma once
#include "devices/storage/scsi.h"
#include "devices/virtio/virtio.h"

enum {
    SCSI_UNITS = 7,
    SCSI_Q_CONTROL = 0,
    SCSI_Q_EVENT = 1,
    SCSI_Q_REQUEST = 2,
    SCSI_F_HOTPLUG = 1,
    SCSI_F_CHANGE = 2
};
enum {
    SCSI_C_SENSE = 20,
    SCSI_C_CDB = 24,
    SCSI_SIZE_MOST = 255,
    SCSI_EVENT_BYTES = 16
}; /* configuration: sizes that the driver may set */
/* Of a request, and of task management. */
enum {
    SCSI_R_OK = 0,
    SCSI_R_OVERRUN = 1,
    SCSI_R_ABORTED = 2,
    SCSI_R_BAD_TARGET = 3,
    SCSI_R_RESET = 4,
    SCSI_R_SUCCEEDED = 10,
    SCSI_R_REJECTED = 11,
    SCSI_R_NO_LUN = 12
};
enum { SCSI_E_NONE = 0, SCSI_E_TRANSPORT = 1, SCSI_E_PARAMETERS = 3 };
enum { SCSI_WHY_RESCAN = 1, SCSI_WHY_REMOVED = 2 };

struct scsi_request {
    struct drive_request drive;
    bool busy, stale; /* stale: nobody waits for it any more */
    uint8_t target, lun[8];
    uint64_t id;
    struct scsi_action action;
    uint64_t done; /* of raw sectors: bytes of the medium that are through */
    unsigned range;
    uint64_t moved; /* bytes between driver and medium */
    struct virtq_chain chain;
    struct iovec iov[VIRTQ_SIZE_MOST];
    uint8_t *buffer; /* SCSI_BUFFER bytes, made when it is first wanted */
};
enum { SCSI_BUFFER = 128 << 10 };
struct virtio_scsi {
    struct virtio virtio;
    struct ata_drive unit[SCSI_UNITS];
    bool present[SCSI_UNITS];                      /* a disk whose bay is empty is not */
    uint32_t sense_bytes, cdb_bytes;               /* in headers, as the driver set them in the configuration space */
    bool starved;                                  /* chains were left in the queue for want of a place in request[] */
    bool missed;                                   /* something happened and there was no buffer to tell of it */
    struct scsi_request *request[VIRTQ_SIZE_MOST]; /* made when they are first wanted */
    struct virtq_chain chain;                      /* of the other queues */
    uint8_t answer[ATA_ANSWER], parameters[SCSI_PARAMETERS];
};

/* virtio_scsi.c */
/* Which unit an address of 8 bytes means; false: no target has that number.  *lun: of its logical units. */
bool scsi_address(const struct virtio_scsi *s, const uint8_t address[8], unsigned *target, unsigned *lun);
/* Every request of that target that `wanted` chooses ends with this response, and no more touches memory. */
void scsi_abort(struct virtio_scsi *s, unsigned target, unsigned response,
                bool (*wanted)(const struct scsi_request *r, uint64_t id), uint64_t id);

/* virtio_scsi_control.c */
void scsi_control_kicked(struct virtio_scsi *s);
void scsi_event_kicked(struct virtio_scsi *s);
/* Tells the driver; if it has given no buffer, later that it missed something. */
void scsi_event(struct virtio_scsi *s, uint32_t event, unsigned target, uint32_t reason);
