// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000_nvm.c - the EEPROM of a gigabit chip: what is in it, and the two ways to it, whole words by EERD and the four wires of
 * a 93C46 by EECD (SDM 5, 13.4.3, 13.4.4). */
#include "core-vmm/base/bytes.h"
#include "devices/net/e1000.h"

enum { /* words */
       NVM_VERSION = 0x05,
       NVM_BOARD = 0x08,
       NVM_CONTROL1 = 0x0a,
       NVM_SUBSYSTEM = 0x0b,
       NVM_SUBSYSTEM_VENDOR = 0x0c,
       NVM_DEVICE = 0x0d,
       NVM_VENDOR = 0x0e,
       NVM_CONTROL2 = 0x0f,
       NVM_CHECKSUM = 0x3f,
};
enum { SUM = 0xbaba };
/* Control word 1: the signature, full duplex, and that the identity below counts; 2: flow control both ways. */
enum { CONTROL1_SIGNATURE = 1 << 14, CONTROL1_FD = 1 << 10, CONTROL1_IDS = 3, CONTROL2_PAUSE = 3 << 12 };

void e1000_nvm_fill(struct e1000 *e)
{
    uint16_t *w = e->eeprom.word, sum = 0;
    for (unsigned i = 0; i < 3; i++)
        w[i] = get_le16(e->mac + 2 * i);
    w[NVM_VERSION] = 0x1000;
    w[NVM_BOARD] = 0xa782; /* a PRO/1000 MT Desktop Adapter */
    w[NVM_BOARD + 1] = 0x5002;
    w[NVM_CONTROL1] = CONTROL1_SIGNATURE | CONTROL1_FD | CONTROL1_IDS;
    w[NVM_SUBSYSTEM] = e->model->subsystem;
    w[NVM_SUBSYSTEM_VENDOR] = w[NVM_VENDOR] = 0x8086;
    w[NVM_DEVICE] = e->model->device_id;
    w[NVM_CONTROL2] = CONTROL2_PAUSE;
    if (e->model->nvm_fill)
        e->model->nvm_fill(w);
    for (unsigned i = 0; i < NVM_CHECKSUM; i++)
        sum += w[i];
    w[NVM_CHECKSUM] = SUM - sum;
}

void e1000_nvm_address(struct e1000 *e)
{
    *e1000_reg(e, RA) = e->eeprom.word[0] | (uint32_t)e->eeprom.word[1] << 16;
    *e1000_reg(e, RA + 4) = e->eeprom.word[2] | RAH_AV;
}

void e1000_eerd_write(struct device *d, uint32_t at, uint32_t v)
{
    struct e1000 *e = d->state;
    const struct e1000_model *m = e->model;
    uint32_t address = (v & 0xffff) >> m->eerd_shift;
    uint16_t word = address < EEPROM_WORDS ? e->eeprom.word[address] : 0xffff;
    *e1000_reg(e, EERD) = v & EERD_START ? (uint32_t)word << 16 | address << m->eerd_shift | m->eerd_done : v & 0xffff;
}

uint32_t e1000_eecd_read(struct device *d, uint32_t at)
{
    struct e1000 *e = d->state;
    uint32_t v = *e1000_reg(e, EECD);
    return v | EECD_PRES | (v & EECD_REQ ? EECD_GNT : 0) | (e->eeprom.out ? EECD_DO : 0);
}

void e1000_eecd_write(struct device *d, uint32_t at, uint32_t v)
{
    struct e1000 *e = d->state;
    *e1000_reg(e, EECD) = v & (EECD_SK | EECD_CS | EECD_DI | EECD_FWE | EECD_REQ);
    eeprom_wires(&e->eeprom, v & EECD_CS, v & EECD_SK, v & EECD_DI);
}
