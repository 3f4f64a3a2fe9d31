// SPDX-License-Identifier: GPL-2.0-or-later
/* state.c - get_state() and set_state(): what goes in comes out, and work goes on elsewhere as if nothing had been. */
#include "patcher/patcher.h"
#include "tests/hwaccel/hwaccel_tests.h"
#include <string.h>

static void random_bytes(GRand *r, void *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)at)[i] = g_rand_int(r);
}

static uint64_t random_u64(GRand *r)
{
    return (uint64_t)g_rand_int(r) << 32 | g_rand_int(r);
}

static uint64_t random_canonical(GRand *r)
{
    return (int64_t)(random_u64(r) << 17) >> 17;
}

/* XSAVE: x87 and SSE registers, all in use. */
static void random_fpu(GRand *r, uint8_t *xsave)
{
    static const uint16_t fcw = 0x37f, fsw = 0x3800;
    static const uint32_t mxcsr = 0x1fa0;
    static const uint64_t in_use = 3;
    memset(xsave, 0, X86_XSAVE_BYTES);
    memcpy(xsave, &fcw, 2);
    memcpy(xsave + 2, &fsw, 2);
    xsave[4] = 0xff;
    memcpy(xsave + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        random_bytes(r, xsave + 32 + 16 * i, 10);
    random_bytes(r, xsave + 160, 256);
    memcpy(xsave + 512, &in_use, 8);
}

static void random_state64(GRand *r, struct x86_state *s)
{
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = random_u64(r);
    s->rip = random_canonical(r);
    s->rflags = 2 | (g_rand_int(r) & 0x8d5);
    s->seg[X86_FS].base = random_canonical(r);
    s->seg[X86_GS].base = random_canonical(r);
    s->gdtr.base = random_canonical(r);
    s->idtr.limit = g_rand_int(r);
    s->cr2 = random_u64(r);
    s->cr8 = g_rand_int(r) & 15;
    for (unsigned i = 0; i < 4; i++)
        s->dr[i] = random_canonical(r);
    s->dr[6] = 0xffff0ff1;
    s->dr[7] = 0x455;
    s->star = random_u64(r);
    s->lstar = random_canonical(r);
    s->cstar = random_canonical(r);
    s->sfmask = g_rand_int(r);
    s->kernel_gs_base = random_canonical(r);
    s->sysenter_cs = 0x10;
    s->sysenter_esp = g_rand_int(r);
    s->sysenter_eip = g_rand_int(r);
    s->pat = 0x0606060606060600 | 5;
    s->mtrr_def_type = 0xc06;
    s->mtrr_fixed[0] = 0x0606060606060606;
    s->mtrr_fixed[10] = 0x0505050505050505;
    s->mtrr_base[1] = 0xc0000000;
    s->mtrr_mask[1] = 0xfc0000800;
    s->tsc_adjust = random_u64(r) & 0xffffffff;
    s->nmi_blocked = g_rand_boolean(r);
    random_fpu(r, s->xsave);
}

#define SAME(field) g_assert_cmpmem(&a->field, sizeof a->field, &b->field, sizeof b->field)

static void assert_same_segment(const struct x86_seg *a, const struct x86_seg *b)
{
    g_assert_cmphex(a->base, ==, b->base);
    g_assert_cmphex(a->limit, ==, b->limit);
    g_assert_cmphex(a->selector, ==, b->selector);
    g_assert_cmphex(a->attr, ==, b->attr);
}

static void assert_same_event(const struct x86_event *a, const struct x86_event *b)
{
    g_assert_cmpint(a->pending, ==, b->pending);
    if (!a->pending)
        return;
    g_assert_cmpint(a->vector, ==, b->vector);
    g_assert_cmpint(a->has_error, ==, b->has_error);
    g_assert_cmphex(a->error, ==, b->error);
}

/* All but the TSC's value, which goes on, and bytes of the FPU area that hold no state. */
static void assert_same(const struct x86_state *a, const struct x86_state *b)
{
    SAME(gpr);
    SAME(rip);
    SAME(rflags);
    for (unsigned i = 0; i < X86_SEGS; i++)
        assert_same_segment(&a->seg[i], &b->seg[i]);
    assert_same_segment(&a->ldtr, &b->ldtr);
    assert_same_segment(&a->tr, &b->tr);
    g_assert_cmphex(a->gdtr.base, ==, b->gdtr.base);
    g_assert_cmphex(a->idtr.limit, ==, b->idtr.limit);
    g_assert_cmphex(a->cr0, ==, b->cr0);
    g_assert_cmphex(a->cr2, ==, b->cr2);
    g_assert_cmphex(a->cr3, ==, b->cr3);
    g_assert_cmphex(a->cr4, ==, b->cr4);
    g_assert_cmphex(a->cr8, ==, b->cr8);
    g_assert_cmphex(a->xcr0, ==, b->xcr0);
    g_assert_cmphex(a->efer, ==, b->efer);
    SAME(dr);
    SAME(star);
    SAME(lstar);
    SAME(cstar);
    SAME(sfmask);
    SAME(kernel_gs_base);
    SAME(sysenter_cs);
    SAME(sysenter_esp);
    SAME(sysenter_eip);
    SAME(pat);
    g_assert_cmphex(a->misc_enable, ==, b->misc_enable);
    SAME(mtrr_def_type);
    SAME(mtrr_fixed);
    SAME(mtrr_base);
    SAME(mtrr_mask);
    g_assert_cmphex(a->tsc_adjust, ==, b->tsc_adjust);
    g_assert_cmphex(a->apic_base, ==, b->apic_base);
    g_assert_cmpint(a->run_state, ==, b->run_state);
    g_assert_cmpint(a->sti_shadow || a->mov_ss_shadow, ==,
                    b->sti_shadow || b->mov_ss_shadow); /* AMD has one for both */
    g_assert_cmpint(a->nmi_pending, ==, b->nmi_pending);
    g_assert_cmpint(a->nmi_blocked, ==, b->nmi_blocked);
    assert_same_event(&a->event, &b->event);
    g_assert_cmpmem(a->xsave, 28, b->xsave, 28); /* control words, instruction and operand pointers, MXCSR */
    g_assert_cmpmem(a->xsave + 32, 384, b->xsave + 32, 384);
}

static void test_round_trip_64(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    g_autofree struct x86_state *in = g_new(struct x86_state, 1), *out = g_new(struct x86_state, 1);
    GRand *r = g_rand_new_with_seed(42);
    bare_start64(m, 0, CODE);
    engine->get_state(m->vcpu[0], in);
    for (unsigned i = 0; i < 50; i++) {
        random_state64(r, in);
        engine->set_state(m->vcpu[0], in);
        engine->get_state(m->vcpu[0], out);
        assert_same(in, out);
    }
    g_rand_free(r);
    bare_free(m);
}

/* Through the software engine and back, all of it. */
static void test_round_trip_elsewhere(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1), *soft = bare_new(&soft_engine, 1);
    g_autofree struct x86_state *in = g_new(struct x86_state, 1), *out = g_new(struct x86_state, 1);
    guint32 seed = g_test_rand_int();
    GRand *r = g_rand_new_with_seed(seed);
    g_test_message("seed %u", seed);
    bare_start64(m, 0, CODE);
    engine->get_state(m->vcpu[0], in);
    for (unsigned i = 0; i < 50; i++) {
        random_state64(r, in);
        in->run_state = i % 2 ? X86_HALTED : X86_RUNNING;
        in->event = (struct x86_event){.pending = i % 3 == 0, .vector = 0x20 + i};
        engine->set_state(m->vcpu[0], in);
        engine->get_state(m->vcpu[0], out);
        soft_engine.set_state(soft->vcpu[0], out);
        soft_engine.get_state(soft->vcpu[0], out);
        assert_same(in, out);
        engine->set_state(m->vcpu[0], out);
        engine->get_state(m->vcpu[0], out);
        assert_same(in, out);
    }
    g_rand_free(r);
    bare_free(soft);
    bare_free(m);
}

