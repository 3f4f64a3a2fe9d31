// SPDX-License-Identifier: GPL-2.0-or-later
/* state_edit.h - a saved state taken apart and put together again, with right checksums, for tests. */
#pragma once
#include "core-vmm/machine/machine.h"
#include "core-vmm/base/state_file.h"

struct part {
    char name[STATE_NAME_BYTES];
    uint32_t version;
    GByteArray *bytes;
};
int state_memfd(const void *data, size_t n); /* an open file with that in it */
GPtrArray *state_parts(int fd);              /* struct part, without the end mark */
struct part *part_find(GPtrArray *parts, const char *name);
struct part *part_copy(const struct part *p);
void part_free(void *part);
int state_join(GPtrArray *parts); /* a new file */
/* A small machine with a chip of every kind, which has not started; more: lines for its machine.ini. */
struct machine *state_machine(const char *more, GError **error);
