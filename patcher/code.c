// SPDX-License-Identifier: GPL-2.0-or-later
/* code.c - the cache of decoded blocks.
 *
 * Every vCPU has its own, found by the memory-file page and offset of the block's first byte and by the mode it was
 * decoded for; a direct-mapped table by IP stands before that.  Nothing in it depends on page tables: whoever enters
 * a block has just compared its host address with what the TLB says.
 *
 * Coherency.  The VM keeps a bit for every byte that some vCPU has decoded.  A page with such bits gets no write tag in
 * any TLB, so all writes to it pass code_written(), which kills the blocks over exactly those bytes: the writer's own at
 * once (a block that modifies itself ends with the writing instruction, for all its handlers are replaced), those of
 * other vCPUs through their queues, at their next block end.  When a page becomes code while another vCPU still holds a
 * write tag for it, that vCPU is told to drop its tags (REQ_UNWRITE) and reports such pages as written.  Bits of
 * blocks killed before stay until a write meets one; a single vCPU, which knows all blocks, then takes all such from the page. */
#include "patcher/vm.h"
#include "patcher/check/lockstep.h"
#include "patcher/translate/translate.h"
#include "patcher/native/fpu.h"
#include <string.h>
#include <sys/mman.h>

enum { BUCKETS = 32, JUMPS = 32768, ARENA_RESERVE = 64 << 10, AGAIN_SETS = 2048, AGAIN_WAYS = 4, LONG_ENOUGH = 16 };

struct code_page {
    struct block *bucket[BUCKETS];
    struct block *crossing; /* blocks that begin on the page before */
};

struct jump {
    uint64_t ip;
    struct block *block;
};

struct arena {
    uint8_t *at;
    size_t used, bytes, most_used;
};

/* Instructions of kept blocks, decoded again.  Decoding costs a hundred times what executing does, and a loop may need a
 * dozen of them every time round: that two of them share a set must not matter. */
struct again {
    const struct block *block[AGAIN_WAYS];
    struct insn insn[AGAIN_WAYS];
    unsigned oldest;
};

struct code_cache {
    struct arena young; /* blocks with their instructions: emptied when it is full */
    struct arena kept;  /* what is left of those that were translated, and pages: emptied with all translated code */
    struct again *again;
    struct code_page **page; /* by page of the memory file */
    uint64_t *used_pages;    /* which of them are set */
    size_t pages_used;
    struct jump jump[JUMPS];
    struct block *scratch; /* code that lies in no RAM: one instruction, never found again */
};

static bool arena_init(struct arena *a, size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return false;
    a->bytes = bytes;
    a->at = at;
    return true;
}

static void arena_fini(struct arena *a)
{
    if (a->at)
        munmap(a->at, a->bytes);
}

static void *arena_take(struct arena *a, size_t bytes)
{
    void *p = a->at + a->used;
    a->used += (bytes + 15) & ~(size_t)15;
    a->most_used = MAX(a->most_used, a->used);
    return p;
}

static bool arena_full(const struct arena *a)
{
    return a->used > a->bytes - ARENA_RESERVE;
}

static struct block *new_scratch(void)
{
    struct block *r = g_malloc0(sizeof *r + 2 * sizeof(struct insn));
    r->raw = g_malloc0(16);
    return r;
}

bool code_init(struct vcpu *c, GError **error)
{
    struct code_cache *k = c->code = g_new0(struct code_cache, 1);
    k->scratch = new_scratch();
    k->again = g_try_new0(struct again, AGAIN_SETS);
    k->page = g_try_new0(struct code_page *, c->vm->pages);
    k->used_pages = g_try_new(uint64_t, c->vm->budget.kept / sizeof(struct code_page));
    return (k->again && k->page && k->used_pages && arena_init(&k->young, c->vm->budget.decoded) &&
            arena_init(&k->kept, c->vm->budget.kept)) ||
           budget_no_memory("decoded code", c->vm->budget.decoded + c->vm->budget.kept, error);
}

