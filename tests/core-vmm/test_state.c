// SPDX-License-Identifier: GPL-2.0-or-later
/* Saved state: the file, a CPU, and a whole machine there and back; and everything that must be refused, in one sentence.
 * That guests go on with it is the suite state's. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/crc32c.h"
#include "core-vmm/machine/state.h"
#include "disk-formats/image/image.h"
#include "tests/core-vmm/state_edit.h"
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the file ---- */

static GByteArray *content(int fd)
{
    struct stat st;
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    GByteArray *a = g_byte_array_sized_new(st.st_size);
    g_byte_array_set_size(a, st.st_size);
    g_assert_cmpint(pread(fd, a->data, a->len, 0), ==, a->len);
    return a;
}

static GByteArray *small_file(void)
{
    struct state_writer w;
    int fd = state_memfd("", 0);
    g_assert_true(state_begin(&w, fd, NULL));
    g_assert_true(state_put(&w, "first", 1, "headdata", 8, NULL));
    g_assert_true(state_put(&w, "second", 7, "0123456789", 10, NULL));
    g_assert_true(state_put(&w, "second", 7, "0123456789", 10, NULL));
    g_assert_true(state_finish(&w, NULL));
    GByteArray *all = content(fd);
    close(fd);
    return all;
}

/* It is refused, in one sentence that says as much as that. */
static void refused(const uint8_t *data, size_t n, const char *why)
{
    g_autoptr(GError) error = NULL;
    int fd = state_memfd(data, n);
    g_assert_false(state_check(fd, &error));
    g_assert_nonnull(strstr(error->message, why));
    g_assert_null(strchr(error->message, '\n'));
    close(fd);
}

static void test_file(void)
{
    g_autoptr(GByteArray) all = small_file();
    int fd = state_memfd(all->data, all->len);
    g_autoptr(GError) error = NULL;
    g_assert_true(state_check(fd, &error));
    g_autoptr(GPtrArray) parts = state_parts(fd);
    const struct part *p = parts->pdata[0], *q = parts->pdata[2];
    g_assert_cmpuint(parts->len, ==, 3);
    g_assert_cmpstr(p->name, ==, "first");
    g_assert_cmpmem(p->bytes->data, p->bytes->len, "headdata", 8);
    g_assert_cmpuint(q->version, ==, 7);
    close(fd);
}

static void test_cut_short(void)
{
    g_autoptr(GByteArray) all = small_file();
    for (unsigned n = 0; n < all->len; n++)
        refused(all->data, n, n < 16 ? "none" : "cut short");
}

static void test_flipped_bits(void)
{
    g_autoptr(GByteArray) all = small_file();
    for (unsigned bit = 0; bit < all->len * 8; bit++) {
        all->data[bit / 8] ^= 1 << bit % 8;
        refused(all->data, all->len, bit < 128 ? "none" : "damaged");
        all->data[bit / 8] ^= 1 << bit % 8;
    }
}

static void test_rearranged(void)
{
    enum { HEADER = 24, FIRST = 48 + 8, SECOND = 48 + 10 };
    g_autoptr(GByteArray) all = small_file();
    g_byte_array_append(all, (const uint8_t *)"!", 1);
    refused(all->data, all->len, "goes on behind its end mark");
    g_byte_array_set_size(all, all->len - 1);
    g_byte_array_remove_range(all, HEADER + FIRST, SECOND); /* one of two that are alike */
    refused(all->data, all->len, "damaged");
}

/* ---- a CPU ---- */

static void fill(void *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)to)[i] = g_test_rand_int_range(0, 256);
}

/* Long data has a way of its own; in pieces it has the other. */
static void test_sums(void)
{
    enum { BYTES = 100000, PIECE = 1000 };
    g_autofree uint8_t *data = g_malloc(BYTES);
    g_assert_cmphex(crc32c(0, "123456789", 9), ==, 0xe3069283);
    fill(data, BYTES);
    for (unsigned round = 0; round < 200; round++) {
        size_t from = g_test_rand_int_range(0, BYTES / 2), n = g_test_rand_int_range(0, BYTES / 2);
        uint32_t sum = round;
        for (size_t at = 0; at < n; at += PIECE)
            sum = crc32c(sum, data + from + at, MIN(PIECE, n - at));
        g_assert_cmphex(crc32c(round, data + from, n), ==, sum);
    }
}

