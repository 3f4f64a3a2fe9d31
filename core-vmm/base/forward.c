// SPDX-License-Identifier: GPL-2.0-or-later
/* forward.c - see forward.h. */
#include "core-vmm/base/forward.h"
#include <arpa/inet.h>
#include <gio/gio.h>
#include <string.h>

static bool parse_port(const char *text, uint16_t *port)
{
    guint64 n = 0;
    bool good = g_ascii_string_to_unsigned(text, 10, 1, 65535, &n, NULL);
    *port = (uint16_t)n;
    return good;
}

static bool parse_address(const char *text, struct in6_addr *out, bool *v6)
{
    *out = (struct in6_addr){0};
    *v6 = inet_pton(AF_INET6, text, out) == 1;
    return *v6 || inet_pton(AF_INET, text, &out->s6_addr[12]) == 1;
}

/* "22", "127.0.0.1:22", "[::1]:22".  *said: there is an address. */
static bool parse_place(const char *text, struct in6_addr *address, bool *v6, bool *said, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    *said = colon != NULL;
    if (!colon)
        return parse_port(text, port);
    bool bracket = *text == '[' && colon > text && colon[-1] == ']';
    g_autofree char *name = bracket ? g_strndup(text + 1, colon - text - 2) : g_strndup(text, colon - text);
    return parse_address(name, address, v6) && *v6 == bracket && parse_port(colon + 1, port);
}

static char **words_of(const char *text)
{
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    g_auto(GStrv) parts = g_strsplit_set(text, " \t", -1);
    for (char **p = parts; *p; p++)
        if (**p)
            g_strv_builder_add(b, *p);
    return g_strv_builder_end(b);
}

bool forward_parse(const char *text, struct forward *f, GError **error)
{
    g_auto(GStrv) words = words_of(text);
    bool host_said = false, guest_said = false, guest_v6 = false;
    *f = (struct forward){.host.s6_addr = {[12] = 127, [15] = 1}};
    bool good = g_strv_length(words) == 3 && (!strcmp(words[0], "tcp") || !strcmp(words[0], "udp")) &&
                parse_place(words[1], &f->host, &f->v6, &host_said, &f->host_port) &&
                parse_place(words[2], &f->guest, &guest_v6, &guest_said, &f->guest_port);
    f->udp = good && *words[0] == 'u';
    if (good && (guest_said ? guest_v6 == f->v6 : !f->v6))
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                good ? "\"%s\": a port of an IPv6 address leads to an IPv6 address of the guest, which has to be said"
                     : "\"%s\" is no port forward; write PROTOCOL [ADDRESS:]PORT [ADDRESS:]GUEST-PORT, like "
                       "\"tcp 127.0.0.1:2222 22\"",
                text);
    return false;
}

static char *format_place(const struct in6_addr *a, bool v6, uint16_t port)
{
    char text[INET6_ADDRSTRLEN];
    inet_ntop(v6 ? AF_INET6 : AF_INET, &a->s6_addr[v6 ? 0 : 12], text, sizeof text);
    return g_strdup_printf(v6 ? "[%s]:%u" : "%s:%u", text, port);
}

char *forward_format(const struct forward *f)
{
    g_autofree char *host = format_place(&f->host, f->v6, f->host_port);
    g_autofree char *guest = IN6_IS_ADDR_UNSPECIFIED(&f->guest) ? g_strdup_printf("%u", f->guest_port)
                                                                : format_place(&f->guest, f->v6, f->guest_port);
    return g_strdup_printf("%s %s %s", f->udp ? "udp" : "tcp", host, guest);
}

bool forward_same_host(const struct forward *a, const struct forward *b)
{
    return a->udp == b->udp && a->v6 == b->v6 && a->host_port == b->host_port &&
           (IN6_ARE_ADDR_EQUAL(&a->host, &b->host) || IN6_IS_ADDR_UNSPECIFIED(&a->host) ||
            IN6_IS_ADDR_UNSPECIFIED(&b->host));
}

static bool is_free(const GArray *list, const struct forward *f, const char *text, GError **error)
{
    for (unsigned i = 0; i < list->len; i++)
        if (forward_same_host(&g_array_index(list, struct forward, i), f)) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, "\"%s\": port %u leads elsewhere already", text,
                        f->host_port);
            return false;
        }
    return true;
}

GArray *forward_parse_list(const char *text, GError **error)
{
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct forward));
    g_auto(GStrv) items = g_strsplit(text, ";", -1);
    for (char **i = items; *i; i++) {
        struct forward f;
        if (!*g_strstrip(*i))
            continue;
        if (!forward_parse(*i, &f, error) || !is_free(list, &f, *i, error))
            return NULL;
        g_array_append_val(list, f);
    }
    return g_steal_pointer(&list);
}
