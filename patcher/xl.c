// SPDX-License-Identifier: GPL-2.0-or-later
/* xl.c - tier 2's housekeeping: the code cache, when a run is translated, how translated code and C meet. */
#include "xl.h"
#include "fpu.h"
#include "lockstep.h"
#include <errno.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RESERVE = 64 << 10, REWRITTEN_MAX = 8 /* hotter by 2 to this */ };

/* ---- the cache ---------------------------------------------------------------------------------------------------------- */
static bool map_cache(struct xl *x, GError **error)
{
    x->bytes = x->c->vm->budget.code;
    x->hot_bytes = x->bytes / 2 & PAGE_MASK;
    x->fd = memfd_create("terrarium-code", MFD_CLOEXEC);
    if (x->fd >= 0 && ftruncate(x->fd, x->bytes) == 0) {
        x->rw = mmap(NULL, x->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, x->fd, 0);
        x->rx = mmap(NULL, x->bytes, PROT_READ | PROT_EXEC, MAP_SHARED, x->fd, 0);
        if (x->rw != MAP_FAILED && x->rx != MAP_FAILED)
            return true;
    }
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                "No memory for translated code (%zu MiB, writable and executable by two mappings): %s; engine = interp "
                "does without",
                x->bytes >> 20, g_strerror(errno));
    return false;
}

static void targets_empty(struct vcpu *c)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(c->xl_target); i++)
        c->xl_target[i] = (struct xl_target){0, c->xl->search};
    memset(c->xl->target_pages, 0, sizeof c->xl->target_pages);
}

/* insn.fn behind the one instruction of xl_step() */
static struct run *stop_here(struct vcpu *c, const struct insn *in)
{
    return (struct run *)c; /* no run: the sign to go on in translated code */
}

static struct run *new_step(void)
{
    struct run *one = g_malloc0(sizeof *one + 2 * sizeof(struct insn));
    one->count = 2;
    one->insn[1] = (struct insn){.fn = stop_here, .number = 1};
    return one;
}

bool xl_new(struct vcpu *c, GError **error)
{
    struct xl *x = c->xl = g_new0(struct xl, 1);
    x->c = c;
    if (c->vm->lockstep)
        c->lockstep = lockstep_new();
    x->bmi2 = c->vm->host.bmi2;
    x->one = new_step();
    x->runs = g_ptr_array_new();
    x->allocated = g_ptr_array_new_with_free_func(g_free);
    if (!map_cache(x, error))
        return false;
    struct emit e = {.at = x->rw, .end = x->rw + x->bytes, .to_exec = x->rx - x->rw};
    xl_stubs(x, &e);
    x->used = x->stubs = (e.at - x->rw + 63) & ~63ull;
    targets_empty(c);
    return true;
}

void xl_free(struct vcpu *c)
{
    struct xl *x = c->xl;
    if (!x)
        return;
    if (x->rw && x->rw != MAP_FAILED)
        munmap(x->rw, x->bytes);
    if (x->rx && x->rx != MAP_FAILED)
        munmap(x->rx, x->bytes);
    if (x->fd >= 0)
        close(x->fd);
    g_ptr_array_unref(x->runs);
    g_ptr_array_unref(x->allocated);
    lockstep_free(c->lockstep);
    g_free(x->one);
    g_free(x);
    c->xl = NULL;
}

static void note_use(struct xl *x)
{
    x->most_used = MAX(x->most_used, x->used + x->cold_used);
    x->most_notes = MAX(x->most_notes, x->notes);
}

void xl_memory(const struct vcpu *c, struct cpu_memory *m)
{
    const struct xl *x = c->xl;
    budget_add(m, sizeof *x + MAX(x->most_used, x->used + x->cold_used), sizeof *x + x->bytes);
    budget_add(m, MAX(x->most_notes, x->notes), c->vm->budget.notes);
}

