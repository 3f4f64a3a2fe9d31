// SPDX-License-Identifier: GPL-2.0-or-later
/* PCI as a guest finds it on the real board, with the test function (devices/debug/edu.c) in it: capabilities, base address
 * registers, interrupts by line and by message, slots and models.  No CPU runs. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/device_models.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/machine/core.h"
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

enum {
    COMMAND = 4,
    BAR0_AT = 0x10,
    BAR2_AT = 0x18,
    BAR4_AT = 0x20,
    ROM_AT = 0x30,
    MEMORY_ON = 2,
    MASTER = 4,
    INTX_OFF = 0x400
};
enum {
    REGISTERS_AT = 0xe0000000,
    TABLE_AT = 0xe1000000,
    ROM_BASE = 0xe2000000,
    RAISE = 0x60,
    ACK = 0x64,
    MESSAGE = 0x68
};
enum { SPURIOUS = 0xf0, IRR = 0x200, FIRST = 28, SECOND = 29 };
#define APIC 0xfee00000u
#define HIGH 0x123400000ull /* above 4 GiB */

static GKeyFile *settings(const char *more)
{
    GKeyFile *file = g_key_file_new();
    g_autofree char *ini = g_strconcat("[machine]\nmemory=16M\nengine=interp\n[video]\nmemory=1M\n", more, NULL);
    g_assert_true(g_key_file_load_from_data(file, ini, -1, G_KEY_FILE_NONE, NULL));
    return file;
}

static struct machine *build(const char *more)
{
    g_autoptr(GKeyFile) file = settings(more);
    g_autoptr(GError) error = NULL;
    struct machine *m = machine_new(file, "machine.ini", g_get_tmp_dir(), NULL, &error);
    g_assert_no_error(error);
    machine_store(m, 0, APIC + SPURIOUS, 4, 0x1ff); /* the local APIC on */
    return m;
}

static uint32_t config(struct machine *m, unsigned slot, unsigned at, unsigned size)
{
    machine_out(m, 0, 0xcf8, 4, 1u << 31 | slot << 11 | (at & 0xfc));
    return machine_in(m, 0, 0xcfc + (at & 3), size);
}

static void set_config(struct machine *m, unsigned slot, unsigned at, unsigned size, uint32_t value)
{
    machine_out(m, 0, 0xcf8, 4, 1u << 31 | slot << 11 | (at & 0xfc));
    machine_out(m, 0, 0xcfc + (at & 3), size, value);
}

static unsigned capability(struct machine *m, unsigned slot, unsigned id)
{
    unsigned at = config(m, slot, 0x34, 1);
    for (unsigned most = 48; at && most; most--, at = config(m, slot, at + 1, 1))
        if (config(m, slot, at, 1) == id)
            return at;
    return 0;
}

/* The function's regions where the tests look for them. */
static void place(struct machine *m, unsigned slot, uint32_t registers)
{
    set_config(m, slot, BAR0_AT, 4, registers);
    set_config(m, slot, COMMAND, 2, MEMORY_ON | MASTER);
}

static bool requested(struct machine *m, unsigned vector)
{
    return machine_load(m, 0, APIC + IRR + vector / 32 * 16, 4) >> vector % 32 & 1;
}

static bool take(struct machine *m, unsigned vector) /* was it requested?  Then it is over now. */
{
    if (!requested(m, vector))
        return false;
    g_assert_cmpint(machine_ack(m, 0), ==, vector);
    machine_store(m, 0, APIC + 0xb0, 4, 0);
    return true;
}

/* The machine goes on with that code, in real mode with 4 GiB segments, in place of the firmware. */
static void start(struct machine *m, const uint8_t *code, const uint8_t *end)
{
    g_autofree struct x86_state *s = g_new0(struct x86_state, 1);
    for (const uint8_t *c = code; c < end; c++)
        machine_store(m, 0, 0x1000 + (c - code), 1, *c);
    x86_state_reset(s, true);
    for (unsigned i = 0; i < X86_SEGS; i++) {
        s->seg[i].selector = s->seg[i].base = 0;
        s->seg[i].limit = i == X86_CS ? 0xffff : UINT32_MAX;
    }
    s->rip = 0x1000;
    m->engine->set_state(m->vcpu[0].engine_vcpu, s);
    machine_start(m, NULL);
}

static void start_and_stand(struct machine *m)
{
    static const uint8_t halt[] = {0xfa, 0xf4};
    start(m, halt, halt + sizeof halt);
    machine_pause(m);
}

/* ---- slots and models ---- */

