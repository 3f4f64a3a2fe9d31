// SPDX-License-Identifier: GPL-2.0-or-later
/* client_network.c - a machine's cards, in its file and in its network process. */
#include "core-vmm/control/client_network.h"
#include "core-vmm/api/config.h"
#include "core-vmm/api/net.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/paths.h"
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL_MS 5000
#define LOOK_MS 50

struct client *network_connect(const char *name, GError **error)
{
    g_autofree char *folder = machines_folder(name), *socket = paths_network(name, error);
    g_autoptr(GError) why = NULL;
    if (!socket)
        return NULL;
    if (!machine_lock_holder(folder)) {
        machines_not_running(name, error);
        return NULL;
    }
    struct client *c = client_connect_socket(socket, &why);
    if (g_error_matches(why, CONTROL_ERROR, CONTROL_NOT_FOUND))
        g_set_error(error, CONTROL_ERROR, CONTROL_UNSUPPORTED, "%s was started without a network card", name);
    else if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    return c;
}

static JsonObject *ask(const char *name, const char *command, JsonObject *args, GError **error)
{
    struct client *c = network_connect(name, error);
    JsonObject *o = c ? client_call(c, command, args, CALL_MS, error) : NULL;
    if (!c && args)
        json_object_unref(args);
    client_free(c);
    return o;
}

/* ---- what there is ---- */

static JsonObject *find_card(JsonArray *cards, const char *card)
{
    for (unsigned i = 0; i < answer_count(cards); i++)
        if (!strcmp(answer_text(answer_element(cards, i), "card", ""), card))
            return answer_element(cards, i);
    return NULL;
}

static JsonObject *describe(const struct config *c, JsonObject *now)
{
    static const char *const texts[] = {"model",       "mode",  "forward", "limit", "group",
                                        "group-limit", "delay", "jitter",  "loss",  "seed"};
    JsonObject *o = json_object_new();
    uint8_t mac[6];
    bool connected = true;
    net_mac(c, mac);
    g_autofree char *mac_text =
        g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    config_flag(c, "connected", &connected, NULL);
    json_object_set_string_member(o, "card", c->section);
    json_object_set_string_member(o, "mac", mac_text);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *value = config_string(c, texts[i]);
        if (value)
            json_object_set_string_member(o, texts[i], value);
    }
    json_object_set_boolean_member(o, "connected", connected);
    if (now)
        json_object_set_object_member(o, "now", json_object_ref(now));
    return o;
}

static bool is_card(const char *section)
{
    const struct schema_section *s = schema_find_section(section);
    return s && !strcmp(s->name, "nic");
}

JsonObject *network_list(const char *name, GError **error)
{
    g_autofree char *ini = machines_ini(name);
    g_autoptr(GKeyFile) file = machines_settings(name, error);
    if (!file)
        return NULL;
    g_autoptr(JsonObject) now = ask(name, "list", NULL, NULL);
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    JsonObject *o = json_object_new();
    JsonArray *cards = json_array_new();
    for (char **s = sections; *s; s++) {
        const struct config c = {file, ini, *s};
        if (is_card(*s))
            json_array_add_object_element(cards, describe(&c, find_card(answer_array(now, "cards"), *s)));
    }
    json_object_set_string_member(o, "machine", name);
    json_object_set_boolean_member(o, "running", now != NULL);
    json_object_set_array_member(o, "cards", cards);
    return o;
}

JsonObject *network_card(JsonObject *list, unsigned n)
{
    JsonArray *cards = answer_array(list, "cards");
    return n < answer_count(cards) ? answer_element(cards, n) : NULL;
}

/* ---- changes ---- */

static char *key_of(const char *setting)
{
    return g_strndup(setting, strcspn(setting, "="));
}

/* What is of the card, or a folder that was opened for it, cannot change while it is there. */
static bool counts_now(const char *setting)
{
    static const char *const later[] = {"model", "slot", "mac", "rom", "tftp", NULL};
    g_autofree char *key = key_of(setting);
    return !g_strv_contains(later, key);
}

/* To the running network process; what it says of the card then, or NULL with an error. */
static JsonObject *set_now(const char *name, const char *card, char **settings, GError **error)
{
    g_autofree char *lines = g_strjoinv("\n", settings);
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "card", card);
    json_object_set_string_member(args, "settings", lines);
    return ask(name, "set", args, error);
}