void code_fini(struct vcpu *c)
{
    struct code_cache *k = c->code;
    arena_fini(&k->young);
    arena_fini(&k->kept);
    g_free(k->again);
    g_free(k->page);
    g_free(k->used_pages);
    g_free(k->scratch->raw);
    g_free(k->scratch);
    g_free(k);
}

void code_memory(const struct vcpu *c, struct cpu_memory *m)
{
    const struct code_cache *k = c->code;
    uint64_t tables = sizeof *k + c->vm->pages * sizeof *k->page + AGAIN_SETS * sizeof *k->again +
                      k->kept.bytes / sizeof(struct code_page) * sizeof(uint64_t);
    budget_add(m, k->young.most_used + k->kept.most_used + tables, k->young.bytes + k->kept.bytes + tables);
}

static void forget_decoded(struct vcpu *c)
{
    struct code_cache *k = c->code;
    k->young.used = 0;
    memset(k->jump, 0, sizeof k->jump);
    memset(k->again, 0, AGAIN_SETS * sizeof *k->again);
    c->link = NULL;
    if (c->lockstep)
        lockstep_code_gone(c);
    replay_drop_all(c);
}

void code_drop_all(struct vcpu *c)
{
    struct code_cache *k = c->code;
    for (size_t i = 0; i < k->pages_used; i++)
        k->page[k->used_pages[i]] = NULL;
    k->pages_used = k->kept.used = 0;
    forget_decoded(c);
    if (c->translator)
        trans_drop_all(c);
}

/* Translated code stays. */
static void drop_young(struct vcpu *c)
{
    struct code_cache *k = c->code;
    for (size_t i = 0; i < k->pages_used; i++) {
        struct code_page *p = k->page[k->used_pages[i]];
        for (struct block **at = &p->crossing, *r; (r = *at);)
            if (r->kept)
                at = &r->next2;
            else
                *at = r->next2;
        for (unsigned b = 0; b < BUCKETS; b++)
            for (struct block **at = &p->bucket[b], *r; (r = *at);)
                if (r->kept)
                    at = &r->next;
                else
                    *at = r->next;
    }
    forget_decoded(c);
}

static struct code_page *code_page(struct code_cache *k, uint64_t offset)
{
    struct code_page **p = &k->page[offset >> 12];
    if (!*p) {
        *p = arena_take(&k->kept, sizeof **p);
        memset(*p, 0, sizeof **p);
        k->used_pages[k->pages_used++] = offset >> 12;
    }
    return *p;
}

static unsigned bucket(uint64_t offset)
{
    return (offset ^ offset >> 5) & (BUCKETS - 1);
}

/* ---- which bytes are code ------------------------------------------------------------------------------------ */
static struct code_bits *bits_of(struct soft_vm *vm, uint64_t offset)
{
    return atomic_load_explicit(&vm->code_bits[offset >> 12], memory_order_acquire);
}

bool code_was_on_page(struct soft_vm *vm, uint64_t offset)
{
    return bits_of(vm, offset);
}

bool code_on_page(struct soft_vm *vm, uint64_t offset)
{
    struct code_bits *b = bits_of(vm, offset);
    for (unsigned i = 0; b && i < PAGE_SIZE / 64; i++)
        if (atomic_load_explicit(&b->word[i], memory_order_relaxed))
            return true;
    return false;
}

/* The bits of word w that lie in [at, end) of the page. */
static uint64_t bit_range(unsigned w, unsigned at, unsigned end)
{
    unsigned lo = at > w * 64 ? at - w * 64 : 0, hi = end < w * 64 + 64 ? end - w * 64 : 64;
    return (hi == 64 ? ~0ull : (1ull << hi) - 1) & ~((1ull << lo) - 1);
}

