// SPDX-License-Identifier: GPL-2.0-or-later
/* wav.c - see wav.h.  The head says how long the file is, so it is written again after each second of sound: a process that dies leaves
 * a file that is right up to there, and the one that takes its place counts what is after it, too. */
#include "core-vmm/sound/wav.h"
#include "core-vmm/base/bytes.h"
#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 44, FRAME = 4, PCM = 1, CHUNKS_MOST = 64, PART = 1024 };
#define BYTES_MOST (INT64_C(4000) << 20) /* a RIFF file's length has 32 bits */

struct wav_out {
    int fd;
    int64_t bytes, settled; /* of samples; of which the head knows */
    bool failed;            /* as was logged */
};

/* ---- writing ---- */

static void make_head(uint8_t *h, uint32_t bytes)
{
    memcpy(h, "RIFF....WAVEfmt ", 16);
    put_le32(h + 4, HEAD - 8 + bytes);
    put_le32(h + 16, 16);
    put_le16(h + 20, PCM);
    put_le16(h + 22, 2);
    put_le32(h + 24, WAV_RATE);
    put_le32(h + 28, WAV_RATE * FRAME);
    put_le16(h + 32, FRAME);
    put_le16(h + 34, 16);
    memcpy(h + 36, "data", 4);
    put_le32(h + 40, bytes);
}

/* Is it one of ours, whatever lengths it says? */
static bool is_ours(int fd)
{
    uint8_t there[HEAD], head[HEAD];
    if (pread(fd, there, HEAD, 0) != HEAD)
        return false;
    make_head(head, 0);
    memcpy(there + 4, head + 4, 4);
    memcpy(there + 40, head + 40, 4);
    return !memcmp(there, head, HEAD);
}

struct wav_out *wav_out_new(int fd, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (st.st_size && !is_ours(fd))) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "the file for sound is not one that was written here");
        return NULL;
    }
    struct wav_out *w = g_new0(struct wav_out, 1);
    w->fd = fd;
    w->bytes = st.st_size > HEAD ? (st.st_size - HEAD) / FRAME * FRAME : 0;
    w->settled = -1;
    wav_out_settle(w);
    return w;
}

static void say_failed(struct wav_out *w, const char *why)
{
    if (!w->failed)
        g_warning("sound is not written to its file any more: %s", why);
    w->failed = true;
}

/* A write that a full disk cut short is done again when there is room: what is behind the last whole frame does not count. */
void wav_out_frames(struct wav_out *w, const int16_t *frames, size_t n)
{
    uint8_t part[PART * FRAME];
    while (n) {
        size_t now = MIN(n, PART);
        for (size_t i = 0; i < 2 * now; i++)
            put_le16(part + 2 * i, frames[i]);
        if (w->bytes + (int64_t)(now * FRAME) > BYTES_MOST) {
            say_failed(w, "it is as long as a WAV file can be");
            return;
        }
        errno = 0;
        if (pwrite(w->fd, part, now * FRAME, HEAD + w->bytes) != (ssize_t)(now * FRAME)) {
            say_failed(w, errno ? g_strerror(errno) : "the disk is full");
            return;
        }
        if (w->failed)
            g_message("sound is written to its file again");
        w->failed = false;
        w->bytes += now * FRAME;
        frames += 2 * now;
        n -= now;
    }
    if (w->bytes - w->settled >= WAV_RATE * FRAME)
        wav_out_settle(w);
}

void wav_out_settle(struct wav_out *w)
{
    uint8_t head[HEAD];
    if (w->settled == w->bytes)
        return;
    make_head(head, w->bytes);
    if (pwrite(w->fd, head, HEAD, 0) != HEAD)
        say_failed(w, g_strerror(errno));
    else
        w->settled = w->bytes;
}

void wav_out_free(struct wav_out *w)
{
    if (w)
        wav_out_settle(w);
    g_free(w);
}

/* ---- reading ---- */

static bool bad(GError **error, const char *why)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                "the file that the guest is to record %s; it has to be a WAV file of 8 or 16 bits, with 4000 to 192000 "
                "frames a second",
                why);
    return false;
}

static bool read_format(struct wav_in *w, const uint8_t *f)
{
    w->channels = get_le16(f + 2);
    w->rate = get_le32(f + 4);
    w->bytes = get_le16(f + 14) / 8;
    return (get_le16(f) == PCM || get_le16(f) == 0xfffe) && w->channels >= 1 && w->channels <= 8 && w->rate >= 4000 &&
           w->rate <= 192000 && (get_le16(f + 14) == 8 || get_le16(f + 14) == 16);
}

bool wav_in_open(struct wav_in *w, int fd, GError **error)
{
    struct stat st;
    uint8_t h[16];
    int64_t at = 12;
    bool format = false;
    *w = (struct wav_in){.fd = fd};
    if (fstat(fd, &st) || pread(fd, h, 12, 0) != 12 || memcmp(h, "RIFF", 4) || memcmp(h + 8, "WAVE", 4))
        return bad(error, "is no WAV file");
    for (unsigned i = 0; i < CHUNKS_MOST && pread(fd, h, 8, at) == 8; i++) {
        uint32_t bytes = get_le32(h + 4);
        if (!memcmp(h, "fmt ", 4)) {
            format = bytes >= 16 && pread(fd, h, 16, at + 8) == 16 && read_format(w, h);
        } else if (!memcmp(h, "data", 4)) {
            w->begin = w->at = at + 8;
            w->end = MIN(w->begin + bytes, st.st_size);
            return format || bad(error, "has a format that is not read here");
        }
        at += 8 + (int64_t)bytes + (bytes & 1);
    }
    return bad(error, "has no sound in it");
}

void wav_in_rewind(struct wav_in *w)
{
    w->at = w->begin;
}

static int16_t sample(const uint8_t *p, unsigned bytes)
{
    return bytes == 1 ? (p[0] - 128) * 256 : (int16_t)get_le16(p);
}

size_t wav_in_frames(struct wav_in *w, int16_t *stereo, size_t n)
{
    uint8_t part[PART * 16];
    unsigned frame = w->channels * w->bytes;
    size_t done = 0;
    while (done < n) {
        size_t left = w->end > w->at ? (w->end - w->at) / frame : 0, now = MIN(MIN(n - done, PART), left);
        if (!now || pread(w->fd, part, now * frame, w->at) != (ssize_t)(now * frame))
            break;
        for (size_t i = 0; i < now; i++, done++) {
            stereo[2 * done] = sample(part + i * frame, w->bytes);
            stereo[2 * done + 1] = sample(part + i * frame + (w->channels > 1 ? w->bytes : 0), w->bytes);
        }
        w->at += now * frame;
    }
    return done;
}
