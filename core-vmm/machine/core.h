// SPDX-License-Identifier: GPL-2.0-or-later
/* core.h - inside of the machine: what machine, bus, memory, irq, clock, pci and vcpu share.  Nobody else includes it.
 *
 * Locks, in the order they may be taken: the PCI host's, a device's, machine->map (the address map), machine->irq (all
 * interrupt controllers and the CPU pins; recursive, because they call each other), the clock's (leaf).  Looking an
 * address up takes none. */
#pragma once
#include "core-vmm/api/audio_host.h"
#include "core-vmm/api/irqchip.h"
#include "core-vmm/api/platform.h"
#include "core-vmm/base/spin.h"
#include "core-vmm/machine/machine.h"
#include <pthread.h>
#include <stdatomic.h>

#define MAX_CPUS      32
#define MAX_DEVICES   64
#define MAX_INPUTS    16
#define MAX_DISPLAYS  16
#define ISA_IRQS      16
#define PAGE          4096ull
#define AT_ONCE_BYTES (1u << 20) /* some 100 us */

/* ---- memory.c: the memory file and the physical address map ---- */
struct flat { /* one stretch of guest-physical space */
    uint64_t gpa, bytes;
    uint64_t offset;       /* in the memory file; NO_MEMORY: MMIO */
    uint64_t store_offset; /* where writes go that the engine hands to core; NO_MEMORY: to the device, or nowhere */
    struct device *device; /* MMIO, or the owner of a ROM */
    uint64_t region_offset;
    uint8_t region;
    bool readonly, log;
};
#define NO_MEMORY UINT64_MAX
#define MAX_FLAT  512
#define MAX_SPARE 32
struct shadow {
    bool read_ram, write_ram;
};
struct memory {
    int fd;
    uint8_t *base;
    uint64_t bytes; /* of the file */
    uint64_t used;  /* handed out so far, but for these pieces that came back */
    struct {
        uint64_t offset, bytes;
    } spare[MAX_SPARE];
    uint64_t below_4g, above_4g; /* guest RAM; in the file it is one piece from offset 0 */
    struct shadow shadow[96];    /* per 4 KiB of 0xA0000-0xFFFFF */
    bool a20;
    bool log; /* the engine notes which pages of RAM the guest writes to */
    /* And here: which ones somebody else wrote to, a bit per page of RAM; NULL: not noted.  Any thread reads the pointer. */
    _Atomic(_Atomic uint64_t *) others;
    _Atomic unsigned sequence;
    unsigned count;
    struct flat flat[MAX_FLAT];
};
bool memory_init(struct machine *m, uint64_t ram, GError **error);
void memory_free(struct machine *m);
uint64_t memory_add(struct machine *m, uint64_t bytes, GError **error); /* offset in the file, or NO_MEMORY */
void memory_remove(struct machine *m, uint64_t offset, uint64_t bytes); /* not mapped any more: for others, zeroed */
void memory_rebuild(struct machine *m);                                 /* bus lock held */
void device_map_changed(struct machine *m);                             /* takes the map lock and rebuilds */
bool memory_map_engine(struct machine *m, GError **error);              /* tell a new engine everything */
bool memory_find(struct machine *m, uint64_t gpa, struct flat *out);    /* lock-free */
/* Somebody other than the engine wrote to the memory file: told afterwards, from any thread. */
void memory_touched(struct machine *m, uint64_t offset, uint64_t bytes);
/* Which pages of RAM are written to, by whomever, is noted from now on, for which the vCPUs stand, or no more, for which they need
 * not.  Loop thread. */
void memory_log(struct machine *m, bool on);
/* ORs a bit per page of RAM that was written to since the last call, or since it is noted.  What is read of them after this is
 * as it was at the call or newer; what is newer is noted again.  Loop thread. */
void memory_take_log(struct machine *m, uint64_t *bitmap);

/* ---- barrier.c ---- */
bool barrier_far_offered(void); /* can other threads be made to pass a barrier? */

