// SPDX-License-Identifier: GPL-2.0-or-later
/* The language of device scripts.  One command a line; # starts a comment; numbers as in C; times with ns us ms s;
 * NAME is a device's name on the board (a row of chips.c), by default the first one.  Lists of values are spread over
 * as many accesses.
 *
 *   config SECTION KEY=VALUE ...         before `device`: what machine.ini would say
 *   device NAME [KEY=VALUE ...]          puts the chip on the bench, reset
 *   out8|out16|out32 PORT VALUE ...      in8|in16|in32 PORT [& MASK] [== VALUE ...]
 *   st8|st16|st32|st64 ADDRESS VALUE ... ld8|ld16|ld32|ld64 ADDRESS [& MASK] [== VALUE ...]      MMIO
 *   cfgw8|16|32 [NAME] OFFSET VALUE      cfgr8|16|32 [NAME] OFFSET [& MASK] [== VALUE]           PCI configuration
 *   mem ADDRESS = BYTE ...               mem ADDRESS == BYTE ...                                 guest RAM
 *   words ADDRESS = VALUE ...            words ADDRESS == VALUE ...                              32 bits each, one behind the other
 *   mem-pattern ADDRESS BYTES PLACE      guest RAM holds what a pattern drive holds from byte PLACE on
 *   port-drain PORT BYTES                reads that much by 16 bits and looks at nothing
 *   port-pattern PORT BYTES PLACE        reads by 16 bits: what a pattern drive holds from byte PLACE on
 *   port-fill PORT BYTES PLACE           writes that by 16 bits
 *   step TIME                            wait TIME in... ; runs `in8 ...` every microsecond until it holds
 *   irq [NAME.]LINE == LEVEL             edges [NAME.]LINE == COUNT       rising edges since the last `edges`
 *   event == TEXT...                     the oldest request to the machine not looked at yet: "a20 1", "reset", "nmi"
 *   no-events                            drop-events
 *   save-load                            every device is saved, made anew and loaded; all must be as before
 *   reset                                the machine's reset line
 *   key KEY_NAME|CODE down|up            pointer DX DY WHEEL BUTTONS       leds == BITS
 *   send TEXT                            sent == TEXT                     serial line; C escapes inside quotes
 *   insert SECTION KIND:SIZE             eject SECTION     disk-error SECTION ERRNO     disk-locked SECTION == 0|1
 *   disk SECTION OFFSET == BYTE ...
 *   cable up|down      frame BYTES BYTE ...      a frame of that many bytes comes in: these, then a pattern's
 *   sent-frame BYTES == BYTE ...         the oldest frame that the guest sent has that many bytes, and begins so
 *   no-frames                            it has sent no other
 *   pin [NAME] PIN up|down               ack [NAME] == VECTOR             eoi [NAME] VECTOR      interrupt controllers
 *   ferr CPU LEVEL == IGNORE             FERR# of a CPU; IGNNE# then
 *   lapic read CPU OFFSET [& MASK] == VALUE   lapic write CPU OFFSET VALUE   lapic ack CPU == VECTOR
 *   lapic lint CPU PIN LEVEL
 *   lapic msr CPU MSR == VALUE           lapic set-msr CPU MSR VALUE      lapic base CPU == ADDRESS
 *   lapic message MODE VECTOR DEST [logical] [level] [deassert]           lapic init CPU */
#include "tests/devices/script.h"
#include "tests/devices/bench.h"
#include "core-vmm/api/input.h"
#include "tests/devices/keys.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct script {
    struct bench *bench;
    const char *path;
    unsigned line;
    char *problem; /* the first one */
    char **word;   /* of this line, after the command */
    unsigned words;
};

static bool fail(struct script *s, const char *f, ...) G_GNUC_PRINTF(2, 3);
static bool fail(struct script *s, const char *f, ...)
{
    if (s->problem)
        return false;
    va_list ap;
    va_start(ap, f);
    g_autofree char *what = g_strdup_vprintf(f, ap);
    va_end(ap);
    s->problem = g_strdup_printf("%s:%u: %s", s->path, s->line, what);
    return false;
}

