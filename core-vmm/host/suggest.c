// SPDX-License-Identifier: GPL-2.0-or-later
/* The nearest word by edit distance: insertions, deletions, substitutions and swaps of neighbours cost 1 each
 * ("optimal string alignment"). */
#include "core-vmm/host/suggest.h"
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define LONGEST 63

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    return MIN(MIN(a, b), c);
}

static unsigned distance(const char *a, size_t m, const char *b, size_t n)
{
    unsigned d[LONGEST + 1][LONGEST + 1];
    for (size_t i = 0; i <= m; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= n; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= m; i++)
        for (size_t j = 1; j <= n; j++) {
            bool same = g_ascii_tolower(a[i - 1]) == g_ascii_tolower(b[j - 1]);
            d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + !same);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[m][n];
}

const char *suggest(const char *word, const char *const *candidates)
{
    size_t n = strlen(word);
    const char *best = NULL;
    unsigned best_distance = (n + 2) / 3 + 1; /* a third of the letters may be wrong */
    if (n > LONGEST)
        return NULL;
    for (; *candidates; candidates++) {
        size_t length = strlen(*candidates);
        if (length > LONGEST || length > n + best_distance || n > length + best_distance)
            continue;
        unsigned d = distance(word, n, *candidates, length);
        if (d < best_distance && d < MAX(n, length)) {
            best = *candidates;
            best_distance = d;
        }
    }
    return best;
}