static void models(void)
{
    struct machine *m = build("[testpci1]\n[testpci2]\nmodel=edu-msix\n[testpci4]\nslot=9\n");
    g_assert_cmphex(config(m, FIRST, 0, 4), ==, 0x11e81234);
    g_assert_cmphex(config(m, SECOND, 0, 4), ==, 0x11e91234);
    g_assert_cmphex(config(m, 30, 0, 4), ==, UINT32_MAX);
    g_assert_cmphex(config(m, 31, 0, 4), ==, UINT32_MAX);
    g_assert_cmphex(config(m, 9, 0, 4), ==, 0x11e81234);
    place(m, FIRST, REGISTERS_AT);
    place(m, SECOND, REGISTERS_AT + 0x100000);
    machine_store(m, 0, REGISTERS_AT + 4, 4, 1);
    machine_store(m, 0, REGISTERS_AT + 0x100004, 4, 2);
    g_assert_cmphex(machine_load(m, 0, REGISTERS_AT + 4, 4), ==, ~1u);
    g_assert_cmphex(machine_load(m, 0, REGISTERS_AT + 0x100004, 4), ==, ~2u);
    machine_free(m);
}

static void same_slot(void)
{
    g_autoptr(GKeyFile) file = settings("[testpci1]\n[testpci2]\nslot=28\n");
    g_autoptr(GError) error = NULL;
    g_assert_null(machine_new(file, "machine.ini", g_get_tmp_dir(), NULL, &error));
    g_assert_cmpstr(error->message, ==,
                    "machine.ini: [testpci2]: PCI slot 28 is testpci1's; give one of them another by slot=");
}

static void unknown_model(void)
{
    g_autoptr(GKeyFile) file = settings("[testpci1]\nmodel=edo\n");
    g_autoptr(GError) error = NULL;
    g_assert_false(schema_check_file(file, "machine.ini", &error));
    g_assert_cmpstr(error->message, ==, "machine.ini: [testpci1] model = edo: must be one of edu, edu-msix");
}

/* A section of the class; with an image, if it is a drive. */
static char *section_lines(const char *section, const char *model, const char *image)
{
    const char *file = schema_find(section, "file", NULL) ? "file=" : "";
    bool choice = schema_find(section, "model", NULL);
    return g_strdup_printf("[%s]\n%s%s\n%s%s\n", section, choice ? "model=" : "", choice ? model : "", file,
                           *file ? image : "");
}

/* Every model that the schema offers can be built, the default is the same in both, and no two classes share a slot. */
static void every_model(void)
{
    uint32_t slots = 0;
    g_autofree char *image = g_build_filename(g_get_tmp_dir(), "test-pci-XXXXXX", NULL);
    int fd = g_mkstemp(image);
    g_assert_true(fd >= 0 && !ftruncate(fd, 1 << 20) && !close(fd));
    for (const struct device_class *k = device_classes; k->section; k++) {
        uint32_t own = ((1u << (k->together ? 1 : MAX(k->count, 1))) - 1) << k->slot;
        g_assert_cmphex(slots & own, ==, 0);
        slots |= own;
        g_autofree char *section = k->count ? g_strdup_printf("%s%u", k->section, k->first) : g_strdup(k->section);
        const char *chooser = k->together ? k->together : section; /* has the key `model` */
        if (k->models[1])
            g_assert_cmpstr(schema_find(chooser, "model", NULL)->otherwise, ==, k->models[0]);
        for (const char *const *model = k->models; *model; model++) {
            g_autofree char *lines = section_lines(section, *model, image);
            g_autofree char *ini = k->together && k->models[1]
                                       ? g_strdup_printf("%s[%s]\nmodel=%s\n", lines, chooser, *model)
                                       : g_strdup(lines);
            struct machine *m = build(ini);
            struct device *d = machine_device(m, k->together ? k->together : section);
            g_assert_cmpstr(d->ops->name, ==, *model);
            bool on_board = d->core->wiring.slot == 1; /* UHCI is part of the PIIX3 */
            g_assert_true(on_board || config(m, k->slot, 0, 4) != UINT32_MAX);
            g_assert_true(m->pci_slot[d->core->wiring.slot << 3 | d->core->wiring.function] == d);
            machine_free(m);
        }
    }
    g_remove(image);
}

/* ---- configuration space ---- */

