// SPDX-License-Identifier: GPL-2.0-or-later
/* audio_wire.h - what the VM process and its sound process say to each other, as packets of a pair of sockets: a head, and of
 * FRAMES the samples: signed 16 bits in the host's byte order, interleaved.  Both sides check what comes. */
#pragma once
#include <stdint.h>

enum audio_wire_kind {
    AUDIO_WIRE_START,  /* to the process: a stream begins, in a format; recording too if `in` */
    AUDIO_WIRE_FRAMES, /* to it: the next to be played; from it: recorded */
    AUDIO_WIRE_WANT,   /* to it: so many more of a stream that records are wanted */
    AUDIO_WIRE_STOP,   /* to it: the stream stands */
    AUDIO_WIRE_COUNTS, /* from it: what has gone wrong so far */
};
enum { AUDIO_WIRE_STREAMS = 16, AUDIO_WIRE_FRAMES_MOST = 1024, AUDIO_WIRE_CHANNELS = 8, AUDIO_WIRE_RATE_MOST = 192000 };
enum { AUDIO_WIRE_RATE_LEAST = 4000, AUDIO_WIRE_SAMPLES = AUDIO_WIRE_FRAMES_MOST * AUDIO_WIRE_CHANNELS };
struct audio_wire {
    uint8_t kind, stream, channels, in; /* in: 1, the guest records */
    uint32_t rate, frames;
    /* COUNTS: how often a stream ran dry at the loudspeaker or had to jump, and is the host's sound there? */
    uint32_t under_runs, jumps, host;
};
