// SPDX-License-Identifier: GPL-2.0-or-later
/* probe.c - is /dev/kvm real?  Measured, because it may exist and be useless: some kernels without VT-x or AMD-V under
 * them offer a KVM that emulates each instruction.
 *
 * A guest of a few bytes runs in 64-bit mode: first rounds of a loop, then instructions that emulators tend not to have
 * (CMPXCHG16B, SSE2), whose results are checked.  The very same bytes of the loop run natively in this process; rounds get
 * longer until one takes long enough to measure or the time is used up.  The shortest of a dozen counts on both sides, taken
 * in turns, so that a busy host does not look like a slow guest.
 *
 * Guest-physical memory: one region of 2 MiB, page tables at its start that map it 1:1. */
#include "hwaccel/hw.h"
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MEMORY    (2u << 20)
#define PML4      0x1000u
#define PDPT      0x2000u
#define PD        0x3000u
#define CODE      0x4000u
#define RESULTS   0x5000u
#define STACK     0x7000u
#define PORT      0x10
#define FIRST     1000u       /* iterations of the first round */
#define ENOUGH_NS 1000000u    /* a round worth comparing, yet shorter than a time slice of the scheduler */
#define BUDGET_NS 150000000ll /* no new round after this */
#define REPEATS   12
#define TOO_SLOW  25 /* per cent of native speed; emulation is far below, nested virtualization far above */

/* The loop: ecx iterations of work that depends on the one before; result in rax.  A leaf function of the System V ABI
 * but for its argument in ecx; position-independent. */
extern const uint8_t hw_probe_loop[], hw_probe_loop_end[], hw_probe_guest[], hw_probe_guest_end[];
uint64_t hw_probe_native(uint32_t iterations);
__asm__(".pushsection .text\n"
        "hw_probe_loop:\n"
        "    mov $1, %eax\n"
        "1:  lea (%rax,%rax,4), %rax\n"
        "    add %rcx, %rax\n"
        "    rol $7, %rax\n"
        "    xor %rax, %rdx\n"
        "    dec %ecx\n"
        "    jnz 1b\n"
        "    ret\n"
        "hw_probe_loop_end:\n"
        ".globl hw_probe_native\n"
        ".type hw_probe_native, @function\n"
        "hw_probe_native:\n"
        "    mov %edi, %ecx\n"
        "    jmp hw_probe_loop\n"
        ".popsection\n"
        /* rbx: where the results go; rbp: the loop; port 0x10: in = iterations of the next round, 0: no more; out = a
         * round, or the checks at the end, are done */
        ".pushsection .rodata\n"
        "hw_probe_guest:\n"
        "1:  in $0x10, %eax\n"
        "    mov %eax, %ecx\n"
        "    jecxz 2f\n"
        "    call *%rbp\n"
        "    mov %rax, 48(%rbx)\n"
        "    out %al, $0x10\n"
        "    jmp 1b\n"
        "2:  mov %rbx, %rsi\n"
        "    mov $1, %eax\n"
        "    mov $2, %edx\n"
        "    mov $3, %ecx\n"
        "    mov $4, %ebx\n"
        "    lock cmpxchg16b (%rsi)\n" /* 1, 2 -> 4, 3 */
        "    setz 16(%rsi)\n"
        "    movdqu (%rsi), %xmm0\n"
        "    paddq %xmm0, %xmm0\n"
        "    movdqu %xmm0, 32(%rsi)\n" /* 8, 6 */
        "    out %al, $0x10\n"
        "hw_probe_guest_end:\n"
        ".popsection\n");

