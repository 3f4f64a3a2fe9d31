// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_run.c - the loop of a vCPU: blocks of decoded instructions, and between them whatever was requested. */
#include "patcher/interp/system.h"
#include "patcher/vm.h"
#include "patcher/interp/breakpoints.h"
#include "patcher/native/replay.h"
#include "patcher/interp/cold.h"

void request(struct vcpu *c, uint32_t bits)
{
    atomic_fetch_or_explicit(&c->request, bits, memory_order_seq_cst);
}

static void unrequest(struct vcpu *c, uint32_t bits)
{
    atomic_fetch_and(&c->request, ~bits);
}

/* ---- how cold handlers are called ----------------------------------------------------------------------------------- */
struct block *exec_cold(struct vcpu *c, const struct insn *in)
{
    sync_ip(c, in);
    ((cold_fn)in->aux)(c, in);
    return next_insn(c, in);
}

struct block *exec_cold_end(struct vcpu *c, const struct insn *in)
{
    sync_ip(c, in);
    c->next_rip = c->rip + in->len;
    if (!code64(c))
        c->next_rip = (uint32_t)c->next_rip;
    ((cold_fn)in->aux)(c, in);
    c->rip = c->next_rip;
    c->insns += in->number + 1;
    return NULL;
}

struct block *exec_invalid(struct vcpu *c, const struct insn *in)
{
    sync_ip(c, in);
    return NULL;
}

/* ---- exceptions ------------------------------------------------------------------------------------------------------ */
static _Noreturn void throw(struct vcpu * c, unsigned vector, bool has_error, uint32_t error)
{
    c->exc.vector = vector;
    c->exc.trap = false;
    c->exc.has_error = has_error;
    c->exc.error = error;
    _longjmp(c->trap, 1);
}

void raise_exception(struct vcpu *c, unsigned vector)
{
    throw(c, vector, false, 0);
}

void wait_for_interrupt(struct vcpu *c)
{
    c->run_state = X86_HALTED;
    throw(c, EXC_NONE, false, 0);
}

/* In real mode no exception pushes an error code: event_deliver() sees to that. */
void raise_error(struct vcpu *c, unsigned vector, uint32_t error)
{
    throw(c, vector, true, error | (c->delivering_external && vector != EXC_PF && vector != EXC_DF));
}

void raise_page_fault(struct vcpu *c, uint64_t lin, uint32_t error)
{
    c->exc.cr2 = lin;
    throw(c, EXC_PF, true, error);
}

void raise_debug(struct vcpu *c, uint64_t dr6)
{
    c->exc.dr6 = dr6;
    throw(c, EXC_DB, false, 0);
}

