// SPDX-License-Identifier: GPL-2.0-or-later
/* The SCSI host adapter (Virtual I/O Device Version 1.2, chapter 5.6), and the commands of a disk behind it (SBC-3, SPC-4). */
#include "core-vmm/base/bytes.h"
#include "tests/devices/virtio/driver.h"
#include <errno.h>

enum { CONTROL, EVENT, REQUEST, CDB = 32, SENSE = 96, OUT = 19 + CDB, IN = 12 + SENSE };
enum { HEADER = VDRIVER_BUFFERS, RESPONSE = HEADER + 4096, DATA = HEADER + 8192, EVENTS_AT = HEADER + 0x40000 };
enum { OK = 0, OVERRUN = 1, ABORTED = 2, BAD_TARGET = 3, RESET = 4, SUCCEEDED = 10, NO_LUN = 12, CHECK = 2 };
#define BIT(n)  (1ull << (n))
#define EVENTED (BIT(1) | BIT(2))
#define DISK    "scsi.packed=on scsi0.file=pattern:1M"
#define BOTH    DISK " scsi3.file=pattern:64K scsi3.media=cdrom scsi5.media=disk"

static void put_address(uint8_t *at, unsigned target, unsigned lun)
{
    const uint8_t address[8] = {1, target, 0x40 | lun >> 8, lun};
    memcpy(at, address, sizeof address);
}

/* Request n has headers of its own; what is sent and what is read lies where `data` says. */
static uint16_t begin(struct vdriver *v, unsigned n, unsigned target, unsigned lun, const uint8_t cdb[16],
                      const struct vsegment *data)
{
    uint8_t *h = vdriver_ram(v, HEADER + n * 64), *r = vdriver_ram(v, RESPONSE + n * 128);
    struct vsegment s[3] = {{HEADER + n * 64, OUT}};
    unsigned count = 1;
    memset(h, 0, OUT);
    memset(r, 0xee, IN);
    put_address(h, target, lun);
    put_le64(h + 8, 1000 + n);
    memcpy(h + 19, cdb, 16);
    if (data && !data->flags)
        s[count++] = *data;
    s[count++] = (struct vsegment){RESPONSE + n * 128, IN, VIRTQ_WRITE};
    if (data && data->flags)
        s[count++] = *data;
    return vdriver_send(v, REQUEST, s, count);
}

static const uint8_t *response(struct vdriver *v, unsigned n)
{
    return vdriver_ram(v, RESPONSE + n * 128);
}

/* Its end: bytes that were moved to the guest, and what the response says. */
static unsigned request_of(struct vdriver *v, unsigned target, unsigned lun, const uint8_t cdb[16],
                           const struct vsegment *data)
{
    uint16_t id = begin(v, 0, target, lun, cdb, data), is;
    uint32_t bytes;
    bench_step(v->bench, 1000);
    g_assert_true(vdriver_used(v, REQUEST, &is, &bytes));
    g_assert_cmpuint(is, ==, id);
    g_assert_cmpuint(bytes, >=, IN);
    return bytes - IN;
}

static void expect(struct vdriver *v, unsigned n, uint8_t what, uint32_t residual)
{
    const uint8_t *r = response(v, n);
    g_assert_cmpuint(r[11], ==, what);
    g_assert_cmpuint(r[10], ==, 0);
    g_assert_cmpuint(get_le32(r), ==, 0);
    g_assert_cmpuint(get_le32(r + 4), ==, residual);
}

static void expect_check(struct vdriver *v, uint8_t key, uint8_t code)
{
    const uint8_t *r = response(v, 0);
    g_assert_cmpuint(r[11], ==, OK);
    g_assert_cmpuint(r[10], ==, CHECK);
    g_assert_cmpuint(get_le32(r), ==, 18);
    g_assert_cmphex(r[12], ==, 0x70);
    g_assert_cmphex(r[12 + 2], ==, key);
    g_assert_cmphex(r[12 + 12], ==, code);
}

static void good(struct vdriver *v, const uint8_t cdb[16], const struct vsegment *data, uint32_t residual)
{
    request_of(v, 0, 0, cdb, data);
    expect(v, 0, OK, residual);
}

static void fails(struct vdriver *v, const uint8_t cdb[16], const struct vsegment *data, uint8_t key, uint8_t code)
{
    request_of(v, 0, 0, cdb, data);
    expect_check(v, key, code);
}