/* Values that a CPU may have, with as little that is zero as can be. */
static struct x86_state *some_cpu(const struct host_cpu *h)
{
    struct x86_state *c = g_new0(struct x86_state, 1);
    size_t to = offsetof(struct x86_state, run_state);
    fill(c, to);
    c->cr0 = 0x80000011;
    c->efer = 0x501;
    c->cr4 |= 0x20;
    c->cr8 = 9;
    c->rflags = 0x202;
    c->dr[6] = 0xffff0ff1;
    c->dr[7] = 0x401;
    c->xcr0 = h->xcr0 ? h->xcr0 : 1;
    c->run_state = X86_HALTED;
    c->sti_shadow = c->nmi_blocked = c->init_pending = c->sipi_pending = true;
    c->sipi_vector = 0x9a;
    c->event = (struct x86_event){true, true, false, 14, 6};
    fill(c->xsave, 512);
    uint64_t bv = c->xcr0;
    for (unsigned i = 2; i < HOST_XCOMPONENTS; i++) {
        bool has = h->component[i].bytes && h->component[i].offset + h->component[i].bytes <= X86_XSAVE_BYTES;
        if (has)
            fill(c->xsave + h->component[i].offset, h->component[i].bytes);
        else
            bv &= ~(1ull << i);
    }
    put_le64(c->xsave + 512, bv);
    return c;
}

#define FIELD(f)                                                                                                       \
    {                                                                                                                  \
#f, offsetof(struct x86_state, f), sizeof((struct x86_state *)NULL)->f                                         \
    }
/* All but the TSC, which is the clock's. */
static const struct {
    const char *name;
    size_t at, bytes;
} fields[] = {
    FIELD(gpr),
    FIELD(rip),
    FIELD(rflags),
    FIELD(seg),
    FIELD(ldtr),
    FIELD(tr),
    FIELD(gdtr.base),
    FIELD(gdtr.limit),
    FIELD(idtr.base),
    FIELD(idtr.limit),
    FIELD(cr0),
    FIELD(cr2),
    FIELD(cr3),
    FIELD(cr4),
    FIELD(cr8),
    FIELD(xcr0),
    FIELD(efer),
    FIELD(dr),
    FIELD(star),
    FIELD(lstar),
    FIELD(cstar),
    FIELD(sfmask),
    FIELD(kernel_gs_base),
    FIELD(tsc_aux),
    FIELD(sysenter_cs),
    FIELD(sysenter_esp),
    FIELD(sysenter_eip),
    FIELD(pat),
    FIELD(misc_enable),
    FIELD(spec_ctrl),
    FIELD(xss),
    FIELD(mtrr_def_type),
    FIELD(mtrr_fixed),
    FIELD(mtrr_base),
    FIELD(mtrr_mask),
    FIELD(tsc_adjust),
    FIELD(apic_base),
    FIELD(run_state),
    FIELD(sti_shadow),
    FIELD(mov_ss_shadow),
    FIELD(nmi_pending),
    FIELD(nmi_blocked),
    FIELD(init_pending),
    FIELD(sipi_pending),
    FIELD(sipi_vector),
    FIELD(event.pending),
    FIELD(event.has_error),
    FIELD(event.soft),
    FIELD(event.vector),
    FIELD(event.error),
    FIELD(xsave),
};

static void same_cpu(const struct x86_state *a, const struct x86_state *b)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++)
        if (memcmp((const char *)a + fields[i].at, (const char *)b + fields[i].at, fields[i].bytes))
            g_error("%s is not what it was", fields[i].name);
}

static struct stream saved_cpu(struct x86_state *c, const struct host_cpu *h)
{
    struct stream out, in;
    stream_init_save(&out);
    g_assert_true(state_sync_cpu(c, h, &out, NULL));
    stream_init_load(&in, out.bytes->data, out.bytes->len);
    stream_clear(&out);
    return in;
}

static void test_cpu(void)
{
    struct host_cpu h = {.xcr0 = 0};
    host_cpu_learn_xsave(&h);
    for (unsigned round = 0; round < 50; round++) {
        g_autofree struct x86_state *c = some_cpu(&h), *back = g_new0(struct x86_state, 1);
        struct stream s = saved_cpu(c, &h);
        g_autoptr(GError) error = NULL;
        fill(back->xsave, sizeof back->xsave);
        g_assert_true(state_sync_cpu(back, &h, &s, &error));
        g_assert_true(stream_ok(&s) && s.at == s.bytes->len);
        same_cpu(c, back);
        stream_clear(&s);
    }
}

/* A host with the same components elsewhere, and one without the last of them. */
static void test_cpu_elsewhere(void)
{
    struct host_cpu one = {.xcr0 = 0x207}, other = one, less = one;
    one.component[2] = other.component[2] = less.component[2] = (struct host_xcomponent){576, 256, 1};
    one.component[9] = (struct host_xcomponent){2688, 8, 1};
    other.component[9] = (struct host_xcomponent){832, 8, 1};
    less.xcr0 = 7;
    g_autofree struct x86_state *c = some_cpu(&one), *back = g_new0(struct x86_state, 1);
    struct stream s = saved_cpu(c, &one);
    g_autoptr(GError) error = NULL;
    g_assert_true(state_sync_cpu(back, &other, &s, &error));
    g_assert_cmpmem(c->xsave + 2688, 8, back->xsave + 832, 8);
    s.at = 0;
    g_assert_false(state_sync_cpu(back, &less, &s, &error));
    g_assert_nonnull(strstr(error->message, "PKRU"));
    stream_clear(&s);
}

