// SPDX-License-Identifier: GPL-2.0-or-later
/* translate.c - tier 2's housekeeping: the code cache, when a block is translated, how translated code and C meet. */
#include "patcher/translate/translate.h"
#include "patcher/native/fpu.h"
#include "patcher/interp/system.h"
#include "patcher/check/lockstep.h"
#include <errno.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RESERVE = 64 << 10, REWRITTEN_MAX = 8 /* hotter by 2 to this */ };

/* ---- the cache ---------------------------------------------------------------------------------------------------------- */
static bool map_cache(struct translator *x, GError **error)
{
    x->bytes = x->c->vm->budget.code;
    x->hot_bytes = x->bytes / 4 * 3 & PAGE_MASK; /* detours need a third of what blocks do */
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
    for (unsigned i = 0; i < G_N_ELEMENTS(c->jump_cache); i++)
        c->jump_cache[i] = (struct jump_target){0, c->translator->search};
    memset(c->translator->target_pages, 0, sizeof c->translator->target_pages);
}

/* insn.fn behind the one instruction of trans_step() */
static struct block *stop_here(struct vcpu *c, const struct insn *in)
{
    return trans_stay(c);
}

static struct block *new_step(void)
{
    struct block *one = g_malloc0(sizeof *one + 2 * sizeof(struct insn));
    one->count = 2;
    one->insn[1] = (struct insn){.fn = stop_here, .number = 1};
    return one;
}

bool trans_new(struct vcpu *c, GError **error)
{
    struct translator *x = c->translator = g_new0(struct translator, 1);
    x->c = c;
    x->bmi2 = c->vm->host.bmi2;
    x->one = new_step();
    x->blocks = g_ptr_array_new();
    x->allocated = g_ptr_array_new_with_free_func(g_free);
    if (!map_cache(x, error))
        return false;
    if (c->vm->lockstep && !(c->lockstep = lockstep_new()))
        return budget_no_memory("lockstep", lockstep_memory(), error);
    struct emit e = {.at = x->rw, .end = x->rw + x->bytes, .to_exec = x->rx - x->rw};
    trans_trampolines(x, &e);
    x->used = x->trampolines = (e.at - x->rw + 63) & ~63ull;
    targets_empty(c);
    return true;
}

void trans_free(struct vcpu *c)
{
    struct translator *x = c->translator;
    if (!x)
        return;
    if (x->rw && x->rw != MAP_FAILED)
        munmap(x->rw, x->bytes);
    if (x->rx && x->rx != MAP_FAILED)
        munmap(x->rx, x->bytes);
    if (x->fd >= 0)
        close(x->fd);
    g_ptr_array_unref(x->blocks);
    g_ptr_array_unref(x->allocated);
    lockstep_free(c->lockstep);
    c->lockstep = NULL;
    g_free(x->one);
    g_free(x);
    c->translator = NULL;
}

static void note_use(struct translator *x)
{
    x->most_used = MAX(x->most_used, x->used + x->cold_used);
    x->most_notes = MAX(x->most_notes, x->notes);
}

void trans_memory(const struct vcpu *c, struct cpu_memory *m)
{
    const struct translator *x = c->translator;
    budget_add(m, sizeof *x + MAX(x->most_used, x->used + x->cold_used), sizeof *x + x->bytes);
    budget_add(m, MAX(x->most_notes, x->notes), c->vm->budget.notes);
}

void trans_drop_all(struct vcpu *c)
{
    struct translator *x = c->translator;
    fpu_leave(c); /* for the C library's sake */
    note_use(x);
    x->used = x->trampolines;
    x->cold_used = x->notes = 0;
    memset(x->rewritten, 0, sizeof x->rewritten);
    memset(x->narrow, 0, sizeof x->narrow);
    memset(x->netted, 0, sizeof x->netted);
    x->drops++;
    g_ptr_array_set_size(x->blocks, 0);
    g_ptr_array_set_size(x->allocated, 0);
    targets_empty(c);
}

