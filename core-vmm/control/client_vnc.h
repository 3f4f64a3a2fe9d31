// SPDX-License-Identifier: GPL-2.0-or-later
/* client_vnc.h - the VNC server of a machine: what machine.ini says of it and, while it runs, what its process does.  By whole
 * names of machines. */
#pragma once
#include "core-vmm/control/client.h"

/* A command of docs/control.md; takes args.  NULL: there is none (MACHINE_ERROR_NOT_RUNNING, CONTROL_NOT_FOUND), or it does
 * not like it.  json_object_unref. */
JsonObject *vnc_ask(const char *name, const char *command, JsonObject *args, GError **error);
/* What both say: {"machine", "enabled", "listen", "sharing", "view-only", "password", "now": as its process says}.  "now" is not
 * there if it does not run. */
JsonObject *vnc_status(const char *name, GError **error);

struct vnc_wish { /* NULL: as it is */
    const char *listen, *sharing, *view_only;
};
/* In machine.ini and, if the machine runs, at once: one that listens elsewhere begins anew.  Forks. */
bool vnc_on(const char *name, const struct vnc_wish *w, GError **error);
bool vnc_off(const char *name, GError **error);
/* NULL or empty: none.  Whoever is connected is sent away. */
bool vnc_password(const char *name, const char *password, GError **error);
