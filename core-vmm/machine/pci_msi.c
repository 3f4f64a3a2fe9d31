// SPDX-License-Identifier: GPL-2.0-or-later
/* pci_msi.c - interrupts as messages: MSI and MSI-X (PCI Local Bus Specification 3.0, chapter 6.8).
 *
 * A message is a memory write of four bytes to an address, both chosen by the guest; the chipset takes those to the local
 * APICs' page as interrupts (SDM Vol. 3, "Message Signalled Interrupts").  MSI keeps one address and data in its capability, and a function with 2^n
 * messages puts its number into the low bits of the data.  MSI-X has a table in a BAR, 16 bytes a vector (address, data,
 * control), and a bit array of what is pending; both belong to core, the chip never sees an access to them.
 *
 * A message whose vector is masked waits in its pending bit and is sent, once, when the mask goes.  The bus master bit of
 * the command register rules all: without it, messages are lost like any other write by the function. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/machine/core.h"
#include <string.h>

enum { PCI_COMMAND = 4, COMMAND_MASTER = 4 };
/* MSI: offsets in the capability (64-bit address form). */
enum { MSI_CONTROL = 2, MSI_ADDRESS = 4, MSI_DATA = 12, MSI_MASK = 16, MSI_PENDING = 20 };
enum { MSI_ON = 1, MSI_COUNT_SHIFT = 4, MSI_COUNT = 7 << MSI_COUNT_SHIFT, MSI_64 = 1 << 7, MSI_MASKABLE = 1 << 8 };
/* MSI-X: the capability, and a table entry. */
enum { MSIX_CONTROL = 2, MSIX_TABLE = 4, MSIX_PENDING = 8, MSIX_ALL_MASKED = 1 << 14, MSIX_ON = 1 << 15 };
enum { ENTRY = 16, ENTRY_DATA = 8, ENTRY_CONTROL = 12, ENTRY_MASKED = 1 };

/* What a message to the local APICs says. */
enum { ADDRESS_LOGICAL = 1 << 2, DATA_MODE_SHIFT = 8, DATA_ASSERT = 1 << 14, DATA_LEVEL = 1 << 15 };
#define APICS 0xfee00000u

struct msi {
    const struct pci_capability *msi, *msix; /* NULL: this one it has not */
    unsigned msi_at, msix_at;
    uint8_t *table;    /* of MSI-X, as the guest sees it */
    uint64_t *pending; /* a bit per vector; whole quadwords */
};

static unsigned table_bytes(const struct msi *s)
{
    return s->msix->vectors * ENTRY;
}

static unsigned pending_bytes(const struct msi *s)
{
    return (s->msix->vectors + 63) / 64 * 8;
}

struct msi *msi_new(const struct pci_capability *list)
{
    struct msi s = {0};
    for (const struct pci_capability *c = list; c && c->id; c++) {
        if (c->id == PCI_CAP_MSI)
            s.msi = c;
        else if (c->id == PCI_CAP_MSIX)
            s.msix = c;
    }
    if (s.msix) {
        s.table = g_malloc0(table_bytes(&s));
        s.pending = g_malloc0(pending_bytes(&s));
    }
    return s.msi || s.msix ? g_memdup2(&s, sizeof s) : NULL;
}

void msi_free(struct msi *s)
{
    if (s) {
        g_free(s->table);
        g_free(s->pending);
    }
    g_free(s);
}

bool msi_sync(struct device *d, struct stream *s)
{
    struct msi *m = d->core->msi;
    for (unsigned n = 0; m->msix && n < m->msix->vectors; n++) {
        uint8_t *e = m->table + n * ENTRY;
        stream_raw(s, e, ENTRY);
        e[0] &= ~3;
        put_le32(e + ENTRY_CONTROL, get_le32(e + ENTRY_CONTROL) & ENTRY_MASKED);
    }
    for (unsigned i = 0; m->msix && i < pending_bytes(m) / 8; i++) {
        unsigned left = m->msix->vectors - i * 64;
        stream_u64(s, &m->pending[i]);
        m->pending[i] &= left < 64 ? (1ull << left) - 1 : UINT64_MAX;
    }
    return stream_ok(s);
}

/* ---- capabilities ---- */

