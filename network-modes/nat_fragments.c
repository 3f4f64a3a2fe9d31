// SPDX-License-Identifier: GPL-2.0-or-later
/* nat_fragments.c - puts the guest's IPv4 fragments together (RFC 791, section 3.2) before libslirp sees them: libslirp 4.7 dies of
 * the last fragment of a datagram that comes before the others.
 *
 * In any order, into one buffer per datagram, with a bit for each unit of eight bytes that is there.  Fragments that overlap or
 * contradict each other end their datagram, as nobody makes such in good faith.  There are a few datagrams at a time; the
 * oldest goes for a new one, and each after half a minute. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/net_offload.h"
#include "network-modes/nat.h"
#include <string.h>

enum { DATAGRAMS = 8, UNIT = 8, DATAGRAM_MOST = 65535, UNITS = DATAGRAM_MOST / UNIT + 1, SECONDS = 30 };
enum { ETHERNET = 14, TYPE_IP4 = 0x0800, HEADER_LEAST = 20, HEADER_MOST = 60 };
enum { AT_LENGTH = 2, AT_ID = 4, AT_OFFSET = 6, AT_PROTOCOL = 9, AT_SUM = 10, AT_ADDRESSES = 12, ADDRESSES = 8 };
enum { MORE_FRAGMENTS = 0x2000, OFFSET = 0x1fff };
enum { DATA = MODE_ROOM + ETHERNET + HEADER_MOST };

struct datagram {
    bool used;
    gint64 since; /* monotonic us */
    uint8_t key[2 + 1 + ADDRESSES];
    size_t header, have,
        total;  /* bytes; header: Ethernet's and IP's, 0: the first fragment is not there; total 0: nor the last */
    size_t top; /* where the farthest fragment ends */
    uint8_t there[UNITS / 8];
    uint8_t first[ETHERNET + HEADER_MOST];
    uint8_t data[DATA + DATAGRAM_MOST]; /* from DATA on; the headers are put right before it at the end */
};
struct nat_fragments {
    struct datagram *datagram[DATAGRAMS]; /* NULL: never needed */
};

struct fragment {
    uint8_t key[2 + 1 + ADDRESSES];
    const uint8_t *frame, *data;
    size_t header, offset, bytes;
    bool more;
};

static bool is_fragment(const uint8_t *frame, size_t bytes)
{
    return bytes >= ETHERNET + HEADER_LEAST && get_be16(frame + 12) == TYPE_IP4 &&
           get_be16(frame + ETHERNET + AT_OFFSET) & (MORE_FRAGMENTS | OFFSET);
}

/* False: it is none that a datagram could be made with. */
static bool take_apart(const uint8_t *frame, size_t bytes, struct fragment *f)
{
    const uint8_t *ip = frame + ETHERNET;
    size_t header = (ip[0] & 15) * 4, length = get_be16(ip + AT_LENGTH);
    if (ip[0] >> 4 != 4 || header < HEADER_LEAST || length <= header || length > bytes - ETHERNET ||
        offload_fold(offload_sum(ip, header, 0)) != 0xffff)
        return false;
    memcpy(f->key, ip + AT_ID, 2);
    f->key[2] = ip[AT_PROTOCOL];
    memcpy(f->key + 3, ip + AT_ADDRESSES, ADDRESSES);
    f->frame = frame;
    f->data = ip + header;
    f->header = ETHERNET + header;
    f->bytes = length - header;
    f->offset = (size_t)(get_be16(ip + AT_OFFSET) & OFFSET) * UNIT;
    f->more = get_be16(ip + AT_OFFSET) & MORE_FRAGMENTS;
    return !(f->more && f->bytes % UNIT) && f->offset + f->bytes + header <= DATAGRAM_MOST;
}

/* Its datagram, or an empty one in place of the oldest. */
static struct datagram *datagram_of(struct nat_fragments *all, const struct fragment *f)
{
    gint64 now = g_get_monotonic_time(), oldest = G_MAXINT64;
    unsigned place = 0;
    for (unsigned i = 0; i < DATAGRAMS; i++) {
        struct datagram *d = all->datagram[i];
        if (d && d->used && now - d->since > SECONDS * G_USEC_PER_SEC)
            d->used = false;
        if (d && d->used && !memcmp(d->key, f->key, sizeof d->key))
            return d;
        gint64 since = d && d->used ? d->since : 0;
        if (since < oldest) {
            oldest = since;
            place = i;
        }
    }
    struct datagram *d = all->datagram[place];
    d = all->datagram[place] = d ? d : g_new(struct datagram, 1);
    memset(d, 0, offsetof(struct datagram, data));
    d->used = true;
    d->since = now;
    memcpy(d->key, f->key, sizeof d->key);
    return d;
}

/* False: it contradicts what is there. */
static bool add(struct datagram *d, const struct fragment *f)
{
    size_t end = f->offset + f->bytes;
    if (f->more ? d->total && end > d->total : d->total || d->top > end)
        return false;
    d->top = MAX(d->top, end);
    for (size_t unit = f->offset / UNIT; unit * UNIT < end; unit++) {
        if (d->there[unit / 8] >> unit % 8 & 1)
            return false;
        d->there[unit / 8] |= 1 << unit % 8;
    }
    memcpy(d->data + DATA + f->offset, f->data, f->bytes);
    d->have += f->bytes;
    if (!f->more)
        d->total = end;
    if (!f->offset) {
        d->header = f->header;
        memcpy(d->first, f->frame, f->header);
    }
    return !d->total || d->have <= d->total;
}

/* The frame that it was before it was cut up; NULL: it would be too long. */
static uint8_t *whole(struct datagram *d, size_t *bytes)
{
    uint8_t *frame = d->data + DATA - d->header, *ip = frame + ETHERNET;
    size_t header = d->header - ETHERNET;
    d->used = false;
    *bytes = d->header + d->total;
    if (header + d->total > DATAGRAM_MOST)
        return NULL;
    memcpy(frame, d->first, d->header);
    put_be16(ip + AT_LENGTH, header + d->total);
    put_be16(ip + AT_OFFSET, 0);
    put_be16(ip + AT_SUM, 0);
    uint16_t sum = ~offload_fold(offload_sum(ip, header, 0));
    memcpy(ip + AT_SUM, &sum, sizeof sum);
    return frame;
}

struct nat_fragments *nat_fragments_new(void)
{
    return g_new0(struct nat_fragments, 1);
}

void nat_fragments_free(struct nat_fragments *all)
{
    for (unsigned i = 0; i < DATAGRAMS; i++)
        g_free(all->datagram[i]);
    g_free(all);
}

uint8_t *nat_fragments_take(struct nat_fragments *all, uint8_t *frame, size_t *bytes, bool *bad)
{
    struct fragment f;
    *bad = false;
    if (!is_fragment(frame, *bytes))
        return frame;
    *bad = !take_apart(frame, *bytes, &f);
    struct datagram *d = *bad ? NULL : datagram_of(all, &f);
    if (d && !add(d, &f)) {
        d->used = false;
        *bad = true;
    }
    return !*bad && d->header && d->total && d->have == d->total ? whole(d, bytes) : NULL;
}
