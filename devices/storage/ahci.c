// SPDX-License-Identifier: GPL-2.0-or-later
/* ahci.c - the SATA controller of Intel's ICH9 in AHCI mode: six ports, 32 slots, queued commands, hot plug.
 * Specs: Serial ATA AHCI 1.3.1; Intel ICH9 datasheet (316972), chapter 15.
 *
 * Line 0: INTA#.  The sections sata0-sata5 of machine.ini are the ports; one without a section has nothing connected, one of a
 * disk without a file is an empty bay.  There is no port multiplier, enclosure management, legacy mode or power saving:
 * what asks for that is stored, or reads as 0. */
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/storage/ahci.h"
#include "devices/storage/ata_board.h"

/* Registers. */
enum { REGION_REGISTERS = 0, PORTS_AT = 0x100, PORT_BYTES = 0x80 };
enum { REG_CAP = 0x00, REG_GHC = 0x04, REG_IS = 0x08, REG_PI = 0x0c, REG_VS = 0x10 };
enum { PX_CLB = 0x00, PX_CLBU = 0x04, PX_FB = 0x08, PX_FBU = 0x0c, PX_IS = 0x10, PX_IE = 0x14, PX_CMD = 0x18 };
enum { PX_TFD = 0x20, PX_SIG = 0x24, PX_SSTS = 0x28, PX_SCTL = 0x2c, PX_SERR = 0x30, PX_SACT = 0x34, PX_CI = 0x38 };
enum { GHC_HR = 1, GHC_IE = 2, VERSION = 0x00010301 };
#define GHC_AE UINT32_C(0x80000000)
enum { CAP_PORTS = AHCI_PORTS - 1, CAP_SLOTS = (AHCI_SLOTS - 1) << 8, CAP_PMD = 1 << 15, CAP_AHCI_ONLY = 1 << 18 };
enum { CAP_3_GBPS = 2 << 20, CAP_CLO = 1 << 24, CAP_NCQ = 1 << 30 };
#define CAP_64 UINT32_C(0x80000000)
#define CAP    (CAP_PORTS | CAP_SLOTS | CAP_PMD | CAP_AHCI_ONLY | CAP_3_GBPS | CAP_CLO | CAP_NCQ | CAP_64)
enum { CMD_CCS = 8, CMD_ALWAYS = CMD_SUD | CMD_POD | CMD_HPCP };
enum { IS_CLEARABLE = 0x7dc000bf, IE_BITS = 0x7dc000ff, SCTL_BITS = 0xfff, DET_RESET = 1, DET_OFFLINE = 4 };
enum { TFD_NOBODY = 0x7f, SSTS_UP = 0x103, SSTS_OFFLINE = 4, SIGNATURE_DISK = 0x00000101 };
#define SIGNATURE_CD      UINT32_C(0xeb140101)
#define SIGNATURE_NOTHING UINT32_C(0xffffffff)

/* ---- interrupts ---- */
static uint32_t port_status(const struct ahci_port *p)
{
    return p->status | (p->serr & SERR_EXCHANGED ? IS_CONNECT : 0) | (p->serr & SERR_PHY ? IS_PHY : 0);
}

/* A message for each cause that is new. */
void ahci_update(struct device *d)
{
    struct ahci *s = d->state;
    bool news = false;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        struct ahci_port *p = &s->port[n];
        uint32_t wants = port_status(p) & p->enable;
        if (wants)
            s->is |= 1u << n;
        news |= (wants & ~p->told) != 0;
        p->told = wants;
    }
    bool level = s->ghc & GHC_IE && s->is;
    dev_irq(d, 0, level);
    if (level && news)
        dev_msi(d, 0);
}

/* ---- the link ---- */
static bool there(const struct ata_drive *v)
{
    return v->medium && (v->cdrom || drive_bytes(v->medium));
}

/* The drive answers: its signature comes as a FIS that does not interrupt. */
static void link_up(struct device *d, struct ahci_port *p)
{
    p->link = there(&p->drive) && (p->sctl & 15) == 0;
    ata_power_on(&p->drive);
    if (!p->link)
        return;
    p->serr |= SERR_EXCHANGED;
    ata_reset(&p->drive);
    ahci_post_d2h(d, p, false);
}

static void link_down(struct ahci_port *p)
{
    ahci_give_up(p);
    p->link = p->resetting = false;
}

static void medium_changed(struct device *d, struct drive *medium)
{
    struct ahci *s = d->state;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        struct ahci_port *p = &s->port[n];
        if (p->drive.medium != medium)
            continue;
        if (p->drive.cdrom) {
            atapi_medium_changed(&p->drive);
            continue;
        }
        link_down(p); /* the disk is the drive: another one, or none */
        p->halted = true;
        p->serr |= SERR_PHY;
        ata_plugged(&p->drive);
        link_up(d, p);
    }
    ahci_update(d);
}

static void batch_done(struct device *d, struct drive *medium)
{
    struct ahci *s = d->state;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        if (s->port[n].drive.medium == medium)
            ahci_tell_queued(d, &s->port[n]);
    ahci_update(d);
}

