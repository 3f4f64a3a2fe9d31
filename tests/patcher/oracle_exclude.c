// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle_exclude.c - instructions that the oracle leaves alone: system calls, far transfers and segment loads (they
 * depend on the host's descriptor tables), and those whose result is not a function of the visible state. */
#include "tests/patcher/oracle.h"

static bool is_prefix(uint8_t b)
{
    return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x2e || b == 0x36 || b == 0x3e ||
           b == 0x26 || b == 0x64 || b == 0x65;
}

/* Instructions that the host may have although its CPUID does not show them: MOVDIRI MOVDIR64B ENQCMD. */
static bool unlisted_38(uint8_t op)
{
    return op == 0xf8 || op == 0xf9;
}

static bool excluded_0f(uint8_t op, uint8_t modrm, bool lock)
{
    unsigned reg = modrm >> 3 & 7;
    bool memory = modrm < 0xc0;
    switch (op) {
    case 0x00: /* SLDT STR LLDT LTR VERR VERW */
    case 0x02:
    case 0x03: /* LAR LSL */
    case 0x05: /* SYSCALL */
    case 0x31: /* RDTSC */
    case 0x33: /* RDPMC */
    case 0x34:
    case 0x35: /* SYSENTER SYSEXIT */
    case 0x37: /* GETSEC */
    case 0xa1:
    case 0xa9: /* POP FS, GS */
    case 0xa2: /* CPUID */
    case 0xb2:
    case 0xb4:
    case 0xb5: /* LSS LFS LGS */ return true;
    case 0x01: /* SGDT... RDTSCP MONITORX VMMCALL...: only XGETBV and what is privileged */
        return modrm != 0xd0 && !(memory && (reg == 2 || reg == 3 || reg == 6 || reg == 7));
    case 0x20:
    case 0x22: return lock; /* MOV CR8 on AMD */
    case 0x78:
    case 0x79:
    case 0xa6:
    case 0xa7: /* VMREAD VMWRITE, VIA's: AMD's fetch reaches further */ return true;
    case 0x38: return unlisted_38(modrm);
    case 0xc7: /* RDRAND RDSEED RDPID; XRSTORS XSAVES are not offered */
        return memory ? reg == 3 || reg == 5 : reg >= 6;
    default: return false;
    }
}

unsigned oracle_prefixes(enum oracle_mode mode, const uint8_t *b)
{
    unsigned n = 0;
    while (is_prefix(b[n]) || (mode == ORACLE_64 && (b[n] & 0xf0) == 0x40))
        n++;
    return n;
}

bool oracle_excluded(enum oracle_mode mode, const uint8_t *b)
{
    const uint8_t *start = b;
    bool rep = false, lock = false, p66 = false;
    for (; is_prefix(*b) || (mode == ORACLE_64 && (*b & 0xf0) == 0x40); b++) {
        rep |= *b == 0xf2 || *b == 0xf3;
        lock |= *b == 0xf0;
        p66 |= *b == 0x66;
    }
    uint8_t modrm = b[1];
    if (oracle_not_carried(mode, start))
        return true;
    switch (b[0]) {
    case 0x0f: return excluded_0f(b[1], b[2], lock);
    case 0x07:
    case 0x17:
    case 0x1f: /* POP ES, SS, DS */ return mode != ORACLE_64;
    case 0x63: /* MOVSXD of 16 bits: how much memory it reads differs */ return mode == ORACLE_64 && p66;
    case 0xc4: /* AMD runs VPERMQ and VPERMPD with W = 0 too */
        if ((modrm & 0x1f) == 3 && b[3] < 2 && !(b[2] & 0x80))
            return true;
        return mode != ORACLE_64 && modrm < 0xc0; /* LES */
    case 0x62: /* 32-bit integer to double with rounding: where W does not count, AMD allows it */
        return mode != ORACLE_64 && modrm >= 0xc0 && b[2] & 0x80 && b[3] & 0x10 && (b[4] == 0x2a || b[4] == 0x7b);
    case 0x8e: /* MOV Sreg */
    case 0x9a:
    case 0xca:
    case 0xcb:
    case 0xcf:
    case 0xea: /* far CALL, RET, JMP; IRET */ return true;
    case 0xc5: /* LDS */ return mode != ORACLE_64 && modrm < 0xc0;
    case 0xcd: /* INT 80h: a system call */ return modrm == 0x80;
    case 0xe0:
    case 0xe1: /* LOOPNE LOOPE: some CPUs let F2 and F3 choose between them */ return rep;
    case 0xf1: /* INT1: hypervisors report it wrongly */ return true;
    case 0xff: return (modrm >> 3 & 7) == 3 || (modrm >> 3 & 7) == 5;
    default: return false;
    }
}

bool oracle_is_block(enum oracle_mode mode, const uint8_t *b)
{
    b += oracle_prefixes(mode, b);
    return (*b & 0xf8) == 0xd8 || (*b == 0x0f && (b[1] == 0xae || b[1] == 0xc7));
}