static void test_round_trip_reset(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 2);
    g_autofree struct x86_state *in = g_new(struct x86_state, 1), *out = g_new(struct x86_state, 1);
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        x86_state_reset(in, cpu == 0);
        engine->set_state(m->vcpu[cpu], in);
        engine->get_state(m->vcpu[cpu], out);
        assert_same(in, out);
    }
    bare_free(m);
}

static void test_round_trip_32(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    g_autofree struct x86_state *in = g_new(struct x86_state, 1), *out = g_new(struct x86_state, 1);
    bare_start32(m, 0, CODE);
    engine->get_state(m->vcpu[0], in);
    in->seg[X86_FS] = (struct x86_seg){.attr = X86_ATTR_NULL};
    in->seg[X86_GS] = (struct x86_seg){.base = 0x12340, .limit = 0xfff, .selector = 0x33, .attr = 0x40f3};
    in->run_state = X86_HALTED;
    in->rflags |= 1 << 9;
    engine->set_state(m->vcpu[0], in);
    engine->get_state(m->vcpu[0], out);
    assert_same(in, out);
    bare_free(m);
}

/* What holds interrupts off for an instruction, and an NMI that waits for it. */
static void test_round_trip_shadows(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    g_autofree struct x86_state *in = g_new(struct x86_state, 1), *out = g_new(struct x86_state, 1);
    bare_start32(m, 0, CODE);
    engine->get_state(m->vcpu[0], in);
    in->rflags |= 1 << 9;
    for (unsigned i = 0; i < 4; i++) {
        in->sti_shadow = i == 1;
        in->mov_ss_shadow = i == 2;
        in->nmi_pending = i == 3;
        engine->set_state(m->vcpu[0], in);
        engine->get_state(m->vcpu[0], out);
        assert_same(in, out);
    }
    bare_free(m);
}

