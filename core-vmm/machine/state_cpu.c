// SPDX-License-Identifier: GPL-2.0-or-later
/* state_cpu.c - one CPU as a stream.
 *
 * The XSAVE area is the one part of x86_state whose layout is the host's: where a component lies differs between makers.  So
 * it goes out by components, each with its number and size, and is put together again where this host has them.  A component
 * in its initial state is left out. */
#include "core-vmm/machine/state.h"
#include "core-vmm/base/state_file.h"
#include <string.h>

enum { LEGACY_BYTES = 512, XSTATE_BV = 512, EXTENDED = 576, LAST = HOST_XCOMPONENTS };
enum { X87 = 1, SSE = 2 }; /* of XSTATE_BV: what the first 512 bytes hold */

static const char *const component_names[LAST] = {
    "x87",   "SSE",   "AVX",   "MPX bounds", "MPX status", "AVX-512 masks", "AVX-512", "AVX-512",   "PT",       "PKRU",
    "PASID", "CET_U", "CET_S", "HDC",        "UINTR",      "LBR",           "HWP",     "AMX tiles", "AMX data", "APX"};

/* ---- the XSAVE area ---- */

static uint64_t in_use(const struct x86_state *c)
{
    uint64_t bv;
    memcpy(&bv, c->xsave + XSTATE_BV, sizeof bv);
    return GUINT64_FROM_LE(bv);
}

static uint8_t *place(struct x86_state *c, const struct host_cpu *h, unsigned i, uint32_t *bytes)
{
    const struct host_xcomponent *k = &h->component[i];
    *bytes = k->bytes;
    return k->bytes && k->offset >= EXTENDED && k->bytes <= X86_XSAVE_BYTES && k->offset <= X86_XSAVE_BYTES - k->bytes
               ? c->xsave + k->offset
               : NULL;
}

static void save_components(struct x86_state *c, const struct host_cpu *h, struct stream *s)
{
    uint64_t bv = in_use(c);
    for (unsigned i = 2; i < LAST; i++) {
        uint32_t number = i, bytes;
        uint8_t *at = place(c, h, i, &bytes);
        if (!at || !(bv >> i & 1))
            continue;
        stream_u32(s, &number);
        stream_u32(s, &bytes);
        stream_raw(s, at, bytes);
    }
    uint32_t end = 0;
    stream_u32(s, &end);
}

static bool load_component(struct x86_state *c, const struct host_cpu *h, struct stream *s, unsigned i, GError **error)
{
    uint32_t bytes, own;
    uint8_t *at = place(c, h, i, &own);
    stream_u32(s, &bytes);
    if (!stream_ok(s))
        return false;
    if (!at || own != bytes)
        return state_fail(error, "needs a CPU with %s (XSAVE component %u of %u bytes), which this host does not have",
                          component_names[i], i, bytes);
    stream_raw(s, at, bytes);
    return stream_ok(s);
}

/* In rising order, so none comes twice. */
static bool load_components(struct x86_state *c, const struct host_cpu *h, struct stream *s, GError **error)
{
    uint64_t seen = 0, bv = in_use(c);
    for (unsigned before = 1;;) {
        uint32_t i;
        stream_u32(s, &i);
        if (!stream_ok(s))
            return false;
        if (!i)
            break;
        if (i <= before || i >= LAST)
            return state_fail(error, "has an unknown component %u of a CPU's XSAVE area", i);
        if (!load_component(c, h, s, i, error))
            return false;
        seen |= 1ull << i;
        before = i;
    }
    return (bv & ~(uint64_t)(X87 | SSE)) == seen ||
           state_fail(error, "contradicts itself about which XSAVE components a CPU uses");
}

static bool sync_xsave(struct x86_state *c, const struct host_cpu *h, struct stream *s, GError **error)
{
    uint64_t bv = in_use(c);
    if (s->loading)
        memset(c->xsave, 0, sizeof c->xsave);
    for (unsigned i = 2; i < 64 && !s->loading; i++) /* what has no place here is in no register either */
        if (i >= LAST || !place(c, h, i, &(uint32_t){0}))
            bv &= ~(1ull << i);
    stream_raw(s, c->xsave, LEGACY_BYTES);
    stream_u64(s, &bv);
    if (!s->loading) {
        save_components(c, h, s);
        return true;
    }
    bv = GUINT64_TO_LE(bv);
    memcpy(c->xsave + XSTATE_BV, &bv, sizeof bv);
    return load_components(c, h, s, error);
}

/* ---- registers ---- */

static void sync_words(struct stream *s, uint64_t *const *word, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        stream_u64(s, word[i]);
}

static void sync_array(struct stream *s, uint64_t *word, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        stream_u64(s, &word[i]);
}

