// SPDX-License-Identifier: GPL-2.0-or-later
/* mem.c - memory accesses that the inline fast paths of soft.h do not serve: TLB misses, page crossings, MMIO, ROM,
 * pages with decoded code, logged pages, alignment checks and data breakpoints.
 *
 * An access is cut at page ends into at most two pieces (more for blocks); every piece is probed before the first
 * one moves, so that a fault leaves memory as it was. */
#include "patcher/vm.h"
#include "patcher/interp/breakpoints.h"
#include <string.h>

static uint64_t load_host(const void *p, unsigned size)
{
    switch (size) {
    case 1: return __atomic_load_n((const uint8_t *)p, __ATOMIC_RELAXED);
    case 2: return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
    case 4: return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
    default: return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
    }
}

static void store_host(void *p, unsigned size, uint64_t v)
{
    switch (size) {
    case 1: __atomic_store_n((uint8_t *)p, v, __ATOMIC_RELAXED); break;
    case 2: __atomic_store_n((uint16_t *)p, v, __ATOMIC_RELAXED); break;
    case 4: __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELAXED); break;
    default: __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED); break;
    }
}

static bool power_of_two(unsigned n)
{
    return n == 1 || n == 2 || n == 4 || n == 8;
}

/* One piece within a page. */
static void piece_read(struct vcpu *c, const struct tlb_info *i, uint64_t lin, void *to, unsigned size)
{
    unsigned at = lin & ~PAGE_MASK;
    if (i->page & GPA_RAM) {
        const void *from = c->vm->memory + (i->page & PAGE_MASK) + at;
        if (power_of_two(size))
            store_host(to, size, load_host(from, size));
        else
            memcpy(to, from, size);
        return;
    }
    for (unsigned n; size; size -= n, at += n, to = (char *)to + n) {
        n = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
        count(c, COUNT_DEVICE_ACCESSES);
        store_host(to, n, machine_load(outside(c), c->index, i->gpa + at, n));
    }
}

static void piece_write(struct vcpu *c, const struct tlb_info *i, uint64_t lin, const void *from, unsigned size)
{
    unsigned at = lin & ~PAGE_MASK;
    if ((i->page & (GPA_RAM | GPA_READONLY)) == GPA_RAM) {
        uint64_t offset = (i->page & PAGE_MASK) + at;
        void *to = c->vm->memory + offset;
        if (power_of_two(size))
            store_host(to, size, load_host(from, size));
        else
            memcpy(to, from, size);
        if (i->page & GPA_LOG)
            vm_mark_dirty(c->vm, offset);
        code_written(c->vm, c, offset, size);
        return;
    }
    uint64_t gpa = i->gpa;
    for (unsigned n; size; size -= n, at += n, from = (const char *)from + n) {
        n = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
        count(c, COUNT_DEVICE_ACCESSES);
        machine_store(outside(c), c->index, gpa + at, n, load_host(from, n));
    }
    if (atomic_load(&c->request) & REQ_FLUSH) /* the store moved memory: the next access must see it */
        tlb_flush(c);
}

/* Where linear addresses end: 32-bit addresses wrap, unless a flat segment's limit forbids it. */
static uint64_t wrap(const struct vcpu *c, uint64_t lin)
{
    return code64(c) ? lin : (uint32_t)lin;
}

static unsigned address_fault(const struct insn *in)
{
    return in && in->seg == X86_SS ? EXC_SS : EXC_GP;
}

/* Checks of the address as such: canonical form, the end of a flat 4 GiB segment, alignment, breakpoints. */
static void check_address(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned size, int access)
{
    if (in) {
        sync_ip(c, in);
        bool bad = code64(c) ? !canonical(lin) || !canonical(lin + size - 1)
                             : !(in->flags & INSN_SEGMENTED) && lin + size - 1 > 0xffffffff &&
                                   !c->vm->host.quirks.segment_end_pages;
        if (bad)
            raise_error(c, address_fault(in), 0);
    }
    if (likely(c->tlb != c->views[VIEW_SLOW]))
        return;
    if (c->cpl == 3 && c->rflags & RFLAG_AC && c->cr0 & CR0_AM && size <= 8 && lin & (size - 1))
        raise_error(c, EXC_AC, 0);
    debug_data_access(c, lin, size, access & ACCESS_WRITE);
}

