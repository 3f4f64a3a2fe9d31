// SPDX-License-Identifier: GPL-2.0-or-later
/* test_policy.c - whom the policy file of terrarium-netadm allows what. */
#include "network-modes/admin/policy.h"
#include <glib.h>
#include <string.h>

static bool in_group(const struct policy_user *u, const char *group)
{
    return !strcmp(group, "netdev");
}

static bool in_none(const struct policy_user *u, const char *group)
{
    return false;
}

static const struct policy_user alice = {.name = "alice", .in_group = in_group},
                                bob = {.name = "bob", .in_group = in_none}, nobody = {.in_group = in_none};

static void check(const char *text, const char *what, const char *which, const struct policy_user *u,
                  enum policy_answer expected)
{
    unsigned line;
    g_assert_cmpint(policy_may(text, what, which, u, &line), ==, expected);
}

static void test_grants(void)
{
    static const char text[] = "# a comment\n\n  bridge br0 bob carol # and another\ninterface eth0 @netdev\n"
                               "hostonly * alice\nhostonly lab *\nrange 10.0.0.0/8\n";
    check("", "bridge", "br0", &alice, POLICY_DENIED);
    check(text, "bridge", "br0", &bob, POLICY_ALLOWED);
    check(text, "bridge", "br0", &alice, POLICY_DENIED);
    check(text, "bridge", "br1", &bob, POLICY_DENIED);
    check(text, "interface", "br0", &bob, POLICY_DENIED);
    check(text, "interface", "eth0", &alice, POLICY_ALLOWED);
    check(text, "interface", "eth0", &bob, POLICY_DENIED);
    check(text, "hostonly", "other", &alice, POLICY_ALLOWED);
    check(text, "hostonly", "other", &bob, POLICY_DENIED);
    check(text, "hostonly", "lab", &bob, POLICY_ALLOWED);
    check(text, "hostonly", "lab", &nobody, POLICY_ALLOWED);
    check(text, "bridge", "carol", &nobody, POLICY_DENIED);
}

/* A mistake never allows more: not even what other lines say. */
static void test_broken(void)
{
    static const char *const bad[] = {
        "bridge br0", "bridge", "brigde br0 alice", "range 10.0.0.0", "range 10.0.0.0/33", "range 10.0.0.0/8 alice",
        "x"};
    g_autofree char *long_line = g_strnfill(5000, 'a');
    GString *many = g_string_new("bridge br0");
    unsigned line;
    for (unsigned i = 0; i < 200; i++)
        g_string_append(many, " x");
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strconcat("bridge br0 alice\n", bad[i], "\n", NULL);
        g_assert_cmpint(policy_may(text, "bridge", "br0", &alice, &line), ==, POLICY_BROKEN);
        g_assert_cmpuint(line, ==, 2);
    }
    check(long_line, "bridge", "br0", &alice, POLICY_BROKEN);
    check(many->str, "bridge", "br0", &alice, POLICY_BROKEN);
    g_string_free(many, TRUE);
}

static void test_ranges(void)
{
    static const struct {
        const char *text, *network;
        bool good;
    } rows[] = {{"", "192.168.56.1/24", true},
                {"", "192.168.63.1/24", true},
                {"", "192.168.64.1/24", false},
                {"", "192.168.56.1/16", false},
                {"", "8.8.8.8/24", false},
                {"range 10.90.0.0/16", "10.90.7.1/24", true},
                {"range 10.90.0.0/16", "10.91.7.1/24", false},
                {"range 0.0.0.0/0", "8.8.8.8/8", true}};
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint32_t address;
        unsigned bits;
        g_assert_true(network_parse(rows[i].network, &address, &bits));
        g_assert_cmpint(policy_range(rows[i].text, address, bits), ==, rows[i].good);
    }
}

static void test_networks(void)
{
    static const char *const bad[] = {"",           "/",        "1.2.3.4",     "1.2.3.4/",    "1.2.3.4/33",
                                      "1.2.3.4/-1", "1.2.3/24", "1.2.3.4/24x", "1.2.3.4/ 24", "1.2.3.4.5.6.7.8.9.0/24",
                                      "::1/64"};
    uint32_t address;
    unsigned bits;
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(network_parse(bad[i], &address, &bits));
    g_assert_true(network_parse("10.1.2.3/8", &address, &bits));
    g_assert_cmphex(address, ==, 0x0a010203);
    g_assert_cmpuint(bits, ==, 8);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/policy/grants", test_grants);
    g_test_add_func("/net/policy/broken", test_broken);
    g_test_add_func("/net/policy/ranges", test_ranges);
    g_test_add_func("/net/policy/networks", test_networks);
    return g_test_run();
}
