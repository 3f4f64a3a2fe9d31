// SPDX-License-Identifier: GPL-2.0-or-later
/* look.c - a medium and its file systems; see look.h. */
#include "core-vmm/look/look.h"

enum { TEXT_MOST = 256 << 10 };

bool look_open(struct look *l)
{
    l->iso = iso9660_open(&l->source);
    l->udf = udf_open(&l->source);
    return l->iso || l->udf;
}

void look_close(struct look *l)
{
    tree_close(l->iso);
    tree_close(l->udf);
}

/* Where there are both, UDF has more. */
bool look_find(struct look *l, const char *path, struct node *out)
{
    return (l->udf && tree_find(l->udf, path, out)) || (l->iso && tree_find(l->iso, path, out));
}

bool look_has(struct look *l, const char *path)
{
    struct node n;
    if (!look_find(l, path, &n))
        return false;
    node_clear(&n);
    return true;
}

char *look_text(struct look *l, const char *path)
{
    struct node n;
    size_t bytes;
    if (!look_find(l, path, &n))
        return NULL;
    g_autofree uint8_t *raw = node_load(&l->source, &n, TEXT_MOST, &bytes);
    node_clear(&n);
    return raw ? g_utf8_make_valid((char *)raw, -1) : NULL;
}