static void capabilities(void)
{
    struct machine *m = build("[testpci1]\n[testpci2]\nmodel=edu-msix\n");
    g_assert_cmphex(config(m, 0, 0x34, 1), ==, 0); /* as ever */
    g_assert_cmphex(config(m, 0, 6, 2) & 0x10, ==, 0);
    g_assert_cmphex(config(m, FIRST, 6, 2) & 0x10, ==, 0x10);
    g_assert_cmphex(capability(m, FIRST, PCI_CAP_MSI), ==, 0x40);
    g_assert_cmphex(config(m, FIRST, 0x42, 2), ==, 0x80);
    g_assert_cmphex(capability(m, SECOND, PCI_CAP_MSIX), ==, 0x40);
    g_assert_cmphex(config(m, SECOND, 0x40, 4) >> 16, ==, 4);
    g_assert_cmphex(config(m, SECOND, 0x44, 4), ==, 4);
    g_assert_cmphex(config(m, SECOND, 0x48, 4), ==, 0x804);
    g_assert_cmphex(capability(m, SECOND, PCI_CAP_VENDOR), ==, 0x4c);
    g_assert_cmphex(capability(m, SECOND, PCI_CAP_MSI), ==, 0xa0);
    g_assert_cmphex(config(m, SECOND, 0xa2, 2), ==, 0x184);
    /* what the function lets be written, and nothing else */
    set_config(m, SECOND, 0x4c, 4, UINT32_MAX);
    set_config(m, SECOND, 0x50, 4, UINT32_MAX);
    g_assert_cmphex(config(m, SECOND, 0x4c, 4), ==, 0xed08a009);
    g_assert_cmphex(config(m, SECOND, 0x50, 4), ==, 0xffff0001);
    set_config(m, SECOND, 0xa2, 2, 0xffff);
    g_assert_cmphex(config(m, SECOND, 0xa2, 2), ==, 0x1f5);
    machine_free(m);
}

static void wide_bar(void)
{
    struct machine *m = build("[testpci2]\nmodel=edu-msix\n");
    g_assert_cmphex(config(m, SECOND, BAR2_AT, 4), ==, 0xc);
    set_config(m, SECOND, BAR2_AT, 4, UINT32_MAX);
    set_config(m, SECOND, BAR2_AT + 4, 4, UINT32_MAX);
    g_assert_cmphex(config(m, SECOND, BAR2_AT, 4), ==, 0xffff000c);
    g_assert_cmphex(config(m, SECOND, BAR2_AT + 4, 4), ==, UINT32_MAX);
    set_config(m, SECOND, BAR2_AT, 4, (uint32_t)HIGH);
    set_config(m, SECOND, BAR2_AT + 4, 4, HIGH >> 32);
    g_assert_cmphex(machine_load(m, 0, HIGH, 8), ==, UINT64_MAX);
    set_config(m, SECOND, COMMAND, 2, MEMORY_ON);
    machine_store(m, 0, HIGH + 0xfff8, 8, 0x1122334455667788);
    g_assert_cmphex(machine_load(m, 0, HIGH + 0xfff8, 8), ==, 0x1122334455667788);
    g_assert_cmphex(machine_load(m, 0, HIGH + 0x10000, 8), ==, UINT64_MAX);
    uint64_t firmware = machine_load(m, 0, 0xfffffff0, 8);
    set_config(m, SECOND, BAR2_AT + 4, 4,
               0); /* being sized with memory on, one half after the other: not over the ROM */
    set_config(m, SECOND, BAR2_AT, 4, UINT32_MAX);
    g_assert_cmphex(machine_load(m, 0, 0xfffffff0, 8), ==, firmware);
    set_config(m, SECOND, BAR2_AT, 4, (uint32_t)HIGH);
    set_config(m, SECOND, BAR2_AT + 4, 4,
               0x80000000); /* no host maps that; it is nowhere then, and nothing else happens */
    g_assert_cmphex(machine_load(m, 0, 0x8000000023400000, 8), ==, UINT64_MAX);
    g_assert_false(m->pending.stop);
    machine_free(m);
}

static void rom(void)
{
    struct machine *m = build("[testpci2]\nmodel=edu-msix\n");
    set_config(m, SECOND, ROM_AT, 4, 0xfffffffe);
    g_assert_cmphex(config(m, SECOND, ROM_AT, 4), ==, 0xfffff000);
    set_config(m, SECOND, ROM_AT, 4, ROM_BASE);
    set_config(m, SECOND, COMMAND, 2, MEMORY_ON);
    g_assert_cmphex(machine_load(m, 0, ROM_BASE, 2), ==, 0xffff);
    set_config(m, SECOND, ROM_AT, 4, ROM_BASE | 1);
    machine_store(m, 0, ROM_BASE, 2, 0);
    g_assert_cmphex(machine_load(m, 0, ROM_BASE, 2), ==, 0xaa55);
    uint8_t sum = 0;
    for (unsigned i = 0; i < 4096; i++)
        sum += machine_load(m, 0, ROM_BASE + i, 1);
    g_assert_cmpuint(sum, ==, 0);
    machine_free(m);
}

