// SPDX-License-Identifier: GPL-2.0-or-later
/* What the board tells the firmware, seen from the firmware's side: a small BIOS reads the files through the ports, runs
 * the table loader's script, and checks what it gets.  ACPICA's acpiexec, where installed, must find nothing wrong with the
 * ACPI tables.  Direct boot: good and bad kernels. */
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/firmware/fw_cfg.h"
#include "devices/firmware/pc_firmware.h"
#include "tests/devices/bench.h"
#include <elf.h>
#include <glib/gstdio.h>
#include <string.h>

#define TABLES_AT  0x7f00000u /* where the BIOS puts the tables */
#define RSDP_AT    0xf5000u
#define TPM_LOG_AT 0x7e00000u
enum { CPUS = 3, LOADER_ENTRY = 128 };

/* ---- the firmware's side of fw_cfg ---- */
static void read_key(struct bench *b, uint16_t key, uint8_t *to, unsigned bytes)
{
    bench_out(b, 0x510, 2, key);
    for (unsigned n = 0; n < bytes; n++)
        to[n] = bench_in(b, 0x511, 1);
}

static uint32_t read_number(struct bench *b, uint16_t key)
{
    uint8_t v[4];
    read_key(b, key, v, 4);
    return get_le32(v);
}

/* NULL if there is no such file. */
static GByteArray *read_file(struct bench *b, const char *name)
{
    uint8_t entry[64], count[4];
    bench_out(b, 0x510, 2, 0x19);
    for (unsigned n = 0; n < 4; n++)
        count[n] = bench_in(b, 0x511, 1);
    for (unsigned i = 0; i < get_be32(count); i++) {
        for (unsigned n = 0; n < sizeof entry; n++)
            entry[n] = bench_in(b, 0x511, 1);
        if (strcmp((char *)entry + 8, name))
            continue;
        GByteArray *file = g_byte_array_new();
        g_byte_array_set_size(file, get_be32(entry));
        read_key(b, get_be16(entry + 4), file->data, file->len);
        return file;
    }
    return NULL;
}

static struct bench *board(const struct pc_firmware *p, GError **error)
{
    struct bench *b = bench_new();
    struct device *d = bench_add(b, &fw_cfg_ops, "fw-cfg", NULL);
    if (pc_firmware_setup(d, p, error))
        return b;
    bench_free(b);
    return NULL;
}

/* all: of the newest version, UEFI, with a TPM. */
static struct bench *board_with(bool all)
{
    static const char *const boot[] = {"/pci@i0cf8/ide@1,1/drive@1/disk@0", "/pci@i0cf8/isa@1/fdc@03f0/floppy@0", NULL};
    static const struct pc_firmware_disk disks[] = {{(char *)"/pci@i0cf8/ide@1,1/drive@0/disk@0", {1024, 255, 63}},
                                                    {(char *)"/pci@i0cf8/ide@1,1/drive@1/disk@1", {615, 4, 17}}};
    struct pc_firmware p = {.cpus = CPUS,
                            .sockets = CPUS,
                            .ram_below_4g = 0xc0000000u,
                            .ram_above_4g = 1ull << 30,
                            .serial1 = true,
                            .hpet = all,
                            .acpi_2 = all,
                            .tpm = all,
                            .uefi = all,
                            .gpa_bits = 40,
                            .boot = boot,
                            .disks = disks,
                            .disk_count = G_N_ELEMENTS(disks)};
    struct bench *b = board(&p, NULL);
    g_assert_nonnull(b);
    return b;
}

static struct bench *plain_board(void)
{
    return board_with(false);
}

/* ---- the table loader ---- */
static uint8_t sum(const uint8_t *p, unsigned bytes)
{
    uint8_t s = 0;
    while (bytes--)
        s += *p++;
    return s;
}

struct loaded {
    GByteArray *tables, *rsdp;
};

static GByteArray *named(struct loaded *l, const uint8_t *name, uint32_t *base)
{
    bool tables = !strcmp((const char *)name, "etc/acpi/tables");
    if (!strcmp((const char *)name, "etc/tpm/log")) { /* nothing in it is changed */
        *base = TPM_LOG_AT;
        return NULL;
    }
    g_assert_true(tables || !strcmp((const char *)name, "etc/acpi/rsdp"));
    *base = tables ? TABLES_AT : RSDP_AT;
    return tables ? l->tables : l->rsdp;
}

