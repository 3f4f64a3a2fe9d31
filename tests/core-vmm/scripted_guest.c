// SPDX-License-Identifier: GPL-2.0-or-later
/* scripted_guest.c - a guest in C, as an engine: the machine around it is the real one, board and all, and what other guests
 * do by instructions this one does by machine_in() and machine_out().  For tests of the process around a machine: they get
 * a guest that is up at once and does what it is told.  Link it whole: it has engine_choose().
 *
 * It drives 8259A, 16550A, 8042, VGA and PIIX4 by interrupts as an operating system does, greets on serial1, and obeys orders
 * that come there, a line each:
 *   off  reset  debug N  fail     power-off by ACPI, by port CF9h, debug exit (which says 2 N + 1); the engine gives up
 *   mode N                        a picture of N x 48 pixels, all #102030
 *   text                          text mode again, with GNU GRUB's name on the screen
 *   cursor                        a text cursor that blinks
 *   flood N                       N bytes of output
 *   deaf                          it does not heed the power button
 *   stubborn                      PCI functions that the user wants back stay from now on; else they are let go of
 *   mouse                         it listens to the mouse and its wheel, too, whose packets show as "m BUTTONS,DX,DY,WHEEL "
 *   keep N   kept                 N into memory; says "kept N", of memory that nobody kept anything in, "kept 0"
 *   limit N                       a file that is the port's target holds no more than this (the host's doing, by core)
 * All else comes back; so does "mode" once it is there.  Keys show on the port by their codes, "+30 -30 "; caps lock has an
 * LED, num lock none; the power button switches it off; it says "came MASK" of PCI slots.  A machine with engine-options = refuse is not built. */
#include "core-vmm/api/cpu.h"
#include "core-vmm/machine/char_port.h"
#include "core-vmm/machine/core.h"
#include <gio/gio.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>

static const char greeting[] = "test guest ready\r\n";
enum { RIP_RESET = 0xfff0, RIP_UP = 0x7c00 };
enum { PIC1 = 0x20, PIC2 = 0xa0, VECTORS = 0x20, KEYBOARD = 1, COM1_IRQ = 4, SCI = 9, MOUSE = 12, EOI = 0x20 };
enum { COM1 = 0x3f8, COM1_IER = 0x3f9, COM1_FCR = 0x3fa, COM1_LCR = 0x3fb, COM1_MCR = 0x3fc, COM1_LSR = 0x3fd };
enum { KBD_DATA = 0x60, KBD_STATUS = 0x64, KBD_ACK = 0xfa, KBD_LEDS = 0xed };
enum { VBE_INDEX = 0x1ce, VBE_DATA = 0x1cf, VBE_XRES = 1, VBE_YRES, VBE_BPP, VBE_ENABLE };
enum { PM_BUTTON = 1 << 8, GPE_HOTPLUG = 1 << 1, HOTPLUG = 0xae00 };
enum { PM_BASE = 0x600, PM_CONTROL = 0x604, PM_GPE = 0x60c, VIDEO_SLOT = 2, PM_SLOT = 1, PM_FUNCTION = 3, HEIGHT = 48 };
#define PICTURE    0xe0000000u
#define TEXT_CELLS 0xb8000u
#define KEPT       0x40000u

struct guest {
    const struct cpu_vm *vm;
    struct vcpu {
        struct guest *guest;
        unsigned index; /* the others halt for ever */
        _Atomic bool kicked;
    } cpu[MAX_CPUS];
    _Atomic bool pin, boots; /* of the first CPU; pin: INTR */
    GString *line;           /* of an order */
    uint8_t leds;
    bool leds_sent, extended, fails, stubborn, deaf;
    uint8_t packet[4]; /* of the mouse */
    unsigned packed;
    unsigned pause;            /* bytes of that key that are still to come */
    _Atomic uint64_t *written; /* a bit per page of the memory file, for dirty() */
};

static void out8(struct guest *g, uint16_t port, uint8_t value)
{
    machine_out(g->vm->machine, 0, port, 1, value);
}

static uint8_t in8(struct guest *g, uint16_t port)
{
    return machine_in(g->vm->machine, 0, port, 1);
}

static void pci_out(struct guest *g, unsigned slot, unsigned function, unsigned offset, uint32_t value)
{
    machine_out(g->vm->machine, 0, 0xcf8, 4, 0x80000000 | slot << 11 | function << 8 | offset);
    machine_out(g->vm->machine, 0, 0xcfc, 4, value);
}