#define C(...) ((const uint8_t[16]){__VA_ARGS__})
static const struct vsegment in4k = {DATA, 4096, VIRTQ_WRITE}, out4k = {DATA, 4096}, in512 = {DATA, 512, VIRTQ_WRITE};

/* Every unit says first that it was reset. */
static struct vdriver *fresh(const char *config, uint64_t more)
{
    struct vdriver *v = vdriver_new("scsi", config, VDRIVER_BASIC | more, 3);
    fails(v, C(0), NULL, 6, 0x29);
    good(v, C(0), NULL, 0);
    return v;
}

/* READ and WRITE of that length of command. */
static void put_transfer(uint8_t cdb[16], unsigned kind, bool write, uint32_t lba, uint32_t count)
{
    memset(cdb, 0, 16);
    switch (kind) {
    case 6:
        put_be32(cdb, lba);
        cdb[0] = write ? 0x0a : 0x08;
        cdb[4] = count;
        break;
    case 10:
        cdb[0] = write ? 0x2a : 0x28;
        put_be32(cdb + 2, lba);
        put_be16(cdb + 7, count);
        break;
    case 12:
        cdb[0] = write ? 0xaa : 0xa8;
        put_be32(cdb + 2, lba);
        put_be32(cdb + 6, count);
        break;
    default:
        cdb[0] = write ? 0x8a : 0x88;
        put_be64(cdb + 2, lba);
        put_be32(cdb + 10, count);
    }
}

static void moves(const void *features)
{
    static const unsigned kinds[] = {6, 10, 12, 16};
    struct vdriver *v = fresh(DISK, GPOINTER_TO_SIZE(features));
    uint8_t cdb[16];
    for (unsigned round = 0; round < 24; round++) {
        unsigned kind = kinds[round % 4];
        put_transfer(cdb, kind, false, round * 8, 8);
        g_assert_cmpuint(request_of(v, 0, 0, cdb, &in4k), ==, 4096);
        expect(v, 0, OK, 0);
        for (unsigned i = 0; i < 4096; i++)
            g_assert_cmphex(*vdriver_ram(v, DATA + i), ==, bench_pattern(round * 4096 + i));
        memset(vdriver_ram(v, DATA), round + 1, 4096);
        put_transfer(cdb, kind, true, 1024 + round * 8, 8);
        if (kind != 6 && round & 4)
            cdb[1] = 8; /* on stable storage */
        g_assert_cmpuint(request_of(v, 0, 0, cdb, &out4k), ==, 0);
        expect(v, 0, OK, 0);
        memset(vdriver_ram(v, DATA), 0, 4096);
        put_transfer(cdb, kind, false, 1024 + round * 8, 8);
        good(v, cdb, &in4k, 0);
        g_assert_cmphex(*vdriver_ram(v, DATA), ==, round + 1);
        g_assert_cmphex(*vdriver_ram(v, DATA + 4095), ==, round + 1);
    }
    put_transfer(cdb, 6, false, 0, 256); /* 0 is 256 */
    good(v, cdb, &(struct vsegment){DATA, 256 * 512, VIRTQ_WRITE}, 0);
    g_assert_cmphex(*vdriver_ram(v, DATA + 256 * 512 - 1), ==, bench_pattern(256 * 512 - 1));
    good(v, C(0x35), NULL, 0);
    good(v, C(0x91), NULL, 0);
    vdriver_free(v);
}

