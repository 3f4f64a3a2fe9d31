// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_scsi_control.c - task management and events of the SCSI host adapter (Virtual I/O Device Version 1.2, chapters 5.6.6.2
 * and 5.6.6.3).  Requests that are given up have let go of the guest's memory before the driver hears of it. */
#include "core-vmm/base/bytes.h"
#include "devices/virtio/virtio_scsi.h"

enum { T_MANAGEMENT = 0, T_QUERY = 1, T_SUBSCRIBE = 2, CHAINS_MOST = 64 };
enum { ABORT_TASK, ABORT_TASK_SET, CLEAR_ACA, CLEAR_TASK_SET, NEXUS_RESET, UNIT_RESET, QUERY_TASK, QUERY_TASK_SET };
/* A request: task management is the longest. */
enum { H_TYPE = 0, H_KIND = 4, H_LUN = 8, H_ID = 16, MANAGEMENT_BYTES = 24, NOTIFY_LUN = 4, NOTIFY_BYTES = 16 };
#define MISSED 0x80000000u

static bool any(const struct scsi_request *r, uint64_t id)
{
    return true;
}

static bool that_one(const struct scsi_request *r, uint64_t id)
{
    return r->id == id;
}

static bool under_way(const struct virtio_scsi *s, unsigned target, bool all, uint64_t id)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(s->request) && s->request[i]; i++) {
        const struct scsi_request *r = s->request[i];
        if (r->busy && !r->stale && r->target == target && (all || r->id == id))
            return true;
    }
    return false;
}

/* Of all logical units with a number but 0 there are none, so nothing of them is under way. */
static uint8_t manage(struct virtio_scsi *s, const uint8_t *h)
{
    unsigned target, lun, kind = get_le32(h + H_KIND);
    uint64_t id = get_le64(h + H_ID);
    if (!scsi_address(s, h + H_LUN, &target, &lun))
        return SCSI_R_BAD_TARGET;
    if (lun && kind != NEXUS_RESET)
        return SCSI_R_NO_LUN;
    switch (kind) {
    case ABORT_TASK: scsi_abort(s, target, SCSI_R_ABORTED, that_one, id); return SCSI_R_OK;
    case ABORT_TASK_SET:
    case CLEAR_TASK_SET: scsi_abort(s, target, SCSI_R_ABORTED, any, 0); return SCSI_R_OK;
    case NEXUS_RESET:
    case UNIT_RESET:
        scsi_abort(s, target, SCSI_R_RESET, any, 0);
        scsi_power_on(&s->unit[target]);
        return SCSI_R_OK;
    case QUERY_TASK: return under_way(s, target, false, id) ? SCSI_R_SUCCEEDED : SCSI_R_OK;
    case QUERY_TASK_SET: return under_way(s, target, true, 0) ? SCSI_R_SUCCEEDED : SCSI_R_OK;
    }
    return SCSI_R_REJECTED;
}

/* How many bytes of answer there are; 0: the request makes no sense.  Of what can be subscribed to, there is nothing. */
static unsigned control(struct virtio_scsi *s, struct virtq_chain *c, uint8_t answer[5])
{
    uint8_t h[MANAGEMENT_BYTES] = {0};
    unsigned target, lun;
    size_t n = virtq_read(c, 0, h, sizeof h);
    uint32_t type = get_le32(h + H_TYPE);
    if (n < 4 || type > T_SUBSCRIBE || n < (type == T_MANAGEMENT ? MANAGEMENT_BYTES : NOTIFY_BYTES))
        return 0;
    if (type == T_MANAGEMENT) {
        answer[0] = manage(s, h);
        return 1;
    }
    put_le32(answer, 0);
    answer[4] = scsi_address(s, h + NOTIFY_LUN, &target, &lun) ? SCSI_R_OK : SCSI_R_BAD_TARGET;
    return 5;
}

void scsi_control_kicked(struct virtio_scsi *s)
{
    struct virtqueue *q = &s->virtio.queue[SCSI_Q_CONTROL];
    for (unsigned left = CHAINS_MOST; left && virtq_take(q, &s->chain); left--) {
        uint8_t answer[5];
        unsigned n = control(s, &s->chain, answer);
        if (!n || s->chain.in_bytes < n) {
            virtio_broken(&s->virtio, "a control request of no known kind, or without room for the answer");
            return;
        }
        virtq_write(&s->chain, 0, answer, n);
        virtq_give(q, &s->chain, n);
    }
    virtq_flush(q);
    virtio_wait_for_kick(&s->virtio, SCSI_Q_CONTROL);
}

/* ---- events ---- */

/* false: the driver has given no buffer. */
static bool tell(struct virtio_scsi *s, uint32_t event, unsigned target, uint32_t reason)
{
    struct virtqueue *q = &s->virtio.queue[SCSI_Q_EVENT];
    uint8_t e[SCSI_EVENT_BYTES] = {0};
    if (!virtq_take(q, &s->chain))
        return false;
    if (s->chain.in_bytes < SCSI_EVENT_BYTES) {
        virtio_broken(&s->virtio, "a buffer for events that is too small for one");
        return true;
    }
    put_le32(e, event | (s->missed ? MISSED : 0));
    e[4] = event != SCSI_E_NONE;
    e[5] = target;
    put_le32(e + 12, reason);
    s->missed = false;
    virtq_write(&s->chain, 0, e, sizeof e);
    virtq_give(q, &s->chain, sizeof e);
    virtq_flush(q);
    return true;
}

void scsi_event(struct virtio_scsi *s, uint32_t event, unsigned target, uint32_t reason)
{
    unsigned feature = event == SCSI_E_PARAMETERS ? SCSI_F_CHANGE : SCSI_F_HOTPLUG;
    if (!virtio_running(&s->virtio) || !virtio_has(&s->virtio, feature) || tell(s, event, target, reason))
        return;
    s->missed = true;
    virtq_want_kicks(&s->virtio.queue[SCSI_Q_EVENT], true);
    scsi_event_kicked(s); /* one may have come just before */
}

void scsi_event_kicked(struct virtio_scsi *s)
{
    if (s->missed)
        tell(s, SCSI_E_NONE, 0, 0);
}