static bool contributory(int vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* An exception met while another was being delivered (SDM Vol. 3, 6.15, "Interrupt 8"); false: shutdown. */
static bool combine_faults(struct vcpu *c)
{
    int first = c->delivering, second = c->exc.vector;
    if (first == EXC_DF)
        return false;
    if ((contributory(first) && contributory(second)) ||
        (first == EXC_PF && (contributory(second) || second == EXC_PF))) {
        c->exc.vector = EXC_DF;
        c->exc.has_error = true;
        c->exc.error = 0;
    }
    return true;
}

/* Delivers c->exc.  Faults on the way land in vcpu_run() and come here again. */
static bool deliver_exception(struct vcpu *c)
{
    if (c->delivering >= 0 && !combine_faults(c))
        return false;
    unsigned vector = c->exc.vector;
    c->run_state = X86_RUNNING; /* a single-step trap behind HLT */
    c->delivering = vector;
    c->delivering_external = true;
    count(c, vector == EXC_PF ? COUNT_PAGE_FAULTS : COUNT_EXCEPTIONS);
    if (vector == EXC_PF)
        c->cr2 = c->exc.cr2;
    if (vector == EXC_DB) {
        c->dr[6] = (c->dr[6] & ~0xfull) | c->exc.dr6;
        c->dr[7] &= ~(uint64_t)DR7_GD;
    }
    event_deliver(c, vector, c->exc.trap ? EVENT_TRAP : EVENT_FAULT, c->exc.has_error, c->exc.error, c->rip);
    c->exc.trap = false;
    c->delivering = -1;
    c->delivering_external = false;
    return true;
}

static void deliver_external(struct vcpu *c, unsigned vector)
{
    c->delivering = 256; /* benign */
    c->delivering_external = true;
    count(c, COUNT_INTERRUPTS);
    event_deliver(c, vector, EVENT_EXTERNAL, false, 0, c->rip);
    c->delivering = -1;
    c->delivering_external = false;
}

/* A #DB behind an instruction. */
static _Noreturn void debug_trap(struct vcpu *c, uint64_t dr6)
{
    c->exc.vector = EXC_DB;
    c->exc.trap = true;
    c->exc.has_error = false;
    c->exc.dr6 = dr6;
    _longjmp(c->trap, 1);
}

/* ---- requests ----------------------------------------------------------------------------------------------------------- */
/* Has STI just set IF?  Then the next instruction comes first (at a stale match, too: it only delays by one). */
static bool behind_sti(struct vcpu *c)
{
    if (c->rip != c->sti_rip)
        return false;
    c->sti_rip = NO_STI;
    c->shadow = SHADOW_STI;
    update_mode(c);
    return true;
}

static void take_interrupt(struct vcpu *c)
{
    unrequest(c, REQ_INTR);
    if (!(c->rflags & RFLAG_IF) || c->shadow || !atomic_load(&c->intr_level))
        return;
    if (behind_sti(c))
        return;
    int vector = machine_ack(outside(c), c->index);
    if (vector < 0)
        return;
    c->run_state = X86_RUNNING;
    deliver_external(c, vector);
}

static void take_nmi(struct vcpu *c)
{
    unrequest(c, REQ_NMI);
    if (c->nmi_blocked || c->shadow || !atomic_load(&c->nmi_pending) || behind_sti(c))
        return;
    atomic_fetch_sub(&c->nmi_pending, 1); /* only this thread takes */
    c->run_state = X86_RUNNING;
    c->nmi_blocked = true;
    deliver_external(c, EXC_NMI);
}

static void take_init(struct vcpu *c)
{
    unrequest(c, REQ_INIT);
    vcpu_reset(c, true);
    if (!(c->apic_base & 1 << 8)) /* not the bootstrap processor */
        c->run_state = X86_WAIT_SIPI;
}

static void take_sipi(struct vcpu *c)
{
    unrequest(c, REQ_SIPI);
    int vector = atomic_exchange(&c->sipi_vector, -1);
    if (c->run_state != X86_WAIT_SIPI || vector < 0)
        return;
    c->run_state = X86_RUNNING;
    seg_load_real(c, X86_CS, vector << 8);
    c->rip = 0;
    update_mode(c);
}

/* An event whose delivery another engine had begun. */
static void take_event(struct vcpu *c)
{
    struct x86_event e = c->event;
    c->event.pending = false;
    c->nmi_blocked |= e.vector == EXC_NMI && !e.soft;
    c->delivering = e.vector < 32 ? e.vector : 256;
    c->delivering_external = !e.soft;
    event_deliver(c, e.vector,
                  e.soft                                 ? EVENT_SOFT
                  : e.vector < 32 && e.vector != EXC_NMI ? EVENT_FAULT
                                                         : EVENT_EXTERNAL,
                  e.has_error, e.error, c->rip);
    c->delivering = -1;
    c->delivering_external = false;
}

/* Serves everything but REQ_STEP, most urgent first; true: leave run() with *stop. */
static bool serve(struct vcpu *c, enum cpu_stop *stop)
{
    uint32_t r = atomic_load(&c->request);
    c->link = NULL;
    unrequest(c, REQ_HALT);
    if (r & REQ_FLUSH) {
        unrequest(c, REQ_FLUSH);
        tlb_flush_asked(c);
    }
    if (r & REQ_UNWRITE) {
        unrequest(c, REQ_UNWRITE);
        tlb_drop_write(c);
    }
    if (r & REQ_CODE) {
        unrequest(c, REQ_CODE);
        code_drain_queue(c);
    }
    if (r & REQ_KICK) {
        unrequest(c, REQ_KICK);
        count(c, COUNT_KICKS);
        *stop = CPU_STOP_KICKED;
        return true;
    }
    if (c->event.pending)
        take_event(c);
    if (r & REQ_INIT)
        take_init(c);
    if (r & REQ_SIPI)
        take_sipi(c);
    if (r & REQ_NMI && c->run_state != X86_WAIT_SIPI)
        take_nmi(c);
    if (r & REQ_INTR && c->run_state != X86_WAIT_SIPI)
        take_interrupt(c);
    if (c->run_state != X86_RUNNING && !(atomic_load(&c->request) & ~(uint32_t)REQ_STEP)) {
        *stop = CPU_STOP_HLT;
        return true;
    }
    return false;
}

/* ---- one instruction at a time ------------------------------------------------------------------------------------------- */
static void step(struct vcpu *c)
{
    bool tf = c->rflags & RFLAG_TF, rf = c->rflags & RFLAG_RF;
    uint8_t shadow = c->shadow;
    if (c->pending_dr6 && !(shadow & SHADOW_MOV_SS)) { /* the instruction before left a trap behind */
        uint64_t hits = c->pending_dr6;
        c->pending_dr6 = 0;
        debug_trap(c, hits);
    }
    /* MOV SS holds off instruction breakpoints on Intel's processors only; elsewhere its own data breakpoint comes with
     * them: a second #DB inside the first one's handler would be on the same IST stack */
    if (debug_any(c) && !rf && !(shadow & SHADOW_MOV_SS && !cpuid_is_amd(c))) {
        uint64_t hits = debug_fetch_hits(c, code_linear(c, c->rip)), held = c->pending_dr6;
        if (hits) {
            c->pending_dr6 = 0;
            raise_debug(c, hits | held);
        }
    }
    c->shadow = 0;
    c->rflags &= ~RFLAG_RF;
    c->no_step_trap = false;
    count(c, COUNT_STEPS);
    struct block *r = code_find(c);
    uint64_t start = c->gpr[REG_BLOCK_IP] = c->rip;
    bool string = insn_is_string(r->insn);
    r->insn[0].fn(c, r->insn);
    unrequest(c, REQ_STEP);
    update_mode(c);
    if (atomic_load(&c->intr_level))
        request(c, REQ_INTR);
    if (atomic_load(&c->nmi_pending))
        request(c, REQ_NMI);
    uint64_t hits = c->pending_dr6 | (tf && !c->no_step_trap ? DR6_BS : 0);
    if (hits && !(c->shadow & SHADOW_MOV_SS)) {
        c->pending_dr6 = 0;
        if (string && c->rip == start && c->vm->host.quirks.rep_sets_rf) /* between two iterations */
            c->rflags |= RFLAG_RF;
        debug_trap(c, hits);
    }
}

/* The fast loop: until something is requested. */
static void run_fast(struct vcpu *c)
{
    while (likely(!atomic_load_explicit(&c->request, memory_order_relaxed))) {
        struct block *r = code_find(c);
        const struct insn *link = c->link; /* only now: dropping all code, it forgets the link too */
        c->link = NULL;
        if (link && insn_block(link)->host && insn_block(link)->mode == r->mode)
            ((struct insn *)link)->aux = r;
        do {
            if (unlikely(c->rip + r->bytes - 1 > c->code_limit))
                r = code_find(c);
            c->gpr[REG_BLOCK_IP] = c->rip;
            r = r->insn[0].fn(c, r->insn);
        } while (r && likely(!atomic_load_explicit(&c->request, memory_order_relaxed)));
    }
}

enum cpu_stop vcpu_run(struct vcpu *c, GError **error)
{
    enum cpu_stop stop;
    c->error = error;
    if (_setjmp(c->trap)) {
        if (c->failed)
            return CPU_STOP_FAIL;
        c->shadow = 0;
        c->link = NULL;
        if (c->exc.vector != EXC_NONE && !deliver_exception(c))
            return CPU_STOP_RESET;
    }
    if (c->run_state != X86_RUNNING) /* look whether something wakes it */
        request(c, REQ_INTR | REQ_NMI);
    for (;;) {
        uint32_t r = atomic_load(&c->request);
        if (unlikely(c->run_state != X86_RUNNING || r & ~(uint32_t)REQ_STEP || c->event.pending)) {
            if (serve(c, &stop))
                return stop;
        } else if (r)
            step(c);
        else
            run_fast(c);
    }
}
