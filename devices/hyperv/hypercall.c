// SPDX-License-Identifier: GPL-2.0-or-later
/* hypercall.c - what a guest may ask of the hypervisor by a call (TLFS, "Hypercall Interface"): emptying the TLBs of many CPUs,
 * interrupts to many CPUs, messages and events.
 *
 * Addresses to flush are not looked at: the whole TLB of each CPU goes, which is more than was asked for and never less.  CPUs are
 * named by a mask of the first 64, or by a sparse set of banks of 64. */
#include "core-vmm/base/bytes.h"
#include "devices/hyperv/hyperv.h"
#include <string.h>

enum {
    FLUSH_SPACE = 0x0002,
    FLUSH_LIST = 0x0003,
    LONG_SPIN_WAIT = 0x0008,
    SEND_IPI = 0x000b,
    FLUSH_SPACE_EX = 0x0013,
    FLUSH_LIST_EX = 0x0014,
    SEND_IPI_EX = 0x0015,
    POST_MESSAGE = 0x005c,
    SIGNAL_EVENT = 0x005d,
};
enum { FLUSH_ALL_CPUS = 1, SET_SPARSE = 0, SET_ALL = 1, BANKS = 64, FIRST_VECTOR = 16 };
#define RESERVED_CONTROL 0xf000f00078000000ull /* of the input value: bits 27-30, 44-47, 60-63 */

static unsigned code(const struct hyperv_call *c)
{
    return c->control & 0xffff;
}

static unsigned header_qwords(const struct hyperv_call *c) /* of the variable part */
{
    return c->control >> 17 & 0x3ff;
}

static unsigned repetitions(const struct hyperv_call *c)
{
    return c->control >> 32 & 0xfff;
}

bool hv_input(struct device *d, struct hyperv_call *c, void *to, unsigned bytes)
{
    if (c->input & 7 || (c->input & (HV_PAGE - 1)) + bytes > HV_PAGE) {
        c->result = HV_INVALID_ALIGNMENT;
        return false;
    }
    const void *from = dev_dma(d, c->input, bytes, false);
    c->result = from ? HV_SUCCESS : HV_INVALID_PARAMETER;
    if (from)
        memcpy(to, from, bytes);
    return from;
}

static uint64_t all_cpus(struct device *d)
{
    const struct hyperv *h = d->state;
    return HV_BIT(h->cpus) - 1; /* of at most 32 */
}

/* Input of `fixed` bytes, then a set of CPUs; the guest says how many banks there are.  false: a status is in c->result. */
static bool read_set(struct device *d, struct hyperv_call *c, void *head, unsigned fixed, uint64_t *cpus)
{
    struct {
        uint8_t head[16];
        uint64_t format, valid, bank[BANKS];
    } in = {0};
    unsigned banks = header_qwords(c), skip = sizeof in.head - fixed;
    c->result = HV_INVALID_HYPERCALL_INPUT;
    if (banks > BANKS || hv_fast(c)) /* 16 bytes hold none */
        return false;
    if (!hv_input(d, c, (uint8_t *)&in + skip, fixed + 16 + 8 * banks))
        return false;
    memcpy(head, in.head + skip, fixed);
    c->result = HV_INVALID_PARAMETER;
    *cpus = all_cpus(d);
    if (GUINT64_FROM_LE(in.format) == SET_ALL)
        return true;
    if (GUINT64_FROM_LE(in.format) != SET_SPARSE || (unsigned)__builtin_popcountll(in.valid) != banks)
        return false;
    *cpus &= GUINT64_FROM_LE(in.valid) & 1 ? GUINT64_FROM_LE(in.bank[0]) : 0;
    return true;
}

/* ---- calls ---- */

static enum hv_status flush(struct device *d, struct hyperv_call *c)
{
    uint8_t in[24];
    if (hv_fast(c))
        return HV_INVALID_HYPERCALL_INPUT;
    if (!hv_input(d, c, in, sizeof in))
        return c->result;
    c->flush = get_le64(in + 8) & FLUSH_ALL_CPUS ? all_cpus(d) : get_le64(in + 16) & all_cpus(d);
    return HV_SUCCESS;
}

static enum hv_status flush_set(struct device *d, struct hyperv_call *c)
{
    uint8_t head[16];
    uint64_t cpus;
    if (!read_set(d, c, head, sizeof head, &cpus))
        return c->result;
    c->flush = get_le64(head + 8) & FLUSH_ALL_CPUS ? all_cpus(d) : cpus;
    return HV_SUCCESS;
}

static enum hv_status send_ipi(struct device *d, uint32_t vector, uint64_t cpus)
{
    if (vector < FIRST_VECTOR || vector > 255)
        return HV_INVALID_PARAMETER;
    for (cpus &= all_cpus(d); cpus; cpus &= cpus - 1)
        hyperv_interrupt(d, __builtin_ctzll(cpus), vector, -1);
    return HV_SUCCESS;
}

static enum hv_status ipi(struct device *d, struct hyperv_call *c)
{
    uint8_t in[16];
    if (hv_fast(c)) {
        put_le64(in, c->input);
        put_le64(in + 8, c->output);
    } else if (!hv_input(d, c, in, sizeof in)) {
        return c->result;
    }
    return send_ipi(d, get_le32(in), get_le64(in + 8));
}

static enum hv_status ipi_set(struct device *d, struct hyperv_call *c)
{
    uint8_t head[8];
    uint64_t cpus;
    return read_set(d, c, head, sizeof head, &cpus) ? send_ipi(d, get_le32(head), cpus) : (enum hv_status)c->result;
}

static enum hv_status carry_out(struct device *d, struct hyperv_call *c)
{
    switch (code(c)) {
    case FLUSH_SPACE:
    case FLUSH_LIST: return flush(d, c);
    case FLUSH_SPACE_EX:
    case FLUSH_LIST_EX: return flush_set(d, c);
    case LONG_SPIN_WAIT: g_thread_yield(); return HV_SUCCESS;
    case SEND_IPI: return ipi(d, c);
    case SEND_IPI_EX: return ipi_set(d, c);
    case POST_MESSAGE: return hv_post_message(d, c);
    case SIGNAL_EVENT: return hv_signal_event(d, c);
    default: return HV_INVALID_HYPERCALL_CODE;
    }
}

static bool repeats(unsigned call)
{
    return call == FLUSH_LIST || call == FLUSH_LIST_EX;
}

/* Calls that repeat do all of it at once. */
void hv_call(struct device *d, struct hyperv_call *c)
{
    bool list = repeats(code(c));
    unsigned start = c->control >> 48 & 0xfff;
    if (c->control & RESERVED_CONTROL || (list ? start >= repetitions(c) : repetitions(c) || start)) {
        c->result = HV_INVALID_HYPERCALL_INPUT;
        return;
    }
    enum hv_status status = carry_out(d, c);
    c->result = status | (list && status == HV_SUCCESS ? (uint64_t)repetitions(c) << 32 : 0);
}
