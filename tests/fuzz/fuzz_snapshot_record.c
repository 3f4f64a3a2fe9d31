// SPDX-License-Identifier: GPL-2.0-or-later
/* The record of a machine's snapshots with anything in it: refused in one sentence, or taken; what was taken prints as what it is,
 * and looking around in it ends. */
#include "core-vmm/host/snapshot_inside.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_around(const struct snapshot_record *r)
{
    for (guint i = 0; i < r->snapshots->len; i++)
        g_ptr_array_unref(snapshot_chain(r, r->snapshots->pdata[i]));
    for (guint i = 0; i < r->images->len; i++) {
        const struct snapshot_image *image = r->images->pdata[i];
        g_ptr_array_unref(record_children(r, image->file));
        for (guint k = 0; k < r->images->len; k++)
            snapshot_in_chain_of(r, image, ((struct snapshot_image *)r->images->pdata[k])->file);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    struct snapshot_record *r = record_parse((const char *)data, size, "record.json", &error);
    if (!r != (error != NULL) || (error && strchr(error->message, '\n')))
        g_error("%s", error ? error->message : "refused without a reason");
    if (!r)
        return 0;
    look_around(r);
    g_autofree char *text = record_print(r);
    struct snapshot_record *again = record_parse(text, strlen(text), "record.json", &error);
    if (!again)
        g_error("what was printed is refused: %s: %s", error->message, text);
    g_autofree char *same = record_print(again);
    if (strcmp(text, same))
        g_error("%s\nbecame\n%s", text, same);
    record_free(again);
    record_free(r);
    return 0;
}