/* In machine.ini. */
static bool keep(const char *name, const char *card, char **settings, GError **error)
{
    g_autoptr(GStrvBuilder) assigned = g_strv_builder_new(), removed = g_strv_builder_new();
    enum settings_count count;
    for (char **s = settings; *s; s++) {
        g_autofree char *whole = g_strdup_printf("%s.%s", card, *s);
        g_strv_builder_add(strchr(*s, '=') ? assigned : removed, whole);
    }
    g_auto(GStrv) assignments = g_strv_builder_end(assigned), removals = g_strv_builder_end(removed);
    return machines_change(name, assignments, removals, &count, error);
}

/* Before anything is changed; a card that is not there yet is made by that. */
static bool all_good(const char *card, char **settings, GError **error)
{
    bool good = true;
    for (char **s = settings; *s && good; s++) {
        g_autofree char *key = key_of(*s);
        const char *equals = strchr(*s, '=');
        good = equals ? schema_check_value("setting", card, key, equals + 1, error)
                      : schema_find(card, key, error) != NULL;
    }
    return good;
}

bool network_set(const char *name, const char *card, char **settings, enum settings_count *count, GError **error)
{
    g_autofree char *folder = machines_folder(name);
    g_autoptr(GError) why = NULL;
    if (!all_good(card, settings, error))
        return false;
    *count = SETTINGS_COUNT_NOW;
    if (machine_lock_holder(folder)) {
        g_autoptr(JsonObject) now = set_now(name, card, settings, &why);
        bool absent = g_error_matches(why, CONTROL_ERROR, CONTROL_UNSUPPORTED) ||
                      g_error_matches(why, CONTROL_ERROR, CONTROL_NOT_FOUND); /* it gets its card with the next start */
        bool later = absent;
        for (char **s = settings; *s; s++)
            later = later || !counts_now(*s);
        if (why && !absent) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
        *count = later ? SETTINGS_COUNT_FROM_NEXT_START : SETTINGS_COUNT_NOW;
    }
    return keep(name, card, settings, error);
}

/* ---- port forwards ---- */

/* Which other machine's card leads that port into its guest; NULL: none. */
static char *holder_of(const char *name, const struct forward *f)
{
    g_autoptr(GPtrArray) names = paths_list(NULL);
    for (unsigned i = 0; names && i < names->len; i++) {
        const char *other = names->pdata[i];
        g_autoptr(JsonObject) now = strcmp(other, name) ? ask(other, "list", NULL, NULL) : NULL;
        JsonArray *cards = answer_array(now, "cards");
        for (unsigned k = 0; k < answer_count(cards); k++) {
            JsonArray *forwards = answer_array(answer_element(cards, k), "forwards");
            for (unsigned n = 0; n < answer_count(forwards); n++) {
                JsonObject *one = answer_element(forwards, n);
                struct forward g;
                if (answer_flag(one, "stands") && forward_parse(answer_text(one, "forward", ""), &g, NULL) &&
                    forward_same_host(f, &g))
                    return g_strdup(other);
            }
        }
    }
    return NULL;
}

/* Why a card's port forward does not stand; NULL: it does, or it is another one (f NULL: any). */
static char *why_not(const char *name, JsonObject *one, const struct forward *f)
{
    struct forward g;
    const char *failure = answer_text(one, "failure", NULL);
    if (!failure || !forward_parse(answer_text(one, "forward", ""), &g, NULL) || (f && !forward_same_host(f, &g)))
        return NULL;
    g_autofree char *holder = holder_of(name, &g);
    return holder ? g_strdup_printf("%s: it leads into machine %s", failure, holder) : g_strdup(failure);
}

static char *failure_of(const char *name, JsonObject *card, const struct forward *f)
{
    JsonArray *forwards = answer_array(card, "forwards");
    char *why = NULL;
    for (unsigned n = 0; n < answer_count(forwards) && !why; n++)
        why = why_not(name, answer_element(forwards, n), f);
    return why;
}

/* The card's list in machine.ini; its mode must have them. */
static GArray *forwards_of(const char *name, const char *card, GError **error)
{
    g_autoptr(GKeyFile) file = machines_settings(name, error);
    const struct config c = {file, "machine.ini", card};
    if (!file)
        return NULL;
    if (!is_card(card) || !g_key_file_has_group(file, card)) {
        g_set_error(error, CONTROL_ERROR, CONTROL_NOT_FOUND, "%s has no network card %s", name, card);
        return NULL;
    }
    g_autofree char *text = config_string(&c, "forward");
    return forward_parse_list(text ? text : "", error);
}

