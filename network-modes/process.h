// SPDX-License-Identifier: GPL-2.0-or-later
/* process.h - the inside of the network process: one per VM, with all its cards.
 *
 *   VM process <-- vm_side.c (net_wire.h) --> port.c, one port for each card --> its mode (mode.h)
 *   vmctl      <-- commands.c (control socket) --------^
 */
#pragma once
#include "core-vmm/control/server.h"
#include "core-vmm/base/net_wire.h"
#include "network-modes/addresses.h"
#include "network-modes/mode.h"
#include "network-modes/switch_port.h"

enum { PORT_REASONS = 16 };
struct net_port {
    struct net_process *process;
    char *name; /* "nic1"; NULL: there is no such card */
    uint8_t number;
    const struct net_mode *mode; /* NULL: it could not be started */
    void *state;                 /* the mode's */
    char *failure;               /* why it could not; NULL */
    bool stale;                  /* settings have changed that its mode reads when it starts */
    bool heard;                  /* the VM process has said what its card can */
    bool connected;              /* the user's wish: is the cable in? */
    bool far_up;                 /* the mode's: is there somebody at the other end? */
    bool link;                   /* what the guest was told */
    unsigned guest_can;
    uint8_t mac[6];
    uint64_t sent, sent_bytes, received, received_bytes; /* frames, as the guest sees it */
    struct {
        const char *why;
        uint64_t frames, told; /* told: of which the log knows */
        gint64 at;             /* when it heard of them, monotonic us; 0: not yet */
    } dropped[PORT_REASONS];
    struct addresses addresses;
    GSource *hold;             /* the link stays down until then, so that the guest sees it; NULL */
    struct switch_port *rules; /* what the switch does with its frames */
    char *capture;             /* the file that its frames go to, as whoever asked calls it; NULL */
    /* A port without a card, inside a mode: where its frames go instead. */
    void (*sink)(void *ctx, const uint8_t *frame, size_t bytes, const struct net_offload *left);
    void *sink_ctx;
};
struct net_process {
    char *machine;
    GHashTable *groups; /* of struct port_group by name: cards with one limit */
    GKeyFile *settings; /* [network] and the cards' sections of machine.ini, with the starter's additions */
    int settings_fd, wire, listening;
    struct net_port port[NET_WIRE_CARDS];
    struct vm_side *vm;
    struct resolver *resolver;
    struct passt_host *passt; /* NULL: no card wanted it at the start, or it is not installed */
    struct server_options served;
    struct server *server;
    bool ended; /* the VM process has gone */
};

/* ---- vm_side.c ---- */
struct vm_side *vm_side_new(struct net_process *p); /* sets p->ended when the VM process has gone */
void vm_side_free(struct vm_side *v);
/* False: no room; the frame is lost, as on any network. */
bool vm_side_frame(struct vm_side *v, const struct net_port *to, const uint8_t *frame, size_t bytes,
                   const struct net_offload *left);
void vm_side_link(struct vm_side *v, const struct net_port *to, bool up, unsigned can);

/* ---- loop.c ---- */
void process_loop(struct net_process *p); /* until p->ended */

/* ---- port.c ---- */
void port_start(struct net_port *p); /* its mode, by its section */
void port_stop(struct net_port *p);
/* A key of its section has another value, or none any more (NULL).  False: it is not to have that; nothing has changed. */
bool port_change(struct net_port *p, const char *key, const char *value, GError **error);
/* What could not be changed while the mode runs: stops and starts it, with the link down for a moment. */
void port_settle(struct net_port *p);
JsonObject *port_describe(struct net_port *p);
/* Its frames into fd, which it takes, from now on; file: for people.  They go on through changes of mode and cable. */
bool port_capture(struct net_port *p, const char *file, int fd, GError **error);
/* "file", "frames" and "missed" of the capture; NULL: there is none. */
JsonObject *port_capture_describe(const struct net_port *p);
void port_capture_stop(struct net_port *p);
/* From the VM process.  There is MODE_ROOM before the frame, which may be changed. */
void port_from_guest(struct net_port *p, uint8_t *frame, size_t bytes, const struct net_offload *left);
void port_guest_said(struct net_port *p, unsigned can);
/* A port of the same section without a card, for a mode inside of another; its frames go to sink. */
struct net_port *
port_inner_new(const struct net_port *of,
               void (*sink)(void *ctx, const uint8_t *frame, size_t bytes, const struct net_offload *left), void *ctx);
void port_inner_free(struct net_port *p);                      /* NULL is fine */
int process_fd(const struct net_process *p, const char *name); /* a descriptor of [descriptors], or -1 */
/* Reads again what the switch is to do with the card's frames: limits, policy. */
bool port_rules(struct net_port *p, GError **error);
bool port_rules_have(const char *key); /* is it a key that these read? */
struct config port_config(const struct net_port *p);

/* ---- modes.c ---- */
const struct net_mode *mode_find(const char *name); /* NULL: there is none */

/* ---- settings.c ---- */
bool settings_read(struct net_process *p, GError **error);
void settings_keep(struct net_process *p); /* what has changed counts after a restart of this process too */
