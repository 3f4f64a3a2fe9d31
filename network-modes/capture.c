// SPDX-License-Identifier: GPL-2.0-or-later
/* capture.c - see capture.h.  A block of pcapng is its type, its length, the content padded to 4, and the length again.
 *
 * A file has whole blocks only: one that a full disk takes a part of is cut off again, and its frame missed.  A pipe has
 * taken what it has taken, so the rest of a block goes before the next one. */
#include "network-modes/capture.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/net_offload.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINK_ETHERNET = 1,
    OPTION_END = 0,
    OPTION_PROGRAM = 4, /* of a section */
    OPTION_NAME = 2,    /* of an interface, and the resolution of its times */
    OPTION_RESOLUTION = 9,
    OPTION_FLAGS = 2, /* of a packet: its direction */
    INBOUND = 1,
    OUTBOUND = 2,
    PACKET_HEAD = 28,
    PACKET_TAIL = 16, /* flags, end of options, length */
    HEADER_MOST = 512,
};

struct capture {
    int fd;
    bool is_file;
    off_t end;        /* of the last whole block in a file */
    bool to_guest;    /* the frame at hand */
    GByteArray *rest; /* of a block that a pipe took only a part of */
    uint64_t frames, missed;
};

/* ---- blocks ---- */

static void pad(GByteArray *b)
{
    static const uint8_t zero[4];
    g_byte_array_append(b, zero, -b->len & 3);
}

static void add32(GByteArray *b, uint32_t v)
{
    uint8_t raw[4];
    put_le32(raw, v);
    g_byte_array_append(b, raw, sizeof raw);
}

static void option(GByteArray *b, uint16_t code, const void *data, uint16_t bytes)
{
    add32(b, code | (uint32_t)bytes << 16);
    g_byte_array_append(b, data, bytes);
    pad(b);
}

static GByteArray *block_new(uint32_t type)
{
    GByteArray *b = g_byte_array_new();
    add32(b, type);
    add32(b, 0);
    return b;
}

static void block_end(GByteArray *b)
{
    add32(b, b->len + 4);
    put_le32(b->data + 4, b->len);
}

/* Section and interface: what every file begins with. */
static GByteArray *header(const char *name)
{
    static const char program[] = "Terrarium " TERRARIUM_VERSION;
    static const uint8_t nanoseconds = 9;
    GByteArray *b = block_new(BLOCK_SECTION), *i = block_new(BLOCK_INTERFACE);
    add32(b, BYTE_ORDER_MAGIC);
    add32(b, 1); /* version 1.0 */
    add32(b, UINT32_MAX);
    add32(b, UINT32_MAX); /* as long as the file */
    option(b, OPTION_PROGRAM, program, sizeof program - 1);
    option(b, OPTION_END, NULL, 0);
    block_end(b);
    add32(i, LINK_ETHERNET);
    add32(i, 0); /* whole frames */
    option(i, OPTION_NAME, name, MIN(strlen(name), HEADER_MOST));
    option(i, OPTION_RESOLUTION, &nanoseconds, 1);
    option(i, OPTION_END, NULL, 0);
    block_end(i);
    g_byte_array_append(b, i->data, i->len);
    g_byte_array_unref(i);
    return b;
}

/* ---- writing ---- */

