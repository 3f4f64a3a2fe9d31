// SPDX-License-Identifier: GPL-2.0-or-later
/* backdoor.h - the parts of VMware's backdoor: backdoor.c has the ports and what a machine tells of itself, vmmouse.c the
 * absolute pointer, guest_rpc.c the messages.  The device's lock is held in all calls. */
#pragma once
#include "core-vmm/api/device.h"
#include "core-vmm/api/x86_state.h"

enum {
    BACKDOOR_ABSPOINTER_DATA = 39,
    BACKDOOR_ABSPOINTER_STATUS = 40,
    BACKDOOR_ABSPOINTER_COMMAND = 41,
    BACKDOOR_ABSPOINTER_RESTRICT = 86,
    BACKDOOR_MESSAGE = 30,
};

/* ---- vmmouse.c ---- */
#define VMMOUSE_WORDS 64
struct vmmouse {
    uint32_t word[VMMOUSE_WORDS]; /* events of four words each, and answers to commands of one */
    uint8_t first, count;
    bool enabled, absolute, failed;
};
/* One of the ABSPOINTER commands; argument is EBX. */
void vmmouse_command(struct device *d, struct vmmouse *v, unsigned command, struct port_call *p);
void vmmouse_reset(struct device *d, struct vmmouse *v);
bool vmmouse_sync(struct device *d, struct vmmouse *v, struct stream *s);
/* As in input.h; screen to queue.  The PS/2 mouse beside it tells the guest that there is something. */
bool vmmouse_move(struct device *d, struct vmmouse *v, int dx, int dy, int wheel, unsigned buttons);
bool vmmouse_place(struct device *d, struct vmmouse *v, uint16_t x, uint16_t y, int wheel, unsigned buttons);

/* ---- guest_rpc.c ---- */
#define GUEST_RPC_CHANNELS 128
#define GUEST_RPC_MOST     65536 /* bytes of a message from the guest */
struct guest_rpc;
struct guest_rpc *guest_rpc_new(struct device *d);
void guest_rpc_free(struct guest_rpc *g);
void guest_rpc_call(struct guest_rpc *g, struct port_call *p); /* MESSAGE; the kind is in the high half of ECX */
/* Bytes of a message, to the guest or from it, by a string instruction at the high-bandwidth port. */
void guest_rpc_bytes(struct guest_rpc *g, struct port_call *p);
void guest_rpc_reset(struct guest_rpc *g);
bool guest_rpc_sync(struct guest_rpc *g, struct stream *s);