/* ---- device.c ---- */
struct mapped_region {
    struct device *device;
    unsigned index;
    uint64_t base;
    bool on, registers; /* registers: as in the chip's table, here because every port access looks at it */
    uint64_t memory;    /* offset in the memory file, or NO_MEMORY */
    uint64_t memory_bytes, bar_bytes;
    bool readonly, hidden;
};
struct wiring { /* a row of the board's list */
    const struct device_ops *ops;
    const char *name;
    const char *section; /* of machine.ini; NULL: always there, no config */
    int slot, function;  /* PCI, or slot -1 */
    int irq[4];          /* ISA IRQ of each line; all zero and PCI: INTx */
    int irqs;            /* how many of them are meant */
    bool irqchip;        /* shares the irq lock */
    bool pluggable;      /* a PCI function that may go while the machine runs */
    uint16_t ports[2];   /* other bases for its first port regions; 0: as the chip says */
};
struct device_core {
    pthread_mutex_t *lock, own_lock;
    struct wiring wiring;
    bool ready;          /* init succeeded */
    _Atomic bool looked; /* dev_looked() since the last look at this */
    struct mapped_region region[DEV_REGIONS];
    uint8_t *pci_config, *pci_writable;
    struct msi *msi;     /* pci_msi.c; NULL: it has neither MSI nor MSI-X */
    uint32_t irq_levels; /* the level of each line now */
    uint32_t irq_loaded; /* while loading: the level that the chip wants of it */
    uint32_t intx;       /* of these, INTA# to INTD# as the PCI interrupt router sees them */
    struct device_timer {
        struct device *device;
        struct timer *timer;
        uint64_t at;
        void (*fn)(struct device *d);
    } timers[DEV_TIMERS];
    _Atomic unsigned keyboard_since, pointer_since,
        absolute_since;      /* dev_input(): when that began, 0: not listened to */
    struct net_cable *cable; /* net.c; NULL: it is no network card */
    uint32_t at_once;        /* in an access: how much of machine.at_once is left; else 0 */
    bool requests_through;   /* in an access: drives_tell() is due at its end */
    struct config config;
    int64_t log_second;
    unsigned log_count;
};
struct device *device_new(struct machine *m, const struct wiring *w);
bool device_init(struct device *d, GError **error);
void device_free(struct device *d);
/* A file in the machine's folder, open for reading and writing; -1: an error. */
int dev_kept_open(struct device *d, const char *name, GError **error);
void device_reset(struct device *d);
void device_place_region(struct device *d, unsigned index, uint64_t base, bool on);

/* ---- bus.c ---- */
void bus_map_port(struct mapped_region *r, bool on);

/* ---- pci.c ---- */
extern const struct device_ops pci_host_ops; /* 0xCF8/0xCFC */
void pci_setup(struct device *d);            /* fills config space from ops->pci and the BAR regions */
void pci_reset(struct device *d);
void pci_bar_bytes(struct device *d, unsigned bar, uint64_t bytes);
/* May its INTx lines, which it holds up as asked, be seen?  Notes them in the status register.  The device's lock is held. */
bool pci_intx_open(struct device *d, uint32_t asked);

/* ---- pci_msi.c; the device's lock is held ---- */
struct msi *msi_new(const struct pci_capability *list); /* NULL: there is neither */
bool msi_sync(struct device *d, struct stream *s); /* of a device with MSI or MSI-X: what is not in its configuration */
void msi_free(struct msi *s);
void msi_setup(struct device *d, const struct pci_capability *c, unsigned at); /* fills its capability */
void msi_reset(struct device *d);
void msi_written(struct device *d); /* configuration space was: sends what waited and may go now */
bool msi_enabled(struct device *d);
bool msix_covers(struct device *d, unsigned region, uint64_t offset); /* table or pending bits */
uint64_t msix_read(struct device *d, uint64_t offset, unsigned size);
void msix_write(struct device *d, uint64_t offset, unsigned size, uint64_t value);

/* ---- irq.c ---- */
struct irq {
    pthread_mutex_t lock;
    struct device *pic, *ioapic, *lapic, *pci_router;
    uint32_t isa_sources[ISA_IRQS]; /* how many lines hold it up */
    uint32_t pirq_sources[4];       /* the same of the PCI router's inputs */
    unsigned ticks_owed;            /* of IRQ 0, to come one by one */
    struct device *legacy;          /* who has ISA IRQs 0 and 8 for itself (HPET); NULL: nobody */
    bool pic_level, apic_level[MAX_CPUS], pin[MAX_CPUS];
    bool loading;
    _Atomic uint64_t apic_page[MAX_CPUS];
};
void irq_init(struct machine *m);
void irq_add(struct machine *m, struct device *d); /* notes what it is to interrupts, if anything */
void irq_intx_update(struct device *d);            /* pci_intx_open() may have changed */
void irq_reset(struct machine *m);
/* While a machine is loaded, lines and levels are noted and nobody is told: every chip gets its own state.  load_begin()
 * before the first device, load_end() when all are there; what has changed since it was saved is told then. */
