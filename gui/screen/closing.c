// SPDX-License-Identifier: GPL-2.0-or-later
/* closing.c - what becomes of the machine when its window closes, and the other ways to end it. */
#include "gui/screen/screen.h"
#include <string.h>

static const char *const closing_words[] = {"ask", "keep", "save", "shut-down", "power-off"};

void closing_shut_down(struct screen *s)
{
    if (!strcmp(s->state, "paused")) /* it would not notice */
        link_send(s->link, "resume", NULL);
    link_send(s->link, "powerbutton", NULL);
    window_notice(s, "asked to shut down");
}

/* It ended instead of being saved. */
static void lost(struct screen *s, const char *problem)
{
    g_autofree char *why =
        g_strdup_printf("It was not saved: %s%s%s", problem, s->ended ? "\n" : "", s->ended ? s->ended : "");

    window_notice_over(s);
    action_ended(s, why);
}

static void saved(void *ctx, const char *output, const char *problem)
{
    struct screen *s = ctx;

    s->saving = false;
    if (!problem)
        s->quit = true;
    else if (actions_possible(s))
        window_notice(s, "not saved: %s", problem);
    else
        lost(s, problem);
}

void closing_save(struct screen *s)
{
    const char *words[] = {"save", "--quiet", "--", s->name, NULL};

    if (s->saving)
        return;
    s->saving = true;
    action_job(s, "saving", words, saved);
}

static void do_it(struct screen *s, enum closing what)
{
    switch (what) {
    case CLOSING_ASK: break;
    case CLOSING_KEEP: s->quit = true; break;
    case CLOSING_SAVE: closing_save(s); break;
    case CLOSING_SHUT_DOWN:
        closing_shut_down(s);
        s->shutting_down = true;
        break;
    case CLOSING_POWER_OFF: link_send(s->link, "stop", NULL); break;
    }
}

/* The buttons are in the order of enum closing, without ASK, and then "Cancel". */
static void chosen(void *ctx, int button)
{
    struct screen *s = ctx;
    enum closing what = button + 1;

    s->asked = false;
    window_changed(s);
    if (what > CLOSING_POWER_OFF)
        return;
    if (s->overlay.ticked)
        remember(s, "close", closing_words[what]);
    do_it(s, what);
}

static void ask(struct screen *s)
{
    static const char *const buttons[] = {"Keep running", "Save", "Shut down", "Power off", "Cancel", NULL};
    g_autofree char *title = g_strdup_printf("%s is %s", s->name, s->state);

    s->asked = true;
    action_ask(s, title,
               "Keep running: only this window closes.\n"
               "Save: its state goes to the disk, and the next start goes on from there.\n"
               "Shut down: the guest is asked to, as by its power button.\n"
               "Power off: as if the plug were pulled; what the guest has not saved is lost.",
               buttons, chosen);
    overlay_offer_tick(&s->overlay, "Do this whenever the window of this machine closes");
    window_arrange(s);
}

/* Closed again while it asks, or while what was chosen is under way, it goes: the machine runs on, or what was begun does. */
void closing_begin(struct screen *s)
{
    enum closing what;

    s->quit = !actions_possible(s) || s->asked || s->saving || s->shutting_down || s->number;
    if (s->quit) {
        sizing_vanish(s);
        return;
    }
    what = remembered_closing(s);
    if (what == CLOSING_ASK)
        ask(s);
    else
        do_it(s, what);
}

static void power_off_chosen(void *ctx, int button)
{
    struct screen *s = ctx;

    window_changed(s);
    if (button == 0)
        link_send(s->link, "stop", NULL);
}

void closing_power_off(struct screen *s)
{
    static const char *const buttons[] = {"Power off", "Cancel", NULL};
    g_autofree char *title = g_strdup_printf("Power off %s?", s->name);

    action_ask(s, title, "As if the plug were pulled: what the guest has not saved is lost.", buttons,
               power_off_chosen);
    s->overlay.selected = 1;
}