/* What a pipe took only a part of. */
static bool write_rest(struct capture *c)
{
    while (c->rest->len) {
        ssize_t n = write(c->fd, c->rest->data, c->rest->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        g_byte_array_remove_range(c->rest, 0, n);
    }
    return true;
}

/* n bytes of a block are in the file.  False: those were not all, and are cut off. */
static bool end_block(struct capture *c, size_t n, size_t all)
{
    if (n == all) {
        c->end += (off_t)n;
        return true;
    }
    if (ftruncate(c->fd, c->end) || lseek(c->fd, c->end, SEEK_SET) < 0)
        g_warning("a capture's file is no longer whole: %s", g_strerror(errno));
    errno = ENOSPC;
    return false;
}

static size_t bytes_of(const struct iovec *iov, int count)
{
    size_t all = 0;
    for (int i = 0; i < count; i++)
        all += iov[i].iov_len;
    return all;
}

/* False: it is not there, not even in part. */
static bool write_block(struct capture *c, const struct iovec *iov, int count)
{
    size_t gone = 0;
    if (!write_rest(c))
        return false;
    ssize_t n = writev(c->fd, iov, count);
    if (n <= 0)
        return false;
    if (c->is_file)
        return end_block(c, (size_t)n, bytes_of(iov, count));
    for (int i = 0; i < count; gone += iov[i++].iov_len)
        if (gone + iov[i].iov_len > (size_t)n) {
            size_t skip = (size_t)n > gone ? n - gone : 0;
            g_byte_array_append(c->rest, (uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip);
        }
    return true;
}

static void put_frame(void *ctx, const void *frame, size_t bytes)
{
    struct capture *c = ctx;
    struct timespec now;
    uint8_t head[PACKET_HEAD], tail[3 + PACKET_TAIL] = {0};
    unsigned padding = -bytes & 3;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ns = now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
    uint32_t all = PACKET_HEAD + bytes + padding + PACKET_TAIL;
    const uint32_t words[PACKET_HEAD / 4] = {BLOCK_PACKET, all, 0, ns >> 32, ns, bytes, bytes};
    for (unsigned i = 0; i < PACKET_HEAD / 4; i++)
        put_le32(head + 4 * i, words[i]);
    uint8_t *after = tail + padding;
    put_le32(after, OPTION_FLAGS | 4 << 16);
    put_le32(after + 4, c->to_guest ? INBOUND : OUTBOUND);
    put_le32(after + 8, OPTION_END);
    put_le32(after + 12, all);
    struct iovec iov[] = {{head, sizeof head}, {(void *)frame, bytes}, {tail, padding + PACKET_TAIL}};
    bool good = write_block(c, iov, G_N_ELEMENTS(iov));
    c->frames += good;
    c->missed += !good;
}

static void put_piece(void *ctx, uint8_t *frame, size_t bytes)
{
    put_frame(ctx, frame, bytes);
}

void capture_frame(struct capture *c, bool to_guest, const void *frame, size_t bytes, const struct net_offload *left)
{
    uint8_t whole[NET_FRAME_MOST];
    c->to_guest = to_guest;
    if (left && left->segments && offload_cut(frame, bytes, left, put_piece, c))
        return;
    if (!left || !left->checksum || bytes > sizeof whole) {
        put_frame(c, frame, bytes);
        return;
    }
    memcpy(whole, frame, bytes);
    offload_checksum(whole, bytes, left);
    put_frame(c, whole, bytes);
}

/* ---- start and stop ---- */

/* Files take what they are given; pipes and sockets must not make the network wait. */
static bool look_at(struct capture *c)
{
    struct stat st;
    int flags = fcntl(c->fd, F_GETFL);
    if (flags < 0 || fstat(c->fd, &st))
        return false;
    c->is_file = S_ISREG(st.st_mode);
    c->end = c->is_file ? lseek(c->fd, 0, SEEK_CUR) : 0;
    errno = (flags & O_ACCMODE) == O_RDONLY ? EBADF : 0;
    return !errno && (c->is_file || !fcntl(c->fd, F_SETFL, flags | O_NONBLOCK));
}

struct capture *capture_start(int fd, const char *name, GError **error)
{
    g_autoptr(GByteArray) h = header(name);
    struct capture *c = g_new0(struct capture, 1);
    c->fd = fd;
    c->rest = g_byte_array_new();
    struct iovec iov = {h->data, h->len};
    if (look_at(c) && write_block(c, &iov, 1))
        return c;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "the file for the capture cannot be written to: %s",
                g_strerror(errno));
    capture_stop(c);
    return NULL;
}

void capture_count(const struct capture *c, uint64_t *frames, uint64_t *missed)
{
    *frames = c->frames;
    *missed = c->missed;
}

void capture_stop(struct capture *c)
{
    write_rest(c);
    close(c->fd);
    g_byte_array_unref(c->rest);
    g_free(c);
}