/* COMRESET, as long as DET is 1. */
static void sctl_write(struct device *d, struct ahci_port *p, uint32_t value)
{
    unsigned was = p->sctl & 15, is = value & 15;

    p->sctl = value & SCTL_BITS;
    if (was == is)
        return;
    if (p->drive.medium && is)
        drive_quiesce(p->drive.medium);
    if (is == DET_RESET || is == DET_OFFLINE)
        link_down(p);
    else if (is == 0)
        link_up(d, p);
}

static uint32_t ssts(const struct ahci_port *p)
{
    unsigned speed = p->sctl >> 4 & 15;

    if ((p->sctl & 15) == DET_OFFLINE)
        return SSTS_OFFLINE;
    return p->link ? SSTS_UP | (speed == 1 ? 1 : 2) << 4 : 0;
}

/* ---- read ---- */
static uint32_t command_read(const struct ahci_port *p)
{
    bool running = p->command & CMD_ST || !ahci_port_idle(p);

    return p->command | CMD_ALWAYS | (p->command & CMD_FRE ? CMD_FR : 0) | (running ? CMD_CR : 0) | p->last << CMD_CCS;
}

static uint32_t signature(const struct ahci_port *p)
{
    return !p->link ? SIGNATURE_NOTHING : p->drive.cdrom ? SIGNATURE_CD : SIGNATURE_DISK;
}

static uint32_t port_read(const struct ahci_port *p, unsigned offset)
{
    switch (offset) {
    case PX_CLB: return p->list;
    case PX_CLBU: return p->list >> 32;
    case PX_FB: return p->fis;
    case PX_FBU: return p->fis >> 32;
    case PX_IS: return port_status(p);
    case PX_IE: return p->enable;
    case PX_CMD: return command_read(p);
    case PX_TFD: return p->link ? p->drive.error << 8 | p->drive.status : TFD_NOBODY;
    case PX_SIG: return signature(p);
    case PX_SSTS: return ssts(p);
    case PX_SCTL: return p->sctl;
    case PX_SERR: return p->serr;
    case PX_SACT: return p->active;
    case PX_CI: return p->issue;
    default: return 0;
    }
}

static uint64_t ahci_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct ahci *s = d->state;

    if (offset >= PORTS_AT && offset < PORTS_AT + AHCI_PORTS * PORT_BYTES)
        return port_read(&s->port[(offset - PORTS_AT) / PORT_BYTES], offset & (PORT_BYTES - 4));
    switch (offset & ~UINT64_C(3)) {
    case REG_CAP: return CAP;
    case REG_GHC: return s->ghc | GHC_AE;
    case REG_IS: return s->is;
    case REG_PI: return (1u << AHCI_PORTS) - 1;
    case REG_VS: return VERSION;
    default: return 0;
    }
}

/* ---- reset ---- */
static void port_reset(struct device *d, struct ahci_port *p)
{
    if (p->drive.medium)
        drive_quiesce(p->drive.medium);
    link_down(p);
    p->list = p->fis = 0;
    p->status = p->enable = p->command = p->sctl = p->serr = p->active = p->issue = p->told = 0;
    p->last = 0;
    p->halted = false;
    link_up(d, p);
}

static void ahci_reset(struct device *d)
{
    struct ahci *s = d->state;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        port_reset(d, &s->port[n]);
    s->ghc = s->is = 0;
    ahci_update(d);
}

/* ---- write ---- */
static void set_low(uint64_t *address, uint32_t value, uint32_t align)
{
    *address = (*address & ~UINT64_C(0xffffffff)) | (value & ~(align - 1));
}

static void set_high(uint64_t *address, uint32_t value)
{
    *address = (uint32_t)*address | (uint64_t)value << 32;
}

static void command_write(struct ahci_port *p, uint32_t value)
{
    bool was = p->command & CMD_ST, is = value & CMD_ST;

    if (value & CMD_CLO)
        p->drive.status &= ~(STATUS_BSY | STATUS_DRQ);
    p->command = value & (CMD_ST | CMD_FRE | CMD_ATAPI);
    if (!was || is)
        return;
    ahci_give_up(p);
    p->issue = p->active = 0;
    p->last = AHCI_SLOTS - 1;
    p->halted = !p->link;
}

static void port_write(struct device *d, struct ahci_port *p, unsigned offset, uint32_t value)
{
    switch (offset) {
    case PX_CLB: set_low(&p->list, value, 1024); break;
    case PX_CLBU: set_high(&p->list, value); break;
    case PX_FB: set_low(&p->fis, value, 256); break;
    case PX_FBU: set_high(&p->fis, value); break;
    case PX_IS: p->status &= ~(value & IS_CLEARABLE); break;
    case PX_IE: p->enable = value & IE_BITS; break;
    case PX_CMD: command_write(p, value); break;
    case PX_SCTL: sctl_write(d, p, value); break;
    case PX_SERR: p->serr &= ~value; break;
    case PX_SACT: p->active |= p->command & CMD_ST ? value : 0; break;
    case PX_CI: p->issue |= p->command & CMD_ST ? value : 0; break;
    }
    ahci_run(d, p);
    ahci_tell_queued(d, p);
}