static const char *word(struct script *s, unsigned i)
{
    if (i < s->words)
        return s->word[i];
    fail(s, "a word is missing");
    return "0";
}

static uint64_t number(struct script *s, unsigned i)
{
    const char *text = word(s, i);
    char *end;
    uint64_t v = strtoull(text, &end, 0);
    if (*end || end == text)
        fail(s, "'%s' is no number", text);
    return v;
}

static uint64_t duration(struct script *s, unsigned i)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    char *end;
    double v = g_ascii_strtod(word(s, i), &end);
    for (unsigned u = 0; u < G_N_ELEMENTS(units); u++)
        if (!strcmp(end, units[u].unit))
            return v * units[u].ns + 0.5;
    fail(s, "'%s' is no time (ns us ms s)", word(s, i));
    return 0;
}

static bool expect_word(struct script *s, unsigned i, const char *text)
{
    return !strcmp(word(s, i), text) || fail(s, "expected '%s', not '%s'", text, word(s, i));
}

static bool expect_value(struct script *s, unsigned i, const char *what, uint64_t is)
{
    uint64_t want = number(s, i);
    return is == want || fail(s, "%s is 0x%" PRIx64 ", expected 0x%" PRIx64, what, is, want);
}

/* The device named by word *i (then *i moves on), else the first one. */
static struct device *device_word(struct script *s, unsigned *i)
{
    struct device **all, *d = *i < s->words ? bench_device(s->bench, s->word[*i]) : NULL;
    if (d)
        ++*i;
    else if (bench_devices(s->bench, &all))
        d = all[0];
    else
        fail(s, "no device on the bench yet");
    return d;
}

/* ---- setting up ---- */

static bool settings(struct script *s, const char *section, unsigned from)
{
    section = strcmp(section, "rtc") ? section : "machine"; /* as the board has it */
    for (unsigned i = from; i < s->words; i++) {
        g_auto(GStrv) pair = g_strsplit(s->word[i], "=", 2);
        if (!pair[0] || !pair[1])
            return fail(s, "'%s' is not KEY=VALUE", s->word[i]);
        bench_config(s->bench, section, pair[0], pair[1]);
    }
    return true;
}

static bool do_config(struct script *s, const char *verb)
{
    return settings(s, word(s, 0), 1);
}

static bool do_device(struct script *s, const char *verb)
{
    const struct chip *c = chip_find(word(s, 0));
    g_autoptr(GError) error = NULL;
    if (!c)
        return fail(s, "chips.c has no '%s'", word(s, 0));
    if (!settings(s, c->name, 1))
        return false;
    return bench_add(s->bench, c->ops, c->name, &error) || fail(s, "init: %s", error ? error->message : "failed");
}

/* ---- accesses ---- */

typedef uint64_t reader(struct script *s, uint64_t at, unsigned size);

static uint64_t read_port(struct script *s, uint64_t at, unsigned size)
{
    return bench_in(s->bench, at, size);
}

static uint64_t read_mmio(struct script *s, uint64_t at, unsigned size)
{
    return bench_load(s->bench, at, size);
}

/* AT [& MASK] [== VALUE ...]; quiet: only says whether it holds */
static bool check_reads(struct script *s, unsigned i, reader *read, unsigned size, bool quiet)
{
    uint64_t at = number(s, i++), mask = UINT64_MAX;
    if (i < s->words && !strcmp(s->word[i], "&")) {
        mask = number(s, i + 1);
        i += 2;
    }
    if (i >= s->words)
        return read(s, at, size), true;
    if (!expect_word(s, i++, "=="))
        return false;
    for (unsigned n = 0; i < s->words; i++, n++) {
        uint64_t want = number(s, i), is = read(s, at, size) & mask;
        if (is != want)
            return !quiet &&
                   fail(s, "0x%" PRIx64 " reads 0x%" PRIx64 ", expected 0x%" PRIx64 " (value %u)", at, is, want, n + 1);
    }
    return true;
}