/* 64-bit code at privilege level 0 may have no stack segment; of FS and GS the base counts all the same. */
static void test_round_trip_null(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    g_autofree struct x86_state *in = g_new(struct x86_state, 1), *out = g_new(struct x86_state, 1);
    bare_start64(m, 0, CODE);
    engine->get_state(m->vcpu[0], in);
    in->ldtr = in->seg[X86_SS] = in->seg[X86_DS] = in->seg[X86_ES] = (struct x86_seg){.attr = X86_ATTR_NULL};
    in->seg[X86_FS] = (struct x86_seg){.base = 0x7f1234567000, .attr = X86_ATTR_NULL};
    in->seg[X86_GS] = (struct x86_seg){.base = 0xffff800012345000, .attr = X86_ATTR_NULL, .selector = 3};
    engine->set_state(m->vcpu[0], in);
    engine->get_state(m->vcpu[0], out);
    assert_same(in, out);
    bare_free(m);
}

/* 32-bit code whose descriptor has the bit for 64-bit code, which means nothing outside of long mode. */
static void test_ignored_l(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    bare_load(m, CODE, g_dirty, g_dirty_end);
    bare_start32(m, 0, CODE);
    engine->get_state(m->vcpu[0], s);
    s->seg[X86_CS].attr |= X86_ATTR_L;
    engine->set_state(m->vcpu[0], s);
    bare_finish(m, 0);
    g_assert_cmpuint(bare_u32(m, 0x203abc), ==, 1);
    bare_free(m);
}

static void test_events(const struct cpu_engine *engine)
{
    static const struct x86_event events[] = {
        {.pending = true, .vector = 14, .has_error = true, .error = 2},
        {.pending = true, .vector = 0},
        {.pending = true, .vector = 6},
        {.pending = true, .vector = 8}, /* IRQ 0 where the BIOS puts it */
        {.pending = true, .vector = 0x20},
        {.pending = true, .vector = 0xff},
        {.pending = true, .vector = 2},
    };
    struct bare_machine *m = bare_new(engine, 1);
    g_autofree struct x86_state *in = g_new(struct x86_state, 1), *out = g_new(struct x86_state, 1);
    bare_start32(m, 0, CODE);
    engine->get_state(m->vcpu[0], in);
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        in->event = events[i];
        engine->set_state(m->vcpu[0], in);
        engine->get_state(m->vcpu[0], out);
        assert_same(in, out);
    }
    bare_free(m);
}

