// SPDX-License-Identifier: GPL-2.0-or-later
/* test_cpu_model.c - the CPUID that the engines agree in, and that the software engine shows it.  Runs anywhere. */
#include "core-vmm/base/cpu_model.h"
#include "patcher/interp/cpuid_table.h"
#include "patcher/patcher.h"
#include "tests/hwaccel/hwaccel_tests.h"
#include <string.h>

static struct cpu_model model(const char *vendor, unsigned cpus, unsigned index)
{
    struct cpu_model c = {.gpa_bits = 46, .cpus = cpus, .index = index, .tsc_khz = 2400000};
    memcpy(c.vendor, vendor, 12);
    return c;
}

static bool listed(int level, uint32_t leaf)
{
    unsigned n;
    const struct cpu_model_leaf *leaves = cpu_model_leaves(level, &n);
    for (unsigned i = 0; i < n; i++)
        if (leaves[i].leaf == leaf)
            return true;
    return false;
}

static void list_complete(const char *vendor, int level, uint32_t area)
{
    struct cpu_model c = model(vendor, 2, 1);
    uint32_t first[4], r[4];
    cpu_model_level(&c, level, area, 0, first);
    for (uint32_t leaf = area; leaf < area + 0x100; leaf++) {
        cpu_model_level(&c, level, leaf, 0, r);
        bool any = r[EAX] | r[EBX] | r[ECX] | r[EDX];
        g_assert_true(!any || (listed(level, leaf) && leaf <= first[EAX]));
    }
    g_assert_true(listed(level, first[EAX]));
}

/* An engine that takes its table from the list must not lose a leaf. */
static void test_list(void)
{
    static const char *const vendors[] = {"GenuineIntel", "AuthenticAMD", "HygonGenuine", "  Shanghai  "};
    static const uint32_t areas[] = {0, 0x40000000, 0x80000000};
    for (size_t v = 0; v < G_N_ELEMENTS(vendors); v++)
        for (size_t a = 0; a < G_N_ELEMENTS(areas); a++)
            for (int level = CPU_MODEL_V1; level <= CPU_MODEL_V4; level++)
                list_complete(vendors[v], level, areas[a]);
}

static void test_identity(void)
{
    struct cpu_model intel = model("GenuineIntel", 1, 0), amd = model("AuthenticAMD", 1, 0),
                     hygon = model("HygonGenuine", 1, 0), via = model("CentaurHauls", 1, 0);
    uint32_t r[4], vendor[4];
    cpu_model_level(&intel, CPU_MODEL_V2, 1, 0, r);
    g_assert_cmphex(r[EAX], ==, 0x206c0);
    cpu_model_level(&amd, CPU_MODEL_V2, 1, 0, r);
    g_assert_cmphex(r[EAX], ==, 0x730f01);
    cpu_model_level(&hygon, CPU_MODEL_V2, 1, 0, r);
    g_assert_cmphex(r[EAX], ==, 0x730f01);
    cpu_model_level(&hygon, CPU_MODEL_V2, 0, 0, vendor);
    g_assert_cmpmem(&vendor[EBX], 4, "Auth", 4);
    cpu_model_level(&via, CPU_MODEL_V2, 0, 0, vendor); /* whoever is not AMD does as Intel */
    g_assert_cmpmem(&vendor[EBX], 4, "Genu", 4);
    cpu_model_level(&via, CPU_MODEL_V2, 1, 0, r);
    g_assert_cmphex(r[EAX], ==, 0x206c0);
    cpu_model_level(&amd, CPU_MODEL_V2, 0x80000008, 0, r);
    g_assert_cmpuint(r[EAX], ==, 40 | 48 << 8);
    amd.gpa_bits = 39;
    cpu_model_level(&amd, CPU_MODEL_V2, 0x80000008, 0, r);
    g_assert_cmpuint(r[EAX], ==, 39 | 48 << 8);
}

static void test_topology(void)
{
    struct cpu_model intel = model("GenuineIntel", 5, 4), amd = model("AuthenticAMD", 5, 4);
    uint32_t r[4];
    g_assert_cmphex(cpu_model_1_ebx(&intel), ==, 0x04080800);
    g_assert_cmphex(cpu_model_1_ebx(&amd), ==, 0x04050800);
    g_assert_cmphex(cpu_model_cores_ecx(&amd), ==, 0x3004);
    g_assert_cmphex(cpu_model_cores_ecx(&intel), ==, 0);
    cpu_model_level(&intel, CPU_MODEL_V2, 4, 3, r); /* L3: all five share it; 8 core IDs set aside */
    g_assert_cmphex(r[EAX] >> 14, ==, 7 << 12 | 4);
    cpu_model_level(&intel, CPU_MODEL_V2, 4, 2, r);
    g_assert_cmphex(r[EAX] >> 14, ==, 7 << 12);
    cpu_model_level(&intel, CPU_MODEL_V2, 4, 4, r);
    g_assert_cmphex(r[EAX], ==, 0);
    cpu_model_level(&intel, CPU_MODEL_V2, 0xb, 1, r);
    g_assert_cmphex(r[EAX], ==, 3);
    g_assert_cmphex(r[EBX], ==, 5);
    g_assert_cmphex(r[EDX], ==, 4);
}