void xl_drop_all(struct vcpu *c)
{
    struct xl *x = c->xl;
    fpu_leave(c); /* for the C library's sake */
    note_use(x);
    x->used = x->stubs;
    x->cold_used = x->notes = 0;
    memset(x->rewritten, 0, sizeof x->rewritten);
    memset(x->narrow, 0, sizeof x->narrow);
    memset(x->netted, 0, sizeof x->netted);
    x->drops++;
    g_ptr_array_set_size(x->runs, 0);
    g_ptr_array_set_size(x->allocated, 0);
    targets_empty(c);
}

void *xl_keep(struct xl *x, void *p) /* until the cache is dropped */
{
    g_ptr_array_add(x->allocated, p);
    x->notes += malloc_usable_size(p) + sizeof(size_t) + sizeof p;
    return p;
}

struct xl_link *xl_link_new(struct xl *x, struct xl_run *from, uint8_t *patch, uint16_t offset)
{
    struct xl_link *l = xl_keep(x, g_new(struct xl_link, 1));
    *l = (struct xl_link){from, patch, offset};
    return l;
}

/* ---- contexts ------------------------------------------------------------------------------------------------------------ */
void xl_context_update(struct vcpu *c)
{
    uint64_t number = tlb_code_number(c) >> TLB_GEN_SHIFT;
    unsigned code = c->mode & (MODE_CODE | MODE_STACK32), slow = c->tlb == c->views[VIEW_SLOW];
    c->xl_context = (number << 3 | (code ^ slow)) << 48; /* 16-bit code is not translated: its numbers are free */
}

void xl_context_wipe(struct vcpu *c)
{
    if (c->xl)
        targets_empty(c);
}

/* As xl_tr_jump_indirect() has it: functions at regular distances must not share an entry. */
unsigned xl_target_index(const struct xl *x, uint64_t ip)
{
    return (ip + (x->bmi2 ? ip >> 12 : 0)) & (XL_TARGETS - 1);
}

/* Pages that share a bit share their 4096 entries, too. */
static uint64_t *target_page(struct xl *x, uint64_t lin, uint64_t *bit)
{
    unsigned n = lin >> 12 & (XL_TARGETS - 1);
    *bit = 1ull << n % 64;
    return &x->target_pages[n / 64];
}

static uint64_t low_bits(uint64_t ip) /* those that an entry's key shows in any context */
{
    return ip << 16 >> 16;
}

/* Of entries [from, to): no context has the number 0. */
static void make_stale(struct vcpu *c, unsigned from, unsigned to, uint64_t lin)
{
    for (struct xl_target *e = &c->xl_target[from]; e < &c->xl_target[to]; e++) {
        uint64_t ip = low_bits(-e->key);
        if (((ip ^ lin) >> 12 & (XL_TARGETS - 1)) == 0)
            e->key = -ip;
    }
}

/* A page was taken from the TLB without a new generation: indirect jumps into it must find out again.  Most pages that this
 * happens to have no code. */
void xl_context_flush(struct vcpu *c, uint64_t lin)
{
    uint64_t bit, *word = c->xl ? target_page(c->xl, lin, &bit) : NULL;
    if (!word || !(*word & bit))
        return;
    unsigned first = xl_target_index(c->xl, lin & PAGE_MASK), end = first + PAGE_SIZE;
    make_stale(c, first, MIN(end, XL_TARGETS) + XL_TARGET_WAYS - 1, lin);
    if (end > XL_TARGETS)
        make_stale(c, 0, end - XL_TARGETS + XL_TARGET_WAYS - 1, lin);
    if (c->xl->bmi2)
        *word &= ~bit;
}

/* ---- runs ------------------------------------------------------------------------------------------------------------------ */
static void patch_jump(struct xl *x, uint8_t *exec_at, const uint8_t *target)
{
    struct emit e = {.at = x->rw + (exec_at - x->rx), .end = x->rw + x->bytes, .to_exec = x->rx - x->rw};
    e_jmp(&e, target);
}

static unsigned place_of(uint64_t host)
{
    return (host >> 4 ^ host >> 16) % XL_PLACES;
}