static void test_cpu_refused(void)
{
    struct host_cpu h = {.xcr0 = 3};
    struct x86_state *c = some_cpu(&h);
    uint64_t *bad[] = {&c->cr0, &c->efer, &c->cr8, &c->rflags, &c->xcr0, &c->dr[7]};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint64_t good = *bad[i];
        *bad[i] = 1ull << 63;
        struct stream s = saved_cpu(c, &h);
        g_autofree struct x86_state *back = g_new0(struct x86_state, 1);
        g_autoptr(GError) error = NULL;
        g_assert_false(state_sync_cpu(back, &h, &s, &error));
        g_assert_nonnull(error);
        *bad[i] = good;
        for (unsigned n = 0; n < s.bytes->len; n += 7) { /* too short */
            struct stream cut;
            g_autofree struct x86_state *half = g_new0(struct x86_state, 1);
            stream_init_load(&cut, s.bytes->data, n);
            g_assert_false(state_sync_cpu(half, &h, &cut, NULL) && stream_ok(&cut));
            stream_clear(&cut);
        }
        stream_clear(&s);
    }
    g_free(c);
}

/* ---- a machine ---- */

static struct machine *machine(const char *more)
{
    g_autoptr(GError) error = NULL;
    struct machine *m = state_machine(more, &error);
    g_assert_no_error(error);
    return m;
}

/* Whatever a guest does to its chips: ports, PCI, memory, keys. */
static void disturb(struct machine *m)
{
    static const uint16_t ports[] = {0x00,  0x20,  0x40,  0x60,  0x70,  0x80,  0xa0,  0xc0,  0x170, 0x1f0,
                                     0x378, 0x3c0, 0x3d4, 0x3f0, 0x3f8, 0x4d0, 0x510, 0x600, 0xe0};
    for (unsigned i = 0; i < 3000; i++) {
        unsigned port = ports[g_test_rand_int_range(0, G_N_ELEMENTS(ports))] + g_test_rand_int_range(0, 16);
        if (port == 0x92 || port == 0x64)
            continue; /* a reset */
        machine_out(m, 0, port, 1, g_test_rand_int_range(0, 256));
        if (i % 10 == 0) {
            machine_out(m, 0, 0xcf8, 4,
                        1u << 31 | g_test_rand_int_range(0, 3) << 11 | g_test_rand_int_range(0, 64) << 2);
            machine_out(m, 0, 0xcfc, 4, (uint32_t)g_test_rand_int());
        }
        machine_store(m, 1, g_test_rand_int_range(0, 4 << 20), 8, g_test_rand_int());
        machine_store(m, 0, 0xfee00000 + g_test_rand_int_range(0, 64) * 16, 4, g_test_rand_int_range(0, 256));
    }
    for (unsigned i = 0; i < 200; i++)
        machine_key(m, 30, i % 2);
}

static int saved(struct machine *m)
{
    g_autoptr(GError) error = NULL;
    int fd = state_memfd("", 0);
    g_assert_true(machine_save(m, fd, NULL, &error));
    g_assert_no_error(error);
    return fd;
}

enum { CLOCK_BYTES = 16 }; /* the rest of the clock is how fast this process finds the host's TSC */

static void differ(GPtrArray *a, GPtrArray *b)
{
    g_assert_cmpuint(a->len, ==, b->len);
    for (unsigned i = 0; i < a->len; i++) {
        const struct part *p = a->pdata[i], *q = b->pdata[i];
        unsigned n = 0;
        if (!strcmp(p->name, STATE_MANIFEST)) /* when it was */
            continue;
        if (!strcmp(p->name, "clock")) {
            g_assert_cmpmem(p->bytes->data, CLOCK_BYTES, q->bytes->data, CLOCK_BYTES);
            continue;
        }
        while (n < MIN(p->bytes->len, q->bytes->len) && p->bytes->data[n] == q->bytes->data[n])
            n++;
        if (strcmp(p->name, q->name) || n < MAX(p->bytes->len, q->bytes->len))
            g_error("\"%s\" (%u bytes) became \"%s\" (%u bytes), different from byte %u on", p->name, p->bytes->len,
                    q->name, q->bytes->len, n);
    }
}

/* What one saves, another loads, and saves again to the byte. */
static void test_machine(void)
{
    for (unsigned round = 0; round < 10; round++) {
        g_autoptr(GError) error = NULL;
        struct machine *m = machine(""), *other = machine("");
        disturb(m);
        int fd = saved(m);
        g_assert_true(machine_restore(other, fd, NULL, 0, &error));
        g_assert_no_error(error);
        int again = saved(other);
        g_autoptr(GPtrArray) first = state_parts(fd), second = state_parts(again);
        differ(first, second);
        close(fd);
        close(again);
        machine_free(m);
        machine_free(other);
    }
}

