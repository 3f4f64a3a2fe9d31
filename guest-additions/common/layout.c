// SPDX-License-Identifier: GPL-2.0-or-later
/* layout.c - the sizes that the user would like the guest's screens to have.
 *
 * An agent says that it sets them ("tools.capability.resolution_server NAME 1"); then it is told the whole desktop whenever a size is asked for, and
 * what was asked for before, when it comes. Screens lie side by side, the first at the left.
 * Form: open-vm-tools, services/plugins/resolutionSet ("DisplayTopology_Set N , X Y WIDTH HEIGHT , ..."). */
#include "guest-additions/common/inside.h"
#include <string.h>

static bool tell(struct additions *a)
{
    unsigned n = 0;
    uint32_t x = 0;
    g_autoptr(GString) places = g_string_new(NULL);
    for (unsigned i = 0; i < ADDITIONS_SCREENS; i++) {
        const struct additions_size *s = &a->layout[i];
        if (!s->width)
            continue;
        g_string_append_printf(places, " , %u 0 %u %u", x, s->width, s->height);
        x += s->width;
        n++;
    }
    g_autofree char *wish = g_strdup_printf("DisplayTopology_Set %u%s", n, places->str);
    if (!n)
        return false;
    switch (atomic_load(&a->sizes_by)) {
    case SIZES_BY_SERVICE: return tclo_tell_service(a, wish, strlen(wish));
    case SIZES_BY_SESSION: return tclo_tell_session(a, wish, strlen(wish));
    default: return false;
    }
}

static gboolean agent_came(gpointer additions)
{
    struct additions *a = additions;
    atomic_store(&a->telling_sizes, 0);
    tell(a);
    return G_SOURCE_REMOVE;
}

void layout_agent(struct additions *a, enum sizes_by who)
{
    atomic_store(&a->sizes_by, who);
    if (!atomic_exchange(&a->telling_sizes, 1)) /* however often the guest says it */
        g_idle_add(agent_came, a);
}

bool additions_sets_sizes(struct additions *a)
{
    switch (atomic_load(&a->sizes_by)) {
    case SIZES_BY_SERVICE: return additions_listening(a);
    case SIZES_BY_SESSION: return tclo_session_listens(a);
    default: return false;
    }
}

void additions_size_now(struct additions *a, unsigned screen, uint32_t width, uint32_t height, bool chosen)
{
    if (screen < ADDITIONS_SCREENS && (chosen || !a->layout[screen].width))
        a->layout[screen] = (struct additions_size){width, height};
}

bool additions_ask_size(struct additions *a, unsigned screen, uint32_t width, uint32_t height)
{
    if (screen >= ADDITIONS_SCREENS)
        return false;
    a->layout[screen] = (struct additions_size){width, height};
    return tell(a);
}