static unsigned size_of(const char *verb)
{
    while (!isdigit((unsigned char)*verb))
        verb++;
    return atoi(verb) / 8;
}

static bool do_in(struct script *s, const char *verb)
{
    return check_reads(s, 0, read_port, size_of(verb), false);
}

static bool do_ld(struct script *s, const char *verb)
{
    return check_reads(s, 0, read_mmio, size_of(verb), false);
}

static bool do_out(struct script *s, const char *verb)
{
    uint64_t at = number(s, 0);
    word(s, 1);
    for (unsigned i = 1; i < s->words; i++)
        (*verb == 'o' ? bench_out : bench_store)(s->bench, at, size_of(verb), number(s, i));
    return true;
}

static bool do_wait(struct script *s, const char *verb)
{
    uint64_t left = duration(s, 0);
    unsigned size = size_of(word(s, 1));
    for (; !check_reads(s, 2, read_port, size, true); left -= 1000) {
        if (s->problem || left < 1000)
            return fail(s, "did not come in time");
        bench_step(s->bench, 1000);
    }
    return true;
}

static bool do_cfgw(struct script *s, const char *verb)
{
    unsigned i = 0;
    struct device *d = device_word(s, &i);
    if (d)
        bench_pci_write(d, number(s, i), size_of(verb), number(s, i + 1));
    return true;
}

static bool do_cfgr(struct script *s, const char *verb)
{
    unsigned i = 0;
    struct device *d = device_word(s, &i);
    uint64_t mask = UINT64_MAX, offset = number(s, i++);
    if (!d)
        return false;
    if (!strcmp(word(s, i), "&")) {
        mask = number(s, i + 1);
        i += 2;
    }
    return expect_word(s, i, "==") &&
           expect_value(s, i + 1, "configuration space", bench_pci_read(d, offset, size_of(verb)) & mask);
}

static bool compare_bytes(struct script *s, unsigned i, const uint8_t *data, uint64_t left)
{
    for (unsigned n = 0; i < s->words; i++, n++) {
        if (n >= left)
            return fail(s, "only %" PRIu64 " bytes there", left);
        if (data[n] != number(s, i))
            return fail(s, "byte %u is 0x%02x, expected %s", n, data[n], s->word[i]);
    }
    return true;
}

static bool do_mem(struct script *s, const char *verb)
{
    uint64_t at = number(s, 0);
    if (at + s->words > BENCH_RAM)
        return fail(s, "guest RAM ends at 0x%x", BENCH_RAM);
    if (!strcmp(word(s, 1), "=="))
        return compare_bytes(s, 2, bench_ram(s->bench) + at, BENCH_RAM - at);
    for (unsigned i = 2; expect_word(s, 1, "=") && i < s->words; i++)
        bench_ram(s->bench)[at + i - 2] = number(s, i);
    return true;
}

/* Also in memory of a chip. */
static bool do_words(struct script *s, const char *verb)
{
    uint64_t at = number(s, 0);
    bool look = !strcmp(word(s, 1), "==");
    if (!look && !expect_word(s, 1, "="))
        return false;
    for (unsigned i = 2; i < s->words && !s->problem; i++, at += 4) {
        uint32_t value = number(s, i), is = look ? bench_load(s->bench, at, 4) : value;
        if (is != value)
            return fail(s, "0x%" PRIx64 " is 0x%x, expected 0x%x", at, is, value);
        if (!look)
            bench_store(s->bench, at, 4, value);
    }
    return true;
}

static bool do_mem_pattern(struct script *s, const char *verb)
{
    uint64_t at = number(s, 0), bytes = number(s, 1), place = number(s, 2);
    for (uint64_t i = 0; i < bytes && at + i < BENCH_RAM; i++)
        if (bench_ram(s->bench)[at + i] != bench_pattern(place + i))
            return fail(s, "byte %" PRIu64 " is 0x%02x, expected 0x%02x", i, bench_ram(s->bench)[at + i],
                        bench_pattern(place + i));
    return true;
}