static void test_names(void)
{
    g_autoptr(GError) error = NULL;
    for (int level = CPU_MODEL_HOST; level <= CPU_MODEL_V4; level++)
        g_assert_cmpint(cpu_model_parse(cpu_model_names[level], &error), ==, level);
    g_assert_cmpint(cpu_model_parse("x86-64-v9", &error), ==, -1);
    g_assert_nonnull(strstr(error->message, "\"x86-64-v9\""));
    g_assert_nonnull(strstr(error->message, "x86-64-v4"));
}

/* The error names what is missing, and nothing else. */
static void test_fits(void)
{
    g_autoptr(GError) error = NULL;
    uint32_t words[CPU_WORDS];
    memset(words, 0xff, sizeof words);
    g_assert_true(cpu_model_fits(CPU_MODEL_V4, words, &error));
    words[CPU_1_ECX] &= ~(1u << 20); /* sse4.2 */
    words[CPU_7_EBX] &= ~(1u << 5);  /* avx2 */
    g_assert_true(cpu_model_fits(CPU_MODEL_V1, words, &error));
    g_assert_false(cpu_model_fits(CPU_MODEL_V2, words, &error));
    g_assert_nonnull(strstr(error->message, "x86-64-v2, for it lacks sse4.2;"));
    g_clear_error(&error);
    g_assert_false(cpu_model_fits(CPU_MODEL_V3, words, &error));
    g_assert_nonnull(strstr(error->message, "lacks sse4.2, avx2;"));
    g_clear_error(&error);
    words[CPU_XCR0] = 3; /* a kernel that masks AVX-512 and AVX */
    g_assert_false(cpu_model_fits(CPU_MODEL_V4, words, &error));
    g_assert_nonnull(strstr(error->message, "AVX state, opmask state, ZMM state, upper ZMM state;"));
}

/* What saved states depend on: x86-64-v2 bit by bit; of the others the instructions, which no maker changes. */
static void test_levels(void)
{
    static const char *const vendors[] = {"GenuineIntel", "AuthenticAMD"};
    for (size_t v = 0; v < G_N_ELEMENTS(vendors); v++) {
        struct cpu_model c = model(vendors[v], 1, 0);
        uint32_t r[4];
        bool amd = v == 1;
        cpu_model_level(&c, CPU_MODEL_V2, 1, 0, r);
        g_assert_cmphex(r[ECX], ==, 0x80982201);
        g_assert_cmphex(r[EDX], ==, 0x078bfbfd);
        cpu_model_level(&c, CPU_MODEL_V2, 7, 0, r);
        g_assert_cmphex(r[EBX], ==, 2);
        cpu_model_level(&c, CPU_MODEL_V2, 0x80000001, 0, r);
        g_assert_cmphex(r[ECX], ==, 1);
        g_assert_cmphex(r[EDX], ==, amd ? 0x2193fbfd : 0x20100800);
        cpu_model_level(&c, CPU_MODEL_V2, 0, 0, r);
        g_assert_cmphex(r[EAX], ==, 0xb);
        cpu_model_level(&c, CPU_MODEL_V1, 1, 0, r);
        g_assert_cmphex(r[ECX], ==, 0x80000000);
        cpu_model_level(&c, CPU_MODEL_V3, 1, 0, r);
        g_assert_cmphex(r[ECX], ==, 0xbcd83201);
        cpu_model_level(&c, CPU_MODEL_V3, 7, 0, r);
        g_assert_cmphex(r[EBX], ==, 0x12a);
        cpu_model_level(&c, CPU_MODEL_V3, 0x80000001, 0, r);
        g_assert_cmphex(r[ECX], ==, 0x21);
        cpu_model_level(&c, CPU_MODEL_V4, 7, 0, r);
        g_assert_cmphex(r[EBX], ==, 0xd003012a);
        cpu_model_level(&c, CPU_MODEL_V4, 0xd, 0, r);
        g_assert_cmphex(r[EAX], ==, 0xe7);
        cpu_model_level(&c, CPU_MODEL_V4, 0xd, 1, r);
        g_assert_cmphex(r[EAX], ==, 1);
        g_assert_cmphex(r[EBX], ==, 0); /* no XSAVEC, so no compacted size */
    }
}

