// SPDX-License-Identifier: GPL-2.0-or-later
/* hyperv.h - inside of Hyper-V's interface to its guests; hyperv.c has the picture of it. */
#pragma once
#include "core-vmm/api/hyperv.h"

#define HV_BIT(n)  (UINT64_C(1) << (n))
#define HV_ADDRESS (~UINT64_C(0xfff)) /* of a page, in the registers that place one; bit 0: it is on */
enum { HV_PAGE = 4096, HV_CPUS = 32, HV_SINTS = HYPERV_SINTS, HV_TIMERS = HYPERV_TIMERS, HV_PORTS = 64 };
enum hv_status {
    HV_SUCCESS = 0,
    HV_INVALID_HYPERCALL_CODE = 2,
    HV_INVALID_HYPERCALL_INPUT = 3,
    HV_INVALID_ALIGNMENT = 4,
    HV_INVALID_PARAMETER = 5,
    HV_INVALID_PORT_ID = 0x11,
    HV_INVALID_CONNECTION_ID = 0x12,
    HV_INSUFFICIENT_BUFFERS = 0x13,
    HV_INVALID_SYNIC_STATE = 0x18,
};

struct hv_message {
    uint32_t type; /* 0: none */
    uint8_t bytes; /* of the payload */
    uint64_t sender;
    uint8_t payload[240];
};

struct hv_timer {
    uint64_t due; /* reference time; HV_NEVER: it does not run */
    bool waits;   /* it has expired, and its message finds no room */
};
#define HV_NEVER UINT64_MAX

struct hv_cpu {
    struct hv_timer timer[HV_TIMERS];
    uint64_t runtime_base; /* VP_RUNTIME is the thread's CPU time and this */
    bool runtime_known;    /* ... which begins with the first look */
};

/* Where posted messages and signalled events go.  Not of the guest: the host makes them (today: the test device). */
enum hv_port_kind { HV_PORT_NONE, HV_PORT_MESSAGE, HV_PORT_EVENT };
struct hv_port {
    enum hv_port_kind kind;
    uint32_t id;
    uint8_t cpu, sint;
    bool waits; /* `message` finds no room */
    struct hv_message message;
};

struct hyperv {
    unsigned cpus;
    bool amd;                       /* the host's CPU: which instruction is a hypercall */
    bool page_stale;                /* the reference TSC page is of the machine that was saved */
    struct cpu_hyperv reg[HV_CPUS]; /* the VM's own are in reg[0] */
    struct hv_cpu cpu[HV_CPUS];
    uint64_t scale; /* reference time is (TSC * scale >> 64) + offset */
    int64_t offset;
    uint32_t sequence; /* of the reference TSC page */
    struct hv_port port[HV_PORTS];
    uint64_t retry_ns;  /* how long until the next try to place what waits */
    uint64_t retry_due; /* guest ns; DEV_NEVER: nothing waits */
    uint64_t armed;     /* guest ns for which the device's timer is set */
};

static inline bool hv_fast(const struct hyperv_call *c)
{
    return c->control >> 16 & 1;
}

/* ---- hyperv.c ---- */
uint64_t hv_now(struct device *d); /* reference time: 100 ns */
void hv_write_tsc_page(struct device *d);
/* Writes a register that places a page, which begins with zeroes when it is newly there. */
void hv_place_page(struct device *d, uint64_t *reg, uint64_t value);
void hv_arm(struct device *d); /* sets the one timer of the device to what comes next */

/* ---- synic.c ---- */
bool hv_synic_msr(struct device *d, unsigned cpu, uint32_t msr, uint64_t *value, bool write);
void hv_synic_reset(struct device *d, unsigned cpu);
void hv_synic_loaded(struct device *d, unsigned cpu); /* tells the local APIC which vectors end by themselves */
void hv_sint(struct device *d, unsigned cpu, unsigned sint);
/* false: that SINT's slot is taken, the guest will say when it is free. */
enum hv_status hv_post(struct device *d, unsigned cpu, unsigned sint, const struct hv_message *m, bool *placed);
enum hv_status hv_signal(struct device *d, unsigned cpu, unsigned sint, unsigned flag);
void hv_place_waiting(struct device *d); /* tries again what found no room */
bool hv_anything_waits(const struct hyperv *h);

/* ---- ports.c: connections; for devices that have them, with their own lock held ---- */
struct device *hv_find(struct device *d); /* Hyper-V's device of this machine, or NULL */
void hv_raise(struct device *hv, unsigned cpu, unsigned sint);
bool hv_connect(struct device *hv, enum hv_port_kind kind, uint32_t id, unsigned cpu, unsigned sint);
void hv_disconnect(struct device *hv, uint32_t id);
enum hv_status hv_post_message(struct device *d, struct hyperv_call *c);
enum hv_status hv_signal_event(struct device *d, struct hyperv_call *c);

/* ---- stimer.c ---- */
bool hv_timer_msr(struct device *d, unsigned cpu, uint32_t msr, uint64_t *value, bool write);
void hv_timers_reset(struct hyperv *h, unsigned cpu);
void hv_timers_loaded(struct device *d, unsigned cpu);
uint64_t hv_timers_next(const struct hyperv *h); /* reference time or HV_NEVER */
void hv_timers_run(struct device *d);
void hv_timers_place(struct device *d); /* messages that waited */

/* ---- hypercall.c ---- */
void hv_call(struct device *d, struct hyperv_call *c);
/* Input of a hypercall, copied: false, with a status in c->result, if it is not where it may be. */
bool hv_input(struct device *d, struct hyperv_call *c, void *to, unsigned bytes);
