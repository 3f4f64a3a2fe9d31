// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_nic.c - vmctl nic: a machine's network cards. */
#include "core-vmm/vmctl/nic.h"
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/suggest.h"
#include <string.h>

struct nic_part {
    const char *name, *args; /* args: after the machine's name */
    int least, most;         /* of those; -1: any number */
    int (*run)(const char *machine, const struct nic_options *o, int argc, char **argv);
};

/* ---- showing ---- */

static void append_addresses(GString *s, JsonObject *now)
{
    JsonArray *list = answer_array(now, "addresses");
    for (unsigned i = 0; i < answer_count(list); i++) {
        const char *address = answer_element_text(list, i);
        if (address)
            g_string_append_printf(s, "%s%s", s->len ? " " : "", address);
    }
}

static const char *state_of(JsonObject *card, JsonObject *now)
{
    if (!now)
        return answer_flag(card, "connected") ? "-" : "unplugged";
    return answer_flag(now, "link") ? "up" : answer_has(now, "failure") ? "failed" : "down";
}

void network_print(JsonObject *list)
{
    JsonObject *card;
    for (unsigned i = 0; (card = network_card(list, i)); i++) {
        JsonObject *now = answer_object(card, "now");
        g_autoptr(GString) addresses = g_string_new("");
        append_addresses(addresses, now);
        print("%-5s %-10s %-10s %-17s %-9s %s\n", answer_text(card, "card", "?"), answer_text(card, "model", "?"),
              answer_text(now ? now : card, "mode", "?"), answer_text(card, "mac", "?"), state_of(card, now),
              addresses->len ? addresses->str : "-");
        if (now && answer_has(now, "failure"))
            print("      %s\n", answer_text(now, "failure", "?"));
    }
}

int nic_show(JsonObject *o, const struct nic_options *n, void (*table)(JsonObject *o))
{
    if (n->how == OUTPUT_JSON) {
        print_json(o);
        return EXIT_CODE_OK;
    }
    table(o);
    json_object_unref(o);
    return EXIT_CODE_OK;
}

static int list(const char *machine, const struct nic_options *o, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    JsonObject *cards = network_list(machine, &error);
    if (cards && network_card(cards, 0) && o->how == OUTPUT_TABLE)
        print("%-5s %-10s %-10s %-17s %-9s %s\n", "CARD", "MODEL", "MODE", "MAC", "LINK", "ADDRESSES");
    return cards ? nic_show(cards, o, network_print) : fail_error(error);
}

/* ---- changing ---- */

void nic_tell(const char *machine, enum settings_count count)
{
    if (count == SETTINGS_COUNT_FROM_NEXT_START)
        note("%s is running: some of it counts from its next start", machine);
}

static int change(const char *machine, const struct nic_options *o, char **settings)
{
    g_autoptr(GError) error = NULL;
    enum settings_count count;
    if (!network_set(machine, o->card, settings, &count, &error))
        return fail_error(error);
    nic_tell(machine, count);
    return EXIT_CODE_OK;
}

static int set(const char *machine, const struct nic_options *o, int argc, char **argv)
{
    return change(machine, o, argv);
}

static int plug(const char *machine, const struct nic_options *o, int argc, char **argv)
{
    return change(machine, o, (char *[]){"connected=on", NULL});
}

static int pull(const char *machine, const struct nic_options *o, int argc, char **argv)
{
    return change(machine, o, (char *[]){"connected=off", NULL});
}

/* ---- port forwards ---- */

static void print_forwards(JsonObject *o)
{
    JsonArray *all = answer_array(o, "forwards");
    for (unsigned i = 0; i < answer_count(all); i++) {
        JsonObject *one = answer_element(all, i);
        print("%-5s %-40s %s\n", answer_text(one, "card", "?"), answer_text(one, "forward", "?"),
              answer_text(one, "failure", answer_flag(one, "stands") ? "open" : "-"));
    }
}

static void add_forward(JsonArray *to, const char *card, const char *forward, JsonObject *now)
{
    JsonObject *o = json_object_new();
    const char *failure = answer_text(now, "failure", NULL);
    json_object_set_string_member(o, "card", card);
    json_object_set_string_member(o, "forward", forward);
    json_object_set_boolean_member(o, "stands", answer_flag(now, "stands"));
    if (failure)
        json_object_set_string_member(o, "failure", failure);
    json_array_add_object_element(to, o);
}

/* Of a card: as its process has them, or if there is none as machine.ini has. */
static void collect(JsonArray *to, JsonObject *card)
{
    const char *name = answer_text(card, "card", "?");
    JsonArray *now = answer_array(answer_object(card, "now"), "forwards");
    g_autoptr(GArray) file = forward_parse_list(answer_text(card, "forward", ""), NULL);
    for (unsigned n = 0; n < answer_count(now); n++)
        add_forward(to, name, answer_text(answer_element(now, n), "forward", "?"), answer_element(now, n));
    for (unsigned n = 0; !now && file && n < file->len; n++) {
        g_autofree char *text = forward_format(&g_array_index(file, struct forward, n));
        add_forward(to, name, text, NULL);
    }
}

