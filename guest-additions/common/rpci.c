// SPDX-License-Identifier: GPL-2.0-or-later
/* rpci.c - what programs in the guest ask of the host: a name, a space and arguments; the answer begins with "1 " if it was
 * done, else with "0 ".  The table at the end has the names; whoever adds a service adds rows.
 * Names and forms: open-vm-tools (lib/include/vmware/guestrpc, services/plugins). */
#include "guest-additions/common/inside.h"
#include <stdlib.h>
#include <string.h>

#define LOG_BYTES  512
#define REPLY_MOST 65536

/* rest, of `bytes`, is what follows the name and a space; what the handler says is added to the answer. */
struct question {
    struct additions *additions;
    const char *name; /* all of it, where the row has the beginning only */
    const char *rest;
    size_t bytes;
    GString *say;
    GBytes *whole;   /* instead of that: the whole answer */
    uint64_t ticket; /* or where it will be */
};
struct row {
    const char *name;
    bool beginning; /* names that begin so */
    bool (*handler)(struct question *q);
};

/* The next word of the rest, which then begins after the space behind it; g_free, NULL: there is none. */
static char *word(struct question *q)
{
    while (q->bytes && *q->rest == ' ') {
        q->rest++;
        q->bytes--;
    }
    const char *end = memchr(q->rest, ' ', q->bytes);
    size_t n = end ? (size_t)(end - q->rest) : q->bytes;
    if (!n || n > VARIABLE_KEY || memchr(q->rest, 0, n))
        return NULL;
    char *found = g_strndup(q->rest, n);
    n += end != NULL;
    q->rest += n;
    q->bytes -= n;
    return found;
}

/* Texts may end with a zero byte. */
static void without_zero(struct question *q)
{
    if (q->bytes && !q->rest[q->bytes - 1])
        q->bytes--;
}

static bool fact(struct question *q, const char *name)
{
    without_zero(q);
    return guest_facts_set(q->additions->facts, name, q->rest, q->bytes);
}

/* ---- handlers ---- */

static bool log_line(struct question *q)
{
    without_zero(q);
    g_autofree char *text = guest_line(q->rest, q->bytes, LOG_BYTES);
    if (additions_may_log(q->additions))
        g_message("the guest says: %s", text);
    return true;
}

#define VARIABLE "guestinfo."

static bool info_set(struct question *q)
{
    g_autofree char *key = word(q);
    if (!key || !g_str_has_prefix(key, VARIABLE)) {
        g_string_append(q->say, "only guestinfo.* can be set");
        return false;
    }
    key = memmove(key, key + strlen(VARIABLE), strlen(key) - strlen(VARIABLE) + 1);
    without_zero(q);
    if (!strcmp(key, "vmtools.versionString"))
        guest_facts_set(q->additions->facts, "tools-version", q->rest, q->bytes);
    return guest_facts_set_variable(q->additions->facts, key, q->rest, q->bytes);
}

static bool info_get(struct question *q)
{
    without_zero(q);
    g_autofree char *key = word(q);
    g_autofree char *value = key && g_str_has_prefix(key, VARIABLE)
                                 ? guest_facts_variable(q->additions->facts, key + strlen(VARIABLE))
                                 : NULL;
    g_string_append(q->say, value ? value : "No value found");
    return value != NULL;
}

/* A number says what it is about. */
static bool set_guest_info(struct question *q)
{
    enum { HOST_NAME = 1, OS_LONG = 5, OS_SHORT = 6, NICS = 10, OS_DETAIL = 11 };
    struct additions *a = q->additions;
    g_autofree char *kind = word(q);
    switch (kind ? atoi(kind) : 0) {
    case HOST_NAME: return fact(q, "host-name");
    case OS_LONG: return fact(q, "os");
    case OS_SHORT: return fact(q, "os-id");
    case OS_DETAIL: return fact(q, "os-detail");
    case NICS: {
        g_autoptr(GPtrArray) addresses = guest_nics_parse(q->rest, q->bytes);
        if (addresses)
            guest_facts_set_addresses(a->facts, addresses);
        return addresses != NULL;
    }
    }
    return kind != NULL; /* disks, up-time, memory: nobody here asks for them */
}

static bool set_version(struct question *q)
{
    return fact(q, "tools-number");
}

/* The program that offers them is what it is; only what is used is remembered elsewhere. */
static bool accept(struct question *q)
{
    return true;
}

