// SPDX-License-Identifier: GPL-2.0-or-later
/* smbios.c - SMBIOS structures of one VM.  Spec: DMTF DSP0134, version 2.8, entry point of 2.1.
 * The BIOS copies them into memory, sets the address and the checksums, and adds type 0 (BIOS information) itself. */
#include "core-vmm/base/bytes.h"
#include "devices/firmware/fw_cfg.h"
#include "devices/firmware/pc_firmware.h"

enum { TYPE_SYSTEM = 1, TYPE_CHASSIS = 3, TYPE_PROCESSOR = 4, TYPE_MEMORY_ARRAY = 16, TYPE_MEMORY_DEVICE = 17 };
enum { TYPE_ARRAY_ADDRESS = 19, TYPE_BOOT = 32, TYPE_END = 127 };
enum { HANDLE_CPU = 0x400, HANDLE_ARRAY = 0x1000, HANDLE_DEVICE = 0x1100, HANDLE_ADDRESS = 0x1300 };

struct builder {
    GByteArray *out;
    unsigned count, largest;
};

/* Adds a structure: body follows the 4-byte header; strings is NULL-terminated, numbered from 1. */
static void add(struct builder *b, uint8_t type, uint16_t handle, const void *body, unsigned bytes,
                const char *const *strings)
{
    unsigned start = b->out->len;
    uint8_t header[4] = {type, bytes + 4};

    put_le16(header + 2, handle);
    g_byte_array_append(b->out, header, 4);
    g_byte_array_append(b->out, body, bytes);
    for (unsigned n = 0; strings && strings[n]; n++)
        g_byte_array_append(b->out, (const uint8_t *)strings[n], strlen(strings[n]) + 1);
    if (!strings)
        g_byte_array_append(b->out, (const uint8_t *)"", 1);
    g_byte_array_append(b->out, (const uint8_t *)"", 1);
    b->count++;
    b->largest = MAX(b->largest, b->out->len - start);
}

/* From version 2.6 on the first three fields of a UUID are little-endian. */
static void swap_uuid(uint8_t *to, const uint8_t *uuid)
{
    put_le32(to, get_be32(uuid));
    put_le16(to + 4, get_be16(uuid + 4));
    put_le16(to + 6, get_be16(uuid + 6));
    memcpy(to + 8, uuid + 8, 8);
}

static void add_system(struct builder *b, const struct pc_firmware *p)
{
    static const char *const strings[] = {"Terrarium", "Terrarium PC (i440FX + PIIX)", TERRARIUM_VERSION, NULL};
    uint8_t body[23] = {1, 2, 3};

    if (p->uuid)
        swap_uuid(body + 4, p->uuid);
    body[20] = 6; /* woken by the power switch */
    add(b, TYPE_SYSTEM, 0x100, body, sizeof body, strings);
}

static void add_chassis(struct builder *b)
{
    static const char *const strings[] = {"Terrarium", NULL};
    /* Type "other"; boot-up, power supply and thermal state "safe"; security unknown. */
    uint8_t body[18] = {1, 1, 0, 0, 0, 3, 3, 3, 2};

    add(b, TYPE_CHASSIS, 0x300, body, sizeof body, strings);
}

static void add_processor(struct builder *b, unsigned n, unsigned cores)
{
    char socket[16];
    const char *strings[] = {socket, "Terrarium", NULL};
    uint8_t body[38] = {1, 3 /* CPU */, 1 /* family other */, 2};

    g_snprintf(socket, sizeof socket, "CPU %u", n);
    body[20] = 0x41;                        /* populated, enabled */
    body[21] = 1;                           /* upgrade: other */
    memset(body + 22, 0xff, 6);             /* no cache handles */
    body[31] = body[32] = body[33] = cores; /* cores, enabled, threads */
    put_le16(body + 34, 4);                 /* 64-bit capable */
    add(b, TYPE_PROCESSOR, HANDLE_CPU + n, body, sizeof body, strings);
}

static void add_memory(struct builder *b, uint64_t ram)
{
    static const char *const strings[] = {"DIMM 0", NULL};
    uint8_t array[19] = {1 /* other */, 3 /* system memory */, 6 /* multi-bit ECC */};
    uint8_t device[36] = {0};
    uint64_t kib = ram >> 10, mib = ram >> 20;

    put_le32(array + 3, kib < 0x80000000u ? kib : 0x80000000u);
    put_le16(array + 7, 0xfffe); /* no error information */
    put_le16(array + 9, 1);
    put_le64(array + 11, kib < 0x80000000u ? 0 : ram);
    add(b, TYPE_MEMORY_ARRAY, HANDLE_ARRAY, array, sizeof array, NULL);

    put_le16(device, HANDLE_ARRAY);
    put_le16(device + 2, 0xfffe);
    put_le16(device + 4, 64);
    put_le16(device + 6, 64);
    put_le16(device + 8, mib < 0x7fff ? mib : 0x7fff);
    device[10] = 9; /* DIMM */
    device[12] = 1;
    device[14] = 7; /* RAM */
    put_le16(device + 15, 2);
    put_le32(device + 24, mib < 0x7fff ? 0 : mib);
    add(b, TYPE_MEMORY_DEVICE, HANDLE_DEVICE, device, sizeof device, strings);
}

static void add_mapped(struct builder *b, unsigned n, uint64_t start, uint64_t bytes)
{
    uint8_t body[27] = {0};

    put_le32(body, start >> 10);
    put_le32(body + 4, (start + bytes - 1) >> 10);
    put_le16(body + 8, HANDLE_ARRAY);
    body[10] = 1;
    add(b, TYPE_ARRAY_ADDRESS, HANDLE_ADDRESS + n, body, sizeof body, NULL);
}

static void add_anchor(struct device *fw_cfg, const struct builder *b)
{
    uint8_t anchor[31] = "_SM_";

    anchor[5] = sizeof anchor;
    anchor[6] = 2;
    anchor[7] = 8;
    put_le16(anchor + 8, b->largest);
    memcpy(anchor + 16, "_DMI_", 5);
    put_le16(anchor + 22, b->out->len);
    put_le16(anchor + 28, b->count);
    anchor[30] = 0x28;
    fw_cfg_add_file(fw_cfg, "etc/smbios/smbios-anchor", anchor, sizeof anchor);
}

void smbios_setup(struct device *fw_cfg, const struct pc_firmware *p)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    struct builder b = {.out = out};
    static const uint8_t boot[7] = {0}; /* no errors */
    unsigned sockets = MAX(p->sockets, 1);

    add_system(&b, p);
    add_chassis(&b);
    for (unsigned n = 0; n < sockets; n++)
        add_processor(&b, n, p->cpus / sockets);
    add_memory(&b, p->ram_below_4g + p->ram_above_4g);
    add_mapped(&b, 0, 0, p->ram_below_4g);
    if (p->ram_above_4g)
        add_mapped(&b, 1, 1ull << 32, p->ram_above_4g);
    add(&b, TYPE_BOOT, 0x2000, boot, sizeof boot, NULL);
    add(&b, TYPE_END, 0x7f00, NULL, 0, NULL);
    add_anchor(fw_cfg, &b);
    fw_cfg_add_file(fw_cfg, "etc/smbios/smbios-tables", out->data, out->len);
}
