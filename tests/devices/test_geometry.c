// SPDX-License-Identifier: GPL-2.0-or-later
/* Geometry of disks and floppies: what a partition table, a boot sector and the user say, and what is made of it. */
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/storage/disk_geometry.h"
#include "devices/storage/floppy.h"
#include "tests/devices/bench.h"
#include <string.h>

static void put_chs(uint8_t *to, const struct disk_geometry *g, uint64_t lba)
{
    uint64_t track = lba / g->sectors;
    unsigned cylinder = MIN(track / g->heads, 1023);
    bool far = track / g->heads > 1023;
    to[0] = far ? g->heads - 1u : track % g->heads;
    to[1] = (far ? g->sectors : lba % g->sectors + 1) | (cylinder >> 8 & 3) << 6;
    to[2] = cylinder;
}

static void put_entry(uint8_t *mbr, unsigned n, const struct disk_geometry *g, uint32_t start, uint32_t count)
{
    uint8_t *e = mbr + 446 + n * 16;
    e[4] = 6;
    put_chs(e + 1, g, start);
    put_chs(e + 5, g, start + count - 1);
    put_le32(e + 8, start);
    put_le32(e + 12, count);
    put_le16(mbr + 510, 0xaa55);
}

static void test_table(void)
{
    static const struct disk_geometry all[] = {{615, 4, 17},  {1024, 16, 63}, {1023, 255, 63},
                                               {500, 64, 32}, {977, 5, 17},   {900, 128, 63}};
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        const struct disk_geometry *g = &all[i];
        uint32_t cylinder = g->heads * g->sectors, sectors = g->cylinders * cylinder;
        struct disk_geometry out;
        uint8_t mbr[512] = {0};
        g_assert_false(disk_geometry_from_table(mbr, sectors, &out));
        put_entry(mbr, 2, g, g->sectors, cylinder * (g->cylinders - 2) - g->sectors);
        g_assert_true(disk_geometry_from_table(mbr, sectors, &out));
        g_assert_cmpuint(out.heads, ==, g->heads);
        g_assert_cmpuint(out.sectors, ==, g->sectors);
        g_assert_cmpuint(out.cylinders, ==, g->cylinders);
        mbr[446 + 32 + 1] ^= 2; /* the start contradicts */
        g_assert_false(disk_geometry_from_table(mbr, sectors, &out));
        mbr[446 + 32 + 1] ^= 2;
        mbr[511] = 0;
        g_assert_false(disk_geometry_from_table(mbr, sectors, &out));
    }
}

/* As fdisk, sfdisk and installers of the last twenty years write it: 1 MiB alignment, 255 heads, an end out of reach. */
static void test_table_large(void)
{
    const struct disk_geometry g = {65535, 255, 63};
    const uint64_t sectors = 100ull << 21;
    struct disk_geometry out, drive, bios;
    uint8_t mbr[512] = {0};
    put_entry(mbr, 0, &g, 2048, sectors - 2048);
    g_assert_true(disk_geometry_from_table(mbr, sectors, &out));
    disk_geometry_choose(sectors, &out, &drive, &bios);
    g_assert_cmpuint(drive.heads, ==, 16);
    g_assert_cmpuint(drive.cylinders, ==, 16383);
    g_assert_cmpuint(bios.heads, ==, 255);
    g_assert_cmpuint(bios.cylinders, ==, 1024);
    memset(mbr + 446, 0xff, 64); /* nonsense */
    g_assert_false(disk_geometry_from_table(mbr, sectors, &out));
}

/* Whatever is in the sector: no crash, and nothing that could not be counted by. */
static void test_random_tables(void)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(1);
    for (unsigned i = 0; i < 200000; i++) {
        struct disk_geometry out, drive, bios;
        uint64_t sectors = (uint64_t)1 << g_rand_int_range(r, 0, 40);
        uint8_t mbr[512];
        for (unsigned n = 440; n < 510; n++)
            mbr[n] = g_rand_boolean(r) ? g_rand_int(r) : 0;
        put_le16(mbr + 510, 0xaa55);
        bool known = disk_geometry_from_table(mbr, sectors, &out);
        disk_geometry_choose(sectors, known ? &out : NULL, &drive, &bios);
        g_assert_true(drive.cylinders && drive.heads && drive.sectors && drive.heads <= 16 && drive.sectors <= 63);
        g_assert_true(bios.cylinders && bios.heads && bios.sectors && bios.cylinders <= 1024 && bios.sectors <= 63);
    }
}