static void refuses(void)
{
    struct vdriver *v = fresh(DISK, 0);
    uint8_t cdb[16];
    put_transfer(cdb, 10, false, 2048, 1);
    fails(v, cdb, &in512, 5, 0x21);
    put_transfer(cdb, 16, false, 0, 1);
    put_be64(cdb + 2, UINT64_MAX);
    fails(v, cdb, &in512, 5, 0x21);
    put_transfer(cdb, 16, true, 2047, 2);
    fails(v, cdb, &out4k, 5, 0x21);
    put_transfer(cdb, 10, false, 2048, 0); /* nothing, just behind the end */
    good(v, cdb, NULL, 0);
    put_transfer(cdb, 10, false, 0, 1);
    cdb[1] = 0x20; /* with protection information */
    fails(v, cdb, &in512, 5, 0x24);
    fails(v, C(0xff), NULL, 5, 0x20);
    put_transfer(cdb, 10, false, 0, 9); /* more than there is room for, or is sent */
    request_of(v, 0, 0, cdb, &in4k);
    expect(v, 0, OVERRUN, 4096);
    put_transfer(cdb, 10, true, 0, 9);
    request_of(v, 0, 0, cdb, &out4k);
    expect(v, 0, OVERRUN, 4096);
    bench_drive_fail(v->bench, bench_drive(v->bench, "scsi0"), EIO);
    put_transfer(cdb, 10, false, 0, 1);
    fails(v, cdb, &in512, 3, 0x11);
    good(v, cdb, &in4k, 4096 - 512);
    request_of(v, 6, 0, cdb, &in512); /* nobody */
    expect(v, 0, BAD_TARGET, 512);
    request_of(v, 7, 0, cdb, &in512);
    expect(v, 0, BAD_TARGET, 512);
    request_of(v, 0, 1, cdb, &in512);
    expect_check(v, 5, 0x25);
    vdriver_send(v, REQUEST, &(struct vsegment){HEADER, OUT - 1}, 1);
    g_assert_cmphex(vdriver_status(v) & VIRTIO_NEEDS_RESET, ==, VIRTIO_NEEDS_RESET);
    vdriver_free(v);
}

static void introduces_itself(void)
{
    struct vdriver *v = fresh(BOTH, 0);
    const uint8_t *d = vdriver_ram(v, DATA);
    good(v, C(0x12, 0, 0, 0, 36), &in4k, 4096 - 36);
    g_assert_cmpmem(d + 8, 24, "Terrarm Hard Disk       ", 24);
    g_assert_cmphex(d[0], ==, 0);
    good(v, C(0x12, 0, 0, 0, 5), &in4k, 4096 - 5); /* as much as is wanted */
    good(v, C(0x12, 1, 0, 0, 255), &in4k, 4096 - 10);
    g_assert_cmpmem(d, 10, "\0\0\0\6\0\x80\x83\xb0\xb1\xb2", 10);
    good(v, C(0x12, 1, 0x80, 0, 255), &in4k, 4096 - 14);
    g_assert_cmpmem(d + 4, 10, "BENCH-0001", 10);
    good(v, C(0x12, 1, 0x83, 0, 255), &in4k, 4096 - 26);
    good(v, C(0x12, 1, 0xb0, 0, 255), &in4k, 4096 - 64);
    g_assert_cmpuint(get_be32(d + 20), ==, 1 << 22);
    g_assert_cmpuint(get_be32(d + 24), ==, 64);
    good(v, C(0x12, 1, 0xb2, 0, 255), &in4k, 4096 - 8);
    g_assert_cmphex(d[5], ==, 0xe0);
    fails(v, C(0x12, 1, 0x42, 0, 255), &in4k, 5, 0x24);
    fails(v, C(0x12, 0, 0x80, 0, 255), &in4k, 5, 0x24);
    good(v, C(0x25), &in4k, 4096 - 8);
    g_assert_cmpuint(get_be32(d), ==, 2047);
    g_assert_cmpuint(get_be32(d + 4), ==, 512);
    good(v, C(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32), &in4k, 4096 - 32);
    g_assert_cmpuint(get_be64(d), ==, 2047);
    g_assert_cmphex(d[14], ==, 0x80);
    good(v, C(0x1a, 0, 8, 0, 255), &in4k, 4096 - 32);
    g_assert_cmpmem(d, 4, "\x1f\0\x10\x08", 4);
    g_assert_cmphex(d[12] | d[14] << 8, ==, 0x0408);
    good(v, C(0x1a, 8, 0x3f, 0, 255), &in4k, 4096 - 36);
    good(v, C(0x5a, 8, 0x0a, 0, 0, 0, 0, 0, 255), &in4k, 4096 - 20);
    fails(v, C(0x1a, 0, 0x1c, 0, 255), &in4k, 5, 0x24);
    fails(v, C(0x1a, 0, 0xc8, 0, 255), &in4k, 5, 0x39);
    good(v, C(0xa0, 0, 0, 0, 0, 0, 0, 0, 16), &in4k, 4096 - 16);
    g_assert_cmpuint(get_be32(d), ==, 8);
    request_of(v, 0, 3, C(0x12, 0, 0, 0, 36), &in4k);
    expect(v, 0, OK, 4096 - 36);
    g_assert_cmphex(d[0], ==, 0x7f);
    vdriver_free(v);
}

