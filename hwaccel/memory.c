// SPDX-License-Identifier: GPL-2.0-or-later
/* memory.c - KVM's memory slots, made from cpu_engine.map.
 *
 * A slot ties a stretch of guest-physical space to a stretch of our mapping of the memory file.  KVM can only create and
 * delete slots, so a change inside of one deletes it and creates its remains again; while that goes on, no vCPU may be in
 * the guest (hw_hold): it would find nothing where its memory should be.
 * What KVM's dirty log says of a slot is kept in one bitmap over the memory file, so that it survives its slot. */
#include "hwaccel/hw.h"
#include <string.h>
#include <sys/ioctl.h>

static struct hw_slot *slot_at(struct hw_memory *mem, unsigned i)
{
    return &g_array_index(mem->slots, struct hw_slot, i);
}

static bool overlaps(const struct hw_slot *s, uint64_t gpa, uint64_t bytes)
{
    return s->gpa < gpa + bytes && gpa < s->gpa + s->bytes;
}

void hw_memory_init(struct hw_memory *mem, int kvm_fd, uint64_t bytes)
{
    int max = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
    pthread_mutex_init(&mem->lock, NULL);
    mem->slots = g_array_new(FALSE, TRUE, sizeof(struct hw_slot));
    mem->free_ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    mem->max_slots = max > 0 ? max : 32;
    mem->dirty = g_new0(uint64_t, bytes / HW_PAGE / 64 + 1);
}

void hw_memory_free(struct hw_memory *mem)
{
    g_array_unref(mem->slots);
    g_array_unref(mem->free_ids);
    g_free(mem->dirty);
    pthread_mutex_destroy(&mem->lock);
}

static bool tell_kvm(struct hw_vm *vm, const struct hw_slot *s, uint64_t bytes)
{
    struct kvm_userspace_memory_region r = {.slot = s->id,
                                            .flags = s->flags,
                                            .guest_phys_addr = s->gpa,
                                            .memory_size = bytes,
                                            .userspace_addr = (uintptr_t)vm->config->memory + s->offset};
    return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r) == 0;
}

static uint32_t take_id(struct hw_memory *mem)
{
    if (!mem->free_ids->len)
        return mem->next_id++;
    uint32_t id = g_array_index(mem->free_ids, uint32_t, mem->free_ids->len - 1);
    g_array_set_size(mem->free_ids, mem->free_ids->len - 1);
    return id;
}

static bool add(struct hw_vm *vm, struct hw_slot s, GError **error)
{
    struct hw_memory *mem = &vm->memory;
    unsigned at = 0;
    if (mem->slots->len >= mem->max_slots) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "KVM has no more than %u memory slots on this host",
                    mem->max_slots);
        return false;
    }
    s.id = take_id(mem);
    if (!tell_kvm(vm, &s, s.bytes)) {
        hw_failed(error, "the guest's memory cannot be set up (KVM_SET_USER_MEMORY_REGION)");
        g_array_append_val(mem->free_ids, s.id);
        return false;
    }
    while (at < mem->slots->len && slot_at(mem, at)->gpa < s.gpa)
        at++;
    g_array_insert_val(mem->slots, at, s);
    return true;
}

/* Takes the dirty log of a slot into mem->dirty; KVM starts it anew. */
static void harvest(struct hw_vm *vm, const struct hw_slot *s)
{
    uint64_t pages = s->bytes / HW_PAGE, first = s->offset / HW_PAGE, words = (pages + 63) / 64;
    g_autofree uint64_t *bits = g_new0(uint64_t, words);
    struct kvm_dirty_log log = {.slot = s->id, .dirty_bitmap = bits};
    if (!(s->flags & KVM_MEM_LOG_DIRTY_PAGES) || ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) != 0)
        return;
    for (uint64_t w = 0; w < words; w++)
        for (uint64_t left = bits[w]; left; left &= left - 1) {
            uint64_t page = first + w * 64 + __builtin_ctzll(left);
            vm->memory.dirty[page / 64] |= 1ull << page % 64;
        }
}

static bool remove_at(struct hw_vm *vm, unsigned i, GError **error)
{
    struct hw_slot s = *slot_at(&vm->memory, i);
    harvest(vm, &s);
    if (!tell_kvm(vm, &s, 0))
        return hw_failed(error, "the guest's memory cannot be changed (KVM_SET_USER_MEMORY_REGION)");
    g_array_remove_index(vm->memory.slots, i);
    g_array_append_val(vm->memory.free_ids, s.id);
    return true;
}

static bool add_part(struct hw_vm *vm, const struct hw_slot *s, uint64_t gpa, uint64_t end, GError **error)
{
    struct hw_slot part = *s;
    if (gpa >= end)
        return true;
    part.gpa = gpa;
    part.bytes = end - gpa;
    part.offset += gpa - s->gpa;
    return add(vm, part, error);
}

/* Makes [gpa, gpa + bytes) empty; what reaches out of it stays. */
static bool clear(struct hw_vm *vm, uint64_t gpa, uint64_t bytes, GError **error)
{
    struct hw_memory *mem = &vm->memory;
    unsigned i = 0;
    while (i < mem->slots->len) {
        struct hw_slot s = *slot_at(mem, i);
        if (!overlaps(&s, gpa, bytes)) {
            i++;
            continue;
        }
        if (!remove_at(vm, i, error) || !add_part(vm, &s, s.gpa, gpa, error) ||
            !add_part(vm, &s, gpa + bytes, s.gpa + s.bytes, error))
            return false;
        i = 0;
    }
    return true;
}