/* The parts, joined, do not go into a machine made with more in its machine.ini, and the reason begins so. */
static void not_restored(GPtrArray *parts, const char *more, const char *why)
{
    g_autoptr(GError) error = NULL;
    struct machine *m = machine(more);
    int fd = state_join(parts);
    g_assert_false(machine_restore(m, fd, NULL, 0, &error));
    if (!strstr(error->message, why))
        g_error("\"%s\" was to say \"%s\"", error->message, why);
    g_assert_null(strchr(error->message, '\n'));
    close(fd);
    machine_free(m);
}

static void test_other_machine(void)
{
    struct machine *m = machine("");
    int fd = saved(m);
    g_autoptr(GPtrArray) parts = state_parts(fd);
    not_restored(parts, "[machine]\ncpus=1\n", "its CPUs is 2, and that of this machine is 1");
    not_restored(parts, "[machine]\nmemory=8M\n", "its memory RAM is 4M, and that of this machine is 8M");
    not_restored(parts, "[machine]\ncpu-model=x86-64-v2\n", "its CPU model is host");
    not_restored(parts, "[serial2]\ntarget=none\n", "its device serial2 is none");
    not_restored(parts, "[floppy1]\n", "its drive floppy1 is none");
    not_restored(parts, "[video]\nmemory=2M\n", "its memory video");
    close(fd);
    machine_free(m);
}

static void test_wrong_parts(void)
{
    struct machine *m = machine("");
    int fd = saved(m);
    GPtrArray *parts = state_parts(fd);
    struct part *clock = part_find(parts, "clock"), *last = parts->pdata[parts->len - 1];
    clock->version++;
    not_restored(parts, "", "has version 2 of its part \"clock\"");
    clock->version--;
    g_byte_array_append(clock->bytes, (const uint8_t *)"!", 1);
    not_restored(parts, "", "has more in its part \"clock\"");
    g_byte_array_set_size(clock->bytes, clock->bytes->len - 2);
    not_restored(parts, "", "makes no sense in its part \"clock\"");
    g_ptr_array_remove(parts, clock);
    not_restored(parts, "", "lacks the part \"clock\"");
    g_ptr_array_unref(parts);
    parts = state_parts(fd);
    g_ptr_array_insert(parts, 3, part_copy(part_find(parts, "clock")));
    not_restored(parts, "", "has the part \"clock\" twice");
    g_strlcpy(((struct part *)parts->pdata[3])->name, "future", STATE_NAME_BYTES);
    not_restored(parts, "", "has a part \"future\" that");
    g_ptr_array_remove_index(parts, 3);
    last = part_copy(parts->pdata[parts->len - 1]);
    g_ptr_array_add(parts, last);
    not_restored(parts, "", "has the part \"input\" twice");
    g_ptr_array_unref(parts);
    close(fd);
    machine_free(m);
}

/* A chunk of memory as a file may have it. */
struct piece {
    const char *area;
    uint64_t offset;
    uint16_t pages;
    uint8_t how;
    uint32_t bits; /* of the first 32 pages */
    unsigned bytes;
};

static void set_piece(struct part *p, const struct piece *c)
{
    struct stream s;
    char *area = g_strdup(c->area);
    uint64_t offset = c->offset;
    uint16_t pages = c->pages;
    uint8_t how = c->how, bits[32] = {c->bits, c->bits >> 8, c->bits >> 16, c->bits >> 24};
    stream_init_save(&s);
    stream_text(&s, &area);
    stream_u64(&s, &offset);
    stream_u16(&s, &pages);
    stream_u8(&s, &how);
    stream_raw(&s, bits, MIN((pages + 7u) / 8, sizeof bits));
    g_byte_array_set_size(p->bytes, 0);
    g_byte_array_append(p->bytes, s.bytes->data, s.bytes->len);
    unsigned head = p->bytes->len;
    g_byte_array_set_size(p->bytes, head + c->bytes);
    memset(p->bytes->data + head, 0x5a, c->bytes);
    stream_clear(&s);
    g_free(area);
}