/* vm->lock is held. */
static struct code_bits *new_bits(struct soft_vm *vm)
{
    if (!vm->spare_bits->len) {
        atomic_fetch_add(&vm->watched_pages, 1);
        return g_new0(struct code_bits, 1);
    }
    struct code_bits *b = g_ptr_array_steal_index_fast(vm->spare_bits, vm->spare_bits->len - 1);
    memset(b, 0, sizeof *b);
    return b;
}

static void watch(struct vcpu *c, uint64_t offset, unsigned bytes)
{
    struct soft_vm *vm = c->vm;
    if (!bits_of(vm, offset)) {
        g_mutex_lock(&vm->lock);
        if (!bits_of(vm, offset))
            atomic_store(&vm->code_bits[offset >> 12], new_bits(vm));
        g_mutex_unlock(&vm->lock);
    }
    bool fresh = !code_on_page(vm, offset);
    struct code_bits *b = bits_of(vm, offset);
    unsigned at = offset & ~PAGE_MASK, end = at + bytes;
    for (unsigned w = at / 64; w <= (end - 1) / 64; w++)
        atomic_fetch_or(&b->word[w], bit_range(w, at, end));
    tlb_drop_write_page(c, offset & PAGE_MASK); /* whoever was first may not have told this vCPU yet */
    if (!fresh)
        return;
    for (unsigned i = 0; i < vm->cfg->cpus; i++)
        if (vm->vcpu[i] && vm->vcpu[i] != c && tlb_may_write(vm->vcpu[i], offset))
            request(vm->vcpu[i], REQ_UNWRITE);
}

static bool clear_bits(struct code_bits *b, unsigned at, unsigned end)
{
    bool any = false;
    for (unsigned w = at / 64; w <= (end - 1) / 64; w++) {
        uint64_t m = bit_range(w, at, end);
        if (atomic_load_explicit(&b->word[w], memory_order_relaxed) & m) {
            atomic_fetch_and(&b->word[w], ~m);
            any = true;
        }
    }
    return any;
}

/* ---- invalidation ------------------------------------------------------------------------------------------------ */
static void kill_block(struct vcpu *c, struct block *r)
{
    r->host = NULL;
    if (r->translated)
        trans_kill(c, r);
    for (unsigned i = 0; i < (r->kept ? 1 : r->count); i++)
        r->insn[i].fn = exec_invalid;
}

static void kill_written(struct vcpu *c, struct block *r)
{
    count(c, COUNT_BLOCKS_KILLED);
    kill_block(c, r);
}

struct span { /* of a page */
    unsigned from, to;
};

static struct span begun_here(const struct block *r)
{
    unsigned at = (uintptr_t)r->host & ~PAGE_MASK;
    return (struct span){at, MIN(at + r->bytes, PAGE_SIZE)};
}

static struct span begun_before(const struct block *r)
{
    return (struct span){0, r->bytes - (PAGE_SIZE - ((uint64_t)r->host & ~PAGE_MASK))};
}

static void cover(uint64_t *word, struct span s)
{
    for (unsigned w = s.from / 64; s.to && w <= (s.to - 1) / 64; w++)
        word[w] |= bit_range(w, s.from, s.to);
}

/* Bits of the page that no block has any more: who writes a function anew, piece by piece, need not look for its blocks with
 * each.  Only a single vCPU knows of all blocks.  Whoever else writes meanwhile finds no bit gone that counts. */
static void forget_dead(struct vcpu *c, uint64_t offset)
{
    struct code_page *p = c->code->page[offset >> 12];
    struct code_bits *b = bits_of(c->vm, offset);
    uint64_t live[PAGE_SIZE / 64] = {0};
    if (c->vm->cfg->cpus > 1 || !b)
        return;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (const struct block *r = p->bucket[i]; r; r = r->next)
            cover(live, begun_here(r));
    for (const struct block *r = p->crossing; r; r = r->next2)
        cover(live, begun_before(r));
    for (unsigned w = 0; w < PAGE_SIZE / 64; w++)
        if (atomic_load_explicit(&b->word[w], memory_order_relaxed) & ~live[w])
            atomic_fetch_and(&b->word[w], live[w]);
}