static void run_entry(struct loaded *l, const uint8_t *e)
{
    uint32_t base, source;
    GByteArray *file = named(l, e + 4, &base);
    switch (get_le32(e)) {
    case 1: g_assert_cmpuint(base % get_le32(e + 60), ==, 0); break;
    case 2:
        named(l, e + 60, &source);
        g_assert_true(e[120] == 8 || (e[120] == 4 && source != TPM_LOG_AT));
        g_assert_cmpuint(get_le32(e + 116) + e[120], <=, file->len);
        put_le32(file->data + get_le32(e + 116), get_le32(file->data + get_le32(e + 116)) + source);
        break;
    case 3:
        g_assert_cmpuint(get_le32(e + 64) + get_le32(e + 68), <=, file->len);
        file->data[get_le32(e + 60)] -= sum(file->data + get_le32(e + 64), get_le32(e + 68));
        break;
    default: g_assert_not_reached();
    }
}

static struct loaded load(struct bench *b)
{
    struct loaded l = {read_file(b, "etc/acpi/tables"), read_file(b, "etc/acpi/rsdp")};
    g_autoptr(GByteArray) script = read_file(b, "etc/table-loader");
    g_assert_true(l.tables && l.rsdp && script);
    g_assert_cmpuint(script->len % LOADER_ENTRY, ==, 0);
    for (unsigned at = 0; at < script->len; at += LOADER_ENTRY)
        run_entry(&l, script->data + at);
    return l;
}

static void unload(struct loaded *l)
{
    g_byte_array_unref(l->tables);
    g_byte_array_unref(l->rsdp);
}

static const uint8_t *table_at(struct loaded *l, uint32_t address)
{
    g_assert_cmpuint(address, >=, TABLES_AT);
    g_assert_cmpuint(address, <, TABLES_AT + l->tables->len);
    return l->tables->data + (address - TABLES_AT);
}

static const uint8_t *find_table(struct loaded *l, const char *signature)
{
    const uint8_t *rsdt = table_at(l, get_le32(l->rsdp->data + 16));
    for (unsigned at = 36; at < get_le32(rsdt + 4); at += 4) {
        const uint8_t *t = table_at(l, get_le32(rsdt + at));
        if (!memcmp(t, signature, 4))
            return t;
    }
    return NULL;
}

static void check_table(const uint8_t *t, const char *signature)
{
    g_assert_cmpmem(t, 4, signature, 4);
    g_assert_cmpuint(sum(t, get_le32(t + 4)), ==, 0);
}

static void test_acpi(void)
{
    struct bench *b = plain_board();
    struct loaded l = load(b);
    g_assert_cmpmem(l.rsdp->data, 8, "RSD PTR ", 8);
    g_assert_cmpuint(sum(l.rsdp->data, 20), ==, 0);
    check_table(table_at(&l, get_le32(l.rsdp->data + 16)), "RSDT");
    const uint8_t *fadt = find_table(&l, "FACP"), *madt = find_table(&l, "APIC");
    check_table(fadt, "FACP");
    check_table(madt, "APIC");
    check_table(find_table(&l, "SSDT"), "SSDT");
    check_table(table_at(&l, get_le32(fadt + 40)), "DSDT");
    g_assert_cmpmem(table_at(&l, get_le32(fadt + 36)), 4, "FACS", 4);
    g_assert_cmpuint(get_le32(fadt + 36) % 64, ==, 0);
    unsigned cpus = 0;
    for (unsigned at = 44; at < get_le32(madt + 4); at += madt[at + 1]) {
        g_assert_cmpuint(madt[at + 1], >, 0);
        cpus += madt[at] == 0;
    }
    g_assert_cmpuint(cpus, ==, CPUS);
    unload(&l);
    bench_free(b);
}

/* ---- ACPICA as the judge ---- */
static void write_table(const char *folder, const char *name, const uint8_t *t)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_assert_true(g_file_set_contents(path, (const char *)t, get_le32(t + 4), NULL));
}

static char *evaluate(const char *folder, const char *what)
{
    g_autofree char *dsdt = g_build_filename(folder, "dsdt.aml", NULL);
    g_autofree char *ssdt = g_build_filename(folder, "ssdt.aml", NULL);
    g_autofree char *command = g_strdup_printf("evaluate %s", what);
    const char *argv[] = {"acpiexec", "-b", command, dsdt, ssdt, NULL};
    char *out = NULL;
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                               &out, NULL, NULL, NULL));
    return out;
}

