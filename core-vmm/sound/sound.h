// SPDX-License-Identifier: GPL-2.0-or-later
/* sound.h - terrarium-audio, the process that is a machine's sound: an end of core-vmm/outer.
 *
 *   VM process --packets (base/audio_wire.h)--> source, a stream each --+--> player (SDL), or a WAV file
 *              <-- frames that were asked for -- taker, a stream each <-+-- microphone (SDL), or a WAV file
 *
 * Everything happens in one thread; SDL has its own, with queues in between. */
#pragma once
#include "core-vmm/base/audio_wire.h"
#include "core-vmm/sound/resampler.h"
#include "core-vmm/sound/wav.h"
#include <glib.h>

enum { SOUND_RATE = WAV_RATE, SOUND_CHUNK = 256 /* frames that are mixed at once */ };

/* ---- a stream that the guest plays ---- */
struct source {
    bool runs, heard; /* heard: enough waited, and it has not run dry since */
    unsigned rate, channels;
    struct resampler *resampler; /* NULL: it has never run */
    double level;                /* seconds that wait, in the mean */
};
/* ---- one that it records ---- */
struct taker {
    bool runs;
    unsigned rate, channels;
    struct resampler *resampler;
    size_t wanted; /* frames that the VM process still waits for */
    double level;
};
struct sound {
    int wire;
    struct source source[AUDIO_WIRE_STREAMS];
    struct taker taker[AUDIO_WIRE_STREAMS];
    struct wav_out *wav_out; /* NULL: the player, or nothing */
    struct wav_in *wav_in;   /* NULL: the microphone, or silence */
    struct player *player;   /* NULL: neither is the host's sound */
    uint32_t under_runs, jumps;
    guint counts; /* when the VM process is told of them */
    GMainLoop *loop;
};

/* ---- wire.c ---- */
bool sound_receive(struct sound *s);        /* false: the VM process has gone, or says what makes no sense */
bool sound_waits(const struct sound *s);    /* something has come that was not received */
bool sound_has_room(const struct sound *s); /* the VM process reads */
void sound_send(struct sound *s, unsigned stream, const float *stereo, size_t n); /* recorded frames of a taker */

/* ---- streams.c ---- */
void source_start(struct sound *s, unsigned n, unsigned rate, unsigned channels);
void source_frames(struct sound *s, unsigned n, const int16_t *frames, size_t count);
void source_stop(struct sound *s, unsigned n);
void taker_start(struct sound *s, unsigned n, unsigned rate, unsigned channels);
void taker_want(struct sound *s, unsigned n, size_t frames);
void taker_stop(struct sound *s, unsigned n);
bool sound_plays(const struct sound *s); /* is anything running, or left to be heard? */
bool sound_records(const struct sound *s);
void sound_to_file(struct sound *s); /* all that can be mixed now goes to the WAV file */
size_t sound_mix(struct sound *s, float *mix,
                 double queued); /* for the player, SOUND_CHUNK frames; 0: nothing is heard */
void sound_recorded(struct sound *s, const int16_t *stereo, size_t n); /* from the microphone */
void streams_free(struct sound *s);

/* ---- player.c ---- */
struct player *player_new(struct sound *s, bool out, bool in);
void player_look(struct player *p); /* a stream started, or stopped */
bool player_there(const struct player *p);
void player_free(struct player *p); /* NULL is fine */
