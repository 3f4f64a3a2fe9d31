// SPDX-License-Identifier: GPL-2.0-or-later
/* screenshot.h - pictures to files. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Writes x8r8g8b8 pixels (stride in bytes) as a PNG.  The file appears complete or not at all: it is written beside its
 * place, synced and renamed. */
bool screenshot_write(const char *path, const uint32_t *pixels, uint32_t width, uint32_t height, uint32_t stride,
                      GError **error);
