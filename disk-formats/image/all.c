// SPDX-License-Identifier: GPL-2.0-or-later
/* all.c - the list of image formats.  A new one is a file and a line here. */
#include "disk-formats/image/formats.h"

const struct image_format *const *image_formats(void)
{
    static const struct image_format *const list[] = {&format_raw, &format_qcow2, &format_vdi, &format_vmdk,
                                                      &format_vhd, &format_vhdx,  NULL};
    return list;
}
