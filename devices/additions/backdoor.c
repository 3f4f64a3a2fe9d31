// SPDX-License-Identifier: GPL-2.0-or-later
/* backdoor.c - VMware's backdoor, by which systems in a virtual machine and programs in them talk to the host.
 *
 * IN EAX from port 5658h with EAX = 564D5868h carries out the command in CX; EBX is its argument, and registers are its answers.
 * It works in every ring.  An unknown command answers with all ones; so does the port to whoever does not know of it.  Port 5659h
 * takes and gives messages by string instructions (guest_rpc.c).  Open-vm-tools, Linux' vmmouse and vmwgfx, and what Linux does
 * as VMware's guest (arch/x86/kernel/cpu/vmware.c) are written to this.  Numbers: open-vm-tools, backdoor_def.h. */
#include "core-vmm/api/channel.h"
#include "core-vmm/api/input.h"
#include "core-vmm/api/platform.h"
#include "devices/additions/backdoor.h"
#include "devices/all.h"
#include <stdlib.h>
#include <string.h>

#define MAGIC       0x564d5868u
#define UNKNOWN     0xffffffffu
#define NOT_GRABBED 0xff9cff9cu /* -100, -100: the pointer is not in the guest */
enum { PORT_CALL, PORT_FAST };  /* offsets in the region */
enum {
    GET_MHZ = 1,
    GET_POINTER = 4,
    GET_VERSION = 10,
    GET_GUI_OPTIONS = 13,
    SET_GUI_OPTIONS = 14,
    GET_SCREEN = 15,
    GET_HARDWARE = 17,
    GET_MEMORY = 20,
    GET_TIME = 23,
    STOP_CATCHUP = 24,
    IS_MOUSE_ABSOLUTE = 36,
    GET_HZ = 45,
    GET_TIME_FULL = 46,
    GET_TIME_LAG = 55,
    GET_VCPU_INFO = 68,
};
enum {
    VERSION = 6,
    PRODUCT_WORKSTATION = 4,
    HARDWARE = 13, /* of Workstation 14's machines */
    APIC_HZ = 1000000000,
    VCPU_X2APIC = 1 << 3, /* also without interrupt remapping */
    LAG_US = 1000000,     /* how late the clock's interrupts may come before they count as lost */
};

struct backdoor {
    struct guest_rpc *rpc;
    struct vmmouse mouse;
    uint32_t screen; /* width, height: what the screen likes best */
};

/* ---- what a machine tells of itself ---- */

static void get_hz(struct device *d, struct port_call *p)
{
    uint64_t hz = dev_tsc_khz(d) * 1000;
    p->value = (uint32_t)hz;
    p->gpr[X86_RBX] = hz >> 32;
    p->gpr[X86_RCX] = APIC_HZ;
}

/* Seconds since 1970 and microseconds, of the host's clock. */
static void get_time(unsigned command, struct port_call *p)
{
    gint64 now = g_get_real_time(), seconds = now / G_USEC_PER_SEC;
    p->gpr[X86_RBX] = now % G_USEC_PER_SEC;
    p->gpr[X86_RCX] = LAG_US;
    if (command == GET_TIME) {
        p->value = (uint32_t)seconds;
        p->gpr[X86_RDX] = 0; /* minutes to Greenwich: it is UTC */
        return;
    }
    p->value = MAGIC;
    p->gpr[X86_RSI] = seconds >> 32;
    p->gpr[X86_RDX] = (uint32_t)seconds;
    if (command == GET_TIME_LAG)
        p->gpr[X86_RDI] = 0; /* ticks come when they are due */
}

static void get_version(struct port_call *p)
{
    p->value = VERSION;
    p->gpr[X86_RBX] = MAGIC;
    p->gpr[X86_RCX] = PRODUCT_WORKSTATION;
}