void *trans_keep(struct translator *x, void *p) /* until the cache is dropped */
{
    g_ptr_array_add(x->allocated, p);
    x->notes += malloc_usable_size(p) + sizeof(size_t) + sizeof p;
    return p;
}

struct chain *chain_new(struct translator *x, struct translated_block *from, uint8_t *patch, uint16_t offset)
{
    struct chain *l = trans_keep(x, g_new(struct chain, 1));
    *l = (struct chain){from, patch, offset};
    return l;
}

/* ---- contexts ------------------------------------------------------------------------------------------------------------ */
void trans_context_update(struct vcpu *c)
{
    uint64_t number = tlb_code_number(c) >> TLB_GEN_SHIFT;
    unsigned code = c->mode & (MODE_CODE | MODE_STACK32), slow = c->tlb == c->views[VIEW_SLOW];
    c->trans_context = (number << 3 | (code ^ slow)) << 48; /* 16-bit code is not translated: its numbers are free */
}

void trans_context_wipe(struct vcpu *c)
{
    if (c->translator)
        targets_empty(c);
}

/* As trans_jump_indirect() has it: functions at regular distances must not share an entry. */
unsigned jump_cache_index(const struct translator *x, uint64_t ip)
{
    return (ip + (x->bmi2 ? ip >> 12 : 0)) & (JUMP_CACHE_SIZE - 1);
}

/* Pages that share a bit share their 4096 entries, too. */
static uint64_t *target_page(struct translator *x, uint64_t lin, uint64_t *bit)
{
    unsigned n = lin >> 12 & (JUMP_CACHE_SIZE - 1);
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
    for (struct jump_target *e = &c->jump_cache[from]; e < &c->jump_cache[to]; e++) {
        uint64_t ip = low_bits(-e->key);
        if (((ip ^ lin) >> 12 & (JUMP_CACHE_SIZE - 1)) == 0)
            e->key = -ip;
    }
}

/* A page was taken from the TLB without a new generation: indirect jumps into it must find out again.  Most pages that this
 * happens to have no code. */
void trans_context_flush(struct vcpu *c, uint64_t lin)
{
    uint64_t bit, *word = c->translator ? target_page(c->translator, lin, &bit) : NULL;
    if (!word || !(*word & bit))
        return;
    unsigned first = jump_cache_index(c->translator, lin & PAGE_MASK), end = first + PAGE_SIZE;
    make_stale(c, first, MIN(end, JUMP_CACHE_SIZE) + JUMP_CACHE_WAYS - 1, lin);
    if (end > JUMP_CACHE_SIZE)
        make_stale(c, 0, end - JUMP_CACHE_SIZE + JUMP_CACHE_WAYS - 1, lin);
    if (c->translator->bmi2)
        *word &= ~bit;
}

/* ---- blocks ---------------------------------------------------------------------------------------------------------------- */
static void patch_jump(struct translator *x, uint8_t *exec_at, const uint8_t *target)
{
    struct emit e = {.at = x->rw + (exec_at - x->rx), .end = x->rw + x->bytes, .to_exec = x->rx - x->rw};
    e_jmp(&e, target);
}

static unsigned place_of(uint64_t host)
{
    return (host >> 4 ^ host >> 16) % TRANS_PLACES;
}

/* Nobody enters it any more. */
static void close_entries(struct translator *x, struct block *r)
{
    patch_jump(x, r->translated->code, r->translated->dead);
    patch_jump(x, r->translated->indirect, x->miss);
    memset(x->rw + (r->translated->indirect - x->rx) - sizeof(struct trans_label), 0, sizeof(struct trans_label));
    r->translated = NULL;
}

void trans_kill(struct vcpu *c, struct block *r)
{
    if (!r->translated)
        return;
    uint8_t *rewritten = &c->translator->rewritten[place_of(r->translated->host)];
    if (*rewritten < REWRITTEN_MAX)
        ++*rewritten;
    close_entries(c->translator, r);
}

