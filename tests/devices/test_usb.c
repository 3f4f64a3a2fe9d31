// SPDX-License-Identifier: GPL-2.0-or-later
/* What scripts cannot show of USB: a hub whose saved state says what is not so, what an xHCI controller counts as work, and a guest whose
 * work has no end while the machine is to be saved. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/stream.h"
#include "core-vmm/machine/drive_media.h"
#include "core-vmm/machine/state.h"
#include "devices/usb/usb_bus.h"
#include "devices/usb/xhci.h"
#include "tests/devices/bench.h"

/* ---- the hub ---- */
enum { HUB_PORTS = 8, CONNECTED = 1, ENABLED = 2, POWER = 0x100, TO_PORT = 0x23, FROM_PORT = 0xa3, RESET_PORT = 4 };

static void wake(struct usb_port *p, struct usb_device *u, uint8_t endpoint)
{
}

static const struct usb_port_ops quiet = {.wake = wake};

static enum usb_status ask(struct usb_device *u, uint8_t type, uint8_t request, uint8_t feature, uint8_t *data,
                           uint32_t bytes)
{
    struct usb_packet p = {
        .kind = USB_CONTROL, .setup = {type, request, feature, 0, 1}, .in = bytes, .data = data, .bytes = bytes};
    return usb_send(u, &p);
}

static void test_hub_without_device(void)
{
    uint8_t state[HUB_PORTS * 4] = {0}, status[4];
    struct usb_port above = {.ops = &quiet, .number = 1};
    struct usb_device *u = usb_hub_new(NULL);
    struct stream s;
    u->port = &above;
    put_le16(state, POWER | CONNECTED);
    stream_init_load(&s, state, sizeof state);
    g_assert_true(u->ops->sync(u, &s));
    stream_clear(&s);
    g_assert_cmpint(ask(u, TO_PORT, USB_SET_FEATURE, RESET_PORT, NULL, 0), ==, USB_OK);
    g_assert_cmpint(ask(u, FROM_PORT, USB_GET_STATUS, 0, status, sizeof status), ==, USB_OK);
    g_assert_cmpuint(get_le16(status) & ENABLED, ==, 0);
    u->ops->close(u);
}

/* ---- the xHCI controller ---- */
enum { BAR = 0xe0000000, COMMANDS = 0x10000, RUN = 0x40, COMMAND_RING = 0x58, DOORBELLS = 0x2000 };

static void put_trb(struct bench *b, uint32_t at, uint64_t parameter, unsigned type)
{
    uint8_t *p = bench_ram(b) + at;
    put_le64(p, parameter);
    put_le32(p + 8, 0);
    put_le32(p + 12, type << 10 | TRB_CYCLE);
}

/* The budget that is left when so many links have led to a command. */
static uint32_t left_after(unsigned links)
{
    g_autoptr(GError) error = NULL;
    struct bench *b = bench_new();
    struct device *d = bench_add_chip(b, chip_find("usb"), &error);
    g_assert_no_error(error);
    bench_pci_write(d, 0x10, 4, BAR);
    bench_pci_write(d, 4, 2, 6);
    for (unsigned n = 0; n < links; n++)
        put_trb(b, COMMANDS + n * 64, COMMANDS + (n + 1) * 64, TRB_LINK);
    put_trb(b, COMMANDS + links * 64, 0, TRB_NO_OP_COMMAND);
    bench_store(b, BAR + COMMAND_RING, 4, COMMANDS | TRB_CYCLE);
    bench_store(b, BAR + RUN, 4, CMD_RUN);
    bench_store(b, BAR + DOORBELLS, 4, 0);
    const struct xhci *x = d->state;
    uint32_t left = x->budget;
    g_assert_cmpuint(x->commands.at, ==, COMMANDS + links * 64 + XHCI_TRB);
    bench_free(b);
    return left;
}

static void test_links_cost(void)
{
    g_assert_cmpuint(left_after(0), ==, left_after(9) + 9);
}

/* ---- a guest without end ---- */
enum { EVENTS = 0x11000, SEGMENTS = 0x12000, CONTEXTS = 0x13000, INPUT = 0x14000, OUTPUT = 0x18000, RUNTIME = 0x1000 };
enum {
    RING_CONTROL = 0x20000,
    RING_IN = 0x21000,
    RING_OUT = 0x22000,
    WRAPPER = 0x30000,
    SECTOR = 0x40000,
    STATUS = 0x30100
};
enum { STICK_PORT = 4, PORT_REGISTER = 0x470, CONTROL = 1, IN = 3, OUT = 4, IMMEDIATE = 64, TO_GUEST = 1 << 16 };

