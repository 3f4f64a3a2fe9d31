// SPDX-License-Identifier: GPL-2.0-or-later
/* The whole board as a guest's CPU reaches it: ports and addresses of any width anywhere, PCI configuration with absurd
 * base addresses, shadow RAM, the A20 gate, resets.  What the chips do with it is fuzz_device's; here it is the bus, the
 * address map and the interrupt wires between them.  No CPU runs, and time stands still. */
#include "core-vmm/machine/machine.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CPUS = 2, BARS = 8 };

struct bytes {
    const uint8_t *at;
    size_t left;
};
struct board {
    struct machine *machine;
    uint32_t bar[BARS]; /* written last: where it may be worth while to look */
    unsigned bars;
};

static uint64_t take(struct bytes *in, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n && in->left; i++, in->left--)
        v |= (uint64_t)*in->at++ << (8 * i);
    return v;
}

static struct machine *build(void)
{
    static const char ini[] =
        "[machine]\nmemory=16M\ncpus=2\nengine=interp\n[serial1]\ntarget=none\n[ide2]\nmedia=cdrom\n"
        "[floppy0]\n[debug-port]\ntarget=none\n[debug-exit]\n[testdev]\n[video]\nmemory=1M\n"
        "[testpci1]\n[testpci2]\nmodel=edu-msix\n";
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    g_key_file_load_from_data(file, ini, -1, G_KEY_FILE_NONE, NULL);
    struct machine *m = machine_new(file, "machine.ini", g_get_tmp_dir(), NULL, &error);
    if (!m || !machine_start(m, &error))
        g_error("%s", error->message);
    machine_pause(m);
    return m;
}

static uint16_t pick_port(struct bytes *in)
{
    static const uint16_t bases[] = {0x00,  0x20,  0x40,  0x60,   0x70,   0x80,   0xa0,   0xc0,
                                     0x170, 0x1f0, 0x3b0, 0x3c0,  0x3f0,  0x4d0,  0x510,  0xcf8,
                                     0x1ce, 0x402, 0x600, 0xae00, 0x5660, 0xc000, 0xe000, 0xfff0};
    uint8_t how = take(in, 1);
    if (how >= 240)
        return take(in, 2);
    return bases[(how >> 3) % G_N_ELEMENTS(bases)] + take(in, 1) % 32;
}

static uint64_t pick_address(struct board *b, struct bytes *in)
{
    static const uint32_t bases[] = {0,        0x9fff0,  0xa0000,   0xb8000,    0xc0000,    0xe0000,    0xffff0,
                                     0x100000, 0xfffff0, 0x1000000, 0xfec00000, 0xfee00000, 0xfffc0000, 0xfffffff0};
    uint8_t how = take(in, 1);
    if (how >= 240)
        return take(in, 8) & ((1ull << 52) - 1); /* no CPU model has more */
    if (how >= 160)
        return (b->bar[how % BARS] & ~15ull) + take(in, 3);
    return bases[how % G_N_ELEMENTS(bases)] + take(in, how & 64 ? 2 : 1);
}

static void pci_write(struct board *b, struct bytes *in)
{
    static const uint8_t slots[] = {0, 1, 2, 28, 29};
    uint16_t where = take(in, 2);
    uint8_t how = take(in, 1);
    unsigned slot = slots[(where >> 8 & 3) + (how & 4) / 4], function = where >> 10 & 3, offset = where & 0xff,
             size = 1u << how % 3;
    if (how & 0x80)
        offset = how & 0x40 ? 4 : 0x10 + (where & 0x1c);
    uint32_t value = take(in, size);
    function *= slot < 28;
    machine_out(b->machine, 0, 0xcf8, 4, 1u << 31 | slot << 11 | function << 8 | (offset & ~3u));
    machine_out(b->machine, 0, 0xcfc + (offset & 3), size, value);
    if (offset >= 0x10 && offset < 0x28)
        b->bar[b->bars++ % BARS] = machine_in(b->machine, 0, 0xcfc, 4);
}

static void settle(void)
{
    for (unsigned i = 0; i < 20 && g_main_context_iteration(NULL, FALSE); i++)
        ;
}

static void apic_msr(struct machine *m, unsigned cpu, struct bytes *in)
{
    uint8_t how = take(in, 1);
    uint32_t msr = how & 1 ? 0x1b : 0x800 + take(in, 1);
    uint64_t value = take(in, 4);
    machine_apic_msr(m, cpu, msr, &value, how & 2);
}

/* In, out at once, or out when the guest lets go. */
static void plug(struct machine *m, bool at_once)
{
    if (!machine_device(m, "testpci2"))
        machine_plug(m, "testpci2", NULL, NULL);
    else
        (at_once ? machine_unplug : machine_ask_unplug)(m, "testpci2", NULL);
}

static void step(struct board *b, struct bytes *in)
{
    struct machine *m = b->machine;
    uint8_t what = take(in, 1);
    unsigned size = 1u << (what & 3), cpu = what >> 2 & 1;
    if (what < 70)
        machine_out(m, cpu, pick_port(in), MIN(size, 4), take(in, MIN(size, 4)));
    else if (what < 110)
        machine_in(m, cpu, pick_port(in), MIN(size, 4));
    else if (what < 170)
        pci_write(b, in);
    else if (what < 210)
        machine_store(m, cpu, pick_address(b, in), size, take(in, size));
    else if (what < 240)
        machine_load(m, cpu, pick_address(b, in), size);
    else if (what < 246)
        apic_msr(m, cpu, in);
    else if (what < 249)
        machine_ack(m, cpu);
    else if (what < 252)
        machine_key(m, take(in, 1), what & 1);
    else if (what < 254)
        plug(m, what & 1);
    else
        settle();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine *m; /* building one takes longer than most inputs: it is kept until one stops it */
    struct bytes in = {data, size};
    if (m && machine_state(m) == MACHINE_STOPPED)
        g_clear_pointer(&m, machine_free);
    if (!m)
        m = build();
    machine_reset(m);
    settle();
    struct board b = {.machine = m};
    while (in.left)
        step(&b, &in);
    settle();
    return 0;
}