static void expect(const char *folder, const char *what, const char *result)
{
    g_autofree char *out = evaluate(folder, what);
    if (strstr(out, "AE_") || !strstr(out, result))
        g_test_message("%s", out);
    g_assert_null(strstr(out, "AE_"));
    g_assert_nonnull(strstr(out, result));
}

/* A table's length and fields are those of its revision. */
static void disassemble(const char *folder, const uint8_t *t, const char *says)
{
    g_autofree char *raw = g_build_filename(folder, "table.dat", NULL),
                    *text = g_build_filename(folder, "table.dsl", NULL), *out = NULL, *err = NULL, *is = NULL;
    const char *argv[] = {"iasl", "-d", raw, NULL};
    write_table(folder, "table.dat", t);
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, NULL, NULL));
    g_test_message("%s%s", out, err);
    g_assert_true(!strstr(err, "arning") && !strstr(err, "rror"));
    g_assert_true(g_file_get_contents(text, &is, NULL, NULL));
    g_assert_true(strstr(is, says) && !strstr(is, "nvalid"));
    g_unlink(raw);
    g_unlink(text);
}

static void acpica(bool all)
{
    g_autofree char *program = g_find_program_in_path("acpiexec");
    if (!program) {
        g_test_skip("acpiexec (package acpica-tools) is not here");
        return;
    }
    struct bench *b = board_with(all);
    struct loaded l = load(b);
    g_autofree char *folder = g_dir_make_tmp("terrarium-acpi-XXXXXX", NULL);
    write_table(folder, "dsdt.aml", table_at(&l, get_le32(find_table(&l, "FACP") + 40)));
    write_table(folder, "ssdt.aml", find_table(&l, "SSDT"));
    disassemble(folder, find_table(&l, "FACP"), all ? "SystemIO" : "RTC Century Index");
    expect(folder, "\\PCIB", "C0000000");
    expect(folder, "\\_S5", "[Package] Contains 4 Elements");
    expect(folder, "\\_SB.PCI0._CRS", "[Buffer]");
    expect(folder, "\\_SB.PCI0.ISA.COM1._STA", "000000000000000F");
    expect(folder, "\\_SB.PCI0.ISA.COM2._STA", "[Integer] = 0000000000000000");
    expect(folder, "\\_SB.LNKC._PRS", "[Buffer]");
    expect(folder, "\\_SB.LNKA._CRS", "[Buffer]");
    expect(folder, "\\_SB.CP02", "[Processor]");
    expect(folder, "\\_SB.HPET._STA", all ? "000000000000000F" : "[Integer] = 0000000000000000");
    expect(folder, "\\_SB.TPM._STA", all ? "000000000000000F" : "[Integer] = 0000000000000000");
    const char *names[] = {"dsdt.aml", "ssdt.aml"};
    for (unsigned n = 0; n < G_N_ELEMENTS(names); n++) {
        g_autofree char *path = g_build_filename(folder, names[n], NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    unload(&l);
    bench_free(b);
}

static void test_acpica(void)
{
    acpica(false);
}

static void test_acpica_newer(void)
{
    acpica(true);
}

/* ---- the other files ---- */
static void test_smbios(void)
{
    static const uint8_t types[] = {1, 3, 4, 4, 4, 16, 17, 19, 19, 32, 127};
    struct bench *b = plain_board();
    g_autoptr(GByteArray) anchor = read_file(b, "etc/smbios/smbios-anchor"),
                          tables = read_file(b, "etc/smbios/smbios-tables");
    unsigned at = 0, count = 0, largest = 0;
    while (at < tables->len) {
        unsigned start = at;
        g_assert_cmpuint(tables->data[at], ==, types[count]);
        at += tables->data[at + 1];
        while (at + 1 < tables->len && (tables->data[at] || tables->data[at + 1]))
            at++;
        at += 2;
        largest = MAX(largest, at - start);
        count++;
    }
    g_assert_cmpuint(at, ==, tables->len);
    g_assert_cmpuint(count, ==, G_N_ELEMENTS(types));
    g_assert_cmpmem(anchor->data, 4, "_SM_", 4);
    g_assert_cmpuint(get_le16(anchor->data + 8), ==, largest);
    g_assert_cmpuint(get_le16(anchor->data + 22), ==, tables->len);
    g_assert_cmpuint(get_le16(anchor->data + 28), ==, count);
    bench_free(b);
}

static void test_memory_and_boot(void)
{
    struct bench *b = plain_board();
    g_autoptr(GByteArray) map = read_file(b, "etc/e820"), order = read_file(b, "bootorder");
    g_autoptr(GByteArray) geometry = read_file(b, "bios-geometry");
    g_assert_cmpstr((char *)geometry->data, ==,
                    "/pci@i0cf8/ide@1,1/drive@0/disk@0 1024 255 63\n/pci@i0cf8/ide@1,1/drive@1/disk@1 615 4 17");
    g_assert_cmpuint(map->len, ==, 40);
    g_assert_cmphex(get_le64(map->data + 8), ==, 0xc0000000);
    g_assert_cmphex(get_le64(map->data + 20), ==, 1ull << 32);
    g_assert_cmphex(get_le64(map->data + 28), ==, 1ull << 30);
    g_assert_cmpstr((char *)order->data, ==, "/pci@i0cf8/ide@1,1/drive@1/disk@0\n/pci@i0cf8/isa@1/fdc@03f0/floppy@0");
    g_assert_cmpuint(read_number(b, 5) & 0xffff, ==, CPUS);
    bench_free(b);
}

/* The FADT of ACPI 2.0 says all again; that of 1.0 ends before, and its reserved bits are 0. */
static void check_fadt(struct loaded *l, const uint8_t *f, bool all)
{
    static const struct {
        unsigned once, again;
        uint8_t bits;
    } blocks[] = {{56, 148, 32}, {64, 172, 16}, {76, 208, 32}, {80, 220, 32}};
    g_assert_cmpuint(f[8], ==, all ? 3 : 1);
    g_assert_cmpuint(get_le32(f + 4), ==, all ? 244 : 116);
    g_assert_cmphex(get_le32(f + 112) >> 10 & 1, ==, all);
    g_assert_cmphex(get_le16(f + 109), ==, all ? 3 : 0);
    for (unsigned i = 0; all && i < G_N_ELEMENTS(blocks); i++) {
        const uint8_t *a = f + blocks[i].again;
        g_assert_true(a[0] == 1 && a[1] == blocks[i].bits && !a[2] && a[3]);
        g_assert_cmphex(get_le64(a + 4), ==, get_le32(f + blocks[i].once));
    }
    if (!all)
        return;
    g_assert_cmphex(get_le64(f + 140), ==, get_le32(f + 40));
    check_table(table_at(l, get_le64(f + 140)), "DSDT");
    g_assert_true(f[116] == 1 && get_le64(f + 120) == 0xcf9 && f[128] == 6);
}

/* Tables of the newest board with UEFI and a TPM; and a plain one has none of it. */
static void test_newer(void)
{
    for (unsigned all = 0; all < 2; all++) {
        struct bench *b = board_with(all);
        struct loaded l = load(b);
        const uint8_t *hpet = find_table(&l, "HPET"), *waet = find_table(&l, "WAET"), *tpm = find_table(&l, "TPM2");
        const uint8_t *fadt = find_table(&l, "FACP");
        g_autoptr(GByteArray) log = read_file(b, "etc/tpm/log"), window = read_file(b, "opt/ovmf/X-PciMmio64Mb");
        g_assert_true(!hpet == !all && !waet == !all && !tpm == !all && !log == !all && !window == !all);
        check_table(fadt, "FACP");
        check_fadt(&l, fadt, all);
        g_assert_cmphex(get_le32(fadt + 56), ==, all ? 0xb000 : 0x600);
        g_assert_cmphex(get_le32(fadt + 76), ==, all ? 0xb008 : 0x608);
        if (all) {
            check_table(hpet, "HPET");
            check_table(waet, "WAET");
            check_table(tpm, "TPM2");
            g_assert_cmphex(get_le32(hpet + 36), ==, 0x8086a201);
            g_assert_cmphex(get_le32(hpet + 44), ==, 0xfed00000);
            g_assert_cmphex(get_le32(waet + 36), ==, 2);
            g_assert_cmphex(get_le32(tpm + 40), ==, 0xfed40040);
            g_assert_cmphex(get_le32(tpm + 48), ==, 7);
            g_assert_cmphex(get_le32(tpm + 64), ==, log->len);
            g_assert_cmphex(get_le64(tpm + 68), ==, TPM_LOG_AT);
            g_assert_cmpuint(get_le32(tpm + 4), ==, 76);
        }
        unload(&l);
        bench_free(b);
    }
}

/* ---- direct boot ---- */
enum { RAM = 64 << 20 };

struct file {
    char *path;
    uint8_t data[0x20000];
    unsigned bytes;
};

static struct file *file_new(unsigned bytes)
{
    struct file *f = g_new0(struct file, 1);
    f->path = g_strdup_printf("%s/terrarium-boot-%08x", g_get_tmp_dir(), g_random_int());
    f->bytes = bytes;
    return f;
}

static void file_free(struct file *f)
{
    g_unlink(f->path);
    g_free(f->path);
    g_free(f);
}

static const char *written(struct file *f)
{
    g_assert_true(g_file_set_contents(f->path, (char *)f->data, f->bytes, NULL));
    return f->path;
}

static struct bench *try_boot(struct file *kernel, const char *initrd, const char *cmdline, GError **error)
{
    struct pc_firmware p = {
        .cpus = 1, .ram_below_4g = RAM, .kernel = written(kernel), .initrd = initrd, .cmdline = cmdline};
    return board(&p, error);
}

static void refused(struct file *kernel, const char *initrd, const char *cmdline, const char *because)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(try_boot(kernel, initrd, cmdline, &error));
    g_assert_nonnull(error);
    if (!strstr(error->message, because))
        g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, because));
}