/* Is there translated code for the mode?  (Numbers in vcpu.trans_context are only for those.) */
static bool translated_mode(unsigned mode)
{
    unsigned code = mode & MODE_CODE;
    return !(mode & MODE_ONE) && (code == CODE64 || (code == CODE32 && mode & MODE_FLAT));
}

/* An instruction across a page end asks the TLB for its second page, and that of VIEW_SLOW has nothing. */
static bool translatable(const struct block *r)
{
    bool second_page = !r->host2 || r->mode >> MODE_TABLE_SHIFT != VIEW_SLOW;
    return r->host && second_page && !r->faults && translated_mode(r->mode);
}

static bool full(const struct vcpu *c)
{
    const struct translator *x = c->translator;
    return x->used + RESERVE > x->hot_bytes || x->hot_bytes + x->cold_used + RESERVE > x->bytes ||
           x->notes + RESERVE > c->vm->budget.notes || code_kept_full(c);
}

struct block *trans_count_entry(struct vcpu *c, const struct insn *in)
{
    struct block *r = (struct block *)insn_block(in);
    if (++r->heat >> c->translator->rewritten[place_of((uint64_t)r->host)] < c->vm->hot)
        return r->first(c, in);
    if (!translatable(r)) {
        r->insn[0].fn = r->first;
        return r->first(c, in);
    }
    if (full(c)) {
        c->rip = c->gpr[REG_BLOCK_IP];
        count(c, COUNT_DROPS_CODE_FULL);
        code_drop_all(c);
        return NULL;
    }
    fpu_leave(c); /* for the C library's sake */
    count(c, COUNT_BLOCKS_TRANSLATED);
    struct translated_block *tb = translate_block(c, r, true);
    tb->block = r = code_keep(c, r);
    r->translated = tb;
    g_ptr_array_add(c->translator->blocks, r->translated);
    c->translator->notes += sizeof(void *);
    r->insn[0].fn = trans_entry;
    return trans_entry(c, r->insn);
}

static void set_page(struct vcpu *c, uint64_t ip)
{
    c->trans_page = ip & PAGE_MASK;
}

struct block *trans_entry(struct vcpu *c, const struct insn *in)
{
    const struct block *r = insn_block(in);
    struct block *(*enter)(struct vcpu * c, const uint8_t *code) = (void *)c->translator->enter;
    set_page(c, c->gpr[REG_BLOCK_IP]);
    count(c, COUNT_ENTERED);
    if (unlikely(c->lockstep))
        lockstep_begin(c, r->translated, 0, c->gpr[REG_BLOCK_IP]);
    struct block *next = enter(c, r->translated->code);
    if (c->trans_x87_ip)
        trans_x87_pointers(c);
    return next;
}

/* ---- detours: translated code called ---------------------------------------------------------------------------------- */
/* A copy of an instruction, alone in its block. */
static const struct insn *alone(struct vcpu *c, const struct translated_block *tb, unsigned number)
{
    const struct block *r = tb->block;
    struct block *one = c->translator->one;
    one->raw = r->raw;
    one->host = r->host;
    one->mode = r->mode;
    one->insn[0] = *code_insn(c, r, number, tb->point[number].ip);
    one->insn[0].number = 0;
    return one->insn;
}

struct block *trans_step(struct vcpu *c, const struct translated_block *tb, unsigned number)
{
    const struct insn *in = alone(c, tb, number);
    return in->fn(c, in);
}

void trans_at_point(struct vcpu *c, const struct trans_point *p)
{
    const struct translated_block *tb = translated_block_of(p);
    c->gpr[REG_BLOCK_IP] = c->trans_page + tb->offset;
    if (c->trans_x87_ip)
        trans_x87_pointers(c);
    if (unlikely(c->lockstep))
        lockstep_end(c, c->gpr[REG_BLOCK_IP] + p->ip, p->live);
}

