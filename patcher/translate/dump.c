// SPDX-License-Identifier: GPL-2.0-or-later
/* dump.c - translated blocks as text: each guest instruction and, below it, the host's that were made of it.
 *
 * How much a block executes is not counted; but whenever the vCPU is asked to stop (timers, interrupts), the block that it
 * was about to enter is noted, so the numbers are a sample of where it spends its time. */
#include "patcher/translate/translate.h"
#include <stdlib.h>

static int by_samples(const void *a, const void *b)
{
    const struct translated_block *x = *(struct translated_block *const *)a, *y = *(struct translated_block *const *)b;
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

static void put_block(GString *text, const struct translated_block *tb)
{
    const struct block *r = tb->block;
    static const char *const modes[] = {"16-bit", "32-bit", "64-bit"};
    g_string_append_printf(text, "%s block at offset 0x%x of its page, %u instructions, met %u times\n",
                           modes[r->mode & MODE_CODE], tb->offset, r->count, tb->samples);
    put_host(text, tb->code, tb->code + tb->point[0].host);
    for (unsigned i = 0; i < r->count; i++) {
        unsigned ip = tb->point[i].ip, next = i + 1 < r->count ? tb->point[i + 1].ip : r->bytes;
        const uint8_t *code = tb->code + tb->point[i].host;
        if (next > ip)
            put_instruction(text, tb->point[i].untranslated ? "  * " : "    ", r->raw + ip, next - ip, r->mode,
                            tb->offset + ip);
        put_host(text, code, i + 1 < r->count ? tb->code + tb->point[i + 1].host : tb->code + tb->bytes);
    }
    g_string_append_c(text, '\n');
}

char *trans_dump(struct vcpu *c, unsigned most)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < c->translator->blocks->len; i++) {
        struct translated_block *tb = g_ptr_array_index(c->translator->blocks, i);
        if (tb->block->translated == tb)
            g_ptr_array_add(all, tb);
    }
    qsort(all->pdata, all->len, sizeof(void *), by_samples);
    g_string_append_printf(text, "%u translated blocks; * by tier 1; host code below each instruction\n\n", all->len);
    for (guint i = 0; i < all->len && i < most; i++)
        put_block(text, g_ptr_array_index(all, i));
    return g_string_free(text, FALSE);
}