/* 4 setup sectors, protocol 2.10, 1 KiB of kernel. */
static struct file *make_linux(void)
{
    struct file *f = file_new(5 * 512 + 1024);
    f->data[0x1f1] = 4;
    put_le16(f->data + 0x1fe, 0xaa55);
    memcpy(f->data + 0x202, "HdrS", 4);
    put_le16(f->data + 0x206, 0x20a);
    f->data[0x211] = 1;
    put_le32(f->data + 0x1f4, 1024 / 16);
    put_le32(f->data + 0x22c, 0x37ffffff);
    put_le32(f->data + 0x238, 100);
    put_le32(f->data + 0x260, 1 << 20);
    memset(f->data + 5 * 512, 0x77, 1024);
    return f;
}

static void test_linux(void)
{
    struct file *k = make_linux(), *disk = file_new(5000);
    GError *error = NULL;
    struct bench *b = try_boot(k, written(disk), "quiet vga=0x317", &error);
    g_assert_no_error(error);
    uint8_t setup[2560], line[16];
    g_assert_cmphex(read_number(b, FW_CFG_KERNEL_ADDRESS), ==, 0x100000);
    g_assert_cmpuint(read_number(b, FW_CFG_KERNEL_SIZE), ==, 1024);
    g_assert_cmphex(read_number(b, FW_CFG_KERNEL_DATA), ==, 0x77777777);
    g_assert_cmphex(read_number(b, FW_CFG_KERNEL_ENTRY), ==, 0);
    g_assert_cmphex(read_number(b, FW_CFG_INITRD_ADDRESS), ==, RAM - (1 << 20) - 8192);
    g_assert_cmpuint(read_number(b, FW_CFG_SETUP_SIZE), ==, sizeof setup);
    read_key(b, FW_CFG_SETUP_DATA, setup, sizeof setup);
    g_assert_cmphex(get_le16(setup + 0x1fa), ==, 0x317);
    g_assert_cmphex(get_le32(setup + 0x218), ==, RAM - (1 << 20) - 8192);
    g_assert_cmpuint(get_le32(setup + 0x21c), ==, 5000);
    g_assert_cmphex(get_le32(setup + 0x228), ==, read_number(b, FW_CFG_CMDLINE_ADDRESS));
    read_key(b, FW_CFG_CMDLINE_DATA, line, sizeof line);
    g_assert_cmpstr((char *)line, ==, "quiet vga=0x317");
    g_autoptr(GByteArray) order = read_file(b, "bootorder"), rom = read_file(b, "genroms/directboot.bin");
    g_assert_cmpstr((char *)order->data, ==, "/rom@genroms/directboot.bin");
    g_assert_cmpuint(rom->data[2] * 512u, ==, rom->len);
    g_assert_cmpuint(sum(rom->data, rom->len), ==, 0);
    bench_free(b);
    file_free(k);
    file_free(disk);
}