/* What its process has, which may be more: those that were made for as long as the machine runs.  list: if there is no process. */
static GArray *forwards_now(const char *name, const char *card, const GArray *list)
{
    g_autoptr(JsonObject) now = ask(name, "list", NULL, NULL);
    JsonArray *forwards = answer_array(find_card(answer_array(now, "cards"), card), "forwards");
    GArray *all = g_array_new(FALSE, FALSE, sizeof(struct forward));
    struct forward f;
    for (unsigned i = 0; i < answer_count(forwards); i++)
        if (forward_parse(answer_text(answer_element(forwards, i), "forward", ""), &f, NULL))
            g_array_append_val(all, f);
    if (!forwards)
        g_array_append_vals(all, list->data, list->len);
    return all;
}

static char *setting_of(GArray *list)
{
    g_autoptr(GString) s = g_string_new("");
    for (unsigned i = 0; i < list->len; i++) {
        g_autofree char *one = forward_format(&g_array_index(list, struct forward, i));
        g_string_append_printf(s, "%s%s", i ? "; " : "", one);
    }
    return s->len ? g_strdup_printf("forward=%s", s->str) : g_strdup("forward");
}

static int find_forward(GArray *list, const struct forward *f)
{
    for (unsigned i = 0; i < list->len; i++)
        if (forward_same_host(&g_array_index(list, struct forward, i), f))
            return (int)i;
    return -1;
}

/* In the network process, if the machine runs; back to what was if f, which is new, does not stand. */
static bool try_now(const char *name, const char *card, char *before, char *after, const struct forward *f,
                    GError **error)
{
    g_autofree char *folder = machines_folder(name);
    char *settings[] = {after, NULL}, *old[] = {before, NULL};
    if (!machine_lock_holder(folder))
        return true;
    g_autoptr(JsonObject) now = set_now(name, card, settings, error);
    g_autofree char *failure = now && f ? failure_of(name, now, f) : NULL;
    if (failure) {
        g_autoptr(JsonObject) restored = set_now(name, card, old, NULL);
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_BUSY, failure);
    }
    return now && !failure;
}

bool network_forward_add(const char *name, const char *card, const char *forward, GError **error)
{
    struct forward f;
    g_autoptr(GArray) list = forward_parse(forward, &f, error) ? forwards_of(name, card, error) : NULL;
    if (!list)
        return false;
    g_autoptr(GArray) live = forwards_now(name, card, list);
    g_autofree char *before = setting_of(live);
    if (find_forward(list, &f) >= 0 || find_forward(live, &f) >= 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, "the host's port %u leads into %s already", f.host_port,
                    name);
        return false;
    }
    g_array_append_val(list, f);
    g_array_append_val(live, f);
    g_autofree char *after = setting_of(live), *kept = setting_of(list);
    char *settings[] = {kept, NULL};
    return try_now(name, card, before, after, &f, error) && keep(name, card, settings, error);
}

bool network_forward_remove(const char *name, const char *card, const char *forward, GError **error)
{
    struct forward f;
    g_autofree char *whole = g_strconcat(forward, " 1", NULL); /* a guest's port, if there is none */
    if (!forward_parse(forward, &f, NULL) && !forward_parse(whole, &f, NULL)) {
        forward_parse(forward, &f, error);
        return false;
    }
    g_autoptr(GArray) list = forwards_of(name, card, error);
    if (!list)
        return false;
    g_autoptr(GArray) live = forwards_now(name, card, list);
    int at = find_forward(list, &f), live_at = find_forward(live, &f);
    if (at < 0 && live_at < 0) {
        g_set_error(error, CONTROL_ERROR, CONTROL_NOT_FOUND, "%s: %s has no such port forward", name, card);
        return false;
    }
    g_autofree char *before = setting_of(live);
    if (at >= 0)
        g_array_remove_index(list, at);
    if (live_at >= 0)
        g_array_remove_index(live, live_at);
    g_autofree char *after = setting_of(live), *kept = setting_of(list);
    char *settings[] = {kept, NULL};
    return try_now(name, card, before, after, NULL, error) && keep(name, card, settings, error);
}

/* ---- a way into the guest ---- */

/* The first card of the running machine that has port forwards. */
static JsonObject *card_with_forwards(JsonObject *now)
{
    JsonArray *cards = answer_array(now, "cards");
    for (unsigned i = 0; i < answer_count(cards); i++)
        if (answer_array(answer_element(cards, i), "forwards"))
            return answer_element(cards, i);
    return NULL;
}

