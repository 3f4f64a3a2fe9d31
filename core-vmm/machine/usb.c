// SPDX-License-Identifier: GPL-2.0-or-later
/* usb.c - what is plugged into the machine's USB controller, if it has one.  Loop thread. */
#include "core-vmm/api/usb.h"
#include "core-vmm/machine/core.h"

bool machine_usb_look(struct machine *m, unsigned n, struct usb_look *out)
{
    for (unsigned i = 0; i < m->devices; i++) {
        struct device *d = m->device[i];
        if (!d->ops->usb)
            continue;
        dev_lock(d);
        bool there = d->ops->usb->look(d, n, out);
        dev_unlock(d);
        return there;
    }
    return false;
}
