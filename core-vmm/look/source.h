// SPDX-License-Identifier: GPL-2.0-or-later
/* source.h - the bytes of a medium that may come from anybody, and the files in it: by ISO 9660 or by UDF.
 *
 * libarchive, which writes media here, does not do for that: it has no UDF, says neither what a volume is called nor how it is booted,
 * and goes through all of a medium where one name is looked for.
 *
 * Everything that a medium says of places and lengths is checked where it is read, and every loop has a bound of its own. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { SECTOR = 2048 };

struct source {
    bool (*read)(const struct source *s, uint64_t at, void *to, size_t n); /* within bytes */
    const void *data;                                                      /* whose matter that is */
    int fd;
    uint64_t bytes;
};
/* A file that is open; false: its size cannot be told. */
bool source_of_file(struct source *s, int fd);
void source_of_memory(struct source *s, const void *data, size_t bytes); /* for tests and fuzzers */
/* All n bytes at a place, or false. */
bool source_read(const struct source *s, uint64_t at, void *to, size_t n);

struct stretch {
    uint64_t at, bytes; /* of the medium */
    bool hole;          /* zeroes: at says nothing */
};
struct node { /* a file or folder of a medium */
    bool folder;
    uint64_t bytes;
    GArray *extents; /* struct stretch */
};
void node_clear(struct node *n);
bool node_read(const struct source *s, const struct node *n, uint64_t at, void *to, size_t bytes);
/* All of it, at most most bytes, with a 0 behind; g_free; NULL: it is larger, or the medium is cut short. */
uint8_t *node_load(const struct source *s, const struct node *n, size_t most, size_t *bytes);

struct tree; /* a file system on the medium */
struct tree_ops {
    bool (*find)(struct tree *t, const struct node *folder, const char *name, struct node *out);
    void (*free)(struct tree *t);
};
struct tree {
    const struct tree_ops *ops;
    const struct source *source;
    char *volume; /* its name; NULL: none */
    struct node root;
};
struct tree *iso9660_open(const struct source *s); /* NULL: there is none */
struct tree *udf_open(const struct source *s);
void tree_close(struct tree *t);
/* "sources/install.wim", whatever the case of its letters. */
bool tree_find(struct tree *t, const char *path, struct node *out);
/* The two names are the same but for the case of ASCII letters, a version (";1") and a dot at the end. */
bool tree_same_name(const char *a, const char *b);

/* What is in front of an ISO's files: how it is booted (El Torito). */
struct el_torito {
    bool bios, uefi;
};
void el_torito_look(const struct source *s, struct el_torito *out);
/* The text identifiers of the primary volume descriptor: "system", "publisher", "application"; g_free; NULL. */
char *iso9660_identifier(const struct source *s, const char *which);
