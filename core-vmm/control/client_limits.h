// SPDX-License-Identifier: GPL-2.0-or-later
/* client_limits.h - a machine's share of its host, while it runs. */
#pragma once
#include "core-vmm/control/client.h"

/* Does a setting ("section.key=value", "section.key", "section") have to do with it? */
bool limits_concern(const char *setting);
/* Tells a running machine what its machine.ini says of it.  By the whole name. */
bool limits_tell(const char *name, GError **error);
