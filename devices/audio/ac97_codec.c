// SPDX-License-Identifier: GPL-2.0-or-later
/* ac97_codec.c - see ac97_codec.h.  Source: Audio Codec '97, revision 2.1, chapter 5; what it says of itself is SigmaTel's STAC9700, which
 * every driver knows.  It plays and records at any rate (variable rate audio) from 4000 to 48000.  Analogue inputs but the one that is
 * recorded lead nowhere: their volumes are only kept. */
#include "devices/audio/ac97_codec.h"

enum { RESET = 0x00, MASTER = 0x02, HEADPHONE = 0x04, MONO = 0x06, BEEP = 0x0a, PHONE = 0x0c, MIC = 0x0e, LINE = 0x10 };
enum { CD = 0x12, VIDEO = 0x14, AUX = 0x16, PCM = 0x18, SELECT = 0x1a, GAIN = 0x1c, GAIN_MIC = 0x1e, GENERAL = 0x20 };
enum { POWER = 0x26, EXTENDED_ID = 0x28, EXTENDED = 0x2a, DAC_RATE = 0x2c, ADC_RATE = 0x32, MIC_RATE = 0x34 };
enum { VENDOR_1 = 0x7c, VENDOR_2 = 0x7e };
enum { MUTE = 0x8000, READY = 0x000f, VARIABLE = 1, VARIABLE_MIC = 8, RATE_LEAST = 4000, RATE = 48000 };
enum { POWER_ADC = 0x100, POWER_DAC = 0x200, POWER_MIXER = 0xc00 };
enum { UNITY_PCM = 8 /* 12 dB above the least attenuation */ };

/* Bits that stay as they are written.  Volumes: a bit for muted, five for each side (four of gains). */
static const struct {
    uint8_t number;
    uint16_t reset, writable;
} registers[] = {
    {MASTER, 0x8000, 0x9f1f},
    {HEADPHONE, 0x8000, 0x9f1f},
    {MONO, 0x8000, 0x801f},
    {BEEP, 0x0000, 0x801e},
    {PHONE, 0x8008, 0x801f},
    {MIC, 0x8008, 0x805f},
    {LINE, 0x8808, 0x9f1f},
    {CD, 0x8808, 0x9f1f},
    {VIDEO, 0x8808, 0x9f1f},
    {AUX, 0x8808, 0x9f1f},
    {PCM, 0x8808, 0x9f1f},
    {SELECT, 0x0000, 0x0707},
    {GAIN, 0x8000, 0x8f0f},
    {GAIN_MIC, 0x8000, 0x800f},
    {GENERAL, 0x0000, 0xa380},
    {POWER, READY, 0xff00},
    {EXTENDED, 0x0000, VARIABLE | VARIABLE_MIC},
};

void ac97_codec_reset(struct ac97_codec *c)
{
    *c = (struct ac97_codec){0};
    for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++)
        c->r[registers[i].number / 2] = registers[i].reset;
    c->r[EXTENDED_ID / 2] = VARIABLE | VARIABLE_MIC;
    c->r[DAC_RATE / 2] = c->r[ADC_RATE / 2] = c->r[MIC_RATE / 2] = RATE;
    c->r[VENDOR_1 / 2] = 0x8384;
    c->r[VENDOR_2 / 2] = 0x7600;
}

uint16_t ac97_codec_read(const struct ac97_codec *c, unsigned number)
{
    return c->r[number / 2 % AC97_REGISTERS];
}

/* Of an attenuation, a sixth bit means all there is; so drivers learn that there are five. */
static uint16_t five_bits(uint16_t v)
{
    return v | (v & 0x2000 ? 0x1f00 : 0) | (v & 0x0020 ? 0x001f : 0);
}

/* Without variable rates they stay what they are. */
static void write_rate(struct ac97_codec *c, unsigned number, uint16_t v)
{
    unsigned bit = number == MIC_RATE ? VARIABLE_MIC : VARIABLE;
    if (c->r[EXTENDED / 2] & bit)
        c->r[number / 2] = CLAMP(v, RATE_LEAST, RATE);
}

static void write_extended(struct ac97_codec *c, uint16_t v)
{
    c->r[EXTENDED / 2] = v & (VARIABLE | VARIABLE_MIC);
    if (!(v & VARIABLE))
        c->r[DAC_RATE / 2] = c->r[ADC_RATE / 2] = RATE;
    if (!(v & VARIABLE_MIC))
        c->r[MIC_RATE / 2] = RATE;
}

void ac97_codec_write(struct ac97_codec *c, unsigned number, uint16_t v)
{
    number &= 0x7e;
    switch (number) {
    case RESET: ac97_codec_reset(c); return;
    case DAC_RATE:
    case ADC_RATE:
    case MIC_RATE: write_rate(c, number, v); return;
    case EXTENDED: write_extended(c, v); return;
    case MASTER:
    case HEADPHONE:
    case MONO: v = five_bits(v); break;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++)
        if (registers[i].number == number)
            c->r[number / 2] = (c->r[number / 2] & ~registers[i].writable) | (v & registers[i].writable);
    if (number == POWER) /* what is off is not ready */
        c->r[POWER / 2] = (c->r[POWER / 2] & 0xff00) | (READY & ~(v >> 8 & 7));
}

unsigned ac97_codec_rate(const struct ac97_codec *c, enum ac97_converter which)
{
    static const uint8_t rates[] = {[AC97_DAC] = DAC_RATE, [AC97_ADC] = ADC_RATE, [AC97_MIC] = MIC_RATE};
    return c->r[rates[which] / 2];
}

/* ---- volumes ---- */

/* So many steps of 1.5 dB louder; a step is a factor of 1.18850. */
static uint32_t factor(int steps)
{
    uint64_t f = 65536;
    for (; steps > 0; steps--)
        f = f * 77890 >> 16;
    for (; steps < 0; steps++)
        f = f * 55142 >> 16;
    return f;
}

static unsigned volume(const struct ac97_codec *c, unsigned number, unsigned side)
{
    return c->r[number / 2] >> (side ? 0 : 8) & 0x1f;
}

uint32_t ac97_codec_gain(const struct ac97_codec *c, enum ac97_converter which, unsigned side)
{
    uint16_t power = c->r[POWER / 2];
    if (which == AC97_DAC) {
        bool off = power & (POWER_DAC | POWER_MIXER) || (c->r[MASTER / 2] | c->r[PCM / 2]) & MUTE;
        return off ? 0 : factor(UNITY_PCM - (int)volume(c, PCM, side) - (int)volume(c, MASTER, side));
    }
    unsigned number = which == AC97_MIC ? GAIN_MIC : GAIN;
    bool off = power & POWER_ADC || c->r[number / 2] & MUTE;
    return off ? 0 : factor(volume(c, number, which == AC97_MIC ? 1 : side) & 15);
}

bool ac97_codec_sync(struct ac97_codec *c, struct stream *s)
{
    static const uint8_t rates[] = {DAC_RATE, ADC_RATE, MIC_RATE};
    bool good = true;
    for (unsigned i = 0; i < AC97_REGISTERS; i++)
        stream_u16(s, &c->r[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(rates); i++)
        good = good && c->r[rates[i] / 2] >= RATE_LEAST && c->r[rates[i] / 2] <= RATE;
    return good;
}
