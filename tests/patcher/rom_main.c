// SPDX-License-Identifier: GPL-2.0-or-later
/* rom_main.c - run a BIOS-less test ROM (as test386.asm makes) on an engine alone, by hand:
 *
 *   rom FILE [ENGINE]
 *
 * The ROM lies below 1 MiB and below 4 GiB.  What it writes to port E9h goes to standard output, POST codes (port 80h)
 * to standard error.  Ends at HLT or shutdown, with exit code 0 if the last POST code was FFh. */
#include "tests/patcher/fake_machine.h"
#include "patcher/patcher.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_BYTES 0x200000

struct rom {
    struct machine machine;
    unsigned post;
};

static void out(struct machine *m, uint16_t port, unsigned size, uint64_t value)
{
    struct rom *r = (struct rom *)m;
    if (port == 0xe9) {
        putchar((int)(value & 0xff));
    } else if (port == 0x80) {
        r->post = value & 0xff;
        fprintf(stderr, "POST %02x\n", r->post);
    }
}

int main(int argc, char **argv)
{
    static struct rom r = {.machine.out = out};
    static _Atomic int64_t tsc_offset;
    g_autoptr(GError) error = NULL;
    g_autofree char *image = NULL;
    gsize bytes;
    if (argc < 2 || !g_file_get_contents(argv[1], &image, &bytes, &error) || bytes > 0x40000 || bytes % 4096) {
        fprintf(stderr, "rom: %s\n", error ? error->message : "usage: rom FILE (at most 256 KiB, whole pages)");
        return 2;
    }
    const struct cpu_engine *engine = &interp_engine;
    struct cpu_vm vm = {.machine = &r.machine,
                        .cpus = 1,
                        .memory_bytes = MEMORY_BYTES,
                        .tsc_offset = &tsc_offset,
                        .tsc_khz = 1000000,
                        .model = "host",
                        .options = "",
                        .memory_fd = memfd_create("guest", MFD_CLOEXEC)};
    if (ftruncate(vm.memory_fd, MEMORY_BYTES))
        g_error("no memory");
    vm.memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, vm.memory_fd, 0);
    memcpy(vm.memory + 0x100000, image, bytes);
    void *evm = engine->vm_new(&vm, &error);
    bool mapped = evm && engine->map(evm, 0, 0x100000, 0, CPU_MAP_RAM, &error) &&
                  engine->map(evm, 0x100000 - bytes, bytes, 0x100000, CPU_MAP_READONLY, &error) &&
                  engine->map(evm, 0x100000000 - bytes, bytes, 0x100000, CPU_MAP_READONLY, &error);
    void *vcpu = mapped ? engine->vcpu_new(evm, 0, &error) : NULL;
    if (!vcpu)
        g_error("%s", error->message);
    enum cpu_stop stop = engine->run(vcpu, &error);
    struct x86_state s;
    engine->get_state(vcpu, &s);
    fflush(stdout);
    fprintf(stderr, "stopped (%d) at %04x:%" G_GINT64_MODIFIER "x, last POST code %02x\n", stop, s.seg[X86_CS].selector,
            s.rip, r.post);
    engine->vm_free(evm);
    return r.post == 0xff ? 0 : 1;
}
