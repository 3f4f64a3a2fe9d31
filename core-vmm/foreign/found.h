// SPDX-License-Identifier: GPL-2.0-or-later
/* found.h - a machine as another program describes it, before it is decided what of that this one can have; and the plan that
 * comes of it.  Readers (readers.h) fill the first, found_plan() makes the second.  Both are made where the description is read,
 * in a fenced child; the plan travels as JSON, and whoever gets it believes nothing of it. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum found_bus {
    FOUND_ANY_BUS,
    FOUND_IDE,
    FOUND_SATA,
    FOUND_NVME,
    FOUND_SCSI, /* of a kind that we do not have */
    FOUND_VIRTIO_SCSI,
    FOUND_VIRTIO,
    FOUND_USB,
    FOUND_FLOPPY,
};
enum found_media { FOUND_DISK, FOUND_CDROM };
struct found_drive {
    enum found_bus bus;
    enum found_media media;
    int place;      /* on its bus, IDE: 0 to 3; -1: not said */
    char *file;     /* as written there; NULL: empty, or the host's drive */
    char *format;   /* ours; NULL: not said */
    char *what;     /* for people: "lsilogic 0:1" */
    char *section;  /* of ours, where we wrote the description; NULL: not said */
    uint64_t bytes; /* of the disk; 0: not said */
    bool readonly, independent;
};
struct found_card {
    char *model; /* as written there; NULL: not said */
    char *mac;
    const char *mode; /* of [nic]; NULL: nat */
    char *network;    /* of natnetwork, internal, hostonly */
    char *interface;  /* of bridged */
    char *forward;
    bool unplugged;
};
struct found {
    const char *program; /* that it is from: "VirtualBox" */
    char *name, *uuid;
    char *system;           /* as it calls the guest's system */
    uint64_t memory;        /* bytes; 0: not said */
    unsigned cpus, sockets; /* 0: not said */
    const char *clock;      /* of [machine]; NULL: not said */
    bool efi, serial;
    GArray *drives, *cards;
    GPtrArray *settings;            /* "section.key=value" of ours, where we wrote the description */
    GPtrArray *left;                /* sentences: what cannot be had */
    struct found_drive spare_drive; /* what one too many is written to */
    struct found_card spare_card;
};
void found_init(struct found *f);
void found_clear(struct found *f);
void found_leave(struct found *f, const char *format, ...) G_GNUC_PRINTF(2, 3);
#define FOUND_DRIVES_MAX 64 /* and as many cards; of more than that the readers tell, and leave them out */
struct found_drive *found_add_drive(struct found *f, enum found_bus bus, int place);
struct found_card *found_add_card(struct found *f);
/* Leads a port of the host to the guest, beside those before.  Addresses "" or NULL: any; ports 0: nothing. */
void found_forward(struct found_card *c, bool udp, const char *host, unsigned from, const char *guest, unsigned to);
/* The os of os_defaults.h that a foreign name of a system means; NULL: none that we know. */
const char *found_os(const char *system);
/* A UUID in whatever groups and braces as RFC 4122 writes it; g_free; NULL: it is none. */
char *found_uuid(const char *text);
/* Twelve digits in whatever groups as 52:54:00:12:34:56; g_free; NULL: they are none, or of no single card. */
char *found_mac(const char *text);

/* May a setting go from one host to another?  Not a file, nor where a serial line goes; what a disk consists of is set anew. */
bool found_travels(const char *section, const char *key, const char *value);

struct plan_disk {
    char *section, *file, *format; /* format NULL: not said */
    bool cdrom, floppy;
};
struct plan {
    char *program, *name, *os; /* os NULL: not known */
    GPtrArray *settings;       /* "section.key=value" */
    GArray *disks;             /* struct plan_disk, of those that have a file */
    GPtrArray *mapped, *left;  /* sentences */
};
struct plan *plan_new(void);
struct plan *found_plan(struct found *f);
void plan_free(struct plan *p);
char *plan_print(const struct plan *p); /* JSON in one line; g_free */
struct plan *plan_parse(const char *text, GError **error);
