// SPDX-License-Identifier: GPL-2.0-or-later
/* config.h - one section of machine.ini as its owner sees it.  Sizes carry units ("64M"), flags are on/off.
 * What a key is worth if the file does not have it, and which values it may have, stands in one table, the schema
 * (core-vmm/host/config_schema.c): whoever reads a key says only its name, and it must be in that table.
 * A wrong value is an error that names file, section, key, value and what would be right. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct config {
    GKeyFile *file;
    const char *path;    /* for messages */
    const char *section; /* "serial1" */
};
bool config_has(const struct config *c, const char *key); /* does the file say it? */
/* The file's value, else the schema's; NULL: neither has one.  g_free. */
char *config_string(const struct config *c, const char *key);
/* The same; a relative path is taken from the folder of machine.ini. */
char *config_path(const struct config *c, const char *key);
/* Of a key without a value in the file and in the schema, what *bytes or *out holds already counts. */
bool config_size(const struct config *c, const char *key, uint64_t *bytes, GError **error);
bool config_number(const struct config *c, const char *key, int64_t *out, GError **error);
bool config_flag(const struct config *c, const char *key, bool *out, GError **error);
/* One of the words in the NULL-terminated list; *index says which. */
bool config_choice(const struct config *c, const char *key, const char *const *words, unsigned *index, GError **error);
bool size_parse(const char *text, uint64_t *bytes); /* "512", "64K", "1.5G", "2 TiB"; powers of 1024 */
/* "52:54:00:12:34:56"; false: it is none, or not one card's (the group bit, all zeroes). */
bool mac_parse(const char *text, uint8_t mac[6]);
char *size_format(uint64_t bytes); /* the shortest exact spelling; g_free */