struct probe {
    int kvm, vm, vcpu;
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_bytes;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void put64(struct probe *p, unsigned at, uint64_t value)
{
    memcpy(p->memory + at, &value, sizeof value);
}

static uint64_t get64(struct probe *p, unsigned at)
{
    uint64_t value;
    memcpy(&value, p->memory + at, sizeof value);
    return value;
}

/* ---- the little VM ---- */

static void fill_memory(struct probe *p)
{
    size_t guest = hw_probe_guest_end - hw_probe_guest, loop = hw_probe_loop_end - hw_probe_loop;
    put64(p, PML4, PDPT | 3);
    put64(p, PDPT, PD | 3);
    put64(p, PD, 0x83); /* one page of 2 MiB */
    memcpy(p->memory + CODE, hw_probe_guest, guest);
    memcpy(p->memory + CODE + guest, hw_probe_loop, loop);
    put64(p, RESULTS, 1);
    put64(p, RESULTS + 8, 2);
}

static bool long_mode(struct probe *p)
{
    struct kvm_sregs s;
    struct kvm_segment code = {.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    struct kvm_segment data = {.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_regs r = {
        .rip = CODE, .rsp = STACK, .rbx = RESULTS, .rbp = CODE + (hw_probe_guest_end - hw_probe_guest), .rflags = 2};
    if (ioctl(p->vcpu, KVM_GET_SREGS, &s) != 0)
        return false;
    s.cs = code;
    s.ds = s.es = s.fs = s.gs = s.ss = data;
    s.cr3 = PML4;
    s.cr4 = 1 << 5 | 1 << 9; /* PAE, OSFXSR */
    s.cr0 = 0x80000031;      /* PG NE ET PE */
    s.efer = 0x500;          /* LMA LME */
    return ioctl(p->vcpu, KVM_SET_SREGS, &s) == 0 && ioctl(p->vcpu, KVM_SET_REGS, &r) == 0;
}

static bool all_features(struct probe *p)
{
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entry[256];
    } features = {.head.nent = 256};
    return ioctl(p->kvm, KVM_GET_SUPPORTED_CPUID, &features) == 0 && ioctl(p->vcpu, KVM_SET_CPUID2, &features) == 0;
}

static bool make(struct probe *p, GError **error)
{
    p->vm = hw_create_vm(p->kvm, error);
    if (p->vm < 0)
        return false;
    p->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->memory == MAP_FAILED)
        return hw_failed(error, "no memory for the probe");
    fill_memory(p);
    struct kvm_userspace_memory_region region = {.memory_size = MEMORY, .userspace_addr = (uintptr_t)p->memory};
    if (ioctl(p->vm, KVM_SET_TSS_ADDR, 0xfeffd000ul) != 0 || ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &region) != 0)
        return hw_failed(error, "guest memory cannot be set up");
    p->vcpu = ioctl(p->vm, KVM_CREATE_VCPU, 0);
    if (p->vcpu < 0)
        return hw_failed(error, "a virtual CPU cannot be created (KVM_CREATE_VCPU)");
    p->run_bytes = ioctl(p->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    p->run = mmap(NULL, p->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
    if (p->run == MAP_FAILED)
        return hw_failed(error, "a virtual CPU's shared page cannot be mapped");
    return (all_features(p) && long_mode(p)) || hw_failed(error, "64-bit mode cannot be set up");
}

static void unmake(struct probe *p)
{
    if (p->run && p->run != MAP_FAILED)
        munmap(p->run, p->run_bytes);
    if (p->memory && p->memory != MAP_FAILED)
        munmap(p->memory, MEMORY);
    if (p->vcpu >= 0)
        close(p->vcpu);
    if (p->vm >= 0)
        close(p->vm);
    close(p->kvm);
}

/* ---- running it ---- */

/* To the next access to the port, of that direction. */
static bool run_to_port(struct probe *p, uint8_t direction, const char *doing, GError **error)
{
    int result;
    do
        result = ioctl(p->vcpu, KVM_RUN, 0);
    while (result < 0 && errno == EINTR);
    if (result == 0 && p->run->exit_reason == KVM_EXIT_IO && p->run->io.port == PORT &&
        p->run->io.direction == direction)
        return true;
    struct kvm_regs r = {0};
    ioctl(p->vcpu, KVM_GET_REGS, &r);
    if (result < 0)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "/dev/kvm is of no use here: KVM_RUN fails (%s) at %s",
                    g_strerror(errno), doing);
    else if (p->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "/dev/kvm is of no use here: it fails at %s (internal error %u, %u bytes into the test)", doing,
                    p->run->internal.suberror, (unsigned)(r.rip - CODE));
    else
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "/dev/kvm is of no use here: exit reason %u at %s, %u bytes into the test", p->run->exit_reason,
                    doing, (unsigned)(r.rip - CODE));
    return false;
}