/* ---- interrupts ---- */

/* Slots 28 and 8 share the router's last input; it leads to IRQ 11, and the second 8259A shows what is requested. */
static bool irq11(struct machine *m)
{
    machine_out(m, 0, 0xa0, 1, 0x0a);
    return machine_in(m, 0, 0xa0, 1) >> 3 & 1;
}

static void lines(void)
{
    struct machine *m = build("[testpci1]\n[testpci2]\nslot=8\n");
    place(m, FIRST, REGISTERS_AT);
    place(m, 8, REGISTERS_AT + 0x100000);
    machine_out(m, 0, 0x4d1, 1, 8);        /* level-triggered */
    set_config(m, 1, 0x60, 4, 0x0b0b0b0b); /* all four to IRQ 11 */
    g_assert_false(irq11(m));
    machine_store(m, 0, REGISTERS_AT + RAISE, 4, 1);
    g_assert_true(irq11(m));
    g_assert_cmphex(config(m, FIRST, 6, 2) & 8, ==, 8);
    machine_store(m, 0, REGISTERS_AT + 0x100000 + RAISE, 4, 1);
    machine_store(m, 0, REGISTERS_AT + ACK, 4, 1);
    g_assert_true(irq11(m)); /* the other one holds it */
    g_assert_cmphex(config(m, FIRST, 6, 2) & 8, ==, 0);
    set_config(m, 8, COMMAND, 2, MEMORY_ON | MASTER | INTX_OFF);
    g_assert_false(irq11(m));
    g_assert_cmphex(config(m, 8, 6, 2) & 8, ==, 8);
    set_config(m, 8, COMMAND, 2, MEMORY_ON | MASTER);
    g_assert_true(irq11(m));
    machine_store(m, 0, REGISTERS_AT + 0x100000 + ACK, 4, 1);
    g_assert_false(irq11(m));
    machine_free(m);
}

static void set_msi(struct machine *m, unsigned slot, uint64_t address, uint16_t data, uint16_t control)
{
    unsigned at = capability(m, slot, PCI_CAP_MSI);
    set_config(m, slot, at + 4, 4, address);
    set_config(m, slot, at + 8, 4, address >> 32);
    set_config(m, slot, at + 12, 2, data);
    set_config(m, slot, at + 2, 2, control);
}

static void msi(void)
{
    struct machine *m = build("[testpci1]\n[testpci2]\nmodel=edu-msix\n");
    unsigned at = capability(m, SECOND, PCI_CAP_MSI);
    place(m, FIRST, REGISTERS_AT);
    place(m, SECOND, REGISTERS_AT + 0x100000);
    set_config(m, 1, 0x60, 4, 0x0b0b0b0b);
    machine_out(m, 0, 0x4d1, 1, 8);
    set_msi(m, FIRST, APIC, 0x51, 1);
    machine_store(m, 0, REGISTERS_AT + RAISE, 4, 1);
    g_assert_true(take(m, 0x51));
    g_assert_false(irq11(m)); /* the line stays down */
    set_msi(m, FIRST, APIC, 0x51, 0);
    g_assert_true(irq11(m));
    /* four messages; with two enabled, the number is cut */
    set_msi(m, SECOND, APIC, 0x61, 0x21);
    for (unsigned n = 0; n < 4; n++) {
        machine_store(m, 0, REGISTERS_AT + 0x100000 + MESSAGE, 4, n);
        g_assert_true(take(m, 0x60 + n));
    }
    set_msi(m, SECOND, APIC, 0x60, 0x11);
    machine_store(m, 0, REGISTERS_AT + 0x100000 + MESSAGE, 4, 3);
    g_assert_true(take(m, 0x61));
    set_msi(m, SECOND, APIC, 0x60, 0x71); /* more than there are */
    machine_store(m, 0, REGISTERS_AT + 0x100000 + MESSAGE, 4, 31);
    g_assert_true(take(m, 0x63));
    /* masked: it waits, and comes once */
    set_config(m, SECOND, at + 16, 4, 4);
    machine_store(m, 0, REGISTERS_AT + 0x100000 + MESSAGE, 4, 2);
    machine_store(m, 0, REGISTERS_AT + 0x100000 + MESSAGE, 4, 2);
    g_assert_false(requested(m, 0x62));
    g_assert_cmphex(config(m, SECOND, at + 20, 4), ==, 4);
    set_config(m, SECOND, at + 16, 4, 0);
    g_assert_cmphex(config(m, SECOND, at + 20, 4), ==, 0);
    g_assert_true(take(m, 0x62));
    g_assert_false(requested(m, 0x62));
    machine_free(m);
}

