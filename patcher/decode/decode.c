// SPDX-License-Identifier: GPL-2.0-or-later
/* decode.c - instruction bytes to struct insn.  Zydis finds prefixes, opcode, ModRM, displacement and immediate and
 * says what is no instruction; this is the only file that knows it.  What an instruction does is chosen by opcode in
 * decode/bind0.c and decode/bind0f.c; the rest goes to native replay. */
#include "patcher/decode/decode.h"
#include "patcher/native/replay.h"
#include <Zydis/Zydis.h>
#include <string.h>

static void decoder_init(ZydisDecoder *z, unsigned code, bool amd)
{
    static const ZydisMachineMode mode[] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32,
                                            ZYDIS_MACHINE_MODE_LONG_64};
    static const ZydisStackWidth width[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_64};
    ZydisDecoderInit(z, mode[code], width[code]);
    ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE); /* without them, their opcodes are NOPs */
    ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
    ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
    ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_AMD_BRANCHES, amd);
}

/* ---- the parts ------------------------------------------------------------------------------------------------------- */
static void prefixes(struct shape *s, const ZydisDecodedInstruction *d)
{
    for (unsigned i = 0; i < d->raw.prefix_count; i++)
        switch (d->raw.prefixes[i].value) {
        case 0xf0: s->lock = true; break;
        case 0xf2:
            s->repne = true;
            s->rep = false;
            break;
        case 0xf3:
            s->rep = true;
            s->repne = false;
            break;
        case 0x66: s->has66 = true; break;
        }
    if (d->attributes & ZYDIS_ATTRIB_HAS_REX)
        s->rex = 0x40 | d->raw.rex.W << 3 | d->raw.rex.R << 2 | d->raw.rex.X << 1 | d->raw.rex.B;
}

static uint8_t segment_override(const ZydisDecodedInstruction *d)
{
    uint64_t a = d->attributes;
    return a & ZYDIS_ATTRIB_HAS_SEGMENT_FS   ? X86_FS
           : a & ZYDIS_ATTRIB_HAS_SEGMENT_GS ? X86_GS
           : a & ZYDIS_ATTRIB_HAS_SEGMENT_CS ? X86_CS
           : a & ZYDIS_ATTRIB_HAS_SEGMENT_DS ? X86_DS
           : a & ZYDIS_ATTRIB_HAS_SEGMENT_ES ? X86_ES
           : a & ZYDIS_ATTRIB_HAS_SEGMENT_SS ? X86_SS
                                             : NO_SEGMENT;
}

/* Sign-extended from its size; who wants it unsigned masks it. */
static uint64_t immediate(const ZydisDecodedInstruction *d, unsigned i)
{
    unsigned up = 64 - d->raw.imm[i].size;
    return d->raw.imm[i].size ? (uint64_t)((int64_t)(d->raw.imm[i].value.u << up) >> up) : 0;
}

static struct shape shape_of(const ZydisDecodedInstruction *d)
{
    struct shape s = {.opcode = d->opcode, .len = d->length, .asize = d->address_width / 8, .disp = d->raw.disp.value};
    s.map = d->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT ? 0
            : d->opcode_map == ZYDIS_OPCODE_MAP_0F    ? 0x0f
            : d->opcode_map == ZYDIS_OPCODE_MAP_0F38  ? 0x38
                                                      : 0x3a;
    prefixes(&s, d);
    s.seg = segment_override(d);
    s.has_modrm = d->attributes & ZYDIS_ATTRIB_HAS_MODRM;
    s.modrm = d->raw.modrm.mod << 6 | d->raw.modrm.reg << 3 | d->raw.modrm.rm;
    s.sib = d->raw.sib.scale << 6 | d->raw.sib.index << 3 | d->raw.sib.base;
    s.imm = immediate(d, 0);
    s.imm2 = immediate(d, 1);
    return s;
}

static unsigned operand_size(const struct parts *p)
{
    if (p->rex_w)
        return 3;
    bool wide = p->code != CODE16;
    return wide != p->has66 ? 2 : 1;
}

/* In 64-bit code only FS and GS can be chosen. */
static uint8_t segment_of(const struct parts *p, const struct shape *s, unsigned fallback)
{
    bool chosen = s->seg != NO_SEGMENT && (p->code != CODE64 || s->seg >= X86_FS);
    return chosen ? s->seg : fallback;
}

static void memory_16(struct insn *in, unsigned mod, unsigned rm, unsigned *seg)
{
    static const uint8_t base[] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP, REG_ZERO, REG_ZERO, X86_RBP, X86_RBX};
    static const uint8_t index[] = {X86_RSI, X86_RDI, X86_RSI, X86_RDI, X86_RSI, X86_RDI, REG_ZERO, REG_ZERO};
    unsigned b = mod == 0 && rm == 6 ? REG_ZERO : base[rm];
    in->base = b * 8;
    in->index = index[rm] * 8;
    if (b == X86_RBP)
        *seg = X86_SS;
}

