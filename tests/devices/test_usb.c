// SPDX-License-Identifier: GPL-2.0-or-later
/* What scripts cannot show of USB: a hub whose saved state says what is not so, and what an xHCI controller counts as work. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/stream.h"
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usb/hub-port-without-device", test_hub_without_device);
    g_test_add_func("/usb/xhci-links-cost", test_links_cost);
    return g_test_run();
}