/* A kernel whose place in the order is said does not come first. */
static void test_linux_in_order(void)
{
    static const char *const boot[] = {"/a/disk", PC_FIRMWARE_DIRECT_BOOT, "/a/cdrom", NULL};
    struct file *k = make_linux();
    struct pc_firmware p = {.cpus = 1, .ram_below_4g = RAM, .kernel = written(k), .boot = boot};
    struct bench *b = board(&p, NULL);
    g_autoptr(GByteArray) order = read_file(b, "bootorder");
    g_assert_cmpstr((char *)order->data, ==, "/a/disk\n" PC_FIRMWARE_DIRECT_BOOT "\n/a/cdrom");
    bench_free(b);
    file_free(k);
}

static void test_linux_refused(void)
{
    struct file *k = make_linux(), *disk = file_new(0);
    g_autofree char *line = g_strnfill(101, 'x');
    refused(k, NULL, line, "at most 100 bytes");
    refused(k, written(disk), NULL, "is empty");
    refused(k, "/does/not/exist", NULL, "/does/not/exist");
    put_le32(k->data + 0x260, 70 << 20);
    refused(k, NULL, NULL, "needs 72 MiB");
    put_le32(k->data + 0x260, 62 << 20);
    disk->bytes = 4096;
    refused(k, written(disk), NULL, "do not fit");
    for (unsigned left = 0; left <= 512; left += 512) {
        k->bytes = 5 * 512 + left;
        refused(k, NULL, NULL, "cut short");
    }
    k->bytes = 100;
    refused(k, NULL, NULL, "neither");
    k->bytes = 0;
    refused(k, NULL, NULL, "neither");
    file_free(k);
    file_free(disk);
}

