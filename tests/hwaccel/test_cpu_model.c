// SPDX-License-Identifier: GPL-2.0-or-later
/* test_cpu_model.c - the CPUID that the engines agree in, and that the software engine shows it.  Runs anywhere. */
#include "../../core-vmm/base/cpu_model.h"
#include "../../patcher/patcher.h"
#include "hwaccel_tests.h"
#include <cpuid.h>
#include <string.h>

enum { EAX, EBX, ECX, EDX };

static struct cpu_model model(const char *vendor, unsigned cpus, unsigned index)
{
    struct cpu_model c = {.gpa_bits = 46, .cpus = cpus, .index = index, .tsc_khz = FAKE_TSC_KHZ};
    memcpy(c.vendor, vendor, 12);
    return c;
}

static bool listed(uint32_t leaf)
{
    for (unsigned i = 0; i < CPU_MODEL_V2_LEAVES; i++)
        if (cpu_model_v2_leaves[i].leaf == leaf)
            return true;
    return false;
}

/* An engine that takes its table from the list must not lose a leaf. */
static void test_list(void)
{
    static const char *const vendors[] = {"GenuineIntel", "AuthenticAMD", "HygonGenuine"};
    static const uint32_t areas[] = {0, 0x40000000, 0x80000000};
    for (size_t v = 0; v < G_N_ELEMENTS(vendors); v++)
        for (size_t a = 0; a < G_N_ELEMENTS(areas); a++) {
            struct cpu_model c = model(vendors[v], 2, 1);
            uint32_t first[4], r[4];
            cpu_model_v2(&c, areas[a], 0, first);
            for (uint32_t leaf = areas[a]; leaf < areas[a] + 0x100; leaf++) {
                cpu_model_v2(&c, leaf, 0, r);
                bool any = r[EAX] | r[EBX] | r[ECX] | r[EDX];
                g_assert_true(!any || (listed(leaf) && leaf <= first[EAX]));
            }
            g_assert_true(listed(first[EAX]));
        }
}

static void test_identity(void)
{
    struct cpu_model intel = model("GenuineIntel", 1, 0), amd = model("AuthenticAMD", 1, 0),
                     hygon = model("HygonGenuine", 1, 0);
    uint32_t r[4], vendor[4];
    cpu_model_v2(&intel, 1, 0, r);
    g_assert_cmphex(r[EAX], ==, 0x206c0);
    cpu_model_v2(&amd, 1, 0, r);
    g_assert_cmphex(r[EAX], ==, 0x730f01);
    cpu_model_v2(&hygon, 1, 0, r);
    g_assert_cmphex(r[EAX], ==, 0x730f01);
    cpu_model_v2(&hygon, 0, 0, vendor);
    g_assert_cmpmem(&vendor[EBX], 4, "Auth", 4);
    cpu_model_v2(&amd, 0x80000008, 0, r);
    g_assert_cmpuint(r[EAX], ==, 40 | 48 << 8);
    amd.gpa_bits = 39;
    cpu_model_v2(&amd, 0x80000008, 0, r);
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
    cpu_model_v2(&intel, 4, 3, r); /* L3: all five share it; 8 core IDs set aside */
    g_assert_cmphex(r[EAX] >> 14, ==, 7 << 12 | 4);
    cpu_model_v2(&intel, 4, 2, r);
    g_assert_cmphex(r[EAX] >> 14, ==, 7 << 12);
    cpu_model_v2(&intel, 4, 4, r);
    g_assert_cmphex(r[EAX], ==, 0);
    cpu_model_v2(&intel, 0xb, 1, r);
    g_assert_cmphex(r[EAX], ==, 3);
    g_assert_cmphex(r[EBX], ==, 5);
    g_assert_cmphex(r[EDX], ==, 4);
}