/* Pieces of memory that lie elsewhere, and those that are not what they say. */
static void test_wrong_memory(void)
{
    static const char elsewhere[] = "has a piece of memory that this machine has no place for",
                      unpackable[] = "has a piece of memory that cannot be unpacked";
    static const struct {
        struct piece piece;
        const char *why;
    } bad[] = {
        {{"RAM", 4 << 20, 1, 0, 1, PAGE}, elsewhere}, {{"RAM", (4 << 20) - PAGE, 2, 0, 1, PAGE}, elsewhere},
        {{"RAM", 1, 1, 0, 1, PAGE}, elsewhere},       {{"RAM", -PAGE, 2, 0, 3, 2 * PAGE}, elsewhere},
        {{"ROM", 0, 1, 0, 1, PAGE}, elsewhere},       {{"video.0", 1 << 20, 1, 0, 1, PAGE}, elsewhere},
        {{"RAM", 0, 0, 0, 0, PAGE}, elsewhere},       {{"RAM", 0, 257, 0, 1, PAGE}, elsewhere},
        {{"RAM", 0, 1, 0, 0, 0}, elsewhere},        /* no page */
        {{"RAM", 0, 1, 0, 3, 2 * PAGE}, elsewhere}, /* a page behind the window */
        {{"RAM", 0, 1, 2, 1, PAGE}, elsewhere},     /* packed in an unknown way */
        {{"RAM", 0, 1, 0, 1, PAGE - 1}, unpackable},  {{"RAM", 0, 1, 0, 1, PAGE + 1}, unpackable},
        {{"RAM", 0, 1, 1, 1, 100}, unpackable},
    };
    struct machine *m = machine("");
    int fd = saved(m);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GPtrArray) parts = state_parts(fd);
        set_piece(part_find(parts, "memory"), &bad[i].piece);
        not_restored(parts, "", bad[i].why);
    }
    close(fd);
    machine_free(m);
}

/* Memory is what it was whatever it looks like: pages of zeroes, of one byte, of noise, alone and in rows. */
static void test_memory(void)
{
    enum { PAGES = (4 << 20) / PAGE };
    struct machine *m = machine(""), *other = machine("");
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned kind = g_test_rand_int_range(0, 6);
        if (kind == 1)
            memset(m->memory.base + i * PAGE, i, PAGE);
        else if (kind == 2)
            fill(m->memory.base + i * PAGE, PAGE);
        else if (kind == 3)
            m->memory.base[i * PAGE + PAGE - 1] = 1;
    }
    fill(m->memory.base + (1 << 20), 1 << 20); /* a window that zstd makes no smaller */
    int fd = saved(m);
    g_autoptr(GError) error = NULL;
    g_assert_true(machine_restore(other, fd, NULL, 0, &error));
    g_assert_no_error(error);
    g_assert_true(!memcmp(m->memory.base, other->memory.base, PAGES * PAGE));
    close(fd);
    machine_free(m);
    machine_free(other);
}

/* ---- a state that says only what differs ---- */

enum { RAM_BYTES = 4 << 20, RAM_PAGES = RAM_BYTES / PAGE };

/* What a live snapshot writes of memory, as a whole file: the rest is as machine_save() writes it. */
static int saved_upon(struct machine *m, const int *older, unsigned count)
{
    int whole = saved(m), fd = state_memfd("", 0);
    g_autoptr(GArray) areas = state_areas(m);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) parts = state_parts(whole);
    g_autoptr(GArray) table = state_table(m);
    struct state_base *base = state_base_open(older, count, RAM_BYTES, &error);
    g_assert_no_error(error);
    struct state_writer w;
    const struct page_source from = {.base = base};
    const struct state_part *memory = &g_array_index(table, struct state_part, 0);
    while (memory->sync)
        memory++;
    g_array_set_size(areas, 1);
    g_assert_true(state_begin(&w, fd, &error));
    for (unsigned i = 0; i < parts->len; i++) {
        const struct part *p = parts->pdata[i];
        const char *area = (const char *)p->bytes->data + 2; /* behind its length */
        if (strcmp(p->name, "memory") || strncmp(area, "RAM", 3))
            g_assert_true(state_put(&w, p->name, p->version, p->bytes->data, p->bytes->len, &error));
        if (i == STATE_BEFORE_MEMORY - 1)
            g_assert_true(state_base_put(base, &w, &error) &&
                          state_save_areas(m, areas, &from, memory, &w, NULL, &error));
    }
    g_assert_true(state_finish(&w, &error));
    g_assert_no_error(error);
    state_base_free(base);
    close(whole);
    return fd;
}

static void change_some(struct machine *m, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        uint8_t *page = m->memory.base + g_test_rand_int_range(0, RAM_PAGES) * PAGE;
        unsigned kind = g_test_rand_int_range(0, 4);
        if (kind == 0)
            memset(page, 0, PAGE);
        else if (kind == 1)
            fill(page, PAGE);
        else
            page[g_test_rand_int_range(0, PAGE)] ^= 1 << kind;
    }
}