static void put_header(uint8_t *p, uint32_t flags)
{
    put_le32(p, 0x1badb002);
    put_le32(p + 4, flags);
    put_le32(p + 8, -(0x1badb002 + flags));
}

/* 4 KiB below 1 MiB: where there is room while the image is loaded. */
static void check_low(struct file *k, uint32_t at, bool good)
{
    put_le32(k->data + 76, at + 0x40);
    put_le32(k->data + 80, at);
    put_le32(k->data + 84, at + 0x1000);
    if (!good) {
        refused(k, NULL, NULL, "in use");
        return;
    }
    struct bench *b = try_boot(k, NULL, NULL, NULL);
    g_assert_nonnull(b);
    g_assert_cmphex(read_number(b, FW_CFG_KERNEL_ADDRESS), ==, at);
    bench_free(b);
}

static void test_multiboot_addresses(void)
{
    struct file *k = file_new(4096);
    put_header(k->data + 64, 0x10003);
    put_le32(k->data + 76, 0x200040); /* header, load, load end, bss end, entry */
    put_le32(k->data + 80, 0x200000);
    put_le32(k->data + 84, 0x201000);
    put_le32(k->data + 88, 0x208000);
    put_le32(k->data + 92, 0x200123);
    struct bench *b = try_boot(k, NULL, "a b", NULL);
    g_assert_nonnull(b);
    g_assert_cmphex(read_number(b, FW_CFG_KERNEL_ADDRESS), ==, 0x200000);
    g_assert_cmphex(read_number(b, FW_CFG_KERNEL_SIZE), ==, 0x8000);
    g_assert_cmphex(read_number(b, FW_CFG_KERNEL_ENTRY), ==, 0x200123);
    uint8_t info[0x1100];
    read_key(b, FW_CFG_SETUP_DATA, info, sizeof info);
    g_assert_cmphex(get_le32(info), ==, 0x245);
    g_autofree char *line = g_strconcat(k->path, " a b", NULL);
    g_assert_cmpstr((char *)info + get_le32(info + 16) - 0x10000, ==, line);
    bench_free(b);
    put_le32(k->data + 84, 0x202000);
    refused(k, NULL, NULL, "more than the file has");
    put_le32(k->data + 84, 0x201000);
    put_le32(k->data + 80, 0x1f0000);
    refused(k, NULL, NULL, "contradict");
    put_le32(k->data + 80, 0x200000);
    put_le32(k->data + 88, 0xf0000000);
    refused(k, NULL, NULL, "has not got");
    put_le32(k->data + 88, 0);
    check_low(k, 0x7000, false); /* the BIOS's stack */
    check_low(k, 0x7c00, true);
    check_low(k, 0xf000, true);
    check_low(k, 0xf004, false); /* the Multiboot information */
    check_low(k, 0x1f000, false);
    check_low(k, 0x20000, true);
    check_low(k, 0x8f000, true);
    check_low(k, 0x8f004, false); /* the BIOS's tables */
    put_header(k->data + 64, 0x8);
    refused(k, NULL, NULL, "features 0x8");
    put_header(k->data + 64, 0);
    refused(k, NULL, NULL, "must be an ELF file");
    file_free(k);
}

