// SPDX-License-Identifier: GPL-2.0-or-later
/* stub.c - host code for one guest instruction.
 *
 * A stub is called with the vCPU and the address of the memory operand; it loads the guest's arithmetic flags and the
 * general registers that the instruction names (under their own numbers; RSP is renamed, because host signals need a
 * stack), runs the instruction with its memory operand re-addressed through a register that it does not use, and stores
 * back.  If the instruction raises a host exception, the signal handler (host_fault.c) lets replay_call() return its
 * vector: nothing has been stored yet, and the vector registers come back with sigreturn as the exception left them.
 *
 * Prefixes: segment overrides, address size and LOCK go; 66, F2 and F3 stay (they may be part of the opcode). */
#include "patcher/native/fpu.h"
#include "patcher/vm.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA_BYTES (4u << 20)
#define STUBS_MOST  32768
#define STUB_MAX    320 /* bytes of code of the longest stub, generously */

#define CALLEE_SAVED  (1u << X86_RBX | 1u << X86_RBP | 0xf000)
#define ARENA_RESERVE (BLOCK_MAX * STUB_MAX) /* for one block */

/* Few stubs use registers that belong to their caller. */
unsigned replay_call_saving(const uint8_t *code, struct vcpu *c, void *memory, struct replay *r);
__asm__(".text\n"
        ".type replay_call, @function\n"
        ".globl replay_call\n"
        "replay_call:\n" /* code rdi, vcpu rsi, memory rdx, replay rcx */
        " lea 1f(%rip), %rax\n"
        " mov %rsp, (%rcx)\n"
        " mov %rax, 8(%rcx)\n"
        " call *%rdi\n"
        " xor %eax, %eax\n"
        "1: ret\n" /* also from the signal handler, with RSP as at the entry */
        ".size replay_call, . - replay_call\n"
        ".type replay_call_saving, @function\n"
        ".globl replay_call_saving\n"
        "replay_call_saving:\n"
        " push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        " call replay_call\n"
        " pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        " ret\n"
        ".size replay_call_saving, . - replay_call_saving\n");

/* ---- arena ------------------------------------------------------------------------------------------------------ */
static guint stub_hash(gconstpointer p)
{
    const uint8_t *b = p;
    guint h = 5381;
    for (unsigned i = 0; i < offsetof(struct stub, code); i++)
        h = h * 33 + b[i];
    return h;
}

static gboolean stub_equal(gconstpointer a, gconstpointer b)
{
    return !memcmp(a, b, offsetof(struct stub, code));
}

bool stub_arena_new(struct replay *r, GError **error)
{
    r->stubs = g_hash_table_new_full(stub_hash, stub_equal, g_free, NULL);
    r->arena = r->arena_rx = MAP_FAILED;
    r->memfd = memfd_create("terrarium-stubs", MFD_CLOEXEC);
    if (r->memfd >= 0 && ftruncate(r->memfd, ARENA_BYTES) == 0) {
        r->arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r->memfd, 0);
        r->arena_rx = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, r->memfd, 0);
    }
    return (r->arena != MAP_FAILED && r->arena_rx != MAP_FAILED) ||
           budget_no_memory("host code, writable and executable by two mappings", ARENA_BYTES, error);
}

void stub_arena_free(struct replay *r)
{
    g_hash_table_destroy(r->stubs);
    if (r->arena != MAP_FAILED)
        munmap(r->arena, ARENA_BYTES);
    if (r->arena_rx != MAP_FAILED)
        munmap(r->arena_rx, ARENA_BYTES);
    if (r->memfd >= 0)
        close(r->memfd);
}

bool stub_covers(const struct replay *r, uint64_t rip)
{
    return rip - (uint64_t)r->arena_rx < ARENA_BYTES;
}

/* ---- the host instruction ----------------------------------------------------------------------------------------- */
struct emit {
    uint8_t *at;
};

static void e1(struct emit *e, uint8_t b)
{
    *e->at++ = b;
}

static void e_bytes(struct emit *e, const void *b, unsigned n)
{
    memcpy(e->at, b, n);
    e->at += n;
}

/* mov between a 64-bit register and [vcpu + disp32]; opcode 8b loads, 89 stores */
static void e_mov(struct emit *e, uint8_t opcode, unsigned reg, unsigned base, int32_t disp)
{
    e1(e, (uint8_t)(0x48 | (reg >> 3) << 2 | base >> 3));
    e1(e, opcode);
    e1(e, (uint8_t)(0x80 | (reg & 7) << 3 | (base & 7)));
    if ((base & 7) == 4)
        e1(e, 0x24);
    e_bytes(e, &disp, 4);
}

