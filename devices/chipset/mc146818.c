// SPDX-License-Identifier: GPL-2.0-or-later
/* MC146818A real-time clock with 256 bytes of battery-backed memory (ports 70h/71h, and 72h/73h for the upper half).
 * Sources: Motorola MC146818A data sheet; PIIX4 data sheet (extended bank); the meaning of memory bytes above 0Fh as
 * SeaBIOS expects it from QEMU.  Line 0: IRQ 8.
 *
 * Nothing ticks.  The divider chain is guest time plus an offset (chain_ns); the calendar is the chain's seconds plus
 * an offset (base_s), or stands in `fields` while SET or the divider bits stop it.  Flags that nobody asked to be
 * interrupted by are found out when register C is read; a timer is set only for interrupts, and only while none is
 * pending, since a second one would not change the line.
 *
 * Config, section [machine]: clock = utc|local, what the calendar shows at power-on; boot, for the old boot order bytes.
 * rtc = host|guest: whether the calendar follows the host's also where guest time stood still, or only guest time.
 * After a reset of the machine the calendar agrees with the host again, plus what the guest had set it off by. */
#include "core-vmm/api/platform.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/chipset/mc146818.h"
#include <string.h>
#include <time.h>

enum { REGION_LOW, REGION_HIGH };
enum { SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR, A, B, C, D };
enum { FIRST_RAM = 14, CENTURY = 0x32, CENTURY_PS2 = 0x37 };
enum { A_UIP = 0x80, A_DIVIDER = 0x70, A_RATE = 0x0f, A_DIVIDER_32K = 0x20 };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_SQWE = 0x08, B_BINARY = 0x04, B_24H = 0x02 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
enum { D_VALID = 0x80, HOUR_PM = 0x80, ALARM_ANY = 0xc0 };
enum { NMI_MASK = 0x80 };
enum { UIP_NS = 244000 /* update in progress shows this long before the calendar changes */ };
static const uint64_t SECOND = 1000000000;
enum { DAY_S = 86400, CRYSTAL = 32768 };

struct fields { /* binary, 24 hours */
    uint8_t second, minute, hour, weekday, day, month, year, century;
};
struct rtc {
    uint8_t ram[256]; /* 0-9 unused but for the alarms; A, B; C holds the flags found so far */
    uint8_t index, index_high;
    bool nmi_masked;
    uint64_t chain_ns;     /* chain = guest time + this */
    int64_t base_s;        /* calendar = chain seconds + this, since 1970 */
    struct fields fields;  /* the calendar while it stands */
    uint8_t weekday_shift; /* the guest may count weekdays from where it likes */
    int64_t set_off_s;     /* the guest's calendar minus the host's */
    uint64_t seen_ns;      /* the chain up to which C has its flags */
    bool local, follows;
};

/* ---- the calendar ---- */

static bool divider_runs(const struct rtc *r)
{
    return (r->ram[A] & A_DIVIDER) <= A_DIVIDER_32K;
}

static bool calendar_runs(const struct rtc *r)
{
    return divider_runs(r) && !(r->ram[B] & B_SET);
}

static uint64_t chain(struct device *d)
{
    return dev_now(d) + ((struct rtc *)d->state)->chain_ns;
}

static struct fields fields_of(const struct rtc *r, int64_t seconds)
{
    struct tm tm;
    time_t t = seconds;
    gmtime_r(&t, &tm);
    int year = 1900 + tm.tm_year;
    return (struct fields){tm.tm_sec,  tm.tm_min,     tm.tm_hour, (tm.tm_wday + r->weekday_shift) % 7 + 1,
                           tm.tm_mday, tm.tm_mon + 1, year % 100, year / 100};
}

static int64_t seconds_of(const struct fields *f)
{
    struct tm tm = {.tm_sec = f->second,
                    .tm_min = f->minute,
                    .tm_hour = f->hour,
                    .tm_mday = f->day,
                    .tm_mon = f->month - 1,
                    .tm_year = f->century * 100 + f->year - 1900};
    return timegm(&tm);
}