static uint8_t at(struct vdriver *v, uint32_t sector)
{
    uint8_t cdb[16];
    put_transfer(cdb, 10, false, sector, 1);
    good(v, cdb, &in512, 0);
    return *vdriver_ram(v, DATA + 511);
}

static void clears(void)
{
    struct vdriver *v = fresh(DISK, 0);
    uint8_t *d = vdriver_ram(v, DATA), before = bench_pattern(20 * 512 + 511), after = bench_pattern(31 * 512 + 511);
    memset(d, 0, 512);
    good(v, C(0x41, 8, 0, 0, 0, 21, 0, 0, 10), &(struct vsegment){DATA, 512},
         512); /* WRITE SAME of zeroes, unmapping */
    g_assert_cmphex(at(v, 21) | at(v, 30), ==, 0);
    g_assert_cmphex(at(v, 20), ==, before);
    g_assert_cmphex(at(v, 31), ==, after);
    memset(vdriver_ram(v, DATA), 0x5a, 512);
    good(v, C(0x93, 0, 0, 0, 0, 0, 0, 0, 0, 21, 0, 0, 2, 0), &(struct vsegment){DATA, 512},
         512); /* 512 of another byte */
    g_assert_cmphex(at(v, 21) & at(v, 300) & at(v, 532), ==, 0x5a);
    g_assert_cmphex(at(v, 533), ==, bench_pattern(533 * 512 + 511));
    good(v, C(0x93, 1, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 1), NULL, 0); /* without data */
    g_assert_cmphex(at(v, 40), ==, 0);
    g_assert_cmphex(at(v, 41), ==, 0x5a);
    fails(v, C(0x41, 0, 0, 0, 0, 21, 0, 0, 0), &(struct vsegment){DATA, 512}, 5, 0x24);
    fails(v, C(0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1), &(struct vsegment){DATA, 512}, 5, 0x24);
    fails(v, C(0x41, 0, 0, 0, 8, 0, 0, 0, 1), &(struct vsegment){DATA, 512}, 5, 0x21);
    good(v, C(0x2f, 0, 0, 0, 0, 0, 0, 0, 8), NULL, 0);
    fails(v, C(0x2f, 0, 0, 0, 8, 0, 0, 0, 1), NULL, 5, 0x21);
    vdriver_free(v);
}

static uint16_t put_ranges(struct vdriver *v, unsigned count, uint64_t lba, uint32_t sectors)
{
    uint8_t *d = vdriver_ram(v, DATA);
    memset(d, 0, 8 + count * 16);
    put_be16(d, 6 + count * 16);
    put_be16(d + 2, count * 16);
    for (unsigned i = 0; i < count; i++) {
        put_be64(d + 8 + i * 16, lba + i * 2 * sectors);
        put_be32(d + 8 + i * 16 + 8, sectors);
    }
    return 8 + count * 16;
}

static void unmaps(void)
{
    struct vdriver *v = fresh(DISK, 0);
    uint16_t n = put_ranges(v, 3, 64, 8);
    const struct vsegment list = {DATA, n}, long_list = {DATA, 8 + 65 * 16};
    good(v, C(0x42, 0, 0, 0, 0, 0, 0, n >> 8, n), &list, n);
    g_assert_cmphex(at(v, 64) | at(v, 71) | at(v, 80) | at(v, 96), ==, 0); /* a hole in the bench's raw file */
    g_assert_cmphex(at(v, 72), ==, bench_pattern(72 * 512 + 511));
    g_assert_cmphex(at(v, 79), ==, bench_pattern(79 * 512 + 511));
    put_ranges(v, 1, 2041, 8);
    fails(v, C(0x42, 0, 0, 0, 0, 0, 0, 0, 24), &list, 5, 0x21);
    put_ranges(v, 1, UINT64_MAX - 3, 8);
    fails(v, C(0x42, 0, 0, 0, 0, 0, 0, 0, 24), &list, 5, 0x21);
    put_ranges(v, 65, 0, 1);
    fails(v, C(0x42, 0, 0, 0, 0, 0, 0, 4, 24), &long_list, 5, 0x26);
    good(v, C(0x42), NULL, 0);
    fails(v, C(0x42, 0, 0, 0, 0, 0, 0, 0, 24), NULL, 5, 0x24);
    vdriver_free(v);
}