/* ---- data ports ---- */

static bool do_port_in(struct script *s, const char *verb)
{
    uint64_t port = number(s, 0), bytes = number(s, 1);
    bool look = !strcmp(verb, "port-pattern");
    uint64_t place = look ? number(s, 2) : 0;
    for (uint64_t i = 0; i < bytes && !s->problem; i += 2) {
        uint64_t is = bench_in(s->bench, port, 2), want = bench_pattern(place + i) | bench_pattern(place + i + 1) << 8;
        if (look && is != want)
            return fail(s, "bytes %" PRIu64 " are 0x%04" PRIx64 ", expected 0x%04" PRIx64, i, is, want);
    }
    return true;
}

static bool do_port_fill(struct script *s, const char *verb)
{
    uint64_t port = number(s, 0), bytes = number(s, 1), place = number(s, 2);
    for (uint64_t i = 0; i < bytes && !s->problem; i += 2)
        bench_out(s->bench, port, 2, bench_pattern(place + i) | bench_pattern(place + i + 1) << 8);
    return true;
}

/* ---- time, wires ---- */

static bool do_step(struct script *s, const char *verb)
{
    bench_step(s->bench, duration(s, 0));
    return true;
}

static bool line_word(struct script *s, struct device **d, unsigned *line)
{
    g_auto(GStrv) part = g_strsplit(word(s, 0), ".", 2);
    unsigned none = s->words;
    *d = part[0] && part[1] ? bench_device(s->bench, part[0]) : device_word(s, &none);
    *line = atoi(part[0] && part[1] ? part[1] : word(s, 0));
    return (*d && *line < BENCH_LINES) || fail(s, "no such line: %s", word(s, 0));
}

static bool do_irq(struct script *s, const char *verb)
{
    struct device *d;
    unsigned line;
    if (!line_word(s, &d, &line) || !expect_word(s, 1, "=="))
        return false;
    return expect_value(s, 2, verb, *verb == 'i' ? bench_line(d, line) : bench_edges(d, line));
}

static bool do_event(struct script *s, const char *verb)
{
    g_autofree char *is = bench_event(s->bench), *want = NULL;
    if (*verb == 'n')
        return !is || fail(s, "there is an event: %s", is);
    if (*verb == 'd') {
        for (char *e; (e = bench_event(s->bench));)
            g_free(e);
        return true;
    }
    if (!expect_word(s, 0, "=="))
        return false;
    want = g_strjoinv(" ", s->word + 1);
    return (is && !strcmp(is, want)) || fail(s, "event is '%s', expected '%s'", is ? is : "(none)", want);
}

static bool do_save_load(struct script *s, const char *verb)
{
    g_autofree char *why = bench_save_load(s->bench);
    return !why || fail(s, "%s", why);
}

static bool do_reset(struct script *s, const char *verb)
{
    bench_reset(s->bench);
    return true;
}

/* ---- far ends ---- */

static const struct input_ops *input_plug(struct script *s, struct device **d)
{
    unsigned none = s->words;
    *d = device_word(s, &none);
    if (!*d || !(*d)->ops->input)
        return fail(s, "the first device takes no input"), NULL;
    return (*d)->ops->input;
}

static bool do_key(struct script *s, const char *verb)
{
    struct device *d;
    const struct input_ops *in = input_plug(s, &d);
    int code = isdigit((unsigned char)*word(s, 0)) ? (int)number(s, 0) : key_code(word(s, 0));
    if (!in || code < 0)
        return fail(s, "no key '%s'", word(s, 0));
    return in->key(d, code, !strcmp(word(s, 1), "down")) || fail(s, "the keyboard's queue is full");
}