static int forward_list(const char *machine, const struct nic_options *n, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) cards = network_list(machine, &error);
    if (!cards)
        return fail_error(error);
    JsonObject *o = json_object_new(), *card;
    JsonArray *all = json_array_new();
    for (unsigned i = 0; (card = network_card(cards, i)); i++)
        collect(all, card);
    json_object_set_array_member(o, "forwards", all);
    return nic_show(o, n, print_forwards);
}

static int forward_add(const char *machine, const struct nic_options *o, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *words = g_strjoinv(" ", argv);
    return network_forward_add(machine, o->card, words, &error) ? EXIT_CODE_OK : fail_error(error);
}

static int forward_remove(const char *machine, const struct nic_options *o, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *words = g_strjoinv(" ", argv);
    return network_forward_remove(machine, o->card, words, &error) ? EXIT_CODE_OK : fail_error(error);
}

/* ---- the parts ---- */

static const struct nic_part parts[] = {
    {"list", "", 0, 0, list},
    {"set", "KEY=VALUE...", 1, -1, set},
    {"connect", "", 0, 0, plug},
    {"disconnect", "", 0, 0, pull},
    {"forward add", "tcp|udp [ADDRESS:]PORT [ADDRESS:]GUEST-PORT", 3, 3, forward_add},
    {"forward rm", "tcp|udp [ADDRESS:]PORT", 2, 3, forward_remove},
    {"forward list", "", 0, 0, forward_list},
    {"limit", "[KEY=VALUE...|off]", 0, -1, nic_limit},
    {"capture start", "FILE", 1, 1, nic_capture_start},
    {"capture stop", "", 0, 0, nic_capture_stop},
    {"capture list", "", 0, 0, nic_capture_list},
};

static const struct nic_part *find_part(const char *name)
{
    const char *words[G_N_ELEMENTS(parts) + 1] = {NULL};
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        words[i] = parts[i].name;
        if (!strcmp(parts[i].name, name))
            return &parts[i];
    }
    const char *near = suggest(name, words);
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    fail(EXIT_CODE_USAGE, near ? "nic does not know %s; did you mean %s?" : "nic does not know %s; it knows %s", name,
         near ? near : all);
    return NULL;
}

/* Some parts have two words. */
static bool begins_part(const char *word)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
        if (g_str_has_prefix(parts[i].name, word) && parts[i].name[strlen(word)] == ' ')
            return true;
    return false;
}

static int run_part(const struct nic_options *o, int argc, char **argv)
{
    int words = argc > 2 && begins_part(argv[1]) ? 2 : 1, more = argc - 2 - words, code;
    g_autofree char *name = words == 2 ? g_strdup_printf("%s %s", argv[1], argv[2]) : g_strdup(argv[1]);
    const struct nic_part *p = find_part(name);
    if (!p)
        return EXIT_CODE_USAGE;
    if (more < p->least || (p->most >= 0 && more > p->most))
        return fail(EXIT_CODE_USAGE, "usage: vmctl nic %s NAME %s", p->name, p->args);
    argv += 1 + words;
    g_autofree char *machine = machine_resolve(*argv, &code);
    return machine ? p->run(machine, o, more, argv + 1) : code;
}

static int nic(const struct verb *v, int argc, char **argv)
{
    struct nic_options o = {0};
    const GOptionEntry entries[] = {
        {"card", 'c', 0, G_OPTION_ARG_STRING, &o.card, "Which card (nic1)", "CARD"},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &o.output, "Of what is shown: table or json", "HOW"},
        {NULL},
    };
    int code;
    if (verb_options(v, entries, &argc, &argv, 2, -1, &code) && output_parse(o.output, &o.how, &code)) {
        o.card = o.card ? o.card : g_strdup("nic1");
        code = run_part(&o, argc, argv);
    }
    g_free(o.card);
    g_free(o.output);
    return code;
}

const struct verb verb_nic = {"nic",
                              "list|set|connect|disconnect|forward add|rm|list|limit|capture start|stop|list NAME ...",
                              "show and change network cards, also while running",
                              "  vmctl nic list demo\n"
                              "  vmctl nic forward add demo tcp 2222 22\n"
                              "  vmctl nic forward rm demo tcp 2222\n"
                              "  vmctl nic set demo mode=none\n"
                              "  vmctl nic disconnect demo --card nic2\n"
                              "  vmctl nic limit demo limit=10M delay=40ms loss=0.5%\n"
                              "  vmctl nic limit demo off\n"
                              "  vmctl nic capture start demo demo.pcapng\n"
                              "  vmctl nic capture stop demo",
                              nic};