static void say(struct guest *g, const char *text)
{
    for (; *text; text++)
        out8(g, COM1, *text);
}

/* ---- the screen ---- */

static void vbe(struct guest *g, unsigned index, uint16_t value)
{
    machine_out(g->vm->machine, 0, VBE_INDEX, 2, index);
    machine_out(g->vm->machine, 0, VBE_DATA, 2, value);
}

static void indexed(struct guest *g, uint16_t port, const uint8_t *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        machine_out(g->vm->machine, 0, port, 2, i | values[i] << 8);
}

/* IBM's mode 3, 80 x 25. */
static void text_mode(struct guest *g)
{
    static const uint8_t sequencer[] = {3, 0, 3, 0, 2}, graphics[] = {0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff};
    static const uint8_t crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0,    0x4f, 0x2d, 0x0e, 0,
                                   0,    0,    0,    0x9c, 0x0e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
    static const uint8_t attributes[] = {0,    1,    2,    3,    4,    5,    0x14, 7,    0x38, 0x39, 0x3a,
                                         0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0,    0x0f, 8,    0};
    static const char *const rows[] = {"GNU GRUB", "a test"};
    vbe(g, VBE_ENABLE, 0);
    out8(g, 0x3c2, 0x67);
    indexed(g, 0x3c4, sequencer, sizeof sequencer);
    indexed(g, 0x3d4, crtc, sizeof crtc);
    indexed(g, 0x3ce, graphics, sizeof graphics);
    in8(g, 0x3da);
    for (unsigned i = 0; i < sizeof attributes; i++) {
        out8(g, 0x3c0, i);
        out8(g, 0x3c0, attributes[i]);
    }
    out8(g, 0x3c0, 0x20);
    for (unsigned i = 0; i < 80 * 25; i++)
        machine_store(g->vm->machine, 0, TEXT_CELLS + i * 2, 2, 0x0720);
    for (unsigned row = 0; row < G_N_ELEMENTS(rows); row++)
        for (unsigned i = 0; rows[row][i]; i++)
            machine_store(g->vm->machine, 0, TEXT_CELLS + (row * 80 + i) * 2, 1, rows[row][i]);
}

/* White, of which the machine has none before. */
static void show_cursor(struct guest *g)
{
    out8(g, 0x3c8, 7);
    for (unsigned i = 0; i < 3; i++)
        out8(g, 0x3c9, 0x3f);
    machine_out(g->vm->machine, 0, 0x3d4, 2, 0x0a | 0x0d << 8);
}

static void graphics_mode(struct guest *g, unsigned width)
{
    width = CLAMP(width, 64, 1024);
    vbe(g, VBE_ENABLE, 0);
    vbe(g, VBE_XRES, width);
    vbe(g, VBE_YRES, HEIGHT);
    vbe(g, VBE_BPP, 32);
    pci_out(g, VIDEO_SLOT, 0, 0x10, PICTURE);
    pci_out(g, VIDEO_SLOT, 0, 4, 3);
    vbe(g, VBE_ENABLE, 0x41);
    for (unsigned i = 0; i < width * HEIGHT; i++)
        machine_store(g->vm->machine, 0, PICTURE + i * 4, 4, 0x102030);
}

/* ---- mouse ---- */

static void to_mouse(struct guest *g, const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        out8(g, KBD_STATUS, 0xd4);
        out8(g, KBD_DATA, bytes[i]);
        while (in8(g, KBD_STATUS) & 1) /* what it answers */
            in8(g, KBD_DATA);
    }
}

/* The rates 200, 100, 80 and a look at the number make it tell of its wheel. */
static void mouse_on(struct guest *g)
{
    static const uint8_t words[] = {0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2, 0xf4};
    out8(g, KBD_STATUS, 0xa8);
    to_mouse(g, words, sizeof words);
    out8(g, KBD_STATUS, 0x60);
    out8(g, KBD_DATA, 0x47);
    g->packed = 0;
    out8(g, PIC2 + 1, in8(g, PIC2 + 1) & ~(1 << (MOUSE - 8)));
}

static void on_mouse(struct guest *g)
{
    const uint8_t *p = g->packet;
    uint8_t byte = in8(g, KBD_DATA);
    if (!g->packed && byte == KBD_ACK) /* of the last word */
        return;
    g->packet[g->packed++] = byte;
    if (g->packed < sizeof g->packet)
        return;
    g->packed = 0;
    g_autofree char *text = g_strdup_printf("m %u,%d,%d,%d ", p[0] & 7, p[1] - (p[0] << 4 & 0x100),
                                            p[2] - (p[0] << 3 & 0x100), (int8_t)p[3]);
    say(g, text);
}