static struct file *make_elf(void)
{
    struct file *f = file_new(0x1200);
    Elf32_Ehdr e = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1},
                    .e_type = ET_EXEC,
                    .e_machine = EM_386,
                    .e_entry = 0xc0100010,
                    .e_phoff = sizeof e,
                    .e_phentsize = sizeof(Elf32_Phdr),
                    .e_phnum = 2};
    Elf32_Phdr p[2] = {{.p_type = PT_LOAD,
                        .p_offset = 0x1000,
                        .p_vaddr = 0xc0100000,
                        .p_paddr = 0x100000,
                        .p_filesz = 0x200,
                        .p_memsz = 0x3000},
                       {.p_type = PT_NOTE, .p_offset = 0xffffffff, .p_filesz = 0xffffffff}};
    memcpy(f->data, &e, sizeof e);
    memcpy(f->data + sizeof e, p, sizeof p);
    put_header(f->data + 0x1000, 3);
    return f;
}

static void test_multiboot_elf(void)
{
    struct file *k = make_elf(), *m = file_new(5000);
    g_autofree char *modules = g_strdup_printf("%s one two,%s", written(m), m->path);
    struct bench *b = try_boot(k, modules, NULL, NULL);
    g_assert_nonnull(b);
    g_assert_cmphex(read_number(b, FW_CFG_KERNEL_ADDRESS), ==, 0x100000);
    g_assert_cmphex(read_number(b, FW_CFG_KERNEL_SIZE), ==, 0x3000);
    g_assert_cmphex(read_number(b, FW_CFG_KERNEL_ENTRY), ==, 0x100010);
    g_assert_cmphex(read_number(b, FW_CFG_INITRD_ADDRESS), ==, 0x103000);
    g_assert_cmpuint(read_number(b, FW_CFG_INITRD_SIZE), ==, 8192 + 5000);
    uint8_t info[0x1200];
    read_key(b, FW_CFG_SETUP_DATA, info, sizeof info);
    const uint8_t *list = info + get_le32(info + 24) - 0x10000;
    g_assert_cmpuint(get_le32(info + 20), ==, 2);
    g_assert_cmphex(get_le32(list), ==, 0x103000);
    g_assert_cmphex(get_le32(list + 4), ==, 0x103000 + 5000);
    g_assert_cmphex(get_le32(list + 16), ==, 0x105000);
    g_assert_true(g_str_has_suffix((char *)info + get_le32(list + 8) - 0x10000, " one two"));
    bench_free(b);
    k->data[EI_CLASS] = ELFCLASS64;
    refused(k, NULL, NULL, "32-bit");
    k->data[EI_CLASS] = ELFCLASS32;
    k->bytes = 0x1100;
    refused(k, NULL, NULL, "outside of the file");
    file_free(k);
    file_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/firmware/acpi", test_acpi);
    g_test_add_func("/firmware/acpica", test_acpica);
    g_test_add_func("/firmware/acpica-newer", test_acpica_newer);
    g_test_add_func("/firmware/newer", test_newer);
    g_test_add_func("/firmware/smbios", test_smbios);
    g_test_add_func("/firmware/memory-and-boot", test_memory_and_boot);
    g_test_add_func("/direct-boot/linux", test_linux);
    g_test_add_func("/direct-boot/linux-in-order", test_linux_in_order);
    g_test_add_func("/direct-boot/linux-refused", test_linux_refused);
    g_test_add_func("/direct-boot/multiboot-addresses", test_multiboot_addresses);
    g_test_add_func("/direct-boot/multiboot-elf", test_multiboot_elf);
    return g_test_run();
}
