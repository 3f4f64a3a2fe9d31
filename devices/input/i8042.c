// SPDX-License-Identifier: GPL-2.0-or-later
/* 8042 keyboard controller of a PS/2-class PC, with a keyboard and a mouse on its two ports (60h, 64h).
 * Sources: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller"; 82C42 data sheet.
 * Lines: 0 keyboard (IRQ 1), 1 mouse (IRQ 12).
 *
 * One byte at a time stands in the output buffer; its interrupt line is up until it is read.  The next byte of a device
 * follows BYTE_NS later, as on the real wire: programs count on reading port 60h twice and seeing the same byte.  Programs
 * that wait by counting reads of the status, which take a microsecond each on the ISA bus, see it after STATUS_READS.
 *
 * The controller's own answers come at once, and ahead of a device's byte that stands in the buffer already: whoever asks
 * takes the next byte for the answer.  The device's byte is held meanwhile and is there again after the answer. */
#include "devices/input/i8042.h"
#include "core-vmm/api/input.h"
#include "core-vmm/api/platform.h"
#include "devices/all.h"
#include "devices/input/ps2.h"

enum { REGION_DATA, REGION_COMMAND };
enum { STATUS_FULL = 1, STATUS_SYSTEM = 4, STATUS_COMMAND = 8, STATUS_UNLOCKED = 16, STATUS_MOUSE = 32 };
enum {
    MODE_IRQ1 = 1,
    MODE_IRQ12 = 2,
    MODE_SYSTEM = 4,
    MODE_KEYBOARD_OFF = 16,
    MODE_MOUSE_OFF = 32,
    MODE_TRANSLATE = 64
};
enum { OUT_NO_RESET = 1, OUT_A20 = 2, OUT_IRQ1 = 16, OUT_IRQ12 = 32, OUT_WIRES = 0xcc };
enum {
    READ_RAM = 0x20,
    WRITE_RAM = 0x60,
    MOUSE_OFF = 0xa7,
    MOUSE_ON = 0xa8,
    TEST_MOUSE = 0xa9,
    SELF_TEST = 0xaa,
    TEST_KEYBOARD = 0xab,
    KEYBOARD_OFF = 0xad,
    KEYBOARD_ON = 0xae,
    READ_INPUT = 0xc0,
    READ_OUTPUT = 0xd0,
    WRITE_OUTPUT = 0xd1,
    FAKE_KEYBOARD = 0xd2,
    FAKE_MOUSE = 0xd3,
    TO_MOUSE = 0xd4,
    A20_OFF = 0xdd,
    A20_ON = 0xdf,
    READ_TEST = 0xe0,
    PULSE = 0xf0
};
enum { BYTE_NS = 300000, STATUS_READS = 16, INPUT_PORT = 0xbf /* unlocked, colour, no jumper */ };
enum source { FROM_KEYBOARD, FROM_MOUSE, FROM_CONTROLLER };

struct kbc {
    struct ps2_keyboard keyboard;
    struct ps2_mouse mouse;
    uint8_t ram[32]; /* 0: the mode ("command byte") */
    uint8_t status, output_port;
    uint8_t data;            /* the output buffer */
    uint8_t command;         /* whose argument comes next at 60h, or 0 */
    uint8_t from;            /* enum source of `data` */
    uint8_t held, held_from; /* the device byte that an answer took the place of; FROM_CONTROLLER: none */
    uint8_t polls;           /* status reads since the last byte was taken, up to STATUS_READS */
    bool break_seen;         /* translation: F0 came, the next code is a break */
    bool mouse_first;        /* the keyboard had the last turn */
    uint64_t ready_at;       /* ns; no device byte before */
};

uint8_t i8042_set1_of(uint8_t set2)
{
    static const uint8_t table[] = {
        0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, /* 00 */
        0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, /* 10 */
        0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, /* 20 */
        0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, /* 30 */
        0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, /* 40 */
        0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, /* 50 */
        0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, /* 60 */
        0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, /* 70 */
        0x80, 0x81, 0x82, 0x41, 0x54,
    };
    return set2 < sizeof table ? table[set2] : set2;
}

/* ---- the output buffer ---- */

static void update_irqs(struct device *d)
{
    struct kbc *k = d->state;
    bool full = k->status & STATUS_FULL, mouse = k->from == FROM_MOUSE;
    dev_irq(d, 0, full && !mouse && k->ram[0] & MODE_IRQ1);
    dev_irq(d, 1, full && mouse && k->ram[0] & MODE_IRQ12);
}

static void put(struct device *d, enum source from, uint8_t byte)
{
    struct kbc *k = d->state;
    k->data = byte;
    k->from = from;
    k->status = (k->status & ~STATUS_MOUSE) | STATUS_FULL | (from == FROM_MOUSE ? STATUS_MOUSE : 0);
    update_irqs(d);
}

/* An answer, or a byte that pretends to come from a device: what waits in the buffer comes after it. */
static void answer(struct device *d, enum source from, uint8_t byte)
{
    struct kbc *k = d->state;
    if (k->status & STATUS_FULL && k->from != FROM_CONTROLLER && k->held_from == FROM_CONTROLLER) {
        k->held = k->data;
        k->held_from = k->from;
    }
    put(d, from, byte);
}