/* tools.capability.resolution_server AGENT 0|1 */
static bool sets_sizes(struct question *q)
{
    without_zero(q);
    g_autofree char *agent = word(q), *on = word(q);
    bool service = agent && !strcmp(agent, "toolbox"), session = agent && !strcmp(agent, "toolbox-dnd");
    unsigned who = service ? SIZES_BY_SERVICE : SIZES_BY_SESSION;
    if ((!service && !session) || !on)
        return false;
    if (!strcmp(on, "1"))
        layout_agent(q->additions, who);
    else if (atomic_load(&q->additions->sizes_by) == who)
        layout_agent(q->additions, SIZES_BY_NOBODY);
    return true;
}

static bool state_change(struct question *q)
{
    without_zero(q);
    g_autofree char *text = guest_line(q->rest, q->bytes, LOG_BYTES);
    if (additions_may_log(q->additions))
        g_message("the guest's tools say of a change of power: %s", text);
    return guest_facts_set(q->additions->facts, "power-change", text, strlen(text));
}

static gboolean tell_sync_time(gpointer additions)
{
    struct additions *a = additions;
    atomic_store(&a->telling, 0);
    additions_say(a, atomic_load(&a->sync_time) ? "Set_Option synctime 1" : "Set_Option synctime 0", NULL, NULL);
    return G_SOURCE_REMOVE;
}

/* vmx.set_option NAME OLD NEW: vmware-toolbox-cmd timesync enable.  The service then hears it from us. */
static bool set_option(struct question *q)
{
    without_zero(q);
    g_autofree char *name = word(q), *before = word(q), *now = word(q);
    if (!now || strcmp(name, "synctime") || (strcmp(now, "0") && strcmp(now, "1")))
        return false;
    atomic_store(&q->additions->sync_time, *now == '1');
    if (!atomic_exchange(&q->additions->telling, 1))
        g_idle_add(tell_sync_time, q->additions);
    return true;
}

/* Which version of the clipboard's protocol is spoken; nothing is said where there is none. */
static bool clipboard_version(struct question *q)
{
    bool shared = clipboard_shared(q->additions->clipboard);
    g_string_append(q->say, shared ? "4" : "the clipboard is not shared");
    return shared;
}

static bool clipboard_transport(struct question *q)
{
    return clipboard_from_guest(q->additions->clipboard, q->rest, q->bytes);
}

/* A packet of HGFS. */
static bool folders(struct question *q)
{
    struct folders *f = q->additions->folders;
    if (!folders_shared(f))
        return false;
    q->whole = folders_answer(f, q->rest, q->bytes, &q->ticket);
    return true;
}

static bool backup_event(struct question *q)
{
    without_zero(q);
    quiesce_event(q->additions->quiesce, q->rest, q->bytes);
    return true;
}

static const struct row rows[] = {
    {"f", .handler = folders},
    {"log", .handler = log_line},
    {"info-set", .handler = info_set},
    {"info-get", .handler = info_get},
    {"SetGuestInfo", .handler = set_guest_info},
    {"tools.set.version", .handler = set_version},
    {"tools.set.versiontype", .handler = accept},
    {"tools.capability.resolution_server", .handler = sets_sizes},
    {"tools.capability.", true, accept},
    {"vmx.capability.unified_loop", .handler = accept},
    {"vmx.capability.copypaste_version", .handler = clipboard_version},
    {"copypaste.transport", .handler = clipboard_transport},
    {"tools.os.statechange.status", .handler = state_change},
    {"vmbackup.eventSet", .handler = backup_event},
    {"vmx.set_option", .handler = set_option},
};

/* ---- a question ---- */

static const struct row *row_of(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].beginning ? g_str_has_prefix(name, rows[i].name) : !strcmp(name, rows[i].name))
            return &rows[i];
    return NULL;
}

/* A name may end with a zero byte, if nothing follows it. */
GBytes *rpci_answer(struct additions *a, const void *data, size_t bytes, uint64_t *ticket)
{
    struct question q = {.additions = a, .rest = data, .bytes = bytes};
    g_autofree char *name = word(&q);
    if (!name) {
        without_zero(&q);
        name = word(&q);
    }
    const struct row *row = name ? row_of(name) : NULL;
    q.name = name;
    q.say = g_string_new(NULL);
    bool done = row && row->handler(&q);
    if (q.whole || q.ticket) {
        *ticket = q.ticket;
        g_string_free(q.say, TRUE);
        return q.whole;
    }
    if (!row)
        g_string_append(q.say, "Unknown command");
    g_string_prepend(q.say, done ? "1 " : "0 ");
    g_string_truncate(q.say, MIN(q.say->len, REPLY_MOST));
    gsize n = q.say->len;
    return g_bytes_new_take(g_string_free(q.say, FALSE), n);
}