static const uint8_t *enter_code(struct vcpu *c, const struct block *r)
{
    if (unlikely(c->lockstep))
        lockstep_begin(c, r->translated, 0, c->rip);
    return r->translated->code;
}

/* A block has ended in tier 1: stay in translated code if the next one is. */
static const uint8_t *go_on_with(struct vcpu *c, struct block *next)
{
    c->trans_next = next;
    if (atomic_load_explicit(&c->request, memory_order_relaxed))
        return NULL;
    if (!next && likely(!c->lockstep) && translated_mode(c->mode)) {
        c->trans_from = TRANS_FROM_DIRECT;
        return c->translator->to_rip;
    }
    if (!next) {
        c->link = NULL;
        c->trans_next = next = code_find(c);
    }
    if (!next->translated || c->rip + next->bytes - 1 > c->code_limit)
        return NULL;
    set_page(c, c->rip);
    return enter_code(c, next);
}

/* Tier 1 has run the instruction that ends at `behind`, in mid-block: back to translated code. */
static const uint8_t *resume(struct vcpu *c, const struct trans_point *p, struct block *r, unsigned behind)
{
    bool crowded = unlikely(c->lockstep) && lockstep_crowded(c);
    if (likely(r->host) && !crowded && trans_vector_ready(c, p->checked)) {
        if (unlikely(c->lockstep))
            lockstep_begin(c, r->translated, p->number + 1, c->gpr[REG_BLOCK_IP]);
        return c->trans_resume;
    }
    count(c, COUNT_LEFT_CHANGED);
    c->rip = c->gpr[REG_BLOCK_IP] + behind; /* it changed its own code, or the vector state's use */
    c->trans_next = NULL;
    return NULL;
}

const uint8_t *trans_exec_c(struct vcpu *c, void *point)
{
    const struct trans_point *p = point;
    struct block *r = translated_block_of(p)->block;
    trans_at_point(c, p);
    const struct insn *in = alone(c, translated_block_of(p), p->number);
    uint16_t behind = in->ip + in->len;
    stats_opcode(c, in, !p->untranslated);
    struct block *next = in->fn(c, in);
    if (next != trans_stay(c)) {
        c->link = NULL; /* it was in the copy */
        return go_on_with(c, next);
    }
    if (c->replay->live && (p->vector_use || !c->trans_vector))
        trans_vector_update(c);
    return resume(c, p, r, behind);
}

static void begin_cold(struct vcpu *c, const struct trans_cold *n)
{
    trans_at_point(c, n->point);
    c->stats->count[COUNT_EXEC_UNTRANSLATED]++;
    n->count->untranslated++;
    c->rip = c->gpr[REG_BLOCK_IP] + n->insn.ip;
}

const uint8_t *trans_cold_c(struct vcpu *c, void *cold)
{
    const struct trans_cold *n = cold;
    struct block *r = translated_block_of(n->point)->block;
    begin_cold(c, n);
    ((cold_fn)n->insn.aux)(c, &n->insn);
    if (c->replay->live && n->point->vector_use) /* else what needs to know will ask */
        trans_vector_update(c);
    return resume(c, n->point, r, n->insn.ip + n->insn.len);
}

/* As exec_cold_end(). */
const uint8_t *trans_cold_end_c(struct vcpu *c, void *cold)
{
    const struct trans_cold *n = cold;
    begin_cold(c, n);
    c->insns += n->insn.number + 1;
    c->next_rip = c->rip + n->insn.len;
    if (!code64(c))
        c->next_rip = (uint32_t)c->next_rip;
    ((cold_fn)n->insn.aux)(c, &n->insn);
    c->rip = c->next_rip;
    return go_on_with(c, NULL);
}

bool trans_load_segment(struct vcpu *c, unsigned seg, uint32_t selector)
{
    if (c->trans_x87_ip)
        trans_x87_pointers(c);
    return seg_load_quick(c, seg, selector);
}

unsigned trans_narrow(struct translator *x, uint64_t host)
{
    return x->narrow[place_of(host)];
}