static struct fields fields_now(struct device *d)
{
    struct rtc *r = d->state;
    return calendar_runs(r) ? fields_of(r, r->base_s + (int64_t)(chain(d) / SECOND)) : r->fields;
}

static int64_t host_seconds(const struct rtc *r)
{
    time_t t = g_get_real_time() / G_USEC_PER_SEC;
    struct tm tm;
    if (!r->local)
        return t;
    localtime_r(&t, &tm);
    return timegm(&tm);
}

/* rtc = host: what the host's calendar has that guest time does not know of, a pause, a suspended host, a clock that was put
 * right, comes in here. */
static void follow_host(struct device *d)
{
    enum { AGREES = 1 /* the two do not change their second together */ };
    struct rtc *r = d->state;
    if (!r->follows || !calendar_runs(r))
        return;
    int64_t base = host_seconds(r) + r->set_off_s - (int64_t)(chain(d) / SECOND);
    if (ABS(base - r->base_s) > AGREES)
        r->base_s = base;
}

/* Makes the calendar go on from f. */
static void set_calendar(struct device *d, const struct fields *f)
{
    struct rtc *r = d->state;
    int64_t s = seconds_of(f);
    r->base_s = s - (int64_t)(chain(d) / SECOND);
    r->set_off_s = s - host_seconds(r);
    r->weekday_shift = 0;
    if (f->weekday >= 1 && f->weekday <= 7)
        r->weekday_shift = (f->weekday - fields_of(r, s).weekday + 7) % 7;
}

/* ---- register encodings ---- */

static uint8_t encode(const struct rtc *r, uint8_t v)
{
    return r->ram[B] & B_BINARY ? v : v / 10 << 4 | v % 10;
}