static bool do_pointer(struct script *s, const char *verb)
{
    struct device *d;
    const struct input_ops *in = input_plug(s, &d);
    if (!in)
        return false;
    return in->pointer(d, atoi(word(s, 0)), atoi(word(s, 1)), atoi(word(s, 2)), number(s, 3)) ||
           fail(s, "the mouse's queue is full");
}

static bool do_leds(struct script *s, const char *verb)
{
    struct device *d;
    const struct input_ops *in = input_plug(s, &d);
    return in && expect_word(s, 0, "==") && expect_value(s, 1, "leds", in->leds(d));
}

static bool do_send(struct script *s, const char *verb)
{
    unsigned none = s->words;
    struct device *d = device_word(s, &none);
    g_autofree char *text = g_strcompress(word(s, 0));
    if (d)
        bench_char_send(d, (uint8_t *)text, strlen(text));
    return true;
}

static bool do_sent(struct script *s, const char *verb)
{
    unsigned none = s->words;
    struct device *d = device_word(s, &none);
    if (!d || !expect_word(s, 0, "=="))
        return false;
    g_autofree char *want = g_strcompress(word(s, 1)), *is = bench_char_sent(d);
    return !strcmp(is, want) || fail(s, "the guest sent '%s', expected '%s'", is, want);
}

static struct drive *drive_word(struct script *s)
{
    struct drive *v = bench_drive(s->bench, word(s, 0));
    if (!v)
        fail(s, "no device opened a drive '%s'", word(s, 0));
    return v;
}

static bool do_insert(struct script *s, const char *verb)
{
    if (drive_word(s))
        bench_drive_insert(s->bench, word(s, 0), *verb == 'i' ? word(s, 1) : NULL);
    return true;
}

static bool do_disk_error(struct script *s, const char *verb)
{
    struct drive *v = drive_word(s);
    if (v)
        bench_drive_fail(s->bench, v, number(s, 1));
    return true;
}

static bool do_disk_locked(struct script *s, const char *verb)
{
    struct drive *v = drive_word(s);
    return v && expect_word(s, 1, "==") && expect_value(s, 2, "the tray lock", bench_drive_locked(v));
}

static bool do_disk(struct script *s, const char *verb)
{
    struct drive *v = drive_word(s);
    uint64_t bytes = 0, at = number(s, 1);
    uint8_t *data = v ? bench_drive_data(s->bench, v, &bytes) : NULL;
    if (at > bytes)
        return fail(s, "the disk ends at %" PRIu64, bytes);
    return expect_word(s, 2, "==") && compare_bytes(s, 3, data + at, bytes - at);
}

/* ---- network ---- */

static bool do_cable(struct script *s, const char *verb)
{
    unsigned none = s->words;
    struct device *d = device_word(s, &none);
    if (d)
        bench_cable(d, !strcmp(word(s, 0), "up"));
    return d != NULL;
}

static bool do_frame(struct script *s, const char *verb)
{
    unsigned none = s->words;
    struct device *d = device_word(s, &none);
    uint64_t bytes = number(s, 0);
    if (!d || bytes > NET_FRAME_MOST)
        return fail(s, "no such frame");
    g_autofree uint8_t *frame = g_malloc0(bytes + 1);
    for (unsigned i = 0; i < bytes; i++)
        frame[i] = i + 1 < s->words ? number(s, i + 1) : bench_pattern(i);
    return bench_deliver(d, frame, bytes) || fail(s, "the cable does not take it");
}

static bool do_sent_frame(struct script *s, const char *verb)
{
    unsigned none = s->words;
    struct device *d = device_word(s, &none);
    g_autoptr(GBytes) sent = d ? bench_frame_sent(d, NULL) : NULL;
    if (*verb == 'n')
        return !sent || fail(s, "there is a frame of %zu bytes", g_bytes_get_size(sent));
    if (!sent)
        return fail(s, "no frame was sent");
    return expect_value(s, 0, "the frame's size", g_bytes_get_size(sent)) && expect_word(s, 1, "==") &&
           compare_bytes(s, 2, g_bytes_get_data(sent, NULL), g_bytes_get_size(sent));
}