void irq_load_begin(struct machine *m);
void irq_load_end(struct machine *m);
bool irq_sync(struct machine *m, struct stream *s);
/* The local APIC of a CPU, the machine's or the engine's; load after the CPU's own state.  False: no APIC can be so. */
bool irq_has_lapics(const struct machine *m);
void irq_lapic_save(struct machine *m, unsigned cpu, struct cpu_lapic *out);
bool irq_lapic_load(struct machine *m, unsigned cpu, const struct cpu_lapic *in);
void irq_update_pin(struct machine *m, unsigned cpu); /* irq lock held; after anything that may change INTR */

/* ---- clock.c: guest time ---- */
struct timer;
struct clock *clock_new(bool stepped); /* stands at 0 */
void clock_free(struct clock *c);
uint64_t clock_now(struct clock *c); /* ns */
void clock_go(struct clock *c);
void clock_stand(struct clock *c);
void clock_step(struct clock *c, uint64_t ns); /* stepped: runs what comes due, in order */
struct timer *clock_timer_new(struct clock *c, void (*fn)(void *ctx), void *ctx); /* fn gets no lock */
void clock_timer_free(struct timer *t);
void clock_timer_set(struct timer *t, uint64_t at_ns); /* DEV_NEVER stops it */
void clock_run(struct clock *c);                       /* runs what is due now, not what comes due meanwhile; any thread */
int64_t clock_until_next(struct clock *c);             /* host ns to the next timer; INT64_MAX: none */
void clock_halted(struct clock *c, int change); /* a vCPU went to (+1) or left (-1) its halt and runs timers itself */
const _Atomic int64_t *clock_tsc_offset(struct clock *c);
uint64_t clock_tsc_khz(struct clock *c);
uint64_t clock_tsc(struct clock *c);
bool clock_sync(struct clock *c, struct stream *s, GError **error); /* while it stands; timers are their devices' */

/* ---- idle.c; on the vCPU's thread ---- */
void idle_looked_at_port(struct machine *m, unsigned cpu);

/* ---- vcpu.c ---- */
struct idle { /* idle.c: ns of the thread's CPU time */
    uint64_t looked_ns, all_ns, work_ns, gap_ns;
    bool pin_before; /* INTR was up at the last nap */
    bool other_port; /* a port was accessed since the last look at one */
};
struct vcpu_thread {
    struct machine *machine;
    unsigned index;
    void *engine_vcpu;
    pthread_t thread;
    bool started, standing;
    _Atomic int wake; /* futex word */
    struct spin spin; /* its halts as the keeper of timers */
    struct idle idle;
};
void vcpu_nap(struct vcpu_thread *v, int64_t ns); /* on its own thread; until a signal, or that long */
bool vcpus_start(struct machine *m, GError **error);
void vcpus_stop(struct machine *m);      /* ends the threads */
void vcpus_ask_hold(struct machine *m);  /* any thread; nests */
void vcpus_wait_held(struct machine *m); /* loop thread: until all stand */
void vcpus_release(struct machine *m);
void vcpu_thread_signal(struct machine *m, unsigned cpu, enum cpu_signal what, unsigned value);
void vcpu_thread_kick(struct machine *m, unsigned cpu);

