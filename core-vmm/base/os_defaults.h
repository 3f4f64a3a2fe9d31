// SPDX-License-Identifier: GPL-2.0-or-later
/* os_defaults.h - what a new machine gets by the system that is to run on it: `vmctl create --os linux`.  The one table. */
#pragma once

struct os_defaults {
    const char *os;       /* "linux" */
    const char *disk_bus; /* a name of disk_buses */
    const char *nic;      /* the card's model */
    const char *clock;    /* [machine] clock */
    const char *board;    /* [machine] board: the newest that it takes */
    const char *sockets;  /* [machine] sockets; NULL: one for each CPU */
    const char *identity; /* [additions] identity; NULL: no such section */
    const char *usb;      /* [usb] model, with a tablet and two places for sticks; NULL: none */
    const char *sound;    /* [audio] model; NULL: no such section */
    const char *summary;  /* what it is for, for people */
};
extern const struct os_defaults os_defaults[]; /* ends with os == NULL; the first is for systems that nobody named */
const struct os_defaults *os_defaults_find(const char *os); /* NULL: there is none of that name */

/* Where `create` puts disks and CD drives, in the order of their numbers.  A bus without CD drives leaves them to another. */
struct disk_bus {
    const char *name;                         /* "sata" */
    const char *const *disks, *const *cdroms; /* sections, NULL-terminated */
};
extern const struct disk_bus disk_buses[]; /* ends with name == NULL; the first is the default */
const struct disk_bus *disk_bus_find(const char *name);