static uint8_t decode(const struct rtc *r, uint8_t v)
{
    return r->ram[B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hour(const struct rtc *r, uint8_t hour)
{
    if (r->ram[B] & B_24H)
        return encode(r, hour);
    return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static uint8_t decode_hour(const struct rtc *r, uint8_t v)
{
    if (r->ram[B] & B_24H)
        return decode(r, v);
    return decode(r, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

static uint8_t *field(struct fields *f, unsigned index)
{
    switch (index) {
    case SECONDS: return &f->second;
    case MINUTES: return &f->minute;
    case HOURS: return &f->hour;
    case WEEKDAY: return &f->weekday;
    case DAY: return &f->day;
    case MONTH: return &f->month;
    case YEAR: return &f->year;
    case CENTURY:
    case CENTURY_PS2: return &f->century;
    default: return NULL;
    }
}

/* ---- flags and interrupts ---- */

static uint64_t period_ticks(const struct rtc *r)
{
    unsigned rate = r->ram[A] & A_RATE;
    if (!rate)
        return 0;
    return 1u << (rate <= 2 ? rate + 6 : rate - 1);
}

/* The chain's next moment after `after` at which the periodic flag is set. */
static uint64_t next_periodic(const struct rtc *r, uint64_t after)
{
    uint64_t ticks = period_ticks(r);
    if (!ticks || !divider_runs(r))
        return DEV_NEVER;
    uint64_t n = (unsigned __int128)after * CRYSTAL / SECOND / ticks + 1;
    unsigned __int128 at = ((unsigned __int128)n * ticks * SECOND + CRYSTAL - 1) / CRYSTAL;
    return at >= DEV_NEVER ? DEV_NEVER : at;
}

static uint64_t next_update(const struct rtc *r, uint64_t after)
{
    return calendar_runs(r) ? (after / SECOND + 1) * SECOND : DEV_NEVER;
}

/* The first value from `from` on that the alarm register matches, or -1. */
static int alarm_match(int want, int from, int limit)
{
    if (want < 0)
        return from < limit ? from : -1;
    return want >= from && want < limit ? want : -1;
}

/* The next second of the day, from s on, that the alarm matches, or -1. */
static int alarm_in_day(int hour, int minute, int second, int s)
{
    for (int h = s / 3600; (h = alarm_match(hour, h, 24)) >= 0; h++)
        for (int m = h > s / 3600 ? 0 : s / 60 % 60; (m = alarm_match(minute, m, 60)) >= 0; m++) {
            bool this_minute = h == s / 3600 && m == s / 60 % 60;
            int found = alarm_match(second, this_minute ? s % 60 : 0, 60);
            if (found >= 0)
                return h * 3600 + m * 60 + found;
        }
    return -1;
}

static uint64_t next_alarm(const struct rtc *r, uint64_t after)
{
    if (!calendar_runs(r))
        return DEV_NEVER;
    const uint8_t *a = r->ram;
    int second = a[SECONDS_ALARM] >= ALARM_ANY ? -1 : decode(r, a[SECONDS_ALARM]);
    int minute = a[MINUTES_ALARM] >= ALARM_ANY ? -1 : decode(r, a[MINUTES_ALARM]);
    int hour = a[HOURS_ALARM] >= ALARM_ANY ? -1 : decode_hour(r, a[HOURS_ALARM]);
    int64_t next = r->base_s + (int64_t)(after / SECOND) + 1;
    int of_day = (int)((next % DAY_S + DAY_S) % DAY_S);
    int found = alarm_in_day(hour, minute, second, of_day);
    if (found < 0) {
        found = alarm_in_day(hour, minute, second, 0) + DAY_S;
        if (found < DAY_S)
            return DEV_NEVER;
    }
    return (after / SECOND + 1 + (uint64_t)(found - of_day)) * SECOND;
}

static void interrupt_due(struct device *d);

/* Brings C up to now, drives the line, and sets the timer for the next interrupt. */
static void update(struct device *d)
{
    struct rtc *r = d->state;
    uint64_t now = chain(d), at = DEV_NEVER;
    follow_host(d);
    uint64_t periodic = next_periodic(r, r->seen_ns), second = next_update(r, r->seen_ns),
             alarm = next_alarm(r, r->seen_ns);
    r->ram[C] |= (periodic <= now ? C_PF : 0) | (second <= now ? C_UF : 0) | (alarm <= now ? C_AF : 0);
    r->seen_ns = now;
    bool irq = r->ram[C] & r->ram[B] & (C_PF | C_AF | C_UF);
    r->ram[C] = (r->ram[C] & ~C_IRQF) | (irq ? C_IRQF : 0);
    dev_irq(d, 0, irq);
    if (!irq && r->ram[B] & B_PIE)
        at = MIN(at, next_periodic(r, now));
    if (!irq && r->ram[B] & B_UIE)
        at = MIN(at, next_update(r, now));
    if (!irq && r->ram[B] & B_AIE)
        at = MIN(at, next_alarm(r, now));
    dev_timer(d, 0, at == DEV_NEVER ? DEV_NEVER : at - r->chain_ns, interrupt_due);
}

static void interrupt_due(struct device *d)
{
    update(d);
}

/* ---- read ---- */

static uint8_t read_c(struct device *d)
{
    struct rtc *r = d->state;
    update(d);
    uint8_t v = r->ram[C];
    r->ram[C] = 0;
    update(d);
    return v;
}

static uint8_t read_register(struct device *d, unsigned index)
{
    struct rtc *r = d->state;
    follow_host(d);
    struct fields f = fields_now(d);
    const uint8_t *v = field(&f, index);
    if (v)
        return index == HOURS ? encode_hour(r, *v) : encode(r, *v);
    switch (index) {
    case A: return r->ram[A] | (calendar_runs(r) && chain(d) % SECOND >= SECOND - UIP_NS ? A_UIP : 0);
    case C: return read_c(d);
    case D: return D_VALID;
    default: return r->ram[index];
    }
}

static uint64_t rtc_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct rtc *r = d->state;
    if (offset == 0)
        return region == REGION_LOW ? 0xff : r->index_high; /* 70h is write-only */
    return read_register(d, region == REGION_LOW ? r->index : 0x80 | r->index_high);
}

/* ---- write ---- */

static void write_field(struct device *d, unsigned index, uint8_t v)
{
    struct rtc *r = d->state;
    struct fields f = fields_now(d);
    *field(&f, index) = index == HOURS ? decode_hour(r, v) : decode(r, v);
    if (calendar_runs(r))
        set_calendar(d, &f);
    else
        r->fields = f;
}

/* A and B can stop the calendar and start it again; the divider's first second after a stop is half a second long. */
static void write_control(struct device *d, unsigned index, uint8_t v)
{
    struct rtc *r = d->state;
    struct fields f = fields_now(d);
    bool ran = calendar_runs(r), divided = divider_runs(r);
    r->ram[index] = index == A ? v & ~A_UIP : v & B_SET ? v & ~B_UIE : v;
    if (!divided && divider_runs(r)) {
        r->chain_ns = SECOND / 2 + (SECOND - dev_now(d) % SECOND);
        r->seen_ns = chain(d);
    }
    if (ran && !calendar_runs(r))
        r->fields = f;
    else if (!ran && calendar_runs(r))
        set_calendar(d, &r->fields);
}

static void write_register(struct device *d, unsigned index, uint8_t v)
{
    struct rtc *r = d->state;
    struct fields none;
    update(d); /* what has come until now counts by the old settings */
    if (index == A || index == B)
        write_control(d, index, v);
    else if (field(&none, index))
        write_field(d, index, v);
    else if (index != C && index != D)
        r->ram[index] = v;
    update(d);
}

static void rtc_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct rtc *r = d->state;
    if (offset)
        write_register(d, region == REGION_LOW ? r->index : 0x80 | r->index_high, v);
    else if (region == REGION_HIGH)
        r->index_high = v & 0x7f;
    else {
        r->index = v & 0x7f;
        r->nmi_masked = v & NMI_MASK;
    }
}

/* ---- what the firmware finds ---- */

static void put16(struct rtc *r, unsigned index, uint64_t v)
{
    v = MIN(v, 0xffff);
    r->ram[index] = v;
    r->ram[index + 1] = v >> 8;
}

static void checksum(struct rtc *r)
{
    unsigned sum = 0;
    for (unsigned i = 0x10; i <= 0x2d; i++)
        sum += r->ram[i];
    r->ram[0x2e] = sum >> 8;
    r->ram[0x2f] = sum;
}

void mc146818_set_floppies(struct device *rtc, unsigned type0, unsigned type1)
{
    struct rtc *r = rtc->state;
    unsigned drives = (type0 != 0) + (type1 != 0);
    r->ram[0x10] = type0 << 4 | type1;
    r->ram[0x14] = 0x06 /* FPU, mouse */ | (drives ? 1 | (drives - 1) << 6 : 0);
    checksum(r);
}

/* Type 47, "by the user", and what that is (of AMI's BIOSes, and what others took over). */
void mc146818_set_disk(struct device *rtc, unsigned n, unsigned cylinders, unsigned heads, unsigned sectors)
{
    struct rtc *r = rtc->state;
    uint8_t *type = r->ram + (n ? 0x24 : 0x1b);
    r->ram[0x12] |= n ? 0x0f : 0xf0;
    r->ram[0x19 + n] = 47;
    put_le16(type, cylinders);
    type[2] = heads;
    put_le16(type + 3, 0xffff); /* no write precompensation */
    type[5] = 0xc0 | (heads > 8 ? 8 : 0);
    put_le16(type + 6, cylinders); /* landing zone */
    type[8] = sectors;
    checksum(r);
}

void mc146818_set_floppy_check(struct device *rtc, bool on)
{
    struct rtc *r = rtc->state;
    r->ram[0x38] = (r->ram[0x38] & ~1) | !on;
}

/* 1 floppy, 2 disk, 3 CD, 4 network, in nibbles: 3Dh low, 3Dh high, 38h high. */
static void put_boot_order(struct rtc *r, const struct config *c)
{
    static const char *const kinds[] = {"floppy", "disk", "cdrom", "network"};
    g_autofree char *boot = config_string(c, "boot");
    g_auto(GStrv) words = g_strsplit(boot, ",", 4);
    uint8_t nibble[3] = {0};
    for (unsigned i = 0; i < 3 && words[i]; i++)
        for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++)
            if (!strcmp(g_strstrip(words[i]), kinds[k]))
                nibble[i] = k + 1;
    r->ram[0x3d] = nibble[0] | nibble[1] << 4;
    r->ram[0x38] = (r->ram[0x38] & 1) | nibble[2] << 4;
}

static void put_memory(struct device *d)
{
    struct rtc *r = d->state;
    uint64_t below = dev_ram_below_4g(d), above = dev_ram_above_4g(d) >> 16;
    uint64_t extended = below > 1 << 20 ? (below - (1 << 20)) >> 10 : 0;
    put16(r, 0x15, 640);
    put16(r, 0x17, extended);
    put16(r, 0x30, extended);
    put16(r, 0x34, below > 16 << 20 ? (below - (16 << 20)) >> 16 : 0);
    r->ram[0x5b] = above;
    r->ram[0x5c] = above >> 8;
    r->ram[0x5d] = above >> 16;
    r->ram[0x5f] = dev_cpus(d) - 1;
}

static bool rtc_init(struct device *d, const struct config *c, GError **error)
{
    static const char *const clocks[] = {"utc", "local", NULL};
    struct rtc *r = d->state;
    static const char *const rtcs[] = {"host", "guest", NULL};
    unsigned clock, rtc;
    if (!config_choice(c, "clock", clocks, &clock, error) || !config_choice(c, "rtc", rtcs, &rtc, error))
        return false;
    r->local = clock == 1;
    r->follows = rtc == 0;
    r->ram[A] = A_DIVIDER_32K | 6; /* 1024 Hz, as BIOSes leave it */
    r->ram[B] = B_24H;
    put_memory(d);
    put_boot_order(r, c);
    mc146818_set_floppies(d, 0, 0);
    return true;
}

/* ---- reset, sync ---- */

static void rtc_reset(struct device *d)
{
    struct rtc *r = d->state;
    r->ram[B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    r->ram[C] = 0;
    r->index = r->index_high = 0;
    r->nmi_masked = false;
    r->seen_ns = chain(d);
    if (calendar_runs(r))
        r->base_s = host_seconds(r) + r->set_off_s - (int64_t)(chain(d) / SECOND);
    update(d);
}

static void sync_fields(struct fields *f, struct stream *s)
{
    uint8_t *all[] = {&f->second, &f->minute, &f->hour, &f->weekday, &f->day, &f->month, &f->year, &f->century};
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        stream_u8(s, all[i]);
}

static bool rtc_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct rtc *r = d->state;
    if (!s->loading)
        update(d);
    stream_raw(s, r->ram, sizeof r->ram);
    stream_u8(s, &r->index);
    stream_u8(s, &r->index_high);
    stream_bool(s, &r->nmi_masked);
    stream_u64(s, &r->chain_ns);
    stream_u64(s, (uint64_t *)&r->base_s);
    sync_fields(&r->fields, s);
    stream_u8(s, &r->weekday_shift);
    stream_u64(s, (uint64_t *)&r->set_off_s);
    stream_u64(s, &r->seen_ns);
    if (!stream_ok(s))
        return false;
    /* Centuries are a byte: every calendar that a guest can set lies within some 26000 years. */
    const int64_t far = INT64_C(1) << 40;
    if (r->index > 0x7f || r->index_high > 0x7f || r->weekday_shift > 6 || r->base_s > far || r->base_s < -far ||
        r->set_off_s > far || r->set_off_s < -far || r->chain_ns > 4 * SECOND || r->seen_ns > chain(d))
        return false;
    if (s->loading)
        update(d);
    return true;
}

const struct device_ops mc146818_ops = {
    .name = "mc146818",
    .state_bytes = sizeof(struct rtc),
    .version = 1,
    .regions = {{BUS_PORT, 0x70, 2, 1, 1}, {BUS_PORT, 0x72, 2, 1, 1}},
    .init = rtc_init,
    .reset = rtc_reset,
    .read = rtc_read,
    .write = rtc_write,
    .sync = rtc_sync,
};
