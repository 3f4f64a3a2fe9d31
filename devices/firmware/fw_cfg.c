// SPDX-License-Identifier: GPL-2.0-or-later
/* fw_cfg.c - firmware configuration device: named and numbered blobs that firmware reads through three ports or by DMA.
 * Spec: QEMU's published docs/specs/fw_cfg.
 *
 * Write the 16-bit selector at 510h, then read the blob byte by byte at 511h (zeros after its end), or write the
 * big-endian address of a descriptor {control, length, address} at 514h (high half) and 518h (low half, which starts the
 * transfer).  Guests cannot change blobs here: a DMA write ends with the error bit. */
#include "devices/firmware/fw_cfg.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include <inttypes.h>

/* Registers. */
enum { REGION_CONTROL, REGION_DMA };
enum { KEY_SIGNATURE = 0x00, KEY_ID = 0x01, KEY_DIRECTORY = 0x19, KEY_FILES = 0x20 };
enum { ID_TRADITIONAL = 1, ID_DMA = 2 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { KEY_ARCH = 0x8000, KEY_MASK = 0x3fff, KEYS = KEY_FILES + 128, NAME_BYTES = 56, DESCRIPTOR_BYTES = 16 };
static const char dma_signature[8] = "QEMU CFG";

/* State: what is selected and how far it has been read.  The blobs come from the board at every start. */
struct fw_cfg {
    GBytes *data[2][KEYS]; /* generic keys, then those of the architecture */
    char names[KEYS][NAME_BYTES];
    unsigned files;
    uint16_t key;
    uint32_t offset;
    uint32_t dma_high;
};

static GBytes **slot(struct fw_cfg *s, uint16_t key)
{
    unsigned n = key & KEY_MASK;

    return n < KEYS ? &s->data[!!(key & KEY_ARCH)][n] : NULL;
}

void fw_cfg_add_key_bytes(struct device *d, uint16_t key, GBytes *bytes)
{
    GBytes **p = slot(d->state, key);

    g_assert(p);
    g_bytes_ref(bytes);
    g_clear_pointer(p, g_bytes_unref);
    *p = bytes;
}

void fw_cfg_add_key(struct device *d, uint16_t key, const void *data, size_t bytes)
{
    g_autoptr(GBytes) copy = g_bytes_new(data, bytes);

    fw_cfg_add_key_bytes(d, key, copy);
}

void fw_cfg_add_u16(struct device *d, uint16_t key, uint16_t value)
{
    value = htole16(value);
    fw_cfg_add_key(d, key, &value, sizeof value);
}

void fw_cfg_add_u32(struct device *d, uint16_t key, uint32_t value)
{
    value = htole32(value);
    fw_cfg_add_key(d, key, &value, sizeof value);
}

/* Directory: big-endian count, then {size, selector, reserved, name} of each file. */
static void update_directory(struct device *d)
{
    struct fw_cfg *s = d->state;
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint8_t entry[8 + NAME_BYTES];

    put_be32(entry, s->files);
    g_byte_array_append(out, entry, 4);
    for (unsigned n = 0; n < s->files; n++) {
        put_be32(entry, g_bytes_get_size(s->data[0][KEY_FILES + n]));
        put_be16(entry + 4, KEY_FILES + n);
        put_be16(entry + 6, 0);
        memcpy(entry + 8, s->names[n], NAME_BYTES);
        g_byte_array_append(out, entry, sizeof entry);
    }
    fw_cfg_add_key(d, KEY_DIRECTORY, out->data, out->len);
}

void fw_cfg_add_file(struct device *d, const char *name, const void *data, size_t bytes)
{
    struct fw_cfg *s = d->state;
    unsigned n = 0;

    while (n < s->files && strcmp(s->names[n], name))
        n++;
    g_assert(n < KEYS - KEY_FILES && strlen(name) < NAME_BYTES);
    if (n == s->files)
        g_strlcpy(s->names[s->files++], name, NAME_BYTES);
    fw_cfg_add_key(d, KEY_FILES + n, data, bytes);
    update_directory(d);
}

/* Copies the next bytes of the selected blob and moves on; zeros after its end. */
static void take(struct fw_cfg *s, uint8_t *out, uint32_t bytes)
{
    GBytes **blob = slot(s, s->key);
    gsize size = 0;
    const uint8_t *data = blob && *blob ? g_bytes_get_data(*blob, &size) : NULL;
    uint32_t have = s->offset < size ? MIN(bytes, size - s->offset) : 0;

    if (have)
        memcpy(out, data + s->offset, have);
    memset(out + have, 0, bytes - have);
    s->offset = s->offset + bytes < s->offset ? UINT32_MAX : s->offset + bytes;
}

static void select_key(struct fw_cfg *s, uint16_t key)
{
    s->key = key;
    s->offset = 0;
}

/* Page by page, so that a hole in the middle stops only what lies behind it. */
static bool dma_read(struct device *d, uint64_t gpa, uint32_t bytes)
{
    while (bytes) {
        uint32_t n = MIN(bytes, 4096 - (gpa & 4095));
        uint8_t *to = dev_dma(d, gpa, n, true);
        if (!to)
            return false;
        take(d->state, to, n);
        dev_dma_done(d, gpa, n);
        gpa += n;
        bytes -= n;
    }
    return true;
}

static bool dma_run(struct device *d, uint32_t control, uint32_t bytes, uint64_t gpa)
{
    struct fw_cfg *s = d->state;

    if (control & DMA_SELECT)
        select_key(s, control >> 16);
    if (control & DMA_READ)
        return dma_read(d, gpa, bytes);
    if (control & DMA_WRITE)
        return false;
    if (control & DMA_SKIP)
        s->offset = s->offset + bytes < s->offset ? UINT32_MAX : s->offset + bytes;
    return true;
}

static void dma_start(struct device *d, uint64_t gpa)
{
    uint8_t *p = dev_dma(d, gpa, DESCRIPTOR_BYTES, true);
    bool ok;

    if (!p) {
        dev_log(d, "DMA descriptor at 0x%" PRIx64 " is not in RAM", gpa);
        return;
    }
    ok = dma_run(d, get_be32(p), get_be32(p + 4), get_be64(p + 8));
    if (!ok)
        dev_log(d, "DMA of key 0x%x refused", ((struct fw_cfg *)d->state)->key);
    put_be32(p, ok ? 0 : DMA_ERROR);
    dev_dma_done(d, gpa, 4);
}

static uint64_t fw_cfg_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    uint8_t bytes[8] = {0};

