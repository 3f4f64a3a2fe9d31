// SPDX-License-Identifier: GPL-2.0-or-later
/* pack.c - compressed clusters: raw deflate with a 4 KiB window, or zstd.  They lie in the file byte by byte, so
 * that several share a cluster of the file, which counts each of them. */
#include "disk-formats/qcow2/qcow2.h"
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define DEFLATE_WINDOW (-12) /* negative: no zlib header */
#define DEFLATE_LEVEL  4     /* with so small a window, 1 % larger than 6 and a quarter quicker */
#define SAMPLE_BYTES   4096u /* to guess whether packing pays */
#define SAMPLES        16u
#define TRIAL_BYTES    8192u

/* ---- unpacking ---- */
static int inflate_cluster(const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
    z_stream z = {.next_in = (Bytef *)in, .avail_in = n, .next_out = out, .avail_out = room};
    if (inflateInit2(&z, DEFLATE_WINDOW) != Z_OK)
        return -ENOMEM;
    int r = inflate(&z, Z_FINISH);
    bool ok = (r == Z_STREAM_END || r == Z_BUF_ERROR || r == Z_OK) && z.avail_out == 0;
    inflateEnd(&z);
    return ok ? 0 : -EBADMSG;
}

/* The end of the packed bytes is not known exactly, so this is a stream that stops when the cluster is full. */
static int unzstd_cluster(const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    ZSTD_inBuffer from = {in, n, 0};
    ZSTD_outBuffer to = {out, room, 0};
    size_t r = 1;
    if (!z)
        return -ENOMEM;
    while (to.pos < to.size) {
        size_t before = from.pos + to.pos;
        r = ZSTD_decompressStream(z, &to, &from);
        if (ZSTD_isError(r) || from.pos + to.pos == before)
            break;
    }
    ZSTD_freeDCtx(z);
    return to.pos == to.size && !ZSTD_isError(r) ? 0 : -EBADMSG;
}

static int unpack(struct image *im, uint64_t entry, uint8_t *out)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t offset, bytes;
    compressed_place(s, entry, &offset, &bytes);
    g_autofree uint8_t *in = g_try_malloc(bytes);
    if (!in)
        return -ENOMEM;
    int err = blk_pread(im->file, offset, in, bytes);
    if (err)
        return err;
    return s->compression ? unzstd_cluster(in, bytes, out, s->cluster) : inflate_cluster(in, bytes, out, s->cluster);
}

/* Part of a cluster: keep the unpacked one, since the next part is likely to be asked for next. */
static int read_part(struct image *im, uint64_t entry, uint64_t in_cluster, struct iov_walk *w, uint64_t bytes)
{
    struct qcow2 *s = qcow2_of(im);
    int err = 0;
    g_mutex_lock(&s->unpack_lock);
    if (!s->unpacked)
        s->unpacked = g_malloc(s->cluster);
    if (s->unpacked_entry != entry) {
        s->unpacked_entry = 0;
        err = unpack(im, entry, s->unpacked);
        s->unpacked_entry = err ? 0 : entry;
    }
    if (!err)
        iov_copy_in(w, s->unpacked + in_cluster, bytes);
    g_mutex_unlock(&s->unpack_lock);
    return err;
}

/* Within one cluster, as extent() said. */
int qcow2_read_compressed(struct image *im, uint64_t offset, const struct iovec *iov, int n)
{
    struct qcow2 *s = qcow2_of(im);
    struct l2_slot slot;
    uint64_t in = offset & (s->cluster - 1), bytes = iov_bytes(iov, n);
    struct iov_walk w = {iov, n, 0};
    g_mutex_lock(&s->lock);
    int err = l2_for_read(im, offset, &slot);
    uint64_t entry = !err && slot.table ? l2_entry(s, slot.table->data, slot.index) : 0;
    g_mutex_unlock(&s->lock);
    if (err || !(entry & L2_COMPRESSED) || in + bytes > s->cluster)
        return err ? err : -EBADMSG;
    if (n == 1 && bytes == s->cluster)
        return unpack(im, entry, iov->iov_base);
    return read_part(im, entry, in, &w, bytes);
}

