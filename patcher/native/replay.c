// SPDX-License-Identifier: GPL-2.0-or-later
/* replay.c - native replay: data-processing instructions run on the host CPU itself, see native/stub.c. */
#include "patcher/native/fpu.h"
#include "patcher/vm.h"
#include <string.h>

void *replay_direct(struct vcpu *c, const struct stub *s, uint64_t lin)
{
    const struct tlb_entry *e = tlb_slot(c, lin);
    if (unlikely(s->access & ACCESS_READ && !tlb_hit(c, e->read, lin, s->mem_bytes)) ||
        unlikely(s->access & ACCESS_WRITE && !tlb_hit(c, e->write, lin, s->mem_bytes)))
        return NULL;
    return (void *)(lin + e->addend);
}

uint8_t *replay_scratch(struct vcpu *c, uint64_t lin)
{
    return c->replay->scratch + (lin & 63);
}

static uint32_t mxcsr(struct vcpu *c)
{
    uint32_t v;
    fpu_use(c);
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}

/* #GP for misaligned SSE operands comes before all other checks of the address.  With MXCSR.MM (AMD's misaligned SSE
 * mode) the host decides. */
static void check_alignment(struct vcpu *c, const struct insn *in, const struct stub *s)
{
    uint64_t base = in->flags & INSN_SEGMENTED ? c->seg[in->seg].base : 0;
    if (unlikely((base + mem_offset(c, in)) & (s->align - 1u)) && !(mxcsr(c) & 1u << 17))
        raise_error(c, EXC_GP, 0);
}

static void check_natural_alignment(struct vcpu *c, const struct stub *s, uint64_t lin)
{
    uint64_t last = lin + s->mem_bytes - 1;
    bool address_fault = code64(c) ? !canonical(lin) || !canonical(last) : last > 0xffffffff;
    if (lin & (s->natural - 1u) && !address_fault)
        raise_error(c, EXC_AC, 0);
}

/* The host's exception becomes the guest's. */
static void host_exception(struct vcpu *c, unsigned vector)
{
    switch (vector) {
    case EXC_MF: fpu_raise_mf(c); break;
    case EXC_XM: raise_exception(c, c->cr4 & CR4_OSXMM ? EXC_XM : EXC_UD);
    case EXC_GP: raise_error(c, EXC_GP, 0); /* misaligned operand, reserved bits in MXCSR */
    default: raise_exception(c, EXC_UD);
    }
}

void replay_run(struct vcpu *c, const struct insn *in, const struct stub *s, void *memory)
{
    if (s->vector)
        fpu_use(c);
    uint16_t errors = unlikely(c->replay->ignore_errors) ? fpu_put_errors_aside(c) : 0;
    unsigned trap = replay_stub_call(c, s, memory);
    if (unlikely(trap))
        host_exception(c, trap - 1);
    if (s->x87)
        fpu_set_x87_pointers(c, in, s);
    else if (s->fldcw)
        fpu_masks_changed(c);
    if (unlikely(errors))
        fpu_put_errors_back(c, errors);
}

/* The operand goes through the scratch buffer.  An x87 store that meets an unmasked exception writes nothing, so the
 * buffer starts with what is there. */
static void run_buffered(struct vcpu *c, const struct insn *in, const struct stub *s, uint64_t lin)
{
    uint8_t *buffer = replay_scratch(c, lin);
    if (s->access & ACCESS_WRITE)
        mem_probe(c, in, lin, s->mem_bytes, ACCESS_WRITE);
    if (s->access & ACCESS_READ || s->x87)
        mem_read_bytes(c, in, lin, buffer, s->mem_bytes);
    replay_run(c, in, s, buffer);
    if (s->access & ACCESS_WRITE)
        mem_write_bytes(c, in, lin, buffer, s->mem_bytes);
}

static void begin(struct vcpu *c, const struct stub *s)
{
    fpu_check(c, s->check);
    if (s->waits)
        fpu_wait(c);
}

static void exec_registers(struct vcpu *c, const struct insn *in)
{
    const struct stub *s = (const struct stub *)in->imm;
    begin(c, s);
    replay_run(c, in, s, NULL);
}

