// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile driver of the NVMe controller: the admin queues and two more are set up, then commands, pages of lists, doorbells,
 * registers and moments come from the input.  At the end, a reset must leave a controller that works. */
#include "core-vmm/base/bytes.h"
#include "tests/fuzz/hostile.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BAR = 0xe0000000, VECTORS = 0xe0100000, DOORBELLS = 0x1000, QUEUES = 3, ENTRIES = 16 };
enum { SUBMISSIONS = 0x10000, COMPLETIONS = 0x20000, LISTS = 0x40000, BUFFERS = 0x100000, PAGE = 0x1000 };
enum { CC = 0x14, CSTS = 0x1c, AQA = 0x24, ASQ = 0x28, ACQ = 0x30, ENABLE = 0x00460001 };
enum { CREATE_SQ = 0x01, CREATE_CQ = 0x05, IDENTIFY = 0x06 };

struct driver {
    struct bench *bench;
    struct bytes in;
    unsigned tail[QUEUES];
};

static uint32_t number(struct driver *r, unsigned n)
{
    return take_number(&r->in, n);
}

static void set(struct driver *r, uint32_t at, uint32_t v)
{
    bench_store(r->bench, BAR + at, 4, v);
}

static uint8_t *next_entry(struct driver *r, unsigned queue)
{
    uint8_t *at = bench_ram(r->bench) + SUBMISSIONS + queue * PAGE + r->tail[queue] * 64;
    memset(at, 0, 64);
    r->tail[queue] = (r->tail[queue] + 1) % ENTRIES;
    return at;
}

static void ring(struct driver *r, unsigned queue)
{
    set(r, DOORBELLS + queue * 8, r->tail[queue]);
}

/* Both, by the admin queue. */
static void create_queues(struct driver *r, unsigned queue)
{
    for (unsigned k = 0; k < 2; k++) {
        uint8_t *e = next_entry(r, 0);
        e[0] = k ? CREATE_SQ : CREATE_CQ;
        put_le64(e + 24, (k ? SUBMISSIONS : COMPLETIONS) + queue * PAGE);
        put_le32(e + 40, queue | (ENTRIES - 1) << 16);
        put_le32(e + 44, (k ? 1 : 3) | queue << 16);
        ring(r, 0);
    }
    r->tail[queue] = 0;
}

