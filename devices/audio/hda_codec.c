// SPDX-License-Identifier: GPL-2.0-or-later
/* hda_codec.c - a codec of five widgets, which drivers that know only the specification find their way in.
 *
 *   stream -> DAC (2) -> line out (3)          line in (5) -> ADC (4) -> stream
 *
 * Source: High Definition Audio Specification 1.0a, chapter 7.  Volumes are the converters' own: 74 steps of 1 dB.  Jacks always
 * have something in them (there is no presence detection), so nothing is ever told unasked. */
#include "devices/audio/hda_codec.h"

enum { IDENTITY = 0x1af40022, REVISION = 0x00100101, SUBSYSTEM = 0x1af41100 };
enum { STEPS = 74, MUTE = 0x80, D3 = 3, POWER_STATES = 0x0f };
enum { DONE = 0 };
enum { PCM_FORMATS = 0x000e01fc /* 16, 20 and 24 bits; 16 to 96 kHz */, STREAM_PCM = 1 };
enum {
    AMPLIFIER = (int)0x80000000 | 3 << 16 | STEPS << 8 | STEPS
}; /* can be muted; steps of 1 dB; that many; 0 dB is the last */
/* Parameters (7.3.4). */
enum { VENDOR = 0x00, REVISION_ID = 0x02, SUBORDINATES = 0x04, GROUP_TYPE = 0x05, GROUP_CAN = 0x08, WIDGET_CAN = 0x09 };
enum { PCM_CAN = 0x0a, STREAM_CAN = 0x0b, PIN_CAN = 0x0c, IN_AMPLIFIER = 0x0d, CONNECTIONS = 0x0e, POWER_CAN = 0x0f };
enum { OUT_AMPLIFIER = 0x12 };
/* Verbs (7.3.3): those of 4 bits have 16 bits of payload, those of 12 bits 8. */
enum { SET_FORMAT = 2, SET_GAIN = 3, GET_FORMAT = 0xa, GET_GAIN = 0xb };
enum { GET_PARAMETER = 0xf00, GET_CONNECTIONS = 0xf02, GET_POWER = 0xf05, GET_STREAM = 0xf06, GET_PIN = 0xf07 };
enum { GET_UNSOLICITED = 0xf08, GET_EAPD = 0xf0c, GET_CONFIG = 0xf1c, GET_SUBSYSTEM = 0xf20 };
enum { SET_POWER = 0x705, SET_STREAM = 0x706, SET_PIN = 0x707, SET_UNSOLICITED = 0x708, SET_EAPD = 0x70c };
enum { SET_CONFIG = 0x71c, SET_SUBSYSTEM = 0x720, RESET = 0x7ff };

/* What each widget is (7.3.4.6): type in bits 20 to 23; 1 stereo, 2 and 4 an amplifier, 8 of its own kind, 10h its own formats,
 * 100h connected to another, 400h has power states. */
static const struct {
    uint32_t can, pin, config;
    uint8_t from; /* the widget that it gets its sound from */
    bool out_amplifier, in_amplifier;
} widgets[HDA_NODES] = {
    [HDA_DAC] = {.can = 0x0000041d, .out_amplifier = true},
    [HDA_LINE_OUT] = {.can = 0x00400501, .pin = 0x10, .config = 0x01014110 /* green, rear */, .from = HDA_DAC},
    [HDA_ADC] = {.can = 0x0010051b, .from = HDA_LINE_IN, .in_amplifier = true},
    [HDA_LINE_IN] = {.can = 0x00400401, .pin = 0x20, .config = 0x01813120 /* blue, rear */},
};

static bool is_converter(unsigned n)
{
    return n == HDA_DAC || n == HDA_ADC;
}

/* ---- parameters ---- */

static uint32_t root_parameter(unsigned id)
{
    switch (id) {
    case VENDOR: return IDENTITY;
    case REVISION_ID: return REVISION;
    case SUBORDINATES: return HDA_GROUP << 16 | 1;
    }
    return 0;
}

static uint32_t group_parameter(unsigned id)
{
    enum { AUDIO = 1, DELAYS = 0x0808 };
    switch (id) {
    case SUBORDINATES: return HDA_DAC << 16 | (HDA_NODES - HDA_DAC);
    case GROUP_TYPE: return AUDIO;
    case GROUP_CAN: return DELAYS;
    case PCM_CAN: return PCM_FORMATS;
    case STREAM_CAN: return STREAM_PCM;
    case POWER_CAN: return POWER_STATES;
    }
    return 0;
}

static uint32_t parameter(unsigned n, unsigned id)
{
    if (n <= HDA_GROUP)
        return n == HDA_ROOT ? root_parameter(id) : group_parameter(id);
    switch (id) {
    case WIDGET_CAN: return widgets[n].can;
    case PCM_CAN: return is_converter(n) ? PCM_FORMATS : 0;
    case STREAM_CAN: return is_converter(n) ? STREAM_PCM : 0;
    case PIN_CAN: return widgets[n].pin;
    case IN_AMPLIFIER: return widgets[n].in_amplifier ? (uint32_t)AMPLIFIER : 0;
    case OUT_AMPLIFIER: return widgets[n].out_amplifier ? (uint32_t)AMPLIFIER : 0;
    case CONNECTIONS: return widgets[n].from != 0;
    case POWER_CAN: return POWER_STATES;
    }
    return 0;
}

/* ---- gains ---- */

/* Payload of SET_GAIN: 15 output, 14 input, 13 left, 12 right, 7 mute, 6-0 gain. */
static void set_gain(struct hda_widget *w, unsigned n, uint32_t payload)
{
    bool meant = (payload & 0x8000 && widgets[n].out_amplifier) || (payload & 0x4000 && widgets[n].in_amplifier);
    uint8_t v = MIN(payload & 0x7f, STEPS) | (payload & MUTE);
    if (meant && payload & 0x2000)
        w->gain[0] = v;
    if (meant && payload & 0x1000)
        w->gain[1] = v;
}