/* To another address than the local APICs' it is a write; without bus mastering it is nothing. */
static void msi_elsewhere(void)
{
    struct machine *m = build("[testpci1]\n");
    place(m, FIRST, REGISTERS_AT);
    machine_store(m, 0, 0x5000, 8, 0);
    set_msi(m, FIRST, 0x5000, 0xbeef, 1);
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, 0);
    g_assert_cmphex(machine_load(m, 0, 0x5000, 8), ==, 0xbeef);
    set_msi(m, FIRST, 0x700000000, 0xbeef, 1); /* nobody there */
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, 0);
    set_msi(m, FIRST, REGISTERS_AT + RAISE, 1, 1); /* itself: no device hears it */
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, 0);
    g_assert_cmphex(machine_load(m, 0, REGISTERS_AT + 0x24, 4), ==, 0);
    set_msi(m, FIRST, APIC, 0x55, 1);
    set_config(m, FIRST, COMMAND, 2, MEMORY_ON);
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, 0);
    g_assert_false(requested(m, 0x55));
    machine_free(m);
}

static void set_entry(struct machine *m, unsigned n, uint32_t vector, uint32_t masked)
{
    uint64_t at = TABLE_AT + n * 16;
    machine_store(m, 0, at, 8, APIC);
    machine_store(m, 0, at + 8, 8, vector | (uint64_t)masked << 32);
}

static void msix(void)
{
    struct machine *m = build("[testpci2]\nmodel=edu-msix\n");
    unsigned at = capability(m, SECOND, PCI_CAP_MSIX);
    place(m, SECOND, REGISTERS_AT);
    set_config(m, SECOND, BAR4_AT, 4, TABLE_AT);
    g_assert_cmphex(machine_load(m, 0, TABLE_AT + 12, 4), ==, 1); /* masked after reset */
    for (unsigned n = 0; n < 5; n++)
        set_entry(m, n, 0x70 + n, 0);
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, 1);
    g_assert_false(requested(m, 0x71)); /* off */
    set_config(m, SECOND, at + 2, 2, 0x8000);
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, 4);
    g_assert_true(take(m, 0x74));
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, 5); /* there is none */
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, UINT32_MAX);
    /* one masked, then all masked */
    set_entry(m, 3, 0x73, 1);
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, 3);
    g_assert_cmphex(machine_load(m, 0, TABLE_AT + 0x800, 8), ==, 8);
    machine_store(m, 0, TABLE_AT + 0x800, 8, UINT64_MAX); /* read-only */
    g_assert_cmphex(machine_load(m, 0, TABLE_AT + 0x800, 8), ==, 8);
    set_config(m, SECOND, at + 2, 2, 0xc000);
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, 0);
    g_assert_cmphex(machine_load(m, 0, TABLE_AT + 0x800, 8), ==, 9);
    g_assert_false(requested(m, 0x70));
    set_config(m, SECOND, at + 2, 2, 0x8000);
    g_assert_true(take(m, 0x70));
    g_assert_false(requested(m, 0x73));
    machine_store(m, 0, TABLE_AT + 3 * 16 + 12, 1, 0); /* a byte is enough */
    g_assert_true(take(m, 0x73));
    g_assert_cmphex(machine_load(m, 0, TABLE_AT + 0x800, 8), ==, 0);
    machine_free(m);
}

/* Any width anywhere in the table's page: what was written comes back, but for what is fixed, and nothing beyond. */
static void msix_any_width(void)
{
    struct machine *m = build("[testpci2]\nmodel=edu-msix\n");
    uint8_t model[80] = {0};
    place(m, SECOND, REGISTERS_AT);
    set_config(m, SECOND, BAR4_AT, 4, TABLE_AT);
    for (unsigned n = 0; n < 5; n++)
        model[n * 16 + 12] = 1;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned size = 1u << g_test_rand_int_range(0, 4), at = g_test_rand_int_range(0, 4096 - 8);
        uint64_t v = (uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int(), want = 0;
        machine_store(m, 0, TABLE_AT + at, size, v);
        for (unsigned i = 0; i < size && at + i < sizeof model; i++)
            model[at + i] = (v >> i * 8 & 0xff) & ((at + i) % 16 == 0   ? 0xfc
                                                   : (at + i) % 16 < 12 ? 0xff
                                                                        : (at + i) % 16 == 12);
        at = g_test_rand_int_range(0, 4096 - 8);
        for (unsigned i = 0; i < size && at + i < sizeof model; i++)
            want |= (uint64_t)model[at + i] << i * 8;
        g_assert_cmphex(machine_load(m, 0, TABLE_AT + at, size), ==, want);
    }
    machine_free(m);
}

