// SPDX-License-Identifier: GPL-2.0-or-later
/* vnc.h - terrarium-vnc, the VNC server of one VM: a client of its control socket, and a process of its own.
 *
 *   VNC clients ==TCP==> gate.c ==socket pair==> viewer.c, a thread each, with libvncserver
 *                          |                        ^ picture, damage
 *                          +-- keys, pointer --> machine.c <==control socket==> VM process
 *
 * A gate is all that the world talks to: it does the handshake and the password, takes the client's messages apart, and checks
 * them.  Keys and pointer go to the machine; what libvncserver gets are the whole messages that say which pixels are
 * wanted and how they are to be coded, and only from clients that are let in.  So it never waits for half a message, and its
 * old and rare messages (file transfer, chat, scaling) cannot be reached.  What it sends goes back through the gate, and a client
 * that does not read makes its own thread wait and no other.
 *
 * Gates, the machine and the control socket are on the loop thread.  Viewers share nothing but the picture's memory. */
#pragma once
#include "core-vmm/control/server.h"
#include "gui/vnc/keys.h"
#include "gui/vnc/picture.h"
#include <rfb/rfb.h>

enum { VNC_CLIENTS_MOST = 32, VNC_PASSWORD_MOST = 8, VNC_LISTENING_MOST = 3 };

struct vnc;
struct gate;
struct viewer;

struct vnc {
    GMainLoop *loop;
    GKeyFile *settings; /* main.c: of a memfd, written back when they change */
    char *name;         /* of the machine */
    char *where;        /* it listens, for people */
    char *password;     /* NULL: none */
    bool view_only, exclusive;
    unsigned most; /* clients */
    int exit_code;
    struct keymap *keymap;
    struct server_options served;
    struct server *server;
    struct machine_link *machine;
    struct picture *picture; /* NULL: not known, or nobody looks */
    GPtrArray *gates;
    unsigned next_id;
    /* A wrong password makes the next one wait, whoever tries it. */
    unsigned wrong;
    gint64 next_try;
    rfbScreenInfoPtr screens[2 * VNC_CLIENTS_MOST]; /* made ahead, of viewers; NULL: in use, or not made */
};

/* ---- main.c ---- */
void vnc_keep(struct vnc *v); /* its settings have changed: they outlast this process */
void vnc_end(struct vnc *v, int exit_code);

/* ---- machine.c: the VM's control socket ---- */
struct machine_link *machine_link_new(struct vnc *v, struct client *c); /* takes the connection */
void machine_link_free(struct machine_link *m);
void machine_watch_picture(struct machine_link *m, bool on);
void machine_press(struct machine_link *m, unsigned code, bool down);
/* x, y in dots of the picture; buttons as RFB has them, with those of the wheel; *last: of this client, its memory. */
struct pointer {
    int x, y;
    unsigned buttons;
    bool known;
};
void machine_point(struct machine_link *m, struct pointer *last, int x, int y, unsigned buttons);
void machine_point_release(struct machine_link *m, struct pointer *last);
void machine_xvp(struct machine_link *m, unsigned code); /* of the extension for power; unknown ones do nothing */
bool machine_is_busy(const struct machine_link *m);      /* it has much to answer to: gates wait */
unsigned machine_leds_now(const struct machine_link *m);

/* ---- gate.c ---- */
void gate_new(struct vnc *v, int fd); /* of accept(); takes it */
void gate_free(gpointer gate);
void gates_picture(struct vnc *v);                                     /* there is another */
void gates_damage(struct vnc *v, int x, int y, int width, int height); /* in it */
void gates_leds(struct vnc *v);
void gates_go_on(struct vnc *v);                    /* the machine is not busy any more */
void gates_close(struct vnc *v, struct gate *save); /* all others, at once */
void gates_view_only(struct vnc *v);                /* that has changed, for those that are in too */
unsigned gates_in(const struct vnc *v);             /* how many clients are let in */
JsonObject *gate_describe(const struct gate *g);    /* NULL: it is not let in yet */
bool gate_close_id(struct vnc *v, unsigned id);

/* ---- viewer.c ---- */
void viewers_init(struct vnc *v);
void viewers_clear(struct vnc *v);
/* sock: the end of a pair at which a client speaks RFB 3.8 without a password; takes it.  power: it is offered the extension for
 * power.  NULL: there are as many as may be. */
struct viewer *viewer_new(struct vnc *v, int sock, bool power);
void viewer_free(struct viewer *w); /* waits for its thread, whose socket must be shut down */
void viewer_picture(struct viewer *w, struct picture *p);
void viewer_damage(struct viewer *w, int x, int y, int width, int height);
void viewer_leds(struct viewer *w, unsigned leds); /* for clients that asked for them */
void viewer_greet_keys(struct viewer *w);          /* extended key events are understood */
