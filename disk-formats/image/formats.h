// SPDX-License-Identifier: GPL-2.0-or-later
/* formats.h - the tables that all.c lists. */
#pragma once
#include "disk-formats/image/image.h"

extern const struct image_format format_raw;
extern const struct image_format format_qcow2;
extern const struct image_format format_vdi;
extern const struct image_format format_vmdk;
extern const struct image_format format_vhd;
extern const struct image_format format_vhdx;
