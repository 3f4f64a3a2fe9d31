// SPDX-License-Identifier: GPL-2.0-or-later
/* hotplug.c - PCI functions that come and go while the machine runs.
 *
 * All vCPUs stand meanwhile, and this is the loop thread, which runs all else that calls devices (timers, completions of
 * requests): nobody is inside the device, nor on the way to it.  The guest finds the function, or finds that it has gone (all
 * ones), when it looks; nothing tells it to (no ACPI hot-plug registers yet): Linux looks when one writes 1 to
 * /sys/bus/pci/rescan.  A transfer under way when the function goes is finished or dropped by the chip's fini(). */
#include "core-vmm/machine/core.h"
#include <string.h>

static void hold(struct machine *m)
{
    vcpus_ask_hold(m);
    vcpus_wait_held(m);
}

static bool refuse(GError **error, const char *section, const char *why)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "[%s]: %s", section, why);
    return false;
}

bool machine_plug(struct machine *m, const char *section, GError **error)
{
    if (m->state == MACHINE_STOPPED)
        return refuse(error, section, "the machine has stopped: nothing can be plugged in");
    if (machine_device(m, section))
        return refuse(error, section, "it is plugged in already");
    if (m->devices == MAX_DEVICES)
        return refuse(error, section, "the machine has as many devices as it can have");
    hold(m);
    struct device *d = board_pc_optional(m, section, error);
    bool good = d && device_init(d, error);
    if (good) {
        machine_add(m, d);
        device_reset(d);
    } else if (d) {
        device_free(d);
    }
    vcpus_release(m);
    return good;
}

/* Nobody finds it any more, and its lines are down. */
static void disconnect(struct device *d)
{
    dev_lock(d);
    for (unsigned i = 0; i < DEV_TIMERS; i++)
        dev_timer(d, i, DEV_NEVER, NULL);
    for (unsigned line = 0; line < 32; line++)
        dev_irq(d, line, false);
    for (unsigned i = 0; i < DEV_REGIONS; i++)
        if (d->ops->regions[i].bus != BUS_NONE)
            device_place_region(d, i, d->core->region[i].base, false);
    dev_unlock(d);
}

bool machine_unplug(struct machine *m, const char *section, GError **error)
{
    struct device *d = machine_device(m, section);
    if (!d)
        return refuse(error, section, "it is not plugged in");
    if (!d->core->wiring.pluggable)
        return refuse(error, section, "it is soldered to the board");
    hold(m);
    disconnect(d);
    machine_remove(m, d);
    device_free(d);
    vcpus_release(m);
    return true;
}
