// SPDX-License-Identifier: GPL-2.0-or-later
/* client_network.h - a machine's network cards: what machine.ini says of them and, while it runs, what its network process
 * does with them.  By whole names of machines; card: its section, "nic1".  From any thread, but only from one at a time. */
#pragma once
#include "core-vmm/base/forward.h"
#include "core-vmm/control/client.h"
#include "core-vmm/host/machines.h"

/* To its network process; MACHINE_ERROR_NOT_RUNNING, or CONTROL_UNSUPPORTED: the machine has no card. */
struct client *network_connect(const char *name, GError **error);
/* {"machine", "running", "cards": [{"card", "model", "mac", "mode", "connected", "forward", "limit" and its like, "now": {...}}]};
 * "now" is what the network process says of it (docs/control.md), not there if it says nothing.  json_object_unref. */
JsonObject *network_list(const char *name, GError **error);
/* The cards of such a list that are there now, one after another; NULL: no more. */
JsonObject *network_card(JsonObject *list, unsigned n);
/* Changes a card: "key=value", or "key": it goes.  In machine.ini and, if the machine runs, at once; *count: some of them only
 * count from its next start. */
bool network_set(const char *name, const char *card, char **settings, enum settings_count *count, GError **error);
/* Adds or takes away a port forward ("tcp 2222 22"; to take it away the guest's port may be missing), in machine.ini and at
 * once.  G_IO_ERROR_EXISTS: this machine has one there; G_IO_ERROR_BUSY: somebody else has the host's port, and the sentence
 * says which machine if it is one. */
bool network_forward_add(const char *name, const char *card, const char *forward, GError **error);
bool network_forward_remove(const char *name, const char *card, const char *forward, GError **error);
/* A port of 127.0.0.1 that leads to that TCP port of the running guest: one that there is, or a new one for as long as the
 * machine runs.  0: an error. */
uint16_t network_forward_to(const char *name, uint16_t guest_port, GError **error);
/* Does the guest take a connection on that TCP port within so many ms?  port: what network_forward_to() gave for it, which
 * takes connections before it knows whether the guest does. */
bool network_answers(const char *name, uint16_t port, uint16_t guest_port, int ms);
/* Sentences about what of a running machine's network does not work, of char *; g_ptr_array_unref. */
GPtrArray *network_remarks(const char *name);

/* ---- client_traffic.c ---- */
/* Changes limits of a card, as network_set() does, with units: "limit=10M" (bit/s, of 1000; a plain number is what machine.ini
 * has), "delay=20ms", "loss=0.5%"; "group-limit=50M" counts for all cards in the card's group.  "KEY=off" or "KEY": it goes;
 * "off" alone: all of them. */
bool network_limit(const char *name, const char *card, char **limits, enum settings_count *count, GError **error);
/* The running card's frames into a new file, as pcapng, or into a named pipe that somebody reads; and the end of that, which
 * says what is in it.  {"file", "frames", "missed"}; json_object_unref.  G_IO_ERROR_EXISTS: the file is there already. */
JsonObject *network_capture_start(const char *name, const char *card, const char *file, GError **error);
JsonObject *network_capture_stop(const char *name, const char *card, GError **error);