/* Nobody enters it any more. */
static void close_entries(struct xl *x, struct run *r)
{
    patch_jump(x, r->xl->code, r->xl->dead);
    patch_jump(x, r->xl->indirect, x->miss);
    memset(x->rw + (r->xl->indirect - x->rx) - sizeof(struct xl_label), 0, sizeof(struct xl_label));
    r->xl = NULL;
}

void xl_kill(struct vcpu *c, struct run *r)
{
    if (!r->xl)
        return;
    uint8_t *rewritten = &c->xl->rewritten[place_of(r->xl->host)];
    if (*rewritten < REWRITTEN_MAX)
        ++*rewritten;
    close_entries(c->xl, r);
}

/* An instruction across a page end asks the TLB for its second page, and that of VIEW_SLOW has nothing. */
static bool translatable(const struct run *r)
{
    unsigned code = r->mode & MODE_CODE;
    bool second_page = !r->host2 || r->mode >> MODE_TABLE_SHIFT != VIEW_SLOW;
    return r->host && second_page && !r->faults && !(r->mode & MODE_ONE) &&
           (code == CODE64 || (code == CODE32 && r->mode & MODE_FLAT));
}

static bool full(const struct vcpu *c)
{
    const struct xl *x = c->xl;
    return x->used + RESERVE > x->hot_bytes || x->hot_bytes + x->cold_used + RESERVE > x->bytes ||
           x->notes + RESERVE > c->vm->budget.notes || code_kept_full(c);
}

struct run *xl_count_entry(struct vcpu *c, const struct insn *in)
{
    struct run *r = (struct run *)insn_run(in);
    if (++r->heat >> c->xl->rewritten[place_of((uint64_t)r->host)] < c->vm->hot)
        return r->first(c, in);
    if (!translatable(r)) {
        r->insn[0].fn = r->first;
        return r->first(c, in);
    }
    if (full(c)) {
        c->rip = c->gpr[REG_RUN_IP];
        count(c, COUNT_DROPS_CODE_FULL);
        code_drop_all(c);
        return NULL;
    }
    fpu_leave(c); /* for the C library's sake */
    count(c, COUNT_RUNS_TRANSLATED);
    struct xl_run *xr = xl_translate(c, r);
    xr->run = r = code_keep(c, r);
    r->xl = xr;
    g_ptr_array_add(c->xl->runs, r->xl);
    c->xl->notes += sizeof(void *);
    r->insn[0].fn = xl_entry;
    return xl_entry(c, r->insn);
}

static void set_page(struct vcpu *c, uint64_t ip)
{
    c->xl_page = ip & PAGE_MASK;
}

struct run *xl_entry(struct vcpu *c, const struct insn *in)
{
    const struct run *r = insn_run(in);
    struct run *(*enter)(struct vcpu * c, const uint8_t *code) = (void *)c->xl->enter;
    set_page(c, c->gpr[REG_RUN_IP]);
    count(c, COUNT_ENTERED);
    if (unlikely(c->lockstep))
        lockstep_begin(c, r->xl, 0, c->gpr[REG_RUN_IP]);
    struct run *next = enter(c, r->xl->code);
    if (c->xl_x87_ip)
        xl_x87_pointers(c);
    return next;
}

/* ---- detours: translated code called ---------------------------------------------------------------------------------- */
/* A copy of an instruction, alone in its run. */
static const struct insn *alone(struct vcpu *c, const struct xl_run *xr, unsigned number)
{
    const struct run *r = xr->run;
    struct run *one = c->xl->one;
    one->raw = r->raw;
    one->host = r->host;
    one->mode = r->mode;
    one->insn[0] = *code_insn(c, r, number, xr->point[number].ip);
    one->insn[0].number = 0;
    return one->insn;
}

struct run *xl_step(struct vcpu *c, const struct xl_run *xr, unsigned number)
{
    const struct insn *in = alone(c, xr, number);
    return in->fn(c, in);
}

