// SPDX-License-Identifier: GPL-2.0-or-later
/* own_board.c - what such boards share: the places that the PC has for its chips, and that nothing is plugged into them. */
#include "tests/core-vmm/own_board.h"
#include "core-vmm/board/board_pc.h"
#include <string.h>

const struct wiring *pc_place(const char *name)
{
    for (const struct board_row *r = board_pc; r->wiring.ops; r++)
        if (!strcmp(r->wiring.name, name))
            return &r->wiring;
    return NULL;
}

struct device *board_pc_optional(struct machine *m, const char *section, GError **error)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "[%s]: nothing is plugged into a test's own board", section);
    return NULL;
}