/* Which ModRM and VEX fields name general registers (only asked of instructions that have some). */
enum { FIELD_REG = 1, FIELD_RM = 2, FIELD_V = 4 };
static unsigned gpr_fields(const struct replay_info *info)
{
    unsigned rm = info->memory ? 0 : FIELD_RM;
    if (!strncmp(info->isa_set, "BMI", 3) || !strcmp(info->isa_set, "TBM"))
        return FIELD_REG | FIELD_V | rm;
    if (info->encoding == REPLAY_LEGACY && info->map == 1 && info->opcode >= 0xb8 && info->opcode <= 0xbd)
        return FIELD_REG | rm; /* POPCNT TZCNT LZCNT */
    if (info->encoding == REPLAY_LEGACY && info->map == 2 && (info->opcode & 0xf0) == 0xf0)
        return FIELD_REG | rm; /* MOVBE CRC32 ADCX ADOX */
    if (info->map != 1)
        return rm;
    switch (info->opcode) {
    case 0x2c:
    case 0x2d: /* CVT(T)xx2SI */
    case 0x50: /* MOVMSKPx */
    case 0x78:
    case 0x79: /* VCVT(T)xx2USI */
    case 0x93: /* KMOV r, k */
    case 0xc5: /* PEXTRW */
    case 0xd7: /* PMOVMSKB */ return FIELD_REG;
    default: return rm;
    }
}

static bool operand_sized(const struct replay_info *info)
{
    static const char *const names[] = {"popcnt", "lzcnt", "tzcnt", "movbe", "crc32"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (!strcmp(info->mnemonic, names[i]))
            return true;
    return false;
}

struct legacy {
    bool p66;
    uint8_t rep, rex;
    unsigned opcode_at;
};

static struct legacy legacy_prefixes(const struct replay_info *info, unsigned bits)
{
    struct legacy l = {0};
    for (;; l.opcode_at++) {
        uint8_t b = info->raw[l.opcode_at];
        if (bits == 64 && (b & 0xf0) == 0x40) {
            l.rex = b;
            continue;
        }
        if (b == 0x66)
            l.p66 = true;
        else if (b == 0xf2 || b == 0xf3)
            l.rep = b;
        else if (b != 0x67 && b != 0xf0 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x26 && b != 0x64 && b != 0x65)
            return l;
        l.rex = 0; /* counts only right before the opcode */
    }
}

/* A register for the memory operand's address (no REX bit, no SIB byte) and one for the vCPU. */
static unsigned free_register(unsigned used, const uint8_t *order, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!(used >> order[i] & 1))
            return order[i];
    g_assert_not_reached();
}

static unsigned pick_base(const struct stub *s)
{
    static const uint8_t order[] = {X86_RDX, X86_RSI, X86_RDI, X86_RCX, X86_RBX, X86_RAX};
    return free_register(s->gpr | 1u << s->renamed, order, sizeof order);
}

static unsigned pick_vcpu(const struct stub *s)
{
    static const uint8_t order[] = {8, 9, 10, 11, 12, 13, 14, 15};
    return free_register(s->gpr | 1u << s->renamed, order, sizeof order);
}

static void encode_legacy(struct stub *s, struct emit *e, const struct replay_info *info, unsigned bits)
{
    struct legacy l = legacy_prefixes(info, bits);
    if (bits == 16 && operand_sized(info))
        l.p66 = !l.p66;
    if (l.p66)
        e1(e, 0x66);
    if (l.rep)
        e1(e, l.rep);
    uint8_t rex = l.rex, modrm = info->raw[info->modrm_at];
    unsigned fields = s->renamed ? gpr_fields(info) : 0;
    if (info->memory) {
        rex &= ~3;
        modrm = (uint8_t)((modrm & 0x38) | pick_base(s));
    }
    if (fields & FIELD_REG && !(rex & 4) && (modrm >> 3 & 7) == X86_RSP)
        modrm = (uint8_t)((modrm & ~0x38) | s->renamed << 3);
    bool is_ah = info->map == 2 && info->opcode == 0xf0 && !rex; /* CRC32 of a byte */
    if (fields & FIELD_RM && !is_ah && !(rex & 1) && (modrm & 7) == X86_RSP)
        modrm = (uint8_t)((modrm & ~7) | s->renamed);
    if (rex)
        e1(e, rex);
    unsigned end = info->has_modrm ? info->modrm_at : info->len;
    e_bytes(e, info->raw + l.opcode_at, end - l.opcode_at);
    if (info->has_modrm) {
        e1(e, modrm);
        e_bytes(e, info->raw + info->imm_at, info->imm_bytes);
    }
}