/* A row of them, each upon those before it; every one comes back as it was. */
static void test_upon_others(void)
{
    struct machine *m = machine("");
    int file[STATE_BASES_MAX + 1];
    uint8_t *was[STATE_BASES_MAX + 1];
    struct stat whole, st;
    fill(m->memory.base + (1 << 20), 2 << 20);
    for (unsigned i = 0; i <= STATE_BASES_MAX; i++) {
        file[i] = i ? saved_upon(m, file, i) : saved(m);
        was[i] = g_memdup2(m->memory.base, RAM_BYTES);
        g_assert_false(fstat(file[0], &whole) || fstat(file[i], &st));
        if (i)
            g_assert_cmpint(st.st_size, <, whole.st_size / 4);
        change_some(m, 60);
        if (i == 2)
            memset(m->memory.base + (1 << 20), 0, 1 << 20); /* a whole window, which the guest gives back */
    }
    for (unsigned i = 0; i <= STATE_BASES_MAX; i++) {
        g_autoptr(GError) error = NULL;
        struct machine *other = machine("");
        g_assert_true(machine_restore(other, file[i], file, i, &error));
        g_assert_no_error(error);
        g_assert_true(!memcmp(other->memory.base, was[i], RAM_BYTES));
        machine_free(other);
        g_free(was[i]);
    }
    for (unsigned i = 0; i <= STATE_BASES_MAX; i++)
        close(file[i]);
    machine_free(m);
}

static void not_restored_upon(int fd, const int *older, unsigned count, const char *why)
{
    g_autoptr(GError) error = NULL;
    struct machine *m = machine("");
    g_assert_false(machine_restore(m, fd, older, count, &error));
    if (!strstr(error->message, why))
        g_error("\"%s\" was to say \"%s\"", error->message, why);
    machine_free(m);
}

/* Some that are missing, others, in another order, damaged; and a base that is none. */
static void test_upon_wrong_ones(void)
{
    struct machine *m = machine("");
    fill(m->memory.base + (1 << 20), 2 << 20); /* most of the file */
    int first = saved(m), second, third, turned[2];
    change_some(m, 20);
    second = saved_upon(m, &first, 1);
    const int both[] = {first, second};
    change_some(m, 20);
    third = saved_upon(m, both, 2);
    turned[0] = second;
    turned[1] = first;
    not_restored_upon(third, NULL, 0, "not all are there");
    not_restored_upon(third, both, 1, "not all are there");
    not_restored_upon(third, turned, 2, "another one");
    g_autoptr(GByteArray) bytes = content(first);
    bytes->data[bytes->len / 2] ^= 1;
    const int bad[] = {state_memfd(bytes->data, bytes->len), second};
    not_restored_upon(third, bad, 2, "damaged");
    g_assert_null(state_base_open(turned, 2, RAM_BYTES, NULL));
    g_assert_null(state_base_open(&second, 1, RAM_BYTES, NULL)); /* what it builds upon itself is missing */
    g_assert_null(state_base_open(both, 2, RAM_BYTES / 2, NULL));
    struct state_base *base = state_base_open(bad, 1, RAM_BYTES, NULL); /* only heads are looked at */
    g_assert_nonnull(base);
    g_autofree uint8_t *window = g_malloc(STATE_WINDOW_PAGES * PAGE);
    bool good = true;
    for (uint64_t at = 0; at < RAM_BYTES; at += STATE_WINDOW_PAGES * PAGE)
        good = state_base_read(base, at, STATE_WINDOW_PAGES, window) && good;
    g_assert_false(good);
    state_base_free(base);
    close(bad[0]);
    close(first);
    close(second);
    close(third);
    machine_free(m);
}

/* ---- when saving does not work out ---- */

struct onlooker {
    unsigned heard, most;
    uint64_t done, total;
};

static bool look_on(void *ctx, uint64_t done, uint64_t total, GError **error)
{
    struct onlooker *o = ctx;
    g_assert_true(done >= o->done && done <= total && (!o->total || o->total == total));
    o->done = done;
    o->total = total;
    if (++o->heard < o->most)
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "enough");
    return false;
}