/* ---- interrupt controllers ---- */

static bool do_pin(struct script *s, const char *verb)
{
    unsigned i = 0;
    struct device *d = device_word(s, &i);
    const struct irqchip_ops *chip = d ? d->ops->irqchip : NULL;
    if (!chip || !chip->input)
        return fail(s, "no pins there");
    chip->input(d, number(s, i), !strcmp(word(s, i + 1), "up"));
    return true;
}

static bool do_ack(struct script *s, const char *verb)
{
    unsigned i = 0;
    struct device *d = device_word(s, &i);
    const struct irqchip_ops *chip = d ? d->ops->irqchip : NULL;
    if (!chip || !chip->ack)
        return fail(s, "it has no INTA");
    return expect_word(s, i, "==") && expect_value(s, i + 1, "vector", chip->ack(d));
}

static bool do_eoi(struct script *s, const char *verb)
{
    unsigned i = 0;
    struct device *d = device_word(s, &i);
    const struct irqchip_ops *chip = d ? d->ops->irqchip : NULL;
    if (!chip || !chip->eoi)
        return fail(s, "it takes no EOI");
    chip->eoi(d, number(s, i));
    return true;
}

static bool lapic_message(struct script *s, struct device *d, const struct lapic_ops *l)
{
    struct apic_message m = {
        .mode = number(s, 1), .vector = number(s, 2), .destination = number(s, 3), .level_assert = true};
    for (unsigned i = 4; i < s->words; i++) {
        m.logical |= !strcmp(s->word[i], "logical");
        m.level_triggered |= !strcmp(s->word[i], "level");
        m.level_assert &= strcmp(s->word[i], "deassert") != 0;
    }
    l->message(d, &m);
    return true;
}

static bool lapic_check(struct script *s, struct device *d, const struct lapic_ops *l, const char *what, unsigned cpu)
{
    uint64_t is = 0;
    unsigned i = 2;
    if (!strcmp(what, "read"))
        is = l->read(d, cpu, number(s, i++));
    else if (!strcmp(what, "ack"))
        is = l->ack(d, cpu);
    else if (!strcmp(what, "base"))
        is = l->base(d, cpu);
    else if (strcmp(what, "msr"))
        return fail(s, "what is 'lapic %s'?", what);
    else if (!l->msr(d, cpu, number(s, i++), &is, false))
        return fail(s, "RDMSR is refused");
    /* "ack CPU == -1": nothing to deliver */
    if (!strcmp(what, "ack") && !strcmp(word(s, i + 1), "-1"))
        return is == UINT64_MAX || fail(s, "vector is 0x%" PRIx64 ", expected none", is);
    if (i < s->words && !strcmp(s->word[i], "&")) {
        is &= number(s, i + 1);
        i += 2;
    }
    return expect_word(s, i, "==") && expect_value(s, i + 1, what, is);
}

static bool do_ferr(struct script *s, const char *verb)
{
    struct device *d = bench_device(s->bench, "fpu-error");
    if (!d)
        return fail(s, "there is no fpu-error on the bench");
    return expect_word(s, 2, "==") &&
           expect_value(s, 3, "IGNNE#", d->ops->platform->fpu_error(d, number(s, 0), number(s, 1)));
}

static bool do_lapic(struct script *s, const char *verb)
{
    struct device *d = bench_device(s->bench, "lapic");
    const struct lapic_ops *l = d ? d->ops->lapic : NULL;
    const char *what = word(s, 0);
    if (!l)
        return fail(s, "no device 'lapic' on the bench");
    if (!strcmp(what, "message"))
        return lapic_message(s, d, l);
    unsigned cpu = number(s, 1);
    if (cpu >= BENCH_CPUS)
        return fail(s, "the bench has %u CPUs", BENCH_CPUS);
    uint64_t value = !strcmp(what, "set-msr") ? number(s, 3) : 0;
    if (!strcmp(what, "write"))
        l->write(d, cpu, number(s, 2), number(s, 3));
    else if (!strcmp(what, "lint"))
        l->lint(d, cpu, number(s, 2), number(s, 3));
    else if (!strcmp(what, "init"))
        l->init_cpu(d, cpu);
    else if (!strcmp(what, "set-msr"))
        return l->msr(d, cpu, number(s, 2), &value, true) || fail(s, "WRMSR is refused");
    else
        return lapic_check(s, d, l, what, cpu);
    return true;
}

