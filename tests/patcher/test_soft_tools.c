// SPDX-License-Identifier: GPL-2.0-or-later
/* test_soft_tools.c - what the software engine tells of itself: memory, counters, code. */
#include "tests/patcher/guest.h"
#include "patcher/patcher.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* clang-format off */
GUEST_CODE(busy, 64, "mov $100000, %ecx; mov $0x20000, %rdi\n"
                     "1: mov %ecx, (%rdi); add $64, %rdi; and $0x2ffff, %rdi; cmpxchg8b 0x800(%rdi); dec %ecx; jnz 1b; hlt\n");
GUEST_CODE(locked, 64, "mov $100000, %ecx; mov $0x20000, %rdi\n"
                       "1: lock orl $0, (%rdi); lock btsl $3, 8(%rdi); lock btsl %ecx, 0x8000(%rdi); dec %ecx; jnz 1b; hlt\n");
/* clang-format on */

static struct guest *run(const uint8_t *code, const uint8_t *end)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    guest_code(g, GUEST_CODE_AT, code, end);
    guest_run(g);
    g_assert_cmpuint(g->s.gpr[X86_RCX] & 0xffffffff, ==, 0);
    return g;
}

static void test_counters(void)
{
    struct guest *g = run(busy, busy_end);
    g_assert_cmpuint(guest_counter(g, "blocks translated"), >, 0);
    g_assert_cmpuint(guest_counter(g, "page walks"), >=, 16);
    g_assert_cmpuint(guest_counter(g, "translated code entered from tier 1"), >, 0);
    guest_free(g);
}

static void test_code(void)
{
    g_autoptr(GError) error = NULL;
    struct guest *g = run(busy, busy_end);
    g_autofree char *text = g->engine->dump(g->vcpu[0], 100, &error);
    g_assert_nonnull(text);
    g_assert_nonnull(strstr(text, "64-bit block at offset 0x"));
    g_assert_nonnull(strstr(text, "and rdi, 0x2FFFF"));
    guest_free(g);
}

/* A single vCPU's LOCK is a barrier towards devices, whose threads share its memory: the host's code has it too. */
static void test_lock(void)
{
    g_autoptr(GError) error = NULL;
    struct guest *g = run(locked, locked_end);
    g_autofree char *text = g->engine->dump(g->vcpu[0], 100, &error);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned of_guest = 0, of_host = 0;
    for (char **l = lines; *l; l++)
        if (strstr(*l, " lock "))
            *(g_str_has_prefix(*l, "        ") ? &of_host : &of_guest) += 1;
    g_assert_cmpuint(of_guest, >=, 3);
    g_assert_cmpuint(of_host, >=, of_guest);
    guest_free(g);
}

/* At most 96 MiB for a guest of 1 GiB. */
static void test_memory(void)
{
    const uint64_t bytes = (1ull << 30) + (20 << 20);
    _Atomic int64_t tsc_offset = 0;
    g_autoptr(GError) error = NULL;
    struct cpu_memory m;
    struct cpu_vm vm = {.cpus = 1, .memory_bytes = bytes, .tsc_khz = 1000000, .model = "host", .options = ""};
    vm.tsc_offset = &tsc_offset;
    vm.memory_fd = memfd_create("guest", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(vm.memory_fd, bytes), ==, 0);
    vm.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, vm.memory_fd, 0);
    void *evm = soft_engine.vm_new(&vm, &error);
    g_assert_true(soft_engine.map(evm, 0, 1ull << 30, 0, CPU_MAP_RAM, &error));
    g_assert_nonnull(soft_engine.vcpu_new(evm, 0, &error));
    soft_engine.memory(evm, &m);
    g_assert_cmpuint(m.limit, <=, 96 << 20);
    g_assert_cmpuint(m.used, <, m.limit / 3);
    soft_engine.vm_free(evm);
    munmap(vm.memory, bytes);
    close(vm.memory_fd);
}

#ifndef __SANITIZE_ADDRESS__ /* its address space is full from the start */
/* An address space that is full at some point of making a vCPU: an error each time, never an end of the process. */
static void test_memory_full(void)
{
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    unsigned refused = 0;
    struct rlimit before, limit;
    getrlimit(RLIMIT_AS, &before);
    for (uint64_t room = 4ull << 20; room < 256ull << 20; room += 3ull << 20) {
        g_autoptr(GError) error = NULL;
        g_autofree char *status = NULL;
        uint64_t pages;
        _Atomic int64_t tsc_offset = 0;
        struct cpu_vm vm = {.cpus = 1, .memory_bytes = 1ull << 30, .tsc_khz = 1000000, .model = "host", .options = ""};
        vm.tsc_offset = &tsc_offset;
        g_assert_true(g_file_get_contents("/proc/self/statm", &status, NULL, NULL));
        pages = g_ascii_strtoull(status, NULL, 10);
        limit = (struct rlimit){pages * getpagesize() + room, before.rlim_max};
        g_assert_cmpint(setrlimit(RLIMIT_AS, &limit), ==, 0);
        void *evm = soft_engine.vm_new(&vm, &error), *vcpu = evm ? soft_engine.vcpu_new(evm, 0, &error) : NULL;
        setrlimit(RLIMIT_AS, &before);
        g_assert_true(vcpu ? !error : error && strstr(error->message, "o memory for "));
        refused += !vcpu;
        if (evm)
            soft_engine.vm_free(evm);
    }
    g_assert_cmpuint(refused, >, 5);
}
#endif

static void test_memory_grows(void)
{
    struct cpu_memory before, after;
    struct guest *g = guest_new(1);
    g->engine->memory(g->evm, &before);
    guest_free(g);
    g = run(busy, busy_end);
    g->engine->memory(g->evm, &after);
    g_assert_cmpuint(after.used, >, before.used);
    g_assert_cmpuint(after.limit, >=, before.limit);
    guest_free(g);
}

static void test_options(void)
{
    g_autoptr(GError) error = NULL;
    struct cpu_vm vm = {.cpus = 2, .memory_bytes = 1 << 20, .tsc_khz = 1, .model = "host", .options = "lockstep"};
    g_assert_null(soft_engine.vm_new(&vm, &error));
    g_assert_nonnull(strstr(error->message, "one CPU"));
    g_clear_error(&error);
    vm.options = "hot=3,warm";
    g_assert_null(soft_engine.vm_new(&vm, &error));
    g_assert_nonnull(strstr(error->message, "\"warm\""));
    g_clear_error(&error);
    vm.options = "maker=via";
    g_assert_null(interp_engine.vm_new(&vm, &error));
    g_assert_nonnull(strstr(error->message, "\"maker=via\""));
}

int main(int argc, char **argv)
{
    g_setenv("GUEST_ENGINE", "soft", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/soft/counters", test_counters);
    g_test_add_func("/soft/code", test_code);
    g_test_add_func("/soft/lock", test_lock);
    g_test_add_func("/soft/memory", test_memory);
#ifndef __SANITIZE_ADDRESS__
    g_test_add_func("/soft/memory-full", test_memory_full);
#endif
    g_test_add_func("/soft/memory-grows", test_memory_grows);
    g_test_add_func("/soft/options", test_options);
    return g_test_run();
}
