// SPDX-License-Identifier: GPL-2.0-or-later
/* fpu_x87.c - x87 instructions that move the environment: FNSTENV FLDENV FNSAVE FRSTOR FNINIT.
 *
 * The host saves and loads in its own 32-bit protected-mode format; the guest's format, with its own instruction and
 * data pointers, is made from it.  Four formats by mode and operand size: SDM Vol. 1, figures 8-9 to 8-12. */
#include "patcher/native/fpu.h"
#include <string.h>

struct x87_image {
    struct x87_env env;
    uint8_t st[80]; /* no padding: 108 bytes */
};

static bool real_format(const struct vcpu *c)
{
    return real_mode(c) || v86_mode(c);
}

static bool wide_format(const struct insn *in)
{
    return in->osize != 2;
}

static uint32_t linear(uint16_t selector, uint64_t offset)
{
    return ((uint32_t)selector << 4) + (uint32_t)offset;
}

/* The environment in the guest's format; returns its bytes. */
static unsigned env_to_guest(struct vcpu *c, const struct insn *in, const struct x87_env *e, uint8_t *to)
{
    const struct replay *r = c->replay;
    uint32_t w[7] = {e->fcw, e->fsw, e->ftw, (uint32_t)r->fip, r->fcs, (uint32_t)r->fdp, r->fds};
    bool wide = wide_format(in);
    if (real_format(c)) {
        uint32_t ip = linear(r->fcs, r->fip), dp = linear(r->fds, r->fdp);
        w[3] = ip & 0xffff;
        w[4] = (wide ? ip >> 16 << 12 : (ip >> 16 & 15) << 12) | r->fop;
        w[5] = dp & 0xffff;
        w[6] = wide ? dp >> 16 << 12 : (dp >> 16 & 15) << 12;
    } else if (wide) {
        w[4] |= (uint32_t)r->fop << 16;
        w[6] |= 0xffff0000;
    }
    for (unsigned i = 0; i < 7; i++) {
        if (wide) {
            uint32_t v = i < 3 ? w[i] | 0xffff0000 : w[i];
            memcpy(to + 4 * i, &v, 4);
        } else {
            memcpy(to + 2 * i, &w[i], 2);
        }
    }
    return wide ? 28 : 14;
}

static void env_from_guest(struct vcpu *c, const struct insn *in, const uint8_t *from, struct x87_env *e)
{
    struct replay *r = c->replay;
    uint32_t w[7] = {0};
    bool wide = wide_format(in);
    for (unsigned i = 0; i < 7; i++)
        memcpy(&w[i], from + (wide ? 4 : 2) * i, wide ? 4 : 2);
    r->fip = w[3];
    r->fdp = w[5];
    r->fcs = r->fds = 0;
    r->fop = 0;
    if (real_format(c)) {
        r->fip = (w[3] & 0xffff) | (w[4] >> 12 & 0xffff) << 16;
        r->fdp = (w[5] & 0xffff) | (w[6] >> 12 & 0xffff) << 16;
        r->fop = w[4] & 0x7ff;
    } else {
        r->fcs = r->quirks->x87_selectors_unloaded ? 0 : (uint16_t)w[4];
        r->fds = r->quirks->x87_selectors_unloaded ? 0 : (uint16_t)w[6];
        r->fop = w[4] >> 16 & 0x7ff;
    }
    *e = (struct x87_env){.fcw = w[0], .fsw = w[1], .ftw = w[2]};
}

/* The processors move these images word by word, each checked for itself. */
static uint64_t probe(struct vcpu *c, const struct insn *in, unsigned bytes, int access)
{
    struct insn word = *in;
    unsigned step = wide_format(in) ? 4 : 2;
    uint64_t first = mem_linear(c, in, step, access);
    for (unsigned at = 0; at < bytes; at += step, word.disp += step) {
        uint64_t lin = mem_linear(c, &word, step, access);
        mem_probe(c, in, lin, step, access);
    }
    return first;
}

static void forget_pointers(struct replay *r)
{
    r->fip = r->fdp = 0;
    r->fcs = r->fds = r->fop = 0;
}

