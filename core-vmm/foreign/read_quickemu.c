// SPDX-License-Identifier: GPL-2.0-or-later
/* read_quickemu.c - quickemu's .conf, which is a script of assignments.  Nothing of it is run: what would have to be (a $, a
 * backquote) is left out and told. */
#include "core-vmm/foreign/readers.h"
#include "core-vmm/foreign/xml.h"
#include "disk-formats/image/error.h"
#include <string.h>

struct conf {
    GHashTable *keys;
    struct found *f;
};

static bool is_name(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!g_ascii_isalnum(text[i]) && text[i] != '_')
            return false;
    return n && !g_ascii_isdigit(*text);
}

/* One word as a shell has it, of at most a line; behind it in *end.  False: it would have to be run. */
static bool read_word(const char *p, GString *word, const char **end)
{
    char quote = '\0';
    bool plain = true;
    for (; *p && *p != '\n' && (quote || !strchr(" \t;)#", *p)); p++) {
        if (*p == quote || (!quote && (*p == '"' || *p == '\''))) {
            quote = quote ? '\0' : *p;
            continue;
        }
        if (*p == '\\' && quote != '\'' && p[1] && p[1] != '\n')
            p++;
        else if (quote != '\'' && (*p == '$' || *p == '`'))
            plain = false;
        g_string_append_c(word, *p);
    }
    *end = p;
    return plain && !quote;
}

/* A list in brackets becomes words with line feeds between them. */
static bool read_list(const char *p, GString *words, const char **end)
{
    bool plain = true;
    while (*p && *p != ')') {
        g_autoptr(GString) word = g_string_new(NULL);
        const char *before = p;
        if (strchr(" \t\n;#", *p)) {
            p++;
            continue;
        }
        plain = read_word(p, word, &p) && plain;
        g_string_append_printf(words, "%s%s", words->len ? "\n" : "", word->str);
        if (p == before)
            p++;
    }
    *end = p;
    return plain && *p == ')';
}

static const char *next_line(const char *p)
{
    const char *end = strchr(p, '\n');
    return end ? end + 1 : p + strlen(p);
}

static void read_assignments(struct conf *c, const char *text)
{
    for (const char *p = text; *p; p = next_line(p)) {
        p += strspn(p, " \t\r\n");
        size_t n = strcspn(p, "=\n");
        if (p[n] != '=' || !is_name(p, n))
            continue;
        g_autofree char *name = g_strndup(p, n);
        g_autoptr(GString) value = g_string_new(NULL);
        p += n + 1;
        if (*p == '(' ? read_list(p + 1, value, &p) : read_word(p, value, &p))
            g_hash_table_replace(c->keys, g_steal_pointer(&name), g_utf8_make_valid(g_strstrip(value->str), -1));
        else
            found_leave(c->f, "%s, whose value a shell would have to work out", name);
    }
}

static const char *get(const struct conf *c, const char *key)
{
    const char *value = g_hash_table_lookup(c->keys, key);
    return value && *value ? value : NULL;
}

/* ---- what it means ---- */

static uint64_t size_of(const char *text)
{
    g_autofree char *digits = text ? g_strndup(text, strspn(text, "0123456789")) : NULL;
    uint64_t number = text_number(digits, 0, 1 << 20);
    const char *unit = text ? text + strlen(digits) : "";
    return number << (*unit == 'G' || *unit == 'g' ? 30 : *unit == 'M' || *unit == 'm' ? 20 : *unit == 'K' ? 10 : 0);
}

static void add_image(struct conf *c, const char *key, enum found_bus bus, enum found_media media)
{
    const char *file = get(c, key);
    if (!file)
        return;
    struct found_drive *d = found_add_drive(c->f, bus, -1);
    d->file = g_strdup(file);
    d->media = media;
    d->what = g_strdup(key);
}

/* "2222:22" of the list, and ssh_port. */
static void read_forwards(const struct conf *c, struct found_card *card)
{
    const char *list = get(c, "port_forwards"), *ssh = get(c, "ssh_port");
    g_auto(GStrv) pairs = g_strsplit(list ? list : "", "\n", -1);
    for (char **p = pairs; *p; p++) {
        const char *colon = strchr(*p, ':');
        g_autofree char *host = colon ? g_strndup(*p, colon - *p) : NULL;
        found_forward(card, false, NULL, text_number(host, 0, 65535), NULL,
                      colon ? text_number(colon + 1, 0, 65535) : 0);
    }
    found_forward(card, false, NULL, text_number(ssh, 0, 65535), NULL, 22);
}

static void read_card(struct conf *c)
{
    const char *network = get(c, "network"), *address = get(c, "macaddr");
    if (network && !strcmp(network, "none"))
        return;
    struct found_card *card = found_add_card(c->f);
    card->mac = found_mac(address);
    read_forwards(c, card);
    card->mode = network && !strcmp(network, "restrict") ? "internal" : NULL;
    if (network && strcmp(network, "restrict") && strcmp(network, "user")) {
        card->mode = "bridged";
        card->interface = g_strdup(network);
    }
}

static void read_machine(struct conf *c)
{
    static const char *const unknown[] = {"tpm", "secureboot", "usb_devices", "extra_args", "public_dir"};
    struct found *f = c->f;
    const char *boot = get(c, "boot"), *os = get(c, "guest_os");
    f->program = "quickemu";
    f->system = g_strdup(os ? os : "linux");
    f->memory = size_of(get(c, "ram"));
    f->cpus = text_number(get(c, "cpu_cores"), 1, 4096);
    f->efi = !boot || strcmp(boot, "legacy");
    add_image(c, "disk_img", FOUND_VIRTIO, FOUND_DISK);
    add_image(c, "iso", FOUND_IDE, FOUND_CDROM);
    add_image(c, "fixed_iso", FOUND_IDE, FOUND_CDROM);
    add_image(c, "img", FOUND_ANY_BUS, FOUND_DISK);
    add_image(c, "floppy", FOUND_FLOPPY, FOUND_DISK);
    read_card(c);
    for (unsigned i = 0; i < G_N_ELEMENTS(unknown); i++)
        if (get(c, unknown[i]) && strcmp(get(c, unknown[i]), "off"))
            found_leave(f, "%s=%s", unknown[i], get(c, unknown[i]));
}

bool read_quickemu(const char *text, gsize n, struct found *f, GError **error)
{
    g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *copy = g_strndup(text, n);
    struct conf c = {keys, f};
    read_assignments(&c, copy);
    if (!get(&c, "disk_img") && !get(&c, "iso"))
        return disk_fail(error, DISK_ERROR_CORRUPT, "it sets neither disk_img nor iso, so it is no quickemu machine");
    read_machine(&c);
    return true;
}
