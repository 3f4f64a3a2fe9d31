// SPDX-License-Identifier: GPL-2.0-or-later
/* clipboard.c - see clipboard.h. */
#include "gui/screen/clipboard.h"
#include <SDL.h>
#include <string.h>

#define REQUEST_MOST (60 << 10) /* of a text in a request, which has at most 64 KiB in all */
#define ESCAPED      6          /* bytes of a character that JSON has no plain form for */

void clipboard_share_init(struct clipboard_share *c, struct link *link, const char *policy)
{
    bool both = !g_strcmp0(policy, "both");

    *c = (struct clipboard_share){.link = link,
                                  .to_guest = both || !g_strcmp0(policy, "to-guest"),
                                  .to_host = both || !g_strcmp0(policy, "to-host")};
}

void clipboard_share_clear(struct clipboard_share *c)
{
    g_clear_pointer(&c->last, g_free);
}

static size_t bytes_in_request(const char *text)
{
    size_t bytes = 0;

    for (; *text; text++)
        bytes += (unsigned char)*text < 0x20 || *text == '"' || *text == '\\' || *text == 0x7f ? ESCAPED : 1;
    return bytes;
}

static bool is_known(const struct clipboard_share *c, const char *text)
{
    return !*text || !g_strcmp0(text, c->last);
}

static void note(struct clipboard_share *c, const char *text)
{
    g_free(c->last);
    c->last = g_strdup(text);
}

bool clipboard_to_guest(struct clipboard_share *c, size_t *bytes)
{
    char *text = c->to_guest && SDL_HasClipboardText() ? SDL_GetClipboardText() : NULL;
    JsonObject *args;
    bool fits = true;

    if (text && !is_known(c, text) && g_utf8_validate(text, -1, NULL)) {
        *bytes = strlen(text);
        fits = bytes_in_request(text) <= REQUEST_MOST;
        note(c, text);
        if (fits) {
            args = json_object_new();
            json_object_set_string_member(args, "text", text);
            link_send(c->link, "clipboard.give", args);
        }
    }
    SDL_free(text);
    return fits;
}

void clipboard_ask_guest(struct clipboard_share *c)
{
    c->asked = c->to_host;
    if (c->asked)
        link_send(c->link, "clipboard.take", NULL);
}

void clipboard_changed(struct clipboard_share *c)
{
    c->asked = false;
}

void clipboard_from_guest(struct clipboard_share *c, const char *text)
{
    if (!c->asked || is_known(c, text))
        return;
    note(c, text);
    SDL_SetClipboardText(text);
}
