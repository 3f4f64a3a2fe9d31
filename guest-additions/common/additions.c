// SPDX-License-Identifier: GPL-2.0-or-later
/* additions.c - see additions.h: the two services that a machine's backdoor finds by name. */
#include "guest-additions/common/inside.h"
#include <string.h>

#define MESSAGE_MOST 65536

bool additions_may_log(struct additions *a)
{
    gint64 second = g_get_monotonic_time() / G_USEC_PER_SEC;
    if (atomic_exchange(&a->log_second, second) != second)
        atomic_store(&a->log_count, 0);
    return atomic_fetch_add(&a->log_count, 1) < LOG_A_SECOND;
}

static GBytes *answer(void *ctx, const void *data, size_t bytes, uint64_t *ticket)
{
    return rpci_answer(ctx, data, bytes, ticket);
}

/* Only folders answer later. */
static GBytes *answered(void *ctx, uint64_t ticket, int ms)
{
    return folders_answered(((struct additions *)ctx)->folders, ticket, ms);
}

static void forget(void *ctx, uint64_t ticket)
{
    folders_forget(((struct additions *)ctx)->folders, ticket);
}

struct additions *additions_new(struct machine *m, bool keep_time, enum clipboard_policy clipboard)
{
    struct additions *a = g_new0(struct additions, 1);
    a->keep_time = keep_time;
    a->facts = guest_facts_new();
    a->talks = g_ptr_array_new();
    a->clipboard = clipboard_new(a, clipboard);
    a->folders = folders_new();
    a->quiesce = quiesce_new(a);
    a->rpci = (struct channel_service){
        .name = "rpci", .most = MESSAGE_MOST, .ctx = a, .answer = answer, .answered = answered, .forget = forget};
    a->tclo = (struct channel_service){.name = "tclo",
                                       .most = MESSAGE_MOST,
                                       .opened = tclo_opened,
                                       .message = tclo_message,
                                       .closed = tclo_closed,
                                       .ctx = a};
    channel_offer(m, &a->rpci);
    channel_offer(m, &a->tclo);
    return a;
}

void additions_free(struct additions *a)
{
    if (!a)
        return;
    while (g_source_remove_by_user_data(a)) /* one at a time */
        ;
    while (a->talks->len)
        tclo_closed(g_ptr_array_index(a->talks, a->talks->len - 1));
    g_ptr_array_unref(a->talks);
    clipboard_free(a->clipboard);
    folders_free(a->folders);
    quiesce_free(a->quiesce);
    guest_facts_free(a->facts);
    g_free(a);
}

JsonObject *additions_describe(struct additions *a)
{
    JsonObject *o = guest_facts_describe(a->facts);
    if (!o && !additions_listening(a))
        return NULL;
    if (!o)
        o = json_object_new();
    json_object_set_boolean_member(o, "tools", additions_listening(a));
    return o;
}

char *additions_variable(struct additions *a, const char *key)
{
    return guest_facts_variable(a->facts, key);
}

bool additions_set_variable(struct additions *a, const char *key, const char *value, GError **error)
{
    if (guest_facts_set_variable(a->facts, key, value, strlen(value)))
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                "guestinfo.%s cannot be set: keys have up to %d bytes, values up to %d, and there are at most %d of "
                "them with %u bytes in all; they are UTF-8",
                key, VARIABLE_KEY, VARIABLE_BYTES, VARIABLES_MOST, VARIABLES_BYTES);
    return false;
}