static void sync_segment(struct stream *s, struct x86_seg *g)
{
    stream_u16(s, &g->selector);
    stream_u64(s, &g->base);
    stream_u32(s, &g->limit);
    stream_u16(s, &g->attr);
}

static void sync_table(struct stream *s, struct x86_table *t)
{
    stream_u64(s, &t->base);
    stream_u16(s, &t->limit);
}

static void sync_registers(struct x86_state *c, struct stream *s)
{
    sync_array(s, c->gpr, G_N_ELEMENTS(c->gpr));
    stream_u64(s, &c->rip);
    stream_u64(s, &c->rflags);
    for (unsigned i = 0; i < X86_SEGS; i++)
        sync_segment(s, &c->seg[i]);
    sync_segment(s, &c->ldtr);
    sync_segment(s, &c->tr);
    sync_table(s, &c->gdtr);
    sync_table(s, &c->idtr);
    uint64_t *control[] = {&c->cr0, &c->cr2, &c->cr3, &c->cr4, &c->cr8, &c->xcr0, &c->efer};
    sync_words(s, control, G_N_ELEMENTS(control));
    sync_array(s, c->dr, G_N_ELEMENTS(c->dr));
}

static void sync_msrs(struct x86_state *c, struct stream *s)
{
    uint64_t *msrs[] = {&c->star,        &c->lstar,       &c->cstar,        &c->sfmask,        &c->kernel_gs_base,
                        &c->tsc_aux,     &c->sysenter_cs, &c->sysenter_esp, &c->sysenter_eip,  &c->pat,
                        &c->misc_enable, &c->spec_ctrl,   &c->xss,          &c->mtrr_def_type, &c->tsc_adjust,
                        &c->apic_base};
    sync_words(s, msrs, G_N_ELEMENTS(msrs));
    sync_array(s, c->mtrr_fixed, G_N_ELEMENTS(c->mtrr_fixed));
    sync_array(s, c->mtrr_base, G_N_ELEMENTS(c->mtrr_base));
    sync_array(s, c->mtrr_mask, G_N_ELEMENTS(c->mtrr_mask));
}

static void sync_events(struct x86_state *c, struct stream *s)
{
    uint32_t run_state = c->run_state;
    stream_check_u32(s, &run_state, X86_WAIT_SIPI);
    c->run_state = run_state;
    bool *flags[] = {&c->sti_shadow,   &c->mov_ss_shadow, &c->nmi_pending,     &c->nmi_blocked, &c->init_pending,
                     &c->sipi_pending, &c->event.pending, &c->event.has_error, &c->event.soft};
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++)
        stream_bool(s, flags[i]);
    stream_u8(s, &c->sipi_vector);
    stream_u8(s, &c->event.vector);
    stream_u32(s, &c->event.error);
}

/* ---- what no CPU is in, and no engine should be asked to be ---- */

static bool believe(const struct x86_state *c, const struct host_cpu *h, GError **error)
{
    enum { PE = 1, CD = 1 << 30, NW = 1 << 29, LME = 1 << 8, LMA = 1 << 10, PAE = 1 << 5 };
    const uint64_t paging = 1u << 31;
    bool pg = c->cr0 & paging, lma = c->efer & LMA;
    const char *wrong = c->cr0 >> 32 || (pg && !(c->cr0 & PE)) || (c->cr0 & NW && !(c->cr0 & CD))   ? "CR0"
                        : c->efer >> 16 || lma != (pg && c->efer & LME) || (lma && !(c->cr4 & PAE)) ? "EFER"
                        : c->cr8 > 15                                                               ? "CR8"
                        : c->rflags >> 22 || !(c->rflags & 2)                                       ? "RFLAGS"
                        : !(c->xcr0 & 1) || (c->xcr0 & 4 && !(c->xcr0 & 2))                         ? "XCR0"
                        : c->dr[6] >> 32 || c->dr[7] >> 32                                          ? "DR6 or DR7"
                                                                                                    : NULL;
    if (wrong)
        return state_fail(error, "has a value in a CPU's %s that no CPU can have", wrong);
    uint64_t missing = c->xcr0 & ~(h->xcr0 | 3);
    for (unsigned i = 0; i < LAST; i++)
        if (missing >> i & 1)
            return state_fail(error, "needs a CPU with %s, which this host does not have", component_names[i]);
    return !missing || state_fail(error, "needs a CPU with a newer XSAVE than this host has");
}

bool state_sync_cpu(struct x86_state *c, const struct host_cpu *h, struct stream *s, GError **error)
{
    sync_registers(c, s);
    sync_msrs(c, s);
    sync_events(c, s);
    if (!sync_xsave(c, h, s, error))
        return false;
    return !s->loading || !stream_ok(s) || believe(c, h, error);
}