static bool any_overlaps(struct hw_memory *mem, uint64_t gpa, uint64_t bytes)
{
    for (unsigned i = 0; i < mem->slots->len; i++)
        if (overlaps(slot_at(mem, i), gpa, bytes))
            return true;
    return false;
}

static bool already_so(struct hw_memory *mem, const struct hw_slot *wanted)
{
    for (unsigned i = 0; i < mem->slots->len; i++) {
        const struct hw_slot *s = slot_at(mem, i);
        if (s->gpa <= wanted->gpa && wanted->gpa + wanted->bytes <= s->gpa + s->bytes)
            return s->flags == wanted->flags && s->offset + (wanted->gpa - s->gpa) == wanted->offset;
    }
    return false;
}

/* The slot that is so but for its log: KVM can change that in place, and keeps what it knows of the guest's pages. */
static struct hw_slot *slot_but_log(struct hw_memory *mem, const struct hw_slot *wanted)
{
    for (unsigned i = 0; i < mem->slots->len; i++) {
        struct hw_slot *s = slot_at(mem, i);
        if (s->gpa == wanted->gpa && s->bytes == wanted->bytes && s->offset == wanted->offset)
            return (s->flags ^ wanted->flags) == KVM_MEM_LOG_DIRTY_PAGES ? s : NULL;
    }
    return NULL;
}

static bool change_log(struct hw_vm *vm, struct hw_slot *s, uint32_t flags)
{
    uint32_t old = s->flags;
    harvest(vm, s);
    s->flags = flags;
    if (tell_kvm(vm, s, s->bytes))
        return true;
    s->flags = old;
    return false;
}

static bool map_locked(struct hw_vm *vm, const struct hw_slot *wanted, bool empty, GError **error)
{
    if (empty ? !any_overlaps(&vm->memory, wanted->gpa, wanted->bytes) : already_so(&vm->memory, wanted))
        return true;
    if (!any_overlaps(&vm->memory, wanted->gpa, wanted->bytes))
        return add(vm, *wanted, error);
    struct hw_slot *same = empty ? NULL : slot_but_log(&vm->memory, wanted);
    if (same && change_log(vm, same, wanted->flags))
        return true;
    hw_hold(vm);
    bool ok = clear(vm, wanted->gpa, wanted->bytes, error) && (empty || add(vm, *wanted, error));
    hw_release(vm);
    return ok;
}

bool hw_map(void *evm, uint64_t gpa, uint64_t bytes, uint64_t offset, int how, GError **error)
{
    struct hw_vm *vm = evm;
    int kind = how & ~CPU_MAP_LOG;
    struct hw_slot wanted = {.gpa = gpa,
                             .bytes = bytes,
                             .offset = offset,
                             .flags = (kind == CPU_MAP_READONLY ? KVM_MEM_READONLY : 0) |
                                      (how & CPU_MAP_LOG ? KVM_MEM_LOG_DIRTY_PAGES : 0)};
    g_assert(bytes && !((gpa | bytes | offset) & (HW_PAGE - 1)) && gpa + bytes > gpa);
    g_assert(kind == CPU_MAP_NONE || (offset < vm->config->memory_bytes && bytes <= vm->config->memory_bytes - offset));
    pthread_mutex_lock(&vm->memory.lock);
    bool ok = map_locked(vm, &wanted, kind == CPU_MAP_NONE, error);
    pthread_mutex_unlock(&vm->memory.lock);
    return ok;
}

/* Moves the bits of [offset, offset + bytes) to the caller's bitmap. */
static void hand_over(struct hw_memory *mem, uint64_t offset, uint64_t bytes, uint64_t *bitmap)
{
    uint64_t first = offset / HW_PAGE;
    for (uint64_t i = 0; i < bytes / HW_PAGE; i++) {
        uint64_t *word = &mem->dirty[(first + i) / 64], bit = 1ull << (first + i) % 64;
        if (*word & bit)
            bitmap[i / 64] |= 1ull << i % 64;
        *word &= ~bit;
    }
}

void hw_dirty(void *evm, uint64_t offset, uint64_t bytes, uint64_t *bitmap)
{
    struct hw_vm *vm = evm;
    struct hw_memory *mem = &vm->memory;
    g_assert(offset < vm->config->memory_bytes && bytes <= vm->config->memory_bytes - offset);
    pthread_mutex_lock(&mem->lock);
    for (unsigned i = 0; i < mem->slots->len; i++) {
        const struct hw_slot *s = slot_at(mem, i);
        if (s->offset < offset + bytes && offset < s->offset + s->bytes)
            harvest(vm, s);
    }
    hand_over(mem, offset, bytes, bitmap);
    pthread_mutex_unlock(&mem->lock);
}

static bool peek_byte(struct hw_vm *vm, uint64_t gpa, uint8_t *byte)
{
    for (unsigned i = 0; i < vm->memory.slots->len; i++) {
        const struct hw_slot *s = slot_at(&vm->memory, i);
        if (gpa - s->gpa < s->bytes) {
            *byte = vm->config->memory[s->offset + (gpa - s->gpa)];
            return true;
        }
    }
    return false;
}

bool hw_peek(void *evm, uint64_t gpa, void *buffer, size_t bytes)
{
    struct hw_vm *vm = evm;
    uint8_t *out = buffer;
    bool ok = true;
    pthread_mutex_lock(&vm->memory.lock);
    for (size_t i = 0; i < bytes && ok; i++)
        ok = peek_byte(vm, gpa + i, &out[i]);
    pthread_mutex_unlock(&vm->memory.lock);
    return ok;
}
