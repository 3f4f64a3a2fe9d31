// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_layers.c - which images a drive's disk consists of: see disk_layers.h. */
#include "core-vmm/base/disk_layers.h"
#include <sys/stat.h>

static void layer_clear(void *layer)
{
    struct disk_layer *l = layer;
    g_free(l->path);
    g_free(l->format);
}

struct disk_layers disk_layers_new(bool writable)
{
    struct disk_layers l = {g_array_new(FALSE, TRUE, sizeof(struct disk_layer)), writable};
    g_array_set_clear_func(l.list, layer_clear);
    return l;
}

void disk_layers_add(struct disk_layers *l, const char *path, const char *format, uint64_t bytes)
{
    struct disk_layer one = {.path = g_strdup(path), .format = g_strdup(format), .bytes = bytes};
    struct stat st;
    if (!stat(path, &st) && S_ISREG(st.st_mode)) {
        one.file_bytes = st.st_size;
        one.changed_ns = st.st_mtim.tv_sec * UINT64_C(1000000000) + st.st_mtim.tv_nsec;
    }
    g_array_append_val(l->list, one);
}

void disk_layers_clear(struct disk_layers *l)
{
    g_clear_pointer(&l->list, g_array_unref);
}

void disk_layers_sync(struct disk_layers *l, struct stream *s)
{
    uint32_t n = l->list->len;
    stream_bool(s, &l->writable);
    stream_check_u32(s, &n, DISK_LAYERS_MAX);
    g_array_set_size(l->list, n);
    for (unsigned i = 0; i < n && stream_ok(s); i++) {
        struct disk_layer *one = &g_array_index(l->list, struct disk_layer, i);
        stream_text(s, &one->path);
        stream_text(s, &one->format);
        stream_u64(s, &one->bytes);
        stream_u64(s, &one->file_bytes);
        stream_u64(s, &one->changed_ns);
    }
}