static void memory_32_64(const struct parts *p, struct insn *in, const struct shape *s, unsigned *seg)
{
    unsigned rm = s->modrm & 7, mod = s->modrm >> 6, b;
    unsigned rex_b = p->vex_b || s->rex & 1 ? 8 : 0;
    in->index = REG_ZERO * 8;
    if (rm == 4) {
        unsigned x = (s->sib >> 3 & 7) | (p->vex_x || s->rex & 2 ? 8 : 0);
        b = (s->sib & 7) == 5 && mod == 0 ? REG_ZERO : (s->sib & 7) | rex_b;
        if (x != 4) {
            in->index = x * 8;
            in->scale = s->sib >> 6;
        }
    } else if (rm == 5 && mod == 0) {
        b = p->code == CODE64 ? REG_BLOCK_IP : REG_ZERO;
        if (b == REG_BLOCK_IP)
            in->disp += in->ip + s->len;
    } else
        b = rm | rex_b;
    in->base = b * 8;
    if (b == X86_RSP || b == X86_RBP)
        *seg = X86_SS;
}

static void set_segment(const struct parts *p, struct insn *in, unsigned seg)
{
    in->seg = seg;
    bool special = p->code == CODE64 ? seg >= X86_FS : !(p->mode & MODE_FLAT) || seg >= X86_FS || seg == X86_CS;
    if (special)
        in->flags |= INSN_SEGMENTED;
}

static void set_memory(struct parts *p, const struct shape *s)
{
    struct insn *in = p->in;
    unsigned seg = X86_DS;
    in->base = in->index = REG_ZERO * 8;
    in->scale = 0;
    if (p->mem && s->asize == 2)
        memory_16(in, p->mod, s->modrm & 7, &seg);
    else if (p->mem)
        memory_32_64(p, in, s, &seg);
    set_segment(p, in, segment_of(p, s, seg));
}

static void take_apart(struct parts *p, const struct shape *s)
{
    struct insn *in = p->in;
    p->lock = s->lock;
    p->rep = s->rep;
    p->repne = s->repne;
    p->has66 = s->has66;
    p->rex = s->rex != 0;
    p->rex_w = s->rex & 8;
    p->opcode = in->opcode = s->opcode;
    p->map = in->map = s->map;
    p->osize = operand_size(p);
    p->has_modrm = s->has_modrm;
    p->mod = s->modrm >> 6;
    p->reg = (s->modrm >> 3 & 7) | (s->rex & 4 ? 8 : 0);
    p->rm = (p->has_modrm ? s->modrm & 7 : s->opcode & 7) | (s->rex & 1 ? 8 : 0);
    p->mem = p->has_modrm && p->mod != 3;
    p->imm = s->imm;
    p->imm2 = s->imm2;
    in->imm = p->imm;
    in->len = s->len;
    in->asize = s->asize;
    in->osize = 1u << p->osize;
    in->amask = in->asize == 8 ? ~0ull : in->asize == 4 ? 0xffffffff : 0xffff;
    in->reg_no = p->reg;
    in->rm_no = p->rm;
    in->flags = (p->lock ? INSN_LOCK : 0) | (p->rep ? INSN_REP : 0) | (p->repne ? INSN_REPNE : 0) |
                (p->mem ? INSN_MEM : 0) | (p->has66 ? INSN_66 : 0) | (p->rex ? INSN_REX : 0);
    in->disp = s->disp;
    set_memory(p, s);
}

/* ---- native replay ------------------------------------------------------------------------------------------------------ */
static const char *lower_mnemonic(ZydisMnemonic m)
{
    return ZydisMnemonicGetString(m);
}

static uint64_t register_bit(ZydisRegister r)
{
    ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
    return whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15 ? 1ull << (whole - ZYDIS_REGISTER_RAX) : 0;
}

static void replay_operands(struct replay_info *info, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *op)
{
    for (unsigned i = 0; i < d->operand_count; i++) {
        bool reads = op[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ,
             writes = op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
        if (op[i].type == ZYDIS_OPERAND_TYPE_REGISTER) {
            uint64_t bit = register_bit(op[i].reg.value);
            info->reads |= reads ? bit : 0;
            info->writes |= writes ? bit : 0;
        } else if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && op[i].mem.type != ZYDIS_MEMOP_TYPE_AGEN) {
            if (op[i].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && !info->memory)
                info->hidden_memory = true;
            if (op[i].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && info->mem_bytes)
                continue;
            info->vsib |= op[i].mem.type == ZYDIS_MEMOP_TYPE_VSIB;
            info->mem_reads |= reads;
            info->mem_writes |= writes;
            info->mem_bytes = op[i].size / 8;
            info->mem_element_bytes = op[i].element_size / 8;
        }
    }
}

