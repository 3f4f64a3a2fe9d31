// SPDX-License-Identifier: GPL-2.0-or-later
/* ac97_codec.h - the codec at an AC-link: its mixer's registers, of 16 bits each, by even numbers from 0 to 7Eh. */
#pragma once
#include "core-vmm/base/stream.h"

enum { AC97_REGISTERS = 64 };
struct ac97_codec {
    uint16_t r[AC97_REGISTERS];
};
enum ac97_converter { AC97_DAC, AC97_ADC, AC97_MIC };

void ac97_codec_reset(struct ac97_codec *c);
uint16_t ac97_codec_read(const struct ac97_codec *c, unsigned number);
void ac97_codec_write(struct ac97_codec *c, unsigned number, uint16_t v);
unsigned ac97_codec_rate(const struct ac97_codec *c, enum ac97_converter which); /* frames a second */
/* How loud a side (0 left, 1 right) is, 65536: as it is; at most 16 times that. */
uint32_t ac97_codec_gain(const struct ac97_codec *c, enum ac97_converter which, unsigned side);
bool ac97_codec_sync(struct ac97_codec *c, struct stream *s);