static void readonly(void)
{
    struct vdriver *v = fresh("scsi0.file=pattern:1M scsi0.readonly=on", 0);
    uint8_t cdb[16];
    put_transfer(cdb, 10, true, 0, 8);
    fails(v, cdb, &out4k, 7, 0x27);
    fails(v, C(0x93, 1, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 1), NULL, 7, 0x27);
    good(v, C(0x1a, 8, 8, 0, 255), &in4k, 4096 - 24);
    g_assert_cmphex(*vdriver_ram(v, DATA + 2), ==, 0x90);
    vdriver_free(v);
}

static void cd(void)
{
    struct vdriver *v = fresh(BOTH, 0);
    const uint8_t *d = vdriver_ram(v, DATA);
    request_of(v, 3, 0, C(0), NULL);
    expect_check(v, 6, 0x29);
    g_assert_cmpuint(request_of(v, 3, 0, C(0x28, 0, 0, 0, 0, 3, 0, 0, 2), &in4k), ==, 4096);
    expect(v, 0, OK, 0);
    for (unsigned i = 0; i < 4096; i++)
        g_assert_cmphex(d[i], ==, bench_pattern(3 * 2048 + i));
    g_assert_cmpuint(request_of(v, 3, 0, C(0x12, 0, 0, 0, 36), &in4k), ==, 36);
    g_assert_cmphex(d[0], ==, 5);
    request_of(v, 3, 0, C(0x25), &in4k);
    g_assert_cmpuint(get_be32(d), ==, 31);
    g_assert_cmpuint(request_of(v, 3, 0, C(0x1a, 0, 0x2a, 0, 255), &in4k), ==, 26);
    g_assert_cmpmem(d, 6, "\x19\1\0\0\x2a\x14", 6);
    g_assert_cmpuint(request_of(v, 3, 0, C(0x12, 1, 0, 0, 255), &in4k), ==, 7);
    const struct vsegment raw = {DATA, 20 * 2352, VIRTQ_WRITE}; /* more than are made at once */
    g_assert_cmpuint(request_of(v, 3, 0, C(0xbe, 0, 0, 0, 0, 1, 0, 0, 20, 0xf8), &raw), ==, 20 * 2352);
    for (unsigned i = 0; i < 20; i++)
        g_assert_cmphex(d[i * 2352 + 16 + 5], ==, bench_pattern((1 + i) * 2048 + 5));
    g_assert_cmphex(d[19 * 2352 + 14], ==, 0x20); /* frame 170: 0 minutes, 2 seconds, 20 */
    request_of(v, 3, 0, C(0x2a, 0, 0, 0, 0, 3, 0, 0, 2), &out4k);
    expect_check(v, 5, 0x20);
    bench_drive_insert(v->bench, "scsi3", "pattern:32K");
    request_of(v, 3, 0, C(0), NULL);
    expect_check(v, 6, 0x28);
    request_of(v, 3, 0, C(0x1b, 0, 0, 0, 2), NULL); /* eject */
    request_of(v, 3, 0, C(0), NULL);
    expect_check(v, 2, 0x3a);
    vdriver_free(v);
}

static uint8_t manage(struct vdriver *v, uint32_t kind, unsigned target, unsigned lun, uint64_t id)
{
    uint8_t *h = vdriver_ram(v, HEADER + 2048);
    const struct vsegment s[] = {{HEADER + 2048, 24}, {HEADER + 2080, 1, VIRTQ_WRITE}};
    put_le32(h, 0);
    put_le32(h + 4, kind);
    put_address(h + 8, target, lun);
    put_le64(h + 16, id);
    h[32] = 0xee;
    vdriver_expect(v, CONTROL, vdriver_send(v, CONTROL, s, 2), 1);
    return h[32];
}

