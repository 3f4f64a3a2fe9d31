// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle_main.c - the test: random instructions on the host CPU and on an engine must agree.
 *
 *   oracle --mode 16|32|64 [--engine NAME] [--cases N] [--seed S] [--first I] [--keep-going] [--emulator qemu|bochs]
 *
 * A case is named by seed and index; "--first I --cases 1" runs it again.  A failing case is reduced before it is
 * shown: everything that can be zeroed without making it pass is.  --keep-going counts failures by mnemonic. */
#include "tests/patcher/oracle.h"
#include "patcher/patcher.h"
#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct oracle {
    enum oracle_mode mode;
    struct oracle_host *host;
    struct oracle_guest *guest;
    struct oracle_gen *gen;
    struct oracle_emulator *emulator; /* or NULL: silicon */
    uint8_t window[ORACLE_WIN_BYTES]; /* before */
    uint8_t host_window[ORACLE_WIN_BYTES], guest_window[ORACLE_WIN_BYTES];
    struct oracle_cpu on_host, on_guest;
    bool failed;
    gboolean as_is;
};

static const struct cpu_engine *const engines[] = {&interp_engine, &soft_engine};

static void put_code(struct oracle *o, const struct oracle_case *c, bool erase)
{
    uint8_t hlt[sizeof c->bytes];
    unsigned n = MIN(sizeof c->bytes, ORACLE_CODE_BYTES - c->at);
    memset(hlt, 0xf4, sizeof hlt);
    memcpy(oracle_host_code(o->host) + c->at, erase ? hlt : c->bytes, n);
    memcpy(oracle_guest_code(o->guest) + c->at, erase ? hlt : c->bytes, n);
    oracle_guest_wrote_code(o->guest, c->at, n);
}

/* Both windows back to what they were; whether they were the same. */
static bool compare_windows(struct oracle *o, bool keep)
{
    uint8_t *h = oracle_host_window(o->host), *g = oracle_guest_window(o->guest);
    bool same = !memcmp(h, g, ORACLE_RW_BYTES), touched = !same || memcmp(h, o->window, ORACLE_RW_BYTES);
    if (keep) {
        memcpy(o->host_window, h, ORACLE_WIN_BYTES);
        memcpy(o->guest_window, g, ORACLE_WIN_BYTES);
    }
    if (touched) {
        memcpy(h, o->window, ORACLE_WIN_BYTES);
        memcpy(g, o->window, ORACLE_WIN_BYTES);
    }
    return same;
}

/* Hosts that ignore reserved bits, or have instructions that are newer than the decoder. */
static bool runs_reserved_vex(void)
{
    enum { CMPCCXADD = 1 << 7, AVX_IFMA = 1 << 23, NEWER_EDX = 1 << 4 | 1 << 5 | 1 << 10 | 1 << 19 };
    static gsize known;
    static bool newer;
    if (g_once_init_enter(&known)) {
        uint32_t r[4];
        host_cpuid(7, 1, r);
        newer = r[0] & (CMPCCXADD | AVX_IFMA) || r[3] & NEWER_EDX;
        g_once_init_leave(&known, 1);
    }
    return newer || oracle_host_cpu()->quirks.vex_bits_ignored;
}

/* An 80-bit store over the end of what may be written: whether what comes before that has been written. */
static bool stored_in_part(const struct oracle *o, const struct oracle_case *c)
{
    enum { SS = 12 };
    const uint8_t *b = c->bytes + oracle_prefixes(o->mode, c->bytes);
    unsigned reg = b[1] >> 3 & 7;
    bool extended = b[1] < 0xc0 && ((*b == 0xdb && reg == 7) || (*b == 0xdf && reg == 6));
    return extended && o->on_guest.rip == c->cpu.rip && o->on_guest.vector >= SS &&
           oracle_same(o->mode, &o->on_host, &o->on_guest);
}

