// SPDX-License-Identifier: GPL-2.0-or-later
/* hotplug.c - PCI functions that come and go while the machine runs.
 *
 * All vCPUs stand meanwhile, this is the loop thread, which runs timers, and the workers of the device's drives, which tell it
 * of requests, are made to stop first: nobody is inside the device, nor on the way to it.  A transfer under way when the function goes is finished or
 * dropped by the chip's fini().
 *
 * The guest hears of it by the machine's hot-plug controller (api/hotplug.h): that a function is there, or that the user wants
 * it back.  When it has let go of one it ejects it, which is a wish like a reset; it may do so unasked. */
#include "core-vmm/api/hotplug.h"
#include "core-vmm/machine/core.h"
#include <string.h>

#define BEING_SAVED "the machine is being saved: nothing can be plugged in or out meanwhile; try again"

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

static void tell_guest(struct machine *m, const struct device *d, bool here)
{
    struct device *h = m->hotplug;
    if (!h)
        return;
    dev_lock(h);
    (here ? h->ops->hotplug->plugged : h->ops->hotplug->asked)(h, d->core->wiring.slot);
    dev_unlock(h);
}

static void copy_section(GKeyFile *to, GKeyFile *from, const char *section)
{
    g_auto(GStrv) keys = g_key_file_get_keys(from, section, NULL, NULL);
    g_key_file_remove_group(to, section, NULL);
    for (char **k = keys; k && *k; k++) {
        g_autofree char *value = g_key_file_get_value(from, section, *k, NULL);
        g_key_file_set_value(to, section, *k, value);
    }
}

/* The vCPUs stand. */
static struct device *put_in(struct machine *m, const char *section, GError **error)
{
    struct device *d = board_pc_optional(m, section, error);
    if (d && !device_init(d, error)) {
        device_free(d);
        return NULL;
    }
    if (!d)
        return NULL;
    machine_add(m, d);
    device_reset(d);
    return d;
}

bool machine_plug(struct machine *m, const char *section, GKeyFile *settings, GError **error)
{
    if (m->state == MACHINE_STOPPED)
        return refuse(error, section, "the machine has stopped: nothing can be plugged in");
    if (m->live)
        return refuse(error, section, BEING_SAVED);
    if (machine_device(m, section))
        return refuse(error, section, "it is plugged in already");
    if (m->devices == MAX_DEVICES)
        return refuse(error, section, "the machine has as many devices as it can have");
    hold(m);
    g_autoptr(GKeyFile) before = g_key_file_new();
    copy_section(before, m->file, section);
    if (settings)
        copy_section(m->file, settings, section);
    struct device *d = put_in(m, section, error);
    if (!d)
        copy_section(m->file, before, section);
    if (d)
        tell_guest(m, d, true);
    vcpus_release(m);
    if (d && m->on_plug.fn)
        m->on_plug.fn(m->on_plug.ctx, section);
    return d;
}

void machine_on_plug(struct machine *m, void (*fn)(void *ctx, const char *section), void *ctx)
{
    m->on_plug.fn = fn;
    m->on_plug.ctx = ctx;
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

static struct device *removable(struct machine *m, const char *section, GError **error)
{
    struct device *d = machine_device(m, section);
    if (!d)
        refuse(error, section, "it is not plugged in");
    else if (!d->core->wiring.pluggable)
        refuse(error, section, "it is soldered to the board");
    else
        return d;
    return NULL;
}

bool machine_ask_unplug(struct machine *m, const char *section, GError **error)
{
    struct device *d = removable(m, section, error);
    if (d)
        tell_guest(m, d, false);
    return d;
}

bool machine_unplug(struct machine *m, const char *section, GError **error)
{
    struct device *d = m->live ? NULL : removable(m, section, error);
    if (m->live)
        refuse(error, section, BEING_SAVED);
    if (!d)
        return false;
    hold(m);
    drives_hush(m, d);
    disconnect(d);
    machine_remove(m, d);
    device_free(d);
    vcpus_release(m);
    return true;
}

/* ---- the controller's side ---- */

void hotplug_eject(struct machine *m, uint32_t slots)
{
    if (m->live) { /* whoever saves knows the devices, and ejects them afterwards */
        m->eject_later |= slots;
        return;
    }
    for (unsigned slot = 0; slot < 32; slot++) {
        const struct device *d = slots >> slot & 1 ? m->pci_slot[slot << 3] : NULL;
        if (!d || !d->core->wiring.pluggable)
            continue;
        g_message("the guest has let go of %s", d->name);
        machine_unplug(m, d->name, NULL);
    }
}

void dev_eject(struct device *d, uint32_t slots)
{
    machine_ask_eject(d->machine, slots);
}

uint32_t dev_removable(struct device *d)
{
    uint32_t slots = 0;
    for (unsigned slot = 0; slot < 32; slot++) {
        bool stays = false;
        for (unsigned function = 0; function < 8; function++) {
            const struct device *there = d->machine->pci_slot[slot << 3 | function];
            stays |= there && !there->core->wiring.pluggable;
        }
        slots |= (uint32_t)!stays << slot;
    }
    return slots;
}
