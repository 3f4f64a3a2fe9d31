// SPDX-License-Identifier: GPL-2.0-or-later
/* The bench's far ends: media in memory and serial lines that remember.  They outlive the device that opened them, as
 * files do, so that save/load finds them again. */
#include "tests/devices/bench_inside.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* ---- drives ---- */

enum { PATTERN_BYTES = 4 << 20 };

struct waiting {
    struct drive_request *request;
    bool carried_out;
    int error;
};

struct drive {
    struct bench *bench;
    struct device *device;
    char *section;
    uint8_t *data;
    uint64_t bytes;
    bool readonly, changed, locked;
    int fail;
    void (*on_change)(struct device *d, struct drive *v), (*on_batch)(struct device *d, struct drive *v);
    GQueue requests; /* struct waiting */
};

uint8_t bench_pattern(uint64_t place)
{
    return place * 7 + (place >> 9) * 13 + (place >> 17);
}

/* The first call computes it for all: a fuzzer makes media by the thousand. */
static void fill_pattern(uint8_t *to, uint64_t bytes)
{
    static uint8_t *pattern;
    if (g_once_init_enter(&pattern)) {
        uint8_t *made = g_malloc(PATTERN_BYTES);
        for (uint64_t i = 0; i < PATTERN_BYTES; i++)
            made[i] = bench_pattern(i);
        g_once_init_leave(&pattern, made);
    }
    g_assert(bytes <= PATTERN_BYTES);
    memcpy(to, pattern, bytes);
}

static void take_out(struct drive *v)
{
    if (v->data)
        munmap(v->data, v->bytes);
    v->data = NULL;
    v->bytes = 0;
}

void bench_drive_free(void *drive)
{
    struct drive *v = drive;
    g_queue_clear_full(&v->requests, g_free);
    g_free(v->section);
    take_out(v);
    g_free(v);
}