static void put_keyboard(struct device *d)
{
    struct kbc *k = d->state;
    uint8_t byte = ps2_take(&k->keyboard.out);
    k->mouse_first = true;
    if (!(k->ram[0] & MODE_TRANSLATE)) {
        put(d, FROM_KEYBOARD, byte);
    } else if (byte == 0xf0) {
        k->break_seen = true;
    } else {
        put(d, FROM_KEYBOARD, i8042_set1_of(byte) | (k->break_seen ? 0x80 : 0));
        k->break_seen = false;
    }
}

static bool keyboard_waits(const struct kbc *k)
{
    return k->keyboard.out.count && !(k->ram[0] & MODE_KEYBOARD_OFF);
}

static bool mouse_waits(struct kbc *k)
{
    ps2_mouse_fill(&k->mouse);
    return k->mouse.out.count && !(k->ram[0] & MODE_MOUSE_OFF);
}

/* Moves a device's byte into the empty output buffer, or sees to it that this happens in time. */
static void fill(struct device *d)
{
    struct kbc *k = d->state;
    if (!(k->status & STATUS_FULL) && k->held_from != FROM_CONTROLLER) {
        put(d, k->held_from, k->held);
        k->held_from = FROM_CONTROLLER;
    }
    while (!(k->status & STATUS_FULL) && (dev_now(d) >= k->ready_at || k->polls >= STATUS_READS)) {
        bool mouse = mouse_waits(k);
        if (mouse && (k->mouse_first || !keyboard_waits(k))) {
            k->mouse_first = false;
            put(d, FROM_MOUSE, ps2_take(&k->mouse.out));
        } else if (keyboard_waits(k)) {
            put_keyboard(d);
        } else {
            break;
        }
    }
    bool later = !(k->status & STATUS_FULL) && (keyboard_waits(k) || mouse_waits(k));
    dev_timer(d, 0, later ? k->ready_at : DEV_NEVER, fill);
}

/* ---- input.h ---- */

static bool kbc_key(struct device *d, unsigned code, bool down)
{
    struct kbc *k = d->state;
    bool done = ps2_keyboard_key(&k->keyboard, code, down);
    fill(d);
    return done;
}

static bool kbc_pointer(struct device *d, int dx, int dy, int wheel, unsigned buttons)
{
    struct kbc *k = d->state;
    bool done = ps2_mouse_move(&k->mouse, dx, dy, wheel, buttons);
    fill(d);
    return done;
}

void i8042_mouse_report(struct device *d)
{
    struct kbc *k = d->state;
    dev_lock(d);
    ps2_mouse_report(&k->mouse);
    fill(d);
    dev_unlock(d);
}

static unsigned kbc_leds(struct device *d)
{
    return ((struct kbc *)d->state)->keyboard.leds;
}

/* ---- read ---- */

static uint8_t read_status(struct device *d)
{
    struct kbc *k = d->state;
    if (!(k->status & STATUS_FULL) && k->polls < STATUS_READS && ++k->polls == STATUS_READS)
        fill(d);
    if (!(k->status & STATUS_FULL) && !keyboard_waits(k) && !mouse_waits(k))
        dev_looked(d);
    return k->status;
}

/* Taking a byte makes room for the next, so it is noted first. */
static uint8_t read_data(struct device *d)
{
    struct kbc *k = d->state;
    uint8_t byte = k->data;
    if (k->status & STATUS_FULL) {
        k->status &= ~(STATUS_FULL | STATUS_MOUSE);
        if (k->from != FROM_CONTROLLER) {
            k->ready_at = dev_now(d) + BYTE_NS;
            k->polls = 0;
        }
        update_irqs(d);
        fill(d);
    }
    return byte;
}

static uint64_t kbc_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    return region == REGION_COMMAND ? read_status(d) : read_data(d);
}

/* ---- write ---- */

static void write_output_port(struct device *d, uint8_t v)
{
    struct kbc *k = d->state;
    k->output_port = v & OUT_WIRES;
    dev_a20(d, v & OUT_A20);
    if (!(v & OUT_NO_RESET))
        dev_init_cpus(d);
}

static uint8_t read_output_port(struct device *d)
{
    const struct kbc *k = d->state;
    bool full = k->status & STATUS_FULL;
    return k->output_port | OUT_NO_RESET | (dev_a20_now(d) ? OUT_A20 : 0) |
           (full ? k->from == FROM_MOUSE ? OUT_IRQ12 : OUT_IRQ1 : 0);
}

/* The system flag in the status tells a warm start from a cold one.  It stays once it is set, as PC chipsets have it:
 * BIOSes write modes without it, and systems look for it afterwards. */
static void write_ram(struct kbc *k, unsigned index, uint8_t v)
{
    k->ram[index] = v;
    if (index == 0)
        k->status |= v & MODE_SYSTEM;
}