static bool tell_iterations(struct probe *p, uint32_t iterations, const char *doing, GError **error)
{
    if (!run_to_port(p, KVM_EXIT_IO_IN, doing, error))
        return false;
    memcpy((uint8_t *)p->run + p->run->io.data_offset, &iterations, sizeof iterations);
    return true;
}

/* One round in the guest; -1 on failure. */
static int64_t guest_round(struct probe *p, uint32_t iterations, GError **error)
{
    if (!tell_iterations(p, iterations, "a loop", error))
        return -1;
    int64_t start = now_ns();
    return run_to_port(p, KVM_EXIT_IO_OUT, "a loop", error) ? MAX(now_ns() - start, 1) : -1;
}

static int64_t native_round(uint32_t iterations, uint64_t *result)
{
    int64_t start = now_ns();
    *result = hw_probe_native(iterations);
    return MAX(now_ns() - start, 1);
}

static bool judge(int64_t guest, int64_t native, GError **error)
{
    double percent = 100.0 * native / guest;
    if (percent >= TOO_SLOW)
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                "/dev/kvm emulates instructions instead of running them: a loop ran at %.*f %% of native speed",
                percent < 1 ? 2 : 0, percent);
    return false;
}

/* The shorter of two rounds: the first one of all is slow everywhere. */
static int64_t two_rounds(struct probe *p, uint32_t iterations, GError **error)
{
    int64_t one = guest_round(p, iterations, error), other = one > 0 ? guest_round(p, iterations, error) : -1;
    return MIN(one, other);
}

static bool check_speed(struct probe *p, GError **error)
{
    int64_t start = now_ns(), guest, native;
    uint32_t iterations = FIRST;
    uint64_t result;
    while ((guest = two_rounds(p, iterations, error)) > 0 && guest < ENOUGH_NS && now_ns() - start < BUDGET_NS)
        iterations *= 4;
    native = native_round(iterations, &result);
    for (int i = 1; i < REPEATS && guest > 0 && now_ns() - start < BUDGET_NS; i++) {
        int64_t again = guest_round(p, iterations, error);
        guest = MIN(guest, again);
        native = MIN(native, native_round(iterations, &result));
    }
    if (guest < 0)
        return false;
    if (get64(p, RESULTS + 48) == result)
        return judge(guest, native, error);
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "/dev/kvm is of no use here: a loop gave a wrong result");
    return false;
}

static bool check_instructions(struct probe *p, GError **error)
{
    static const char doing[] = "64-bit code with CMPXCHG16B and SSE2";
    if (!tell_iterations(p, 0, doing, error) || !run_to_port(p, KVM_EXIT_IO_OUT, doing, error))
        return false;
    bool right = get64(p, RESULTS) == 4 && get64(p, RESULTS + 8) == 3 && p->memory[RESULTS + 16] == 1 &&
                 get64(p, RESULTS + 32) == 8 && get64(p, RESULTS + 40) == 6;
    if (!right)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "/dev/kvm is of no use here: CMPXCHG16B or SSE2 gave wrong results in 64-bit mode");
    return right;
}

bool hw_probe(GError **error)
{
    struct probe p = {.kvm = hw_open(error), .vm = -1, .vcpu = -1};
    if (p.kvm < 0)
        return false;
    bool ok = make(&p, error) && check_speed(&p, error) && check_instructions(&p, error);
    unmake(&p);
    return ok;
}