static void load_medium(struct drive *v, const char *file)
{
    take_out(v);
    const char *size = file ? strchr(file, ':') : NULL;
    if (!size || !size_parse(size + 1, &v->bytes) || !v->bytes)
        return;
    v->data = mmap(NULL, v->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(v->data != MAP_FAILED);
    if (g_str_has_prefix(file, "pattern:"))
        fill_pattern(v->data, v->bytes);
}

struct drive *bench_drive(struct bench *b, const char *section)
{
    for (unsigned i = 0; i < b->drives->len; i++) {
        struct drive *v = b->drives->pdata[i];
        if (!strcmp(v->section, section))
            return v;
    }
    return NULL;
}

struct drive *drive_open(struct device *d, const struct config *c, GError **error)
{
    struct bench *b = d->core->bench;
    struct drive *v = bench_drive(b, c->section);
    if (!v) {
        v = g_new0(struct drive, 1);
        v->bench = b;
        v->section = g_strdup(c->section);
        g_queue_init(&v->requests);
        bool floppy = g_str_has_prefix(c->section, "floppy");
        g_autofree char *file = config_string(c, "file"), *media = floppy ? NULL : config_string(c, "media");
        g_autofree char *readonly = config_string(c, "readonly");
        v->readonly = !strcmp(readonly, "on") || !g_strcmp0(media, "cdrom");
        load_medium(v, file);
        g_ptr_array_add(b->drives, v);
    }
    v->device = d;
    v->on_change = v->on_batch = NULL;
    return v;
}

struct drive *drive_open_bay(struct device *d, const struct config *c, GError **error)
{
    return drive_open(d, c, error);
}

uint64_t drive_bytes(struct drive *v)
{
    return v->bytes;
}

bool drive_peek(struct drive *v, uint64_t offset, void *to, size_t bytes)
{
    if (v->fail || offset > v->bytes || bytes > v->bytes - offset)
        return false;
    memcpy(to, v->data + offset, bytes);
    return true;
}

bool drive_readonly(struct drive *v)
{
    return v->readonly;
}

const char *drive_serial(struct drive *v)
{
    return "BENCH-0001";
}

bool drive_changed(struct drive *v)
{
    bool changed = v->changed;
    v->changed = false;
    return changed;
}

void drive_on_change(struct drive *v, void (*fn)(struct device *d, struct drive *v))
{
    v->on_change = fn;
}

void drive_on_batch(struct drive *v, void (*fn)(struct device *d, struct drive *v))
{
    v->on_batch = fn;
}

void drive_guest_lock(struct drive *v, bool locked)
{
    v->locked = locked;
}

bool bench_drive_locked(struct drive *v)
{
    return v->locked;
}

void bench_drive_insert(struct drive *v, const char *file)
{
    load_medium(v, file);
    v->changed = true;
    if (v->on_change)
        v->on_change(v->device, v);
}

void drive_guest_eject(struct drive *v)
{
    bench_note(v->bench, "eject %s", v->section);
    bench_drive_insert(v, NULL);
}

void bench_drive_fail(struct drive *v, int error)
{
    v->fail = error;
}

uint8_t *bench_drive_data(struct drive *v, uint64_t *bytes)
{
    *bytes = v->bytes;
    return v->data;
}

void drive_submit(struct drive *v, struct drive_request *r)
{
    uint64_t sum = 0;
    for (int i = 0; i < r->iov_count; i++)
        sum += r->iov[i].iov_len;
    g_assert(r->op == DRIVE_FLUSH || r->op == DRIVE_DISCARD || r->op == DRIVE_ZERO || sum == r->bytes);
    struct waiting *w = g_new0(struct waiting, 1);
    w->request = r;
    g_queue_push_tail(&v->requests, w);
}

static int carry_out(struct drive *v, const struct drive_request *r)
{
    int error = v->fail;
    v->fail = 0;
    if (error || r->op == DRIVE_FLUSH)
        return error;
    if (!v->data || r->offset > v->bytes || r->bytes > v->bytes - r->offset)
        return v->data ? EINVAL : ENOMEDIUM;
    if (r->op != DRIVE_READ && v->readonly)
        return EROFS;
    uint8_t *at = v->data + r->offset;
    if (r->op == DRIVE_ZERO || r->op == DRIVE_DISCARD)
        memset(at, 0, r->bytes);
    else
        for (int i = 0; i < r->iov_count; at += r->iov[i++].iov_len)
            memcpy(r->op == DRIVE_READ ? r->iov[i].iov_base : at, r->op == DRIVE_READ ? at : r->iov[i].iov_base,
                   r->iov[i].iov_len);
    return 0;
}

static bool settle_drives(struct bench *b)
{
    bool any = false;
    for (unsigned i = 0; i < b->drives->len; i++) {
        struct drive *v = b->drives->pdata[i];
        struct waiting *w = g_queue_pop_head(&v->requests);
        if (!w)
            continue;
        any = true;
        w->request->done(v->device, w->request, w->carried_out ? w->error : carry_out(v, w->request));
        g_free(w);
        if (v->on_batch)
            v->on_batch(v->device, v);
    }
    return any;
}

/* Requests are carried out here, as the workers of the real one would do: done() comes with the next step. */
void drive_quiesce(struct drive *v)
{
    for (GList *l = v->requests.head; l; l = l->next) {
        struct waiting *w = l->data;
        if (!w->carried_out)
            w->error = carry_out(v, w->request);
        w->carried_out = true;
    }
}

bool drive_idle(struct drive *v)
{
    return g_queue_is_empty(&v->requests);
}

void drive_close(struct drive *v)
{
    g_queue_clear_full(&v->requests, g_free); /* none: save/load settles first */
}

/* ---- serial lines ---- */

struct char_port {
    char *name;
    struct device *device;
    const struct char_receiver *receiver;
    GByteArray *sent, *waiting;
};

void bench_char_free(void *port)
{
    struct char_port *p = port;
    g_free(p->name);
    g_byte_array_unref(p->sent);
    g_byte_array_unref(p->waiting);
    g_free(p);
}

static struct char_port *find_port(struct device *d)
{
    struct bench *b = d->core->bench;
    for (unsigned i = 0; i < b->chars->len; i++) {
        struct char_port *p = b->chars->pdata[i];
        if (!strcmp(p->name, d->name))
            return p;
    }
    struct char_port *p = g_new0(struct char_port, 1);
    p->name = g_strdup(d->name);
    p->sent = g_byte_array_new();
    p->waiting = g_byte_array_new();
    g_ptr_array_add(b->chars, p);
    return p;
}

struct char_port *char_open(struct device *d, const char *target, const struct char_receiver *r, GError **error)
{
    struct char_port *p = find_port(d);
    p->device = d;
    p->receiver = r;
    return p;
}

void char_write(struct char_port *p, const uint8_t *data, size_t n)
{
    if (p->sent->len < 1 << 20)
        g_byte_array_append(p->sent, data, n);
}

/* As in the real one, bytes come later, from outside of the device's own callback. */
void char_limit(struct char_port *p, uint64_t bytes)
{
}

void char_more_room(struct char_port *p)
{
}

static bool feed(struct char_port *p)
{
    size_t n = p->waiting->len && p->receiver ? MIN(p->receiver->room(p->device), p->waiting->len) : 0;
    if (!n)
        return false;
    g_autofree uint8_t *data = g_memdup2(p->waiting->data, n);
    g_byte_array_remove_range(p->waiting, 0, n);
    p->receiver->bytes(p->device, data, n);
    return true;
}

void char_close(struct char_port *p)
{
    p->receiver = NULL;
}

void bench_char_send(struct device *d, const uint8_t *data, size_t n)
{
    struct char_port *p = find_port(d);
    g_byte_array_append(p->waiting, data, n);
    feed(p);
}

bool bench_ends_settle(struct bench *b)
{
    bool any = settle_drives(b);
    any |= bench_cables_settle(b);
    for (unsigned i = 0; i < b->chars->len; i++)
        any |= feed(b->chars->pdata[i]);
    return any;
}

GByteArray *bench_char_sent(struct device *d)
{
    return find_port(d)->sent;
}