/* ---- orders ---- */

static void flood(struct guest *g, unsigned n)
{
    for (unsigned i = 0; i < MIN(n, 4u << 20); i += 64)
        say(g, "flood flood flood flood flood flood flood flood flood flood fl\r\n");
}

static void say_kept(struct guest *g)
{
    g_autofree char *text = g_strdup_printf("kept %u\r\n", (unsigned)machine_load(g->vm->machine, 0, KEPT, 4));
    say(g, text);
}

static void obey(struct guest *g, const char *order)
{
    unsigned n;
    if (!strcmp(order, "off"))
        machine_out(g->vm->machine, 0, PM_CONTROL, 2, 1 << 13);
    else if (!strcmp(order, "reset"))
        out8(g, 0xcf9, 6);
    else if (!strcmp(order, "mouse"))
        mouse_on(g);
    else if (!strcmp(order, "fail"))
        g->fails = true;
    else if (sscanf(order, "debug %u", &n) == 1)
        machine_out(g->vm->machine, 0, 0xf4, 4, n);
    else if (sscanf(order, "limit %u", &n) == 1)
        char_limit(char_find(g->vm->machine, "serial1"), n);
    else if (sscanf(order, "flood %u", &n) == 1)
        flood(g, n);
    else if (sscanf(order, "keep %u", &n) == 1)
        machine_store(g->vm->machine, 0, KEPT, 4, n);
    else if (!strcmp(order, "kept"))
        say_kept(g);
    else if (!strcmp(order, "stubborn"))
        g->stubborn = true;
    else if (!strcmp(order, "deaf"))
        g->deaf = true;
    else if (!strcmp(order, "text"))
        text_mode(g);
    else if (!strcmp(order, "cursor"))
        show_cursor(g);
    else {
        if (sscanf(order, "mode %u", &n) == 1)
            graphics_mode(g, n);
        say(g, order);
        say(g, "\r\n");
    }
}

/* A byte of an order. */
static void take(struct guest *g, char c)
{
    if (c != '\n' && c != '\r') {
        g_string_append_c(g->line, c);
        return;
    }
    obey(g, g->line->str);
    g_string_truncate(g->line, 0);
}

static void on_serial(struct guest *g)
{
    while (in8(g, COM1_LSR) & 1)
        take(g, in8(g, COM1));
}

/* ---- keys ---- */

/* Of scan code set 1; 0: none.  Most have the number that they had there. */
static unsigned key_of(uint8_t code, bool extended)
{
    static const uint8_t others[][2] = {
        {0x1c, KEY_KPENTER},  {0x1d, KEY_RIGHTCTRL}, {0x35, KEY_KPSLASH},  {0x37, KEY_SYSRQ},  {0x38, KEY_RIGHTALT},
        {0x47, KEY_HOME},     {0x48, KEY_UP},        {0x49, KEY_PAGEUP},   {0x4b, KEY_LEFT},   {0x4d, KEY_RIGHT},
        {0x4f, KEY_END},      {0x50, KEY_DOWN},      {0x51, KEY_PAGEDOWN}, {0x52, KEY_INSERT}, {0x53, KEY_DELETE},
        {0x5b, KEY_LEFTMETA}, {0x5c, KEY_RIGHTMETA}, {0x5d, KEY_COMPOSE},
    };
    for (unsigned i = 0; extended && i < G_N_ELEMENTS(others); i++)
        if (others[i][0] == code)
            return others[i][1];
    return extended ? 0 : code;
}

static void on_keyboard(struct guest *g)
{
    uint8_t byte = in8(g, KBD_DATA);
    g_autofree char *text = NULL;
    if (byte == KBD_ACK && g->leds_sent)
        out8(g, KBD_DATA, g->leds);
    if (byte == KBD_ACK)
        g->leds_sent = false;
    if (byte == KBD_ACK || byte == 0xe0) {
        g->extended = byte == 0xe0;
        return;
    }
    if (g->extended && (byte & 0x7f) == 0x2a) { /* the shift before Print Screen is none */
        g->extended = false;
        return;
    }
    bool pause = g->pause == 1; /* E1 1D 45, E1 9D C5 */
    g->pause = byte == 0xe1 ? 2 : g->pause ? g->pause - 1 : 0;
    if (g->pause)
        return;
    unsigned key = pause ? KEY_PAUSE : key_of(byte & 0x7f, g->extended);
    g->extended = false;
    text = g_strdup_printf("%c%u ", byte & 0x80 ? '-' : '+', key);
    say(g, text);
    if (key == KEY_CAPSLOCK && !(byte & 0x80)) {
        g->leds ^= 4;
        g->leds_sent = true;
        out8(g, KBD_DATA, KBD_LEDS);
    }
}