void trans_abandon(struct vcpu *c, struct block *r)
{
    close_entries(c->translator, r);
    r->host = NULL;
    r->insn[0].fn = exec_invalid;
}

/* Its clusters of operands do not lie in one page so often that it costs a hundredth of the time: when it is translated
 * again they are narrower.  began: when tier 1 took over, in cycles. */
static void narrow_clusters(struct vcpu *c, struct block *r, uint64_t began)
{
    enum { MANY = 64, SHARE = 100 };
    struct translated_block *tb = r->translated;
    uint64_t now = __builtin_ia32_rdtsc();
    tb->rest_cycles += now - began;
    if (++tb->rests < MANY)
        return;
    bool costly = tb->rest_cycles * SHARE > now - tb->rests_since;
    tb->rests = 0;
    tb->rest_cycles = 0;
    tb->rests_since = now;
    if (!costly)
        return;
    if (trans_narrow(c->translator, tb->host) < NEVER_CLUSTER)
        c->translator->narrow[place_of(tb->host)]++;
    trans_abandon(c, r);
}

static struct block *rest_of_block(struct vcpu *c, const struct trans_point *p)
{
    const struct block *r = translated_block_of(p)->block;
    unsigned i = p->number;
    const struct insn *in = alone(c, translated_block_of(p), i);
    stats_opcode(c, in, true);
    struct block *next = in->fn(c, in);
    while (next == trans_stay(c) && r->host)
        next = trans_step(c, translated_block_of(p), ++i);
    if (next == trans_stay(c)) { /* its own code was changed */
        c->rip = c->gpr[REG_BLOCK_IP] + translated_block_of(p)->point[i + 1].ip;
        next = NULL;
    }
    c->link = NULL;
    return next;
}

const uint8_t *trans_rest(struct vcpu *c, const struct trans_point *p)
{
    return go_on_with(c, rest_of_block(c, p));
}

void trans_whole_block(struct vcpu *c, const struct translated_block *tb, struct block *whole)
{
    const struct block *r = tb->block;
    *whole = *r;
    for (unsigned i = 0; i < r->count; i++)
        whole->insn[i] = *code_insn(c, r, i, tb->point[i].ip);
}

static struct translated_block *translate_apart(struct vcpu *c, const struct translated_block *tb)
{
    fpu_leave(c); /* for the C library's sake */
    count(c, COUNT_BLOCKS_APART);
    struct block *w = g_malloc(sizeof *w + tb->block->count * sizeof(struct insn));
    trans_whole_block(c, tb, w);
    struct translated_block *apart = translate_block(c, w, false);
    apart->block = tb->block;
    g_free(w);
    g_ptr_array_add(c->translator->blocks, apart);
    c->translator->notes += sizeof(void *);
    return apart;
}

/* Where the block can go on from p with a lookup for each operand, or NULL. */
static const uint8_t *go_on_apart(struct vcpu *c, const struct trans_point *p)
{
    enum { FEW = 4 };
    struct translated_block *tb = translated_block_of(p);
    if (unlikely(c->lockstep) && lockstep_crowded(c))
        return NULL;
    if (!tb->apart && (++tb->rests_met < FEW || full(c) || replay_full(c)))
        return NULL;
    if (!tb->apart)
        tb->apart = translate_apart(c, tb);
    if (!trans_vector_ready(c, p->number ? tb->apart->point[p->number - 1].checked : 0))
        return NULL;
    if (unlikely(c->lockstep))
        lockstep_begin(c, tb->apart, p->number, c->gpr[REG_BLOCK_IP]);
    return tb->apart->code + tb->apart->point[p->number].host;
}

const uint8_t *trans_rest_c(struct vcpu *c, void *point)
{
    const struct trans_point *p = point;
    struct block *r = translated_block_of(p)->block;
    uint64_t began = __builtin_ia32_rdtsc();
    trans_at_point(c, p);
    const uint8_t *apart = go_on_apart(c, p);
    struct block *next = NULL;
    if (!apart) {
        count(c, COUNT_RESTS);
        next = rest_of_block(c, p);
    }
    if (r->translated && (c->trans_vector || !p->vector_use))
        narrow_clusters(c, r, began);
    return apart ? apart : go_on_with(c, next);
}