static void tasks(void)
{
    struct vdriver *v = fresh(BOTH, 0);
    uint8_t cdb[16];
    uint16_t id;
    uint32_t bytes;
    put_transfer(cdb, 10, false, 0, 1);
    g_assert_cmpuint(manage(v, 6, 0, 0, 1001), ==, OK); /* is it there? */
    begin(v, 1, 0, 0, cdb, &in512);
    uint16_t other = begin(v, 2, 0, 0, cdb, &(struct vsegment){DATA + 512, 512, VIRTQ_WRITE});
    g_assert_cmpuint(manage(v, 6, 0, 0, 1001), ==, SUCCEEDED);
    g_assert_cmpuint(manage(v, 7, 0, 0, 0), ==, SUCCEEDED);
    g_assert_cmpuint(manage(v, 0, 0, 0, 1001), ==, OK); /* ABORT TASK */
    g_assert_true(vdriver_used(v, REQUEST, &id, &bytes));
    expect(v, 1, ABORTED, 512);
    memset(vdriver_ram(v, DATA), 0x55, 512);
    bench_step(v->bench, 1000); /* the other one goes on, and nothing more is heard of the first */
    vdriver_expect(v, REQUEST, other, IN + 512);
    expect(v, 2, OK, 0);
    g_assert_cmphex(*vdriver_ram(v, DATA), ==, 0x55);
    g_assert_cmphex(*vdriver_ram(v, DATA + 512 + 511), ==, bench_pattern(511));
    g_assert_false(vdriver_used(v, REQUEST, &id, &bytes));
    begin(v, 1, 0, 0, cdb, &in512);
    begin(v, 2, 0, 0, cdb, &(struct vsegment){DATA + 512, 512, VIRTQ_WRITE});
    g_assert_cmpuint(manage(v, 5, 0, 0, 0), ==, OK); /* LOGICAL UNIT RESET */
    expect(v, 1, RESET, 512);
    expect(v, 2, RESET, 512);
    for (unsigned i = 0; i < 2; i++)
        g_assert_true(vdriver_used(v, REQUEST, &id, &bytes));
    fails(v, C(0), NULL, 6, 0x29);
    g_assert_cmphex(at(v, 0), ==, bench_pattern(511));
    g_assert_cmpuint(manage(v, 5, 0, 2, 0), ==, NO_LUN);
    g_assert_cmpuint(manage(v, 5, 5, 0, 0), ==, BAD_TARGET);
    g_assert_cmpuint(manage(v, 99, 0, 0, 0), ==, 11);
    uint8_t *h = vdriver_ram(v, HEADER + 2048); /* asks for notifications */
    put_le32(h, 1);
    put_address(h + 4, 0, 0);
    vdriver_expect(
        v, CONTROL,
        vdriver_send(v, CONTROL, (const struct vsegment[]){{HEADER + 2048, 16}, {HEADER + 2080, 5, VIRTQ_WRITE}}, 2),
        5);
    g_assert_cmphex(h[36] | h[32], ==, 0);
    vdriver_free(v);
}

static void add_event_buffer(struct vdriver *v, unsigned n)
{
    vdriver_send(v, EVENT, &(struct vsegment){EVENTS_AT + n * 16, 16, VIRTQ_WRITE}, 1);
}

static void expect_event(struct vdriver *v, unsigned n, uint32_t event, unsigned target, uint32_t reason)
{
    const uint8_t *e = vdriver_ram(v, EVENTS_AT + n * 16);
    uint16_t id;
    uint32_t bytes;
    g_assert_true(vdriver_used(v, EVENT, &id, &bytes));
    g_assert_cmpuint(bytes, ==, 16);
    g_assert_cmphex(get_le32(e), ==, event);
    if (event & 0x7fffffff)
        g_assert_cmphex(e[4] | e[5] << 8, ==, 1 | target << 8);
    g_assert_cmphex(get_le32(e + 12), ==, reason);
}

/* A disk is plugged into the bay, changed and pulled; then there are no buffers. */
static void plugs(void)
{
    struct vdriver *v = fresh(BOTH, EVENTED);
    uint16_t id;
    uint32_t bytes;
    request_of(v, 5, 0, C(0), NULL);
    expect(v, 0, BAD_TARGET, 0);
    for (unsigned n = 0; n < 4; n++)
        add_event_buffer(v, n);
    bench_drive_insert(v->bench, "scsi5", "pattern:64K");
    expect_event(v, 0, 1, 5, 1);
    request_of(v, 5, 0, C(0), NULL);
    expect_check(v, 6, 0x29);
    request_of(v, 5, 0, C(0x25), &in4k);
    g_assert_cmpuint(get_be32(vdriver_ram(v, DATA)), ==, 127);
    bench_drive_insert(v->bench, "scsi5", "pattern:128K");
    expect_event(v, 1, 1, 5, 2);
    expect_event(v, 2, 1, 5, 1);
    vdriver_save_load(v);
    bench_drive_insert(v->bench, "scsi5", NULL);
    expect_event(v, 3, 1, 5, 2);
    request_of(v, 5, 0, C(0), NULL);
    expect(v, 0, BAD_TARGET, 0);
    bench_drive_insert(v->bench, "scsi3", "pattern:32K");
    g_assert_false(vdriver_used(v, EVENT, &id, &bytes));
    vdriver_save_load(v);
    add_event_buffer(v, 4);
    expect_event(v, 4, 0x80000000, 0, 0);
    add_event_buffer(v, 5);
    g_assert_false(vdriver_used(v, EVENT, &id, &bytes));
    bench_drive_insert(v->bench, "scsi3", "pattern:64K");
    expect_event(v, 5, 3, 3, 0x28);
    vdriver_free(v);
}

