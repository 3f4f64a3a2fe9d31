// SPDX-License-Identifier: GPL-2.0-or-later
/* config_error.h - the one shape of all complaints about machine.ini: "PATH: [section] key = value: must be ...". */
#pragma once
#include <glib.h>

#define CONFIG_ERROR config_error_quark()
GQuark config_error_quark(void);
enum config_error { CONFIG_SYNTAX, CONFIG_UNKNOWN, CONFIG_VALUE };

void config_error(GError **error, const char *path, const char *section, const char *key, const char *value,
                  const char *format, ...) G_GNUC_PRINTF(6, 7);