static unsigned broadcast_elements(const struct replay_info *info, const ZydisDecodedInstruction *d)
{
    ZydisBroadcastMode mode = d->avx.broadcast.mode;
    bool embedded = info->memory && mode >= ZYDIS_BROADCAST_MODE_1_TO_2 && mode <= ZYDIS_BROADCAST_MODE_1_TO_64;
    return embedded && !d->avx.broadcast.is_static ? 2u << (mode - ZYDIS_BROADCAST_MODE_1_TO_2) : 0;
}

static enum replay_encoding encoding_of(const ZydisDecodedInstruction *d)
{
    switch (d->encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_3DNOW: return REPLAY_3DNOW;
    case ZYDIS_INSTRUCTION_ENCODING_VEX: return REPLAY_VEX;
    case ZYDIS_INSTRUCTION_ENCODING_EVEX: return REPLAY_EVEX;
    case ZYDIS_INSTRUCTION_ENCODING_XOP: return REPLAY_XOP;
    default: return REPLAY_LEGACY;
    }
}

/* What needs rights or changes hidden state is bound by opcode or is not offered. */
static bool replayable(const ZydisDecodedInstruction *d)
{
    switch (d->meta.category) {
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_VTX:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP: return false;
    default: return !(d->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED);
    }
}

static bool whole_operand(const ZydisDecodedInstruction *d)
{
    switch (d->meta.exception_class) {
    case ZYDIS_EXCEPTION_CLASS_E1NF:
    case ZYDIS_EXCEPTION_CLASS_E2NF:
    case ZYDIS_EXCEPTION_CLASS_E3NF:
    case ZYDIS_EXCEPTION_CLASS_E4NF:
    case ZYDIS_EXCEPTION_CLASS_E5NF:
    case ZYDIS_EXCEPTION_CLASS_E6NF:
    case ZYDIS_EXCEPTION_CLASS_E9NF:
    case ZYDIS_EXCEPTION_CLASS_E10NF:
    case ZYDIS_EXCEPTION_CLASS_E11NF: return true;
    default: return false;
    }
}

/* VEX and EVEX keep the extension bits of base and index elsewhere, inverted, and EVEX scales a short displacement. */
static void set_vector_memory(struct parts *p, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *op,
                              const uint8_t *bytes)
{
    bool evex = d->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX, vex2 = bytes[d->raw.vex.offset] == 0xc5;
    uint8_t bits = evex ? bytes[d->raw.evex.offset + 1] : vex2 ? 0xff : bytes[d->raw.vex.offset + 1];
    struct insn *in = p->in;
    if (!p->mem)
        return;
    p->vex_x = p->code == CODE64 && !(bits & 0x40);
    p->vex_b = p->code == CODE64 && !(bits & 0x20);
    in->disp = d->raw.disp.value;
    for (unsigned i = 0; evex && d->raw.disp.size == 8 && i < d->operand_count_visible; i++)
        if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            in->disp = op[i].mem.disp.value;
    in->flags &= ~INSN_SEGMENTED;
    struct shape s = shape_of(d);
    set_memory(p, &s);
}

static bool bind_replay(struct parts *p, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *op,
                        const uint8_t *bytes)
{
    struct insn *in = p->in;
    struct replay_info info = {.len = d->length, .encoding = encoding_of(d), .map = d->opcode_map, .opcode = d->opcode};
    if (!replayable(d))
        return false;
    memcpy(info.raw, bytes, d->length);
    info.vector_bytes = d->avx.vector_length / 8;
    info.has_modrm = p->has_modrm;
    info.modrm_at = d->raw.modrm.offset;
    info.disp_at = d->raw.disp.offset;
    info.disp_bytes = d->raw.disp.size / 8;
    info.imm_at = d->raw.imm[0].offset;
    info.imm_bytes = (d->raw.imm[0].size + d->raw.imm[1].size) / 8;
    info.memory = p->mem;
    info.flags = d->cpu_flags && (d->cpu_flags->tested | d->cpu_flags->modified | d->cpu_flags->set_0 |
                                  d->cpu_flags->set_1 | d->cpu_flags->undefined);
    info.whole_operand = whole_operand(d);
    info.mnemonic = lower_mnemonic(d->mnemonic);
    info.isa_set = ZydisISASetGetString(d->meta.isa_set);
    replay_operands(&info, d, op);
    info.broadcast = broadcast_elements(&info, d);
    if (info.encoding == REPLAY_VEX || info.encoding == REPLAY_EVEX || info.encoding == REPLAY_XOP)
        set_vector_memory(p, d, op, bytes);
    if (info.vsib) {
        in->index = REG_ZERO * 8;
        in->scale = d->raw.sib.scale;
    }
    in->mem_bytes = info.mem_bytes;
    in->flags |= (info.mem_reads ? INSN_READS : 0) | (info.mem_writes ? INSN_WRITES : 0);
    in->reg = reg_offset(p, p->reg, p->osize);
    in->rm = reg_offset(p, p->rm, p->osize);
    cold_fn fn = replay_bind(p->c, in, &info);
    if (!fn)
        return false;
    in->fn = exec_cold;
    in->aux = (void *)fn;
    in->flags |= INSN_REPLAY;
    return true;
}