static void fnstenv(struct vcpu *c, const struct insn *in)
{
    struct x87_env env;
    uint8_t to[28];
    unsigned bytes = wide_format(in) ? 28 : 14;
    fpu_check(c, FPU_X87);
    uint64_t lin = probe(c, in, bytes, ACCESS_WRITE);
    fpu_use(c);
    __asm__ volatile("fnstenv %0" : "=m"(env));
    env_to_guest(c, in, &env, to);
    mem_write_bytes(c, in, lin, to, bytes);
}

static void fnsave(struct vcpu *c, const struct insn *in)
{
    struct x87_image image;
    uint8_t to[108];
    unsigned bytes = wide_format(in) ? 108 : 94;
    fpu_check(c, FPU_X87);
    uint64_t lin = probe(c, in, bytes, ACCESS_WRITE);
    fpu_use(c);
    __asm__ volatile("fnsave %0" : "=m"(image));
    memcpy(to + env_to_guest(c, in, &image.env, to), image.st, sizeof image.st);
    forget_pointers(c->replay);
    mem_write_bytes(c, in, lin, to, bytes);
}

static void wait_x87(struct vcpu *c)
{
    fpu_check(c, FPU_X87);
    fpu_wait(c);
    if (fpu_status(c) & FSW_ES) /* ignored; FLDENV and FRSTOR here would fault in our code */
        fpu_put_errors_aside(c);
    c->replay->ignore_errors = false;
}

static void fldenv(struct vcpu *c, const struct insn *in)
{
    struct x87_env env;
    uint8_t from[28];
    unsigned bytes = wide_format(in) ? 28 : 14;
    wait_x87(c);
    uint64_t lin = probe(c, in, bytes, ACCESS_READ);
    mem_read_bytes(c, in, lin, from, bytes);
    env_from_guest(c, in, from, &env);
    fpu_use(c);
    __asm__ volatile("fldenv %0" ::"m"(env));
    fpu_masks_changed(c);
}

static void frstor(struct vcpu *c, const struct insn *in)
{
    struct x87_image image;
    uint8_t from[108];
    unsigned bytes = wide_format(in) ? 108 : 94;
    wait_x87(c);
    uint64_t lin = probe(c, in, bytes, ACCESS_READ);
    mem_read_bytes(c, in, lin, from, bytes);
    env_from_guest(c, in, from, &image.env);
    memcpy(image.st, from + bytes - sizeof image.st, sizeof image.st);
    fpu_use(c);
    __asm__ volatile("frstor %0" ::"m"(image));
    fpu_masks_changed(c);
}

static void fninit(struct vcpu *c, const struct insn *in)
{
    fpu_check(c, FPU_X87);
    fpu_use(c);
    __asm__ volatile("fninit");
    forget_pointers(c->replay);
}

cold_fn fpu_x87_bind(const struct replay_info *info)
{
    unsigned modrm = info->raw[info->modrm_at], reg = modrm >> 3 & 7;
    if (info->opcode == 0xdb && modrm == 0xe3)
        return fninit;
    if (!info->memory)
        return NULL;
    if (info->opcode == 0xd9)
        return reg == 4 ? fldenv : reg == 6 ? fnstenv : NULL;
    if (info->opcode == 0xdd)
        return reg == 4 ? frstor : reg == 6 ? fnsave : NULL;
    return NULL;
}

/* After an x87 instruction other than a control instruction. */
void fpu_set_x87_pointers(struct vcpu *c, const struct insn *in, const struct stub *s)
{
    struct replay *r = c->replay;
    bool error = (!r->quirks->x87_fop_on_error && !r->quirks->x87_data_on_error) || fpu_error_pending(c);
    r->fip = c->rip;
    r->fcs = r->quirks->x87_no_selectors ? 0 : c->seg[X86_CS].selector;
    if (error || !r->quirks->x87_fop_on_error)
        r->fop = s->x87 & 0x7ff;
    if (s->access && (error || !r->quirks->x87_data_on_error)) {
        r->fdp = mem_offset(c, in);
        r->fds = r->quirks->x87_no_data_selector ? 0 : c->seg[in->seg].selector;
    }
}
