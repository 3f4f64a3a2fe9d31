// SPDX-License-Identifier: GPL-2.0-or-later
/* nic_rom.c - see nic_rom.h.  An image says for which function it is (PCI Firmware Specification 3.0, 5.1.2); one for another
 * of the same maker's chips is made to fit, because a driver's image may stand for several. */
#include "devices/net/nic_rom.h"
#include "core-vmm/base/bytes.h"

#define ROM_FOLDER "/usr/lib/ipxe/qemu"
enum {
    ROM_MOST = 1 << 20,
    POINTER_AT = 0x18,
    DATA_BYTES = 0x18,
    VENDOR_AT = 4,
    DEVICE_AT = 6,
    BLOCKS_AT = 2,
    BLOCK = 512
};
enum { SPARE_AT = 6 /* iPXE's own byte for the sum */, PCI_ROM_AT = 0x30 };

static void no_rom(struct device *d)
{
    memset(dev_pci_writable(d) + PCI_ROM_AT, 0, 4);
}

/* The image as it begins, with its PCI data; bytes of it count for the sum. */
static bool is_image(const uint8_t *rom, size_t bytes)
{
    size_t data = bytes > POINTER_AT + 2 ? get_le16(rom + POINTER_AT) : 0, length = bytes ? rom[BLOCKS_AT] * BLOCK : 0;
    return data && data + DATA_BYTES <= bytes && length <= bytes && get_le16(rom) == 0xaa55 &&
           !memcmp(rom + data, "PCIR", 4);
}

static void make_fit(struct device *d, uint8_t *rom)
{
    uint8_t *data = rom + get_le16(rom + POINTER_AT), sum = 0;
    put_le16(data + VENDOR_AT, d->ops->pci->vendor);
    put_le16(data + DEVICE_AT, d->ops->pci->device);
    for (unsigned i = 0; i < rom[BLOCKS_AT] * BLOCK; i++)
        sum += rom[i];
    rom[SPARE_AT] -= sum;
}

static bool put_rom(struct device *d, unsigned region, const char *path, const char *image, size_t bytes,
                    GError **error)
{
    size_t room = NIC_ROM_BYTES;
    while (room < bytes)
        room <<= 1;
    if (bytes > ROM_MOST || !is_image((const uint8_t *)image, bytes)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "%s is no PCI option ROM: it is longer than 1 MiB, or does not begin with 55 AA and have PCI data",
                    path);
        return false;
    }
    uint8_t *rom = dev_memory(d, region, room, true);
    if (!rom) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM, "No room for the ROM of %s", d->name);
        return false;
    }
    memcpy(rom, image, bytes);
    make_fit(d, rom);
    return true;
}

/* May the machine boot from the network at all?  A ROM takes its time at each start. */
static bool of_use(const struct config *c)
{
    const struct config machine = {c->file, c->path, "machine"};
    g_autofree char *kernel = config_string(&machine, "kernel"), *boot = config_string(&machine, "boot");
    return (!kernel || !*kernel) && strstr(boot, "network");
}

bool nic_rom_init(struct device *d, unsigned region, const struct config *c, const char *name, GError **error)
{
    g_autofree char *key = config_string(c, "rom"), *path = config_path(c, "rom"), *image = NULL;
    g_autofree char *ours = g_build_filename(ROM_FOLDER, name, NULL);
    g_autoptr(GError) missing = NULL;
    bool automatic = !strcmp(key, "auto");
    gsize bytes;
    if (!strcmp(key, "off") || (automatic && !of_use(c))) {
        no_rom(d);
        return true;
    }
    if (g_file_get_contents(automatic ? ours : path, &image, &bytes, &missing))
        return put_rom(d, region, automatic ? ours : path, image, bytes, error);
    if (!automatic) {
        g_propagate_prefixed_error(error, g_steal_pointer(&missing), "%s: [%s] rom: ", c->path, c->section);
        return false;
    }
    g_message("%s: no network boot: %s (package ipxe-qemu)", d->name, missing->message);
    no_rom(d);
    return true;
}