/* An interrupt whose delivery had begun elsewhere is delivered here, once and without another acknowledge. */
static void test_event_delivered(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    bare_load(m, CODE, g_window16, g_window16_end);
    bare_load(m, 0x9000, g_count16, g_count16_end);
    bare_put(m, 0x20 * 4, 0x9000, 4);
    bare_start16(m, 0, CODE);
    engine->get_state(m->vcpu[0], s);
    s->event = (struct x86_event){.pending = true, .vector = 0x20};
    s->rflags |= 1 << 9;
    engine->set_state(m->vcpu[0], s);
    pthread_t t = bare_spawn(m, 0);
    g_assert_true(bare_wait(bare_word(m, RESULT), 1));
    g_usleep(3000);
    bare_stop(m, 0, t);
    g_assert_cmpuint(bare_u32(m, RESULT), ==, 1);
    g_assert_cmpuint(m->acks, ==, 0);
    bare_free(m);
}

/* An NMI whose delivery had begun elsewhere is delivered, and its handler (which goes on for ever) blocks others, whether or
 * not the engine that began it says that they are blocked already. */
static void test_nmi_delivered(const struct cpu_engine *engine)
{
    for (unsigned blocked = 0; blocked < 2; blocked++) {
        struct bare_machine *m = bare_new(engine, 1);
        g_autofree struct x86_state *s = g_new(struct x86_state, 1);
        bare_load(m, CODE, g_readonly, g_readonly_end);
        bare_load(m, 0x9000, g_spin, g_spin_end);
        bare_start32(m, 0, CODE);
        bare_gate32(m, 2, 0x9000);
        engine->get_state(m->vcpu[0], s);
        s->event = (struct x86_event){.pending = true, .vector = 2};
        s->nmi_blocked = blocked;
        engine->set_state(m->vcpu[0], s);
        pthread_t t = bare_spawn(m, 0);
        g_assert_true(bare_wait(bare_word(m, RESULT), 1));
        bare_stop(m, 0, t);
        engine->get_state(m->vcpu[0], s);
        g_assert_true(s->nmi_blocked);
        g_assert_false(s->event.pending || s->nmi_pending);
        bare_free(m);
    }
}

static void test_nmi_delivered_by_interp(const struct cpu_engine *engine)
{
    g_autoptr(GError) error = NULL;
    if (interp_engine.probe(&error))
        test_nmi_delivered(&interp_engine);
    else
        g_test_skip(error->message);
}

/* ---- work that moves between two VMs ---- */

struct kick {
    struct bare_machine *m;
    unsigned delay;
};

static void *kick_soon(void *arg)
{
    struct kick *k = arg;
    g_usleep(k->delay);
    k->m->engine->kick(k->m->vcpu[0]);
    return NULL;
}

static uint64_t work_result(uint32_t n)
{
    uint64_t a = 1;
    for (uint64_t c = n; c; c--) {
        a = a * 5 + c;
        a = a << 7 | a >> 57;
    }
    return a;
}

/* Runs what m[0] has begun, kicked at any moment to move to the other machine, until it is finished; how often it moved.
 * Word RESULT+32 is set after so many moves. */
static unsigned move_about(struct bare_machine *m[2], GRand *r, unsigned set_after)
{
    for (unsigned moves = 0;; moves++) {
        struct bare_machine *from = m[moves & 1], *to = m[~moves & 1];
        struct kick k = {from, g_rand_int_range(r, 0, 4000)};
        pthread_t t;
        pthread_create(&t, NULL, kick_soon, &k);
        g_assert_cmpint(bare_run(from, 0), ==, CPU_STOP_KICKED);
        pthread_join(t, NULL);
        if (from->finished[0])
            return moves;
        bare_move(from, to);
        if (moves == set_after)
            bare_put(to, RESULT + 32, 1, 4);
    }
}