/* An 80-bit operand is accessed in two parts, eight bytes first: which shows at the end of a segment. */
static void check_extended(struct vcpu *c, const struct insn *in, const struct stub *s)
{
    uint64_t lin = mem_linear(c, in, 8, s->access);
    const struct tlb_entry *e = tlb_slot(c, lin);
    if (unlikely((lin & PAGE_MASK) != (s->access & ACCESS_WRITE ? e->write : e->read)))
        mem_probe(c, in, lin, 8, s->access);
}

/* A store that may fault has done this before on some CPUs, all of it or with the tags as they were. */
static void change_to_mmx(struct vcpu *c)
{
    uint32_t unused;
    struct x87_env env;
    fpu_use(c);
    if (!c->replay->quirks->mmx_tags_after_store) {
        __asm__ volatile("movd %%mm0, %0" : "=r"(unused)); /* reading is enough, and changes no register */
    } else if (fpu_status(c) & FSW_TOP) {
        __asm__ volatile("fnstenv %0" : "=m"(env));
        env.fsw &= ~FSW_TOP;
        __asm__ volatile("fldenv %0" ::"m"(env));
    }
}

/* Runs an x87 store to nowhere.  True: it met an unmasked error other than lost precision, so that it has stored nothing, and
 * that was all of it; false: nothing has happened. */
static bool meets_error(struct vcpu *c, const struct insn *in, const struct stub *s)
{
    struct replay *r = c->replay;
    const uint64_t fip = r->fip, fdp = r->fdp;
    const uint16_t fcs = r->fcs, fds = r->fds, fop = r->fop;
    uint16_t fcw;
    fpu_use(c);
    if (likely(!r->x87_unmasked))
        return false;
    fpu_leave(c);
    replay_run(c, in, s, r->scratch);
    __asm__ volatile("fnstcw %0" : "=m"(fcw));
    if (fpu_status(c) & ~fcw & FSW_NO_RESULT)
        return true;
    fpu_host_load(r, c->xsave); /* as it was */
    r->fip = fip;
    r->fdp = fdp;
    r->fcs = fcs;
    r->fds = fds;
    r->fop = fop;
    return false;
}

/* What some CPUs do before they look at where they store to.  True: that was all. */
static bool run_late(struct vcpu *c, const struct insn *in, const struct stub *s)
{
    if (s->x87)
        return meets_error(c, in, s);
    uint8_t *buffer = c->replay->scratch;
    replay_run(c, in, s, buffer); /* VCVTPS2PH */
    mem_write_bytes(c, in, mem_linear(c, in, s->mem_bytes, ACCESS_WRITE), buffer, s->mem_bytes);
    return true;
}

static void exec_memory(struct vcpu *c, const struct insn *in)
{
    const struct stub *s = (const struct stub *)in->imm;
    begin(c, s);
    if (unlikely(s->late) && run_late(c, in, s))
        return;
    if (unlikely(s->check == FPU_MMX && s->access == ACCESS_WRITE) && c->replay->quirks->mmx_before_store)
        change_to_mmx(c);
    if (s->align > 1)
        check_alignment(c, in, s);
    if (s->mem_bytes == 10)
        check_extended(c, in, s);
    uint64_t lin = mem_linear(c, in, s->mem_bytes, s->access);
    if (unlikely(fpu_alignment_checked(c)))
        check_natural_alignment(c, s, lin);
    void *direct = replay_direct(c, s, lin);
    if (likely(direct))
        replay_run(c, in, s, direct);
    else
        run_buffered(c, in, s, lin);
}

const struct stub *replay_plain_stub(const struct insn *in)
{
    bool plain = in->aux == (void *)exec_registers || in->aux == (void *)exec_memory || replay_masked(in);
    return plain ? (const struct stub *)in->imm : NULL;
}

/* VZEROUPPER and VZEROALL outside 64-bit mode, where they leave registers 8 to 15 alone. */
static void exec_vzero(struct vcpu *c, const struct insn *in)
{
    const struct host_xcomponent *k = c->replay->component;
    fpu_check(c, FPU_AVX);
    uint8_t *area = fpu_area(c);
    memset(area + k[2].offset, 0, k[2].bytes / 2);
    memset(area + k[6].offset, 0, k[6].bytes / 2);
    if (in->imm)
        memset(area + XS_XMM, 0, 128);
}