/* 15: output's; 13: left's. */
static uint32_t get_gain(const struct hda_widget *w, unsigned n, uint32_t payload)
{
    bool there = payload & 0x8000 ? widgets[n].out_amplifier : widgets[n].in_amplifier;
    return there ? w->gain[payload & 0x2000 ? 0 : 1] : 0;
}

/* A dB less is a factor of 0.89125. */
static uint32_t factor(uint8_t gain)
{
    uint64_t f = 65536;
    for (unsigned i = gain & 0x7f; i < STEPS; i++)
        f = f * 58409 >> 16;
    return gain & MUTE ? 0 : f;
}

uint32_t hda_codec_gain(const struct hda_codec *c, enum hda_node converter, unsigned stream, unsigned side)
{
    const struct hda_widget *w = &c->node[converter];
    bool out = converter == HDA_DAC, pin = c->node[out ? HDA_LINE_OUT : HDA_LINE_IN].pin & (out ? 0x40 : 0x20);
    bool awake = !w->power && !c->node[HDA_GROUP].power;
    return stream && w->stream == stream && pin && awake ? factor(w->gain[side]) : 0;
}

/* ---- commands ---- */

static void set_byte(uint32_t *v, unsigned which, uint8_t byte)
{
    *v = (*v & ~(0xffu << 8 * which)) | (uint32_t)byte << 8 * which;
}

static uint32_t get(const struct hda_widget *w, unsigned n, unsigned verb, uint8_t payload)
{
    switch (verb) {
    case GET_PARAMETER: return parameter(n, payload);
    case GET_CONNECTIONS: return payload ? 0 : widgets[n].from;
    case GET_POWER: return w->power << 4 | w->power; /* it is at once what it was told to be */
    case GET_STREAM: return is_converter(n) ? w->stream << 4 | w->channel : 0;
    case GET_PIN: return w->pin;
    case GET_UNSOLICITED: return w->unsolicited;
    case GET_EAPD: return w->eapd;
    case GET_CONFIG: return widgets[n].pin ? w->config : 0;
    case GET_SUBSYSTEM: return n == HDA_GROUP ? w->config : 0;
    }
    return 0;
}

static void set(struct hda_codec *c, unsigned n, unsigned verb, uint8_t payload)
{
    struct hda_widget *w = &c->node[n];
    switch (verb) {
    case SET_POWER: w->power = payload & 0xf ? MIN(payload & 0xf, D3) : 0; break;
    case SET_STREAM:
        w->stream = payload >> 4;
        w->channel = payload & 15;
        break;
    case SET_PIN: w->pin = widgets[n].pin ? payload & 0xe7 : 0; break;
    case SET_UNSOLICITED: w->unsolicited = payload & 0xbf; break;
    case SET_EAPD: w->eapd = payload & 7; break;
    case RESET:
        if (n == HDA_GROUP)
            hda_codec_reset(c);
        break;
    default:
        if ((verb & ~3u) == SET_CONFIG && widgets[n].pin)
            set_byte(&w->config, verb & 3, payload);
        else if ((verb & ~3u) == SET_SUBSYSTEM && n == HDA_GROUP)
            set_byte(&w->config, verb & 3, payload);
    }
}

uint32_t hda_codec_command(struct hda_codec *c, uint32_t command)
{
    unsigned n = command >> 20 & 0x7f, verb4 = command >> 16 & 15, verb = command >> 8 & 0xfff;
    uint32_t payload = command & 0xffff;
    if (n >= HDA_NODES || command >> 27 & 1) /* bit 27: an address in another form */
        return 0;
    struct hda_widget *w = &c->node[n];
    switch (verb4) {
    case SET_FORMAT: w->format = is_converter(n) ? payload : 0; return DONE;
    case GET_FORMAT: return w->format;
    case SET_GAIN: set_gain(w, n, payload); return DONE;
    case GET_GAIN: return get_gain(w, n, payload);
    case 0xf: return get(w, n, verb, command & 0xff);
    case 0x7: set(c, n, verb, command & 0xff); return DONE;
    }
    return 0;
}

/* ---- reset, sync ---- */

void hda_codec_reset(struct hda_codec *c)
{
    *c = (struct hda_codec){0};
    for (unsigned n = HDA_GROUP; n < HDA_NODES; n++) {
        struct hda_widget *w = &c->node[n];
        w->power = D3;
        w->config = n == HDA_GROUP ? SUBSYSTEM : widgets[n].config;
        w->gain[0] = w->gain[1] = is_converter(n) ? STEPS | MUTE : 0;
        w->format = is_converter(n) ? 0x0011 /* 48 kHz, 16 bits, stereo */ : 0;
    }
}

void hda_codec_sync(struct hda_codec *c, struct stream *s)
{
    for (unsigned n = 0; n < HDA_NODES; n++) {
        struct hda_widget *w = &c->node[n];
        uint8_t *bytes[] = {&w->stream, &w->channel, &w->gain[0],     &w->gain[1],
                            &w->pin,    &w->power,   &w->unsolicited, &w->eapd};
        for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
            stream_u8(s, bytes[i]);
        stream_u16(s, &w->format);
        stream_u32(s, &w->config);
        if (s->loading && (w->stream > 15 || w->channel > 15 || w->power > D3 || (w->gain[0] & 0x7f) > STEPS ||
                           (w->gain[1] & 0x7f) > STEPS))
            s->failed = true;
    }
}