/* ---- entry ------------------------------------------------------------------------------------------------------------------- */
static enum bound bind(struct parts *p)
{
    switch (p->map) {
    case 0: return bind_map0(p);
    case 0x0f: return bind_map0f(p);
    case 0x38: return bind_map38(p);
    default: return BOUND_REPLAY;
    }
}

/* AMD's UD0 and UD1 have no ModRM byte: what follows need not be there. */
static bool is_ud01(const uint8_t *b, unsigned n, unsigned code)
{
    for (; n >= 2; b++, n--) {
        bool prefix = b[0] == 0x66 || b[0] == 0x67 || b[0] == 0xf2 || b[0] == 0xf3 || (b[0] & 0xe7) == 0x26 ||
                      b[0] == 0x64 || b[0] == 0x65 || (code == CODE64 && (b[0] & 0xf0) == 0x40);
        if (!prefix)
            return b[0] == 0x0f && (b[1] == 0xb9 || b[1] == 0xff);
    }
    return false;
}

/* Without Zydis, if it is an instruction that decode_quick() knows. */
static bool decode_common(struct parts p, const uint8_t *bytes, unsigned n)
{
    struct shape s;
    if (!decode_quick(&s, bytes, n, p.code))
        return false;
    const struct insn before = *p.in;
    take_apart(&p, &s);
    if (bind(&p) == BOUND)
        return true;
    *p.in = before;
    return false;
}

int decode(struct vcpu *c, struct insn *in, const uint8_t *bytes, unsigned n, unsigned mode)
{
    ZydisDecoder z;
    ZydisDecoderContext context;
    ZydisDecodedInstruction d;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    bool amd = cpuid_is_amd(c);
    struct parts p = {.c = c, .in = in, .mode = mode, .code = mode & MODE_CODE, .amd = amd};
    if (decode_common(p, bytes, n))
        return DECODE_OK;
    decoder_init(&z, p.code, amd);
    ZyanStatus status = ZydisDecoderDecodeInstruction(&z, &context, bytes, n, &d);
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
        return amd && is_ud01(bytes, n, p.code) ? DECODE_UD : DECODE_MORE;
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
        return DECODE_TOO_LONG;
    if (!ZYAN_SUCCESS(status))
        return DECODE_UD;
    struct shape s = shape_of(&d);
    take_apart(&p, &s);
    enum bound b = d.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ? bind(&p) : BOUND_REPLAY;
    if (b == BOUND_REPLAY) {
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeOperands(&z, &context, &d, op, d.operand_count)) ||
            !bind_replay(&p, &d, op, bytes))
            b = BOUND_UD;
    }
    return b == BOUND_UD ? DECODE_UD : DECODE_OK;
}

static bool decode_plain(const uint8_t *bytes, unsigned n, unsigned mode, ZydisDecodedInstruction *d,
                         ZydisDecodedOperand *op)
{
    ZydisDecoder z;
    decoder_init(&z, mode & MODE_CODE, false);
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&z, bytes, n, d, op));
}

const char *decode_mnemonic(const uint8_t *bytes, unsigned n, unsigned mode)
{
    ZydisDecodedInstruction d;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    return decode_plain(bytes, n, mode, &d, op) ? ZydisMnemonicGetString(d.mnemonic) : "no instruction";
}

unsigned decode_text(const uint8_t *bytes, unsigned n, unsigned mode, uint64_t ip, char *text, unsigned size)
{
    ZydisFormatter f;
    ZydisDecodedInstruction d;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    if (!decode_plain(bytes, n, mode, &d, op))
        return 0;
    ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
    ZydisFormatterFormatInstruction(&f, &d, op, d.operand_count_visible, text, size, ip, NULL);
    return d.length;
}

void decode_bind_fault(struct insn *in, unsigned vector)
{
    bool ud2 = in->map == 0x0f && in->opcode == 0x0b && in->len;
    *in = (struct insn){.fn = exec_cold_end,
                        .aux = (void *)cold_fault,
                        .ip = in->ip,
                        .number = in->number,
                        .map = in->map,
                        .opcode = in->opcode,
                        .len = ud2 ? in->len : 1,
                        .aux_op = vector,
                        .flags = INSN_ENDS};
}
