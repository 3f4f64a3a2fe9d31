// SPDX-License-Identifier: GPL-2.0-or-later
/* test_lapic_state.c - local APICs that somebody else has saved, as KVM does: what of the register page the machine's own take,
 * that they save it as it came, and what cannot be.  Runs anywhere. */
#include "core-vmm/api/cpu.h"
#include "tests/core-vmm/state_edit.h"
#include <string.h>
#include <unistd.h>

enum { CPU = 1, BASE_AT = 0x400, DEADLINE_AT = 0x408, RAN_OUT_AT = 0x414, BYTES = 0x415 };
enum { ENABLE = 1 << 11, X2APIC = 1 << 10, BSP = 1 << 8, PAGE_ADDRESS = 0xfee00000 };
enum { ID = 0x20, SVR = 0xf0, ISR = 0x100, TMR = 0x180, IRR = 0x200, ICR = 0x300, TIMER = 0x320, LVT_END = 0x370 };
enum { INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0, NOTHING_MASKED = -1 };

static struct machine *new_machine(void)
{
    g_autoptr(GError) error = NULL;
    struct machine *m = state_machine("", &error);
    g_assert_no_error(error);
    return m;
}

static GPtrArray *saved_parts(struct machine *m)
{
    g_autoptr(GError) error = NULL;
    int fd = state_memfd("", 0);
    g_assert_true(machine_save(m, fd, NULL, &error));
    GPtrArray *parts = state_parts(fd);
    close(fd);
    return parts;
}

static GPtrArray *fresh_parts(void)
{
    struct machine *m = new_machine();
    GPtrArray *parts = saved_parts(m);
    machine_free(m);
    return parts;
}

static uint8_t *lapic_in(GPtrArray *parts)
{
    struct part *p = part_find(parts, "lapic 1");
    g_assert_cmpuint(p->bytes->len, ==, BYTES);
    return p->bytes->data;
}

static void put(uint8_t *l, unsigned at, uint32_t value)
{
    memcpy(l + at, &value, sizeof value);
}

static uint32_t get(const uint8_t *l, unsigned at)
{
    uint32_t value;
    memcpy(&value, l + at, sizeof value);
    return value;
}

static struct machine *restored(GPtrArray *parts, char **refusal)
{
    g_autoptr(GError) error = NULL;
    struct machine *m = new_machine();
    int fd = state_join(parts);
    bool good = machine_restore(m, fd, NULL, 0, &error);
    close(fd);
    if (refusal)
        *refusal = good ? NULL : g_strdup(error->message);
    else
        g_assert_no_error(error);
    return m;
}

static uint32_t seen(struct machine *m, unsigned at)
{
    return machine_load(m, CPU, PAGE_ADDRESS + at, 4);
}

/* What a guest could have in its registers, and what KVM keeps there beside. */
static void fill(uint8_t *l)
{
    for (unsigned at = 0; at < 0x400; at += 0x10)
        put(l, at, (uint32_t)g_test_rand_int());
    put(l, ID, CPU << 24);
    put(l, INITIAL, get(l, INITIAL) | 1);
    put(l, CURRENT, 1 + (uint32_t)g_test_rand_int() % get(l, INITIAL));
    put(l, TIMER, get(l, TIMER) & ~(1u << 18)); /* TSC deadline has no count */
    put(l, ICR, get(l, ICR) & ~(1u << 12));
    put(l, ISR, get(l, ISR) & ~0xffffu);
    put(l, TMR, get(l, TMR) & ~0xffffu);
    put(l, IRR, get(l, IRR) & ~0xffffu);
}

static void same(struct machine *m, const uint8_t *l)
{
    static const struct {
        unsigned at, to;
        uint32_t bits;
    } registers[] = {{ID, ID, NOTHING_MASKED},     {0x80, 0x80, 0xff},
                     {0xd0, 0xd0, 0xff000000},     {SVR, SVR, 0x13ff},
                     {ISR, 0x270, NOTHING_MASKED}, /* ISR, TMR, IRR */
                     {ICR, ICR, 0xccfff},          {0x310, 0x310, 0xff000000},
                     {TIMER, TIMER, 0x300ff},      {0x350, 0x360, 0x1a7ff}, /* LINT0, LINT1 */
                     {LVT_END, LVT_END, 0x100ff},  {INITIAL, CURRENT, NOTHING_MASKED},
                     {DIVIDE, DIVIDE, 0xb}};
    for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++)
        for (unsigned at = registers[i].at; at <= registers[i].to; at += 0x10)
            if (seen(m, at) != (get(l, at) & registers[i].bits))
                g_error("register %03x was %08x, and is %08x", at, get(l, at) & registers[i].bits, seen(m, at));
}