static void test_said(void)
{
    static const char *const wrong[] = {"",         "615",        "615/4",      "0/4/17",    "615/0/17", "615/4/0",
                                        "615/4/64", "615/256/17", "65536/4/17", "615/4/17/", "a/b/c"};
    struct disk_geometry g;
    g_assert_true(disk_geometry_parse("615/4/17", &g));
    g_assert_cmpuint(g.cylinders * 10000 + g.heads * 100 + g.sectors, ==, 6150417);
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_false(disk_geometry_parse(wrong[i], &g));
}

static void test_translation(void)
{
    static const struct {
        uint64_t sectors;
        unsigned cylinders, heads;
    } cases[] = {{2048, 2, 16},
                 {1008 * 1024, 1024, 16},
                 {2016 * 1024, 1024, 32},
                 {8064 * 1000, 1000, 128},
                 {16065 * 1500, 1024, 255},
                 {1, 1, 16}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct disk_geometry drive, bios;
        disk_geometry_choose(cases[i].sectors, NULL, &drive, &bios);
        g_assert_cmpuint(bios.cylinders, ==, cases[i].cylinders);
        g_assert_cmpuint(bios.heads, ==, cases[i].heads);
    }
}

/* ---- floppies ---- */

static void put_parameter_block(uint8_t *boot, unsigned tracks, unsigned heads, unsigned sectors)
{
    put_le16(boot + 0x0b, 512);
    put_le16(boot + 0x13, tracks * heads * sectors);
    put_le16(boot + 0x18, sectors);
    put_le16(boot + 0x1a, heads);
}

static void test_floppy(void)
{
    static const struct {
        unsigned tracks, heads, sectors, rate, type;
    } cases[] = {{80, 2, 19, FLOPPY_500K, 4}, {82, 2, 18, FLOPPY_500K, 4}, {77, 2, 15, FLOPPY_500K, 2},
                 {41, 2, 9, FLOPPY_250K, 1},  {84, 1, 9, FLOPPY_250K, 3},  {80, 2, 48, FLOPPY_1M, 5}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct bench *b = bench_new();
        g_autofree char *file =
            g_strdup_printf("zero:%u", cases[i].tracks * cases[i].heads * cases[i].sectors * 512 - (i & 1) * 1024);
        bench_config(b, "floppy0", "file", file);
        g_assert_nonnull(bench_add_chip(b, chip_find("dma"), NULL));
        g_assert_nonnull(bench_add(b, &i82077_ops, "floppy", NULL));
        struct drive *v = bench_drive(b, "floppy0");
        struct floppy f = {0};
        uint64_t bytes;
        uint8_t *boot = bench_drive_data(b, v, &bytes);
        floppy_attach(&f, v);
        g_assert_cmpuint(f.medium->sectors, ==, bytes > 1474560 ? 36 : 18); /* it does not say */
        put_parameter_block(boot, cases[i].tracks, cases[i].heads, cases[i].sectors);
        floppy_attach(&f, v);
        g_assert_cmpuint(f.medium->sectors, ==, cases[i].sectors);
        g_assert_cmpuint(f.medium->tracks, ==, cases[i].tracks);
        g_assert_cmpuint(f.medium->heads, ==, cases[i].heads);
        g_assert_cmpuint(floppy_medium_rate(&f), ==, cases[i].rate);
        g_assert_cmpuint(f.type, ==, cases[i].type);
        put_parameter_block(boot, 8, cases[i].heads, cases[i].sectors); /* less than there is */
        floppy_attach(&f, v);
        g_assert_cmpuint(f.medium->tracks, ==, 80);
        bench_free(b);
    }
}

static void test_boot_code(void)
{
    struct bench *b = bench_new();
    bench_config(b, "floppy0", "file", "zero:1440K");
    g_assert_nonnull(bench_add_chip(b, chip_find("dma"), NULL));
    g_assert_nonnull(bench_add(b, &i82077_ops, "floppy", NULL));
    struct drive *v = bench_drive(b, "floppy0");
    struct floppy f = {0};
    uint64_t bytes;
    uint8_t *boot = bench_drive_data(b, v, &bytes);
    floppy_attach(&f, v);
    g_assert_false(floppy_has_boot_code(&f));
    memset(boot, 0xf6, 512); /* as formatted */
    g_assert_false(floppy_has_boot_code(&f));
    memcpy(boot, "\xeb\x3c\x90", 3);
    g_assert_true(floppy_has_boot_code(&f));
    boot[0] = 5;
    g_assert_false(floppy_has_boot_code(&f));
    bench_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/geometry/table", test_table);
    g_test_add_func("/geometry/table-large", test_table_large);
    g_test_add_func("/geometry/random-tables", test_random_tables);
    g_test_add_func("/geometry/said", test_said);
    g_test_add_func("/geometry/translation", test_translation);
    g_test_add_func("/geometry/floppy", test_floppy);
    g_test_add_func("/geometry/boot-code", test_boot_code);
    return g_test_run();
}