/* ---- machine.c ---- */
struct pending { /* asked for by a vCPU or device, done on the loop thread */
    bool reset, stop;
    uint32_t eject; /* PCI slots */
    unsigned held;  /* how many holds on the vCPUs go with it */
    enum machine_end end;
    unsigned code;
    char *message;
};
struct event_handler {
    void (*fn)(void *ctx, const struct machine_event *e);
    void *ctx;
};
struct cpu_limit { /* cpu_limit.c */
    unsigned percent;
    guint timer;
    bool holds;
    int64_t credit, wall, cpu; /* ns */
    uint64_t held_ns;
};
struct machine {
    GKeyFile *file;
    char *path, *folder, *name;
    struct memory memory;
    struct clock *clock;
    struct irq irq;
    pthread_mutex_t map;
    _Atomic(struct mapped_region *) port[65536];
    struct device *device[MAX_DEVICES];
    unsigned devices;
    struct device *pci_slot[256]; /* by slot << 3 | function */
    const struct cpu_engine *engine;
    struct cpu_vm cpu_vm;
    void *engine_vm;
    char *engine_reason, *cpu_model, *engine_options;
    unsigned cpus, sockets;
    struct vcpu_thread vcpu[MAX_CPUS];
    pthread_mutex_t run_lock;
    pthread_cond_t run_changed;
    unsigned hold;
    struct cpu_limit cpu_limit;
    unsigned begun; /* threads of virtual CPUs that have their names and fences */
    bool quit;
    _Atomic bool timer_keeper; /* a halted vCPU waits for timers */
    _Atomic unsigned halted;   /* how many vCPUs wait for an interrupt, as far as core knows of it */
    pthread_mutex_t pending_lock;
    struct pending pending;
    bool wishes_queued;
    bool reset_stops;
    enum machine_state state;
    struct machine_event last;
    struct event_handler handlers[8];
    unsigned handler_count;
    struct display *displays[MAX_DISPLAYS];
    unsigned display_count;
    struct device *inputs[MAX_INPUTS]; /* who has input_ops, in the order of the board */
    unsigned input_count;
    _Atomic unsigned listens;                /* counts beginnings of listening: device_core.keyboard_since ... */
    struct device *fpu_error, *power_button; /* who has that of platform_ops */
    struct {
        void (*fn)(void *ctx, const char *section);
        void *ctx;
    } on_plug;
    struct device *hotplug; /* who has hotplug_ops, or NULL */
    struct unknown_msrs {   /* unknown_msr.c, under pending_lock; more than fit are not told of */
        uint32_t seen[64];
        unsigned count;
    } unknown_msrs;
    struct device *hyperv;      /* who has hyperv_ops, or NULL */
    struct machine_crash crash; /* under pending_lock */
    guint crash_source;         /* the loop is to tell of it */
    struct {
        void (*fn)(void *ctx, const struct machine_crash *c);
        void *ctx;
    } on_crash;
    struct input_queue *input;
    GMutex channels_lock;
    GPtrArray *channels, *services; /* channel.c: struct channel, under channels_lock; struct channel_service */
    struct tpm_port *tpm;           /* tpm.c; NULL: there is no such device */
    struct audio_stream *audio;     /* audio.c: the first of a list */
    audio_host_fn audio_host;
    void *audio_host_ctx;
    GPtrArray *char_ports; /* struct char_port: char.c */
    GHashTable *ends;      /* struct char_end by port, opened before; only while the machine is being built, or NULL */
    struct thread_hook on_thread;
    struct halt_hook on_halt;
    struct start_hook on_start;
    struct drive *drives; /* drive.c: a list */
    uint32_t at_once;     /* bytes that an access to a device may read from media itself; 0: see drive_inside.h */
    struct live *live;    /* save_live.c: one that is under way, or NULL */
    GArray *live_older;   /* int: files for the next one, or NULL */
    bool far_barriers;    /* set by the engine before there are threads: see barrier.c */
    uint32_t eject_later; /* slots that the guest has let go of meanwhile */
    struct state_packers *packers; /* state_memory.c: made with the machine, for a fenced loop can make no threads */
};
void machine_ask_reset(struct machine *m);                 /* any thread */
void machine_ask_eject(struct machine *m, uint32_t slots); /* any thread */
void machine_remove(struct machine *m, struct device *d);  /* a pluggable one: these have no role but input */
void machine_add(struct machine *m, struct device *d);     /* into the list, its slot and its roles */
void machine_settle(struct machine *m);                    /* what was asked for is done now; loop thread */

/* ---- hotplug.c ---- */
void hotplug_eject(struct machine *m, uint32_t slots); /* the functions there that can go do; loop thread */

/* ---- board/build_pc.c ---- */
bool board_pc_build(struct machine *m, GError **error);
/* The PCI function of that section of machine.ini (which exists), not yet added to the machine. */
struct device *board_pc_optional(struct machine *m, const char *section, GError **error);

/* ---- channel.c ---- */
void channels_init(struct machine *m);
void channels_free(struct machine *m); /* after the devices */

/* ---- input_queue.c ---- */
struct input_queue *input_queue_new(struct machine *m);
void input_queue_free(struct input_queue *q);
bool input_queue_sync(struct input_queue *q, struct stream *s);
void input_add(struct machine *m, struct device *d);    /* if it has input_ops */
void input_remove(struct machine *m, struct device *d); /* its keys and buttons are forgotten */

/* ---- drive_requests.c ---- */
void drives_tell(struct device *d); /* of requests that are through; its lock is held */
/* No worker tells a device of requests any more: they go, or what they need does.  Of all devices, or only that one; without its
 * lock. */
void drives_hush(struct machine *m, const struct device *only);

/* ---- drive_state.c ---- */
/* All requests are finished and told: so many there were at least; 0: there was none. */
bool drives_settle(struct machine *m, unsigned *requests, GError **error);
bool drives_sync(struct machine *m, struct stream *s, GError **error);
