// SPDX-License-Identifier: GPL-2.0-or-later
/* test_cpu_risks.c - what the host's kernel says of hazards of speculation, from made-up folders, and what a guest of each
 * maker is told of it by the software engines.  Bits by SDM Vol. 4 (MSR 10Ah) and APM Vol. 3 (CPUID). */
#include "patcher/patcher.h"
#include "patcher/interp/cpuid_table.h"
#include "tests/hwaccel/hwaccel_tests.h"
#include <glib/gstdio.h>
#include <string.h>

#define BIT64(n) (1ull << (n))
/* rdcl skip_l1dfl pschange_mc taa sbdr_ssdp fbsdp psdp pbrsb gds its */
#define EVERYWHERE                                                                                                     \
    (BIT64(0) | BIT64(3) | BIT64(6) | BIT64(8) | BIT64(13) | BIT64(14) | BIT64(15) | BIT64(24) | BIT64(26) | BIT64(62))

struct file {
    const char *name, *line;
};

static struct cpu_risks risks_of(const struct file *files, size_t n)
{
    g_autofree char *folder = g_dir_make_tmp("risks-XXXXXX", NULL);
    struct cpu_risks r;
    for (size_t i = 0; i < n; i++) {
        g_autofree char *path = g_build_filename(folder, files[i].name, NULL);
        g_assert_true(g_file_set_contents(path, files[i].line, -1, NULL));
    }
    cpu_risks_read(&r, folder);
    for (size_t i = 0; i < n; i++) {
        g_autofree char *path = g_build_filename(folder, files[i].name, NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    return r;
}

static struct speculation offer(const struct cpu_risks *r, bool amd)
{
    static const struct speculation_host all = {~0u, ~0u, ~0u};
    struct speculation s;
    speculation_offer(&s, r, &all, amd);
    return s;
}

/* A folder that is hidden: everything that the engine does not rule out may be there, nothing helps against it. */
static void test_hidden(void)
{
    struct cpu_risks r;
    cpu_risks_read(&r, "/nonexistent/vulnerabilities");
    struct speculation intel = offer(&r, false), amd = offer(&r, true);
    g_assert_cmphex(intel.arch_capabilities, ==, EVERYWHERE);
    /* md_clear spec_ctrl stibp arch_capabilities: CPUID has them */
    g_assert_cmphex(intel.f7_edx, ==, BIT64(10) | BIT64(26) | BIT64(27) | BIT64(29));
    g_assert_cmphex(intel.spec_ctrl, ==, 3 | BIT64(10));
    g_assert_cmphex(amd.spec_ctrl, ==, 0);
    g_assert_true(intel.clears_buffers && amd.clears_buffers && intel.pred_cmd && !amd.pred_cmd);
    g_assert_cmphex(amd.f8_ebx, ==, BIT64(29));             /* btc_no */
    g_assert_cmphex(amd.f21_eax, ==, BIT64(29) | BIT64(5)); /* srso_no verw_clear */
    g_assert_cmphex(amd.f21_ecx, ==, 0);
}

/* Skylake with current microcode. */
static void test_old_intel(void)
{
    static const struct file files[] = {
        {"mds", "Mitigation: Clear CPU buffers; SMT vulnerable\n"},
        {"reg_file_data_sampling", "Not affected\n"},
        {"spec_store_bypass", "Mitigation: Speculative Store Bypass disabled via prctl\n"},
        {"spectre_v2",
         "Mitigation: IBRS; IBPB: conditional; STIBP: conditional; RSB filling; PBRSB-eIBRS: Not affected; "
         "BHI: Not affected\n"},
        {"tsa", "Not affected\n"},
    };
    struct cpu_risks r = risks_of(files, G_N_ELEMENTS(files));
    struct speculation s = offer(&r, false);
    g_assert_cmphex(s.arch_capabilities, ==, EVERYWHERE | BIT64(20) | BIT64(27)); /* bhi rfds */
    /* md_clear spec_ctrl stibp arch_capabilities ssbd */
    g_assert_cmphex(s.f7_edx, ==, BIT64(10) | BIT64(26) | BIT64(27) | BIT64(29) | BIT64(31));
    g_assert_true(s.clears_buffers && s.pred_cmd);
    g_assert_cmphex(s.spec_ctrl, ==, 7 | BIT64(10)); /* ibrs stibp ssbd bhi_dis_s */
}

/* An Intel CPU with Enhanced IBRS that needs buffers cleared for its register file. */
static void test_new_intel(void)
{
    static const struct file files[] = {
        {"mds", "Not affected\n"},
        {"reg_file_data_sampling", "Mitigation: Clear Register File\n"},
        {"spec_store_bypass", "Mitigation: Speculative Store Bypass disabled via prctl\n"},
        {"spectre_v2",
         "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; RSB filling; PBRSB-eIBRS: SW sequence; "
         "BHI: BHI_DIS_S\n"},
        {"tsa", "Not affected\n"},
    };
    struct cpu_risks r = risks_of(files, G_N_ELEMENTS(files));
    struct speculation s = offer(&r, false);
    g_assert_cmphex(s.arch_capabilities, ==,
                    EVERYWHERE | BIT64(1) | BIT64(5) | BIT64(28)); /* ibrs_all mds; clears rfds */
    g_assert_cmphex(s.f7_2_edx & BIT64(4), ==, BIT64(4));
    g_assert_cmphex(s.spec_ctrl, ==, 7 | BIT64(10)); /* and bhi_dis_s */
    g_assert_true(s.clears_buffers);
    g_assert_cmphex(s.f7_edx & BIT64(10), ==, 0);
}

/* An AMD CPU that has Automatic IBRS; of Speculative Store Bypass the kernel has made an end for all. */
static void test_amd(void)
{
    static const struct file files[] = {
        {"mds", "Not affected\n"},
        {"reg_file_data_sampling", "Not affected\n"},
        {"spec_store_bypass", "Mitigation: Speculative Store Bypass disabled\n"},
        {"spectre_v2", "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; STIBP: always-on; RSB filling\n"},
        {"tsa", "Not affected\n"},
    };
    struct cpu_risks r = risks_of(files, G_N_ELEMENTS(files));
    struct speculation s = offer(&r, true);
    g_assert_cmphex(s.f8_ebx, ==, BIT64(26) | BIT64(29)); /* ssb_no btc_no */
    g_assert_cmphex(s.f21_eax, ==, BIT64(8) | BIT64(29)); /* automatic_ibrs srso_no */
    g_assert_cmphex(s.f21_ecx, ==, BIT64(1) | BIT64(2));  /* tsa_sq_no tsa_l1_no */
    g_assert_cmphex(s.spec_ctrl | s.arch_capabilities | s.f7_edx, ==, 0);
    g_assert_false(s.clears_buffers);
    g_assert_false(r.no_bhi);                    /* this kernel is older than that hazard */
    struct speculation other = offer(&r, false); /* the same host, a guest that takes its CPU for Intel's */
    g_assert_cmphex(other.arch_capabilities, ==, EVERYWHERE | BIT64(1) | BIT64(4) | BIT64(5) | BIT64(27));
}

static void test_unaffected(void)
{
    static const struct file files[] = {
        {"mds", "Not affected"},
        {"reg_file_data_sampling", "Not affected"},
        {"spec_store_bypass", "Not affected"},
        {"spectre_v2", "Not affected"},
        {"tsa", "Not affected"},
    };
    struct cpu_risks r = risks_of(files, G_N_ELEMENTS(files));
    struct speculation s = offer(&r, false);
    g_assert_cmphex(s.arch_capabilities, ==, EVERYWHERE | BIT64(1) | BIT64(4) | BIT64(5) | BIT64(20) | BIT64(27));
    g_assert_false(s.clears_buffers);
}

/* "Vulnerable" is no mitigation, and nobody's word that it is not affected. */
static void test_vulnerable(void)
{
    static const struct file files[] = {
        {"mds", "Vulnerable: Clear CPU buffers attempted, no microcode; SMT Host state unknown\n"},
        {"reg_file_data_sampling", "Vulnerable: No microcode\n"},
        {"spec_store_bypass", "Vulnerable\n"},
        {"spectre_v2", "Vulnerable; IBPB: disabled; STIBP: disabled; PBRSB-eIBRS: Not affected; BHI: Vulnerable\n"},
        {"tsa", "Vulnerable: Clear CPU buffers attempted, no microcode\n"},
    };
    struct cpu_risks r = risks_of(files, G_N_ELEMENTS(files));
    g_assert_false(r.no_mds || r.no_rfds || r.no_ssb || r.no_bhi || r.no_tsa || r.ibrs_all || r.rfds_clear ||
                   r.ssb_prctl);
    g_assert_true(r.ibrs);
}

/* The guest reads what CPUID promised: of an Intel CPU the capabilities, of an AMD CPU no such register. */
static void read_capabilities(const struct cpu_engine *engine, const char *maker, bool there)
{
    struct bare_machine *m = bare_new_model(engine, 1, "host", maker);
    bare_load(m, CODE, g_read_msr, g_read_msr_end);
    bare_start64(m, 0, CODE);
    bare_put(m, RESULT + 32, 0x10a, 4);
    bare_put(m, RESULT + 16, 0x1234, 8);
    if (there) {
        bare_finish(m, 0);
        uint64_t v;
        memcpy(&v, m->memory + RESULT + 16, 8);
        g_assert_cmphex(v & EVERYWHERE, ==, EVERYWHERE);
    } else /* #GP, and no handlers */
        g_assert_cmpint(bare_run(m, 0), ==, CPU_STOP_RESET);
    bare_free(m);
}

static void test_register(gconstpointer data)
{
    read_capabilities(data, "maker=intel", true);
    read_capabilities(data, "maker=amd", false);
}

/* ---- the controls ---- */

struct fake {
    struct cpuid_table table;
    struct soft_vm vm;
    struct vcpu vcpu;
};

static struct fake *fake_of(const struct cpu_risks *r, bool amd)
{
    struct fake *f = g_new0(struct fake, 1);
    f->table.speculation = offer(r, amd);
    f->vm.cpuid = &f->table;
    f->vcpu.vm = &f->vm;
    return f;
}

/* SPEC_CTRL keeps the bits that are offered and takes no others; PRED_CMD takes its one command and keeps nothing. */
static void test_controls(void)
{
    static const struct cpu_risks intel = {.ibrs = true, .ibrs_all = true, .ssb_prctl = true};
    g_autofree struct fake *f = fake_of(&intel, false);
    uint64_t v = 0;
    g_assert_true(speculation_read(&f->vcpu, 0x48, &v) && v == 0);
    g_assert_true(speculation_write(&f->vcpu, 0x48, 7 | BIT64(10)));
    g_assert_true(f->vcpu.loads_wait); /* SSBD */
    g_assert_true(speculation_read(&f->vcpu, 0x48, &v) && v == (7 | BIT64(10)));
    g_assert_false(speculation_write(&f->vcpu, 0x48, BIT64(3)));
    g_assert_true(speculation_read(&f->vcpu, 0x48, &v) && v == (7 | BIT64(10)));
    g_assert_true(speculation_write(&f->vcpu, 0x48, 0));
    g_assert_false(f->vcpu.loads_wait);
    g_assert_true(speculation_write(&f->vcpu, 0x49, 1));
    g_assert_false(speculation_write(&f->vcpu, 0x49, 2));
    g_assert_false(speculation_read(&f->vcpu, 0x49, &v));
    g_assert_false(speculation_write(&f->vcpu, 0x10a, 0));
}

/* AMD: SSBD alone, where the host has it; else none of these registers. */
static void test_controls_amd(void)
{
    static const struct cpu_risks none = {0}, ssbd = {.ibrs = true, .ssb_prctl = true};
    g_autofree struct fake *without = fake_of(&none, true), *with = fake_of(&ssbd, true);
    uint64_t v;
    g_assert_false(speculation_read(&without->vcpu, 0x48, &v));
    g_assert_false(speculation_write(&without->vcpu, 0x48, 0));
    g_assert_true(speculation_write(&with->vcpu, 0x48, 4));
    g_assert_false(speculation_write(&with->vcpu, 0x48, 1));
    g_assert_false(speculation_write(&with->vcpu, 0x49, 1));
    g_assert_false(speculation_read(&with->vcpu, 0x10a, &v));
    g_assert_true(speculation_write(&with->vcpu, 0x48, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu-risks/hidden", test_hidden);
    g_test_add_func("/cpu-risks/old-intel", test_old_intel);
    g_test_add_func("/cpu-risks/new-intel", test_new_intel);
    g_test_add_func("/cpu-risks/amd", test_amd);
    g_test_add_func("/cpu-risks/unaffected", test_unaffected);
    g_test_add_func("/cpu-risks/vulnerable", test_vulnerable);
    g_test_add_func("/cpu-risks/controls", test_controls);
    g_test_add_func("/cpu-risks/controls-amd", test_controls_amd);
    g_test_add_data_func("/cpu-risks/register/interp", &interp_engine, test_register);
    g_test_add_data_func("/cpu-risks/register/soft", &soft_engine, test_register);
    return g_test_run();
}