void xl_at_point(struct vcpu *c, const struct xl_point *p)
{
    const struct xl_run *xr = xl_run_of(p);
    c->gpr[REG_RUN_IP] = c->xl_page + xr->offset;
    if (c->xl_x87_ip)
        xl_x87_pointers(c);
    if (unlikely(c->lockstep))
        lockstep_end(c, c->gpr[REG_RUN_IP] + p->ip, p->live);
}

static const uint8_t *enter_code(struct vcpu *c, const struct run *r)
{
    if (unlikely(c->lockstep))
        lockstep_begin(c, r->xl, 0, c->rip);
    return r->xl->code;
}

/* A run has ended in tier 1: stay in translated code if the next one is. */
static const uint8_t *go_on_with(struct vcpu *c, struct run *next)
{
    c->xl_next = next;
    if (atomic_load_explicit(&c->request, memory_order_relaxed))
        return NULL;
    if (!next) {
        c->link = NULL;
        c->xl_next = next = code_find(c);
    }
    if (!next->xl || c->rip + next->bytes - 1 > c->code_limit)
        return NULL;
    set_page(c, c->rip);
    return enter_code(c, next);
}

const uint8_t *xl_exec_c(struct vcpu *c, void *point)
{
    const struct xl_point *p = point;
    struct run *r = xl_run_of(p)->run;
    xl_at_point(c, p);
    const struct insn *in = alone(c, xl_run_of(p), p->number);
    uint16_t behind = in->ip + in->len;
    stats_opcode(c, in, !p->untranslated);
    struct run *next = in->fn(c, in);
    if (next != (struct run *)c) {
        c->link = NULL; /* it was in the copy */
        return go_on_with(c, next);
    }
    if (c->replay->live && (p->vector_use || !c->xl_vector))
        xl_vector_update(c);
    if (likely(r->host) && xl_vector_ready(c, p->checked)) {
        if (unlikely(c->lockstep))
            lockstep_begin(c, r->xl, p->number + 1, c->gpr[REG_RUN_IP]);
        return c->xl_resume;
    }
    count(c, COUNT_LEFT_CHANGED);
    c->rip = c->gpr[REG_RUN_IP] + behind; /* it changed its own code, or the vector state's use */
    c->xl_next = NULL;
    return NULL;
}

unsigned xl_narrow(struct xl *x, uint64_t host)
{
    return x->narrow[place_of(host)];
}

void xl_abandon(struct vcpu *c, struct run *r)
{
    close_entries(c->xl, r);
    r->host = NULL;
    r->insn[0].fn = exec_invalid;
}

/* Its groups of operands do not lie in one page so often that it costs a hundredth of the time: when it is translated
 * again they are narrower.  began: when tier 1 took over, in cycles. */
static void narrow_groups(struct vcpu *c, struct run *r, uint64_t began)
{
    enum { MANY = 64, SHARE = 100 };
    struct xl_run *xr = r->xl;
    uint64_t now = __builtin_ia32_rdtsc();
    xr->rest_cycles += now - began;
    if (++xr->rests < MANY)
        return;
    bool costly = xr->rest_cycles * SHARE > now - xr->rests_since;
    xr->rests = 0;
    xr->rest_cycles = 0;
    xr->rests_since = now;
    if (!costly)
        return;
    if (xl_narrow(c->xl, xr->host) < NEVER_GROUP)
        c->xl->narrow[place_of(xr->host)]++;
    xl_abandon(c, r);
}

static struct run *rest_of_run(struct vcpu *c, const struct xl_point *p)
{
    const struct run *r = xl_run_of(p)->run;
    unsigned i = p->number;
    const struct insn *in = alone(c, xl_run_of(p), i);
    stats_opcode(c, in, true);
    struct run *next = in->fn(c, in);
    while (next == (struct run *)c && r->host)
        next = xl_step(c, xl_run_of(p), ++i);
    if (next == (struct run *)c) { /* its own code was changed */
        c->rip = c->gpr[REG_RUN_IP] + xl_run_of(p)->point[i + 1].ip;
        next = NULL;
    }
    c->link = NULL;
    return next;
}

