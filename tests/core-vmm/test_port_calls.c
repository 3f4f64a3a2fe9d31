// SPDX-License-Identifier: GPL-2.0-or-later
/* The bus's side of ports that change the CPU's registers: testdev's port 5660h on the real board.  No CPU runs; its registers
 * are looked at between accesses. */
#include "core-vmm/machine/core.h"

enum { PORT = 0x5660 };

static struct machine *build(struct x86_state *s)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    g_key_file_load_from_data(file, "[machine]\nmemory=16M\nengine=interp\n[testdev]\n", -1, G_KEY_FILE_NONE, NULL);
    struct machine *m = machine_new(file, "machine.ini", g_get_tmp_dir(), NULL, &error);
    g_assert_no_error(error);
    m->engine->get_state(m->vcpu[0].engine_vcpu, s);
    for (unsigned n = 0; n < 8; n++)
        s->gpr[n] = 0x1000 + n;
    m->engine->set_state(m->vcpu[0].engine_vcpu, s);
    return m;
}

static void registers(void)
{
    g_autofree struct x86_state *s = g_new0(struct x86_state, 1);
    struct machine *m = build(s);
    g_assert_cmphex(machine_in(m, 0, PORT, 4), ==, 0x1001);
    m->engine->get_state(m->vcpu[0].engine_vcpu, s);
    for (unsigned n = 0; n < 8; n++)
        g_assert_cmphex(s->gpr[n], ==, n == X86_RSP ? 0x1004 : (uint32_t) ~(0x1000 + n));
    machine_out(m, 0, PORT, 2, 0x12345678);
    m->engine->get_state(m->vcpu[0].engine_vcpu, s);
    g_assert_cmphex(s->gpr[X86_RBX], ==, 0x5678);
    machine_free(m);
}

/* An access that begins elsewhere or ends beyond has no registers; nor has a port next to it. */
static void pieces(void)
{
    g_autofree struct x86_state *s = g_new0(struct x86_state, 1);
    struct machine *m = build(s);
    g_assert_cmphex(machine_in(m, 0, PORT + 2, 4), ==, 0xffff0000);
    g_assert_cmphex(machine_in(m, 0, PORT - 2, 4), ==, 0x0000ffff);
    g_assert_cmphex(machine_in(m, 0, PORT + 4, 4), ==, UINT32_MAX);
    machine_out(m, 0, PORT + 3, 2, 0);
    m->engine->get_state(m->vcpu[0].engine_vcpu, s);
    for (unsigned n = 0; n < 8; n++)
        g_assert_cmphex(s->gpr[n], ==, 0x1000 + n);
    machine_free(m);
}

/* Many bytes at once are as those bytes: the last one's registers stay. */
static void strings(void)
{
    g_autofree struct x86_state *s = g_new0(struct x86_state, 1);
    uint8_t said[] = {1, 2, 3, 0x5a}, got[3] = {0};
    struct machine *m = build(s);
    g_assert_false(machine_string(m, 0, PORT + 4, true, got, sizeof got));
    g_assert_false(machine_string(m, 0, 0x1f0, true, got, sizeof got));
    g_assert_cmpuint(got[0], ==, 0);
    g_assert_true(machine_string(m, 0, PORT + 3, false, said, sizeof said - 1));
    g_assert_true(machine_string(m, 0, PORT, false, said, sizeof said));
    m->engine->get_state(m->vcpu[0].engine_vcpu, s);
    g_assert_cmphex(s->gpr[X86_RBX], ==, 0x5a);
    g_assert_true(machine_string(m, 0, PORT, true, got, sizeof got));
    m->engine->get_state(m->vcpu[0].engine_vcpu, s);
    g_assert_cmphex(s->gpr[X86_RBX], ==, (uint32_t)~0x5a);
    const uint8_t expected[] = {0x01, 0x00, 0x01}; /* 1000h, and inverted, and again: plus 1 each */
    g_assert_cmpmem(got, sizeof got, expected, sizeof expected);
    machine_free(m);
}

static void any_ring(void)
{
    g_autofree struct x86_state *s = g_new0(struct x86_state, 1);
    struct machine *m = build(s);
    g_assert_true(machine_port_any_ring(m, PORT, 4));
    g_assert_true(machine_port_any_ring(m, PORT + 3, 1));
    g_assert_false(machine_port_any_ring(m, PORT + 1, 4));
    g_assert_false(machine_port_any_ring(m, PORT - 1, 1));
    g_assert_false(machine_port_any_ring(m, 0x70, 1));
    g_assert_false(machine_port_any_ring(m, 0xffff, 4));
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/port-calls/registers", registers);
    g_test_add_func("/port-calls/pieces", pieces);
    g_test_add_func("/port-calls/strings", strings);
    g_test_add_func("/port-calls/any-ring", any_ring);
    return g_test_run();
}