/* The engine raised what the manuals say; hosts may go on instead. */
static bool refused_by_choice(const struct oracle *o, const struct oracle_case *c)
{
    enum { UD = 6, AC = 17 };
    if (o->on_guest.rip != c->cpu.rip)
        return false;
    if (o->on_guest.vector == AC)
        return o->on_host.vector != AC && oracle_packs(o->mode, c->bytes);
    return o->on_guest.vector == UD && runs_reserved_vex() && oracle_reserved_vex(o->mode, c->bytes);
}

static bool agree(struct oracle *o, const struct oracle_case *c, bool legacy, bool keep)
{
    put_code(o, c, false);
    o->on_host = o->on_guest = c->cpu;
    oracle_host_run(o->host, &o->on_host);
    bool ran = oracle_guest_run(o->guest, &o->on_guest, legacy);
    put_code(o, c, true);
    oracle_canonical(o->on_host.xsave);
    oracle_canonical(o->on_guest.xsave);
    oracle_host_choices(o->mode, c->bytes, &c->cpu, &o->on_host, &o->on_guest);
    if (o->emulator)
        oracle_emulator_forgive(o->emulator, &o->on_host, &o->on_guest);
    bool window = compare_windows(o, keep);
    if (ran && (refused_by_choice(o, c) || stored_in_part(o, c)))
        return true;
    return window && ran && oracle_same(o->mode, &o->on_host, &o->on_guest);
}

/* ---- reduction ----------------------------------------------------------------------------------------------------------- */
struct snapshot {
    struct oracle_case c;
    uint8_t window[ORACLE_WIN_BYTES];
};

static bool still_fails(struct oracle *o, struct snapshot *s, bool legacy)
{
    memcpy(o->window, s->window, ORACLE_WIN_BYTES);
    memcpy(oracle_host_window(o->host), s->window, ORACLE_WIN_BYTES);
    memcpy(oracle_guest_window(o->guest), s->window, ORACLE_WIN_BYTES);
    return !agree(o, &s->c, legacy, false);
}

/* Zero bytes [at, at + n) of the snapshot if it goes on failing. */
static void try_zero(struct oracle *o, struct snapshot *s, size_t at, size_t n, bool legacy)
{
    g_autofree uint8_t *old = g_memdup2((uint8_t *)s + at, n);
    memset((uint8_t *)s + at, 0, n);
    if (!still_fails(o, s, legacy))
        memcpy((uint8_t *)s + at, old, n);
}

static void reduce(struct oracle *o, struct snapshot *s, bool legacy)
{
    const size_t cpu = offsetof(struct snapshot, c.cpu), x = cpu + offsetof(struct oracle_cpu, xsave);
    for (size_t n = 2048; n >= 8; n /= 2)
        for (size_t at = 576; at + n <= ORACLE_XSAVE_BYTES; at += n)
            try_zero(o, s, x + at, n, legacy);
    for (size_t at = 32; at < 416; at += 16)
        try_zero(o, s, x + at, 16, legacy);
    for (unsigned i = 0; i < 16; i++)
        if (o->mode != ORACLE_16 || i != X86_RSP)
            try_zero(o, s, cpu + offsetof(struct oracle_cpu, gpr) + 8 * i, 8, legacy);
    for (unsigned bit = 0; bit < 22; bit++) {
        uint64_t old = s->c.cpu.rflags;
        s->c.cpu.rflags &= ~(1ull << bit) | 0x202;
        if (!still_fails(o, s, legacy))
            s->c.cpu.rflags = old;
    }
    for (size_t n = ORACLE_WIN_BYTES; n >= 8; n /= 4)
        for (size_t at = 0; at + n <= ORACLE_WIN_BYTES; at += n)
            try_zero(o, s, offsetof(struct snapshot, window) + at, n, legacy);
}

/* ---- report --------------------------------------------------------------------------------------------------------------- */
static void disassemble(enum oracle_mode mode, const struct oracle_case *c, char *to, size_t n)
{
    static const ZydisMachineMode modes[] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                             ZYDIS_MACHINE_MODE_LONG_COMPAT_16};
    ZydisDisassembledInstruction in;
    if (ZYAN_SUCCESS(ZydisDisassembleIntel(modes[mode], c->cpu.rip, c->bytes, 15, &in)))
        snprintf(to, n, "%s", in.text);
    else
        snprintf(to, n, "(not an instruction)");
}

