// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_sound.c - what the sound process hears: packets from a VM process that a guest has taken over, with a file to write to and one to
 * record from, or loudspeakers and a microphone that take and give something after each; or a WAV file that is no such. */
#include "core-vmm/sound/sound.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PACKETS_MOST = 200 };

/* In the place of SDL's: one whose turn it is when the test says so. */
struct player {
    bool there;
};
struct player *player_new(struct sound *s, bool out, bool in)
{
    return NULL;
}
void player_look(struct player *p)
{
}
bool player_there(const struct player *p)
{
    return p->there;
}
void player_free(struct player *p)
{
}

static void quiet(const char *domain, GLogLevelFlags level, const char *message, gpointer ctx)
{
}

static int file_of(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz-sound", MFD_CLOEXEC);
    g_assert_true(fd >= 0 && (!size || write(fd, data, size) == (ssize_t)size));
    return fd;
}

static void read_file(const uint8_t *data, size_t size)
{
    int16_t frames[2 * 512];
    struct wav_in w;
    int fd = file_of(data, size);
    if (wav_in_open(&w, fd, NULL))
        for (unsigned i = 0; i < 100 && wav_in_frames(&w, frames, 512); i++)
            g_assert_cmpint(w.at, <=, w.end);
    struct wav_out *out = wav_out_new(fd, NULL);
    if (out)
        wav_out_frames(out, frames, 1);
    wav_out_free(out);
    close(fd);
}

/* The next packet: mostly one that makes sense as far as its lengths go. */
static size_t make_packet(uint8_t *packet, const uint8_t **data, size_t *size)
{
    struct audio_wire h = {0};
    size_t n = MIN(*size, sizeof h);
    memcpy(&h, *data, n);
    *data += n;
    *size -= n;
    bool honest = h.under_runs & 3;
    if (honest) {
        h.kind %= 5;
        h.stream %= 4;
        h.channels = h.channels % 8 + 1;
        h.in &= 1;
        h.rate = 4000 + h.rate % 188001;
        h.frames %= 600;
    }
    memcpy(packet, &h, sizeof h);
    size_t samples = honest ? h.kind == AUDIO_WIRE_FRAMES ? (size_t)h.frames * h.channels : 0 : h.jumps % 100;
    memset(packet + sizeof h, h.host, samples * 2);
    return sizeof h + samples * 2;
}

static void take_turn(struct sound *s, unsigned kind)
{
    static const int16_t recorded[2 * SOUND_CHUNK] = {1000, -1000};
    float mix[2 * SOUND_CHUNK];
    int16_t frames[2 * SOUND_CHUNK];
    s->player->there = kind & 1;
    for (unsigned i = 0; s->player->there && i < (kind >> 1 & 7) && sound_mix(s, mix, 0.01 * i); i++)
        audio_clip(mix, frames, 2 * SOUND_CHUNK);
    for (unsigned i = 0; i < (kind >> 4 & 7); i++)
        sound_recorded(s, recorded, SOUND_CHUNK - i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t wav[] =
        "RIFF\x40\0\0\0WAVEfmt \x10\0\0\0\1\0\2\0\x44\xac\0\0\x10\xb1\2\0\4\0\x10\0data\x14\0\0\0abcdefghijklmnopqrst";
    uint8_t packet[sizeof(struct audio_wire) + AUDIO_WIRE_SAMPLES * 2], answer[sizeof packet];
    struct wav_in in;
    struct player player = {false};
    int pair[2];
    g_log_set_default_handler(quiet, NULL);
    if (size && data[0] & 1) {
        read_file(data + 1, size - 1);
        return 0;
    }
    g_assert_true(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    int in_file = file_of(wav, sizeof wav - 1), out_file = file_of(NULL, 0);
    struct sound s = {.wire = pair[1]};
    s.wav_out = size && data[0] & 2 ? wav_out_new(out_file, NULL) : NULL;
    if (size && data[0] & 4 && wav_in_open(&in, in_file, NULL))
        s.wav_in = &in;
    s.player = size && data[0] & 8 ? &player : NULL;
    bool there = true;
    for (unsigned i = 0; i < PACKETS_MOST && size && there; i++) {
        size_t n = make_packet(packet, &data, &size);
        g_assert_true(send(pair[0], packet, n, MSG_DONTWAIT) == (ssize_t)n);
        there = sound_receive(&s);
        if (s.player && size)
            take_turn(&s, data[0]);
        while (recv(pair[0], answer, sizeof answer, MSG_DONTWAIT) > 0)
            continue;
    }
    if (s.counts)
        g_source_remove(s.counts);
    streams_free(&s);
    wav_out_free(s.wav_out);
    close(in_file);
    close(out_file);
    close(pair[0]);
    close(pair[1]);
    return 0;
}
