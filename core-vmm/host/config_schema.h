// SPDX-License-Identifier: GPL-2.0-or-later
/* config_schema.h - the one table of all sections and keys of machine.ini: validation, `vmctl set`, `vmctl info` and
 * docs/machine.md come from it. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum schema_type {
    SCHEMA_SIZE,    /* low, high in bytes */
    SCHEMA_NUMBER,  /* low, high */
    SCHEMA_FLAG,    /* on, off */
    SCHEMA_CHOICE,  /* one of words */
    SCHEMA_LIST,    /* some of words, each once, by commas */
    SCHEMA_NUMBERS, /* several, by a separator; words: "LOW-HIGH" of each */
    SCHEMA_TEXT,
    SCHEMA_PATH,     /* relative ones start at the machine's folder; or one of words */
    SCHEMA_FORWARDS, /* ports of the host that lead into the guest: base/forward.h */
    SCHEMA_IPV4_NET, /* base/net_range.h */
    SCHEMA_UUID,     /* RFC 4122's text form */
    SCHEMA_MAC,      /* an Ethernet address of one card, bytes by colons */
    SCHEMA_VNC,      /* where a VNC server listens: base/vnc_listen.h */
    SCHEMA_CHAR,     /* the far end of a serial line: see char_target_valid() */
};
struct schema_key {
    const char *name;
    enum schema_type type;
    const char *otherwise; /* the value if the key is missing, as it would be written; NULL: none */
    int64_t low, high;
    const char *const *words;
    const char *help;
    bool
        at_once; /* a change counts while the machine runs: only people read it, or it can be told; others from its next start */
    char separator;
    uint32_t step; /* SCHEMA_SIZE: a multiple of it; 0: any; 1: a power of two */
};
struct schema_section {
    const char *name;
    unsigned first, count; /* numbered sections: "serial1" ... ; count 0: the bare name */
    const char *help;
    const struct schema_key *keys; /* ends with a NULL name */
    bool drive;                    /* has a medium of its own: file, format, readonly, maybe media */
};

const struct schema_section *schema_sections(void); /* ends with a NULL name */
const struct schema_section *schema_find_section(const char *section);
/* A hard disk: a drive that is for neither CDs nor floppies; of what is at a USB port, only a stick that has an image. */
bool schema_is_disk(GKeyFile *file, const char *section);
const struct schema_key *schema_find(const char *section, const char *key, GError **error); /* did you mean ... */
/* path: of the file, for the message. */
bool schema_check_value(const char *path, const char *section, const char *key, const char *value, GError **error);
bool schema_check_file(GKeyFile *file, const char *path, GError **error);
/* What each may be, but not together: CPUs and sockets, a terminal or an image that two want.  folder: the machine's, or NULL.
 * Not part of schema_load(): a machine like that can be shown, changed and deleted, but not made or started. */
bool schema_check_together(GKeyFile *file, const char *path, const char *folder, GError **error);
/* A file of at most 1 MiB, parsed and checked. */
GKeyFile *schema_load(const char *path, GError **error);
/* Is it a path, rather than one of the words that such a key may have? */
bool schema_is_path(const struct schema_key *k, const char *value);
char *schema_describe_type(const struct schema_key *k); /* "size from 1M to 1T"; g_free */