static void test_names(void)
{
    g_autoptr(GError) error = NULL;
    uint32_t words[4] = {~0u, ~0u, ~0u, ~0u};
    bool v2 = false;
    g_assert_true(cpu_model_parse("x86-64-v2", &v2, &error) && v2);
    g_assert_true(cpu_model_parse("host", &v2, &error) && !v2);
    g_assert_false(cpu_model_parse("x86-64-v9", &v2, &error));
    g_assert_nonnull(strstr(error->message, "\"x86-64-v9\""));
    g_clear_error(&error);
    g_assert_true(cpu_model_v2_fits(words, &error));
    words[0] &= ~(1u << 20); /* no SSE4.2 */
    g_assert_false(cpu_model_v2_fits(words, &error));
    g_assert_nonnull(strstr(error->message, "cpu-model = host"));
}

static void test_unknown(gconstpointer data)
{
    const struct cpu_engine *engine = data;
    g_autoptr(GError) error = NULL;
    struct cpu_vm vm = {.cpus = 1, .model = "486", .options = ""};
    g_assert_null(engine->vm_new(&vm, &error));
    g_assert_nonnull(strstr(error->message, "\"486\""));
}

/* A guest on the software engine sees this host's model, on each of its CPUs. */
static void test_shown(gconstpointer data)
{
    const struct cpu_engine *engine = data;
    struct machine *m = fake_new_model(engine, 3, "x86-64-v2", "");
    uint32_t h[4], wanted[4];
    fake_load(m, CODE, g_tsc, g_tsc_end);
    __cpuid(0, h[EAX], h[EBX], h[ECX], h[EDX]);
    const uint32_t vendor[3] = {h[EBX], h[EDX], h[ECX]};
    __cpuid(0x80000008, h[EAX], h[EBX], h[ECX], h[EDX]);
    for (unsigned cpu = 0; cpu < 3; cpu++) {
        struct cpu_model c = model((const char *)vendor, 3, cpu);
        c.x2apic = c.deadline = true;
        c.gpa_bits = h[EAX] & 0xff;
        fake_start64(m, cpu, CODE);
        for (unsigned i = 0; i < CPU_MODEL_V2_LEAVES; i++) {
            const struct cpu_model_leaf *l = &cpu_model_v2_leaves[i];
            fake_put(m, RESULT + 32, l->leaf, 4);
            fake_put(m, RESULT + 36, l->subleaf, 4);
            fake_finish(m, cpu);
            cpu_model_v2(&c, l->leaf, l->subleaf, wanted);
            g_assert_cmpmem(m->memory + RESULT + 16, 16, wanted, 16);
        }
    }
    fake_free(m);
}

/* ---- the other maker ---- */

static void ask(struct machine *m, unsigned cpu, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    fake_put(m, RESULT + 32, leaf, 4);
    fake_put(m, RESULT + 36, subleaf, 4);
    fake_finish(m, cpu);
    memcpy(r, m->memory + RESULT + 16, 16);
}

static uint32_t cache_kib(uint32_t ebx, uint32_t ecx)
{
    return ((ebx >> 22) + 1) * ((ebx >> 12 & 0x3ff) + 1) * ((ebx & 0xfff) + 1) / 64 * (ecx + 1) / 16;
}

/* A guest of each maker, whichever this host's is: a name, a family that is that maker's, and the caches where that
 * maker's guests look for them. */
static void test_intel(gconstpointer data)
{
    struct machine *m = fake_new_model(data, 3, "host", "maker=intel");
    uint32_t r[4];
    fake_load(m, CODE, g_tsc, g_tsc_end);
    for (unsigned cpu = 0; cpu < 3; cpu++) {
        fake_start64(m, cpu, CODE);
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
    fake_free(m);
}

static void test_amd(gconstpointer data)
{
    struct machine *m = fake_new_model(data, 3, "host", "maker=amd");
    uint32_t r[4], edx;
    fake_load(m, CODE, g_tsc, g_tsc_end);
    for (unsigned cpu = 0; cpu < 3; cpu++) {
        fake_start64(m, cpu, CODE);
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
    }
    fake_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu-model/list", test_list);
    g_test_add_func("/cpu-model/identity", test_identity);
    g_test_add_func("/cpu-model/topology", test_topology);
    g_test_add_func("/cpu-model/names", test_names);
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