/* The argument of a command, at 60h. */
static void write_argument(struct device *d, uint8_t v)
{
    struct kbc *k = d->state;
    uint8_t command = k->command;
    k->command = 0;
    switch (command) {
    case WRITE_OUTPUT: write_output_port(d, v); break;
    case FAKE_KEYBOARD: answer(d, FROM_KEYBOARD, v); break;
    case FAKE_MOUSE: answer(d, FROM_MOUSE, v); break;
    case TO_MOUSE: ps2_mouse_write(&k->mouse, v); break;
    default: write_ram(k, command & 31, v); break;
    }
}

static void self_test(struct device *d)
{
    struct kbc *k = d->state;
    k->ram[0] = MODE_KEYBOARD_OFF | MODE_MOUSE_OFF | MODE_SYSTEM;
    k->status |= STATUS_SYSTEM;
    answer(d, FROM_CONTROLLER, 0x55);
}

static void run_command(struct device *d, uint8_t v)
{
    struct kbc *k = d->state;
    k->command = 0;
    if (v >= PULSE) { /* bits 0-3: which output pins; 0 is the reset */
        if (!(v & 1))
            dev_init_cpus(d);
        return;
    }
    if (v >= READ_RAM && v < READ_RAM + 32) {
        answer(d, FROM_CONTROLLER, k->ram[v & 31]);
        return;
    }
    switch (v) {
    case MOUSE_OFF: k->ram[0] |= MODE_MOUSE_OFF; break;
    case MOUSE_ON: k->ram[0] &= ~MODE_MOUSE_OFF; break;
    case KEYBOARD_OFF: k->ram[0] |= MODE_KEYBOARD_OFF; break;
    case KEYBOARD_ON: k->ram[0] &= ~MODE_KEYBOARD_OFF; break;
    case TEST_MOUSE:
    case TEST_KEYBOARD:
    case READ_TEST: answer(d, FROM_CONTROLLER, 0); break;
    case SELF_TEST: self_test(d); break;
    case READ_INPUT: answer(d, FROM_CONTROLLER, INPUT_PORT); break;
    case READ_OUTPUT: answer(d, FROM_CONTROLLER, read_output_port(d)); break;
    case A20_OFF: dev_a20(d, false); break;
    case A20_ON: dev_a20(d, true); break;
    case WRITE_OUTPUT:
    case FAKE_KEYBOARD:
    case FAKE_MOUSE:
    case TO_MOUSE: k->command = v; break;
    default:
        if (v >= WRITE_RAM && v < WRITE_RAM + 32)
            k->command = v;
        break;
    }
}

static void kbc_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct kbc *k = d->state;
    k->status = (k->status & ~STATUS_COMMAND) | (region == REGION_COMMAND ? STATUS_COMMAND : 0);
    if (region == REGION_COMMAND) {
        run_command(d, v);
    } else if (k->command) {
        write_argument(d, v);
    } else {
        k->ram[0] &= ~MODE_KEYBOARD_OFF; /* speaking to the keyboard lets its clock go */
        ps2_keyboard_write(&k->keyboard, v);
    }
    update_irqs(d);
    fill(d);
}

/* ---- reset, sync ---- */

static void kbc_reset(struct device *d)
{
    struct kbc *k = d->state;
    ps2_keyboard_reset(&k->keyboard);
    ps2_mouse_reset(&k->mouse);
    for (unsigned i = 0; i < sizeof k->ram; i++)
        k->ram[i] = 0;
    k->ram[0] = MODE_IRQ1 | MODE_IRQ12;
    k->status = STATUS_UNLOCKED | STATUS_COMMAND;
    k->output_port = OUT_WIRES;
    k->data = k->command = k->from = k->held = k->polls = 0;
    k->held_from = FROM_CONTROLLER;
    k->break_seen = k->mouse_first = false;
    k->ready_at = 0;
    update_irqs(d);
    fill(d);
}

static bool kbc_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct kbc *k = d->state;
    ps2_keyboard_sync(&k->keyboard, s);
    ps2_mouse_sync(&k->mouse, s);
    stream_raw(s, k->ram, sizeof k->ram);
    uint8_t *bytes[] = {&k->status, &k->output_port, &k->data,      &k->command,
                        &k->from,   &k->held,        &k->held_from, &k->polls};
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
        stream_u8(s, bytes[i]);
    stream_bool(s, &k->break_seen);
    stream_bool(s, &k->mouse_first);
    stream_u64(s, &k->ready_at);
    if (!stream_ok(s) || k->from > FROM_CONTROLLER || k->held_from > FROM_CONTROLLER || k->polls > STATUS_READS ||
        k->ready_at > dev_now(d) + BYTE_NS)
        return false;
    if (s->loading) {
        update_irqs(d);
        fill(d);
    }
    return true;
}

static const struct input_ops kbc_plug = {.key = kbc_key, .pointer = kbc_pointer, .leds = kbc_leds};

const struct device_ops i8042_ops = {
    .name = "i8042",
    .state_bytes = sizeof(struct kbc),
    .version = 2,
    .regions = {{BUS_PORT, 0x60, 1, 1, 1}, {BUS_PORT, 0x64, 1, 1, 1}},
    .reset = kbc_reset,
    .read = kbc_read,
    .write = kbc_write,
    .sync = kbc_sync,
    .input = &kbc_plug,
};