static void msi_fill(struct device *d, const struct pci_capability *c, unsigned at)
{
    uint8_t *config = d->core->pci_config + at, *w = d->core->pci_writable + at;
    g_assert(c->vectors && c->vectors <= 32 && !(c->vectors & (c->vectors - 1)));
    d->core->msi->msi_at = at;
    put_le16(config + MSI_CONTROL, __builtin_ctz(c->vectors) << 1 | MSI_64 | (c->maskable ? MSI_MASKABLE : 0));
    put_le16(w + MSI_CONTROL, MSI_ON | MSI_COUNT);
    put_le64(w + MSI_ADDRESS, ~3ull);
    put_le16(w + MSI_DATA, 0xffff);
    if (c->maskable)
        put_le32(w + MSI_MASK, c->vectors == 32 ? UINT32_MAX : (1u << c->vectors) - 1);
}

static void msix_fill(struct device *d, const struct pci_capability *c, unsigned at)
{
    uint8_t *config = d->core->pci_config + at, *w = d->core->pci_writable + at;
    const struct region *r = &d->ops->regions[c->region];
    g_assert(c->vectors && c->vectors <= 2048 && r->bus == BUS_MEM && r->bar && r->bar != BAR_ROM);
    g_assert(!(c->table & 7) && c->table + table_bytes(d->core->msi) <= r->bytes);
    g_assert(!(c->pending & 7) && c->pending + pending_bytes(d->core->msi) <= r->bytes);
    d->core->msi->msix_at = at;
    put_le16(config + MSIX_CONTROL, c->vectors - 1);
    put_le16(w + MSIX_CONTROL, MSIX_ALL_MASKED | MSIX_ON);
    put_le32(config + MSIX_TABLE, c->table | (r->bar - BAR0));
    put_le32(config + MSIX_PENDING, c->pending | (r->bar - BAR0));
}

void msi_setup(struct device *d, const struct pci_capability *c, unsigned at)
{
    (c->id == PCI_CAP_MSI ? msi_fill : msix_fill)(d, c, at);
}

/* Everything off, every vector masked. */
void msi_reset(struct device *d)
{
    struct msi *s = d->core->msi;
    if (s->msi) {
        uint8_t *c = d->core->pci_config + s->msi_at;
        put_le16(c + MSI_CONTROL, get_le16(c + MSI_CONTROL) & ~(MSI_ON | MSI_COUNT));
        memset(c + MSI_ADDRESS, 0, s->msi->maskable ? 20 : 10);
    }
    if (!s->msix)
        return;
    uint8_t *c = d->core->pci_config + s->msix_at;
    put_le16(c + MSIX_CONTROL, get_le16(c + MSIX_CONTROL) & ~(MSIX_ON | MSIX_ALL_MASKED));
    memset(s->table, 0, table_bytes(s));
    memset(s->pending, 0, pending_bytes(s));
    for (unsigned n = 0; n < s->msix->vectors; n++)
        put_le32(s->table + n * ENTRY + ENTRY_CONTROL, ENTRY_MASKED);
}

/* ---- sending ---- */

static uint16_t msi_control(struct device *d)
{
    const struct msi *s = d->core->msi;
    return s->msi ? get_le16(d->core->pci_config + s->msi_at + MSI_CONTROL) : 0;
}

static uint16_t msix_control(struct device *d)
{
    const struct msi *s = d->core->msi;
    return s->msix ? get_le16(d->core->pci_config + s->msix_at + MSIX_CONTROL) : 0;
}

bool msi_enabled(struct device *d)
{
    return (msi_control(d) & MSI_ON) || (msix_control(d) & MSIX_ON);
}

static void write_memory(struct device *d, uint64_t address, uint32_t data)
{
    uint8_t *to = dev_dma(d, address, 4, true);
    if (!to)
        return;
    put_le32(to, data);
    dev_dma_done(d, address, 4);
}

static void send(struct device *d, const uint8_t *to, uint32_t data)
{
    uint64_t address = get_le64(to) & ~3ull;
    if (!(d->core->pci_config[PCI_COMMAND] & COMMAND_MASTER))
        return;
    if ((address & ~0xfffffull) == APICS)
        irq_message(d, &(struct apic_message){.destination = address >> 12 & 0xff,
                                              .logical = address & ADDRESS_LOGICAL,
                                              .level_assert = data & DATA_ASSERT || !(data & DATA_LEVEL),
                                              .level_triggered = data & DATA_LEVEL,
                                              .mode = data >> DATA_MODE_SHIFT & 7,
                                              .vector = data});
    else
        write_memory(d, address, data); /* what the guest asked for */
}

/* The guest may have asked for more than there are. */
static unsigned msi_count(struct device *d)
{
    unsigned asked = 1u << ((msi_control(d) & MSI_COUNT) >> MSI_COUNT_SHIFT);
    return MIN(asked, d->core->msi->msi->vectors);
}

