// SPDX-License-Identifier: GPL-2.0-or-later
/* policy.c - see policy.h.  Without GLib, like all of terrarium-netadm: it runs with a privilege that its user has not. */
#include "network-modes/admin/policy.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MOST = 64, LINE_MOST = 1024 };
#define USUAL_RANGE "192.168.56.0/21"

struct line {
    char text[LINE_MOST];
    char *word[WORDS_MOST];
    size_t words;
};

/* The next line's words, without a comment; *at goes on.  False: it is too long, or has too many. */
static bool split(const char **at, struct line *l)
{
    size_t n = strcspn(*at, "\n");
    const char *from = *at;
    char *save = NULL;
    *at += n + ((*at)[n] == '\n');
    l->words = 0;
    if (n >= LINE_MOST)
        return false;
    memcpy(l->text, from, n);
    l->text[n] = 0;
    l->text[strcspn(l->text, "#")] = 0;
    for (char *w = strtok_r(l->text, " \t\r", &save); w; w = strtok_r(NULL, " \t\r", &save)) {
        if (l->words == WORDS_MOST)
            return false;
        l->word[l->words++] = w;
    }
    return true;
}

static bool is_grant(const struct line *l)
{
    return l->words >= 3 &&
           (!strcmp(l->word[0], "bridge") || !strcmp(l->word[0], "interface") || !strcmp(l->word[0], "hostonly"));
}

static bool is_range(const struct line *l)
{
    uint32_t address;
    unsigned bits;
    return l->words == 2 && !strcmp(l->word[0], "range") && network_parse(l->word[1], &address, &bits);
}

static bool fits(const char *who, const struct policy_user *u)
{
    if (!strcmp(who, "*"))
        return true;
    if (who[0] == '@')
        return u->in_group(u, who + 1);
    return u->name && !strcmp(who, u->name);
}

static bool grants(const struct line *l, const char *what, const char *which, const struct policy_user *u)
{
    bool found = !strcmp(l->word[0], what) && (!strcmp(l->word[1], "*") || !strcmp(l->word[1], which));
    for (size_t i = 2; found && i < l->words; i++)
        if (fits(l->word[i], u))
            return true;
    return false;
}

enum policy_answer policy_may(const char *text, const char *what, const char *which, const struct policy_user *u,
                              unsigned *line)
{
    enum policy_answer answer = POLICY_DENIED;
    struct line l;
    for (*line = 1; *text; ++*line) {
        if (!split(&text, &l) || (l.words && !is_grant(&l) && !is_range(&l)))
            return POLICY_BROKEN;
        if (l.words && is_grant(&l) && grants(&l, what, which, u))
            answer = POLICY_ALLOWED;
    }
    return answer;
}

bool network_parse(const char *text, uint32_t *address, unsigned *bits)
{
    char number[16], *end;
    const char *slash = strchr(text, '/');
    struct in_addr a;
    if (!slash || (size_t)(slash - text) >= sizeof number || slash[1] < '0' || slash[1] > '9' || strlen(slash) > 3)
        return false;
    memcpy(number, text, (size_t)(slash - text));
    number[slash - text] = 0;
    *bits = (unsigned)strtoul(slash + 1, &end, 10);
    if (*end || *bits > 32 || inet_pton(AF_INET, number, &a) != 1)
        return false;
    *address = ntohl(a.s_addr);
    return true;
}

static bool lies_in(uint32_t network, unsigned bits, const char *range)
{
    uint32_t outer;
    unsigned outer_bits;
    if (!network_parse(range, &outer, &outer_bits) || bits < outer_bits)
        return false;
    uint32_t mask = outer_bits ? UINT32_MAX << (32 - outer_bits) : 0;
    return (network & mask) == (outer & mask);
}

bool policy_range(const char *text, uint32_t network, unsigned bits)
{
    struct line l;
    bool good = lies_in(network, bits, USUAL_RANGE);
    while (*text && !good)
        good = split(&text, &l) && is_range(&l) && lies_in(network, bits, l.word[1]);
    return good;
}
