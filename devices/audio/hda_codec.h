// SPDX-License-Identifier: GPL-2.0-or-later
/* hda_codec.h - the codec at a High Definition Audio link: one stereo output to a jack, one stereo input from another. */
#pragma once
#include "core-vmm/base/stream.h"

/* Widgets, by their node numbers. */
enum hda_node { HDA_ROOT, HDA_GROUP, HDA_DAC, HDA_LINE_OUT, HDA_ADC, HDA_LINE_IN, HDA_NODES };
struct hda_widget {
    uint8_t stream, channel; /* of a converter: which stream it plays or records; 0: none */
    uint16_t format;
    uint8_t gain[2]; /* of a converter: left, right; bit 7: muted */
    uint8_t pin;     /* control: 40h output, 20h input enabled */
    uint8_t power, unsolicited, eapd;
    uint32_t config; /* of a pin, of the group: the subsystem's identity */
};
struct hda_codec {
    struct hda_widget node[HDA_NODES];
};

void hda_codec_reset(struct hda_codec *c);
/* What a command (High Definition Audio Specification 1.0a, chapter 7.1) is answered; the codec's address has been looked at. */
uint32_t hda_codec_command(struct hda_codec *c, uint32_t command);
/* How loud a side (0 left, 1 right) of that stream is played or recorded, 65536: as it is; 0: not at all. */
uint32_t hda_codec_gain(const struct hda_codec *c, enum hda_node converter, unsigned stream, unsigned side);
void hda_codec_sync(struct hda_codec *c, struct stream *s);