/* All that the card has now, and the port of the one that leads to guest_port; 0: none does. */
static uint16_t look_for(JsonObject *card, uint16_t guest_port, GArray *all)
{
    JsonArray *forwards = answer_array(card, "forwards");
    uint16_t found = 0;
    for (unsigned n = 0; n < answer_count(forwards); n++) {
        struct forward f, local;
        JsonObject *one = answer_element(forwards, n);
        if (!forward_parse(answer_text(one, "forward", ""), &f, NULL))
            continue;
        g_array_append_val(all, f);
        g_autofree char *as_local = g_strdup_printf("tcp %u %u", f.host_port, f.guest_port);
        forward_parse(as_local, &local, NULL);
        if (answer_flag(one, "stands") && f.guest_port == guest_port && forward_same_host(&f, &local) &&
            IN6_IS_ADDR_UNSPECIFIED(&f.guest))
            found = f.host_port;
    }
    return found;
}

/* One that nobody has at this moment. */
static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof a) && !getsockname(fd, (struct sockaddr *)&a, &n);
    if (fd >= 0)
        close(fd);
    return good ? ntohs(a.sin_port) : 0;
}

uint16_t network_forward_to(const char *name, uint16_t guest_port, GError **error)
{
    g_autoptr(JsonObject) now = ask(name, "list", NULL, error);
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct forward));
    JsonObject *card = card_with_forwards(now);
    uint16_t port = look_for(card, guest_port, all);
    if (!now || port)
        return port;
    if (!card) {
        g_set_error(error, CONTROL_ERROR, CONTROL_UNSUPPORTED,
                    "%s has no card of mode nat, so no port of the host can lead into it", name);
        return 0;
    }
    struct forward f;
    port = free_port();
    g_autofree char *text = g_strdup_printf("tcp %u %u", port, guest_port), *before = setting_of(all);
    if (!forward_parse(text, &f, error))
        return 0;
    g_array_append_val(all, f);
    g_autofree char *after = setting_of(all);
    return try_now(name, answer_text(card, "card", ""), before, after, &f, error) ? port : 0;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !connect(fd, (struct sockaddr *)&a, sizeof a))
        return fd;
    close(fd);
    return -1;
}

/* Did some card's guest take a connection on that port in the last so many ms? */
static bool taken(const char *name, uint16_t guest_port, gint64 ms)
{
    g_autoptr(JsonObject) now = ask(name, "list", NULL, NULL);
    const char *card = answer_text(card_with_forwards(now), "card", NULL);
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "card", card ? card : "");
    json_object_set_int_member(args, "port", guest_port);
    g_autoptr(JsonObject) o = ask(name, "answered", args, NULL);
    int64_t age = answer_number(o, "ms", 0, G_MAXINT64, -1);
    return age >= 0 && age <= ms;
}

bool network_answers(const char *name, uint16_t port, uint16_t guest_port, int ms)
{
    gint64 since = g_get_monotonic_time(), passed = 0;
    int fd = connect_to(port);
    bool good = false, over = fd < 0;
    while (!good && !over) {
        struct pollfd p = {fd, POLLIN, 0};
        char some;
        bool news = poll(&p, 1, LOOK_MS) == 1; /* it says something, or hangs up */
        passed = (g_get_monotonic_time() - since) / 1000;
        good = news ? recv(fd, &some, 1, 0) == 1 : taken(name, guest_port, passed);
        over = news || passed >= ms;
    }
    if (fd >= 0)
        close(fd);
    return good;
}

GPtrArray *network_remarks(const char *name)
{
    GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(JsonObject) now = ask(name, "list", NULL, NULL);
    JsonArray *cards = answer_array(now, "cards");
    for (unsigned i = 0; i < answer_count(cards); i++) {
        JsonObject *card = answer_element(cards, i);
        const char *failure = answer_text(card, "failure", NULL);
        JsonArray *forwards = answer_array(card, "forwards");
        if (failure)
            g_ptr_array_add(remarks, g_strdup_printf("%s: %s", answer_text(card, "card", "?"), failure));
        for (unsigned n = 0; n < answer_count(forwards); n++) {
            g_autofree char *why = why_not(name, answer_element(forwards, n), NULL);
            if (why)
                g_ptr_array_add(remarks, g_strdup_printf("%s: %s", answer_text(card, "card", "?"), why));
        }
    }
    return remarks;
}
