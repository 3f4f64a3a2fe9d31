// SPDX-License-Identifier: GPL-2.0-or-later
/* xl_dump.c - translated runs as text: each guest instruction and, below it, the host's that were made of it.
 *
 * How much a run executes is not counted; but whenever the vCPU is asked to stop (timers, interrupts), the run that it
 * was about to enter is noted, so the numbers are a sample of where it spends its time. */
#include "xl.h"
#include <stdlib.h>

static int by_samples(const void *a, const void *b)
{
    const struct xl_run *x = *(struct xl_run *const *)a, *y = *(struct xl_run *const *)b;
    return x->samples < y->samples ? 1 : -(x->samples > y->samples);
}

static void put_bytes(GString *text, const uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(text, " %02x", p[i]);
}

/* One instruction; returns its length, at least 1. */
static unsigned put_instruction(GString *text, const char *indent, const uint8_t *p, unsigned most, unsigned mode,
                                uint64_t ip)
{
    char line[128];
    unsigned n = decode_text(p, most, mode, ip, line, sizeof line);
    unsigned from = text->len;
    g_string_append_printf(text, "%s%" G_GINT64_MODIFIER "x:", indent, ip);
    put_bytes(text, p, n ? n : 1);
    for (unsigned width = text->len - from; width < 60; width++)
        g_string_append_c(text, ' ');
    g_string_append_printf(text, " %s\n", n ? line : "(no instruction)");
    return n ? n : 1;
}

static void put_host(GString *text, const uint8_t *p, const uint8_t *end)
{
    while (p < end)
        p += put_instruction(text, "        ", p, MIN(end - p, 15), CODE64, (uintptr_t)p);
}

static void put_run(GString *text, const struct xl_run *xr)
{
    const struct run *r = xr->run;
    static const char *const modes[] = {"16-bit", "32-bit", "64-bit"};
    g_string_append_printf(text, "%s run at offset 0x%x of its page, %u instructions, met %u times\n",
                           modes[r->mode & MODE_CODE], xr->offset, r->count, xr->samples);
    put_host(text, xr->code, xr->code + xr->point[0].host);
    for (unsigned i = 0; i < r->count; i++) {
        unsigned ip = xr->point[i].ip, next = i + 1 < r->count ? xr->point[i + 1].ip : r->bytes;
        const uint8_t *code = xr->code + xr->point[i].host;
        if (next > ip)
            put_instruction(text, xr->point[i].untranslated ? "  * " : "    ", r->raw + ip, next - ip, r->mode,
                            xr->offset + ip);
        put_host(text, code, i + 1 < r->count ? xr->code + xr->point[i + 1].host : xr->code + xr->bytes);
    }
    g_string_append_c(text, '\n');
}

char *xl_dump(struct vcpu *c, unsigned most)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < c->xl->runs->len; i++) {
        struct xl_run *xr = g_ptr_array_index(c->xl->runs, i);
        if (xr->run->xl == xr)
            g_ptr_array_add(all, xr);
    }
    qsort(all->pdata, all->len, sizeof(void *), by_samples);
    g_string_append_printf(text, "%u translated runs; * by tier 1; host code below each instruction\n\n", all->len);
    for (guint i = 0; i < all->len && i < most; i++)
        put_run(text, g_ptr_array_index(all, i));
    return g_string_free(text, FALSE);
}