/* ---- packing ---- */
static ssize_t deflate_into(int level, const void *in, size_t n, void *out, size_t room)
{
    z_stream z = {.next_in = (Bytef *)in, .avail_in = n, .next_out = out, .avail_out = room};
    if (deflateInit2(&z, level, Z_DEFLATED, DEFLATE_WINDOW, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    int r = deflate(&z, Z_FINISH);
    size_t bytes = room - z.avail_out;
    deflateEnd(&z);
    return r == Z_STREAM_END ? (ssize_t)bytes : 0;
}

/* Are all byte values about equally frequent in samples of the data?  By the chi-square sum over its expected value:
 * a quarter of the sample's size above it is about 0.2 bits per byte that a Huffman code could save. */
static bool looks_random(const uint8_t *in, size_t n)
{
    unsigned count[256] = {0}, expected = SAMPLE_BYTES / 256, each = SAMPLE_BYTES / SAMPLES;
    uint64_t chi = 0;
    for (unsigned i = 0; i < SAMPLE_BYTES; i++)
        count[in[i / each * (n / SAMPLES) + i % each]]++;
    for (unsigned i = 0; i < 256; i++)
        chi += (uint64_t)(count[i] > expected ? count[i] - expected : expected - count[i]) *
               (count[i] > expected ? count[i] - expected : expected - count[i]);
    return chi / expected < 255 + SAMPLE_BYTES / 4;
}

/* Data that are packed or encrypted already would cost the most time, and give nothing. */
static bool hopeless(const uint8_t *in, size_t n, void *out, size_t room)
{
    return n >= 2 * TRIAL_BYTES && room >= TRIAL_BYTES && looks_random(in, n) &&
           deflate_into(1, in, TRIAL_BYTES, out, TRIAL_BYTES - TRIAL_BYTES / 32) == 0;
}

static ssize_t deflate_cluster(const void *in, size_t n, void *out, size_t room)
{
    return hopeless(in, n, out, room) ? 0 : deflate_into(DEFLATE_LEVEL, in, n, out, room);
}

ssize_t qcow2_compress(struct image *im, const void *in, size_t n, void *out, size_t room)
{
    struct qcow2 *s = qcow2_of(im);
    room = MIN(room, s->cluster - 1);
    if (!s->compression)
        return deflate_cluster(in, n, out, room);
    size_t r = ZSTD_compress(out, room, in, n, ZSTD_CLEVEL_DEFAULT);
    return ZSTD_isError(r) ? 0 : (ssize_t)r;
}

/* Room for n bytes: behind the last ones if they reach on, else from a new cluster on. */
static int packed_room(struct image *im, size_t n, uint64_t *offset)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t in = s->packed_end & (s->cluster - 1), left = in ? s->cluster - in : 0, count = 1, fresh, refs;
    *offset = s->packed_end;
    int err = left ? refcount_get(im, s->packed_end >> s->cluster_bits, &refs) : 0;
    bool share = left && !err && refs > 0 && refs < refcount_max(s);
    if (!err && (!share || n > left))
        err = clusters_allocate(im, &count, &fresh);
    if (err)
        return err;
    if (!share || (n > left && fresh != s->packed_end + left)) {
        *offset = fresh;
        share = false;
    }
    if (share) /* the first cluster has one more; the second, if any, has its first */
        err = refcount_set(im, *offset >> s->cluster_bits, refs + 1);
    s->packed_end = *offset + n;
    return err;
}

int qcow2_append(struct image *im, uint64_t offset, const void *packed, size_t n)
{
    struct qcow2 *s = qcow2_of(im);
    struct l2_slot slot;
    uint64_t at;
    unsigned x = 62 - (s->cluster_bits - 8);
    if (s->data != im->file || n >= s->cluster)
        return -ENOTSUP;
    g_mutex_lock(&s->lock);
    int err = packed_room(im, n, &at);
    if (!err)
        err = blk_pwrite(im->file, at, packed, n);
    if (!err)
        err = l2_for_write(im, offset, &slot);
    if (!err) {
        uint64_t sectors = (at + n - 1) / 512 - at / 512;
        l2_drop_target(im, l2_entry(s, slot.table->data, slot.index), false);
        l2_store(s, slot.table->data, slot.index, L2_COMPRESSED | sectors << x | at, 0);
        tables_dirty(&s->l2, slot.table);
        err = s->l2.dirty > s->l2.limit / 2 ? qcow2_commit(im) : 0;
    }
    g_mutex_unlock(&s->lock);
    return err;
}