static cold_fn bind_vzero(struct insn *in, const struct replay_info *info, bool code64)
{
    if (code64 || info->encoding != REPLAY_VEX || info->map != 1 || info->opcode != 0x77)
        return NULL;
    in->imm = info->vector_bytes == 32; /* VZEROALL */
    return exec_vzero;
}

/* ---- instructions without an effect here ---------------------------------------------------------------------------- */
static void exec_nothing(struct vcpu *c, const struct insn *in)
{
}

static void exec_fence(struct vcpu *c, const struct insn *in)
{
    __asm__ volatile("mfence" ::: "memory");
}

static void exec_flush_line(struct vcpu *c, const struct insn *in)
{
    mem_probe(c, in, mem_linear(c, in, 1, ACCESS_READ), 1, ACCESS_READ);
}

static cold_fn bind_hint(const char *name)
{
    if (g_str_has_prefix(name, "prefetch") || !strcmp(name, "cldemote"))
        return exec_nothing;
    if (!strcmp(name, "lfence") || !strcmp(name, "sfence") || !strcmp(name, "mfence"))
        return exec_fence;
    if (!strcmp(name, "clflush") || !strcmp(name, "clflushopt") || !strcmp(name, "clwb"))
        return exec_flush_line;
    return NULL;
}

/* ---- what an instruction needs ---------------------------------------------------------------------------------------- */
static bool one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(name, *list))
            return true;
    return false;
}

/* Sets of instructions that work on data only, and may be handed to the host as they are. */
static bool replayable(const char *set)
{
    static const char *const sets[] = {
        "X87",   "FCMOV",    "SSE3X87", "PENTIUMMMX", "SSE", "SSE2", "SSE3", "SSSE3",      "SSE4",       "SSE42",
        "SSE4A", "SSEMXCSR", "SSE2MMX", "SSSE3MMX",   "AES", "SHA",  "GFNI", "PCLMULQDQ",  "POPCNT",     "LZCNT",
        "BMI1",  "BMI2",     "MOVBE",   "ADOX_ADCX",  "FMA", "F16C", "VAES", "VPCLMULQDQ", "AVX2GATHER", NULL};
    return one_of(set, sets) || g_str_has_prefix(set, "AVX");
}

static uint8_t mandatory(const struct replay_info *info)
{
    uint8_t p66 = 0, rep = 0;
    for (unsigned i = 0; i < info->modrm_at; i++) {
        uint8_t b = info->raw[i];
        if (b == 0x0f)
            break;
        p66 = b == 0x66 ? b : p66;
        rep = b == 0xf2 || b == 0xf3 ? b : rep;
    }
    return rep ? rep : p66;
}

static bool is_x87(const struct replay_info *info)
{
    return info->encoding == REPLAY_LEGACY && info->map == 0 && (info->opcode & 0xf8) == 0xd8;
}

/* Instructions with an MMX register; *xmm: they have an XMM register too. */
static bool uses_mmx(const struct replay_info *info, bool *xmm)
{
    uint8_t op = info->opcode, p = mandatory(info);
    *xmm = false;
    if (info->encoding != REPLAY_LEGACY || !info->has_modrm)
        return info->encoding == REPLAY_LEGACY && info->map == 1 && op == 0x77;
    if (info->map == 1 && op == 0x2a && info->memory) /* CVTPI2Px: no MMX register */
        return false;
    if (info->map == 1 && (op == 0x2a || op == 0x2c || op == 0x2d))
        return *xmm = p == 0 || p == 0x66;
    if (info->map == 1 && op == 0xd6)
        return *xmm = p == 0xf2 || p == 0xf3;
    if (p)
        return false;
    if (info->map == 1)
        return (op >= 0x60 && op <= 0x7f) || op == 0xc4 || op == 0xc5 || op >= 0xd0;
    return (info->map == 2 && op < 0x20) || (info->map == 3 && op == 0x0f);
}