/* ---- power and slots ---- */

static void on_hotplug(struct guest *g)
{
    struct machine *m = g->vm->machine;
    uint32_t came = machine_in(m, 0, HOTPLUG, 4), wanted = machine_in(m, 0, HOTPLUG + 4, 4);
    g_autofree char *text = g_strdup_printf("came %x\r\n", came);
    if (came)
        say(g, text);
    if (wanted && !g->stubborn)
        machine_out(m, 0, HOTPLUG + 8, 4, wanted);
}

static void on_sci(struct guest *g)
{
    struct machine *m = g->vm->machine;
    bool button = machine_in(m, 0, PM_BASE, 2) & PM_BUTTON, hotplug = machine_in(m, 0, PM_GPE, 2) & GPE_HOTPLUG;
    machine_out(m, 0, PM_GPE, 2, GPE_HOTPLUG);
    if (hotplug)
        on_hotplug(g);
    if (button && g->deaf)
        machine_out(m, 0, PM_BASE, 2, PM_BUTTON);
    else if (button)
        machine_out(m, 0, PM_CONTROL, 2, 1 << 13);
}

/* ---- life ---- */

static void interrupts_on(struct guest *g)
{
    static const uint8_t first[] = {0x11, VECTORS, 1 << 2, 1}, second[] = {0x11, VECTORS + 8, 2, 1};
    for (unsigned i = 0; i < sizeof first; i++) {
        out8(g, PIC1 + (i > 0), first[i]);
        out8(g, PIC2 + (i > 0), second[i]);
    }
    out8(g, PIC1 + 1, (uint8_t) ~(1 << KEYBOARD | 1 << 2 | 1 << COM1_IRQ));
    out8(g, PIC2 + 1, (uint8_t) ~(1 << (SCI - 8)));
}

/* Switching the FIFO on empties the receiver.  Nothing comes in while it is looped back: what is there by then is kept, and
 * obeyed when it is looped back no more; else the guest would hear its own answers, as orders, for ever. */
static void serial_on(struct guest *g)
{
    g_autoptr(GString) early = g_string_new(NULL);
    out8(g, COM1_LCR, 3);
    out8(g, COM1_MCR, 0x10);
    while (in8(g, COM1_LSR) & 1)
        g_string_append_c(early, in8(g, COM1));
    out8(g, COM1_FCR, 7);
    out8(g, COM1_IER, 1);
    out8(g, COM1_MCR, 0xb);
    for (unsigned i = 0; i < early->len; i++)
        take(g, early->str[i]);
}

static void boot(struct guest *g)
{
    g_string_truncate(g->line, 0);
    g->leds = 0;
    g->leds_sent = g->extended = false;
    interrupts_on(g);
    out8(g, KBD_STATUS, 0x60); /* the mode: IRQ 1, translated to set 1 */
    out8(g, KBD_DATA, 0x45);
    out8(g, KBD_DATA, 0xf4); /* the keyboard: scan */
    pci_out(g, PM_SLOT, PM_FUNCTION, 0x40, PM_BASE);
    pci_out(g, PM_SLOT, PM_FUNCTION, 0x80, 1);
    machine_out(g->vm->machine, 0, PM_BASE + 2, 2, PM_BUTTON);
    machine_out(g->vm->machine, 0, PM_GPE + 2, 2, GPE_HOTPLUG);
    machine_out(g->vm->machine, 0, PM_CONTROL, 2, 1); /* by SCI */
    text_mode(g);
    say(g, greeting);
    serial_on(g);
}

static void on_interrupt(struct guest *g, int vector)
{
    switch (vector - VECTORS) {
    case KEYBOARD: on_keyboard(g); break;
    case COM1_IRQ: on_serial(g); break;
    case MOUSE: on_mouse(g); break;
    case SCI: on_sci(g); break;
    }
    if (vector >= VECTORS + 8)
        out8(g, PIC2, EOI);
    out8(g, PIC1, EOI);
}