/* Takes those over the span, and those killed earlier, off the list of blocks that begin on the page; true: there were some. */
static bool drop_begun_here(struct vcpu *c, struct block **at, struct span s)
{
    bool any = false;
    for (struct block *r; (r = *at);) {
        struct span own = begun_here(r);
        if (r->host && (own.from >= s.to || own.to <= s.from)) {
            at = &r->next;
            continue;
        }
        any = true;
        kill_written(c, r);
        *at = r->next;
    }
    return any;
}

static bool drop_begun_before(struct vcpu *c, struct block **at, struct span s)
{
    bool any = false;
    for (struct block *r; (r = *at);) {
        if (r->host && begun_before(r).to <= s.from) {
            at = &r->next2;
            continue;
        }
        any = true;
        kill_written(c, r);
        *at = r->next2;
    }
    return any;
}

static void drop_range(struct vcpu *c, uint64_t offset, uint64_t bytes)
{
    struct code_page *p = c->code->page[offset >> 12];
    unsigned at = offset & ~PAGE_MASK;
    struct span s = {at, at + bytes};
    bool any = false;
    if (!p)
        return;
    for (unsigned b = 0; b < BUCKETS; b++)
        any |= drop_begun_here(c, &p->bucket[b], s);
    any |= drop_begun_before(c, &p->crossing, s);
    if (!any)
        forget_dead(c, offset);
}

static void enqueue(struct vcpu *c, uint64_t offset, uint64_t bytes)
{
    g_mutex_lock(&c->queue_lock);
    if (c->queued < G_N_ELEMENTS(c->queue))
        c->queue[c->queued] = (struct invalidation){offset, bytes};
    if (c->queued <= G_N_ELEMENTS(c->queue))
        c->queued++;
    g_mutex_unlock(&c->queue_lock);
    request(c, REQ_CODE);
}

static void enqueue_everything(struct vcpu *c)
{
    g_mutex_lock(&c->queue_lock);
    c->queued = G_N_ELEMENTS(c->queue) + 1;
    g_mutex_unlock(&c->queue_lock);
    request(c, REQ_CODE);
}

static bool too_many_watched(struct soft_vm *vm)
{
    return atomic_load_explicit(&vm->watched_pages, memory_order_relaxed) >= vm->budget.watched_pages &&
           !vm->spare_bits->len;
}

/* Nothing is watched any more.  c drops all its code, too; other vCPUs are told to, and do so when they next look at
 * their queue: before they take an interrupt, and with it before they can know of code that changes from now on. */
static void unwatch_all(struct vcpu *c)
{
    struct soft_vm *vm = c->vm;
    for (unsigned i = 0; i < vm->cfg->cpus; i++)
        if (vm->vcpu[i] && vm->vcpu[i] != c)
            enqueue_everything(vm->vcpu[i]);
    g_mutex_lock(&vm->lock);
    for (uint64_t i = 0; i < vm->pages; i++) {
        struct code_bits *b = atomic_exchange(&vm->code_bits[i], NULL);
        if (b)
            g_ptr_array_add(vm->spare_bits, b);
    }
    g_mutex_unlock(&vm->lock);
}

void code_drain_queue(struct vcpu *c)
{
    g_mutex_lock(&c->queue_lock);
    if (c->queued > G_N_ELEMENTS(c->queue)) {
        count(c, COUNT_DROPS_OTHER);
        code_drop_all(c);
    } else
        for (unsigned i = 0; i < c->queued; i++)
            drop_range(c, c->queue[i].offset, c->queue[i].bytes);
    c->queued = 0;
    g_mutex_unlock(&c->queue_lock);
}