/* The TLB entry that translated code was looking for, as far as nobody sees: then it looks again. */
static bool filled(struct vcpu *c, const struct trans_point *p, unsigned wanted)
{
    if (unlikely(c->lockstep))
        trans_at_point(c, p);
    if (unlikely(c->lockstep) && lockstep_crowded(c))
        return false;
    if (!tlb_get_quietly(c, c->trans_lin, wanted >> 1, wanted & TRANS_WANTED_WRITE) ||
        !trans_vector_ready(c, p->checked))
        return false;
    count(c, COUNT_FILLED);
    if (unlikely(c->lockstep))
        lockstep_begin(c, translated_block_of(p), p->number, c->gpr[REG_BLOCK_IP]);
    return true;
}

static struct trans_point *point_wanted(void *wanted)
{
    return (struct trans_point *)((uintptr_t)wanted & ((1ull << TRANS_WANTED_SHIFT) - 1));
}

const uint8_t *trans_fill_c(struct vcpu *c, void *wanted)
{
    struct trans_point *p = point_wanted(wanted);
    if (likely(filled(c, p, (uintptr_t)wanted >> TRANS_WANTED_SHIFT)))
        return c->trans_resume;
    c->trans_resume = translated_block_of(p)->code + p[1].host;
    return trans_exec_c(c, p);
}

const uint8_t *trans_fill_rest_c(struct vcpu *c, void *wanted)
{
    struct trans_point *p = point_wanted(wanted);
    return likely(filled(c, p, (uintptr_t)wanted >> TRANS_WANTED_SHIFT)) ? c->trans_resume : trans_rest_c(c, p);
}

const uint8_t *trans_ready_c(struct vcpu *c, void *point)
{
    const struct trans_point *p = point;
    const struct block *r = translated_block_of(p)->block;
    trans_at_point(c, p);
    c->rip = c->gpr[REG_BLOCK_IP] + p->ip;
    if (!trans_vector_prepare(c, code_insn(c, r, p->number, p->ip)))
        return trans_rest_c(c, point);
    if (unlikely(c->lockstep))
        lockstep_begin(c, r->translated, p->number, c->gpr[REG_BLOCK_IP]);
    return c->trans_resume;
}

/* Between blocks: translated code was left for ip, and is entered at the beginning of a block. */
static void left_code(struct vcpu *c, uint64_t ip, uint8_t flags)
{
    if (unlikely(c->lockstep)) {
        if (c->trans_x87_ip)
            trans_x87_pointers(c);
        lockstep_end(c, ip, flags);
    }
    c->rip = ip;
}

const uint8_t *trans_chain_c(struct vcpu *c, void *link)
{
    struct chain *l = link;
    struct translator *x = c->translator;
    count(c, COUNT_LINKS);
    left_code(c, c->trans_page + l->offset, FLAG_ALL);
    if (atomic_load_explicit(&c->request, memory_order_relaxed)) {
        c->trans_next = NULL;
        return NULL;
    }
    uint64_t drops = x->drops;
    struct block *r = code_find(c);
    if (r->translated && drops == x->drops && r->mode == c->mode)
        e_patch(&(struct emit){.to_exec = x->rx - x->rw}, l->patch, r->translated->code);
    if (!r->translated) {
        c->trans_next = r;
        return NULL;
    }
    return enter_code(c, r);
}