static void msi_send(struct device *d, unsigned n)
{
    const struct msi *s = d->core->msi;
    uint8_t *c = d->core->pci_config + s->msi_at;
    unsigned count = msi_count(d);
    n &= count - 1;
    if (s->msi->maskable && get_le32(c + MSI_MASK) >> n & 1)
        put_le32(c + MSI_PENDING, get_le32(c + MSI_PENDING) | 1u << n);
    else
        send(d, c + MSI_ADDRESS, (get_le16(c + MSI_DATA) & ~(count - 1)) | n);
}

static bool msix_masked(struct device *d, unsigned n)
{
    const uint8_t *e = d->core->msi->table + n * ENTRY;
    return (msix_control(d) & MSIX_ALL_MASKED) || (get_le32(e + ENTRY_CONTROL) & ENTRY_MASKED);
}

static void msix_send(struct device *d, unsigned n)
{
    const struct msi *s = d->core->msi;
    const uint8_t *e = s->table + n * ENTRY;
    if (n >= s->msix->vectors) /* a number that the guest chose */
        return;
    if (msix_masked(d, n))
        s->pending[n / 64] |= 1ull << n % 64;
    else
        send(d, e, get_le32(e + ENTRY_DATA));
}

void dev_msi(struct device *d, unsigned n)
{
    if (!d->core->msi)
        return;
    if (msix_control(d) & MSIX_ON)
        msix_send(d, n);
    else if (msi_control(d) & MSI_ON)
        msi_send(d, n);
}

/* ---- what waited ---- */

static void msi_send_waiting(struct device *d)
{
    const struct msi *s = d->core->msi;
    uint8_t *c = d->core->pci_config + s->msi_at;
    if (!(msi_control(d) & MSI_ON) || !s->msi->maskable)
        return;
    uint32_t go = get_le32(c + MSI_PENDING) & ~get_le32(c + MSI_MASK);
    put_le32(c + MSI_PENDING, get_le32(c + MSI_PENDING) & ~go);
    for (; go; go &= go - 1)
        msi_send(d, __builtin_ctz(go));
}

static void msix_send_waiting(struct device *d, unsigned n)
{
    struct msi *s = d->core->msi;
    if (!(s->pending[n / 64] >> n % 64 & 1) || !(msix_control(d) & MSIX_ON) || msix_masked(d, n))
        return;
    s->pending[n / 64] &= ~(1ull << n % 64);
    msix_send(d, n);
}

void msi_written(struct device *d)
{
    const struct msi *s = d->core->msi;
    if (s->msi)
        msi_send_waiting(d);
    for (unsigned i = 0; s->msix && i < pending_bytes(s) / 8; i++)
        for (uint64_t left = s->pending[i]; left; left &= left - 1)
            msix_send_waiting(d, i * 64 + __builtin_ctzll(left));
}

/* ---- table and pending bits ----
 * The first byte says whose an access is.  The manual allows whole words only; here any width does what its bytes say, and
 * what lies beyond the end reads as zeroes. */

bool msix_covers(struct device *d, unsigned region, uint64_t offset)
{
    const struct msi *s = d->core->msi;
    return s->msix && s->msix->region == region &&
           (offset - s->msix->table < table_bytes(s) || offset - s->msix->pending < pending_bytes(s));
}

uint64_t msix_read(struct device *d, uint64_t offset, unsigned size)
{
    const struct msi *s = d->core->msi;
    uint64_t in_table = offset - s->msix->table, at = offset - s->msix->pending, v = 0;
    if (in_table < table_bytes(s)) {
        memcpy(&v, s->table + in_table, MIN(size, table_bytes(s) - in_table));
        return le64toh(v);
    }
    for (unsigned i = 0; i < size && at + i < pending_bytes(s); i++)
        v |= (s->pending[(at + i) / 8] >> (at + i) % 8 * 8 & 0xff) << i * 8;
    return v;
}

void msix_write(struct device *d, uint64_t offset, unsigned size, uint64_t value)
{
    struct msi *s = d->core->msi;
    uint64_t at = offset - s->msix->table;
    if (at >= table_bytes(s)) /* pending bits are read-only */
        return;
    size = MIN(size, table_bytes(s) - at);
    value = htole64(value);
    memcpy(s->table + at, &value, size);
    for (unsigned n = at / ENTRY; n <= (at + size - 1) / ENTRY; n++) {
        uint8_t *e = s->table + n * ENTRY;
        e[0] &= ~3;
        put_le32(e + ENTRY_CONTROL, get_le32(e + ENTRY_CONTROL) & ENTRY_MASKED);
        msix_send_waiting(d, n);
    }
}