void code_written(struct soft_vm *vm, struct vcpu *self, uint64_t offset, uint64_t bytes)
{
    struct code_bits *b = bits_of(vm, offset);
    unsigned at = offset & ~PAGE_MASK;
    if (likely(!b) || !clear_bits(b, at, at + bytes))
        return;
    if (self) {
        count(self, COUNT_CODE_WRITES);
        drop_range(self, offset, bytes);
    }
    for (unsigned i = 0; i < vm->cfg->cpus; i++)
        if (vm->vcpu[i] && vm->vcpu[i] != self)
            enqueue(vm->vcpu[i], offset, bytes);
}

/* ---- decoding a block ---------------------------------------------------------------------------------------------- */
struct builder {
    uint8_t bytes[BLOCK_BYTES_MAX + 16];
    unsigned have; /* of them */
    struct insn insn[BLOCK_MAX + 1];
    unsigned count, used;
    bool faults;
};

/* How many bytes a fetch at c->rip may see: to the end of the segment. */
static unsigned fetch_limit(const struct vcpu *c, unsigned at_most)
{
    uint64_t left = c->code_limit - c->rip;
    return left < at_most ? left + 1 : at_most;
}

static void end_block(struct builder *b)
{
    b->insn[b->count] = (struct insn){.fn = exec_fallthrough, .ip = b->used, .number = b->count};
    b->count++;
}

/* Decodes until the block must end.  false: the first instruction needs more bytes than there are. */
static bool decode_block(struct vcpu *c, struct builder *b, unsigned mode)
{
    unsigned most = mode & MODE_ONE ? 1 : BLOCK_MAX;
    b->count = b->used = 0;
    b->faults = false;
    while (b->count < most && b->used < BLOCK_BYTES_MAX - 16) {
        struct insn *in = &b->insn[b->count];
        memset(in, 0, sizeof *in);
        in->ip = b->used;
        in->number = b->count;
        int r = decode(c, in, b->bytes + b->used, b->have - b->used, mode);
        if (r == DECODE_MORE) {
            if (!b->count)
                return false;
            break;
        }
        if (r != DECODE_OK) {
            decode_bind_fault(in, r == DECODE_UD ? EXC_UD : EXC_GP);
            b->faults |= in->len == 1;
        }
        b->count++;
        b->used += in->len;
        if (in->flags & INSN_ENDS)
            return true;
        /* Long blocks that overlap cost more than they save. */
        bool jcc = in->map ? in->map == 0x0f && (in->opcode & 0xf0) == 0x80 : (in->opcode & 0xf0) == 0x70;
        if (jcc && b->count >= LONG_ENOUGH)
            break;
    }
    end_block(b);
    return true;
}

static struct block *finish(struct vcpu *c, const struct builder *b, uint8_t *host, uint8_t *host2, unsigned mode)
{
    struct code_cache *k = c->code;
    uint64_t offset = host - c->vm->memory;
    struct block *r = arena_take(&k->young, sizeof *r + b->count * sizeof(struct insn) + b->used);
    *r = (struct block){
        .host = host, .host2 = host2, .bytes = b->used, .count = b->count, .mode = mode, .faults = b->faults};
    r->raw = (uint8_t *)&r->insn[b->count];
    memcpy(r->insn, b->insn, b->count * sizeof(struct insn));
    memcpy(r->raw, b->bytes, b->used);
    r->first = r->insn[0].fn;
    count(c, COUNT_BLOCKS_DECODED);
    if (c->translator)
        r->insn[0].fn = trans_count_entry;
    struct code_page *p = code_page(k, offset);
    struct block **head = &p->bucket[bucket(offset)];
    r->next = *head;
    *head = r;
    if (host2) {
        p = code_page(k, host2 - c->vm->memory);
        r->next2 = p->crossing;
        p->crossing = r;
    }
    return r;
}

