// SPDX-License-Identifier: GPL-2.0-or-later
/* certificates.c - see certificates.h.  Of X.509 (RFC 5280, 4.1) only what it takes to find a name: each value of DER is a
 * tag, a length, and then other values or bytes. */
#include "core-vmm/host/certificates.h"
#include "core-vmm/base/bytes.h"
#include <gio/gio.h>
#include <string.h>

enum { SEQUENCE = 0x30, SET = 0x31, OBJECT = 0x06, VERSION = 0xa0 };
enum { LIST_HEADER = 28, OWNER = 16, MOST = 16 << 10, FILE_MOST = 8 << 20 };
static const uint8_t x509[16] = {0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a,
                                 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72};
/* Who put it there: Microsoft's, by which Windows knows its own (77fa9abd-0359-4d32-bd60-28f4e78f784b). */
static const uint8_t owner[OWNER] = {0xbd, 0x9a, 0xfa, 0x77, 0x59, 0x03, 0x32, 0x4d,
                                     0xbd, 0x60, 0x28, 0xf4, 0xe7, 0x8f, 0x78, 0x4b};

/* ---- DER ---- */

struct der {
    const uint8_t *at, *end;
};

/* The next value, and what is in it. */
static bool take(struct der *d, uint8_t *tag, struct der *inside)
{
    size_t left = d->end - d->at, n, head = 2;
    if (left < 2)
        return false;
    n = d->at[1];
    if (n & 0x80) {
        unsigned more = n & 0x7f;
        if (!more || more > 3 || left < 2 + more)
            return false;
        n = 0;
        for (unsigned i = 0; i < more; i++)
            n = n << 8 | d->at[2 + i];
        head += more;
    }
    if (n > left - head)
        return false;
    *tag = *d->at;
    *inside = (struct der){d->at + head, d->at + head + n};
    d->at = inside->end;
    return true;
}

static bool take_as(struct der *d, uint8_t wanted, struct der *inside)
{
    uint8_t tag;
    return take(d, &tag, inside) && tag == wanted;
}

/* Of a name: sets of {type, text}. */
static char *common_name(struct der name)
{
    static const uint8_t type[] = {0x55, 0x04, 0x03};
    struct der set, pair, object, text;
    uint8_t tag;
    while (take_as(&name, SET, &set))
        if (take_as(&set, SEQUENCE, &pair) && take_as(&pair, OBJECT, &object) && take(&pair, &tag, &text) &&
            object.end - object.at == sizeof type && !memcmp(object.at, type, sizeof type))
            return g_utf8_make_valid((const char *)text.at, text.end - text.at);
    return NULL;
}

char *certificate_name(const uint8_t *der, size_t n)
{
    struct der all = {der, der + n}, certificate, body, part;
    uint8_t tag;
    if (!take_as(&all, SEQUENCE, &certificate) || !take_as(&certificate, SEQUENCE, &body) ||
        !take(&body, &tag, &part) || (tag == VERSION && !take(&body, &tag, &part)))
        return NULL;
    for (unsigned skip = 0; skip < 3; skip++) /* algorithm, issuer, validity */
        if (!take_as(&body, SEQUENCE, &part))
            return NULL;
    return take_as(&body, SEQUENCE, &part) ? common_name(part) : NULL;
}

/* How long the certificate is that begins there; 0: none does. */
static size_t certificate_bytes(const uint8_t *p, size_t left)
{
    struct der all = {p, p + MIN(left, MOST)}, inside;
    return take_as(&all, SEQUENCE, &inside) ? (size_t)(inside.end - p) : 0;
}

/* ---- files ---- */

/* What is between the lines of PEM; NULL: it is none. */
static GBytes *from_pem(const char *text, size_t n)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    const char *from = g_strstr_len(text, n, begin), *to = from ? g_strstr_len(from, n - (from - text), end) : NULL;
    if (!to)
        return NULL;
    from += strlen(begin);
    g_autofree char *base64 = g_strndup(from, to - from);
    gsize bytes;
    guchar *der = g_base64_decode(base64, &bytes);
    return g_bytes_new_take(der, bytes);
}

