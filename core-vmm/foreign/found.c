// SPDX-License-Identifier: GPL-2.0-or-later
/* found.c - what readers share: collecting, names of systems, addresses. */
#include "core-vmm/foreign/found.h"
#include "core-vmm/host/config_schema.h"
#include <string.h>

static void clear_drive(void *drive)
{
    struct found_drive *d = drive;
    g_free(d->file);
    g_free(d->format);
    g_free(d->what);
    g_free(d->section);
}

static void clear_card(void *card)
{
    struct found_card *c = card;
    g_free(c->model);
    g_free(c->mac);
    g_free(c->network);
    g_free(c->interface);
    g_free(c->forward);
}

void found_init(struct found *f)
{
    *f = (struct found){.drives = g_array_new(FALSE, TRUE, sizeof(struct found_drive)),
                        .cards = g_array_new(FALSE, TRUE, sizeof(struct found_card)),
                        .settings = g_ptr_array_new_with_free_func(g_free),
                        .left = g_ptr_array_new_with_free_func(g_free)};
    g_array_set_clear_func(f->drives, clear_drive);
    g_array_set_clear_func(f->cards, clear_card);
}

void found_clear(struct found *f)
{
    g_free(f->name);
    g_free(f->uuid);
    g_free(f->system);
    g_array_unref(f->drives);
    g_array_unref(f->cards);
    g_ptr_array_unref(f->settings);
    g_ptr_array_unref(f->left);
    clear_drive(&f->spare_drive);
    clear_card(&f->spare_card);
}

#define LEFT_MAX 500

void found_leave(struct found *f, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    if (f->left->len < LEFT_MAX)
        g_ptr_array_add(f->left, g_strdup_vprintf(format, ap));
    va_end(ap);
}

struct found_drive *found_add_drive(struct found *f, enum found_bus bus, int place)
{
    struct found_drive d = {.bus = bus, .place = place};
    if (f->drives->len < FOUND_DRIVES_MAX) {
        g_array_append_val(f->drives, d);
        return &g_array_index(f->drives, struct found_drive, f->drives->len - 1);
    }
    found_leave(f, "a drive more than %d", FOUND_DRIVES_MAX);
    clear_drive(&f->spare_drive);
    f->spare_drive = d;
    return &f->spare_drive;
}

struct found_card *found_add_card(struct found *f)
{
    if (f->cards->len < FOUND_DRIVES_MAX) {
        g_array_set_size(f->cards, f->cards->len + 1);
        return &g_array_index(f->cards, struct found_card, f->cards->len - 1);
    }
    found_leave(f, "a network card more than %d", FOUND_DRIVES_MAX);
    clear_card(&f->spare_card);
    f->spare_card = (struct found_card){0};
    return &f->spare_card;
}

/* "HOST:" of "HOST:PORT". */
static char *address_part(const char *address)
{
    return address && *address ? g_strconcat(address, ":", NULL) : g_strdup("");
}

void found_forward(struct found_card *c, bool udp, const char *host, unsigned from, const char *guest, unsigned to)
{
    if (!from || !to)
        return;
    g_autofree char *before = c->forward, *at = address_part(host), *in = address_part(guest);
    c->forward = g_strdup_printf("%s%s%s %s%u %s%u", before ? before : "", before ? "; " : "", udp ? "udp" : "tcp", at,
                                 from, in, to);
}

bool found_travels(const char *section, const char *key, const char *value)
{
    static const char *const set_anew[] = {"file", "format", "offset", "size", NULL};
    const struct schema_section *s = schema_find_section(section);
    const struct schema_key *k = s ? schema_find(section, key, NULL) : NULL;
    return k && !schema_is_path(k, value) && (k->type != SCHEMA_CHAR || !strcmp(value, "none")) &&
           !(s->drive && g_strv_contains(set_anew, key));
}

/* ---- names of systems ---- */

/* The first that fits; Windows' own names are looked for before the word that all have. */
const char *found_os(const char *system)
{
    static const struct {
        const char *word, *os;
    } words[] = {
        {"darwin", NULL},
        {"macos", NULL},
        {"freedos", "dos"},
        {"msdos", "dos"},
        {"win31", "windows-old"},
        {"win95", "windows-old"},
        {"win98", "windows-old"},
        {"winme", "windows-old"},
        {"winnt", "windows-old"},
        {"win2000", "windows-old"},
        {"win2k3", "windows-old"},
        {"winnet", "windows-old"},
        {"winxp", "windows-old"},
        {"winvista", "windows-old"},
        {"windows95", "windows-old"},
        {"windows98", "windows-old"},
        {"windowsnt", "windows-old"},
        {"windows2000", "windows-old"},
        {"windowsxp", "windows-old"},
        {"windowsme", "windows-old"},
        {"longhorn", "windows"},
        {"windowsvista", "windows-old"},
        {"windows2003", "windows-old"},
        {"win", "windows"},
        {"linux", "linux"},
        {"debian", "linux"},
        {"ubuntu", "linux"},
        {"fedora", "linux"},
        {"redhat", "linux"},
        {"rhel", "linux"},
        {"centos", "linux"},
        {"suse", "linux"},
        {"sles", "linux"},
        {"arch", "linux"},
        {"gentoo", "linux"},
        {"oracle", "linux"},
        {"photon", "linux"},
        {"mandriva", "linux"},
        {"alma", "linux"},
        {"rocky", "linux"},
        {"alpine", "linux"},
        {"kali", "linux"},
        {"mint", "linux"},
        {"bsd", "bsd"},
        {"dos", "dos"},
    };
    g_autofree char *plain = system ? g_ascii_strdown(system, -1) : NULL;
    char *to = plain;
    for (const char *p = plain; p && *p; p++) /* "Microsoft Windows 2000", "Windows2000", "win-2000" alike */
        if (g_ascii_isalnum(*p))
            *to++ = *p;
    if (to)
        *to = '\0';
    for (unsigned i = 0; plain && i < G_N_ELEMENTS(words); i++)
        if (strstr(plain, words[i].word))
            return words[i].os;
    return NULL;
}

/* ---- numbers ---- */

/* Hexadecimal digits, with what may stand between them left out.  False: others, or another count. */
static bool digits_of(const char *text, char *digits, unsigned count)
{
    unsigned n = 0;
    for (; text && *text; text++)
        if (g_ascii_isxdigit(*text) && n < count)
            digits[n++] = g_ascii_tolower(*text);
        else if (!strchr("-:. {}", *text))
            return false;
    digits[n] = '\0';
    return n == count;
}

char *found_uuid(const char *text)
{
    char d[33];
    if (!digits_of(text, d, 32) || strspn(d, "0") == 32)
        return NULL;
    return g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", d, d + 8, d + 12, d + 16, d + 20);
}

char *found_mac(const char *text)
{
    char d[13];
    if (!digits_of(text, d, 12) || strspn(d, "0") == 12 || g_ascii_xdigit_value(d[1]) & 1)
        return NULL;
    return g_strdup_printf("%.2s:%.2s:%.2s:%.2s:%.2s:%.2s", d, d + 2, d + 4, d + 6, d + 8, d + 10);
}