static void after_reset(void)
{
    struct machine *m = build("[testpci2]\nmodel=edu-msix\n");
    g_autofree uint8_t *before = g_memdup2(machine_device(m, "testpci2")->core->pci_config, 256);
    place(m, SECOND, REGISTERS_AT);
    set_config(m, SECOND, BAR4_AT, 4, TABLE_AT);
    for (unsigned at = 0x10; at < 256; at += 4)
        if (at != BAR4_AT)
            set_config(m, SECOND, at, 4, UINT32_MAX);
    set_entry(m, 0, 0x70, 0);
    machine_store(m, 0, REGISTERS_AT + MESSAGE, 4, 1);
    start_and_stand(m);
    machine_reset(m);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    before[0xc] = before[0xd] = machine_device(m, "testpci2")->core->pci_config[0xc]; /* scratch */
    g_assert_cmpmem(machine_device(m, "testpci2")->core->pci_config, 256, before, 256);
    set_config(m, SECOND, BAR4_AT, 4, TABLE_AT);
    set_config(m, SECOND, COMMAND, 2, MEMORY_ON);
    g_assert_cmphex(machine_load(m, 0, TABLE_AT, 8), ==, 0);
    g_assert_cmphex(machine_load(m, 0, TABLE_AT + 12, 4), ==, 1);
    machine_free(m);
}

/* ---- DMA ---- */

static void wait_for_timer(struct machine *m)
{
    clock_go(m->clock);
    g_usleep(1000);
    clock_run(m->clock);
    clock_stand(m->clock);
}

static void dma(void)
{
    struct machine *m = build("[testpci1]\n");
    place(m, FIRST, REGISTERS_AT);
    machine_store(m, 0, 0x6000, 8, 0x0102030405060708);
    machine_store(m, 0, REGISTERS_AT + 0x80, 8, 0x6000);
    machine_store(m, 0, REGISTERS_AT + 0x88, 8, 0x40ff8);
    machine_store(m, 0, REGISTERS_AT + 0x90, 8, 8);
    machine_store(m, 0, REGISTERS_AT + 0x98, 8, 1);
    g_assert_cmphex(machine_load(m, 0, REGISTERS_AT + 0x98, 4), ==, 1);
    wait_for_timer(m);
    g_assert_cmphex(machine_load(m, 0, REGISTERS_AT + 0x98, 4), ==, 0);
    machine_store(m, 0, REGISTERS_AT + 0x80, 8, 0x40ff8);
    machine_store(m, 0, REGISTERS_AT + 0x88, 8, 0x7000);
    machine_store(m, 0, REGISTERS_AT + 0x98, 8, 7);
    wait_for_timer(m);
    g_assert_cmphex(machine_load(m, 0, 0x7000, 8), ==, 0x0102030405060708);
    g_assert_cmphex(machine_load(m, 0, REGISTERS_AT + 0x24, 4), ==, 0x100);
    machine_store(m, 0, REGISTERS_AT + 0x90, 8, UINT64_MAX); /* not its buffer's, nor RAM */
    machine_store(m, 0, REGISTERS_AT + 0x98, 8, 3);
    wait_for_timer(m);
    g_assert_cmphex(machine_load(m, 0, 0x7000, 8), ==, 0x0102030405060708);
    machine_free(m);
}

/* ---- hot plug ---- */

static void reasons(void)
{
    struct machine *m = build("[testpci2]\nslot=28\n[testpci3]\n");
    static const struct {
        bool plug;
        const char *section, *why;
    } row[] = {
        {true, "testpci2", "[testpci2]: it is plugged in already"},
        {true, "testpci1", "machine.ini: [testpci1]: PCI slot 28 is testpci2's; give one of them another by slot="},
        {true, "video2", "machine.ini: [video2] is no PCI function that can be added"},
        {false, "testpci1", "[testpci1]: it is not plugged in"},
        {false, "video", "[video]: it is soldered to the board"},
    };
    start_and_stand(m);
    for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(row[i].plug ? machine_plug(m, row[i].section, NULL, &error)
                                   : machine_unplug(m, row[i].section, &error));
        g_assert_cmpstr(error->message, ==, row[i].why);
    }
    machine_free(m);
}