GBytes *certificate_load(const char *path, GError **error)
{
    char *text;
    gsize n;
    if (!g_file_get_contents(path, &text, &n, error))
        return NULL;
    GBytes *der = from_pem(text, n);
    if (der)
        g_free(text);
    else
        der = g_bytes_new_take(text, n);
    gsize bytes;
    const uint8_t *data = g_bytes_get_data(der, &bytes);
    g_autofree char *name = bytes && certificate_bytes(data, bytes) == bytes ? certificate_name(data, bytes) : NULL;
    if (name)
        return der;
    g_bytes_unref(der);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s is no X.509 certificate (DER or PEM)", path);
    return NULL;
}

static bool has_digest(const uint8_t *p, size_t n, const char *digest)
{
    g_autofree char *sum = n ? g_compute_checksum_for_data(G_CHECKSUM_SHA1, p, n) : NULL;
    return sum && !strcmp(sum, digest);
}

GBytes *certificate_search(const char *path, const char *digest)
{
    enum { LONG_FORM = 0x82, LEAST = 256 }; /* one of a CA is longer than that, and shorter than 64 KiB */
    g_autofree char *text = NULL;
    gsize n, length;
    if (!g_file_get_contents(path, &text, &n, NULL) || n > FILE_MOST)
        return NULL;
    g_autoptr(GBytes) pem = from_pem(text, n);
    const uint8_t *data = pem ? g_bytes_get_data(pem, &n) : (const uint8_t *)text;
    for (gsize at = 0; at + LEAST < n; at++)
        if (data[at] == SEQUENCE && data[at + 1] == LONG_FORM &&
            (length = certificate_bytes(data + at, n - at)) > LEAST && data[at + 4] == SEQUENCE &&
            has_digest(data + at, length, digest))
            return g_bytes_new(data + at, length);
    return NULL;
}

/* ---- signature lists: type, bytes of all, of a header (0), of each signature; then owner and certificate ---- */

GByteArray *certificate_list(GBytes *certificate)
{
    GByteArray *list = g_byte_array_new();
    gsize n;
    const uint8_t *der = g_bytes_get_data(certificate, &n);
    g_byte_array_set_size(list, LIST_HEADER);
    memcpy(list->data, x509, sizeof x509);
    put_le32(list->data + 16, LIST_HEADER + OWNER + n);
    put_le32(list->data + 20, 0);
    put_le32(list->data + 24, OWNER + n);
    g_byte_array_append(list, owner, sizeof owner);
    g_byte_array_append(list, der, n);
    return list;
}

struct signatures signatures_of(const uint8_t *lists, size_t bytes)
{
    return (struct signatures){.at = lists, .end = lists + bytes};
}

static bool next_list(struct signatures *s)
{
    const uint8_t *p = s->at;
    size_t left = s->end - p;
    uint32_t all = left < LIST_HEADER ? 0 : get_le32(p + 16);
    if (all < LIST_HEADER || all > left)
        return false;
    uint32_t header = get_le32(p + 20), each = get_le32(p + 24), room = all - LIST_HEADER;
    bool good = each > OWNER && header <= room;
    unsigned count = good ? (room - header) / each : 0;
    s->at = p + all;
    s->each = each;
    s->next = good ? p + LIST_HEADER + header : NULL;
    s->certificates = memcmp(p, x509, sizeof x509) ? 0 : count;
    s->others += count - s->certificates;
    return true;
}

bool certificate_next(struct signatures *s, const uint8_t **der, size_t *n)
{
    while (!s->certificates)
        if (!next_list(s))
            return false;
    s->certificates--;
    *der = s->next + OWNER;
    *n = s->each - OWNER;
    s->next += s->each;
    return true;
}