/* The only instruction's bytes may lie in two pages, in RAM or not. */
static struct block *build_odd(struct vcpu *c, uint64_t lin, uint8_t *host, unsigned mode)
{
    struct builder b;
    unsigned left = PAGE_SIZE - (lin & ~PAGE_MASK), want = fetch_limit(c, 15);
    uint8_t *host2 = NULL;
    for (b.have = 0; b.have < want;) {
        uint64_t at = code64(c) ? lin + b.have : (uint32_t)(lin + b.have);
        if (b.have >= left) {
            struct tlb_info *i = tlb_get_fetch(c, at);
            if (!host2 && i->page & GPA_RAM)
                host2 = c->vm->memory + (i->page & PAGE_MASK);
        }
        struct tlb_info *i = tlb_get_fetch(c, at);
        b.bytes[b.have++] = i->page & GPA_RAM ? c->vm->memory[(i->page & PAGE_MASK) + (at & ~PAGE_MASK)]
                                              : machine_load(outside(c), c->index, i->gpa + (at & ~PAGE_MASK), 1);
        if (decode_block(c, &b, mode | MODE_ONE))
            break;
    }
    if (!b.count)
        raise_error(c, EXC_GP, 0);
    if (b.used <= left)
        host2 = NULL;
    if (!host || (b.used > left && !host2)) { /* MMIO */
        struct block *r = c->code->scratch;
        r->bytes = b.used;
        r->count = b.count;
        memcpy(r->insn, b.insn, b.count * sizeof(struct insn));
        memcpy(r->raw, b.bytes, b.used);
        return r;
    }
    watch(c, host - c->vm->memory, host2 ? left : b.used);
    if (host2)
        watch(c, host2 - c->vm->memory, b.used - left);
    return finish(c, &b, host, host2, mode);
}

static struct block *build(struct vcpu *c, uint64_t lin, uint8_t *host, unsigned mode)
{
    struct builder b;
    fpu_leave(c); /* the decoder is not ours */
    bool watched_full = too_many_watched(c->vm);
    if (watched_full || arena_full(&c->code->kept)) {
        if (watched_full)
            unwatch_all(c);
        count(c, COUNT_DROPS_CODE_FULL);
        code_drop_all(c);
    } else if (arena_full(&c->code->young) || replay_full(c)) {
        count(c, COUNT_DROPS_DECODED_FULL);
        drop_young(c);
    }
    if (!host)
        return build_odd(c, lin, NULL, mode);
    unsigned left = PAGE_SIZE - (lin & ~PAGE_MASK);
    b.have = fetch_limit(c, left < BLOCK_BYTES_MAX ? left : BLOCK_BYTES_MAX);
    do {
        memcpy(b.bytes, host, b.have);
        if (!decode_block(c, &b, mode))
            return build_odd(c, lin, host, mode);
        watch(c, host - c->vm->memory, b.used);
    } while (memcmp(b.bytes, host, b.used)); /* another vCPU was writing */
    return finish(c, &b, host, NULL, mode);
}

bool code_kept_full(const struct vcpu *c)
{
    return arena_full(&c->code->kept);
}

/* ---- blocks that were translated -------------------------------------------------------------------------------- */
struct block *code_keep(struct vcpu *c, struct block *young)
{
    struct code_cache *k = c->code;
    uint64_t offset = young->host - c->vm->memory;
    struct block *r = arena_take(&k->kept, sizeof *r + sizeof(struct insn) + young->bytes);
    *r = *young;
    r->kept = true;
    r->raw = (uint8_t *)&r->insn[1];
    r->insn[0] = young->insn[0];
    memcpy(r->raw, young->raw, young->bytes);
    struct block **at = &code_page(k, offset)->bucket[bucket(offset)];
    while (*at != young)
        at = &(*at)->next;
    *at = r;
    if (r->host2) {
        at = &code_page(k, r->host2 - c->vm->memory)->crossing;
        while (*at != young)
            at = &(*at)->next2;
        *at = r;
    }
    young->translated = NULL;
    kill_block(c, young); /* other blocks may still think that they lead to it */
    return r;
}