static void move_in_work(const struct cpu_engine *one, const struct cpu_engine *other)
{
    static const uint32_t iterations = 400000;
    struct bare_machine *m[2] = {bare_new(one, 1), bare_new(other, 1)};
    GRand *r = g_rand_new_with_seed(3);
    uint64_t result, sums[2];
    bare_load(m[0], CODE, g_work, g_work_end);
    bare_put(m[0], RESULT + 32, iterations, 4);
    bare_start64(m[0], 0, CODE);
    unsigned moves = move_about(m, r, UINT_MAX);
    memcpy(&result, m[moves & 1]->memory + RESULT, 8);
    memcpy(sums, m[moves & 1]->memory + RESULT + 8, 16);
    g_test_message("moved %u times; %u port reads", moves, m[0]->ports->len + m[1]->ports->len);
    g_assert_cmphex(result, ==, work_result(iterations));
    g_assert_cmpuint(sums[0], ==, 3ull * iterations);
    g_assert_cmpuint(sums[1], ==, iterations);
    g_assert_cmpuint(m[0]->ports->len + m[1]->ports->len, ==, iterations / 64);
    g_assert_cmpuint(moves, >, 2);
    g_rand_free(r);
    bare_free(m[0]);
    bare_free(m[1]);
}

/* QEMU 7.2 aborts ("invalid tss type") when a guest of its emulated AMD-V leaves virtual 8086 mode with a task register
 * that VMRUN loaded: it expects a TSS that is not busy. */
static bool can_leave_v86(void)
{
    g_autofree char *cpuinfo = NULL;
    bool read = g_file_get_contents("/proc/cpuinfo", &cpuinfo, NULL, NULL);
    return !read || !strstr(cpuinfo, "QEMU TCG CPU");
}

/* Every mode of the CPU, and what each leaves in the hidden parts of the segment registers. */
static void move_in_modes(const struct cpu_engine *one, const struct cpu_engine *other)
{
    static const unsigned moves_wanted = 20;
    struct bare_machine *m[2] = {bare_new(one, 1), bare_new(other, 1)};
    GRand *r = g_rand_new_with_seed(4);
    bool v86 = can_leave_v86();
    bare_load(m[0], CODE, g_modes, g_modes_end);
    bare_put(m[0], RESULT + 36, v86, 4);
    bare_start64(m[0], 0, CODE); /* for its page tables */
    bare_start16(m[0], 0, CODE);
    unsigned moves = move_about(m, r, moves_wanted);
    uint32_t rounds = bare_u32(m[moves & 1], RESULT);
    g_test_message("moved %u times in %u rounds%s", moves, rounds, v86 ? "" : ", without virtual 8086 mode");
    g_assert_cmpuint(bare_u32(m[moves & 1], RESULT + 4), ==, v86 ? rounds : 0);
    g_assert_cmpuint(bare_u32(m[moves & 1], RESULT + 8), ==, rounds);
    g_assert_cmpuint(bare_u32(m[moves & 1], RESULT + 12), ==, rounds);
    g_assert_cmpuint(moves, >, moves_wanted);
    g_rand_free(r);
    bare_free(m[0]);
    bare_free(m[1]);
}

static void test_move_in_work(const struct cpu_engine *engine)
{
    move_in_work(engine, engine);
}

static void test_move_to_interp(const struct cpu_engine *engine)
{
    move_in_work(engine, &interp_engine);
}

static void test_move_to_soft(const struct cpu_engine *engine)
{
    move_in_work(engine, &soft_engine);
}

static void test_modes(const struct cpu_engine *engine)
{
    move_in_modes(engine, engine);
}

static void test_modes_to_interp(const struct cpu_engine *engine)
{
    move_in_modes(engine, &interp_engine);
}

void add_state_tests(void)
{
    add_test("state/round-trip-reset", test_round_trip_reset);
    add_test("state/round-trip-32", test_round_trip_32);
    add_test("state/round-trip-64", test_round_trip_64);
    add_software_test("state/round-trip-elsewhere", test_round_trip_elsewhere);
    add_test("state/round-trip-null", test_round_trip_null);
    add_test("state/round-trip-shadows", test_round_trip_shadows);
    add_test("state/ignored-l", test_ignored_l);
    add_test("state/events", test_events);
    add_test("state/event-delivered", test_event_delivered);
    add_test("state/nmi-delivered", test_nmi_delivered);
    add_split_test("state/nmi-delivered-by-interp", test_nmi_delivered_by_interp);
    add_test("state/move-in-work", test_move_in_work);
    add_software_test("state/move-to-interp-and-back", test_move_to_interp);
    add_software_test("state/move-to-soft-and-back", test_move_to_soft);
    add_test("state/move-in-modes", test_modes);
    add_software_test("state/move-in-modes-to-interp-and-back", test_modes_to_interp);
}