/* ---- lines ---- */

static const struct verb {
    const char *name;
    bool (*fn)(struct script *s, const char *verb);
} verbs[] = {
    {"config", do_config},
    {"device", do_device},
    {"out8", do_out},
    {"out16", do_out},
    {"out32", do_out},
    {"in8", do_in},
    {"in16", do_in},
    {"in32", do_in},
    {"st8", do_out},
    {"st16", do_out},
    {"st32", do_out},
    {"st64", do_out},
    {"ld8", do_ld},
    {"ld16", do_ld},
    {"ld32", do_ld},
    {"ld64", do_ld},
    {"cfgw8", do_cfgw},
    {"cfgw16", do_cfgw},
    {"cfgw32", do_cfgw},
    {"cfgr8", do_cfgr},
    {"cfgr16", do_cfgr},
    {"cfgr32", do_cfgr},
    {"mem", do_mem},
    {"mem-pattern", do_mem_pattern},
    {"words", do_words},
    {"port-drain", do_port_in},
    {"port-pattern", do_port_in},
    {"port-fill", do_port_fill},
    {"step", do_step},
    {"wait", do_wait},
    {"irq", do_irq},
    {"edges", do_irq},
    {"event", do_event},
    {"no-events", do_event},
    {"drop-events", do_event},
    {"save-load", do_save_load},
    {"reset", do_reset},
    {"key", do_key},
    {"pointer", do_pointer},
    {"leds", do_leds},
    {"send", do_send},
    {"sent", do_sent},
    {"insert", do_insert},
    {"eject", do_insert},
    {"disk-error", do_disk_error},
    {"disk-locked", do_disk_locked},
    {"disk", do_disk},
    {"cable", do_cable},
    {"frame", do_frame},
    {"sent-frame", do_sent_frame},
    {"no-frames", do_sent_frame},
    {"pin", do_pin},
    {"ack", do_ack},
    {"eoi", do_eoi},
    {"lapic", do_lapic},
    {"ferr", do_ferr},
};

/* Words by spaces; "..." is one word, escapes kept for g_strcompress. */
static char **split(const char *line)
{
    GPtrArray *words = g_ptr_array_new();
    for (const char *c = line; *c;) {
        if (isspace((unsigned char)*c)) {
            c++;
            continue;
        }
        if (*c == '#')
            break;
        bool quoted = *c == '"';
        const char *from = quoted ? ++c : c;
        while (*c && (quoted ? *c != '"' : !isspace((unsigned char)*c)))
            c += *c == '\\' && c[1] ? 2 : 1;
        g_ptr_array_add(words, g_strndup(from, c - from));
        c += quoted && *c == '"';
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

static bool run_line(struct script *s, const char *line)
{
    g_auto(GStrv) words = split(line);
    if (!words[0])
        return true;
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (!strcmp(verbs[i].name, words[0])) {
            s->word = words + 1;
            s->words = g_strv_length(s->word);
            return verbs[i].fn(s, words[0]) && !s->problem;
        }
    return fail(s, "no command '%s'", words[0]);
}

char *script_run(const char *path)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    if (!g_file_get_contents(path, &text, NULL, &error))
        return g_strdup(error->message);
    struct script s = {.bench = bench_new(), .path = path};
    g_auto(GStrv) lines = g_strsplit(text, "\n", 0);
    for (s.line = 1; lines[s.line - 1] && run_line(&s, lines[s.line - 1]); s.line++)
        ;
    bench_free(s.bench);
    return s.problem;
}