    if (region == REGION_DMA)
        memcpy(bytes, dma_signature + offset, MIN(size, sizeof dma_signature - offset));
    else if (offset + size > 1)
        take(d->state, bytes, 1);
    return get_le64(bytes);
}

static void fw_cfg_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct fw_cfg *s = d->state;

    if (region == REGION_CONTROL) {
        if (offset == 0 && size == 2)
            select_key(s, value);
    } else if (size == 4 && offset == 0) {
        s->dma_high = be32toh(value);
    } else if (size == 4 && offset == 4) {
        uint64_t gpa = (uint64_t)s->dma_high << 32 | be32toh(value);
        s->dma_high = 0;
        dma_start(d, gpa);
    }
}

static bool fw_cfg_init(struct device *d, const struct config *c, GError **error)
{
    fw_cfg_add_key(d, KEY_SIGNATURE, "QEMU", 4);
    fw_cfg_add_u32(d, KEY_ID, ID_TRADITIONAL | ID_DMA);
    update_directory(d);
    return true;
}

static void fw_cfg_reset(struct device *d)
{
    struct fw_cfg *s = d->state;

    select_key(s, 0);
    s->dma_high = 0;
}

static bool fw_cfg_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct fw_cfg *f = d->state;

    stream_u16(s, &f->key);
    stream_u32(s, &f->offset);
    stream_u32(s, &f->dma_high);
    return stream_ok(s);
}

static void fw_cfg_fini(struct device *d)
{
    struct fw_cfg *s = d->state;

    for (unsigned n = 0; n < 2 * KEYS; n++)
        g_clear_pointer(&s->data[n / KEYS][n % KEYS], g_bytes_unref);
}

const struct device_ops fw_cfg_ops = {
    .name = "fw_cfg",
    .state_bytes = sizeof(struct fw_cfg),
    .version = 1,
    .regions = {[REGION_CONTROL] = {.bus = BUS_PORT, .base = 0x510, .bytes = 2, .min_size = 1, .max_size = 2},
                [REGION_DMA] = {.bus = BUS_PORT, .base = 0x514, .bytes = 8, .min_size = 1, .max_size = 4}},
    .init = fw_cfg_init,
    .reset = fw_cfg_reset,
    .read = fw_cfg_read,
    .write = fw_cfg_write,
    .sync = fw_cfg_sync,
    .fini = fw_cfg_fini,
};
