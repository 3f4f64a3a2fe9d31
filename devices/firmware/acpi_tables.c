// SPDX-License-Identifier: GPL-2.0-or-later
/* acpi_tables.c - ACPI tables of one VM, and the script by which the firmware puts them into memory.
 * Specs: ACPI 1.0b (Windows 2000 takes nothing newer from a board of this age), or the FADT of 2.0 for others; MADT of ACPI 2.0; the
 * table loader of QEMU's published fw_cfg specification.
 *
 * All tables lie in one file, "etc/acpi/tables".  The BIOS copies it somewhere; the script then adds its address to every
 * pointer (which holds an offset in the file until then) and completes the checksums.  FACS first: it needs 64-byte
 * alignment. */
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "dsdt_aml.h"
#include "devices/firmware/fw_cfg.h"
#include "devices/firmware/pc_firmware.h"
#include "devices/chipset/piix4_pm.h"

#define TABLES_FILE  "etc/acpi/tables"
#define RSDP_FILE    "etc/acpi/rsdp"
#define TPM_LOG_FILE "etc/tpm/log"
enum { TPM_LOG_BYTES = 64 << 10 };
enum { HEADER_BYTES = 36, CHECKSUM_AT = 9, FADT_BYTES = 116, FADT_2_BYTES = 244, RSDP_BYTES = 20, FACS_BYTES = 64 };
enum { LOADER_ALLOCATE = 1, LOADER_POINTER, LOADER_CHECKSUM, LOADER_BYTES = 128, LOADER_NAME = 56 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
enum { SCI_IRQ = 9, IOAPIC_ID = 0, LAPIC_ADDRESS = 0xfee00000u };
#define IOAPIC_ADDRESS 0xfec00000u

struct tables {
    GByteArray *data, *script;
};

/* ---- the loader's script ---- */
static uint8_t *script_entry(struct tables *t, uint32_t command)
{
    unsigned at = t->script->len;

    g_byte_array_set_size(t->script, at + LOADER_BYTES);
    memset(t->script->data + at, 0, LOADER_BYTES);
    put_le32(t->script->data + at, command);
    return t->script->data + at + 4;
}

static void script_allocate(struct tables *t, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t *e = script_entry(t, LOADER_ALLOCATE);

    g_strlcpy((char *)e, file, LOADER_NAME);
    put_le32(e + LOADER_NAME, align);
    e[LOADER_NAME + 4] = zone;
}

/* So many bytes at offset in file point into another one. */
static void script_pointer_to(struct tables *t, const char *file, uint32_t offset, uint8_t bytes, const char *to)
{
    uint8_t *e = script_entry(t, LOADER_POINTER);

    g_strlcpy((char *)e, file, LOADER_NAME);
    g_strlcpy((char *)e + LOADER_NAME, to, LOADER_NAME);
    put_le32(e + 2 * LOADER_NAME, offset);
    e[2 * LOADER_NAME + 4] = bytes;
}

/* The 32 bits at offset in file point into the tables. */
static void script_pointer(struct tables *t, const char *file, uint32_t offset)
{
    script_pointer_to(t, file, offset, 4, TABLES_FILE);
}

static void script_checksum(struct tables *t, const char *file, uint32_t at, uint32_t start, uint32_t bytes)
{
    uint8_t *e = script_entry(t, LOADER_CHECKSUM);

    g_strlcpy((char *)e, file, LOADER_NAME);
    put_le32(e + LOADER_NAME, at);
    put_le32(e + LOADER_NAME + 4, start);
    put_le32(e + LOADER_NAME + 8, bytes);
}

/* ---- building blocks ---- */
static void add8(GByteArray *a, uint8_t v)
{
    g_byte_array_append(a, &v, 1);
}

static void add16(GByteArray *a, uint16_t v)
{
    v = htole16(v);
    g_byte_array_append(a, (uint8_t *)&v, 2);
}

static void add32(GByteArray *a, uint32_t v)
{
    v = htole32(v);
    g_byte_array_append(a, (uint8_t *)&v, 4);
}

static void add_text(GByteArray *a, const char *text)
{
    g_byte_array_append(a, (const uint8_t *)text, strlen(text));
}

/* Starts a table at the next 16-byte boundary; returns its offset. */
static uint32_t table_begin(struct tables *t, const char *signature, uint8_t revision)
{
    uint32_t at = (t->data->len + 15) & ~15u;

    g_byte_array_set_size(t->data, at);
    add_text(t->data, signature);
    add32(t->data, 0);
    add8(t->data, revision);
    add8(t->data, 0);
    add_text(t->data, "TERRRMTERRPC  ");
    add32(t->data, 1);
    add_text(t->data, "TERR");
    add32(t->data, 1);
    return at;
}

static void table_end(struct tables *t, uint32_t at)
{
    put_le32(t->data->data + at + 4, t->data->len - at);
    script_checksum(t, TABLES_FILE, at + CHECKSUM_AT, at, t->data->len - at);
}

/* ---- the tables ---- */
static uint32_t add_facs(struct tables *t)
{
    add_text(t->data, "FACS");
    add32(t->data, FACS_BYTES);
    g_byte_array_set_size(t->data, FACS_BYTES);
    memset(t->data->data + 8, 0, FACS_BYTES - 8);
    return 0;
}

/* Sets the integer of the DSDT that is declared as Name (name, <32 bits>). */
static void set_name(uint8_t *table, uint32_t bytes, const char *name, uint32_t value)
{
    uint8_t declaration[6] = {0x08, name[0], name[1], name[2], name[3], 0x0c};
    uint8_t *at = memmem(table, bytes, declaration, sizeof declaration);

    g_assert(at);
    put_le32(at + sizeof declaration, value);
}

static unsigned pm_base(const struct pc_firmware *p)
{
    return p->uefi ? PM_BASE_OVMF : PM_BASE;
}

/* The ports of power management, which the DSDT lists among the board's own: an IO descriptor (ACPI 1.0b, 6.4.2.5). */
static void set_ports(uint8_t *table, uint32_t bytes, uint16_t base)
{
    static const uint8_t listed[] = {0x47, 0x01, PM_BASE & 0xff, PM_BASE >> 8, PM_BASE & 0xff, PM_BASE >> 8};
    uint8_t *at = memmem(table, bytes, listed, sizeof listed);

    g_assert(at);
    put_le16(at + 2, base);
    put_le16(at + 4, base);
}

/* OVMF puts 64-bit BARs into the last eighth of what the CPU can address. */
static void set_window(uint8_t *table, uint32_t bytes, unsigned gpa_bits)
{
    static const uint8_t declared[] = {0x00, 0x00, 0x00, 0x00, 0xf0, 0xf0, 0xf0, 0xe0}; /* the first address there */
    uint8_t *at = memmem(table, bytes, declared, sizeof declared);
    uint64_t end = 1ull << gpa_bits;

    g_assert(at);
    put_le64(at, end - end / 8);
    put_le64(at + 8, end - 1);
    put_le64(at + 24, end / 8);
}

static uint32_t add_dsdt(struct tables *t, const struct pc_firmware *p)
{
    uint32_t at = (t->data->len + 15) & ~15u;
    uint8_t *table;

    g_byte_array_set_size(t->data, at);
    g_byte_array_append(t->data, dsdt_aml, sizeof dsdt_aml);
    table = t->data->data + at;
    set_name(table, sizeof dsdt_aml, "PCIB", MAX(p->ram_below_4g, 0x80000000u)); /* as the BIOS places it */
    set_name(table, sizeof dsdt_aml, "ISAD", p->serial1 | p->serial2 << 1 | p->floppy << 2);
    set_name(table, sizeof dsdt_aml, "HPTP", p->hpet);
    set_name(table, sizeof dsdt_aml, "TPMP", p->tpm);
    set_name(table, sizeof dsdt_aml, "PC64", p->uefi && p->gpa_bits);
    if (p->uefi && p->gpa_bits)
        set_window(table, sizeof dsdt_aml, p->gpa_bits);
    set_ports(table, sizeof dsdt_aml, pm_base(p));
    table[CHECKSUM_AT] = 0;
    table_end(t, at);
    return at;
}

/* A Processor object per CPU. */
static uint32_t add_ssdt(struct tables *t, const struct pc_firmware *p)
{
    uint32_t at = table_begin(t, "SSDT", 1);
    unsigned scope_bytes = 2 + 5 + 13 * p->cpus;
    char name[5];

    add8(t->data, 0x10); /* ScopeOp, length in two bytes */
    add8(t->data, 0x40 | (scope_bytes & 15));
    add8(t->data, scope_bytes >> 4);
    add_text(t->data, "\\_SB_");
    for (unsigned n = 0; n < p->cpus; n++) {
        g_snprintf(name, sizeof name, "CP%02X", n);
        add16(t->data, 0x835b); /* ProcessorOp */
        add8(t->data, 11);
        add_text(t->data, name);
        add8(t->data, n);
        add32(t->data, 0);
        add8(t->data, 0);
    }
    table_end(t, at);
    return at;
}

/* A generic address: ports of that width, to be reached by so many bits at once (1: 8, 2: 16, 3: 32). */
static void put_ports(uint8_t *at, uint8_t bits, uint8_t access, uint32_t port)
{
    at[0] = 1;
    at[1] = bits;
    at[2] = 0;
    at[3] = access;
    put_le64(at + 4, port);
}

/* What 2.0 added: the same once more with addresses of 64 bits, and how the machine is reset, by PIIX3's reset control. */
static void extend_fadt(struct tables *t, const struct pc_firmware *p, uint32_t at, uint32_t dsdt)
{
    enum { ISA_DEVICES = 1, HAS_8042 = 2, RESET_REGISTER = 1 << 10, RESET_PORT = 0xcf9, RESET_ALL = 6 };
    uint8_t *f = t->data->data + at;

    put_le16(f + 109, ISA_DEVICES | HAS_8042);
    put_le32(f + 112, get_le32(f + 112) | RESET_REGISTER);
    put_ports(f + 116, 8, 1, RESET_PORT);
    f[128] = RESET_ALL;
    put_le64(f + 140, dsdt);
    put_ports(f + 148, 32, 2, pm_base(p) + PM_EVENT);
    put_ports(f + 172, 16, 2, pm_base(p) + PM_CONTROL);
    put_ports(f + 208, 32, 3, pm_base(p) + PM_TIMER);
    put_ports(f + 220, 32, 1, pm_base(p) + PM_GPE);
    script_pointer_to(t, TABLES_FILE, at + 140, 8, TABLES_FILE);
}

static uint32_t add_fadt(struct tables *t, const struct pc_firmware *p, uint32_t facs, uint32_t dsdt)
{
    enum { WBINVD = 1, PROC_C1 = 4, NO_SLEEP_BUTTON = 32, PLATFORM_CLOCK = 1 << 15 };
    uint32_t at = table_begin(t, "FACP", p->acpi_2 ? 3 : 1), bytes = p->acpi_2 ? FADT_2_BYTES : FADT_BYTES;
    uint8_t *f;

    g_byte_array_set_size(t->data, at + bytes);
    f = t->data->data + at;
    memset(f + HEADER_BYTES, 0, bytes - HEADER_BYTES);
    put_le32(f + 36, facs);
    put_le32(f + 40, dsdt);
    put_le16(f + 46, SCI_IRQ);
    put_le32(f + 48, PM_SMI_COMMAND);
    f[52] = PM_ACPI_ENABLE;
    f[53] = PM_ACPI_DISABLE;
    put_le32(f + 56, pm_base(p) + PM_EVENT);
    put_le32(f + 64, pm_base(p) + PM_CONTROL);
    put_le32(f + 76, pm_base(p) + PM_TIMER);
    put_le32(f + 80, pm_base(p) + PM_GPE);
    f[88] = 4; /* bytes of the event, control, timer and GPE blocks */
    f[89] = 2;
    f[91] = 4;
    f[92] = 4;
    put_le16(f + 96, 0xfff); /* C2 and C3: none */
    put_le16(f + 98, 0xfff);
    f[108] = 0x32; /* century in CMOS */
    put_le32(f + 112, WBINVD | PROC_C1 | NO_SLEEP_BUTTON | (p->hpet ? PLATFORM_CLOCK : 0));
    script_pointer(t, TABLES_FILE, at + 36);
    script_pointer(t, TABLES_FILE, at + 40);
    if (p->acpi_2)
        extend_fadt(t, p, at, dsdt);
    table_end(t, at);
    return at;
}

static void add_override(GByteArray *a, uint8_t irq, uint32_t pin, uint16_t flags)
{
    add8(a, 2);
    add8(a, 10);
    add8(a, 0); /* ISA */
    add8(a, irq);
    add32(a, pin);
    add16(a, flags);
}

/* The timer is on pin 2 of the I/O APIC; the IRQs that PIIX3 shares out for PCI are level-triggered and active high. */
static uint32_t add_madt(struct tables *t, const struct pc_firmware *p)
{
    enum { LEVEL_HIGH = 0xd };
    static const uint8_t pci_irqs[] = {5, SCI_IRQ, 10, 11};
    uint32_t at = table_begin(t, "APIC", 1);

    add32(t->data, LAPIC_ADDRESS);
    add32(t->data, 1); /* there is a pair of 8259As too */
    for (unsigned n = 0; n < p->cpus; n++) {
        add16(t->data, 0x0800);
        add8(t->data, n);
        add8(t->data, n);
        add32(t->data, 1);
    }
    add16(t->data, 0x0c01);
    add16(t->data, IOAPIC_ID);
    add32(t->data, IOAPIC_ADDRESS);
    add32(t->data, 0);
    add_override(t->data, 0, 2, 0);
    for (unsigned n = 0; n < G_N_ELEMENTS(pci_irqs); n++)
        add_override(t->data, pci_irqs[n], pci_irqs[n], LEVEL_HIGH);
    add16(t->data, 0x0604); /* NMI: LINT1 of all */
    add8(t->data, 0xff);
    add16(t->data, 0);
    add8(t->data, 1);
    table_end(t, at);
    return at;
}

/* Where the timers are, and how they identify themselves (IA-PC HPET specification, 3.2.4). */
static uint32_t add_hpet(struct tables *t)
{
    uint32_t at = table_begin(t, "HPET", 1);

    add32(t->data, HPET_ID);
    add32(t->data, 0); /* in memory */
    add32(t->data, HPET_BASE);
    add32(t->data, 0);
    add8(t->data, 0);  /* the first one */
    add16(t->data, 0); /* no least distance between ticks */
    add8(t->data, 0);
    table_end(t, at);
    return at;
}

/* Windows: the PM timer's value is right when it is read once. */
static uint32_t add_waet(struct tables *t)
{
    enum { PM_TIMER_GOOD = 2 };
    uint32_t at = table_begin(t, "WAET", 1);

    add32(t->data, PM_TIMER_GOOD);
    table_end(t, at);
    return at;
}

/* Where the TPM is, and room for what the firmware measures (TCG ACPI specification 1.2, 7.3). */
static uint32_t add_tpm2(struct tables *t)
{
    enum { CLIENT = 0, BY_CRB = 7, PARAMETERS = 12, CONTROL_AREA = 0x40 };
    uint32_t at = table_begin(t, "TPM2", 4);

    add32(t->data, CLIENT);
    add32(t->data, TPM_CRB_BASE + CONTROL_AREA);
    add32(t->data, 0);
    add32(t->data, BY_CRB);
    g_byte_array_append(t->data, (const uint8_t[PARAMETERS]){0}, PARAMETERS);
    add32(t->data, TPM_LOG_BYTES);
    script_pointer_to(t, TABLES_FILE, t->data->len, 8, TPM_LOG_FILE);
    add32(t->data, 0);
    add32(t->data, 0);
    table_end(t, at);
    return at;
}

static uint32_t add_rsdt(struct tables *t, const uint32_t *tables, unsigned count)
{
    uint32_t at = table_begin(t, "RSDT", 1);

    for (unsigned n = 0; n < count; n++) {
        script_pointer(t, TABLES_FILE, t->data->len);
        add32(t->data, tables[n]);
    }
    table_end(t, at);
    return at;
}

static void add_rsdp(struct device *fw_cfg, struct tables *t, uint32_t rsdt)
{
    uint8_t rsdp[RSDP_BYTES] = "RSD PTR \0TERRRM";

    put_le32(rsdp + 16, rsdt);
    script_pointer(t, RSDP_FILE, 16);
    script_checksum(t, RSDP_FILE, 8, 0, RSDP_BYTES);
    fw_cfg_add_file(fw_cfg, RSDP_FILE, rsdp, RSDP_BYTES);
}

static void add_tpm_log(struct device *fw_cfg, struct tables *t)
{
    g_autofree uint8_t *log = g_malloc0(TPM_LOG_BYTES);

    script_allocate(t, TPM_LOG_FILE, 1, ZONE_HIGH);
    fw_cfg_add_file(fw_cfg, TPM_LOG_FILE, log, TPM_LOG_BYTES);
}

void acpi_tables_setup(struct device *fw_cfg, const struct pc_firmware *p)
{
    g_autoptr(GByteArray) data = g_byte_array_new(), script = g_byte_array_new();
    struct tables t = {data, script};
    uint32_t facs, dsdt, list[6];
    unsigned count = 3;

    script_allocate(&t, RSDP_FILE, 16, ZONE_FSEG);
    script_allocate(&t, TABLES_FILE, 64, ZONE_HIGH);
    if (p->tpm)
        add_tpm_log(fw_cfg, &t);
    facs = add_facs(&t);
    dsdt = add_dsdt(&t, p);
    list[0] = add_fadt(&t, p, facs, dsdt);
    list[1] = add_madt(&t, p);
    list[2] = add_ssdt(&t, p);
    if (p->hpet) {
        list[count++] = add_hpet(&t);
        list[count++] = add_waet(&t);
    }
    if (p->tpm)
        list[count++] = add_tpm2(&t);
    add_rsdp(fw_cfg, &t, add_rsdt(&t, list, count));
    fw_cfg_add_file(fw_cfg, TABLES_FILE, data->data, data->len);
    fw_cfg_add_file(fw_cfg, "etc/table-loader", script->data, script->len);
}