static enum fpu_class class_of(const struct replay_info *info)
{
    static const char *const plain[] = {"POPCNT", "LZCNT", "BMI1", "BMI2", "MOVBE", "ADOX_ADCX", NULL};
    static const char *const plain_names[] = {"movnti", "crc32", "popcnt", NULL};
    bool xmm;
    if (info->encoding == REPLAY_EVEX || g_str_has_suffix(info->isa_set, "_KOP"))
        return FPU_AVX512;
    if (one_of(info->isa_set, plain))
        return info->encoding == REPLAY_VEX ? FPU_VEX_GPR : FPU_NONE;
    if (info->encoding == REPLAY_VEX)
        return FPU_AVX;
    if (one_of(info->mnemonic, plain_names))
        return FPU_NONE;
    if (is_x87(info))
        return FPU_X87;
    if (info->map == 0 && info->opcode == 0x9b)
        return FPU_FWAIT;
    return uses_mmx(info, &xmm) && !xmm ? FPU_MMX : FPU_SSE;
}

/* FNINIT FNCLEX FNSTSW FNSTCW and their like neither wait for exceptions nor set the pointers; FLDCW only waits. */
static bool x87_control(const struct replay_info *info, bool *waits)
{
    uint8_t modrm = info->raw[info->modrm_at], reg = modrm >> 3 & 7;
    *waits = false;
    if (!info->memory)
        return (info->opcode == 0xdb && reg == 4) || (info->opcode == 0xdf && modrm == 0xe0);
    if (info->opcode == 0xd9 && reg == 5)
        return *waits = true;
    return (info->opcode == 0xd9 && reg == 7) || (info->opcode == 0xdd && reg == 7);
}

/* Memory operands whose misalignment is #GP: SDM Vol. 2, 2.4 "exception class". */
static uint16_t alignment(const struct vcpu *c, const struct replay_info *info)
{
    static const char *const loose[] = {"movups",    "movupd",    "movdqu",    "lddqu", "pcmpestri",
                                        "pcmpestrm", "pcmpistri", "pcmpistrm", NULL};
    static const char *const strict[] = {"vmovaps",  "vmovapd",  "vmovdqa",  "vmovdqa32", "vmovdqa64",
                                         "vmovntps", "vmovntpd", "vmovntdq", "vmovntdqa", NULL};
    if (!info->memory)
        return 1;
    if (!strcmp(info->isa_set, "SHA") && c->vm->host.quirks.sha_unaligned) /* AMD's do not check, Intel's do */
        return 1;
    if (info->encoding == REPLAY_LEGACY)
        return info->mem_bytes == 16 && !one_of(info->mnemonic, loose) ? 16 : 1;
    return one_of(info->mnemonic, strict) ? info->mem_bytes : 1;
}

/* What #AC asks for. */
static unsigned natural_alignment(const struct vcpu *c, const struct replay_info *info)
{
    static const char *const halves[] = {"vcvtph2ps", "vcvtps2ph", NULL};
    if (info->mem_bytes == 10)
        return 8;
    if (c->vm->host.quirks.vectors_unaligned && (info->mem_bytes >= 16 || one_of(info->mnemonic, halves)))
        return 1;
    return MIN(info->mem_bytes, 16);
}

static bool is_late(const struct vcpu *c, const struct stub *s, const struct replay_info *info)
{
    const struct host_quirks *q = &c->vm->host.quirks;
    bool x87 = s->x87 && s->access == ACCESS_WRITE, half = !strcmp(info->mnemonic, "vcvtps2ph") && info->mem_writes;
    return (x87 && q->x87_error_before_store) || (half && q->ps2ph_flags_before_store);
}

static void describe(const struct vcpu *c, struct stub *s, const struct replay_info *info)
{
    bool xmm;
    s->check = class_of(info);
    s->flags = info->flags;
    s->vector = s->check != FPU_NONE && s->check != FPU_VEX_GPR;
    s->gpr = (uint16_t)(info->reads | info->writes);
    s->written = (uint16_t)info->writes;
    s->waits = s->check == FPU_MMX || s->check == FPU_FWAIT || (s->check == FPU_SSE && uses_mmx(info, &xmm));
    if (is_x87(info)) {
        uint16_t fop = (uint16_t)((info->opcode & 7) << 8 | info->raw[info->modrm_at]);
        s->x87 = x87_control(info, &s->waits) ? 0 : STUB_X87 | fop;
        s->waits |= s->x87 != 0;
        s->fldcw = info->memory && info->opcode == 0xd9 && (info->raw[info->modrm_at] >> 3 & 7) == 5;
    }
    if (info->memory) {
        s->access = (info->mem_reads ? ACCESS_READ : 0) | (info->mem_writes ? ACCESS_WRITE : 0);
        s->mem_bytes = info->mem_bytes;
        s->align = alignment(c, info);
        s->natural = (uint8_t)natural_alignment(c, info);
        s->late = is_late(c, s, info);
    }
}

