// SPDX-License-Identifier: GPL-2.0-or-later
/* nic_traffic.c - vmctl nic limit, vmctl nic capture. */
#include "core-vmm/vmctl/nic.h"

/* ---- limits ---- */

static const char *const limit_keys[] = {"limit", "group", "group-limit", "delay", "jitter", "loss", "seed"};

static void print_limits(JsonObject *o)
{
    JsonArray *cards = answer_array(o, "cards");
    print("%-5s %-10s %-10s %-11s %-6s %-6s %-5s %s\n", "CARD", "LIMIT", "GROUP", "GROUP-LIMIT", "DELAY", "JITTER",
          "LOSS", "SEED");
    for (unsigned i = 0; i < answer_count(cards); i++) {
        JsonObject *c = answer_element(cards, i);
        print("%-5s %-10s %-10s %-11s %-6s %-6s %-5s %s\n", answer_text(c, "card", "?"), answer_text(c, "limit", "-"),
              answer_text(c, "group", "-"), answer_text(c, "group-limit", "-"), answer_text(c, "delay", "-"),
              answer_text(c, "jitter", "-"), answer_text(c, "loss", "-"), answer_text(c, "seed", "-"));
    }
}

/* What a card's section says of them. */
static JsonObject *limits_of(JsonObject *card)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "card", answer_text(card, "card", "?"));
    for (unsigned i = 0; i < G_N_ELEMENTS(limit_keys); i++) {
        const char *value = answer_text(card, limit_keys[i], NULL);
        if (value)
            json_object_set_string_member(o, limit_keys[i], value);
    }
    return o;
}

static int show_limits(const char *machine, const struct nic_options *n)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) list = network_list(machine, &error);
    if (!list)
        return fail_error(error);
    JsonObject *o = json_object_new(), *card;
    JsonArray *cards = json_array_new();
    for (unsigned i = 0; (card = network_card(list, i)); i++)
        json_array_add_object_element(cards, limits_of(card));
    json_object_set_string_member(o, "machine", machine);
    json_object_set_array_member(o, "cards", cards);
    return nic_show(o, n, print_limits);
}

int nic_limit(const char *machine, const struct nic_options *o, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    enum settings_count count;
    if (!argc)
        return show_limits(machine, o);
    if (!network_limit(machine, o->card, argv, &count, &error))
        return fail_error(error);
    nic_tell(machine, count);
    return o->how == OUTPUT_JSON ? show_limits(machine, o) : EXIT_CODE_OK;
}

/* ---- captures ---- */

static void print_capture(JsonObject *o)
{
    print("%s: %" G_GINT64_FORMAT " frames, %" G_GINT64_FORMAT " missed\n", answer_text(o, "file", "?"),
          answer_number(o, "frames", 0, G_MAXINT64, 0), answer_number(o, "missed", 0, G_MAXINT64, 0));
}

static void print_nothing(JsonObject *o)
{
}

int nic_capture_start(const char *machine, const struct nic_options *o, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    JsonObject *started = network_capture_start(machine, o->card, argv[0], &error);
    return started ? nic_show(started, o, print_nothing) : fail_error(error);
}

int nic_capture_stop(const char *machine, const struct nic_options *o, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    JsonObject *stopped = network_capture_stop(machine, o->card, &error);
    return stopped ? nic_show(stopped, o, print_capture) : fail_error(error);
}

static void print_captures(JsonObject *o)
{
    JsonArray *all = answer_array(o, "captures");
    for (unsigned i = 0; i < answer_count(all); i++) {
        print("%-5s ", answer_text(answer_element(all, i), "card", "?"));
        print_capture(answer_element(all, i));
    }
}

int nic_capture_list(const char *machine, const struct nic_options *n, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) list = network_list(machine, &error);
    if (!list)
        return fail_error(error);
    JsonObject *o = json_object_new(), *card;
    JsonArray *all = json_array_new();
    for (unsigned i = 0; (card = network_card(list, i)); i++) {
        JsonObject *capture = answer_object(answer_object(card, "now"), "capture");
        if (!capture)
            continue;
        json_object_set_string_member(capture, "card", answer_text(card, "card", "?"));
        json_array_add_object_element(all, json_object_ref(capture));
    }
    json_object_set_string_member(o, "machine", machine);
    json_object_set_array_member(o, "captures", all);
    return nic_show(o, n, print_captures);
}