static void decode_again(struct vcpu *c, struct insn *in, const struct block *r, unsigned number, unsigned ip)
{
    if (ip == r->bytes) {
        *in = (struct insn){.fn = exec_fallthrough};
    } else {
        count(c, COUNT_DECODED_AGAIN);
        bool live = c->replay->live;
        fpu_leave(c); /* the decoder is not ours */
        if (replay_full(c))
            drop_young(c);
        *in = (struct insn){.ip = ip, .number = number};
        int result = decode(c, in, r->raw + ip, r->bytes - ip, r->mode);
        if (live) { /* nobody shall notice */
            fpu_enter(c);
            trans_vector_update(c);
        }
        g_assert(result == DECODE_OK || result == DECODE_UD); /* as it was the first time */
        if (result == DECODE_UD)
            decode_bind_fault(in, EXC_UD);
    }
    in->ip = ip;
    in->number = number;
}

const struct insn *code_insn(struct vcpu *c, const struct block *r, unsigned number, unsigned ip)
{
    if (!r->kept)
        return &r->insn[number];
    uint64_t hash = ((uintptr_t)r * (64 / 16) + number) * 0x9e3779b97f4a7c15u;
    struct again *a = &c->code->again[hash >> 32 & (AGAIN_SETS - 1)];
    for (unsigned way = 0; way < AGAIN_WAYS; way++)
        if (a->block[way] == r && a->insn[way].number == number)
            return &a->insn[way];
    unsigned way = a->oldest++ % AGAIN_WAYS;
    a->block[way] = NULL;
    decode_again(c, &a->insn[way], r, number, ip);
    a->block[way] = r;
    return &a->insn[way];
}

static bool second_page_is(struct vcpu *c, const struct block *r, uint64_t lin)
{
    uint64_t next = (lin | ~PAGE_MASK) + 1;
    struct tlb_info *i = tlb_get_fetch(c, code64(c) ? next : (uint32_t)next);
    return i->page & GPA_RAM && r->host2 == c->vm->memory + (i->page & PAGE_MASK);
}

static struct block *lookup(struct vcpu *c, uint64_t lin, uint8_t *host, unsigned mode)
{
    uint64_t offset = host - c->vm->memory;
    struct code_page *p = c->code->page[offset >> 12];
    struct block *r = p ? p->bucket[bucket(offset)] : NULL;
    for (; r; r = r->next)
        if (r->host == host && r->mode == mode && (!r->host2 || second_page_is(c, r, lin)))
            return r;
    return NULL;
}

static struct block *find(struct vcpu *c, unsigned mode)
{
    uint64_t lin = code_linear(c, c->rip);
    struct jump *j = &c->code->jump[(lin ^ lin >> 12) & (JUMPS - 1)];
    if (likely(j->ip == lin && j->block && j->block->mode == mode && code_is_at(c, j->block, lin)))
        return j->block;
    if (c->rip > c->code_limit || (code64(c) && !canonical(lin)))
        raise_error(c, EXC_GP, 0);
    struct tlb_info *i = tlb_get_fetch(c, lin);
    uint8_t *host = i->page & GPA_RAM ? c->vm->memory + (i->page & PAGE_MASK) + (lin & ~PAGE_MASK) : NULL;
    struct block *r = host ? lookup(c, lin, host, mode) : NULL;
    if (!r)
        r = build(c, lin, host, mode);
    if (host)
        *j = (struct jump){lin, r};
    return r;
}

struct block *code_find(struct vcpu *c)
{
    struct block *r = find(c, c->mode);
    if (unlikely(c->rip + r->bytes - 1 > c->code_limit)) {
        r = find(c, c->mode | MODE_ONE);
        if (c->rip + r->bytes - 1 > c->code_limit)
            raise_error(c, EXC_GP, 0);
    }
    return r;
}