const uint8_t *xl_rest(struct vcpu *c, const struct xl_point *p)
{
    return go_on_with(c, rest_of_run(c, p));
}

const uint8_t *xl_rest_c(struct vcpu *c, void *point)
{
    const struct xl_point *p = point;
    struct run *r = xl_run_of(p)->run;
    uint64_t began = __builtin_ia32_rdtsc();
    xl_at_point(c, p);
    count(c, COUNT_RESTS);
    struct run *next = rest_of_run(c, p);
    if (r->xl && (c->xl_vector || !p->vector_use))
        narrow_groups(c, r, began);
    return go_on_with(c, next);
}

/* The TLB entry that translated code was looking for, as far as nobody sees: then it looks again. */
static bool filled(struct vcpu *c, const struct xl_point *p, unsigned wanted)
{
    if (unlikely(c->lockstep))
        xl_at_point(c, p);
    if (!tlb_get_quietly(c, c->xl_lin, wanted >> 1, wanted & XL_WANTED_WRITE) || !xl_vector_ready(c, p->checked))
        return false;
    count(c, COUNT_FILLED);
    if (unlikely(c->lockstep))
        lockstep_begin(c, xl_run_of(p), p->number, c->gpr[REG_RUN_IP]);
    return true;
}

static struct xl_point *point_wanted(void *wanted)
{
    return (struct xl_point *)((uintptr_t)wanted & ((1ull << XL_WANTED_SHIFT) - 1));
}

const uint8_t *xl_fill_c(struct vcpu *c, void *wanted)
{
    struct xl_point *p = point_wanted(wanted);
    if (likely(filled(c, p, (uintptr_t)wanted >> XL_WANTED_SHIFT)))
        return c->xl_resume;
    c->xl_resume = xl_run_of(p)->code + p[1].host;
    return xl_exec_c(c, p);
}

const uint8_t *xl_fill_rest_c(struct vcpu *c, void *wanted)
{
    struct xl_point *p = point_wanted(wanted);
    return likely(filled(c, p, (uintptr_t)wanted >> XL_WANTED_SHIFT)) ? c->xl_resume : xl_rest_c(c, p);
}

const uint8_t *xl_ready_c(struct vcpu *c, void *point)
{
    const struct xl_point *p = point;
    const struct run *r = xl_run_of(p)->run;
    xl_at_point(c, p);
    c->rip = c->gpr[REG_RUN_IP] + p->ip;
    if (!xl_vector_prepare(c, code_insn(c, r, p->number, p->ip)))
        return xl_rest_c(c, point);
    if (unlikely(c->lockstep))
        lockstep_begin(c, r->xl, p->number, c->gpr[REG_RUN_IP]);
    return c->xl_resume;
}

/* Between runs: translated code was left for ip, and is entered at the beginning of a run. */
static void left_code(struct vcpu *c, uint64_t ip, uint8_t flags)
{
    if (unlikely(c->lockstep)) {
        if (c->xl_x87_ip)
            xl_x87_pointers(c);
        lockstep_end(c, ip, flags);
    }
    c->rip = ip;
}

const uint8_t *xl_link_c(struct vcpu *c, void *link)
{
    struct xl_link *l = link;
    struct xl *x = c->xl;
    count(c, COUNT_LINKS);
    left_code(c, c->xl_page + l->offset, FLAG_ALL);
    if (atomic_load_explicit(&c->request, memory_order_relaxed)) {
        c->xl_next = NULL;
        return NULL;
    }
    uint64_t drops = x->drops;
    struct run *r = code_find(c);
    if (r->xl && drops == x->drops && r->mode == c->mode)
        e_patch(&(struct emit){.to_exec = x->rx - x->rw}, l->patch, r->xl->code);
    if (!r->xl) {
        c->xl_next = r;
        return NULL;
    }
    return enter_code(c, r);
}