static void ghc_write(struct device *d, uint32_t value)
{
    struct ahci *s = d->state;

    if (value & GHC_HR)
        ahci_reset(d);
    else
        s->ghc = value & GHC_IE;
}

static void ahci_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct ahci *s = d->state;

    if (offset >= PORTS_AT && offset < PORTS_AT + AHCI_PORTS * PORT_BYTES)
        port_write(d, &s->port[(offset - PORTS_AT) / PORT_BYTES], offset & (PORT_BYTES - 4), value);
    else if ((offset & ~UINT64_C(3)) == REG_GHC)
        ghc_write(d, value);
    else if ((offset & ~UINT64_C(3)) == REG_IS)
        s->is &= ~value;
    ahci_update(d);
}

/* ---- set-up ---- */
static void ahci_fini(struct device *d)
{
    struct ahci *s = d->state;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        drive_close(s->port[n].drive.medium);
}

static bool open_port(struct device *d, struct ahci_port *p, const struct config *c, GError **error)
{
    static const char *const sections[AHCI_PORTS] = {"sata0", "sata1", "sata2", "sata3", "sata4", "sata5"};
    struct config section = {c->file, c->path, sections[p->number]};

    p->drive.serial_ata = true;
    p->drive.failed_tag = ATA_NO_TAG;
    disk_geometry_choose(0, NULL, &p->drive.geometry, &p->drive.bios_geometry);
    if (!c->file || !g_key_file_has_group(c->file, section.section))
        return true;
    if (!ata_open(d, &p->drive, &section, p->number, true, error))
        return false;
    drive_on_change(p->drive.medium, medium_changed);
    drive_on_batch(p->drive.medium, batch_done);
    return true;
}

static bool ahci_init(struct device *d, const struct config *c, GError **error)
{
    struct ahci *s = d->state;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        struct ahci_port *p = &s->port[n];
        p->number = n;
        for (unsigned i = 0; i < AHCI_SLOTS; i++) {
            p->slot[i].port = p;
            p->slot[i].number = i;
        }
        if (!open_port(d, p, c, error)) {
            ahci_fini(d); /* core does not call it for a device that failed */
            return false;
        }
    }
    return true;
}

bool ahci_geometry(struct device *d, unsigned number, struct disk_geometry *drive, struct disk_geometry *bios)
{
    struct ahci *s = d->state;
    const struct ata_drive *v = &s->port[number].drive;

    *drive = v->geometry;
    *bios = v->bios_geometry;
    return v->medium && !v->cdrom && drive_bytes(v->medium);
}

/* ---- saved state: no request is under way, and what could be run has been ---- */
static void sync_port(struct stream *s, struct ahci_port *p)
{
    uint32_t *words[] = {&p->status, &p->enable, &p->command, &p->sctl, &p->serr, &p->active, &p->issue, &p->taken};

    ata_sync(s, &p->drive);
    stream_u64(s, &p->list);
    stream_u64(s, &p->fis);
    for (unsigned n = 0; n < G_N_ELEMENTS(words); n++)
        stream_u32(s, words[n]);
    stream_bool(s, &p->link);
    stream_bool(s, &p->halted);
    stream_bool(s, &p->resetting);
    stream_u8(s, &p->last);
}

static bool ahci_sync(struct device *d, struct stream *stream, uint32_t version)
{
    struct ahci *s = d->state;

    stream_u32(stream, &s->ghc);
    stream_u32(stream, &s->is);
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        struct ahci_port *p = &s->port[n];
        sync_port(stream, p);
        if (!stream->loading)
            continue;
        if (!stream_ok(stream) || !ata_is_sane(&p->drive) || p->last >= AHCI_SLOTS || (p->link && !there(&p->drive)))
            return false;
        p->told = port_status(p) & p->enable;
    }
    if (stream->loading)
        dev_irq(d, 0, s->ghc & GHC_IE && s->is);
    return stream_ok(stream);
}

static const struct pci_capability capabilities[] = {{.id = PCI_CAP_MSI, .at = 0x80, .vectors = 1}, {0}};
static const struct pci_ids ids = {
    .vendor = 0x8086,
    .device = 0x2922,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x010601,
    .revision = 2,
    .interrupt_pin = 1,
    .capabilities = capabilities,
};

const struct device_ops ahci_ops = {
    .name = "ahci",
    .state_bytes = sizeof(struct ahci),
    .version = 1,
    .regions = {[REGION_REGISTERS] = {.bus = BUS_MEM, .bytes = 4096, .min_size = 4, .max_size = 4, .bar = BAR5}},
    .pci = &ids,
    .init = ahci_init,
    .reset = ahci_reset,
    .read = ahci_read,
    .write = ahci_write,
    .sync = ahci_sync,
    .fini = ahci_fini,
};
