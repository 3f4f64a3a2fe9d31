// SPDX-License-Identifier: GPL-2.0-or-later
/* vm.c - the guest-physical memory map and the dirty log of one VM. */
#include "patcher/vm.h"

void vm_request_all(struct soft_vm *vm, uint32_t bits)
{
    for (unsigned i = 0; i < vm->cfg->cpus; i++)
        if (vm->vcpu[i])
            request(vm->vcpu[i], bits);
}

static _Atomic uint64_t *gpa_table(struct soft_vm *vm, uint64_t gpa)
{
    _Atomic(_Atomic uint64_t *) *slot = &vm->gpa[gpa >> (12 + GPA_L2_BITS)];
    if (!atomic_load(slot))
        atomic_store(slot, g_malloc0(sizeof(uint64_t) << GPA_L2_BITS));
    return atomic_load(slot);
}

bool vm_map(struct soft_vm *vm, uint64_t gpa, uint64_t bytes, uint64_t offset, int how, GError **error)
{
    int kind = how & ~CPU_MAP_LOG;
    if ((gpa | bytes | offset) % PAGE_SIZE || gpa > GPA_MASK || bytes > GPA_MASK + 1 - gpa ||
        (kind != CPU_MAP_NONE && offset + bytes > vm->pages * PAGE_SIZE)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "cannot map guest address 0x%" G_GINT64_MODIFIER "x: not page-aligned or out of range", gpa);
        return false;
    }
    uint64_t bits = GPA_RAM | (kind == CPU_MAP_READONLY ? GPA_READONLY : 0) | (how & CPU_MAP_LOG ? GPA_LOG : 0);
    g_mutex_lock(&vm->lock);
    for (uint64_t done = 0; done < bytes; done += PAGE_SIZE)
        atomic_store_explicit(&gpa_table(vm, gpa + done)[(gpa + done) >> 12 & ((1u << GPA_L2_BITS) - 1)],
                              kind == CPU_MAP_NONE ? 0 : (offset + done) | bits, memory_order_relaxed);
    g_mutex_unlock(&vm->lock);
    vm_request_all(vm, REQ_FLUSH);
    return true;
}

void vm_mark_dirty(struct soft_vm *vm, uint64_t offset)
{
    uint64_t page = offset >> 12, bit = 1ull << (page & 63);
    if (!(atomic_load_explicit(&vm->dirty[page >> 6], memory_order_relaxed) & bit))
        atomic_fetch_or(&vm->dirty[page >> 6], bit);
}

/* A vCPU that still has a page's write tag drops it at its next block end and notes the page as dirty once more, so that
 * no write between is lost. */
void vm_dirty(struct soft_vm *vm, uint64_t offset, uint64_t bytes, uint64_t *bitmap)
{
    bool any = false;
    for (uint64_t i = 0; i < bytes >> 12; i++) {
        uint64_t page = (offset >> 12) + i, bit = 1ull << (page & 63);
        if (page >= vm->pages || !(atomic_load_explicit(&vm->dirty[page >> 6], memory_order_relaxed) & bit))
            continue;
        atomic_fetch_and(&vm->dirty[page >> 6], ~bit);
        bitmap[i >> 6] |= 1ull << (i & 63);
        any = true;
    }
    if (any)
        vm_request_all(vm, REQ_UNWRITE);
}
