// SPDX-License-Identifier: GPL-2.0-or-later
/* host_probe.h - which engines work on this host: what terrarium-vm measures. */
#pragma once
#include <json-glib/json-glib.h>

/* "engines": of "engine", "usable", "reason"; "auto", "auto-reason", "cpus", "memory".  json_object_unref; any thread. */
JsonObject *host_probe(GError **error);