/* What it held up and what was mapped goes with it; another finds a clean place, and no memory is lost. */
static void come_and_go(void)
{
    struct machine *m = build("[testpci2]\nmodel=edu-msix\n");
    start_and_stand(m);
    set_config(m, 1, 0x60, 4, 0x0b0b0b0b);
    machine_out(m, 0, 0x4d1, 1, 8);
    uint64_t used = m->memory.used;
    for (unsigned round = 0; round < 100; round++) {
        place(m, SECOND, REGISTERS_AT);
        set_config(m, SECOND, BAR2_AT + 4, 4, 1);
        g_assert_cmphex(machine_load(m, 0, 0x100000000, 8), ==, 0);
        machine_store(m, 0, 0x100000000, 8, round + 1);
        machine_store(m, 0, REGISTERS_AT + RAISE, 4, 1);
        machine_store(m, 0, REGISTERS_AT + 0x98, 4, 1);
        g_assert_true(irq11(m));
        g_assert_true(machine_unplug(m, "testpci2", NULL));
        g_assert_false(irq11(m));
        g_assert_cmphex(config(m, SECOND, 0, 4), ==, UINT32_MAX);
        g_assert_cmphex(machine_load(m, 0, REGISTERS_AT, 4), ==, UINT32_MAX);
        g_assert_cmphex(machine_load(m, 0, 0x100000000, 8), ==, UINT64_MAX);
        wait_for_timer(m);
        g_assert_true(machine_plug(m, "testpci2", NULL, NULL));
        g_assert_cmphex(config(m, SECOND, COMMAND, 2), ==, 0);
    }
    g_assert_cmphex(m->memory.used, ==, used);
    machine_free(m);
}

