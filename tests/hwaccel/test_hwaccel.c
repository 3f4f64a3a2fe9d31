// SPDX-License-Identifier: GPL-2.0-or-later
/* test_hwaccel.c - the KVM engine in a bare machine.  Skipped where the engine's own probe says that /dev/kvm is of
 * no use; HWACCEL_FORCE=1 runs it all the same. */
#include "patcher/patcher.h"
#include "tests/hwaccel/hwaccel_tests.h"
#include <stdio.h>
#include <stdlib.h>

struct entry {
    engine_test fn;
    const struct cpu_engine *engine;
    bool software; /* beside it, one of the software engines, which older CPUs do not run */
};

static void run_entry(gconstpointer data)
{
    const struct entry *e = data;
    g_autoptr(GError) error = NULL;
    if (e->software && !interp_engine.probe(&error))
        g_test_skip(error->message);
    else
        e->fn(e->engine);
}

static void add(const char *kind, const char *path, engine_test fn, const struct cpu_engine *engine, bool software)
{
    g_autofree char *full = g_strdup_printf("/hwaccel/%s/%s", kind, path);
    struct entry *e = g_new(struct entry, 1);
    *e = (struct entry){fn, engine, software};
    g_test_add_data_func_full(full, e, run_entry, g_free);
}

void add_split_test(const char *path, engine_test fn)
{
    add("split", path, fn, &kvm_engine, false);
}

void add_test(const char *path, engine_test fn)
{
    add_split_test(path, fn);
    add("no-chips", path, fn, &kvm_engine_no_chips, false);
}

void add_software_test(const char *path, engine_test fn)
{
    add("split", path, fn, &kvm_engine, true);
    add("no-chips", path, fn, &kvm_engine_no_chips, true);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_test_init(&argc, &argv, NULL);
    if (!getenv("HWACCEL_FORCE") && !kvm_engine.probe(&error)) {
        printf("1..0 # SKIP %s\n", error->message);
        return 0;
    }
    add_exit_tests();
    add_memory_tests();
    add_interrupt_tests();
    add_state_tests();
    add_time_tests();
    add_cpuid_tests();
    return g_test_run();
}
