// SPDX-License-Identifier: GPL-2.0-or-later
/* clipboard.h - text between the host's clipboard and the guest's, as far as the machine's [additions] clipboard allows.
 *
 * The guest is given the host's when the window gets the focus, and while it has it; it is asked for its own when the pointer or the focus leaves
 * the window.  So what is copied while the user is elsewhere is none of the guest's business, until the user comes to it. */
#pragma once
#include "gui/screen/link.h"
#include <stdbool.h>

struct clipboard_share {
    struct link *link;
    bool to_guest, to_host;
    bool asked; /* the guest, and the host's has not changed since */
    char *last; /* what both sides have, as far as we know; NULL: nothing */
};

void clipboard_share_init(struct clipboard_share *c, struct link *link, const char *policy);
void clipboard_share_clear(struct clipboard_share *c);
/* The window has the focus.  false: the text is too long for the guest, *bytes. */
bool clipboard_to_guest(struct clipboard_share *c, size_t *bytes);
void clipboard_ask_guest(struct clipboard_share *c);
void clipboard_changed(struct clipboard_share *c); /* the host's: it is newer than what the guest still answers */
void clipboard_from_guest(struct clipboard_share *c, const char *text); /* its answer */