/* A kernel that has not enabled AVX-512, or AVX, or XSAVE: CPUID shows them all the same. */
static void test_masked(void)
{
    uint32_t f[FEATURES];
    memset(f, 0xff, sizeof f);
    cpuid_mask_states(f, 0xe7);
    g_assert_cmphex(f[F_7_EBX] & f[F_1_ECX] & f[F_7_ECX], ==, ~0u);
    cpuid_mask_states(f, 0x207);
    g_assert_cmphex(f[F_7_EBX] >> 16 & 1, ==, 0);
    g_assert_cmphex(f[F_7_EBX] >> 5 & 1, ==, 1);
    g_assert_cmphex(f[F_1_ECX] >> 28 & 1, ==, 1);
    cpuid_mask_states(f, 3);
    g_assert_cmphex(f[F_7_EBX] >> 5 & 1, ==, 0);
    g_assert_cmphex(f[F_1_ECX] >> 26 & 7, ==, 3);
    g_assert_cmphex(f[F_7_ECX] >> 8 & 7, ==, 1); /* GFNI has a form for SSE */
    cpuid_mask_states(f, 0);
    g_assert_cmphex(f[F_1_ECX] >> 26 & 1, ==, 0);
}

static void test_unknown(gconstpointer data)
{
    const struct cpu_engine *engine = data;
    g_autoptr(GError) error = NULL;
    struct cpu_vm vm = {.cpus = 1, .model = "486", .options = ""};
    g_assert_null(engine->vm_new(&vm, &error));
    g_assert_nonnull(strstr(error->message, "\"486\""));
}

static uint32_t host(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    uint32_t r[4];
    host_cpuid(leaf, subleaf, r);
    return r[reg];
}

static void ask(struct bare_machine *m, unsigned cpu, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    bare_put(m, RESULT + 32, leaf, 4);
    bare_put(m, RESULT + 36, subleaf, 4);
    bare_finish(m, cpu);
    memcpy(r, m->memory + RESULT + 16, 16);
}

/* What it sees differently while it has not enabled XSAVE. */
static void as_after_reset(const struct cpu_model_leaf *l, uint32_t r[4])
{
    if (l->leaf == 1)
        r[ECX] &= ~(1u << 27);
    if (l->leaf == 0xd && l->subleaf < 2 && r[EBX])
        r[EBX] = 576;
}

static void shown(struct bare_machine *m, const struct cpu_model *c, int level)
{
    unsigned n;
    const struct cpu_model_leaf *leaves = cpu_model_leaves(level, &n);
    for (unsigned i = 0; i < n; i++) {
        uint32_t wanted[4], seen[4];
        cpu_model_level(c, level, leaves[i].leaf, leaves[i].subleaf, wanted);
        as_after_reset(&leaves[i], wanted);
        ask(m, c->index, leaves[i].leaf, leaves[i].subleaf, seen);
        g_assert_cmpmem(seen, 16, wanted, 16);
    }
}

/* A guest on the software engine sees this host's model, on each of its CPUs. */
static void levels_shown(const struct cpu_engine *engine, int level)
{
    const uint32_t vendor[3] = {host(0, 0, EBX), host(0, 0, EDX), host(0, 0, ECX)};
    struct bare_machine *m = bare_new_model(engine, 3, cpu_model_names[level], "");
    bare_load(m, CODE, g_tsc, g_tsc_end);
    for (unsigned cpu = 0; cpu < 3; cpu++) {
        struct cpu_model c = model((const char *)vendor, 3, cpu);
        c.x2apic = c.deadline = true;
        c.tsc_khz = m->vm->tsc_khz;
        c.gpa_bits = host(0x80000008, 0, EAX) & 0xff;
        for (unsigned i = 2; i < G_N_ELEMENTS(c.xsave); i++) {
            c.xsave[i].size = host(0xd, i, EAX);
            c.xsave[i].offset = host(0xd, i, EBX);
        }
        bare_start64(m, cpu, CODE);
        shown(m, &c, level);
    }
    bare_free(m);
}

/* Either the level, or a sentence about what is missing. */
static void test_shown(gconstpointer engine)
{
    for (int level = CPU_MODEL_V1; level <= CPU_MODEL_V4; level++) {
        g_autoptr(GError) error = NULL;
        struct cpu_vm vm = {.cpus = 1, .model = cpu_model_names[level], .options = ""};
        void *evm = ((const struct cpu_engine *)engine)->vm_new(&vm, &error);
        if (!evm) {
            g_test_message("%s", error->message);
            g_assert_nonnull(strstr(error->message, "lacks "));
            continue;
        }
        ((const struct cpu_engine *)engine)->vm_free(evm);
        levels_shown(engine, level);
    }
}

/* ---- the other maker ---- */