/* Where W says 64-bit general register (or such an operand in memory), which other modes ignore.  pp: the mandatory
 * prefix as VEX and EVEX have it: none, 66, F3, F2. */
static bool w_is_gpr_size(const struct stub *s, const struct replay_info *info, unsigned pp)
{
    if (s->check == FPU_VEX_GPR)
        return true;
    if (info->map == 3)
        return info->opcode == 0x16 || info->opcode == 0x22 || (info->opcode & 0xfe) == 0x60; /* VPEXTRD.. VPCMPESTRx */
    if (info->map == 2)
        return info->opcode == 0x7c; /* VPBROADCASTD from a register */
    if (info->map != 1)
        return false;
    switch (info->opcode) {
    case 0x2a:
    case 0x2c:
    case 0x2d:
    case 0x78:
    case 0x79:
    case 0x7b: return pp >= 2; /* conversions of one number */
    case 0x6e:
    case 0x7e: return pp == 1; /* VMOVD */
    default: return false;
    }
}

/* The last byte names a register in its upper half, of which other modes ignore the top bit. */
static bool is_is4(const struct replay_info *info)
{
    return info->encoding == REPLAY_VEX && info->map == 3 && info->opcode >= 0x4a && info->opcode <= 0x4c;
}

/* VEX (C4 C5) and EVEX (62): register number bits are inverted.  VEX always goes out in its three-byte form. */
static void encode_vex(struct stub *s, struct emit *e, const struct replay_info *info, unsigned bits)
{
    bool evex = info->encoding == REPLAY_EVEX;
    const uint8_t *in = info->raw + legacy_prefixes(info, bits).opcode_at;
    uint8_t p[4], modrm = info->raw[info->modrm_at];
    unsigned n = evex ? 4 : 3, opcode_at = info->has_modrm ? info->modrm_at - 1u : info->len - 1u;
    memcpy(p, in, n);
    if (in[0] == 0xc5) {
        p[0] = 0xc4;
        p[1] = (uint8_t)((in[1] & 0x80) | 0x61);
        p[2] = in[1] & 0x7f;
    }
    if (bits != 64) { /* eight registers: the fourth bits are ignored */
        p[1] |= evex ? 0xf0 : 0xe0;
        p[2] |= 0x40;
        if (w_is_gpr_size(s, info, p[2] & 3))
            p[2] &= 0x7f;
    }
    if (info->memory) {
        p[1] |= 0x60;
        modrm = (uint8_t)((modrm & 0x38) | pick_base(s));
    }
    unsigned fields = s->renamed ? gpr_fields(info) : 0;
    if (fields & FIELD_REG && p[1] & 0x80 && (modrm >> 3 & 7) == X86_RSP)
        modrm = (uint8_t)((modrm & ~0x38) | s->renamed << 3);
    if (fields & FIELD_RM && p[1] & 0x20 && (modrm & 7) == X86_RSP)
        modrm = (uint8_t)((modrm & ~7) | s->renamed);
    if (fields & FIELD_V && (~p[2] >> 3 & 15) == X86_RSP)
        p[2] = (uint8_t)((p[2] & ~0x78) | (~s->renamed & 15) << 3);
    e_bytes(e, p, n);
    e1(e, info->raw[opcode_at]);
    if (!info->has_modrm) /* VZEROUPPER, VZEROALL */
        return;
    e1(e, modrm);
    e_bytes(e, info->raw + info->imm_at, info->imm_bytes);
    if (bits != 64 && is_is4(info))
        e->at[-1] &= 0x7f;
}

/* Fills in s->bytes from the other fields; false: not an encoding that can be replayed. */
bool stub_encode(struct stub *s, const struct replay_info *info, unsigned code_bits)
{
    uint8_t buffer[32];
    struct emit e = {buffer};
    if (s->gpr & 1u << X86_RSP) { /* low registers: without a REX prefix AH-BH stay what they are */
        static const uint8_t order[] = {X86_RBP, X86_RSI, X86_RDI, X86_RBX};
        s->gpr &= ~(1u << X86_RSP);
        s->renamed = (uint8_t)free_register(s->gpr, order, sizeof order);
    }
    if (info->encoding == REPLAY_LEGACY)
        encode_legacy(s, &e, info, code_bits);
    else
        encode_vex(s, &e, info, code_bits);
    s->len = (uint8_t)(e.at - buffer);
    if (s->len > sizeof s->bytes)
        return false;
    memcpy(s->bytes, buffer, s->len);
    unsigned used = s->gpr | 1u << s->renamed | 1u << pick_base(s) | 1u << pick_vcpu(s);
    s->saving = used & CALLEE_SAVED;
    return true;
}