static void show(struct oracle *o, const struct oracle_case *c, uint64_t seed, uint64_t index, bool legacy)
{
    static const int bits[] = {64, 32, 16};
    struct snapshot s = {.c = *c};
    char text[128];
    memcpy(s.window, o->window, sizeof s.window);
    if (!o->as_is) { /* else what was seen is shown, also if it does not happen again */
        if (still_fails(o, &s, legacy))
            reduce(o, &s, legacy);
        agree(o, &s.c, legacy, true);
    }
    disassemble(o->mode, &s.c, text, sizeof text);
    printf("# mode %d seed %" G_GUINT64_FORMAT " case %" G_GUINT64_FORMAT "%s: %s\n#   bytes", bits[o->mode], seed,
           index, legacy ? " (legacy)" : "", text);
    for (unsigned i = 0; i < (s.c.len ? s.c.len : 15); i++)
        printf(" %02x", s.c.bytes[i]);
    printf("  at %" G_GINT64_MODIFIER "x\n#   regs", s.c.cpu.rip);
    for (unsigned i = 0; i < 16; i++)
        if (s.c.cpu.gpr[i])
            printf(" %u:%" G_GINT64_MODIFIER "x", i, s.c.cpu.gpr[i]);
    printf(" flags %" G_GINT64_MODIFIER "x\n", s.c.cpu.rflags);
    if (o->on_host.vector != ORACLE_STEPPED)
        printf("#   host: vector %d at %" G_GINT64_MODIFIER "x\n", o->on_host.vector, o->on_host.rip);
    oracle_print_difference(o->mode, &s.c.cpu, &o->on_host, &o->on_guest);
    oracle_print_window(s.window, o->host_window, o->guest_window);
    fflush(stdout);
}

/* ---- the block --------------------------------------------------------------------------------------------------------------- */
static gint64 counted(GHashTable *counts, const char *key)
{
    gint64 n = GPOINTER_TO_INT(g_hash_table_lookup(counts, key)) + 1;
    g_hash_table_insert(counts, g_strdup(key), GINT_TO_POINTER(n));
    return n;
}

static void print_counts(GHashTable *counts)
{
    GHashTableIter i;
    gpointer key, value;
    g_hash_table_iter_init(&i, counts);
    while (g_hash_table_iter_next(&i, &key, &value))
        printf("# %6d %s\n", GPOINTER_TO_INT(value), (char *)key);
}

/* Was it the host that did something else this time?  AMD's XSAVE drops the x87 pointers when the kernel happens to
 * switch tasks between an instruction and the FNSTENV behind it. */
static bool host_wavers(struct oracle *o, const struct oracle_case *c, bool legacy)
{
    return oracle_is_block(o->mode, c->bytes) && agree(o, c, legacy, o->as_is);
}

static bool run(struct oracle *o, uint64_t seed, uint64_t first, uint64_t cases, int shown, bool keep_going)
{
    g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    uint64_t failures = 0;
    static struct oracle_case c;
    for (uint64_t i = first; i < first + cases; i++) {
        bool legacy = o->mode != ORACLE_64 && i >> 10 & 1;
        if (oracle_gen_case(o->gen, i, &c, o->window) || i == first) {
            memcpy(oracle_host_window(o->host), o->window, ORACLE_WIN_BYTES);
            memcpy(oracle_guest_window(o->guest), o->window, ORACLE_WIN_BYTES);
        }
        if (o->emulator) {
            oracle_emulator_case(o->emulator, &c);
            if (oracle_emulator_spared(o->emulator))
                continue;
        }
        if (agree(o, &c, legacy, o->as_is) || host_wavers(o, &c, legacy))
            continue;
        if (o->emulator && oracle_emulator_excuses(o->emulator, &o->on_host, &o->on_guest))
            continue;
        char text[128];
        failures++;
        disassemble(o->mode, &c, text, sizeof text);
        text[strcspn(text, " ")] = 0;
        if (counted(counts, text) <= shown) {
            uint8_t window[ORACLE_WIN_BYTES];
            memcpy(window, o->window, sizeof window);
            show(o, &c, seed, i, legacy);
            memcpy(o->window, window, sizeof window);
            memcpy(oracle_host_window(o->host), window, sizeof window);
            memcpy(oracle_guest_window(o->guest), window, sizeof window);
        }
        if (!keep_going)
            break;
    }
    print_counts(counts);
    if (o->emulator)
        oracle_emulator_report(o->emulator);
    return !failures;
}