static uint32_t cache_kib(uint32_t ebx, uint32_t ecx)
{
    return ((ebx >> 22) + 1) * ((ebx >> 12 & 0x3ff) + 1) * ((ebx & 0xfff) + 1) / 64 * (ecx + 1) / 16;
}

/* A guest of each maker, whichever this host's is: a name, a family that is that maker's, and the caches where that
 * maker's guests look for them. */
static void test_intel(gconstpointer data)
{
    struct bare_machine *m = bare_new_model(data, 3, "host", "maker=intel");
    uint32_t r[4];
    bare_load(m, CODE, g_tsc, g_tsc_end);
    for (unsigned cpu = 0; cpu < 3; cpu++) {
        bare_start64(m, cpu, CODE);
        ask(m, cpu, 0, 0, r);
        g_assert_cmpmem(&r[EBX], 4, "Genu", 4);
        g_assert_cmpmem(&r[ECX], 4, "ntel", 4);
        ask(m, cpu, 1, 0, r);
        g_assert_cmphex(r[EAX] >> 8 & 15, ==, 6);
        ask(m, cpu, 4, 0, r); /* L1 data, this CPU's alone */
        g_assert_cmphex(r[EAX] & 0x3fff, ==, 0x121);
        g_assert_cmphex(r[EAX] >> 14 & 0xfff, ==, 0);
        g_assert_cmpuint(cache_kib(r[EBX], r[ECX]), >=, 16);
        ask(m, cpu, 0x80000000, 0, r);
        g_assert_cmphex(r[EAX], ==, 0x80000008);
        ask(m, cpu, 0x80000001, 0, r);
        g_assert_cmphex(r[EDX] & ~0x2c100800u, ==, 0); /* none of what AMD repeats */
        ask(m, cpu, 0x80000005, 0, r);
        g_assert_cmphex(r[ECX], ==, 0);
    }
    bare_free(m);
}

static void test_amd(gconstpointer data)
{
    struct bare_machine *m = bare_new_model(data, 3, "host", "maker=amd");
    uint32_t r[4], edx;
    bare_load(m, CODE, g_tsc, g_tsc_end);
    for (unsigned cpu = 0; cpu < 3; cpu++) {
        bare_start64(m, cpu, CODE);
        ask(m, cpu, 0, 0, r);
        g_assert_cmpmem(&r[EBX], 4, "Auth", 4);
        g_assert_cmpmem(&r[ECX], 4, "cAMD", 4);
        ask(m, cpu, 1, 0, r);
        g_assert_cmphex(r[EAX] >> 8 & 15, ==, 15);
        edx = r[EDX];
        ask(m, cpu, 4, 0, r);
        g_assert_cmphex(r[EAX] | r[EBX] | r[ECX], ==, 0);
        ask(m, cpu, 0x80000001, 0, r);
        g_assert_cmphex((r[EDX] ^ edx) & 0x0183f3ff, ==, 0);
        ask(m, cpu, 0x80000005, 0, r); /* L1 data and code: KiB, ways, lines, bytes */
        g_assert_cmpuint(r[ECX] >> 24, >=, 16);
        g_assert_cmphex(r[ECX] & 0xff, ==, 64);
        g_assert_cmpuint(r[EDX] >> 24, >=, 16);
        ask(m, cpu, 0x80000006, 0, r);
        g_assert_cmpuint(r[ECX] >> 16, >=, 128);
        g_assert_cmphex(r[EDX] >> 12 & 15, !=, 9); /* "see leaf 0x8000001d", which is not there */
    }
    bare_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu-model/list", test_list);
    g_test_add_func("/cpu-model/identity", test_identity);
    g_test_add_func("/cpu-model/topology", test_topology);
    g_test_add_func("/cpu-model/names", test_names);
    g_test_add_func("/cpu-model/fits", test_fits);
    g_test_add_func("/cpu-model/levels", test_levels);
    g_test_add_func("/cpu-model/masked", test_masked);
    g_test_add_data_func("/cpu-model/unknown/interp", &interp_engine, test_unknown);
    g_test_add_data_func("/cpu-model/unknown/soft", &soft_engine, test_unknown);
    g_test_add_data_func("/cpu-model/shown/interp", &interp_engine, test_shown);
    g_test_add_data_func("/cpu-model/shown/soft", &soft_engine, test_shown);
    g_test_add_data_func("/cpu-model/maker/intel/interp", &interp_engine, test_intel);
    g_test_add_data_func("/cpu-model/maker/amd/interp", &interp_engine, test_amd);
    g_test_add_data_func("/cpu-model/maker/intel/soft", &soft_engine, test_intel);
    g_test_add_data_func("/cpu-model/maker/amd/soft", &soft_engine, test_amd);
    return g_test_run();
}