static void switch_on(struct driver *r)
{
    struct device *d = bench_device(r->bench, "nvme0");
    bench_pci_write(d, 0x10, 4, BAR);
    bench_pci_write(d, 0x14, 4, 0);
    bench_pci_write(d, 0x20, 4, VECTORS);
    bench_pci_write(d, 4, 2, 6);
    set(r, CC, 0);
    set(r, AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    set(r, ASQ, SUBMISSIONS);
    set(r, ASQ + 4, 0);
    set(r, ACQ, COMPLETIONS);
    set(r, ACQ + 4, 0);
    set(r, CC, ENABLE);
    r->tail[0] = 0;
    for (unsigned q = 1; q < QUEUES; q++)
        create_queues(r, q);
}

/* Where the data is: mostly pages of RAM, or a list of some that was written before. */
static uint64_t pointer(struct driver *r, unsigned kind)
{
    switch (kind & 3) {
    case 0: return BUFFERS + (number(r, 1) << 12);
    case 1: return BUFFERS + (number(r, 2) << 2);
    case 2: return LISTS + (number(r, 1) << 3 & 0x7ff8);
    default: return kind & 0x80 ? number(r, 4) : BUFFERS + (number(r, 1) << 12);
    }
}

static void command(struct driver *r)
{
    static const uint8_t io[] = {0, 1, 1, 1, 2, 2, 2, 4, 5, 8, 9, 9},
                         admin[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 12, 16};
    unsigned kind = number(r, 1), queue = kind % QUEUES, which = number(r, 1), data = number(r, 1);
    const uint8_t *known = queue ? io : admin;
    uint8_t *e = next_entry(r, queue);
    e[0] = which < 240 ? known[which / 20] : number(r, 1);
    e[1] = kind & 0x80 && kind & 0x40 ? number(r, 1) : 0;
    put_le16(e + 2, number(r, 1));
    put_le32(e + 4, which % 20 == 7 ? number(r, 4) : !(queue == 0 && which & 1));
    put_le64(e + 24, pointer(r, data));
    put_le64(e + 32, pointer(r, data >> 2));
    put_le32(e + 40, number(r, kind & 0x10 ? 4 : queue ? 1 : 2));
    if (queue && kind & 0x20)
        put_le32(e + 44, number(r, 4));
    else if (!queue)
        put_le32(e + 44, number(r, 3));
    put_le32(e + 48, queue && !(kind & 4) ? number(r, 1) : number(r, 4));
    if (kind & 8)
        ring(r, queue);
}

/* A page of a list, or ranges of a deallocation. */
static void list(struct driver *r)
{
    unsigned kind = number(r, 1), n = number(r, 1) % 64;
    uint8_t *at = bench_ram(r->bench) + LISTS + (kind & 7) * PAGE + (kind & 8 ? PAGE - n * 8 : 0);
    for (unsigned i = 0; i < n; i++)
        put_le64(at + i * 8, kind & 0x80   ? number(r, 4)
                             : kind & 0x40 ? number(r, 1)
                                           : pointer(r, i == n - 1 ? kind >> 4 : 0));
}

static void doorbell(struct driver *r)
{
    unsigned kind = number(r, 1);
    if (kind & 0x80)
        set(r, DOORBELLS + (kind & 31) * 4, number(r, 2));
    else
        set(r, DOORBELLS + kind % QUEUES * 8 + (kind & 8 ? 4 : 0), number(r, 1) % ENTRIES);
}

static void access_register(struct driver *r)
{
    unsigned kind = number(r, 1), value = number(r, 1);
    if (kind & 0x80)
        bench_store(r->bench, VECTORS + (number(r, 1) << 2 & 0xffc), 4, value & 1 ? number(r, 4) : value);
    else if (kind & 0x40)
        bench_load(r->bench, BAR + (kind & 0x3f) * 4, 4);
    else
        set(r, kind & 0x20 ? CC : (kind & 15) * 4, value & 1 ? number(r, 4) : (unsigned)ENABLE ^ (value & 0xfe) << 13);
}

static void one(struct driver *r)
{
    unsigned what = number(r, 1);
    if (what < 120)
        command(r);
    else if (what < 140)
        list(r);
    else if (what < 190)
        doorbell(r);
    else if (what < 200)
        access_register(r);
    else if (what < 206)
        switch_on(r);
    else if (what < 212)
        create_queues(r, 1 + number(r, 1) % 2);
    else if (what < 216)
        bench_drive_fail(r->bench, bench_drive(r->bench, "nvme0"), 5);
    else if (what < 252)
        bench_step(r->bench, 1ull << number(r, 1) % 28);
    else if (what < 254)
        bench_reset(r->bench);
    else
        hostile_save_load(r->bench);
    hostile_forget_events(r->bench);
}

/* Whatever came before: after a reset, the controller says what it is. */
static void still_works(struct driver *r)
{
    const uint8_t *answer = bench_ram(r->bench) + COMPLETIONS;
    bench_step(r->bench, 1000);
    bench_reset(r->bench);
    memset(bench_ram(r->bench) + COMPLETIONS, 0, PAGE);
    switch_on(r);
    g_assert_cmphex(bench_load(r->bench, BAR + CSTS, 4), ==, 1);
    uint8_t *e = next_entry(r, 0);
    e[0] = IDENTIFY;
    put_le64(e + 24, BUFFERS);
    put_le32(e + 40, 1);
    ring(r, 0);
    bench_step(r->bench, 1000);
    for (unsigned i = 0; i < 5; i++) /* two queues of two each, and this */
        g_assert_cmphex(get_le16(answer + i * 16 + 14), ==, 1);
    g_assert_cmphex(get_le16(bench_ram(r->bench) + BUFFERS), ==, 0x1b36);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    struct driver r = {.bench = bench_new(), .in = {data, size}};
    if (!bench_add_chip(r.bench, chip_find("nvme0"), &error))
        g_error("%s", error->message);
    switch_on(&r);
    while (r.in.left)
        one(&r);
    still_works(&r);
    bench_free(r.bench);
    return 0;
}