const uint8_t *trans_leave_c(struct vcpu *c, void *translated_block)
{
    struct translated_block *tb = translated_block;
    struct translator *x = c->translator;
    tb->samples++;
    count(c, COUNT_REQUESTS);
    left_code(c, c->trans_page + tb->offset, tb->point[0].live);
    c->trans_next = NULL;
    if (tb->block->translated == tb || atomic_load_explicit(&c->request, memory_order_relaxed))
        return NULL;
    /* It was killed, but jumps to it are still there: lead them to what replaced it. */
    uint64_t drops = x->drops, host = tb->host;
    unsigned mode = tb->block->mode;
    struct block *r = code_find(c);
    if (!r->translated || drops != x->drops || r->translated->host != host || r->mode != mode) {
        c->trans_next = r;
        return NULL;
    }
    patch_jump(x, tb->code, r->translated->code);
    return enter_code(c, r);
}

/* The entry of ip, in this context or another. */
static struct jump_target *target_of(struct vcpu *c, uint64_t ip)
{
    struct jump_target *at = &c->jump_cache[jump_cache_index(c->translator, ip)];
    for (unsigned way = 0; way < JUMP_CACHE_WAYS; way++)
        if (low_bits(at[way].key + ip) == 0)
            return &at[way];
    return NULL;
}

/* e: what target_of() says.  Into its first place; what is there goes to one of the next. */
static void note_target(struct vcpu *c, struct jump_target *e, uint64_t ip, const uint8_t *code)
{
    uint64_t bit, *word = target_page(c->translator, ip, &bit);
    *word |= bit;
    if (!e) {
        e = &c->jump_cache[jump_cache_index(c->translator, ip)];
        e[1 + c->translator->displaced++ % (JUMP_CACHE_WAYS - 1)] = e[0];
    }
    if (tlb_kernel_note(c, c->view, code_linear(c, ip)))
        trans_context_update(c);
    *e = (struct jump_target){-(ip + c->trans_context), code};
    set_page(c, ip);
}

/* It is the entry for ip, of other page tables or an older generation: is the same block there still?  Then this is quicker
 * than code_find(). */
static const uint8_t *known_target(struct vcpu *c, struct jump_target *e, uint64_t ip)
{
    struct trans_label label;
    const uint8_t *code = e->code;
    memcpy(&label, code - sizeof label, sizeof label);
    if (!label.code || label.mode != c->mode)
        return NULL;
    struct tlb_info *i = tlb_get_fetch(c, code_linear(c, ip));
    if (!(i->page & GPA_RAM) || label.host != (uintptr_t)c->vm->memory + (i->page & PAGE_MASK) + (ip & ~PAGE_MASK))
        return NULL;
    if (e->code != code) /* a page walk may begin generations anew, and with them the whole table */
        return NULL;
    note_target(c, e, ip, code);
    return code + label.code;
}

const uint8_t *trans_miss_c(struct vcpu *c, void *ip)
{
    uint64_t target = (uintptr_t)ip;
    count(c, COUNT_TARGET_MISSES);
    if (unlikely(!canonical(target) && c->trans_from != TRANS_FROM_DIRECT)) {
        if (c->lockstep)
            lockstep_give_up(c);
        c->rip = c->trans_page + (c->trans_from & ~PAGE_MASK);
        if (c->trans_from < 0 && !c->vm->host.quirks.call_pushes_first) /* a call: it should not have pushed anything */
            mem_write64(c, NULL, c->gpr[X86_RSP], c->trans_below);
        c->gpr[X86_RSP] -= c->trans_from >> 12;
        raise_error(c, EXC_GP, 0);
    }
    left_code(c, target, FLAG_ALL);
    c->trans_next = NULL;
    if (atomic_load_explicit(&c->request, memory_order_relaxed))
        return NULL;
    struct jump_target *e = target_of(c, target);
    const uint8_t *known = e && canonical(target) && !c->lockstep ? known_target(c, e, target) : NULL;
    if (known)
        return known;
    uint64_t drops = c->translator->drops;
    struct block *r = code_find(c);
    if (!r->translated) {
        c->trans_next = r;
        return NULL;
    }
    note_target(c, drops == c->translator->drops ? e : NULL, target, r->translated->indirect);
    return enter_code(c, r);
}