static void test_random(void)
{
    g_autoptr(GPtrArray) parts = fresh_parts();
    for (unsigned round = 0; round < 30; round++) {
        uint8_t *l = lapic_in(parts);
        fill(l);
        struct machine *m = restored(parts, NULL);
        same(m, l);
        g_autoptr(GPtrArray) once = saved_parts(m);
        struct machine *other = restored(once, NULL);
        g_autoptr(GPtrArray) twice = saved_parts(other);
        g_assert_cmpmem(lapic_in(once), BYTES, lapic_in(twice), BYTES);
        machine_free(m);
        machine_free(other);
    }
}

/* A one-shot count that stands at 0: has its interrupt been given? */
static void one_shot(bool ran_out, bool comes)
{
    enum { VECTOR = 0x51 };
    g_autoptr(GPtrArray) parts = fresh_parts();
    uint8_t *l = lapic_in(parts);
    put(l, SVR, 0x1ff);
    put(l, TIMER, VECTOR);
    put(l, INITIAL, 1000);
    put(l, CURRENT, 0);
    l[RAN_OUT_AT] = ran_out;
    struct machine *m = restored(parts, NULL);
    g_assert_cmpuint(seen(m, IRR + VECTOR / 32 * 0x10) >> VECTOR % 32 & 1, ==, comes);
    g_assert_cmpuint(seen(m, CURRENT), ==, 0);
    g_assert_cmpint(machine_ack(m, CPU), ==, comes ? VECTOR : -1);
    machine_free(m);
}

static void test_one_shot(void)
{
    one_shot(false, true);
    one_shot(true, false);
}

static void test_deadline(void)
{
    enum { VECTOR = 0x52, DEADLINE_MODE = 1 << 18, MSR_TSC_DEADLINE = 0x6e0 };
    uint64_t deadline = 1ull << 50, seen_deadline = 0;
    g_autoptr(GPtrArray) parts = fresh_parts();
    uint8_t *l = lapic_in(parts);
    put(l, SVR, 0x1ff);
    put(l, TIMER, VECTOR | DEADLINE_MODE);
    memcpy(l + DEADLINE_AT, &deadline, sizeof deadline);
    struct machine *m = restored(parts, NULL);
    g_assert_true(machine_apic_msr(m, CPU, MSR_TSC_DEADLINE, &seen_deadline, false));
    g_assert_cmpuint(seen_deadline, ==, deadline);
    g_assert_cmpint(machine_ack(m, CPU), ==, -1);
    machine_free(m);
}

static void test_bases(void)
{
    static const uint64_t wrong[] = {PAGE_ADDRESS | X2APIC, PAGE_ADDRESS | ENABLE | BSP, PAGE_ADDRESS | ENABLE | 1,
                                     1ull << 52 | ENABLE},
                          right[] = {PAGE_ADDRESS | ENABLE, PAGE_ADDRESS, PAGE_ADDRESS | ENABLE | X2APIC};
    g_autoptr(GPtrArray) parts = fresh_parts();
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong) + G_N_ELEMENTS(right); i++) {
        bool is_wrong = i < G_N_ELEMENTS(wrong);
        const uint64_t *base = is_wrong ? &wrong[i] : &right[i - G_N_ELEMENTS(wrong)];
        g_autofree char *refusal = NULL;
        memcpy(lapic_in(parts) + BASE_AT, base, sizeof *base);
        struct machine *m = restored(parts, &refusal);
        g_assert_cmpstr(refusal, ==,
                        is_wrong ? "The saved state has a value in a CPU's IA32_APIC_BASE that no CPU can have" : NULL);
        machine_free(m);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/lapic-state/random", test_random);
    g_test_add_func("/core/lapic-state/one-shot", test_one_shot);
    g_test_add_func("/core/lapic-state/deadline", test_deadline);
    g_test_add_func("/core/lapic-state/bases", test_bases);
    return g_test_run();
}
