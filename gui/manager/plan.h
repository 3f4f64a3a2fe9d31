// SPDX-License-Identifier: GPL-2.0-or-later
/* plan.h - a machine that is to be: what the wizard has asked, and the vmctl command that makes it. */
#pragma once
#include "core-vmm/install/medium.h"
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum plan_source { PLAN_NOTHING, PLAN_MEDIUM, PLAN_DISK, PLAN_APPLIANCE /* import_page.h */ };
struct plan {
    enum plan_source source;
    char *file;            /* of PLAN_MEDIUM and PLAN_DISK */
    struct medium *medium; /* what is in it; NULL: not known */
    char *name, *os;       /* os: of os_defaults.h */
    uint64_t memory, disk; /* bytes */
    unsigned cpus;
    char *disk_format, *disk_bus, *nic; /* NULL: what vmctl takes */
    bool medium_installs;               /* a system, from the medium to the disk */
    bool automatic;                     /* install without questions: */
    char *user, *edition, *key;         /* key and password are told to vmctl, by lines */
};
void plan_clear(struct plan *p);
char **plan_words(const struct plan *p); /* after "vmctl"; g_strfreev */
/* A name that no machine has, like wish; g_free. */
char *plan_free_name(const char *wish);
/* What the system should have, where its medium does not say. */
void plan_usual(const char *os, uint64_t *memory, uint64_t *disk, unsigned *cpus);
