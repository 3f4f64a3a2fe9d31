// SPDX-License-Identifier: GPL-2.0-or-later
/* sizing.c - the guest's screen takes the window's size, if something in the guest sets it: asked for when the user has stopped pulling. */
#include "gui/screen/screen.h"

enum { SETTLE_MS = 300 };

void sizing_changed(struct screen *s)
{
    s->sizing.due = (SDL_GetTicks() + SETTLE_MS) | 1; /* 0: nothing is due */
}

int sizing_wait(const struct screen *s)
{
    if (!s->sizing.due)
        return -1;
    return MAX((int)(s->sizing.due - SDL_GetTicks()), 0);
}

void sizing_tick(struct screen *s)
{
    JsonObject *args;
    bool fits = s->picture.width == s->room.w && s->picture.height == s->room.h;

    if (sizing_wait(s) != 0)
        return;
    s->sizing.due = 0;
    if (!s->sizing.possible || fits || !remembered_sizing(s))
        return;
    args = json_object_new();
    json_object_set_int_member(args, "width", s->room.w);
    json_object_set_int_member(args, "height", s->room.h);
    link_send(s->link, "screen.size", args);
}