/* Several at a time; saving finishes them, a reset forgets them. */
static void many(void)
{
    struct vdriver *v = fresh(DISK, 0);
    uint16_t id;
    uint32_t bytes;
    uint8_t cdb[16];
    for (unsigned n = 0; n < 4; n++) {
        put_transfer(cdb, 10, false, n, 1);
        begin(v, n, 0, 0, cdb, &(struct vsegment){DATA + n * 512, 512, VIRTQ_WRITE});
    }
    vdriver_save_load(v);
    for (unsigned n = 0; n < 4; n++) {
        g_assert_true(vdriver_used(v, REQUEST, &id, &bytes));
        expect(v, n, OK, 0);
        g_assert_cmphex(*vdriver_ram(v, DATA + n * 512), ==, bench_pattern(n * 512));
    }
    for (unsigned n = 0; n < 3; n++)
        begin(v, n, 0, 0, cdb, &(struct vsegment){DATA + n * 512, 512, VIRTQ_WRITE});
    vdriver_start(v, VDRIVER_BASIC, 3);
    memset(vdriver_ram(v, DATA), 0x55, 4096);
    uint16_t first = begin(v, 0, 0, 0, C(0), NULL); /* the attention that a reset leaves */
    uint16_t next = begin(v, 7, 0, 0, cdb, &(struct vsegment){DATA + 7 * 512, 512, VIRTQ_WRITE});
    bench_step(v->bench, 1000); /* those of before end meanwhile */
    vdriver_expect(v, REQUEST, first, IN);
    vdriver_expect(v, REQUEST, next, IN + 512);
    g_assert_false(vdriver_used(v, REQUEST, &id, &bytes));
    expect_check(v, 6, 0x29);
    g_assert_cmphex(*vdriver_ram(v, DATA), ==, 0x55);
    g_assert_cmphex(at(v, 3), ==, bench_pattern(3 * 512 + 511));
    vdriver_free(v);
}

/* The sizes of headers are the driver's, until there are requests. */
static void sizes(void)
{
    struct vdriver *v = fresh(DISK, 0);
    const uint32_t config = 0xe0102000;
    uint8_t cdb[16];
    g_assert_cmpuint(vdriver_config(v, 0, 4), ==, 1);
    g_assert_cmpuint(vdriver_config(v, 30, 2), ==, 6);
    bench_store(v->bench, config + 20, 4, 5000);
    bench_store(v->bench, config, 4, 7);
    g_assert_cmpuint(vdriver_config(v, 20, 4), ==, 255);
    g_assert_cmpuint(vdriver_config(v, 0, 4), ==, 1);
    bench_store(v->bench, config + 20, 4, SENSE);
    put_transfer(cdb, 10, false, 0, 1);
    begin(v, 0, 0, 0, cdb, &in512);
    bench_store(v->bench, config + 20, 4, 18);
    g_assert_cmpuint(vdriver_config(v, 20, 4), ==, SENSE);
    bench_step(v->bench, 1000);
    expect(v, 0, OK, 0);
    vdriver_free(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/virtio/scsi/moves/split", GSIZE_TO_POINTER(0), moves);
    g_test_add_data_func("/virtio/scsi/moves/packed", GSIZE_TO_POINTER(BIT(VIRTIO_F_RING_PACKED)), moves);
    g_test_add_func("/virtio/scsi/refuses", refuses);
    g_test_add_func("/virtio/scsi/introduces-itself", introduces_itself);
    g_test_add_func("/virtio/scsi/clears", clears);
    g_test_add_func("/virtio/scsi/unmaps", unmaps);
    g_test_add_func("/virtio/scsi/readonly", readonly);
    g_test_add_func("/virtio/scsi/cd", cd);
    g_test_add_func("/virtio/scsi/tasks", tasks);
    g_test_add_func("/virtio/scsi/plugs", plugs);
    g_test_add_func("/virtio/scsi/many", many);
    g_test_add_func("/virtio/scsi/sizes", sizes);
    return g_test_run();
}