static void cut(struct vcpu *c, unsigned view, uint64_t lin, unsigned size, int access, struct pieces *p)
{
    unsigned left = PAGE_SIZE - (lin & ~PAGE_MASK);
    p->head = size < left ? size : left;
    p->first = *tlb_get(c, view, lin, access);
    if (size > p->head) {
        count(c, COUNT_PAGE_CROSSINGS);
        p->second = *tlb_get(c, view, wrap(c, lin + p->head), access);
    }
}

static void pieces_read(struct vcpu *c, const struct pieces *p, uint64_t lin, void *to, unsigned size)
{
    piece_read(c, &p->first, lin, to, p->head);
    if (size > p->head)
        piece_read(c, &p->second, wrap(c, lin + p->head), (char *)to + p->head, size - p->head);
}

static void pieces_write(struct vcpu *c, const struct pieces *p, uint64_t lin, const void *from, unsigned size)
{
    piece_write(c, &p->first, lin, from, p->head);
    if (size > p->head)
        piece_write(c, &p->second, wrap(c, lin + p->head), (const char *)from + p->head, size - p->head);
}

uint64_t mem_read_slow(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned size)
{
    uint64_t v = 0;
    struct pieces p;
    check_address(c, in, lin, size, ACCESS_READ);
    cut(c, c->view, lin, size, ACCESS_READ, &p);
    pieces_read(c, &p, lin, &v, size);
    return v;
}

void mem_write_slow(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned size, uint64_t v)
{
    struct pieces p;
    check_address(c, in, lin, size, ACCESS_WRITE);
    cut(c, c->view, lin, size, ACCESS_WRITE, &p);
    pieces_write(c, &p, lin, &v, size);
}

static unsigned block_piece(uint64_t lin, unsigned size)
{
    unsigned left = PAGE_SIZE - (lin & ~PAGE_MASK);
    return size < left ? size : left;
}

void mem_probe(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned size, int access)
{
    check_address(c, in, lin, size, access);
    for (unsigned n; size; size -= n, lin = wrap(c, lin + n)) {
        n = block_piece(lin, size);
        tlb_get(c, c->view, lin, access);
    }
}

void mem_read_bytes(struct vcpu *c, const struct insn *in, uint64_t lin, void *to, unsigned size)
{
    const struct tlb_entry *e = tlb_slot(c, lin);
    if (likely(size <= PAGE_SIZE && tlb_hit(c, e->read, lin, size))) {
        memcpy(to, (const void *)(lin + e->addend), size);
        return;
    }
    mem_probe(c, in, lin, size, ACCESS_READ);
    for (unsigned n; size; size -= n, lin = wrap(c, lin + n), to = (char *)to + n) {
        n = block_piece(lin, size);
        piece_read(c, tlb_get(c, c->view, lin, ACCESS_READ), lin, to, n);
    }
}

void mem_write_bytes(struct vcpu *c, const struct insn *in, uint64_t lin, const void *from, unsigned size)
{
    const struct tlb_entry *e = tlb_slot(c, lin);
    if (likely(size <= PAGE_SIZE && tlb_hit(c, e->write, lin, size))) {
        memcpy((void *)(lin + e->addend), from, size);
        return;
    }
    mem_probe(c, in, lin, size, ACCESS_WRITE);
    for (unsigned n; size; size -= n, lin = wrap(c, lin + n), from = (const char *)from + n) {
        n = block_piece(lin, size);
        piece_write(c, tlb_get(c, c->view, lin, ACCESS_WRITE), lin, from, n);
    }
}

/* ---- implicit supervisor accesses ------------------------------------------------------------------------------ */
/* Plain RAM that the supervisor's TLB knows, or NULL. */
static void *sys_direct(struct vcpu *c, uint64_t lin, unsigned size, bool write)
{
    unsigned view = super_view(c);
    const struct tlb_entry *e = &c->views[view][lin >> 12 & (TLB_SIZE - 1)];
    uint64_t at = lin ^ (write ? e->write : e->read) ^ c->view_gen[view];
    return at <= PAGE_SIZE - size ? (void *)(lin + e->addend) : NULL;
}