const uint8_t *xl_leave_c(struct vcpu *c, void *xl_run)
{
    struct xl_run *xr = xl_run;
    struct xl *x = c->xl;
    xr->samples++;
    count(c, COUNT_REQUESTS);
    left_code(c, c->xl_page + xr->offset, xr->point[0].live);
    c->xl_next = NULL;
    if (xr->run->xl == xr || atomic_load_explicit(&c->request, memory_order_relaxed))
        return NULL;
    /* It was killed, but jumps to it are still there: lead them to what replaced it. */
    uint64_t drops = x->drops, host = xr->host;
    unsigned mode = xr->run->mode;
    struct run *r = code_find(c);
    if (!r->xl || drops != x->drops || r->xl->host != host || r->mode != mode) {
        c->xl_next = r;
        return NULL;
    }
    patch_jump(x, xr->code, r->xl->code);
    return enter_code(c, r);
}

/* The entry of ip, in this context or another. */
static struct xl_target *target_of(struct vcpu *c, uint64_t ip)
{
    struct xl_target *at = &c->xl_target[xl_target_index(c->xl, ip)];
    for (unsigned way = 0; way < XL_TARGET_WAYS; way++)
        if (low_bits(at[way].key + ip) == 0)
            return &at[way];
    return NULL;
}

/* e: what target_of() says.  Into its first place; what is there goes to one of the next. */
static void note_target(struct vcpu *c, struct xl_target *e, uint64_t ip, const uint8_t *code)
{
    uint64_t bit, *word = target_page(c->xl, ip, &bit);
    *word |= bit;
    if (!e) {
        e = &c->xl_target[xl_target_index(c->xl, ip)];
        e[1 + c->xl->displaced++ % (XL_TARGET_WAYS - 1)] = e[0];
    }
    if (tlb_kernel_note(c, c->view, code_linear(c, ip)))
        xl_context_update(c);
    *e = (struct xl_target){-(ip + c->xl_context), code};
    set_page(c, ip);
}

/* It is the entry for ip, of other page tables or an older generation: is the same run there still?  Then this is quicker
 * than code_find(). */
static const uint8_t *known_target(struct vcpu *c, struct xl_target *e, uint64_t ip)
{
    struct xl_label label;
    memcpy(&label, e->code - sizeof label, sizeof label);
    if (!label.code || label.mode != c->mode)
        return NULL;
    struct tlb_info *i = tlb_get_fetch(c, code_linear(c, ip));
    if (!(i->page & GPA_RAM) || label.host != (uintptr_t)c->vm->memory + (i->page & PAGE_MASK) + (ip & ~PAGE_MASK))
        return NULL;
    note_target(c, e, ip, e->code);
    return e->code + label.code;
}

const uint8_t *xl_miss_c(struct vcpu *c, void *ip)
{
    uint64_t target = (uintptr_t)ip;
    count(c, COUNT_TARGET_MISSES);
    if (unlikely(!canonical(target) && c->xl_from != XL_FROM_DIRECT)) {
        if (c->lockstep)
            lockstep_give_up(c);
        c->rip = c->xl_page + (c->xl_from & ~PAGE_MASK);
        if (c->xl_from < 0) /* a call: it should not have pushed anything */
            mem_write64(c, NULL, c->gpr[X86_RSP], c->xl_below);
        c->gpr[X86_RSP] -= c->xl_from >> 12;
        raise_error(c, EXC_GP, 0);
    }
    left_code(c, target, FLAG_ALL);
    c->xl_next = NULL;
    if (atomic_load_explicit(&c->request, memory_order_relaxed))
        return NULL;
    struct xl_target *e = target_of(c, target);
    const uint8_t *known = e && canonical(target) && !c->lockstep ? known_target(c, e, target) : NULL;
    if (known)
        return known;
    uint64_t drops = c->xl->drops;
    struct run *r = code_find(c);
    if (!r->xl) {
        c->xl_next = r;
        return NULL;
    }
    note_target(c, drops == c->xl->drops ? e : NULL, target, r->xl->indirect);
    return enter_code(c, r);
}