static void settle_wishes(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* Is the hot-plug event up?  It is taken down. */
static bool hotplug_event(struct machine *m)
{
    bool up = machine_in(m, 0, 0x60c, 2) & 2;
    machine_out(m, 0, 0x60c, 2, 2);
    return up;
}

enum { CAME = 0xae00, WANTED = 0xae04, EJECT = 0xae08, REMOVABLE = 0xae0c };

/* What the DSDT sees: functions that come, that are wanted back, and what it writes when the guest has let go. */
static void told_to_the_guest(void)
{
    struct machine *m = build("[testpci1]\n");
    g_autoptr(GKeyFile) settings = g_key_file_new();
    start_and_stand(m);
    machine_out(m, 0, 0xcf8, 4, 0x80000b40);
    machine_out(m, 0, 0xcfc, 4, 0x600);
    machine_out(m, 0, 0xcf8, 4, 0x80000b80);
    machine_out(m, 0, 0xcfc, 4, 1);
    g_assert_cmphex(machine_in(m, 0, REMOVABLE, 4), ==, 0xfffffff8);
    g_assert_false(hotplug_event(m));
    /* asked for, let go of */
    g_assert_true(machine_ask_unplug(m, "testpci1", NULL));
    g_assert_true(hotplug_event(m));
    g_assert_cmphex(machine_in(m, 0, CAME, 4), ==, 0);
    g_assert_cmphex(machine_in(m, 0, WANTED, 4), ==, 1 << 28);
    settle_wishes();
    g_assert_nonnull(machine_device(m, "testpci1"));
    machine_out(m, 0, EJECT, 4, 1 << 28);
    settle_wishes();
    g_assert_null(machine_device(m, "testpci1"));
    g_assert_cmphex(machine_in(m, 0, WANTED, 4), ==, 0);
    /* another one, elsewhere, by settings that are remembered */
    g_key_file_set_string(settings, "testpci1", "model", "edu-msix");
    g_key_file_set_string(settings, "testpci1", "slot", "20");
    for (unsigned round = 0; round < 2; round++) {
        g_assert_true(machine_plug(m, "testpci1", round ? NULL : settings, NULL));
        g_assert_true(hotplug_event(m));
        g_assert_cmphex(machine_in(m, 0, CAME, 4), ==, 1 << 20);
        g_assert_cmphex(machine_in(m, 0, CAME, 4), ==, 0);
        g_assert_cmpstr(m->pci_slot[20 << 3]->ops->name, ==, "edu-msix");
        machine_out(m, 0, EJECT, 4, UINT32_MAX); /* unasked; what is soldered stays */
        settle_wishes();
        g_assert_null(m->pci_slot[20 << 3]);
        g_assert_nonnull(m->pci_slot[2 << 3]);
    }
    /* asked for, and the guest is reset: it goes */
    g_assert_true(machine_plug(m, "testpci1", NULL, NULL));
    g_assert_true(machine_ask_unplug(m, "testpci1", NULL));
    machine_reset(m);
    settle_wishes();
    g_assert_null(machine_device(m, "testpci1"));
    g_assert_cmphex(machine_in(m, 0, WANTED, 4), ==, 0);
    machine_free(m);
}

/* A guest that sets up the function, lets it work, and looks whether it is there: again and again, with 4 GiB segments in
 * real mode. */
__asm__(".pushsection .rodata\nhotplug_code:\n.code16\n"
        "1: mov $0xcf8, %dx\n mov $0x8000e004, %eax\n out %eax, %dx\n mov $0xcfc, %dx\n mov $6, %eax\n out %eax, %dx\n"
        "mov $0xcf8, %dx\n mov $0x8000e010, %eax\n out %eax, %dx\n mov $0xcfc, %dx\n mov $0xe0000000, %eax\n out %eax, "
        "%dx\n"
        "mov $0xe0000000, %ebx\n movl $1, 0x60(%ebx)\n movl $0x40000, 0x80(%ebx)\n movl $0x7000, 0x88(%ebx)\n"
        "movl $64, 0x90(%ebx)\n movl $7, 0x98(%ebx)\n"
        "incl 0x600\n mov (%ebx), %eax\n cmp $0x010000ed, %eax\n jne 1b\n incl 0x604\n jmp 1b\n"
        "hotplug_code_end:\n.code64\n.popsection\n");
extern const uint8_t hotplug_code[], hotplug_code_end[];

static uint32_t counter(struct machine *m, uint32_t at)
{
    return get_le32(m->memory.base + at);
}

static void while_it_runs(gconstpointer engine)
{
    g_autofree char *ini = g_strdup_printf("[testpci1]\n[machine]\nengine=%s\n", (const char *)engine);
    struct machine *m = build(ini);
    start(m, hotplug_code, hotplug_code_end);
    for (unsigned round = 0; round < 200; round++) {
        g_usleep(g_test_rand_int_range(0, 1500));
        while (g_main_context_iteration(NULL, FALSE))
            ;
        clock_run(m->clock);
        g_autoptr(GError) error = NULL;
        g_assert_true(round % 2 ? machine_plug(m, "testpci1", NULL, &error) : machine_unplug(m, "testpci1", &error));
    }
    machine_pause(m);
    g_test_message("%u rounds of the guest, %u found it", counter(m, 0x600), counter(m, 0x604));
    g_assert_cmpuint(counter(m, 0x604), >, 0);
    g_assert_cmpuint(counter(m, 0x600), >, counter(m, 0x604));
    machine_free(m);
}

static void on_hardware(void)
{
    g_autoptr(GError) unusable = NULL;
    g_autofree char *reason = NULL;
    if (engine_choose("kvm", &reason, NULL)->probe(&unusable))
        while_it_runs("kvm");
    else
        g_test_skip(unusable->message);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci/models", models);
    g_test_add_func("/pci/same-slot", same_slot);
    g_test_add_func("/pci/unknown-model", unknown_model);
    g_test_add_func("/pci/every-model", every_model);
    g_test_add_func("/pci/capabilities", capabilities);
    g_test_add_func("/pci/wide-bar", wide_bar);
    g_test_add_func("/pci/rom", rom);
    g_test_add_func("/pci/lines", lines);
    g_test_add_func("/pci/msi", msi);
    g_test_add_func("/pci/msi-elsewhere", msi_elsewhere);
    g_test_add_func("/pci/msix", msix);
    g_test_add_func("/pci/msix-any-width", msix_any_width);
    g_test_add_func("/pci/after-reset", after_reset);
    g_test_add_func("/pci/dma", dma);
    g_test_add_func("/pci/hotplug/reasons", reasons);
    g_test_add_func("/pci/hotplug/come-and-go", come_and_go);
    g_test_add_func("/pci/hotplug/told", told_to_the_guest);
    g_test_add_data_func("/pci/hotplug/while-it-runs/interp", "interp", while_it_runs);
    g_test_add_data_func("/pci/hotplug/while-it-runs/soft", "soft", while_it_runs);
    if (g_test_slow())
        g_test_add_func("/pci/hotplug/while-it-runs/kvm", on_hardware);
    return g_test_run();
}