uint64_t sys_read(struct vcpu *c, uint64_t lin, unsigned size)
{
    uint64_t v = 0;
    struct pieces p;
    const void *direct = power_of_two(size) ? sys_direct(c, lin, size, false) : NULL;
    if (likely(direct))
        return load_host(direct, size);
    if (long_mode(c) && !canonical(lin))
        raise_error(c, EXC_GP, 0);
    cut(c, super_view(c), lin, size, ACCESS_READ, &p);
    pieces_read(c, &p, lin, &v, size);
    return v;
}

bool sys_peek(struct vcpu *c, uint64_t lin, uint64_t *v)
{
    const void *direct = sys_direct(c, lin, 8, false);
    if (direct)
        *v = load_host(direct, 8);
    return direct;
}

void sys_write(struct vcpu *c, uint64_t lin, unsigned size, uint64_t v)
{
    struct pieces p;
    void *direct = power_of_two(size) ? sys_direct(c, lin, size, true) : NULL;
    if (likely(direct)) {
        store_host(direct, size, v);
        return;
    }
    if (long_mode(c) && !canonical(lin))
        raise_error(c, EXC_GP, 0);
    cut(c, super_view(c), lin, size, ACCESS_WRITE, &p);
    pieces_write(c, &p, lin, &v, size);
}

void sys_probe(struct vcpu *c, uint64_t lin, unsigned size, int access)
{
    for (unsigned n; size; size -= n, lin = wrap(c, lin + n)) {
        n = block_piece(lin, size);
        tlb_get(c, super_view(c), lin, access);
    }
}

/* ---- read-modify-write ------------------------------------------------------------------------------------------ */
void *rmw_slow(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned size)
{
    struct pieces *p = &c->rmw;
    bool lock = in->flags & INSN_LOCK;
    check_address(c, in, lin, size, ACCESS_READ | ACCESS_WRITE);
    cut(c, c->view, lin, size, ACCESS_READ | ACCESS_WRITE, p);
    c->rmw_lin = lin;
    c->rmw_size = size;
    if (p->head == size && (p->first.page & (GPA_RAM | GPA_READONLY)) == GPA_RAM) {
        uint64_t offset = (p->first.page & PAGE_MASK) + (lin & ~PAGE_MASK);
        c->rmw_kind = RMW_CODE;
        if (p->first.page & GPA_LOG)
            vm_mark_dirty(c->vm, offset);
        return c->vm->memory + offset;
    }
    c->rmw_kind = lock ? RMW_LOCKED_BUFFER : RMW_BUFFER;
    if (lock)
        g_mutex_lock(&c->vm->split_lock);
    pieces_read(c, p, lin, c->rmw_buffer, size);
    return c->rmw_buffer;
}

void rmw_finish(struct vcpu *c)
{
    unsigned kind = c->rmw_kind;
    c->rmw_kind = RMW_DIRECT;
    if (kind == RMW_CODE) {
        if (c->rmw.first.page & GPA_LOG) /* the log may have been read since the instruction began */
            vm_mark_dirty(c->vm, c->rmw.first.page & PAGE_MASK);
        code_written(c->vm, c, (c->rmw.first.page & PAGE_MASK) + (c->rmw_lin & ~PAGE_MASK), c->rmw_size);
        return;
    }
    pieces_write(c, &c->rmw, c->rmw_lin, c->rmw_buffer, c->rmw_size);
    if (kind == RMW_LOCKED_BUFFER)
        g_mutex_unlock(&c->vm->split_lock);
}

/* ---- registers by size ---------------------------------------------------------------------------------------- */
uint64_t reg_get(struct vcpu *c, unsigned at, unsigned size)
{
    return load_host(reg8(c, at), size);
}

void reg_set(struct vcpu *c, unsigned at, unsigned size, uint64_t v)
{
    if (size == 4)
        set_reg32(c, at, v);
    else
        store_host(reg8(c, at), size, v);
}
