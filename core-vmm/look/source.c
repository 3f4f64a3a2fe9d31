// SPDX-License-Identifier: GPL-2.0-or-later
/* source.c - see source.h: reading, and paths. */
#include "core-vmm/look/source.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool from_file(const struct source *s, uint64_t at, void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(s->fd, (uint8_t *)to + done, n - done, at + done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += got;
    }
    return true;
}

bool source_of_file(struct source *s, int fd)
{
    off_t end = lseek(fd, 0, SEEK_END);
    *s = (struct source){.read = from_file, .fd = fd, .bytes = MAX(end, 0)};
    return end >= 0;
}

static bool from_memory(const struct source *s, uint64_t at, void *to, size_t n)
{
    memcpy(to, (const uint8_t *)s->data + at, n);
    return true;
}

void source_of_memory(struct source *s, const void *data, size_t bytes)
{
    *s = (struct source){.read = from_memory, .data = data, .fd = -1, .bytes = bytes};
}

bool source_read(const struct source *s, uint64_t at, void *to, size_t n)
{
    return at <= s->bytes && n <= s->bytes - at && (!n || s->read(s, at, to, n));
}

void node_clear(struct node *n)
{
    if (n->extents)
        g_array_unref(n->extents);
    *n = (struct node){0};
}

bool node_read(const struct source *s, const struct node *n, uint64_t at, void *to, size_t bytes)
{
    if (at > n->bytes || bytes > n->bytes - at)
        return false;
    uint8_t *out = to;
    for (guint i = 0; i < n->extents->len && bytes; i++) {
        const struct stretch *e = &g_array_index(n->extents, struct stretch, i);
        if (at >= e->bytes) {
            at -= e->bytes;
            continue;
        }
        size_t some = MIN(bytes, e->bytes - at);
        if (e->hole)
            memset(out, 0, some);
        else if (e->at > UINT64_MAX - at || !source_read(s, e->at + at, out, some))
            return false;
        out += some;
        bytes -= some;
        at = 0;
    }
    return !bytes;
}

uint8_t *node_load(const struct source *s, const struct node *n, size_t most, size_t *bytes)
{
    if (n->folder || n->bytes > most)
        return NULL;
    uint8_t *all = g_malloc0(n->bytes + 1);
    *bytes = n->bytes;
    if (node_read(s, n, 0, all, n->bytes))
        return all;
    g_free(all);
    return NULL;
}

static size_t bare_length(const char *name)
{
    size_t n = strcspn(name, ";");
    return n > 1 && name[n - 1] == '.' ? n - 1 : n;
}

bool tree_same_name(const char *a, const char *b)
{
    size_t n = bare_length(a);
    return n == bare_length(b) && !g_ascii_strncasecmp(a, b, n);
}

static struct node copy_of(const struct node *n)
{
    struct node c = *n;
    g_array_ref(c.extents);
    return c;
}

bool tree_find(struct tree *t, const char *path, struct node *out)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    struct node at = copy_of(&t->root);
    for (char **name = names; *name; name++) {
        struct node next = {0};
        if (!**name)
            continue;
        bool found = at.folder && t->ops->find(t, &at, *name, &next);
        node_clear(&at);
        if (!found)
            return false;
        at = next;
    }
    *out = at;
    return true;
}

void tree_close(struct tree *t)
{
    if (!t)
        return;
    node_clear(&t->root);
    g_free(t->volume);
    t->ops->free(t);
}