/* ---- the engine ---- */

static void *vm_new(const struct cpu_vm *vm, GError **error)
{
    if (!g_strcmp0(vm->options, "refuse")) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "this machine refuses to be built");
        return NULL;
    }
    struct guest *g = g_new0(struct guest, 1);
    g->vm = vm;
    g->line = g_string_new(NULL);
    g->written = g_new0(_Atomic uint64_t, vm->memory_bytes / PAGE / 64 + 1);
    return g;
}

static void vm_free(void *evm)
{
    struct guest *g = evm;
    g_string_free(g->line, TRUE);
    g_free((void *)g->written);
    g_free(g);
}

static bool map(void *evm, uint64_t gpa, uint64_t bytes, uint64_t offset, int how, GError **error)
{
    return true;
}

/* All that the guest writes goes through core, which tells this. */
static void touched(void *evm, uint64_t offset, uint64_t bytes)
{
    struct guest *g = evm;
    for (uint64_t page = offset / PAGE; page <= (offset + bytes - 1) / PAGE; page++)
        atomic_fetch_or(&g->written[page / 64], 1ull << page % 64);
}

static void dirty(void *evm, uint64_t offset, uint64_t bytes, uint64_t *bitmap)
{
    struct guest *g = evm;
    for (uint64_t i = 0, page = offset / PAGE; i < bytes / PAGE; i++, page++)
        if (atomic_fetch_and(&g->written[page / 64], ~(1ull << page % 64)) >> page % 64 & 1)
            bitmap[i / 64] |= 1ull << i % 64;
}

static void *vcpu_new(void *evm, unsigned index, GError **error)
{
    struct guest *g = evm;
    g->cpu[index] = (struct vcpu){g, index, false};
    return &g->cpu[index];
}

static enum cpu_stop run(void *vcpu, GError **error)
{
    struct vcpu *v = vcpu;
    struct guest *g = v->guest;
    if (!v->index && atomic_exchange(&g->boots, false))
        boot(g);
    while (!atomic_exchange(&v->kicked, false)) {
        int vector = !v->index && atomic_load(&g->pin) ? machine_ack(g->vm->machine, 0) : -1;
        if (vector < 0)
            return CPU_STOP_HLT;
        on_interrupt(g, vector);
        if (g->fails) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the engine met its match");
            return CPU_STOP_FAIL;
        }
    }
    return CPU_STOP_KICKED;
}

static void kick(void *vcpu)
{
    atomic_store(&((struct vcpu *)vcpu)->kicked, true);
}

static void signal_pin(void *vcpu, enum cpu_signal what, unsigned value)
{
    struct vcpu *v = vcpu;
    if (!v->index && what == CPU_SIGNAL_INTR)
        atomic_store(&v->guest->pin, value);
}

static void get_state(void *vcpu, struct x86_state *out)
{
    struct vcpu *v = vcpu;
    x86_state_reset(out, !v->index);
    if (!v->index && !atomic_load(&v->guest->boots))
        out->rip = RIP_UP;
}

static void set_state(void *vcpu, const struct x86_state *in)
{
    struct vcpu *v = vcpu;
    if (!v->index)
        atomic_store(&v->guest->boots, in->rip == RIP_RESET);
}

static void memory(void *evm, struct cpu_memory *out)
{
    *out = (struct cpu_memory){.used = 1 << 20, .limit = 96 << 20};
}

static void counters(void *evm, cpu_count_fn fn, void *ctx)
{
    fn(ctx, "left", "requests", 7);
    fn(ctx, "left", "misses", 70);
}

static char *dump(void *vcpu, unsigned most, GError **error)
{
    return g_strdup_printf("cpu 0, most %u\n", most);
}

const struct cpu_engine *engine_choose(const char *name, char **reason, GError **error)
{
    static const struct cpu_engine script = {
        .name = "script",
        .vm_new = vm_new,
        .vm_free = vm_free,
        .map = map,
        .touched = touched,
        .dirty = dirty,
        .vcpu_new = vcpu_new,
        .run = run,
        .kick = kick,
        .signal = signal_pin,
        .get_state = get_state,
        .set_state = set_state,
        .memory = memory,
        .counters = counters,
        .dump = dump,
    };
    if (!strcmp(name, "kvm")) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "no KVM for a scripted guest");
        return NULL;
    }
    *reason = g_strdup("it is a test");
    return &script;
}
