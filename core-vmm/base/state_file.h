// SPDX-License-Identifier: GPL-2.0-or-later
/* state_file.h - the file of a saved state: named sections between a header and an end mark.  All numbers little-endian.
 *
 *   header     16 bytes "Terrarium state\n", u32 version of this layout (2), u32 CRC-32C of those 20 bytes
 *   section    32 bytes name (ends with zeroes), u32 version, u32 bytes of contents, u32 CRC-32C of the contents,
 *              u32 CRC-32C of these 44 bytes, the contents
 *   end        a section "end" with no contents; nothing follows
 *
 * The CRC of a section's head goes on from the one before it, and a head has the sum of its contents: so a section that was
 * left out, doubled or taken from another file shows like a flipped bit, and the last sum covers the whole file.  Contents
 * have a sum of their own, which any thread can make ahead.  A file is not trusted for having right sums: what is in a
 * section is checked by whoever reads it. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define STATE_NAME_BYTES    32
#define STATE_SECTION_BYTES (2u << 20) /* no section is larger */
#define STATE_END           "end"
#define STATE_BASES_MAX     7 /* a state may say of memory only what differs from so many older ones (state_base.c) */
#define STATE_MANIFEST      "manifest" /* the first section: what the state is of, as JSON, for people and tools */

struct state_writer {
    int fd;
    uint32_t crc;
};
bool state_begin(struct state_writer *w, int fd, GError **error);
bool state_put(struct state_writer *w, const char *name, uint32_t version, const void *data, size_t bytes,
               GError **error);
/* The same where somebody has made the CRC-32C of the contents already. */
bool state_put_summed(struct state_writer *w, const char *name, uint32_t version, const void *data, size_t bytes,
                      uint32_t sum, GError **error);
bool state_finish(struct state_writer *w, GError **error); /* the end mark; on stable storage on return */

struct state_reader {
    int fd;
    uint64_t at, size;
    uint32_t crc;
    GByteArray *buffer;
};
struct state_section { /* valid until the next one */
    char name[STATE_NAME_BYTES];
    uint32_t version, bytes;
    const uint8_t *data;
};
/* fd stays the caller's. */
bool state_open(struct state_reader *r, int fd, GError **error);
bool state_next(struct state_reader *r, struct state_section *out, GError **error); /* also the end mark */
/* Only the head of the next one, and where in the file its contents are, whose sum is not looked at. */
struct state_extent {
    uint64_t at;
    uint32_t bytes, sum;
};
bool state_skim(struct state_reader *r, struct state_section *out, struct state_extent *where, GError **error);
/* The contents of one of which only the head was taken, with their sum looked at. */
bool state_contents(struct state_reader *r, struct state_section *s, const struct state_extent *where, GError **error);
/* The same to somewhere else, of as many bytes as the extent has; any thread. */
bool state_read_extent(int fd, const struct state_extent *e, uint8_t *to, GError **error);
void state_close(struct state_reader *r);
/* Which file it is: its size, and the sum of its last head, which covers all that is in it. */
struct state_identity {
    uint64_t bytes;
    uint32_t sum;
};
struct state_identity state_identity(const struct state_reader *r); /* of a file that was read to its end mark */
/* Is it whole?  Reads all of it, through a mapping: whose disk fails, or who makes it shorter meanwhile, ends the process (SIGBUS). */
bool state_check(int fd, GError **error);
/* "The saved state ...": what is wrong with it.  Always false. */
bool state_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