static const struct cpu_engine *engine_named(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(engines); i++)
        if (!strcmp(engines[i]->name, name))
            return engines[i];
    return NULL;
}

int main(int argc, char **argv)
{
    int bits = 64, shown = 1;
    gint64 cases = 100000, seed = 1, first = 0;
    gboolean keep_going = FALSE;
    g_autofree char *name = g_strdup("interp"), *emulator = NULL;
    static struct oracle o;
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {
        {"mode", 0, 0, G_OPTION_ARG_INT, &bits, "16, 32 or 64", "BITS"},
        {"engine", 0, 0, G_OPTION_ARG_STRING, &name, "engine under test", "NAME"},
        {"cases", 0, 0, G_OPTION_ARG_INT64, &cases, "how many", "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &seed, "of the random numbers", "S"},
        {"first", 0, 0, G_OPTION_ARG_INT64, &first, "index of the first case", "I"},
        {"keep-going", 0, 0, G_OPTION_ARG_NONE, &keep_going, "count failures by mnemonic", NULL},
        {"show", 0, 0, G_OPTION_ARG_INT, &shown, "failures to show of each mnemonic", "N"},
        {"as-is", 0, 0, G_OPTION_ARG_NONE, &o.as_is, "show failing cases unreduced", NULL},
        {"emulator", 0, 0, G_OPTION_ARG_STRING, &emulator, "this host's CPU is emulated by qemu or bochs", "NAME"},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_add_main_entries(context, entries, NULL);
    const struct cpu_engine *engine = NULL;
    if (!g_option_context_parse(context, &argc, &argv, &error) || !(engine = engine_named(name))) {
        fprintf(stderr, "oracle: %s\n", error ? error->message : "no such engine");
        return 2;
    }
    const char *why;
    o.mode = bits == 64 ? ORACLE_64 : bits == 32 ? ORACLE_32 : ORACLE_16;
    if (emulator && !(o.emulator = oracle_emulator_new(emulator, o.mode))) {
        fprintf(stderr, "oracle: nothing is known about an emulator \"%s\"\n", emulator);
        return 2;
    }
    o.guest = oracle_guest_new(engine, o.mode); /* first: the host side chains to the engine's signal handlers */
    o.host = oracle_host_new(o.mode, &why);
    printf("1..1\n");
    if (!o.host) {
        printf("ok 1 # SKIP %s\n", why);
        return 0;
    }
    o.gen = oracle_gen_new(o.mode, (uint64_t)seed);
    memset(oracle_host_code(o.host), 0xf4, ORACLE_CODE_BYTES);
    memset(oracle_guest_code(o.guest), 0xf4, ORACLE_CODE_BYTES);
    bool ok = run(&o, (uint64_t)seed, (uint64_t)first, (uint64_t)cases, shown, keep_going);
    printf("%s 1 - %s agrees with the host CPU on %" G_GINT64_FORMAT " %d-bit instructions, seed %" G_GINT64_FORMAT
           "\n",
           ok ? "ok" : "not ok", engine->name, cases, bits, seed);
    if (o.emulator)
        oracle_emulator_free(o.emulator);
    oracle_gen_free(o.gen);
    oracle_host_free(o.host);
    oracle_guest_free(o.guest);
    return ok ? 0 : 1;
}