/* Without ABM and BMI1 the F3 before BSR and BSF means nothing. */
static bool count_as_scan(const struct replay_info *info)
{
    return info->encoding == REPLAY_LEGACY && info->map == 1 && (info->opcode == 0xbc || info->opcode == 0xbd);
}

/* VPINSRQ and VPEXTRQ need 64-bit mode on AMD; Intel's take them for VPINSRD and VPEXTRD elsewhere. */
static bool amd_undefined(struct vcpu *c, const struct replay_info *info)
{
    return info->encoding == REPLAY_VEX && info->map == 3 && (info->opcode == 0x16 || info->opcode == 0x22) &&
           !code64(c) && cpuid_is_amd(c) && info->raw[info->modrm_at - 2] & 0x80;
}

static void drop_rep(struct replay_info *info)
{
    for (unsigned i = 0; info->raw[i] != 0x0f; i++)
        if (info->raw[i] == 0xf3)
            info->raw[i] = 0x3e;
}

/* Of a store with a non-temporal hint, the one without: LOCK would put such a store in order, and the translator leaves LOCK out for
 * a lone vCPU (core-vmm/machine/barrier.c).  Operands, prefixes and what alignment they ask for are the same. */
static void drop_hint(struct replay_info *info)
{
    enum { MOVNTP = 0x2b, MOVAP = 0x29, MOVS = 0x11, MOVNTDQ = 0xe7, MOVDQA = 0x7f };
    if (info->map != 1 || !info->mem_writes)
        return;
    if (info->opcode == MOVNTP) /* SSE4A has MOVNTSS and MOVNTSD */
        info->opcode = strcmp(info->isa_set, "SSE4A") ? MOVAP : MOVS;
    else if (info->opcode == MOVNTDQ) /* and MOVNTQ */
        info->opcode = MOVDQA;
    info->raw[info->modrm_at - 1] = info->opcode;
}

cold_fn replay_bind(struct vcpu *c, struct insn *in, const struct replay_info *given)
{
    struct replay_info copy = *given, *info = &copy;
    static const unsigned bits[] = {[CODE16] = 16, [CODE32] = 32, [CODE64] = 64};
    struct stub s;
    bool offered = replay_offered(c, info->isa_set);
    cold_fn fn = is_x87(info) ? fpu_x87_bind(info) : offered ? fpu_xsave_bind(info) : NULL;
    if (!fn)
        fn = bind_hint(info->mnemonic);
    if (!fn)
        fn = bind_vzero(in, info, (c->mode & MODE_CODE) == CODE64);
    if (fn)
        return fn;
    if (!(is_x87(info) || replayable(info->isa_set)) || info->encoding == REPLAY_3DNOW || info->encoding == REPLAY_XOP)
        return NULL;
    if (!offered) {
        if (!count_as_scan(info))
            return NULL;
        drop_rep(info);
    }
    if (amd_undefined(c, info))
        return NULL;
    if (c->vm->lone)
        drop_hint(info);
    memset(&s, 0, sizeof s); /* padding too: it is a hash key */
    describe(c, &s, info);
    fn = replay_mask_bind(info, &s, c->mode & MODE_CODE);
    if (!fn && (info->vsib || info->hidden_memory))
        return NULL;
    if (!fn)
        fn = info->memory ? exec_memory : exec_registers;
    if (!stub_encode(&s, info, bits[c->mode & MODE_CODE]))
        return NULL;
    fpu_leave(c); /* the hash table is not ours */
    in->imm = (uint64_t)stub_get(c, &s);
    return fn;
}