static void run(struct device *d, unsigned command, struct port_call *p)
{
    struct backdoor *b = d->state;
    switch (command) {
    case GET_MHZ: p->value = dev_tsc_khz(d) / 1000; break;
    case GET_VERSION: get_version(p); break;
    case GET_GUI_OPTIONS:
    case SET_GUI_OPTIONS:
    case STOP_CATCHUP: p->value = 0; break;          /* no options; ticks are not caught up with more than they must */
    case GET_POINTER: p->value = NOT_GRABBED; break; /* or tools would put their pointer where we say */
    case GET_SCREEN: p->value = b->screen; break;
    case GET_HARDWARE: p->value = HARDWARE; break;
    case GET_MEMORY: p->value = (dev_ram_below_4g(d) + dev_ram_above_4g(d)) >> 20; break;
    case GET_TIME:
    case GET_TIME_FULL:
    case GET_TIME_LAG: get_time(command, p); break;
    case BACKDOOR_MESSAGE: guest_rpc_call(b->rpc, p); break;
    case IS_MOUSE_ABSOLUTE: p->value = b->mouse.enabled && b->mouse.absolute; break;
    case BACKDOOR_ABSPOINTER_DATA:
    case BACKDOOR_ABSPOINTER_STATUS:
    case BACKDOOR_ABSPOINTER_COMMAND:
    case BACKDOOR_ABSPOINTER_RESTRICT: vmmouse_command(d, &b->mouse, command, p); break;
    case GET_HZ: get_hz(d, p); break;
    case GET_VCPU_INFO: p->value = VCPU_X2APIC; break;
    }
}

static void backdoor_port_call(struct device *d, struct port_call *p)
{
    struct backdoor *b = d->state;
    if (p->offset == PORT_FAST && p->size == 1 && (uint32_t)p->gpr[X86_RAX] == MAGIC && !(p->gpr[X86_RBX] & 0xffff)) {
        guest_rpc_bytes(b->rpc, p);
        return;
    }
    p->value = UNKNOWN;
    if (p->bytes && p->in)
        memset(p->bytes, 0xff, p->count);
    if (p->offset == PORT_CALL && p->in && p->size == 4 && (uint32_t)p->gpr[X86_RAX] == MAGIC)
        run(d, p->gpr[X86_RCX] & 0xffff, p);
}

/* ---- input.h ---- */

static bool backdoor_pointer(struct device *d, int dx, int dy, int wheel, unsigned buttons)
{
    return vmmouse_move(d, &((struct backdoor *)d->state)->mouse, dx, dy, wheel, buttons);
}

static bool backdoor_pointer_absolute(struct device *d, uint16_t x, uint16_t y, int wheel, unsigned buttons)
{
    return vmmouse_place(d, &((struct backdoor *)d->state)->mouse, x, y, wheel, buttons);
}

/* ---- life ---- */

static bool backdoor_init(struct device *d, const struct config *c, GError **error)
{
    struct backdoor *b = d->state;
    struct config video = {c->file, c->path, "video"};
    g_autofree char *resolution = config_string(&video, "resolution");
    const char *x = strchr(resolution, 'x');
    b->screen = (uint32_t)atoi(resolution) << 16 | (x ? atoi(x + 1) : 0);
    b->rpc = guest_rpc_new(d);
    return true;
}

static void backdoor_reset(struct device *d)
{
    struct backdoor *b = d->state;
    guest_rpc_reset(b->rpc);
    vmmouse_reset(d, &b->mouse);
}

static bool backdoor_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct backdoor *b = d->state;
    return vmmouse_sync(d, &b->mouse, s) && guest_rpc_sync(b->rpc, s);
}

static void backdoor_fini(struct device *d)
{
    struct backdoor *b = d->state;
    if (b->rpc)
        guest_rpc_free(b->rpc);
}

static const struct input_ops backdoor_plug = {.pointer = backdoor_pointer,
                                               .pointer_absolute = backdoor_pointer_absolute};

const struct device_ops vmware_backdoor_ops = {
    .name = "vmware-backdoor",
    .state_bytes = sizeof(struct backdoor),
    .version = 1,
    .regions = {{BUS_PORT, 0x5658, 4, 1, 4, .registers = true, .strings = true, .any_ring = true}},
    .init = backdoor_init,
    .reset = backdoor_reset,
    .port_call = backdoor_port_call,
    .sync = backdoor_sync,
    .fini = backdoor_fini,
    .input = &backdoor_plug,
};