/* ---- the stub around it ------------------------------------------------------------------------------------------- */
static int32_t gpr_at(unsigned n)
{
    return (int32_t)(offsetof(struct vcpu, gpr) + 8 * n);
}

static void emit_registers(struct emit *e, const struct stub *s, unsigned vcpu, uint8_t opcode)
{
    for (unsigned n = 0; n < 16; n++)
        if (s->gpr >> n & 1)
            e_mov(e, opcode, n, vcpu, gpr_at(n));
    if (s->renamed)
        e_mov(e, opcode, s->renamed, vcpu, gpr_at(X86_RSP));
}

/* Flags travel in AX as in struct vcpu: AH by LAHF and SAHF, AL the overflow flag, set by 7f + 1. */
static void emit_arith(struct emit *e, const uint8_t *opcode, unsigned n, unsigned vcpu)
{
    int32_t arith = offsetof(struct vcpu, arith);
    e_bytes(e, opcode, n);
    e1(e, (uint8_t)(0x80 | (vcpu & 7)));
    if ((vcpu & 7) == 4)
        e1(e, 0x24);
    e_bytes(e, &arith, 4);
}

static void emit_load_flags(struct emit *e, unsigned vcpu, bool keep_rax)
{
    if (keep_rax)
        e1(e, 0x50);                                             /* push rax */
    emit_arith(e, (const uint8_t[]){0x41, 0x0f, 0xb7}, 3, vcpu); /* movzx eax, word [vcpu + arith] */
    e_bytes(e, (const uint8_t[]){0x04, 0x7f, 0x9e}, 3);          /* add al, 7f; sahf */
    if (keep_rax)
        e1(e, 0x58); /* pop rax */
}

static void emit_stub(struct emit *e, const struct stub *s)
{
    unsigned vcpu = pick_vcpu(s), base = pick_base(s);
    e_bytes(e, (uint8_t[]){0x49, 0x89, (uint8_t)(0xf0 | (vcpu & 7))}, 3); /* mov vcpu, rsi */
    if (base != X86_RDX)
        e_bytes(e, (uint8_t[]){0x48, 0x89, (uint8_t)(0xd0 | base)}, 3); /* mov base, rdx */
    if (s->flags)
        emit_load_flags(e, vcpu, base == X86_RAX);
    emit_registers(e, s, vcpu, 0x8b);
    e_bytes(e, s->bytes, s->len);
    emit_registers(e, s, vcpu, 0x89);
    if (s->flags) {
        e_bytes(e, (const uint8_t[]){0x9f, 0x0f, 0x90, 0xc0}, 4);    /* lahf; seto al */
        emit_arith(e, (const uint8_t[]){0x66, 0x41, 0x89}, 3, vcpu); /* mov [vcpu + arith], ax */
    }
    e1(e, 0xc3);
}

unsigned replay_stub_call(struct vcpu *c, const struct stub *s, void *memory)
{
    return s->saving ? replay_call_saving(s->code, c, memory, c->replay) : replay_call(s->code, c, memory, c->replay);
}

/* The stub like *key, made now if there is none. */
const struct stub *stub_get(struct vcpu *c, const struct stub *key)
{
    struct replay *r = c->replay;
    struct stub *s = g_hash_table_lookup(r->stubs, key);
    if (s)
        return s;
    g_assert(r->arena_used + STUB_MAX <= ARENA_BYTES);
    struct emit e = {r->arena + r->arena_used};
    s = g_memdup2(key, sizeof *key);
    s->code = r->arena_rx + r->arena_used;
    emit_stub(&e, s);
    r->arena_used = (size_t)(e.at - r->arena + 15) & ~(size_t)15;
    g_hash_table_add(r->stubs, s);
    return s;
}

void replay_memory(const struct vcpu *c, struct cpu_memory *m)
{
    const struct replay *r = c->replay;
    uint64_t one = sizeof(struct stub) + 7 * sizeof(void *); /* with what GLib's table and malloc() add */
    budget_add(m, sizeof *r + r->arena_used + one * g_hash_table_size(r->stubs),
               sizeof *r + ARENA_BYTES + one * STUBS_MOST);
}

/* Time to drop all decoded instructions?  Asked before each block is decoded. */
bool replay_full(const struct vcpu *c)
{
    return c->replay->arena_used > ARENA_BYTES - ARENA_RESERVE ||
           g_hash_table_size(c->replay->stubs) > STUBS_MOST - BLOCK_MAX;
}

/* No decoded instruction points to a stub any more. */
void replay_drop_all(struct vcpu *c)
{
    fpu_leave(c); /* the hash table is not ours */
    g_hash_table_remove_all(c->replay->stubs);
    c->replay->arena_used = 0;
}