static void test_watched(void)
{
    struct onlooker o = {.most = UINT_MAX}, stopped = {.most = 2};
    struct save_watch watch = {look_on, &o}, stop = {look_on, &stopped};
    struct machine *m = machine("");
    g_autoptr(GError) error = NULL;
    fill(m->memory.base, 4 << 20);
    int fd = state_memfd("", 0), half = state_memfd("", 0);
    g_assert_true(machine_save(m, fd, &watch, &error));
    g_assert_true(o.heard >= 4 && o.total >= 4 << 20);
    g_assert_false(machine_save(m, half, &stop, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_cmpuint(stopped.heard, ==, 2);
    close(saved(m)); /* as if nothing had been */
    close(fd);
    close(half);
    machine_free(m);
}

static void test_no_space(void)
{
    struct machine *m = machine("");
    g_autoptr(GError) error = NULL;
    int full = g_open("/dev/full", O_WRONLY | O_CLOEXEC, 0);
    g_assert_false(machine_save(m, full, NULL, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
    close(full);
    close(saved(m));
    machine_free(m);
}

static void assert_names(const char *words, const char *other, const char *expected)
{
    g_autoptr(GPtrArray) names = state_feature_names(words, other);
    g_ptr_array_add(names, NULL);
    g_autofree char *all = g_strjoinv(" ", (char **)names->pdata);
    g_assert_cmpstr(all, ==, expected);
}

static void test_features(void)
{
#define NOTHING "00000000000000000000000000000000"
#define MORE    " " NOTHING " " NOTHING " " NOTHING " " NOTHING
    static const char none[] = NOTHING " " NOTHING MORE, some[] = "000000000000000018000001"
                                                                  "00000000 00000000000100200000000000000000" MORE;
    assert_names(some, NULL, "sse3 osxsave avx avx2 avx512f");
    assert_names(some, none, "sse3 osxsave avx avx2 avx512f");
    assert_names(none, some, "");
    assert_names("nonsense", NULL, "");
    struct machine *m = machine("");
    g_autofree char *shown = state_features(m);
    assert_names(shown, shown, "");
    machine_free(m);
}

/* What a CPU shows in 64-bit code only is no other CPU: the machine that loads it stands at its reset vector. */
static void test_features_of_long_mode(void)
{
    static const char *const makers[] = {"[machine]\nengine-options=maker=intel\n",
                                         "[machine]\nengine-options=maker=amd\n"};
    for (unsigned i = 0; i < G_N_ELEMENTS(makers); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree struct x86_state *c = g_new0(struct x86_state, 1);
        struct machine *m = machine(makers[i]), *other = machine(makers[i]);
        m->engine->get_state(m->vcpu[0].engine_vcpu, c);
        c->cr0 = 0x80000031;
        c->cr4 = 0x20;
        c->efer = 0x501;
        c->seg[X86_CS].attr = X86_ATTR_P | X86_ATTR_S | X86_ATTR_L | 0xb;
        m->engine->set_state(m->vcpu[0].engine_vcpu, c);
        int fd = saved(m);
        g_assert_true(machine_restore(other, fd, NULL, 0, &error));
        g_assert_no_error(error);
        close(fd);
        machine_free(m);
        machine_free(other);
    }
}

/* A CPU that has less than that on which it was saved. */
static void test_other_features(void)
{
    struct machine *m = machine("");
    int fd = saved(m);
    g_autoptr(GPtrArray) parts = state_parts(fd);
    struct part *p = part_find(parts, "machine");
    g_autofree char *shown = state_features(m);
    uint8_t *at = memmem(p->bytes->data, p->bytes->len, shown, strlen(shown));
    g_assert_nonnull(at);
    memcpy(at + 33 + 8, "ffffffff", 8); /* leaf 7, EBX */
    not_restored(parts, "", "needs a CPU with ");
    memcpy(at + 33 + 8, "00000000", 8);
    not_restored(parts, "", "was made on a CPU without ");
    static const char own[] = "the software engine", other[] = "some other engine  ";
    G_STATIC_ASSERT(sizeof own == sizeof other);
    uint8_t *by = memmem(p->bytes->data, p->bytes->len, own, strlen(own));
    g_assert_nonnull(by);
    memcpy(by, other, strlen(other));
    memcpy(at + 33 + 8, "ffffffff", 8);
    not_restored(parts, "", "was made under some other engine   with cpu-model = host");
    not_restored(parts, "", "may use what this engine (the software engine) does not show: ");
    not_restored(parts, "", "rtm"); /* by name */
    close(fd);
    machine_free(m);
}

/* A disk that is another one, or was written to since. */
static void test_disks(void)
{
    g_autofree char *folder = g_dir_make_tmp("state-XXXXXX", NULL), *path = g_build_filename(folder, "disk.img", NULL);
    g_autofree char *more = g_strdup_printf("[ide0]\nfile=%s\nformat=raw\n", path);
    g_autofree char *zero = g_malloc0(1 << 20);
    g_assert_true(g_file_set_contents(path, zero, 1 << 20, NULL));
    struct machine *m = machine(more);
    int fd = saved(m);
    machine_free(m);
    g_autoptr(GError) error = NULL;
    m = machine(more);
    g_assert_true(machine_restore(m, fd, NULL, 0, &error));
    machine_free(m);
    g_autoptr(GPtrArray) parts = state_parts(fd);
    g_assert_true(g_file_set_contents(path, zero, 1 << 20, NULL));
    not_restored(parts, more, "was changed after the state was saved");
    g_assert_true(g_file_set_contents(path, zero, 1 << 19, NULL));
    not_restored(parts, more, "is not what was there when the state was saved");
    close(fd);
    g_remove(path);
    g_rmdir(folder);
}

/* An image that was put on top since shows the same disk until somebody writes to it. */
static void test_put_on_top(void)
{
    g_autofree char *folder = g_dir_make_tmp("state-XXXXXX", NULL), *base = g_build_filename(folder, "disk.img", NULL);
    g_autofree char *top = g_build_filename(folder, "top.qcow2", NULL),
                    *top2 = g_build_filename(folder, "2.qcow2", NULL);
    g_autofree char *below = g_strdup_printf("[ide0]\nfile=%s\nformat=raw\n", base);
    g_autofree char *above = g_strdup_printf("[ide0]\nfile=%s\nformat=qcow2\n", top2);
    g_autofree char *zero = g_malloc0(1 << 20);
    struct image_options o = {.parent = "disk.img", .parent_format = "raw"},
                         o2 = {.parent = "top.qcow2", .parent_format = "qcow2"};
    g_assert_true(g_file_set_contents(base, zero, 1 << 20, NULL));
    struct machine *m = machine(below);
    int fd = saved(m);
    machine_free(m);
    g_autoptr(GError) error = NULL;
    g_assert_true(image_create(top, "qcow2", &o, false, &error) && image_create(top2, "qcow2", &o2, false, &error));
    m = machine(above);
    g_assert_true(machine_restore(m, fd, NULL, 0, &error));
    g_assert_no_error(error);
    machine_free(m);
    struct image *im = image_open(top2, &(struct image_how){.format = "qcow2", .write = true}, &error);
    g_assert_true(im && !image_write(im, 512 << 10, "x", 1) && !image_close(im));
    g_autoptr(GPtrArray) parts = state_parts(fd);
    not_restored(parts, above, "is not what was there when the state was saved");
    close(fd);
    g_remove(top2);
    g_remove(top);
    g_remove(base);
    g_rmdir(folder);
}

/* A medium that the guest has ejected is out; one that is missing is asked for. */
static void test_media(void)
{
    g_autofree char *folder = g_dir_make_tmp("state-XXXXXX", NULL), *path = g_build_filename(folder, "cd.iso", NULL);
    g_autofree char *more = g_strdup_printf("[ide2]\nfile=%s\n", path), *zero = g_malloc0(1 << 20);
    g_assert_true(g_file_set_contents(path, zero, 1 << 20, NULL));
    struct machine *empty = machine(""), *full = machine(more);
    int fd = saved(empty), fd_full = saved(full);
    g_autoptr(GError) error = NULL;
    g_assert_true(machine_restore(full, fd, NULL, 0, &error));
    g_assert_cmpuint(drive_bytes(machine_drive(full, "ide2")), ==, 0);
    g_autoptr(GPtrArray) parts = state_parts(fd_full);
    not_restored(parts, "", "drive ide2 is empty, and had");
    close(fd);
    close(fd_full);
    machine_free(empty);
    machine_free(full);
    g_remove(path);
    g_rmdir(folder);
}

/* A whole machine's state, cut off somewhere. */
static void test_machine_cut(void)
{
    struct machine *m = machine("");
    int fd = saved(m);
    g_autoptr(GByteArray) all = content(fd);
    for (unsigned i = 0; i < 100; i++) {
        g_autoptr(GError) error = NULL;
        int cut = state_memfd(all->data, g_test_rand_int_range(24, all->len));
        g_assert_false(machine_restore(m, cut, NULL, 0, &error));
        g_assert_nonnull(strstr(error->message, "cut short"));
        close(cut);
    }
    close(fd);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state/file", test_file);
    g_test_add_func("/state/sums", test_sums);
    g_test_add_func("/state/cut-short", test_cut_short);
    g_test_add_func("/state/flipped-bits", test_flipped_bits);
    g_test_add_func("/state/rearranged", test_rearranged);
    g_test_add_func("/state/cpu", test_cpu);
    g_test_add_func("/state/cpu-elsewhere", test_cpu_elsewhere);
    g_test_add_func("/state/cpu-refused", test_cpu_refused);
    g_test_add_func("/state/machine", test_machine);
    g_test_add_func("/state/machine-cut", test_machine_cut);
    g_test_add_func("/state/other-machine", test_other_machine);
    g_test_add_func("/state/wrong-parts", test_wrong_parts);
    g_test_add_func("/state/wrong-memory", test_wrong_memory);
    g_test_add_func("/state/memory", test_memory);
    g_test_add_func("/state/upon-others", test_upon_others);
    g_test_add_func("/state/upon-wrong-ones", test_upon_wrong_ones);
    g_test_add_func("/state/watched", test_watched);
    g_test_add_func("/state/no-space", test_no_space);
    g_test_add_func("/state/features", test_features);
    g_test_add_func("/state/features-of-long-mode", test_features_of_long_mode);
    g_test_add_func("/state/other-features", test_other_features);
    g_test_add_func("/state/disks", test_disks);
    g_test_add_func("/state/put-on-top", test_put_on_top);
    g_test_add_func("/state/media", test_media);
    return g_test_run();
}