static void put_words(struct bench *b, uint32_t at, const uint32_t *words, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        put_le32(bench_ram(b) + at + i * 4, words[i]);
}
#define WORDS(b, at, ...) put_words(b, at, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / 4)

static void set(struct bench *b, uint32_t at, uint32_t value)
{
    bench_store(b, BAR + at, 4, value);
}

/* Events, commands, a slot whose stick is addressed and configured: its rings are empty. */
static void stick_in_use(struct bench *b, struct device *d)
{
    bench_pci_write(d, 0x10, 4, BAR);
    bench_pci_write(d, 4, 2, 6);
    WORDS(b, SEGMENTS, EVENTS, 0, 256, 0);
    WORDS(b, CONTEXTS + 8, OUTPUT, 0);
    WORDS(b, INPUT, 0, 3 | 1 << IN | 1 << OUT);
    WORDS(b, INPUT + 32, 0x08000000, STICK_PORT << 16);
    WORDS(b, INPUT + 64, 0, 0x02000026, RING_CONTROL | TRB_CYCLE);
    WORDS(b, INPUT + 32 + IN * 32, 0, 0x04000036, RING_IN | TRB_CYCLE);
    WORDS(b, INPUT + 32 + OUT * 32, 0, 0x04000016, RING_OUT | TRB_CYCLE);
    WORDS(b, RING_CONTROL, 0x00010900, 0, 8, TRB_SETUP << 10 | IMMEDIATE | TRB_CYCLE);
    WORDS(b, RING_CONTROL + 16, 0, 0, 0, TRB_STATUS << 10 | TO_GUEST | TRB_CYCLE);
    WORDS(b, COMMANDS, 0, 0, 0, TRB_ENABLE_SLOT << 10 | TRB_CYCLE);
    WORDS(b, COMMANDS + 16, INPUT, 0, 0, 1 << 24 | TRB_ADDRESS_DEVICE << 10 | TRB_CYCLE);
    set(b, RUNTIME + 0x28, 1);
    set(b, RUNTIME + 0x38, EVENTS);
    set(b, RUNTIME + 0x30, SEGMENTS);
    set(b, RUNTIME + 0x34, 0);
    set(b, COMMAND_RING, COMMANDS | TRB_CYCLE);
    set(b, 0x70, CONTEXTS);
    set(b, 0x78, 8);
    set(b, RUN, CMD_RUN);
    set(b, DOORBELLS, 0);
    WORDS(b, INPUT, 0, 1 | 1 << IN | 1 << OUT);
    WORDS(b, COMMANDS + 32, INPUT, 0, 0, 1 << 24 | TRB_CONFIGURE << 10 | TRB_CYCLE);
    set(b, DOORBELLS, 0);
    set(b, DOORBELLS + 4, CONTROL);
}

/* Each ring leads to its begin, and what is there stays the controller's: a sector is read, and read again. */
static void read_for_ever(struct bench *b)
{
    WORDS(b, WRAPPER, 0x43425355, 0, 512, 0x280a0080, 0, 0x01000000, 0, 0);
    WORDS(b, RING_OUT, WRAPPER, 0, 31, TRB_NORMAL << 10 | TRB_CYCLE);
    WORDS(b, RING_OUT + 16, RING_OUT, 0, 0, TRB_LINK << 10 | TRB_CYCLE);
    WORDS(b, RING_IN, SECTOR, 0, 512, TRB_NORMAL << 10 | TRB_CYCLE);
    WORDS(b, RING_IN + 16, STATUS, 0, 13, TRB_NORMAL << 10 | TRB_CYCLE);
    WORDS(b, RING_IN + 32, RING_IN, 0, 0, TRB_LINK << 10 | TRB_CYCLE);
    set(b, DOORBELLS + 4, OUT);
    set(b, DOORBELLS + 4, IN);
}

static void test_saved_in_endless_work(void)
{
    g_autoptr(GError) error = NULL;
    struct bench *b = bench_new();
    struct device *d = bench_add_chip(b, chip_find("usb"), &error);
    g_assert_no_error(error);
    stick_in_use(b, d);
    read_for_ever(b);
    g_assert_true(save_settle(d->machine, &error));
    g_assert_no_error(error);
    const struct xhci *x = d->state;
    g_assert_cmpuint(drive_counts(bench_drive(b, "usb4")).reads, >, 0);
    g_assert_cmpuint(x->slot[1].endpoint[IN].state, ==, ENDPOINT_RUNNING);
    g_assert_cmpuint(x->due, !=, DEV_NEVER); /* it goes on later */
    bench_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usb/hub-port-without-device", test_hub_without_device);
    g_test_add_func("/usb/xhci-links-cost", test_links_cost);
    g_test_add_func("/usb/saved-in-endless-work", test_saved_in_endless_work);
    return g_test_run();
}
