// SPDX-License-Identifier: GPL-2.0-or-later
/* readers.h - descriptions of machines that other programs have written: one kind, one file.  Their text may be anybody's: these
 * run in a fenced child, open nothing, and say in one sentence what is wrong. */
#pragma once
#include "core-vmm/foreign/found.h"

#define OVF_OURS        "https://terrarium.invalid/ovf/1" /* the namespace of what we write into an OVF: a name, no address */
#define DESCRIPTION_MAX (4u << 20)                        /* bytes */

enum foreign_kind {
    FOREIGN_OVF,
    FOREIGN_VMX,
    FOREIGN_VBOX,
    FOREIGN_LIBVIRT,
    FOREIGN_UTM,
    FOREIGN_QUICKEMU,
    FOREIGN_KINDS
};
/* f is initialized. */
bool foreign_read(enum foreign_kind kind, const char *text, gsize n, struct found *f, GError **error);

bool read_ovf(const char *text, gsize n, struct found *f, GError **error);      /* DMTF DSP0243, 1.x and 2.x */
bool read_vmx(const char *text, gsize n, struct found *f, GError **error);      /* VMware */
bool read_vbox(const char *text, gsize n, struct found *f, GError **error);     /* VirtualBox */
bool read_libvirt(const char *text, gsize n, struct found *f, GError **error);  /* a domain of libvirt */
bool read_utm(const char *text, gsize n, struct found *f, GError **error);      /* UTM's config.plist, as XML */
bool read_quickemu(const char *text, gsize n, struct found *f, GError **error); /* assignments only, nothing is run */
