// SPDX-License-Identifier: GPL-2.0-or-later
/* device_state.c - see device_state.h. */
#include "core-vmm/machine/device_state.h"
#include <gio/gio.h>
#include <string.h>

static bool nonsense(struct device *d, const char *what, GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "The saved state of %s (%s) makes no sense: %s", d->name,
                d->ops->name, what);
    return false;
}

static void sync_outside(struct device_outside *o, struct stream *s)
{
    stream_bool(s, &o->pci);
    if (o->pci) {
        stream_raw(s, o->config, sizeof o->config);
        stream_raw(s, o->writable, sizeof o->writable);
    }
    for (unsigned i = 0; i < DEV_REGIONS; i++) {
        stream_u64(s, &o->region[i].base);
        stream_bool(s, &o->region[i].on);
    }
    stream_u32(s, &o->lines);
}

bool device_core_sync(struct device *d, struct stream *s, GError **error)
{
    struct device_outside o;
    memset(&o, 0, sizeof o);
    if (!s->loading)
        device_outside_get(d, &o);
    sync_outside(&o, s);
    if (!s->loading)
        return true;
    if (!stream_ok(s))
        return nonsense(d, "it is too short, or a flag is neither on nor off", error);
    if (o.pci != (d->ops->pci != NULL))
        return nonsense(d, "it is a PCI function in one of the two only", error);
    return device_outside_put(d, &o) || nonsense(d, "a region is mapped where it cannot be", error);
}

bool device_chip_sync(struct device *d, struct stream *s, uint32_t version, GError **error)
{
    return !d->ops->sync || (d->ops->sync(d, s, version) && stream_ok(s)) ||
           nonsense(d, s->loading ? "the chip refuses it" : "the chip cannot be saved", error);
}
