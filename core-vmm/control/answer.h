// SPDX-License-Identifier: GPL-2.0-or-later
/* answer.h - reading what the other end of a control connection said.
 *
 * A VM process may be in its guest's hands, so nothing in an answer is taken on trust.  A member that is missing, of
 * another type, out of its range or no valid UTF-8 counts as not there.  Objects and arrays may be NULL everywhere; what
 * is returned stays theirs.  Nothing else in the clients reads JSON that came from a VM (tests/style looks). */
#pragma once
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

bool answer_has(JsonObject *o, const char *name);
const char *answer_text(JsonObject *o, const char *name, const char *otherwise);
int64_t answer_number(JsonObject *o, const char *name, int64_t low, int64_t high, int64_t otherwise);
double answer_real(JsonObject *o, const char *name, double low, double high, double otherwise);
char *answer_shown(JsonObject *o, const char *name);        /* any plain value as text; g_free; NULL: it is none */
JsonObject *answer_parse(const char *text, GError **error); /* what a program of ours printed; json_object_unref */
bool answer_flag(JsonObject *o, const char *name);
JsonObject *answer_object(JsonObject *o, const char *name);
JsonArray *answer_array(JsonObject *o, const char *name);
unsigned answer_count(JsonArray *a);
JsonObject *answer_element(JsonArray *a, unsigned n);
const char *answer_element_text(JsonArray *a, unsigned n); /* NULL: it is none */

/* What a command must answer: NULL, with an error (CONTROL_PROTOCOL) that names the member, if it did not. */
const char *answer_need_text(JsonObject *o, const char *name, GError **error);
JsonArray *answer_need_array(JsonObject *o, const char *name, GError **error);
JsonObject *answer_need_object(JsonObject *o, const char *name, GError **error);

/* A picture that came as a descriptor with "width", "height" and "stride".  The bytes are copied, so that memory which its
 * sender cuts short later cannot harm.  g_free; NULL: what came is no picture. */
struct answer_picture {
    uint32_t width, height, stride; /* pixels, pixels, bytes */
};
uint32_t *answer_picture(JsonObject *o, int fd, struct answer_picture *p, GError **error);
/* Whether a descriptor is memory of at least so many bytes which nobody can make smaller, so that it may be mapped. */
bool answer_memory_stays(int fd, uint64_t bytes);
bool answer_is_stream(int fd); /* a connected stream socket, as serial.open promises */
