// SPDX-License-Identifier: GPL-2.0-or-later
/* medium.h - what an installation medium, or a disk that somebody has, holds: for vmctl, the manager and tests.
 *
 * Files come from anybody, so they are read by terrarium-look (core-vmm/look), a program that fences itself and does
 * nothing else; here only its answer is read.  It is executed, not forked, so all calls may come from any thread of a program
 * with many; nothing here prints.  Errors: G_IO_ERROR. */
#pragma once
#include "core-vmm/install/unattended.h"
#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

enum medium_kind {
    MEDIUM_UNKNOWN, /* an ISO, but nobody knows of what */
    MEDIUM_INSTALLER,
    MEDIUM_LIVE, /* a system that runs from it; perhaps it installs itself too */
    MEDIUM_DISK, /* no ISO: a disk image */
};

enum { MEDIUM_EDITIONS = 64, MEDIUM_LANGUAGES = 64 }; /* of more nobody asks */
struct medium_edition {                               /* an image in a Windows medium's install.wim */
    unsigned index;                                   /* from 1, as the answer file counts */
    char *id, *name;                                  /* "Professional", "Windows 11 Pro" */
    char *architecture;                               /* "x86_64"; NULL: not said */
    unsigned build;                                   /* 22631; 0: not said */
};

struct medium {
    enum medium_kind kind;
    char *path;
    char *id;   /* "debian12", "ubuntu24.04", "fedora40", "win11", as osinfo-db spells them; "unknown" */
    char *os;   /* of os_defaults.h */
    char *name; /* for people: "Debian 12.5.0 (netinst)" */
    char *version, *architecture;    /* NULL: not said.  "x86_64", "i686", "aarch64" ... */
    char *volume;                    /* the volume id; NULL: none */
    char *by;                        /* what told: ".disk/info", "osinfo-db" ... */
    bool bios, uefi;                 /* what it can be booted by; of a disk: how it is partitioned */
    bool wants_secure_boot;          /* Windows 11: it looks for TPM 2.0 and Secure Boot */
    enum unattended_kind unattended; /* which answers it takes; UNATTENDED_NONE */
    char *kernel, *initrd;           /* in the medium, for a direct boot; NULL: not known */
    uint64_t memory, disk;           /* bytes that it should have; 0: not known */
    unsigned cpus;                   /* the same */
    GPtrArray *editions;             /* struct medium_edition; never NULL */
    char **languages;                /* of a Windows medium: "en-US"; never NULL */
};

/* Reads a file for some milliseconds, at most MEDIUM_SECONDS.  medium_free; NULL: it cannot be read, or is neither an ISO nor a
 * disk image. */
#define MEDIUM_SECONDS 20
struct medium *medium_detect(const char *path, GError **error);
struct medium *medium_new(void); /* of which nothing is known */
void medium_free(struct medium *m);
/* The same without waiting; done comes from the thread's default main context. */
void medium_detect_async(const char *path, GCancellable *cancel, GAsyncReadyCallback done, gpointer data);
struct medium *medium_detect_finish(GAsyncResult *result, GError **error);

/* Copies a file of the medium, of at most most bytes, to a new file of the host. */
bool medium_extract(const char *path, const char *inside, const char *to, uint64_t most, GError **error);
const char *medium_kind_name(enum medium_kind kind); /* "installer" */
enum medium_kind medium_kind_find(const char *name); /* MEDIUM_UNKNOWN: there is none of that name */
const char *osinfo_folder(void);                     /* where osinfo-db is, if it is there */
/* As `vmctl media detect -o json` shows it, and terrarium-look answers; json_object_unref. */
JsonObject *medium_json(const struct medium *m);
